"""Generation: what a sentence VAE writes, beside a language model and real sentences.

    python benchmarks/generation.py           (--quick: a smoke test)

The preset `sentences-vae` was trained on Bible, everyday and (if given) novels' sentences. Here all
are judged on sentences of the World English Bible and the everyday file (`--everyday`: lines with
tabs, English first; the Bible alone without it). Rows: prior samples, samples from densities fitted
to encoded sentences, each greedy and at temperature 0.5 and 1; a transformer language model trained
here on the same sentences for `--seconds`; a trigram model; the training sentences copied; held-out
sentences.
"""

import time
from pathlib import Path
from typing import Any

import common
import numpy as np

import aelib
from aelib import latent, measure
from aelib.measure import NGramModel

TEMPERATURES = (0.0, 0.5, 1.0)


def sentences(everyday: Path | None, seed: int) -> tuple[list[str], list[str]]:
    """(train, held out) of up to twelve words, as the preset saw and did not see them."""
    web = aelib.data.load("web")
    train, held = web.sentences("train"), web.sentences("test")
    if everyday:
        lines = everyday.read_text(encoding="utf-8-sig").splitlines()
        daily = list(dict.fromkeys(line.split("\t")[0] for line in lines))
        train, held = train + daily, held + daily[::20]
    out = set(held)
    short = [t for t in dict.fromkeys(train) if t not in out and len(t.split()) <= 12]
    rng = np.random.default_rng(seed)
    parts = short, [t for t in dict.fromkeys(held) if len(t.split()) <= 12]
    return tuple([part[i] for i in rng.permutation(len(part))] for part in parts)  # type: ignore[return-value]


class Judge:
    """Measures of `n` texts against training and held-out sentences."""

    def __init__(self, train: list[str], held: list[str], n: int):
        self.train, self.held, self.n = train, held[n:], n
        self.fluent = NGramModel(3).fit(train)
        self.vocabulary = {word for text in train for word in measure.words(text)}

    def row(self, texts: list[str], **given: Any) -> dict[str, Any]:
        texts = [text for text in texts if text.strip()][: self.n]
        return {
            **given, "texts": len(texts),
            "forward_perplexity": self.fluent.perplexity(texts),
            "reverse_perplexity": measure.reverse_perplexity(texts, self.held, self.vocabulary),
            "distinct_2": measure.distinct_n(texts, 2), "self_bleu": measure.self_bleu(texts),
            "copied": measure.copied_share(texts, self.train),
            "words": float(np.mean([len(measure.words(text)) for text in texts])),
            "example": texts[0],
        }  # fmt: skip


def language_model(train: list[str], seconds: float, seed: int) -> Any:
    made = aelib.LanguageModel(
        width=192, depth=2, heads=4, context=32, tokens="bpe", vocabulary=4000, seed=seed
    )
    return made.fit(train, seconds=seconds, batch_size=64, learning_rate=2e-3, verbose=0)


def rows_of(options: Any) -> list[dict[str, Any]]:
    train, held = sentences(options.everyday, options.seed)
    judge, n, seed = Judge(train, held, options.samples), options.samples, options.seed
    rows = [judge.row(held[:n], source="held-out sentences"),
            judge.row(train[:n], source="training sentences, copied")]  # fmt: skip
    vae = aelib.TextAutoencoder.from_preset("sentences-vae")
    z = vae.encode(train[:4000])
    priors = {"prior N(0, I)": None, "Gaussian": latent.GaussianSampler(z),
              "mixture of 20": latent.MixtureSampler(z, 20),
              "flow": latent.FlowSampler(z, seed=seed)}  # fmt: skip
    for name, prior in priors.items():
        for t in TEMPERATURES:
            texts = vae.sample(n, seed=seed, prior=prior, temperature=t)
            rows.append(judge.row(texts, source="sentences-vae", z=name, temperature=t))
    started = time.process_time()
    gpt = language_model(train, options.seconds, seed)
    used = round(time.process_time() - started, 1)
    for t in TEMPERATURES[1:]:
        texts = gpt.sample(n, seed=seed, temperature=t)
        rows.append(judge.row(texts, source="GPT, 2 layers", temperature=t, fit_cpu_s=used))
    rows.append(judge.row(judge.fluent.sample(n, seed=seed), source="trigram model"))
    return rows


def options_of(parser: Any) -> None:
    parser.add_argument("--everyday", type=Path, help="tab-separated sentences, English first")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=300.0, help="CPU-seconds for the GPT")
    parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.samples, options.seconds = 60, 10.0
    common.write("generation", options, rows_of(options))


if __name__ == "__main__":
    main()
