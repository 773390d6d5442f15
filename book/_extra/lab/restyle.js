/* Restyling: a sentence in the words of the King James Version or of modern English. */
(function (root) {
"use strict";
const { el, slider, field, choose, live, ownModel } = root.lab;

function start(box) {
  let model = root.aelib.load("style");
  const text = field("Your sentence", model.extra.verses[0], { maxlength: 400, rows: 2 });
  const to = choose("Into", { modern: "modern English", old: "the English of 1611" }, () => show());
  const strength = slider("Strength", { min: 0, max: 8, value: 2, step: 0.25 }, () => show());
  const out = el("p", { class: "lab-text", "data-role": "text", "aria-live": "polite" });
  const said = live({ "data-role": "changes" });
  text.input.addEventListener("input", show);

  function show() {
    const changes = model.changes(text.input.value, +(to.input.value === "modern"), strength.value);
    const moved = changes.filter(c => c.piece !== c.becomes);
    out.replaceChildren(...changes.flatMap(({ piece, becomes }) => {
      if (piece === becomes) return [becomes];
      const word = becomes.trimStart(), note = piece ? `instead of “${piece.trim()}”` : "added";
      return [becomes.slice(0, becomes.length - word.length), word ? el("mark", { title: note }, word) : ""];
    }));
    said.textContent = moved.length ? `${moved.length} of ${changes.length - 1} words and signs changed.`
      : "Nothing changed: turn the strength up, or try older words.";
  }
  box.append(text.box, el("div", { class: "lab-line" }, to.box), strength.box, out, said,
    ownModel(["StyleEditor"], own => { model = own; show(); }));
  show();
}

root.lab.define("restyle", { models: ["style"], start });
})(globalThis);
