/* Text to bytes and back, exactly: a range coder with whole numbers, and predictors for it.

   A predictor gives p(w), w = 0..V-1, for the next token, and is told which one came:
     {size, probabilities() -> array of V numbers, update(token)}
   Encoder and decoder run the same predictor over the same tokens, so they see the same numbers. */
(function (root) {
"use strict";
const TOTAL = 2 ** 20, TOP = 2 ** 32, LOW = 2 ** 24; // TOP * TOTAL < 2⁵³: exact in a double

/* Cumulative whole frequencies of p: c_0 = 0, c_V = TOTAL, every step at least 1. */
function frequencies(p, out = new Float64Array(p.length + 1)) {
  const room = TOTAL - p.length;
  let best = 0, sum = 0;
  for (let w = 0; w < p.length; w++) {
    if (p[w] > p[best]) best = w;
    out[w + 1] = 1 + Math.floor(p[w] * room);
    sum += out[w + 1];
  }
  out[best + 1] += TOTAL - sum;
  for (let w = 0; w < p.length; w++) out[w + 1] += out[w];
  return out;
}

/* The interval [low, low + range) shrinks to the part [c, d) / TOTAL of itself at each token. */
class Encoder {
  constructor() { Object.assign(this, { low: 0, range: TOP, cache: -1, pending: 0, out: [] }); }
  encode(c, d) {
    const from = Math.floor(this.range * c / TOTAL), to = Math.floor(this.range * d / TOTAL);
    this.low += from;
    this.range = to - from;
    while (this.range < LOW) { this.shift(); this.range *= 256; }
  }
  /* The top byte leaves; bytes 255 wait, as a carry may still turn them into 0. */
  shift() {
    const carry = this.low >= TOP ? 1 : 0, byte = Math.floor(this.low / LOW) & 255;
    if (byte !== 255 || carry) {
      if (this.cache >= 0) this.out.push((this.cache + carry) & 255);
      for (; this.pending; this.pending--) this.out.push((255 + carry) & 255);
      this.cache = byte;
    } else this.pending++;
    this.low = this.low % LOW * 256;
  }
  /* The shortest ending: a number in the interval with zeros at its end, and zeros are not written. */
  finish() {
    const round = Math.ceil(this.low / LOW) * LOW;
    if (round < this.low + this.range) this.low = round;
    for (let i = 0; i < 5; i++) this.shift();
    let end = this.out.length;
    while (end && !this.out[end - 1]) end--;
    return Uint8Array.from(this.out.slice(0, end));
  }
}

class Decoder {
  constructor(bytes, at = 0) {
    Object.assign(this, { bytes, at, range: TOP, code: 0 }); // code: what was read, minus low
    for (let i = 0; i < 4; i++) this.code = this.code * 256 + this.next();
  }
  next() { return this.bytes[this.at++] ?? 0; }
  decode(cumulative) {
    let low = 0, high = cumulative.length - 1; // the last w with floor(range c_w / TOTAL) <= code
    while (high - low > 1) {
      const mid = (low + high) >> 1;
      if (Math.floor(this.range * cumulative[mid] / TOTAL) <= this.code) low = mid;
      else high = mid;
    }
    const from = Math.floor(this.range * cumulative[low] / TOTAL);
    this.range = Math.floor(this.range * cumulative[low + 1] / TOTAL) - from;
    this.code -= from;
    while (this.range < LOW) {
      this.range *= 256;
      this.code = this.code * 256 + this.next();
    }
    return low;
  }
}

// ------------------------------------------------------------------------------- predictors

/* A language model of aelib; special tokens have probability 0, so frequency 1. */
class Network {
  constructor(model) {
    this.model = model;
    this.state = model.start();
    this.size = model.table.rows;
    this.logits = model.advance(1, this.state);
  }
  probabilities() {
    return root.aelib.softmax(Float64Array.from(this.logits).fill(-1e9, 0, 3));
  }
  update(token) { this.logits = this.model.advance(token, this.state); }
}

/* Counts of what followed each of the last 0..order tokens; knows nothing at the start.
     p_n(w) = (count_n(w) + kinds_n p_{n-1}(w)) / (total_n + kinds_n)    (Witten and Bell) */
class Counts {
  constructor(size, order = 5) {
    Object.assign(this, { size, order, seen: new Map(), last: [] });
  }
  contexts() {
    return Array.from({ length: Math.min(this.order, this.last.length) + 1 },
      (_, n) => this.last.slice(this.last.length - n).join(" "));
  }
  probabilities() {
    const p = new Float64Array(this.size).fill(1 / this.size);
    for (const context of this.contexts()) {
      const found = this.seen.get(context);
      if (!found) break;
      const all = found.total + found.counts.size;
      for (let w = 0; w < p.length; w++) p[w] *= found.counts.size / all;
      for (const [w, count] of found.counts) p[w] += count / all;
    }
    return p;
  }
  update(token) {
    for (const context of this.contexts()) {
      if (!this.seen.has(context)) this.seen.set(context, { total: 0, counts: new Map() });
      const { counts } = this.seen.get(context);
      counts.set(token, (counts.get(token) ?? 0) + 1);
      this.seen.get(context).total++;
    }
    this.last = [...this.last, token].slice(-this.order);
  }
}

/* p = Σ_k a_k p_k; a_k grows with what p_k gave to the token that came (Bayes), and forgets slowly. */
class Mixture {
  constructor(parts) {
    Object.assign(this, { parts, size: parts[0].size, shares: parts.map(() => 1 / parts.length) });
  }
  probabilities() {
    this.each = this.parts.map(part => part.probabilities());
    const p = new Float64Array(this.size);
    this.each.forEach((q, k) => { for (let w = 0; w < p.length; w++) p[w] += this.shares[k] * q[w]; });
    return p;
  }
  update(token) {
    const hits = this.shares.map((a, k) => Math.max(a * this.each[k][token], 1e-12));
    const sum = hits.reduce((a, b) => a + b), n = hits.length;
    this.shares = hits.map(h => 0.98 * h / sum + 0.02 / n);
    for (const part of this.parts) part.update(token);
  }
}

// --------------------------------------------------------------------------------- whole files

/* Generators: each yields now and then, so that the page can breathe, and returns its result.
   A file is the number of tokens (seven bits a byte, the least first) and the coded tokens. */
function* compress(predictor, tokens) {
  const encoder = new Encoder(), bits = [], head = [];
  let cumulative;
  for (let n = tokens.length; ; n = Math.floor(n / 128)) {
    head.push(n % 128 + (n >= 128 ? 128 : 0));
    if (n < 128) break;
  }
  for (const token of tokens) {
    cumulative = frequencies(predictor.probabilities(), cumulative);
    encoder.encode(cumulative[token], cumulative[token + 1]);
    bits.push(Math.log2(TOTAL / (cumulative[token + 1] - cumulative[token])));
    predictor.update(token);
    yield bits;
  }
  return { file: Uint8Array.from([...head, ...encoder.finish()]), bits };
}

function* decompress(predictor, file) {
  const tokens = [];
  let n = 0, at = 0, cumulative;
  for (let scale = 1; ; scale *= 128) {
    n += scale * (file[at] & 127);
    if (file[at++] < 128) break;
  }
  const decoder = new Decoder(file, at);
  while (tokens.length < n) {
    cumulative = frequencies(predictor.probabilities(), cumulative);
    tokens.push(decoder.decode(cumulative));
    predictor.update(tokens.at(-1));
    yield tokens;
  }
  return tokens;
}

/* Runs a generator to its end at once. */
function finish(generator) {
  for (;;) {
    const { done, value } = generator.next();
    if (done) return value;
  }
}

const coder = { frequencies, Encoder, Decoder, Network, Counts, Mixture, compress, decompress, finish, TOTAL };
if (typeof module === "object") module.exports = coder;
else root.coder = coder;
})(globalThis);
