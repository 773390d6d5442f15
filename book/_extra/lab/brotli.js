/* The encoder that scripts/build_brotli.py put into models/brotli.js; browsers have none.

   await brotli.encoder(file) gives compress(bytes), which returns a file of the bytes. */
(function (root) {
"use strict";

async function encoder(file) {
  if (typeof WebAssembly === "undefined" || typeof DecompressionStream === "undefined")
    throw new Error("this browser cannot run it");
  const packed = Uint8Array.from(atob(file.wasm), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(stream).arrayBuffer();
  const wasm = (await WebAssembly.instantiate(code)).instance.exports;
  wasm._initialize();
  return bytes => {
    const at = wasm.room(bytes.length); // may replace the memory's buffer
    new Uint8Array(wasm.memory.buffer).set(bytes, at);
    const length = wasm.compress(bytes.length);
    if (!length) throw new Error("it failed");
    return new Uint8Array(wasm.memory.buffer).slice(wasm.file(), wasm.file() + length);
  };
}

const brotli = { encoder };
if (typeof module === "object") module.exports = brotli;
else root.brotli = brotli;
})(globalThis);
