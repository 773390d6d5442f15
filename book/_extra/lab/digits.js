/* The digit map: two latent planes side by side, and a small autoencoder that trains here. */
(function (root) {
"use strict";
const { el, button, slider, choose, live, picture, dragging, pixels, pace, ownModel } = root.lab;
const PLACES = 18;

/* Images as rows of 64 numbers in [0, 1]: {train: [{x, label}], test: [...]}. */
function read({ images, labels, train }) {
  const text = atob(images), all = Array.from(labels, (label, i) => ({
    label, x: Float32Array.from({ length: 64 }, (_, j) => text.charCodeAt(64 * i + j) / 16),
  }));
  return { train: all.slice(0, train), test: all.slice(train) };
}

/* The training image nearest to x: {label, distance}, the root of the mean squared difference. */
function nearest(x, examples) {
  let best = Infinity, label = "";
  for (const example of examples) {
    let sum = 0;
    for (let i = 0; i < 64 && sum < best; i++) sum += (x[i] - example.x[i]) ** 2;
    if (sum < best) [best, label] = [sum, example.label];
  }
  return { label, distance: Math.sqrt(best / 64) };
}

/* One latent plane with its marker, sliders and decoded picture. */
class Plane {
  constructor(title, model, digits, view) {
    Object.assign(this, { title, digits, view, z: [0, 0] });
    this.map = picture(`${title}: the latent plane`, 1, (...c) => this.draw(...c), { class: "lab-plane" });
    this.out = picture(`${title}: the decoded digit`, 1, (c, w, h, ink) => pixels(c, this.x, 0, 0, w, ink.text),
      { class: "lab-digit" });
    this.said = live();
    this.sliders = [0, 1].map(axis => slider(`z${"₁₂"[axis]}`, { min: -1, max: 1, value: 0 }, v => {
      this.z[axis] = v;
      this.moved();
    }));
    dragging(this.map.canvas, (u, v) => {
      const [a, b, c, d] = this.range;
      this.go([a + u * (b - a), c + v * (d - c)]);
    });
    this.box = el("section", { "aria-label": title }, el("h4", {}, title), this.map.canvas,
      this.sliders.map(s => s.box), el("div", { class: "lab-line" }, this.out.canvas, this.said));
    this.use(model);
  }
  use(model) {
    if (model.latentDim !== 2 || model.inputs !== 64)
      throw new Error(`the map needs 64 inputs and 2 latent numbers, not ${model.inputs} and ${model.latentDim}`);
    this.model = model;
    this.codes = this.digits.train.map(({ x }) => model.encode(x));
    const side = axis => this.codes.map(z => z[axis]), ends = v => [Math.min(...v), Math.max(...v)];
    this.range = model.extra?.range ?? [...ends(side(0)), ...ends(side(1))];
    this.far = model.extra?.far;
    this.sliders.forEach(({ input }, axis) => {
      [input.min, input.max] = this.range.slice(2 * axis);
    });
    const [a, b, c, d] = this.range;
    this.atlas = Array.from({ length: PLACES ** 2 }, (_, i) => model.decode([
      a + (i % PLACES + 0.5) / PLACES * (b - a), d - (Math.floor(i / PLACES) + 0.5) / PLACES * (d - c)]));
    this.go(model.extra?.start ?? [0, 0]);
  }
  go(z) {
    const [a, b, c, d] = this.range;
    this.z = [Math.min(b, Math.max(a, z[0])), Math.min(d, Math.max(c, z[1]))];
    this.sliders.forEach((s, axis) => { s.value = this.z[axis]; });
    this.moved();
  }
  moved() {
    this.x = this.model.decode(this.z);
    const { label, distance } = nearest(this.x, this.digits.train), limit = this.digits.limit;
    this.said.replaceChildren(
      el("p", {}, `z = (${this.z.map(v => v.toFixed(2)).join(", ")})`),
      el("p", {}, `Nearest real digit: a ${label}, at distance ${distance.toFixed(3)}. `,
        el("strong", {}, distance > limit ? "A hole: no real digit is near." : "Looks like a digit.")));
    this.said.dataset.hole = distance > limit;
    this.out.paint();
    this.map.paint();
  }
  draw(c, w, h, ink) {
    const [a, b, lo, hi] = this.range, n = Math.round(Math.sqrt(this.far?.length ?? 0));
    const at = z => [(z[0] - a) / (b - a) * w, (hi - z[1]) / (hi - lo) * h];
    if (this.view.ground === "atlas")
      this.atlas.forEach((x, i) => pixels(c, x, i % PLACES * w / PLACES, Math.floor(i / PLACES) * h / PLACES,
        w / PLACES * 0.9, ink.text));
    if (this.view.ground === "far" && n) {
      c.fillStyle = ink.warm;
      this.far.forEach((v, i) => {
        c.globalAlpha = v > this.digits.limit ? 0.7 : Math.max(0, v / this.digits.limit - 0.65);
        cell(c, i % n, Math.floor(i / n), w / n, h / n);
      });
      c.globalAlpha = 1;
    }
    if (this.view.ground !== "atlas") {
      c.fillStyle = ink.text;
      c.font = "9px sans-serif";
      c.textAlign = "center";
      c.textBaseline = "middle";
      this.codes.forEach((z, i) => c.fillText(this.digits.train[i].label, ...at(z)));
    }
    const [x, y] = at(this.z);
    for (const [colour, width] of [[ink.ground, 6], [ink.primary, 3]]) {
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.beginPath();
      c.arc(x, y, 9, 0, 7);
      c.stroke();
    }
  }
}

/* One cell of a grid, on whole pixels, so that neighbours meet. */
function cell(c, column, row, w, h) {
  const [x, y] = [Math.round(column * w), Math.round(row * h)];
  c.fillRect(x, y, Math.round((column + 1) * w) - x, Math.round((row + 1) * h) - y);
}

/* Two draws from N(0, 1) (Box and Muller). */
function normal() {
  const r = Math.sqrt(-2 * Math.log(1 - Math.random())), angle = 2 * Math.PI * Math.random();
  return [r * Math.cos(angle), r * Math.sin(angle)];
}

function start(box) {
  const digits = read(root.aelibData.digits), load = name => root.aelib.load(name);
  digits.limit = root.aelibData.digits.limit;
  const view = { ground: "far" };
  const planes = [new Plane("Autoencoder", load("digits-ae"), digits, view),
    new Plane("Variational autoencoder", load("digits-vae"), digits, view)];
  const ground = choose("Show", {
    far: "codes of the training digits; holes shaded", atlas: "what each place decodes to",
    none: "codes alone",
  }, value => {
    view.ground = value;
    planes.forEach(p => p.map.paint());
  });
  const draw = button("Draw z from N(0, I) for both", () => {
    const z = normal();
    planes.forEach(p => p.go(z));
  });
  box.append(el("div", { class: "lab-line" }, ground.box, draw),
    el("p", { class: "lab-note" }, "Drag in a plane, or use the sliders. Each small numeral is the code of a training digit."),
    el("div", { class: "lab-two" }, planes.map(p => p.box)), trainer(digits),
    ownModel(["Autoencoder", "VariationalAutoencoder"], model => {
      planes[model.variational ? 1 : 0].use(model);
    }));
}

// ---------------------------------------------------------------------------- train it here

function trainer(digits) {
  const { Tiny, judge } = root.tiny, xs = digits.train.map(d => d.x), held = digits.test.map(d => d.x);
  const shown = [...new Set(digits.test.map(d => d.label))].sort()
    .map(label => digits.test.find(d => d.label === label));
  const mean = Float64Array.from({ length: 64 }, (_, i) => xs.reduce((s, x) => s + x[i], 0) / xs.length);
  const trivial = judge({ reconstruct: () => mean }, held);
  const average = held.reduce((s, x) => s + x.reduce((a, b) => a + b), 0) / held.length / 64;
  let net, curve, running = false, loss = "mse", told = 0;

  const plot = picture("Loss and held-out squared error over the epochs", 0.6, (c, w, h, ink) => lines(c, w, h, ink));
  const plane = picture("Codes of the held-out digits", 0.6, (c, w, h, ink) => scatter(c, w, h, ink));
  const rows = picture("Ten held-out digits above, their reconstructions below", 0.2, (c, w, h, ink) => {
    shown.forEach((d, i) => {
      pixels(c, d.x, i * w / 10, 0, w / 10 * 0.9, ink.text);
      pixels(c, net.reconstruct(d.x), i * w / 10, h / 2, w / 10 * 0.9, ink.text);
    });
  });
  const said = live(), go = button("Train", () => set(!running));
  const which = choose("Loss", {
    mse: "squared error, (x − x̂)²", entropy: "cross-entropy", relu: "the article's ReLU(x − x̂)",
  }, value => { loss = value; reset(); });

  function reset() {
    curve = [];
    net = new Tiny(loss, 1);
    set(false);
  }
  function set(on) {
    running = on;
    go.textContent = on ? "Pause" : "Train";
    if (on) tick();
    else if (net) tell();
  }
  /* As many epochs as fit in 25 ms, then the page gets its turn. */
  function tick() {
    if (!running) return;
    for (const end = performance.now() + 25; performance.now() < end;) {
      const train = net.epoch(xs);
      curve.push({ train, ...judge(net, held) });
    }
    if (curve.length >= 200) return set(false);
    if (performance.now() > told + pace()) tell();
    if (running) setTimeout(tick, 10);
  }
  function tell() {
    told = performance.now();
    const last = curve.at(-1) ?? { train: null, ...judge(net, held) };
    said.replaceChildren(el("p", {}, `Epoch ${curve.length}` +
      (last.train === null ? ", not trained yet" : `: loss ${last.train.toFixed(4)}`) +
      `. Held out: squared error ${last.mse.toFixed(4)} (always answering the mean digit: ` +
      `${trivial.mse.toFixed(4)}); mean of x̂ ${last.mean.toFixed(3)}, of x ${average.toFixed(3)}.`));
    Object.assign(said.dataset, { epoch: curve.length, mse: last.mse, mean: last.mean });
    said.setAttribute("aria-live", running ? "off" : "polite");
    [plot, plane, rows].forEach(p => p.paint());
  }
  function lines(c, w, h, ink) {
    const most = Math.max(0.12, ...curve.slice(0, 3).flatMap(p => [p.train, p.mse]), ...curve.map(p => p.mse));
    const x = i => 34 + i / Math.max(20, curve.length) * (w - 44), y = v => h - 20 - v / most * (h - 34);
    c.font = "11px sans-serif";
    c.fillStyle = c.strokeStyle = ink.muted;
    for (const v of [0, most / 2, most]) c.fillText(v.toFixed(2), 4, y(v) + 4);
    c.setLineDash([4, 4]);
    c.beginPath();
    c.moveTo(34, y(trivial.mse));
    c.lineTo(w - 10, y(trivial.mse));
    c.stroke();
    c.setLineDash([]);
    c.fillText("mean digit", w - 70, y(trivial.mse) - 5);
    for (const [key, colour, word, place] of [["train", ink.warm, "loss", 40], ["mse", ink.primary, "held-out squared error", 76]]) {
      c.strokeStyle = c.fillStyle = colour;
      c.lineWidth = 2;
      c.beginPath();
      curve.forEach((p, i) => c.lineTo(x(i + 1), y(p[key])));
      c.stroke();
      c.fillText(word, place, h - 5);
    }
  }
  function scatter(c, w, h, ink) {
    const codes = held.map(v => net.encode(v)), ends = axis => {
      const v = codes.map(z => z[axis]), low = Math.min(...v), high = Math.max(...v);
      return [low, high - low || 1];
    };
    const [[a, u], [b, v]] = [ends(0), ends(1)];
    c.font = "10px sans-serif";
    c.fillStyle = ink.text;
    codes.forEach((z, i) => c.fillText(digits.test[i].label,
      8 + (z[0] - a) / u * (w - 20), h - 6 - (z[1] - b) / v * (h - 18)));
  }
  reset();
  return el("section", { class: "lab-train", "aria-label": "Train it here" },
    el("h4", {}, "Train it here"),
    el("div", { class: "lab-line" }, which.box, go, button("Start again", reset)), said,
    el("div", { class: "lab-two" }, el("div", {}, plot.canvas), el("div", {}, plane.canvas)), rows.canvas);
}

root.lab.define("digits", { models: ["digits-ae", "digits-vae", "digits"], start });
})(globalThis);
