/* A small autoencoder that trains in the page: 64-16-2-16-64, tanh between, sigmoid at the end.

     a_0 = x, a_l = f_l(W_l a_{l-1} + b_l), x̂ = a_4; W_l is (out, in), row by row
     δ_4 = ∂L/∂(W_4 a_3 + b_4), δ_{l-1} = W_lᵀ δ_l ⊙ f'_{l-1}, ∂L/∂W_l = δ_l a_{l-1}ᵀ

   Losses are means over pixels; d(x, x̂) is the derivative by x̂ of one pixel's. */
(function (root) {
"use strict";
const { random } = typeof require === "function" ? require("./runtime.js") : root.aelib;
const LOSSES = {
  mse: { value: (x, y) => (x - y) ** 2, slope: (x, y) => 2 * (y - x) },
  entropy: {
    value: (x, y) => -x * Math.log(y + 1e-7) - (1 - x) * Math.log(1 - y + 1e-7),
    slope: (x, y) => (1 - x) / (1 - y + 1e-7) - x / (y + 1e-7),
  },
  relu: { value: (x, y) => Math.max(0, x - y), slope: (x, y) => (x > y ? -1 : 0) },
};
const F = {
  tanh: { f: Math.tanh, slope: a => 1 - a * a },
  linear: { f: v => v, slope: () => 1 },
  sigmoid: { f: v => 1 / (1 + Math.exp(-v)), slope: a => a * (1 - a) },
};

class Tiny {
  constructor(loss = "mse", seed = 1, sizes = [64, 16, 2, 16, 64], fs = ["tanh", "linear", "tanh", "sigmoid"]) {
    const draw = random(seed);
    this.loss = LOSSES[loss];
    this.draw = draw;
    this.steps = 0;
    this.layers = fs.map((f, l) => {
      const [m, n] = [sizes[l], sizes[l + 1]], limit = Math.sqrt(6 / (m + n));
      const zeros = k => new Float64Array(k);
      return { m, n, f: F[f], w: zeros(m * n).map(() => limit * (2 * draw() - 1)), b: zeros(n),
        gw: zeros(m * n), gb: zeros(n), mw: zeros(m * n), vw: zeros(m * n), mb: zeros(n), vb: zeros(n) };
    });
  }
  run(a, layers) {
    return layers.map(({ m, n, f, w, b }) => {
      const out = new Float64Array(n);
      for (let j = 0; j < n; j++) {
        let sum = b[j];
        for (let i = 0; i < m; i++) sum += w[j * m + i] * a[i];
        out[j] = f.f(sum);
      }
      return (a = out);
    });
  }
  encode(x) { return this.run(x, this.layers.slice(0, 2)).at(-1); }
  decode(z) { return this.run(z, this.layers.slice(2)).at(-1); }
  reconstruct(x) { return this.run(x, this.layers).at(-1); }

  /* Adds one example's gradient, times `weight`; returns its loss. */
  back(x, weight) {
    const as = [x, ...this.run(x, this.layers)], y = as.at(-1), n = y.length;
    let total = 0, delta = y.map((v, i) => {
      total += this.loss.value(x[i], v) / n;
      return weight * this.loss.slope(x[i], v) / n * this.layers.at(-1).f.slope(v);
    });
    for (let l = this.layers.length - 1; l >= 0; l--) {
      const { m, n, w, gw, gb } = this.layers[l], a = as[l], before = new Float64Array(m);
      for (let j = 0; j < n; j++) {
        gb[j] += delta[j];
        for (let i = 0; i < m; i++) {
          gw[j * m + i] += delta[j] * a[i];
          before[i] += delta[j] * w[j * m + i];
        }
      }
      if (l) delta = before.map((v, i) => v * this.layers[l - 1].f.slope(a[i]));
    }
    return total;
  }
  /* Mean loss of a batch, its gradient in gw and gb. */
  gradient(batch) {
    for (const layer of this.layers) { layer.gw.fill(0); layer.gb.fill(0); }
    return batch.reduce((sum, x) => sum + this.back(x, 1 / batch.length), 0) / batch.length;
  }
  /* One step of Adam: m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - rate m̂ / (√v̂ + ε) */
  step(batch, rate = 0.005) {
    const loss = this.gradient(batch), t = ++this.steps;
    const scale = rate * Math.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t);
    const move = (w, g, m, v) => {
      for (let i = 0; i < w.length; i++) {
        m[i] += 0.1 * (g[i] - m[i]);
        v[i] += 0.001 * (g[i] * g[i] - v[i]);
        w[i] -= scale * m[i] / (Math.sqrt(v[i]) + 1e-8);
      }
    };
    for (const l of this.layers) { move(l.w, l.gw, l.mw, l.vw); move(l.b, l.gb, l.mb, l.vb); }
    return loss;
  }
  /* Once through the examples in random order; returns the mean loss. */
  epoch(xs, size = 32) {
    const order = xs.map(x => [this.draw(), x]).sort((a, b) => a[0] - b[0]).map(pair => pair[1]);
    let sum = 0;
    for (let i = 0; i < order.length; i += size) {
      const batch = order.slice(i, i + size);
      sum += this.step(batch) * batch.length;
    }
    return sum / xs.length;
  }
}

/* Held-out figures: {mse, mean} of the reconstructions. */
function judge(net, xs) {
  let error = 0, mean = 0;
  for (const x of xs) net.reconstruct(x).forEach((v, i) => { error += (v - x[i]) ** 2; mean += v; });
  const n = xs.length * xs[0].length;
  return { mse: error / n, mean: mean / n };
}

const tiny = { Tiny, judge, LOSSES };
if (typeof module === "object") module.exports = tiny;
else root.tiny = tiny;
})(globalThis);
