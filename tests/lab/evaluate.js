/* node evaluate.js REQUESTS.json: calls models of exported files and prints what they give.

   A request is {file, simd, calls: [[method, ...arguments], ...]}; methods are below. */
"use strict";
const fs = require("node:fs");
const aelib = require("../../book/_extra/lab/text.js");

const METHODS = {
  encode: (model, input) => model.encode(input),
  decode: (model, z, options, uniforms) => model.decode(z, options, draw(uniforms)),
  posterior: (model, x) => model.posterior(x),
  edit: (model, text, style, strength) => model.edit(text, style, strength),
  scores: (model, text, style) => model.logits(model.pieces(text), style),
  ids: (model, text) => model.tokenizer.encode(text),
  text: (model, ids) => model.tokenizer.decode(ids),
  generate: (model, prompt, length, options, uniforms) =>
    model.generate(prompt, length, options, draw(uniforms)),
  logits(model, ids, z) {
    const machine = z ? model.decoder : model, state = machine.start(z && Float32Array.from(z));
    return ids.map(id => Array.from(machine.advance(id, state)));
  },
};

function draw(uniforms) {
  let at = 0;
  return uniforms && (() => uniforms[at++]);
}

function plain(value) {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  return Array.isArray(value) ? value.map(plain) : value;
}

const requests = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const answers = requests.map(({ file, simd, calls }) => {
  const model = aelib.load(aelib.parse(fs.readFileSync(file, "utf8")), simd ?? true);
  return calls.map(([method, ...rest]) => plain(METHODS[method](model, ...rest)));
});
process.stdout.write(JSON.stringify(answers));
