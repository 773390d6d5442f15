/* The bottleneck: fewer numbers, fewer bits a number, and what is left of the sentence. */
(function (root) {
"use strict";
const { el, slider, field, picture, live, ownModel } = root.lab;

/* The middle of z's cell among 2^bits equal cells over [low, high] of each dimension, and its number. */
function quantise(z, bits, { low, high }) {
  const levels = 2 ** bits, cells = [], out = new Float32Array(z.length);
  z.forEach((v, i) => {
    const step = (high[i] - low[i]) / levels;
    cells[i] = Math.max(0, Math.min(levels - 1, Math.floor((v - low[i]) / step)));
    out[i] = low[i] + (cells[i] + 0.5) * step;
  });
  return { cells, z: out };
}

/* Letters to change, put in or take out (Levenshtein). */
function distance(a, b) {
  let before = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++)
      row[j] = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] !== b[j - 1]));
    before = row;
  }
  return before.at(-1);
}

function start(box) {
  const sizes = root.aelibData.bottleneck.sizes, curve = root.aelibData.bottleneck.points, bitsOf = root.aelibData.bottleneck.bits;
  const models = new Map(sizes.map(k => [k, null]));
  const get = k => models.get(k) ?? models.set(k, root.aelib.load(`bottleneck-${k}`)).get(k);
  let own = null;
  const text = field("Your sentence", root.aelibData.bottleneck.sentence, { maxlength: 120 });
  text.input.addEventListener("input", show);
  const size = slider("Numbers", { min: 0, max: sizes.length - 1, value: sizes.length - 1, step: 1, show: i => String(sizes[i]) }, show);
  const bits = slider("Bits each", { min: 0, max: bitsOf.length - 1, value: bitsOf.length - 1, step: 1, show: i => String(bitsOf[i]) }, show);
  const out = el("p", { class: "lab-text", "data-role": "text", "aria-live": "polite" }), said = live();
  const cells = picture("The code: one square for each number", 0.12, (c, w, h, ink) => code(c, w, h, ink));
  const plot = picture("Rate and distortion: every choice of numbers and bits, yours marked", 0.55, (c, w, h, ink) => draw(c, w, h, ink));
  let now = { cells: [], levels: 2 };

  function show() {
    const k = sizes[size.value], b = bitsOf[bits.value], model = own ?? get(k), source = text.input.value || " ";
    const code = quantise(model.encode(source), b, model.extra.range);
    const back = model.decode(code.z), wrong = distance(source, back), point = curve.find(p => p.size === k && p.bits === b);
    now = { cells: code.cells, levels: 2 ** b };
    out.textContent = back;
    const raw = model.latentDim * b, utf8 = 8 * new TextEncoder().encode(source).length;
    said.replaceChildren(el("p", {}, back === source ? el("strong", {}, "Exactly back. ") : `${wrong} of ${source.length} letters wrong. `,
      `Code: ${model.latentDim} × ${b} = ${raw} bits; the text itself: ${utf8} bits.`));
    if (!own && point) said.append(el("p", { class: "lab-note" }, `Measured on held-out sentences: ${point.rate.toFixed(0)} bits each after entropy coding, ` +
      `${(100 * point.exact).toFixed(0)}% exactly back, ${(100 * point.distortion).toFixed(0)}% of letters wrong.`));
    Object.assign(said.dataset, { size: k, bits: b, raw, wrong });
    cells.paint();
    plot.paint();
  }
  function code(c, w, h, ink) {
    const rows = Math.max(1, Math.round(Math.sqrt(now.cells.length * h / w))), columns = Math.ceil(now.cells.length / rows);
    now.cells.forEach((v, i) => {
      c.fillStyle = ink.primary;
      c.globalAlpha = 0.08 + 0.92 * v / (now.levels - 1);
      c.fillRect(i % columns * w / columns, Math.floor(i / columns) * h / rows, w / columns - 1, h / rows - 1);
    });
    c.globalAlpha = 1;
  }
  function draw(c, w, h, ink) {
    const most = Math.max(...curve.map(p => p.rate)), x = r => 40 + r / most * (w - 60), y = d => h - 30 - d * (h - 45);
    c.font = "11px sans-serif";
    c.fillStyle = c.strokeStyle = ink.muted;
    for (const d of [0, 0.25, 0.5, 0.75]) {
      c.fillText(`${100 * d}%`, 6, y(d) + 4);
      c.globalAlpha = 0.3;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(40, y(d));
      c.lineTo(w - 10, y(d));
      c.stroke();
      c.globalAlpha = 1;
    }
    c.fillText("letters wrong", 6, 12);
    for (let r = 0; r <= most; r += most > 1000 ? 400 : 200) c.fillText(String(r), x(r) - 8, h - 14);
    c.fillText("bits per sentence", w - 100, h - 2);
    for (const k of sizes) {
      const points = curve.filter(p => p.size === k), mine = !own && k === sizes[size.value];
      c.strokeStyle = c.fillStyle = mine ? ink.primary : ink.muted;
      c.lineWidth = mine ? 2.5 : 1;
      c.beginPath();
      points.forEach(p => c.lineTo(x(p.rate), y(p.distortion)));
      c.stroke();
      c.fillText(String(k), x(points[0].rate) - 6, y(points[0].distortion) - 7);
      for (const p of points) if (mine && p.bits === bitsOf[bits.value]) {
        c.fillStyle = ink.warm;
        c.beginPath();
        c.arc(x(p.rate), y(p.distortion), 7, 0, 7);
        c.fill();
      }
    }
  }
  box.append(text.box, size.box, bits.box, out, said, cells.canvas, plot.canvas,
    ownModel(["TextAutoencoder"], model => {
      if (!model.extra?.range) throw new Error("the page needs each number's range: export with extra={'range': {'low': [...], 'high': [...]}}");
      own = model;
      show();
    }));
  show();
}

root.lab.define("bottleneck", { models: ["bottleneck", "bottleneck-48", "bottleneck-64", "bottleneck-96",
  "bottleneck-128", "bottleneck-192", "bottleneck-256"], start });
})(globalThis);
