/* Text models in the page: tokenizers, recurrent and attention layers, position-bound
   superposition, generation. Names are those of the Keras classes in aelib.models. */
(function (root) {
"use strict";
const aelib = typeof require === "function" ? require("./runtime.js") : root.aelib;
const { Dense, RMSNorm, random, sigmoid, softmax } = aelib;
const PAD = 0, BOS = 1, EOS = 2, FIRST = 3, fround = Math.fround;

// ------------------------------------------------------------------------------------ layers

/* Gated recurrent unit or LSTM, one step: (x, state) -> state; state[0] is the output. */
class Cell {
  constructor(w, name, lstm) {
    this.kernel = w.matrix(name + ".kernel", true);
    this.recurrent = w.matrix(name + ".recurrent_kernel", true);
    this.bias = w.vector(name + ".bias");
    this.n = this.recurrent.cols;
    this.lstm = lstm;
  }
  first() { return Array.from({ length: this.lstm ? 2 : 1 }, () => new Float32Array(this.n)); }
  step(x, state) {
    const a = this.kernel.times(x), b = this.recurrent.times(state[0]);
    return this.lstm ? this.long(a, b, state[1]) : [this.gated(a, b, state[0])];
  }
  gated(a, b, before) {
    const n = this.n, bias = this.bias, m = 3 * n;
    return before.map((h, i) => {
      const z = sigmoid(a[i] + bias[i] + b[i] + bias[m + i]);
      const r = sigmoid(a[n + i] + bias[n + i] + b[n + i] + bias[m + n + i]);
      const j = 2 * n + i;
      return z * h + (1 - z) * Math.tanh(a[j] + bias[j] + r * (b[j] + bias[m + j]));
    });
  }
  long(a, b, cell) {
    const n = this.n, gate = i => a[i] + b[i] + this.bias[i];
    const c = cell.map((v, i) =>
      sigmoid(gate(n + i)) * v + sigmoid(gate(i)) * Math.tanh(gate(2 * n + i)));
    return [c.map((v, i) => sigmoid(gate(3 * n + i)) * Math.tanh(v)), c];
  }
}

class RecurrentCore {
  constructor(w, name, options, kind = "grus") {
    const names = kind === "lstm" ? [name + ".lstm"]
      : Array.from({ length: options.depth }, (_, i) => `${name}.grus.${i}`);
    this.cells = names.map(each => new Cell(w, each + ".cell", kind === "lstm"));
  }
  start(initial) {
    return { cells: this.cells.map(c => {
      const first = c.first();
      first.forEach((v, i) => initial && v.set(initial.subarray(i * c.n, (i + 1) * c.n)));
      return first;
    }) };
  }
  step(x, state) {
    this.cells.forEach((cell, i) => { x = (state.cells[i] = cell.step(x, state.cells[i]))[0]; });
    return x;
  }
}

/* Rotary positions, in place: x holds `heads` vectors of d numbers; float32 as in Keras. */
function rotate(x, place, heads) {
  const d = x.length / heads, h = d / 2;
  for (let i = 0; i < h; i++) {
    const speed = fround(Math.exp(fround(i * fround(-Math.log(10000) / h))));
    const angle = fround(place * speed), c = fround(Math.cos(angle)), s = fround(Math.sin(angle));
    for (let j = i; j < x.length; j += d) {
      const a = x[j], b = x[j + h];
      x[j] = a * c - b * s;
      x[j + h] = a * s + b * c;
    }
  }
  return x;
}

class Block {
  constructor(w, name, heads) {
    this.heads = heads;
    for (const n of ["norm1", "norm2"]) this[n] = new RMSNorm(w, `${name}.${n}`);
    for (const n of ["qkv", "out", "up", "down"]) this[n] = new Dense(w, `${name}.${n}`);
  }
  /* q, k, v of x at a place, q and k turned. */
  project(x, place) {
    const all = this.qkv.apply(this.norm1.apply(x)), n = x.length;
    const [q, k, v] = [0, 1, 2].map(i => all.subarray(i * n, (i + 1) * n));
    return [rotate(q, place, this.heads), rotate(k, place, this.heads), v];
  }
  /* softmax(q kᵀ / √d) v over `count` places, for each head, then the rest of the block. */
  finish(x, q, keys, values, count) {
    const n = x.length, d = n / this.heads, mixed = new Float32Array(n);
    for (let from = 0; from < n; from += d) {
      const scores = new Float32Array(count);
      for (let t = 0; t < count; t++) {
        let sum = 0;
        for (let i = from, k = keys[t]; i < from + d; i++) sum += q[i] * k[i];
        scores[t] = sum / Math.sqrt(d);
      }
      softmax(scores).forEach((p, t) => {
        for (let i = from, v = values[t]; i < from + d; i++) mixed[i] += p * v[i];
      });
    }
    const y = this.out.apply(mixed).map((v, i) => v + x[i]);
    const wide = this.up.apply(this.norm2.apply(y)).map(v => (v > 0 ? v * v : 0));
    return this.down.apply(wide).map((v, i) => v + y[i]);
  }
  /* One more token; the cache is a ring of `context` places. */
  step(x, cache, t, context) {
    const [q, k, v] = this.project(x, t), slot = t % context;
    cache.keys[slot] = k;
    cache.values[slot] = v;
    return this.finish(x, q, cache.keys, cache.values, Math.min(t + 1, context));
  }
  /* All tokens at once, each seeing all. */
  whole(xs) {
    const all = xs.map((x, t) => this.project(x, t)), keys = all.map(a => a[1]);
    return xs.map((x, t) => this.finish(x, all[t][0], keys, all.map(a => a[2]), xs.length));
  }
}

class TransformerCore {
  constructor(w, name, options) {
    this.context = options.context;
    const at = Array.from({ length: options.depth }, (_, i) => `${name}.blocks.${i}`);
    this.blocks = at.map(n => new Block(w, n, options.heads));
    this.norm = new RMSNorm(w, name + ".norm");
  }
  start() { return { caches: this.blocks.map(() => ({ keys: [], values: [] })) }; }
  step(x, state, t) {
    this.blocks.forEach((b, i) => { x = b.step(x, state.caches[i], t, this.context); });
    return this.norm.apply(x);
  }
}

class QuasiRecurrentCore {
  constructor(w, name, options) {
    const each = Array.from({ length: options.depth }, (_, i) => i);
    this.gates = each.map(i => new Dense(w, `${name}.gates.${i}`));
    this.norms = [...each, options.depth].map(i => new RMSNorm(w, `${name}.norms.${i}`));
    this.n = options.width;
  }
  start() {
    return { c: this.gates.map(() => new Float32Array(this.n)),
      before: this.gates.map(g => new Float32Array(g.kernel.cols / 2)) };
  }
  step(x, state) {
    const n = this.n;
    this.gates.forEach((gates, i) => {
      const a = this.norms[i].apply(x), both = new Float32Array(2 * a.length);
      both.set(a);
      both.set(state.before[i], a.length);
      const g = gates.apply(both), old = x;
      state.before[i] = a;
      const c = state.c[i] = state.c[i].map((v, j) => {
        const f = sigmoid(g[n + j] + 1);
        return f * v + (1 - f) * Math.tanh(g[j]);
      });
      x = c.map((v, j) => sigmoid(g[2 * n + j]) * v + (i ? old[j] : 0));
    });
    return this.norms.at(-1).apply(x);
  }
}

/* Residual convolutions of three places, the distance doubling: backwards, or to both sides. */
class ConvCore {
  constructor(w, name, options) {
    const each = Array.from({ length: options.depth }, (_, i) => i);
    this.gather = each.map(i => new Dense(w, `${name}.gather.${i}`, "relu"));
    this.out = each.map(i => new Dense(w, `${name}.out.${i}`));
  }
  layer(i, a, b, c, x) {
    return this.out[i].apply(this.gather[i].apply(join(join(a, b), c))).map((v, j) => v + x[j]);
  }
  /* All places at once, each seeing both sides; beyond the ends are zeros. */
  whole(xs) {
    const zero = new Float32Array(xs[0].length), all = this.gather.keys();
    for (const i of all)
      xs = xs.map((x, t) => this.layer(i, xs[t - 2 ** i] ?? zero, x, xs[t + 2 ** i] ?? zero, x));
    return xs;
  }
  start() { return { past: this.gather.map(() => []) }; }
  /* One more place, seeing those before it. */
  step(x, state, t) {
    const zero = new Float32Array(x.length);
    state.past.forEach((past, i) => {
      past[t] = x;
      x = this.layer(i, past[t - 2 * 2 ** i] ?? zero, past[t - 2 ** i] ?? zero, x, x);
    });
    return x;
  }
}

const CORES = { transformer: TransformerCore, recurrent: RecurrentCore, qrnn: QuasiRecurrentCore };

function join(a, b) {
  const out = new Float32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

// ------------------------------------------------------------------------------- tokenizers

const [BYTE_OF, CHAR_OF] = (() => {
  const plain = b => (b > 32 && b < 127) || (b > 160 && b !== 173 && b < 256);
  const byteOf = new Map(), charOf = [];
  for (let b = 0, next = 256; b < 256; b++) {
    charOf[b] = String.fromCharCode(plain(b) ? b : next++);
    byteOf.set(charOf[b], b);
  }
  return [byteOf, charOf];
})();
const BLANK = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = new RegExp("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+" +
  `| ?[^${BLANK}\\p{L}\\p{N}]+|[${BLANK}]+(?![^${BLANK}])|[${BLANK}]+`, "gu");

class Tokenizer {
  constructor(json) {
    const model = json.tokenizers.model;
    this.words = json.kind === "word" || json.kind === "bpe";
    this.pieces = [];
    this.scores = [];
    if (model.type === "BPE") {
      for (const [piece, id] of Object.entries(model.vocab)) this.pieces[id] = piece;
      this.ranks = new Map(model.merges.map((pair, i) =>
        [typeof pair === "string" ? pair : pair.join(" "), i]));
    } else model.vocab.forEach(([piece, score], id) => {
      this.pieces[id] = piece;
      this.scores[id] = score;
    });
    this.ids = new Map(this.pieces.map((piece, id) => [piece, id]));
    this.longest = Math.max(...this.pieces.map(piece => piece.length));
  }
  /* Ids of a text, without start, end or padding. */
  encode(text) {
    const parts = this.words ? (text && " " + text).match(WORDS) ?? [] : text ? [text] : [];
    return parts.flatMap(part => {
      const spelt = Array.from(new TextEncoder().encode(part), b => CHAR_OF[b]);
      return this.ranks ? this.merged(spelt) : this.likeliest(spelt.join(""));
    });
  }
  /* Byte-pair encoding: the earliest learned pair first, from the left. */
  merged(parts) {
    for (;;) {
      let best = Infinity, at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(parts[i] + " " + parts[i + 1]);
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return parts.map(part => this.ids.get(part));
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
  }
  /* The cut into pieces with the greatest sum of log-probabilities (Viterbi). */
  likeliest(text) {
    const best = Array.from({ length: text.length + 1 }, () => ({ score: -Infinity }));
    best[0].score = 0;
    for (let i = 0; i < text.length; i++)
      for (let n = 1; n <= this.longest && i + n <= text.length; n++) {
        const id = this.ids.get(text.slice(i, i + n)), score = best[i].score + this.scores[id];
        if (id >= FIRST && score > best[i + n].score) best[i + n] = { score, id, from: i };
      }
    const out = [];
    for (let i = text.length; i > 0; i = best[i].from) out.unshift(best[i].id);
    return out;
  }
  /* Text of ids up to the first end; special ids are skipped. */
  decode(ids, strip = true) {
    const end = ids.indexOf(EOS), kept = (end < 0 ? ids : ids.slice(0, end)).filter(i => i >= FIRST);
    const bytes = kept.flatMap(i => Array.from(this.pieces[i], c => BYTE_OF.get(c)));
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes));
    return this.words && strip && text[0] === " " ? text.slice(1) : text;
  }
}

// ------------------------------------------------------------------------------- generation

/* What may come next: [{id, p}], p after temperature, top-k and top-p; likeliest first if cut. */
function choices(logits, { temperature = 1, topK = 0, topP = 1 } = {}) {
  const scaled = Array.from(logits, v => v / Math.max(temperature, 1e-4));
  scaled.fill(-1e9, 0, EOS);
  let list = softmax(scaled).map((p, id) => ({ id, p }));
  if (temperature === 0) topK = 1;
  if (topK || topP < 1) list.sort((a, b) => b.p - a.p || a.id - b.id);
  if (topK) list = list.slice(0, topK);
  let before = 0;
  list = list.filter(c => (before += c.p) - c.p < topP);
  const total = list.reduce((sum, c) => sum + c.p, 0);
  return list.map(c => ({ id: c.id, p: c.p / total }));
}

/* The choice at u in [0, 1) of the cumulative sum. */
function pick(list, u) {
  let sum = 0;
  return (list.find(c => (sum += c.p) > u) ?? list.at(-1)).id;
}

/* Ids from the start token on, prompt included, at most `length` new ones, end left out. */
function generate(model, state, prompt, length, options, uniform = Math.random) {
  const ids = [...prompt];
  let logits = model.advance(BOS, state);
  for (const id of prompt) logits = model.advance(id, state);
  for (let n = 0; n < length; n++) {
    const id = pick(choices(logits, options), uniform());
    if (id === EOS) break;
    ids.push(id);
    if (n + 1 < length) logits = model.advance(id, state);
  }
  return ids;
}

// ------------------------------------------------------------------------------------ models

const ROWS = 131071, FACTOR = 16381;

class LanguageModel {
  constructor(file, w) {
    const o = file.config;
    this.tokenizer = new Tokenizer(file.tokenizer);
    this.table = w.matrix("table.embeddings");
    this.core = new CORES[o.network](w, "core", o);
    this.ngrams = o.ngrams ?? 0;
    if (this.ngrams) this.hashed = w.matrix("hashed.embeddings");
  }
  start() { return { ...this.core.start(), t: 0, last: new Array(Math.max(0, this.ngrams - 1)).fill(PAD) }; }
  /* One token -> logits for the next, and `state` moves on. */
  advance(token, state) {
    const x = this.core.step(this.input(token, state), state, state.t++);
    return Float32Array.from(this.table.times(x));
  }
  input(token, state) {
    let x = this.table.row(token), key = token;
    for (let n = 2; n <= this.ngrams; n++) {
      key = (key * FACTOR + state.last.at(1 - n) + n) % ROWS;
      x = join(x, this.hashed.row(key));
    }
    if (this.ngrams) state.last = [...state.last.slice(1), token];
    return x;
  }
  generate(prompt, length = 200, options = {}, uniform) {
    const ids = this.tokenizer.encode(prompt);
    return this.tokenizer.decode(generate(this, this.start(), ids, length, options, uniform));
  }
  trial() {
    const ids = this.tokenizer.encode("a b"), state = this.start();
    return [BOS, ...ids].map(id => this.advance(id, state)).at(-1);
  }
}

/* Zeros behind the vectors, up to a length: convolutions see where a text ends. */
const padded = (xs, length) => Array.from({ length }, (_, t) => xs[t] ?? new Float32Array(xs[0].length));

class SequenceEncoder {
  constructor(w, name, network, length) {
    this.length = length;
    this.table = w.matrix(name + ".table.embeddings");
    this.head = new Dense(w, name + ".head");
    if (network === "transformer") {
      this.blocks = [0, 1].map(i => new Block(w, `${name}.layers_.${i}`, 4));
      this.norm = new RMSNorm(w, name + ".norm");
    } else if (network === "convolutional") this.core = new ConvCore(w, name + ".layers_.0", { depth: 3 });
    else this.cell = new Cell(w, name + ".layers_.0.cell", network === "lstm");
  }
  apply(ids) {
    let xs = ids.map(id => this.table.row(id));
    if (this.core) return this.head.apply(this.mean(this.core.whole(padded(xs, this.length)), ids.length));
    if (this.cell)
      return this.head.apply(xs.reduce((state, x) => this.cell.step(x, state), this.cell.first())[0]);
    for (const block of this.blocks) xs = block.whole(xs);
    return this.head.apply(this.mean(xs.map(x => this.norm.apply(x)), xs.length));
  }
  /* Of the first n vectors. */
  mean(xs, n) {
    const sum = new Float32Array(xs[0].length);
    for (const x of xs.slice(0, n)) x.forEach((v, i) => { sum[i] += v / n; });
    return sum;
  }
}

class SequenceDecoder {
  constructor(w, name, options) {
    this.length = options.length;
    this.recurrent = ["recurrent", "lstm"].includes(options.decoder);
    this.table = w.matrix(name + ".table.embeddings");
    this.fromZ = new Dense(w, name + ".from_z");
    this.bypass = w.has(name + ".bypass.kernel") ? new Dense(w, name + ".bypass") : null;
    this.bias = w.vector(name + ".bias");
    this.core = this.recurrent ? new RecurrentCore(w, name + ".core", { depth: 1 },
      options.decoder === "lstm" ? "lstm" : "grus")
      : options.decoder === "convolutional" ? new ConvCore(w, name + ".core", { depth: 3 })
      : new TransformerCore(w, name + ".core", { depth: 2, heads: 4, context: options.length });
  }
  start(z) {
    const from = this.fromZ.apply(z);
    return { ...this.core.start(this.recurrent ? from.map(Math.tanh) : null), z, from, t: 0 };
  }
  advance(token, state) {
    const x = this.table.row(token);
    const scale = Math.sqrt(x.length); // word vectors are small: the output reads them, too
    const inputs = this.recurrent ? join(x, state.z) : x.map((v, i) => v * scale + state.from[i]);
    let h = this.core.step(inputs, state, state.t++);
    if (this.bypass) h = this.bypass.apply(state.z).map((v, i) => v + h[i]);
    return this.table.times(h).map((v, i) => v + this.bias[i]);
  }
  generate(z, options = { temperature: 0 }, uniform) {
    return generate(this, this.start(z), [], this.length, options, uniform);
  }
}

const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };
const argmax = x => x.reduce((best, v, i) => (v > x[best] ? i : best), 0);

/* The vectors of position-bound superposition, and reading them back by message passing. */
class Codebook {
  constructor(w, name, decoder) {
    this.table = w.matrix(name + ".table");
    this.places = w.matrix(name + ".places"); // (T d, k)
    this.ends = w.matrix(name + ".ends");
    this.prior = w.vector(name + ".prior");
    this.gain = w.vector(name + ".gain")[0];
    this.tau = w.has(decoder + ".log_tau") ? Math.exp(w.vector(decoder + ".log_tau")[0]) : 1;
    this.omega = w.vector(decoder + ".omega")?.[0] ?? 1;
    this.d = this.table.cols;
    this.k = this.ends.cols;
    const square = m => Float32Array.from({ length: m.rows }, (_, i) => dot(m.row(i), m.row(i)));
    this.power = square(this.table);
    this.endPower = square(this.ends);
  }
  /* Σ_t v_t R_t for vectors of width d. */
  bind(vectors) {
    const out = new Float32Array(this.k);
    vectors.forEach((v, t) => v.forEach((a, i) => {
      if (a) this.places.row(t * this.d + i).forEach((r, j) => { out[j] += a * r; });
    }));
    return out;
  }
  superpose(ids) {
    const n = ids.length, out = this.bind(ids.map(id => this.table.row(id)));
    return this.ends.row(n).map((v, j) => v + out[j]);
  }
  lengthOf(z) {
    const noise = dot(z, z) / this.k;
    return argmax(this.ends.times(z).map((v, i) => (v - this.endPower[i] / 2) / noise));
  }
  /* One place: log-probabilities up to a constant, of every token. */
  scores(h, noise) {
    return this.table.times(h).map((v, w) => (v - this.power[w] / 2) / noise + this.prior[w]);
  }
  /* The likeliest ids, without the end, after `sweeps` rounds of guessing and subtracting. */
  read(scaled, sweeps) {
    const z = scaled.map(v => v / this.gain), n = this.lengthOf(z), { d, k } = this;
    const whole = z.map((v, j) => v - this.ends.row(n)[j]);
    let rest = whole, guess = Array.from({ length: n }, () => new Float32Array(d)), scores = [];
    for (let sweep = 1; sweep <= sweeps; sweep++) {
      const noise = Math.max(dot(rest, rest) / k, 0.1 / k) * this.tau;
      const read = Float32Array.from(this.places.times(rest, Math.max(1, n * d)));
      scores = guess.map((g, t) => this.scores(g.map((v, i) => v + read[t * d + i]), noise));
      if (sweep === sweeps) break;
      const spread = this.guessAll(scores, guess), bound = this.bind(guess);
      rest = whole.map((v, j) => v - bound[j] + this.omega * rest[j] * spread / (k * noise));
    }
    return scores.map(row => FIRST + argmax(row.subarray(FIRST)));
  }
  /* Fills in Σ_w p(w) e_w at each place; returns the sum of the variances. */
  guessAll(scores, guess) {
    let spread = 0;
    scores.forEach((row, t) => {
      const out = guess[t].fill(0);
      softmax(row).forEach((p, w) => {
        if (p < 1e-12) return;
        spread += p * this.power[w];
        this.table.row(w).forEach((v, i) => { out[i] += p * v; });
      });
      spread -= dot(out, out);
    });
    return spread;
  }
  generate(z, { sweeps = 12 } = {}) {
    const ids = this.read(z, Math.min(3, sweeps)), made = this.superpose(ids);
    const left = z.reduce((sum, v, j) => sum + (v / this.gain - made[j]) ** 2, 0);
    return left > 0.5 && sweeps > 3 ? this.read(z, sweeps) : ids;
  }
  encode(ids) { return this.superpose(ids).map(v => v * this.gain); }
}

class TextAutoencoder {
  constructor(file, w) {
    const o = this.options = file.config, own = w.has("encoder.codebook.table") ? "encoder" : "decoder";
    this.tokenizer = new Tokenizer(file.tokenizer);
    this.latentDim = o.latent_dim;
    const book = w.has(own + ".codebook.table") ? new Codebook(w, own + ".codebook", "decoder") : null;
    this.encoder = o.encoder === "binding" ? null : new SequenceEncoder(w, "encoder", o.encoder, o.length);
    this.decoder = o.decoder === "binding" ? book : new SequenceDecoder(w, "decoder", o);
    this.book = book;
    this.norm = ["beta", "moving_mean", "moving_variance"].map(n => w.vector("bottleneck.norm." + n));
  }
  /* Sentence -> z (latentDim,): the posterior mean if variational. */
  encode(text) {
    const ids = this.tokenizer.encode(text).slice(0, this.options.length - 1);
    return this.code(this.encoder ? this.encoder.apply([...ids, EOS]) : this.book.encode(ids));
  }
  code(h) {
    const { kind, levels, min_rate: rate, posterior } = this.options;
    if (kind === "quantised")
      return h.map(v => 2 * Math.round((levels - 1) * (Math.tanh(v) + 1) / 2) / (levels - 1) - 1);
    const z = h.slice(0, this.latentDim), [beta, mean, variance] = this.norm;
    if (kind !== "variational" || posterior !== "batchnorm") return z;
    return z.map((v, i) =>
      Math.sqrt(2 * rate) * ((v - mean[i]) / Math.sqrt(variance[i] + 1e-7) + beta[i]));
  }
  decode(z, options, uniform) {
    return this.tokenizer.decode(this.decoder.generate(Float32Array.from(z), options, uniform));
  }
  trial() {
    const z = this.encode("a b");
    if (z.length !== this.latentDim) throw new Error(`codes have ${z.length} numbers, not ${this.latentDim}`);
    this.decode(z);
    return z;
  }
}

// ---------------------------------------------------------------------------------- editing

const SPACE = BLANK + "\\x1c-\\x1f", WORD = "[\\p{L}\\p{N}_]";
const PIECE = new RegExp(`[${SPACE}]*(?:${WORD}+(?:['’-]${WORD}+)*|[^\\p{L}\\p{N}_${SPACE}])|[${SPACE}]+$`, "gu");
const BARE = new RegExp(`^[${SPACE}]+`, "u");

/* Keeps, drops, replaces or adds to each word, as its neighbours and the wished style say. */
class StyleEditor {
  constructor(file, w) {
    const { words, edits } = file.tokenizer;
    this.edits = edits;
    this.ids = new Map(words.map((word, i) => [word, i + 2]));
    this.table = w.matrix("table.embeddings");
    this.style = w.matrix("style.embeddings");
    this.core = new ConvCore(w, "core", file.config);
    this.head = new Dense(w, "head");
  }
  /* An empty piece, then words and signs with the spaces before them. */
  pieces(text) { return ["", ...(text.match(PIECE) ?? [])]; }
  /* Scores of every edit, for each piece. */
  logits(pieces, style) {
    const wished = this.style.row(style), length = 8 * Math.ceil(pieces.length / 8);
    const xs = pieces.map(piece =>
      this.table.row(this.ids.get(piece.replace(BARE, "")) ?? 1).map((v, i) => v + wished[i]));
    return this.core.whole(padded(xs, length)).slice(0, xs.length).map(x => this.head.apply(x));
  }
  /* [{piece, becomes}], to be joined; more `strength` changes more, none copies. */
  changes(text, style = 1, strength = 1) {
    const pieces = this.pieces(text), rows = strength > 0 ? this.logits(pieces, style) : [];
    return pieces.map((piece, t) => {
      if (rows[t]) rows[t][0] -= Math.log(strength);
      const edit = rows[t] ? this.edits[argmax(rows[t])] : "=";
      return { piece, becomes: edit[0] === "~" ? edit.slice(1) : piece + edit.slice(1) };
    });
  }
  trial() { return this.logits(this.pieces("a b"), 1)[0]; }
  edit(text, style, strength) { return this.changes(text, style, strength).map(c => c.becomes).join(""); }
}

Object.assign(aelib.models, { LanguageModel, StyleEditor, TextAutoencoder });
Object.assign(aelib, { Tokenizer, choices, pick, PAD, BOS, EOS, FIRST });
if (typeof module === "object") module.exports = aelib;
})(globalThis);
