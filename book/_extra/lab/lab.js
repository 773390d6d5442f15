/* What the lab's instruments share: starting when they come into view, controls, canvases.

   The page holds <div class="lab" data-lab="NAME"> with a precomputed example in it. The script
   NAME.js calls lab.define(NAME, {models, start}); when the box comes into view, or with
   data-start="press" when the visitor asks for it, the scripts of `models` are added to the page
   (nothing is fetched, so it works from disk, too), and start(box) puts the controls in the
   example's place. `need(name)` loads a model later. */
(function (root) {
"use strict";
if (root.lab) return;
const here = document.currentScript.src.replace(/[^/]*$/, "");
const instruments = {}, loading = {}, painters = new Set();

// --------------------------------------------------------------------------------- starting

function need(name) {
  return loading[name] ??= new Promise((done, fail) => {
    const tag = document.createElement("script");
    tag.src = `${here}models/${name}.js`;
    tag.onload = done;
    tag.onerror = () => {
      delete loading[name];
      tag.remove();
      fail(new Error(`models/${name}.js could not be loaded; try again`));
    };
    document.head.append(tag);
  });
}

async function begin(box) {
  const { models, start } = instruments[box.dataset.lab];
  try {
    await Promise.all(models.map(need));
    const live = el("div", { class: "lab-live" });
    start(live);
    box.replaceChildren(live);
    painters.forEach(paint => paint());
    box.dataset.state = "live";
    if (box.dataset.start) live.querySelector("button, input, select, textarea")?.focus({ preventScroll: true });
  } catch (error) {
    box.dataset.state = "failed";
    box.querySelector(".lab-alert")?.remove();
    box.append(el("p", { role: "alert", class: "lab-alert" }, `It did not start: ${error.message}.`));
    throw error;
  }
}

function define(name, instrument) {
  if (instruments[name]) return;
  instruments[name] = instrument;
  const watch = new IntersectionObserver((entries, self) => entries.forEach(entry => {
    if (!entry.isIntersecting) return;
    self.unobserve(entry.target);
    begin(entry.target);
  }), { rootMargin: "300px" });
  document.querySelectorAll(`.lab[data-lab="${name}"]`).forEach(box =>
    (box.dataset.start === "press" ? offer(box) : watch.observe(box)));
}

/* A button that starts the instrument, below the example. */
function offer(box) {
  const start = button(`Start it here (loads ${box.dataset.size})`, async () => {
    start.disabled = true;
    start.textContent = "Loading …";
    try {
      await begin(box);
    } catch {
      start.disabled = false;
      start.textContent = "Try again";
    }
  });
  box.querySelector(".lab-static").append(el("p", { class: "lab-start" }, start));
}

// --------------------------------------------------------------------------------- elements

/* el("p", {class: "x", onclick: f}, "text", child, ...) */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter(child => child != null));
  return made;
}

let count = 0;
const unique = word => `lab-${word}-${++count}`;

const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

/* A labelled slider; `show` writes its value. {box, input, value} */
function slider(text, { min, max, value, show = v => v.toFixed(2), step = "any" }, oninput) {
  const id = unique("range"), out = el("output", { for: id });
  const input = el("input", { type: "range", id, min, max, step, value });
  const write = () => {
    out.textContent = show(+input.value);
    input.setAttribute("aria-valuetext", out.textContent);
  };
  input.addEventListener("input", () => { write(); oninput(+input.value); });
  write();
  return {
    box: el("div", { class: "lab-slider" }, el("label", { for: id }, text), input, out), input,
    get value() { return +input.value; },
    set value(v) { input.value = v; write(); },
  };
}

/* A labelled list of choices, {key: text}. */
function choose(text, choices, onchange) {
  const id = unique("choice");
  const input = el("select", { id, onchange: () => onchange(input.value) },
    Object.entries(choices).map(([value, word]) => el("option", { value }, word)));
  return { box: el("div", { class: "lab-choice" }, el("label", { for: id }, text), input), input };
}

function field(text, value, more = {}) {
  const id = unique("text"), { rows, ...others } = more;
  const input = rows ? el("textarea", { id, rows, spellcheck: "false", ...others }, value)
    : el("input", { id, type: "text", value, spellcheck: "false", autocomplete: "off", ...others });
  return { box: el("div", { class: "lab-field" }, el("label", { for: id }, text), input), input };
}

const live = (more = {}) => el("div", { "aria-live": "polite", class: "lab-out", ...more });

// --------------------------------------------------------------------------------- canvases

/* The theme's colours, as they are now. */
function colours() {
  const style = getComputedStyle(document.querySelector(".lab") ?? document.body);
  const get = name => style.getPropertyValue(name).trim();
  return {
    text: get("--pst-color-text-base"), muted: get("--pst-color-text-muted"),
    border: get("--pst-color-border"), ground: get("--pst-color-background"),
    primary: get("--pst-color-primary"), warm: get("--lab-warm"), cool: get("--lab-cool"),
  };
}

/* A canvas as wide as its place, `ratio` as high; draw(context, width, height, colours) in CSS
   pixels runs again when the size or the theme changes. {canvas, paint} */
function picture(label, ratio, draw, more = {}) {
  const canvas = el("canvas", { role: "img", "aria-label": label, ...more });
  const paint = () => {
    const width = canvas.clientWidth, height = Math.round(width * ratio), dots = devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * dots)) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
      canvas.style.aspectRatio = `${1 / ratio}`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height, colours());
  };
  painters.add(paint);
  new ResizeObserver(paint).observe(canvas);
  return { canvas, paint };
}

new MutationObserver(() => painters.forEach(paint => paint()))
  .observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

/* Pointer positions in [0, 1]², wherever the canvas is scaled to; y points up. */
function dragging(canvas, move) {
  const at = event => {
    const box = canvas.getBoundingClientRect();
    const part = v => Math.min(1, Math.max(0, v));
    move(part((event.clientX - box.left) / box.width), part((box.bottom - event.clientY) / box.height));
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); at(event); });
  canvas.addEventListener("pointermove", event => { if (canvas.hasPointerCapture(event.pointerId)) at(event); });
}

/* A grey picture of numbers in [0, 1], n × n, in a square of the canvas. */
function pixels(context, values, x, y, size, colour) {
  const n = Math.round(Math.sqrt(values.length)), cell = size / n;
  context.fillStyle = colour;
  const edge = i => Math.round(i * cell); // whole pixels, so that neighbours meet
  for (let i = 0; i < values.length; i++) {
    const [a, b] = [i % n, Math.floor(i / n)];
    context.globalAlpha = Math.min(1, Math.max(0, values[i]));
    context.fillRect(Math.round(x) + edge(a), Math.round(y) + edge(b),
      edge(a + 1) - edge(a), edge(b + 1) - edge(b));
  }
  context.globalAlpha = 1;
}

// ------------------------------------------------------------------------- one's own model

/* A file of the visitor's, read here and sent nowhere. `use` gets the model and may refuse by
   throwing; kinds: names of the classes that the instrument plays. */
function ownModel(kinds, use) {
  const id = unique("file"), said = el("p", { "aria-live": "assertive", class: "lab-said" });
  const input = el("input", { type: "file", id, accept: ".js,.json" });
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    try {
      const data = root.aelib.parse(await file.text());
      if (!kinds.includes(data.class))
        throw new Error(`it holds a ${data.class}; this instrument plays ${kinds.join(" or ")}`);
      use(root.aelib.tried(data));
      said.textContent = `Now playing ${file.name}: ${Number(data.parameters).toLocaleString("en")} parameters.`;
      said.classList.remove("lab-alert");
    } catch (error) {
      said.textContent = `${file.name} cannot be used: ${error.message}.`;
      said.classList.add("lab-alert");
    }
    input.value = ""; // so that the same file can be chosen again
  });
  return el("details", { class: "lab-own" }, el("summary", {}, "Use your own model"),
    el("p", {}, "Write one with ", el("code", {}, "aelib export MODEL --web FILE.js"),
      `, then choose the file. It must hold ${kinds.join(" or ")}; it is read in this page and sent nowhere.`),
    el("label", { for: id }, "Model file "), input, said);
}

/* Milliseconds between two pictures of something that moves: few pictures for whoever wants calm. */
const pace = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 700 : 30);

root.lab = { define, need, pace, el, button, slider, choose, field, live, colours, picture, dragging, pixels, ownModel };
})(globalThis);
