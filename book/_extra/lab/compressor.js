/* The compressor: what each character costs, the file, and the file decoded again. */
(function (root) {
"use strict";
const { el, choose, field, live, ownModel } = root.lab;
const { Network, Counts, Mixture, compress, decompress } = root.coder;
const LEVELS = 9; // colours: 0, 1, ... 8 bits and more
const MOST = 4000;

/* A generator to its end in slices of 20 ms; null if `stale` says that it is no longer wanted. */
async function slices(generator, stale) {
  for (;;) {
    const end = performance.now() + 20;
    do {
      const { done, value } = generator.next();
      if (done) return value;
    } while (performance.now() < end);
    await new Promise(next => setTimeout(next, 0));
    if (stale()) return null;
  }
}

/* Bytes of the text in gzip, where the browser has it. */
async function gzip(bytes) {
  if (typeof CompressionStream === "undefined") throw new Error("this browser has none");
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(stream).arrayBuffer()).byteLength;
}

let encoder;

/* Bytes of the text in brotli; the encoder is loaded when it is first wanted. */
async function brotli(bytes) {
  const load = () => root.lab.need("brotli").then(() => root.brotli.encoder(root.aelibData.brotli));
  try {
    return (await (encoder ??= load()))(bytes).length;
  } catch (error) {
    encoder = null; // so that the next text tries again
    throw error;
  }
}

/* A row of the table; `size`, a number or the promise of one, may come later. */
function row(name, size, characters) {
  const cell = text => el("td", { class: "lab-number" }, text), wait = el("td", { colspan: 2 }, "…");
  Promise.resolve(size).then(
    n => wait.replaceWith(cell(n.toLocaleString("en")), cell((8 * n / characters).toFixed(2))),
    error => { wait.textContent = error.message; });
  return el("tr", {}, el("th", { scope: "row" }, name), wait);
}

/* Characters with their cost: [{text, bits}]; the bytes of one character are added up. */
function costs(model, ids, bits) {
  const out = [];
  let held = [], sum = 0;
  ids.forEach((id, i) => {
    held.push(id);
    sum += bits[i];
    const text = model.tokenizer.decode(held, false);
    if (text.includes("\ufffd") && held.length < 4) return;
    out.push({ text, bits: sum });
    [held, sum] = [[], 0];
  });
  if (held.length) out.push({ text: model.tokenizer.decode(held, false), bits: sum });
  return out;
}

function coloured(parts) {
  return parts.map(({ text, bits }) => el("span", {
    class: `lab-c${Math.min(LEVELS - 1, Math.floor(bits))}`, title: `${bits.toFixed(2)} bits`,
  }, text));
}

function start(box) {
  let model = root.aelib.load("reader"), kind = "network", run = 0;
  const predictors = {
    network: () => new Network(model),
    counts: () => new Counts(model.table.rows),
    both: () => new Mixture([new Network(model), new Counts(model.table.rows)]),
  };
  const words = { network: "the trained network", counts: "counts that start empty and learn as they read",
    both: "both, mixed" };
  const text = field("Text", model.extra.example.text, { rows: 7, maxlength: MOST });
  const which = choose("Predictor", words, value => { kind = value; soon(0); });
  const shown = el("p", { class: "lab-text lab-costs" }), table = el("div"), said = live();
  let timer;
  text.input.addEventListener("input", () => soon(400));
  const soon = wait => { clearTimeout(timer); run++; timer = setTimeout(work, wait); };

  async function work() {
    const mine = ++run, stale = () => mine !== run;
    said.textContent = "Compressing …";
    said.dataset.state = "busy";
    const source = text.input.value, bytes = new TextEncoder().encode(source);
    const ids = model.tokenizer.encode(source);
    const packed = await slices(compress(predictors[kind](), ids), stale);
    if (!packed) return;
    shown.replaceChildren(...coloured(costs(model, ids, packed.bits)));
    const characters = [...source].length || 1, others = [gzip(bytes), brotli(bytes)];
    const rows = [["the text, UTF-8", bytes.length], ["gzip", others[0]], ["brotli, quality 11", others[1]],
      [`this file (${kind})`, packed.file.length]];
    table.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ["", "bytes", "bits a character"]
      .map(head => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map(([name, size]) => row(name, size, characters)))));
    said.textContent = "Decoding the file again …";
    const back = await slices(decompress(predictors[kind](), packed.file), stale);
    if (!back) return;
    const equal = model.tokenizer.decode(back) === source;
    said.replaceChildren(el("strong", {}, `Decoded back: ${equal ? "equal" : "NOT equal"}`),
      ` (${characters.toLocaleString("en")} characters from ${packed.file.length.toLocaleString("en")} bytes).`);
    const [zipped, brotlied] = (await Promise.allSettled(others)).map(found => found.value);
    if (stale()) return;
    Object.assign(said.dataset, { state: "done", equal, bytes: packed.file.length, gzip: zipped,
      brotli: brotlied, bits: packed.bits.reduce((a, b) => a + b, 0) });
  }

  box.append(text.box, el("div", { class: "lab-line" }, which.box), shown, scale(), table, said,
    el("p", { class: "lab-note" }, `At most ${MOST.toLocaleString("en")} characters; nothing leaves this page.`),
    ownModel(["LanguageModel"], own => { model = own; soon(0); }));
  work();
}

/* The colours' key. */
const scale = () => el("p", { class: "lab-note" }, "Bits: ", Array.from({ length: LEVELS }, (_, i) =>
  el("span", { class: `lab-key lab-c${i}` }, i < LEVELS - 1 ? `${i}` : `${i} +`)));

root.lab.define("compressor", { models: ["reader"], start });
})(globalThis);
