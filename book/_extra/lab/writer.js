/* The writer: a language model that continues a text, token by token, and shows what could come next. */
(function (root) {
"use strict";
const { el, button, slider, field, live, pace, ownModel } = root.lab;
const SHOWN = 12;

/* A token as a reader sees it. */
function visible(model, id) {
  if (id === root.aelib.EOS) return "end";
  const text = model.tokenizer.decode([id], false);
  return text === "\n" ? "⏎" : text.replaceAll(" ", "␣").replaceAll("\n", "⏎");
}

class Writer {
  constructor(model, prompt) {
    this.options = { temperature: 0.7, topP: 0.95 };
    this.prompt = prompt;
    this.use(model);
  }
  use(model) { this.model = model; this.reset(); }
  /* Reads the prompt: p(w | prompt) is ready afterwards. */
  reset(prompt = this.prompt) {
    this.prompt = prompt;
    this.state = this.model.start();
    this.given = this.model.tokenizer.encode(prompt);
    this.ids = [];
    this.ended = false;
    this.logits = this.model.advance(root.aelib.BOS, this.state);
    for (const id of this.given) this.logits = this.model.advance(id, this.state);
  }
  choices() { return root.aelib.choices(this.logits, this.options); }
  /* One more token: drawn, or the given one. */
  write(id = root.aelib.pick(this.choices(), Math.random())) {
    this.ended = id === root.aelib.EOS;
    if (this.ended) return;
    this.ids.push(id);
    this.logits = this.model.advance(id, this.state);
  }
  get text() { return this.model.tokenizer.decode([...this.given, ...this.ids]).slice(this.prompt.length); }
}

function start(box) {
  const model = root.aelib.load("writer"), writer = new Writer(model, model.extra.prompt);
  const written = el("span"), given = el("span", { class: "lab-given" });
  const said = live(), bars = el("div", { class: "lab-bars", role: "group", "aria-label": "What may come next" });
  let left = 0, began = 0, made = 0, spent = 0, shown = 0;

  const prompt = field("Beginning", writer.prompt, { maxlength: 500 });
  prompt.input.addEventListener("input", () => { stop(); writer.reset(prompt.input.value); show(); });
  const temperature = slider("Temperature", { min: 0, max: 1.5, value: writer.options.temperature }, v => {
    writer.options.temperature = v < 0.02 ? 0 : v;
    show();
  });
  const topP = slider("Top-p", { min: 0.05, max: 1, value: writer.options.topP }, v => {
    writer.options.topP = v > 0.99 ? 1 : v;
    show();
  });
  const go = button("Write", () => (left ? stop() : run()));
  const one = button("One character", () => { stop(); writer.write(); show(); });
  const again = button("Start again", () => { stop(); writer.reset(); said.textContent = ""; show(); });

  function run() {
    if (writer.ended) writer.reset();
    left = 400;
    made = spent = 0;
    go.textContent = "Pause";
    tick();
  }
  function stop() {
    if (made) {
      show();
      said.textContent = `${made} characters, ${Math.round(made / spent * 1000)} a second.`;
      Object.assign(said.dataset, { made, speed: made / spent * 1000 });
    }
    left = made = 0;
    go.textContent = "Write";
  }
  /* Slices of 20 ms of work, so that the page stays usable. */
  function tick() {
    if (!left) return;
    began = performance.now();
    while (left && !writer.ended && performance.now() < began + 20) {
      writer.write();
      left--;
      made++;
    }
    spent += performance.now() - began;
    if (!left || writer.ended || performance.now() > shown + pace()) show();
    if (!left || writer.ended) stop();
    else setTimeout(tick, 16);
  }
  function show() {
    shown = performance.now();
    given.textContent = writer.prompt;
    written.textContent = writer.text;
    const plain = root.aelib.softmax(Float64Array.from(writer.logits).fill(-1e9, 0, root.aelib.EOS));
    const kept = new Map(writer.choices().map(c => [c.id, c.p]));
    const best = Array.from(plain, (p, id) => ({ p, id })).sort((a, b) => b.p - a.p).slice(0, SHOWN);
    bars.replaceChildren(...best.map(({ id, p }) => bar(id, p, kept.get(id) ?? 0)));
  }
  /* A row to press: the token, its probability after temperature and top-p, the model's own as a line. */
  function bar(id, p, q) {
    const word = visible(writer.model, id), percent = v => `${(100 * v).toFixed(1)}%`;
    return el("button", { type: "button", class: "lab-bar", title: `the model: ${percent(p)}`,
      "aria-label": `${word === "␣" ? "space" : word}: ${percent(q)}; the model itself: ${percent(p)}. Write it.`,
      onclick: () => { stop(); writer.write(id); show(); } },
      el("span", { class: "lab-token" }, word),
      el("span", { class: "lab-track" }, el("span", { class: "lab-fill", style: `width:${100 * q}%` }),
        el("span", { class: "lab-mark", style: `left:${100 * p}%` })),
      el("span", { class: "lab-percent" }, percent(q)));
  }

  show();
  box.append(prompt.box, el("div", { class: "lab-two" },
    el("div", {}, temperature.box, topP.box, el("div", { class: "lab-line" }, go, one, again),
      el("p", { class: "lab-text", "data-role": "text" }, given, written), said),
    el("div", {}, el("p", { class: "lab-note" }, "What may come next. Press a row to write it. The line marks what the model itself says, before temperature and top-p."), bars)),
  ownModel(["LanguageModel"], own => { stop(); writer.use(own); show(); }));
}

root.lab.define("writer", { models: ["writer"], start });
root.labWriter = Writer;
})(globalThis);
