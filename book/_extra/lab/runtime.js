/* Models that aelib.export.to_web wrote, in plain JavaScript: no build step, nothing fetched.

   aelib.load(file) gives a model: here are the dense autoencoders and what all models share,
   text.js adds LanguageModel and TextAutoencoder. Names are those of the Keras classes. */
(function (root) {
"use strict";
const LANES = 8;
const up = n => Math.ceil(n / LANES) * LANES;
const sigmoid = x => 1 / (1 + Math.exp(-x));
const ACTIVATIONS = {
  linear: x => x, relu: x => Math.max(0, x), tanh: Math.tanh, sigmoid,
  softplus: x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};

// ---------------------------------------------------------------------------------- weights

/* y = W x with 128-bit lanes, as WebAssembly (212 bytes). In words:
     f(w, x, y, endY, endX): do { a = b = 0, p = x
       do { a += w[0..4] * p[0..4]; b += w[4..8] * p[4..8]; w += 32; p += 32 } while (p < endX)
       *y = sum of the lanes of a + b; y += 4 } while (y < endY) */
const SIMD = "AGFzbQEAAAABCQFgBX9/f39/AAIIAQFtAW0CAAEDAgEABwUBAWYAAAqpAQGmAQIBfwJ7A0D9DAAAAAAAAAAA" +
  "AAAAAAAAAAAhBv0MAAAAAAAAAAAAAAAAAAAAACEHIAEhBQNAIAYgAP0ABAAgBf0ABAD95gH95AEhBiAHIAD9AAQQ" +
  "IAX9AAQQ/eYB/eQBIQcgAEEgaiEAIAVBIGoiBSAESQ0ACyACIAYgB/3kASIG/R8AIAb9HwGSIAb9HwKSIAb9HwOS" +
  "OAIAIAJBBGoiAiADSQ0ACws=";

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function half(h) {
  const e = (h >> 10) & 31, m = h & 1023, sign = h >> 15 ? -1 : 1;
  if (e === 31) return m ? NaN : sign * Infinity;
  return sign * (e ? (1 + m / 1024) * 2 ** (e - 15) : m * 2 ** -24);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+";

/* Letters as levels, `step` apart, the middle one zero. */
function levels(letters, step) {
  const of = new Float32Array(128), out = new Float32Array(letters.length);
  for (let i = 0; i < LETTERS.length; i++) of[LETTERS.charCodeAt(i)] = (i - (LETTERS.length >> 1)) * step;
  for (let i = 0; i < out.length; i++) out[i] = of[letters.charCodeAt(i)];
  return out;
}

/* One tensor as numbers; `how` undoes the packing of levels, signs and permutations. */
function numbers(bytes, dtype, how) {
  if (how?.as === "levels") return levels(how.letters, new Float32Array(bytes.buffer)[0]);
  if (how?.as === "signs") {
    const size = how.shape.reduce((a, b) => a * b, 1);
    return Float32Array.from({ length: size },
      (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1 ? how.scale : -how.scale);
  }
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "F16") return Float32Array.from(new Uint16Array(bytes.buffer), half);
  const rows = new Int16Array(bytes.buffer), k = how.shape.at(-1);
  const out = new Float32Array(rows.length * k);
  rows.forEach((place, i) => { out[i * k + Math.abs(place) - 1] = Math.sign(place); });
  return out;
}

/* {name: {shape, data}} from the base64 of a safetensors file. */
function tensors(file) {
  const bytes = bytesOf(file.weights), size = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))), out = {};
  for (const [name, entry] of Object.entries(head)) {
    if (name === "__metadata__") continue;
    const [from, to] = entry.data_offsets.map(at => at + 8 + size), how = file.packed[name];
    const data = numbers(bytes.slice(from, to), entry.dtype, how);
    const shape = how ? how.shape : entry.shape, count = shape.reduce((a, b) => a * b, 1);
    if (data.length !== count) throw new Error(`${name} has ${data.length} numbers, not ${count}`);
    out[name] = { shape, data };
  }
  return out;
}

/* A model's weights and the memory that its matrices live in. */
class Weights {
  constructor(file, simd = true) {
    this.all = tensors(file);
    const shapes = Object.values(this.all).map(t => t.shape).filter(s => s.length > 1);
    const room = shapes.map(s => [s.slice(0, -1).reduce((a, b) => a * b), s.at(-1)])
      .map(([a, b]) => Math.max(a * up(b), b * up(a)) + up(a) + up(b));
    const pages = 1 + Math.ceil(room.reduce((a, b) => a + b, 0) / 16384);
    const memory = new WebAssembly.Memory({ initial: pages });
    this.floats = new Float32Array(memory.buffer);
    this.top = LANES;
    try {
      const module = new WebAssembly.Module(bytesOf(SIMD));
      this.simd = simd && new WebAssembly.Instance(module, { m: { m: memory } }).exports.f;
    } catch { this.simd = null; }
  }
  has(name) { return name in this.all; }
  vector(name) { return this.has(name) ? this.all[name].data : null; }
  take(n) { const at = this.top; this.top += up(n); return at; }
  /* The matrix W of y = W x; Keras keeps kernels as (in, out): `turned`. */
  matrix(name, turned = false) {
    if (!this.has(name)) throw new Error(`the file lacks ${name}`);
    const { shape, data } = this.all[name], b = shape.at(-1), a = data.length / b;
    return new Matrix(this, data, turned ? b : a, turned ? a : b, turned);
  }
}

class Matrix {
  constructor(weights, data, rows, cols, turned) {
    Object.assign(this, { weights, rows, cols, stride: up(cols) });
    this.at = weights.take(rows * this.stride);
    this.x = weights.take(cols);
    this.y = weights.take(rows);
    const f = weights.floats;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++)
        f[this.at + r * this.stride + c] = data[turned ? c * rows + r : r * cols + c];
  }
  row(r) {
    const from = this.at + r * this.stride;
    return this.weights.floats.subarray(from, from + this.cols);
  }
  /* W x, of the first `rows` rows: a view that the next call overwrites. */
  times(x, rows = this.rows) {
    const { floats, simd } = this.weights;
    if (x.length !== this.cols) throw new Error(`a matrix of ${this.cols} columns meets ${x.length} numbers`);
    floats.set(x, this.x);
    if (simd) {
      const y = 4 * this.y;
      simd(4 * this.at, 4 * this.x, y, y + 4 * rows, 4 * (this.x + this.stride));
    } else {
      for (let r = 0, w = this.at; r < rows; r++, w += this.stride) {
        let sum = 0;
        for (let c = 0; c < this.cols; c++) sum += floats[w + c] * floats[this.x + c];
        floats[this.y + r] = sum;
      }
    }
    return floats.subarray(this.y, this.y + rows);
  }
}

// ----------------------------------------------------------------------------------- layers

class Dense {
  constructor(w, name, activation) {
    this.kernel = w.matrix(name + ".kernel", true);
    this.bias = w.vector(name + ".bias");
    this.f = ACTIVATIONS[activation ?? "linear"];
    if (!this.f) throw new Error(`no activation ${activation} here`);
  }
  apply(x) {
    const y = Float32Array.from(this.kernel.times(x));
    for (let i = 0; i < y.length; i++) y[i] = this.f(y[i] + (this.bias ? this.bias[i] : 0));
    return y;
  }
}

class RMSNorm {
  constructor(w, name) { this.gamma = w.vector(name + ".gamma"); }
  apply(x) {
    let square = 0;
    for (const v of x) square += v * v;
    const scale = 1 / Math.sqrt(square / x.length + 1e-6);
    return x.map((v, i) => v * scale * this.gamma[i]);
  }
}

function softmax(x) {
  let most = -Infinity, sum = 0;
  for (const v of x) if (v > most) most = v;
  const p = x.map(v => Math.exp(v - most));
  for (const v of p) sum += v;
  return p.map(v => v / sum);
}

// ------------------------------------------------------------------------------------ models

class Autoencoder {
  constructor(file, w) {
    const { encoder, decoder, likelihood } = file.config;
    const both = (name, first, second, part) => [
      ...(w.has(`${name}.${first}.kernel`) ? [new Dense(w, `${name}.${first}`, part.activation)] : []),
      new Dense(w, `${name}.${second}`, part.output_activation)];
    this.encoder = both("encoder", "hidden", "code", encoder.config);
    this.decoder = both("decoder", "hidden", "output_layer", decoder.config);
    this.variational = file.class === "VariationalAutoencoder";
    this.inputs = encoder.config.input_dim.reduce((a, b) => a * b, 1);
    this.latentDim = decoder.config.encoding_dim;
    this.f = likelihood === "bernoulli" ? sigmoid : v => v;
  }
  /* [μ, log σ²]; a plain autoencoder has the code alone. */
  posterior(x) {
    const h = this.encoder.reduce((v, layer) => layer.apply(v), x), k = this.latentDim;
    return this.variational ? [h.slice(0, k), h.slice(k)] : [h];
  }
  encode(x) { return this.posterior(x)[0]; }
  decode(z) { return this.decoder.reduce((v, layer) => layer.apply(v), z).map(this.f); }
  trial() { return this.decode(this.encode(new Float32Array(this.inputs))); }
}

/* Classes by name; text.js adds those of text models. */
const models = { Autoencoder, VariationalAutoencoder: Autoencoder };

/* A model from what `parse` gave, or from the name of a script that the page has loaded. */
function load(file, simd = true) {
  if (typeof file === "string") file = root.aelibModels[file];
  const kind = models[file.class];
  if (file.format !== 1 || !kind) throw new Error("this file is of another version: export again");
  return Object.assign(new kind(file, new Weights(file, simd)), { file, extra: file.extra });
}

/* The same for a file that nobody has tried yet: its model must answer, with numbers. */
function tried(file) {
  let model, fault;
  try {
    model = load(file);
    if (model.trial().some(v => !Number.isFinite(v))) fault = "it computes no numbers";
  } catch (error) { fault = error.message; }
  if (fault) throw new Error(`it is damaged or of another version; export the model again (${fault})`);
  return model;
}

/* The manifest in the text of an exported script, or as JSON alone; nothing in it is run. */
function parse(text) {
  const found = /\] = (\{.*\});\s*$/s.exec(text)?.[1] ?? text;
  let file = null;
  try { file = JSON.parse(found); } catch { /* said below */ }
  if (typeof file?.weights !== "string" || typeof file.class !== "string")
    throw new Error("no exported model: write one with aelib export MODEL --web FILE.js");
  return file;
}

/* Uniform numbers in [0, 1) from a seed (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const aelib = { load, tried, parse, models, Dense, RMSNorm, random, sigmoid, softmax };
if (typeof module === "object") module.exports = aelib;
else root.aelib = aelib;
})(globalThis);
