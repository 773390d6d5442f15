/* The latent piano: a sentence as numbers to turn, and the way between two sentences. */
(function (root) {
"use strict";
const { el, button, slider, field, choose, need, picture, ownModel } = root.lab;
const add = (a, b, s) => a.map((v, i) => v + s * b[i]);

/* Bars of z, up and down from the middle; the chosen dimension is warm. */
function bars(z, chosen, most) {
  return (c, w, h, ink) => {
    const n = z().length, wide = w / n;
    c.strokeStyle = ink.border;
    c.beginPath();
    c.moveTo(0, h / 2);
    c.lineTo(w, h / 2);
    c.stroke();
    z().forEach((v, i) => {
      c.fillStyle = i === chosen() ? ink.warm : ink.primary;
      const high = Math.max(-1, Math.min(1, v / most())) * (h / 2 - 4);
      c.fillRect(i * wide + wide * 0.1, h / 2 - Math.max(0, high), wide * 0.8, Math.max(1.5, Math.abs(high)));
    });
  };
}

/* Where the decoded sentence changes on the straight way from one latent to another; `found` is
   told each change, `stale` says when nobody wants more. The page gets its turn after each step. */
async function walk(model, [from, to], found, stale, steps = 40) {
  let before = null;
  for (let i = 0; i <= steps && !stale(); i++) {
    const s = i / steps, text = model.decode(from.map((v, j) => (1 - s) * v + s * to[j]));
    if (text !== before) found(s, text);
    before = text;
    await new Promise(next => setTimeout(next, 0));
  }
}

function start(box) {
  const names = { "sentences-vae": "variational (smooth)", sentences: "position-bound (copies exactly)" };
  const loaded = {}, get = name => loaded[name] ??= root.aelib.load(name);
  let model = get("sentences-vae"), base, z, chosen = 0, knobs = [];

  const which = choose("Model", names, async name => {
    const note = which.box.querySelector("output");
    note.textContent = root.aelibModels[name] ? "" : "loading …";
    try {
      await need(name);
      note.textContent = "";
      if (which.input.value === name) use(get(name));
    } catch (error) {
      note.textContent = `${error.message}.`;
    }
  });
  which.box.append(el("output", { class: "lab-note", for: which.input.id }));
  const text = field("Your sentence", model.extra.pair[0], { maxlength: 120 });
  text.input.addEventListener("input", encode);
  const out = el("p", { class: "lab-text", "data-role": "text", "aria-live": "polite" });
  const said = el("p", { class: "lab-note" });
  const most = () => model.extra?.span ?? 3;
  const keys = picture("The latent as bars; press one to choose it", 0.3, bars(() => z, () => chosen, most), { class: "lab-plane" });
  const move = (event, down) => {
    const rect = keys.canvas.getBoundingClientRect(), n = z.length;
    if (down) choose_(Math.min(n - 1, Math.max(0, Math.floor((event.clientX - rect.left) / rect.width * n))));
    set((0.5 - (event.clientY - rect.top) / rect.height) * 2 * most());
  };
  keys.canvas.addEventListener("pointerdown", e => { keys.canvas.setPointerCapture(e.pointerId); move(e, true); });
  keys.canvas.addEventListener("pointermove", e => { if (keys.canvas.hasPointerCapture(e.pointerId)) move(e, false); });
  const number = slider("Dimension", { min: 1, max: 2, value: 1, step: 1, show: v => String(v) }, v => choose_(v - 1));
  const value = slider("Its value", { min: -3, max: 3, value: 0 }, v => set(v));
  const board = el("div", { role: "group", "aria-label": "Attributes" });
  const other = field("Another sentence", model.extra.pair[1], { maxlength: 120 });
  other.input.addEventListener("input", between);
  const way = slider("On the way", { min: 0, max: 1, value: 0 }, s => {
    out2.textContent = model.decode(ends[0].map((v, i) => (1 - s) * v + s * ends[1][i]));
  });
  const out2 = el("p", { class: "lab-text", "data-role": "between", "aria-live": "polite" });
  const list = el("ol", { class: "lab-walk", "data-role": "walk" });
  let ends = [];

  function use(next) {
    model = next;
    chosen = 0;
    number.input.max = model.latentDim;
    number.value = 1;
    value.input.min = -most();
    value.input.max = most();
    knobs = (model.extra?.directions ?? []).map(d => ({ ...d,
      knob: slider(d.name, { min: -(d.reach ?? 1.5), max: d.reach ?? 1.5, value: 0 }, () => turned()) }));
    board.replaceChildren(...(knobs.length ? [el("h4", {}, "Attributes"), ...knobs.map(k => k.knob.box)] : []));
    encode();
  }
  function encode() {
    base = model.encode(text.input.value || " ");
    z = Float32Array.from(base);
    knobs.forEach(k => { k.knob.value = 0; });
    show();
    between();
  }
  function turned() {
    z = Float32Array.from(base);
    for (const { vector, knob } of knobs) z = add(z, vector, knob.value);
    show();
  }
  function choose_(i) { chosen = i; number.value = i + 1; value.value = z[i]; keys.paint(); }
  function set(v) { z[chosen] = Math.max(-most(), Math.min(most(), v)); base = Float32Array.from(z); knobs.forEach(k => { k.knob.value = 0; }); show(); }
  function show() {
    value.value = z[chosen];
    out.textContent = model.decode(z);
    const same = out.textContent === text.input.value;
    said.textContent = same ? "The model gives back exactly what you typed." : "This is what the model makes of these numbers.";
    keys.paint();
  }
  function between() {
    ends = [model.encode(text.input.value || " "), model.encode(other.input.value || " ")];
    way.value = 0;
    out2.textContent = model.decode(ends[0]);
    list.replaceChildren();
  }
  const all = button("Show every sentence on the way", () => {
    const mine = ends;
    list.replaceChildren();
    walk(model, mine, (s, t) => list.append(el("li", {},
      el("span", { class: "lab-note" }, `${s.toFixed(2)} `), t)), () => mine !== ends);
  });

  box.append(el("div", { class: "lab-line" }, which.box), text.box, out, said, keys.canvas,
    el("div", { class: "lab-two" }, el("div", {}, el("h4", {}, "One dimension"), number.box, value.box,
      button("Back to my sentence", encode)), board),
    el("section", { class: "lab-train", "aria-label": "Between two sentences" }, el("h4", {}, "Between two sentences"),
      other.box, way.box, out2, all, list),
    ownModel(["TextAutoencoder"], own => use(own)));
  use(model);
}

root.lab.define("piano", { models: ["sentences-vae"], start });
})(globalThis);
