"""Autoencoder against GPT on sentences of known entropy, at equal parameters and training time.

A grammar's sentences, held out. Each model trains for the first budget, is measured, trains on up
to the next, and so on. Reconstruction, bits and grammar are of 300 sentences; retrieval finds the
original of a damaged sentence (one word replaced, or one word lost) among 500.

    python benchmarks/limits.py            python benchmarks/limits.py --quick
"""

from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import aelib
from aelib import latent, measure

WIDTHS = {32: 64, 128: 160}  # latent dimensions of the autoencoder -> width of the GPT
N = 300


def damaged(sentence: str, how: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """The sentence with one word replaced by another, or left out."""
    parts = sentence.split()
    i = int(rng.integers(len(parts)))
    parts[i : i + 1] = [str(rng.choice(words))] if how == "replaced" else []
    return " ".join(parts)


def gpt_vectors(gpt: Any, texts: list[str]) -> np.ndarray:
    """The mean of the hidden states over a sentence's tokens, (n, width)."""
    ids = gpt.tokenizer.encode(texts, gpt.context)
    hidden, real = np.asarray(gpt.core(gpt.table(ids))), (ids != 0)[..., None]
    return (hidden * real).sum(1) / real.sum(1)


def found(encode: Any, corpus: Any, seed: int) -> dict[str, float]:
    """Recall at 1 of 500 damaged sentences, by the cosine of centred vectors."""
    items, rng = list(corpus.test[:500]), np.random.default_rng(seed)
    words = sorted({w for text in corpus.train[:2000] for w in text.split()})
    centre, z, recall = encode(list(corpus.train[:2000])).mean(0), encode(items), {}
    for how in ("replaced", "lost"):
        queries = encode([damaged(text, how, words, rng) for text in items])
        a, b = ((v - centre) / np.linalg.norm(v - centre, axis=1)[:, None] for v in (queries, z))
        recall[how] = measure.recall_at(a @ b.T)
    return recall


def grammatical(texts: Sequence[str], corpus: Any) -> float:
    """Share of the texts that the grammar can produce."""
    return float(np.mean([np.isfinite(corpus.grammar.log2_prob(text)) for text in texts]))


def measured(model: Any, kind: str, corpus: Any, seed: int) -> dict[str, float]:
    """Everything that is asked of one model; what it cannot answer is absent."""
    test = list(corpus.test[:N])
    if kind == "GPT":
        score = model.score(test)
        bits = float(score["nll"] * score["tokens"] / np.log(2) / N)
        recall = found(lambda texts: gpt_vectors(model, texts), corpus, seed)
        written, exact = model.sample(N, seed=seed), {}
    else:
        z = model.encode(list(corpus.train[:2000]))
        quantiser = measure.Quantiser(4).fit(z)
        bits = quantiser.rate_bits(quantiser.quantise(model.encode(test)))
        recall = found(model.encode, corpus, seed)
        written = model.decode(latent.GaussianSampler(z).sample(N, seed=seed))
        exact = {"exact": measure.exact_match(model.reconstruct(test), test)}
    return {**exact, "bits": bits, "grammatical": grammatical(written, corpus), **recall}


def run(kind: str, width: int, budgets: Sequence[float], seed: int) -> list[dict]:
    """One model of one size, measured after each budget of CPU seconds."""
    corpus = aelib.data.load("grammar")
    if kind == "GPT":
        model: Any = aelib.LanguageModel(width, 2, 4, 32, tokens="word", seed=seed)
    else:
        model = aelib.TextAutoencoder(width, vocabulary=400, seed=seed)
    rows, trained = [], 0.0
    for budget in budgets:
        model.fit(list(corpus.train), seconds=budget - trained, verbose=0)
        trained = budget
        figures = measured(model, kind, corpus, seed)
        rows.append({"model": kind, "width": width, "parameters": model.count_params(),
                     "cpu_s": budget, "seed": seed, **figures})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def options_of(parser: Any) -> None:
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 3.0, 9.0])
    parser.add_argument("--seeds", type=int, default=3)


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.seconds, options.seeds = [0.5, 1.0], 1
    rows = []
    for seed in range(options.seeds):
        for latent_dim, width in WIDTHS.items():
            rows += run("autoencoder", latent_dim, options.seconds, seed)
            rows += run("GPT", width, options.seconds, seed)
    common.write("limits", options, rows)


if __name__ == "__main__":
    main()
