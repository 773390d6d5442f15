"""Posterior collapse and its cures: the rows of the published table on any three text files.

One sentence a line, words separated by spaces (for the Penn Treebank as published, with <unk>):

    python benchmarks/collapse.py --train ptb.train.txt --valid ptb.valid.txt --test ptb.test.txt \
        --min-count 1 --batch 32 --width 256 --epochs 40
    python benchmarks/collapse.py            python benchmarks/collapse.py --quick

Without files: sentences of 4-16 words of the World English Bible, whole books held out. The same
decoder everywhere (LSTM, z concatenated at every step and setting the first state, dropout 0.5 in
and out, input and output embeddings tied); while training the softmax is sampled, at evaluation
it is full. Perplexity is per word, the end counted, <unk> an ordinary word. A row that is stored
is not run again, so a killed run goes on.

rec, KL, −ELBO and NLL are nats a sentence over the whole test set, KL weight 1. The NLL is
importance-weighted: −ELBO less the mean gap between both bounds on --iw-sentences random test
sentences with --iw-samples samples each (`gap_se`: the gap's standard error). For the AE, rec is
the NLL given its own latent: no bound on log p(x).
"""

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import common
import numpy as np
from keras import ops

import aelib
from aelib import measure
from aelib.models import training
from aelib.models.aggressive import Aggressive
from aelib.objectives import Anneal, Cyclical, Linear
from aelib.text import EOS, FIRST, PAD

UNKNOWN = FIRST


class Words:
    """A closed vocabulary of words; the others are <unk>, a word like any other."""

    def __init__(self, lines: list[str], most: int, least: int):
        counts = Counter(w for line in lines for w in line.split())
        kept = [w for w, n in counts.most_common(most - 1) if n >= least and w != "<unk>"]
        self.words = ["<unk>", *kept]
        self.place = {w: i + FIRST for i, w in enumerate(self.words)}
        self.size = len(self.words) + FIRST

    def ids(self, lines: list[str]) -> list[list[int]]:
        return [[self.place.get(w, UNKNOWN) for w in line.split()] for line in lines]

    def encode(self, lines: list[str], length: int) -> np.ndarray:
        out = np.full((len(lines), length), PAD, np.int32)
        for row, ids in zip(out, self.ids(lines), strict=True):
            row[: len(ids)] = ids
            row[len(ids)] = EOS
        return out


def data(options: Any) -> dict[str, list[str]]:
    """Train, valid and test: lines of words."""
    if options.train:
        files = {"train": options.train, "valid": options.valid, "test": options.test}
        texts = {k: path.read_text(encoding="utf-8").splitlines() for k, path in files.items()}
        return {k: [" ".join(t.split()) for t in v if t.strip()] for k, v in texts.items()}
    web = aelib.data.load("web")
    splits = {"train": "train", "valid": "validation", "test": "test"}
    return {k: [" ".join(re.findall(r"[\w']+|[^\w\s]", t.lower())) for t in web.sentences(s)]
            for k, s in splits.items()}  # fmt: skip


class Run:
    """One row: a model, its training, its figures."""

    def __init__(self, options: Any, texts: dict[str, list[str]], seed: int):
        self.options, self.texts, self.seed = options, texts, seed
        self.words = Words(texts["train"], options.vocabulary, options.min_count)
        longest = max(len(t.split()) for part in texts.values() for t in part) + 1
        self.length = -(-longest // 8) * 8
        self.steps = -(-len(texts["train"]) // options.batch)  # an epoch's

    def model(self, **own: Any) -> Any:
        shared = {"latent_dim": self.options.latent_dim, "encoder": "lstm", "decoder": "lstm",
                  "kind": "variational", "dropout": 0.5, "width": self.options.width,
                  "length": self.length, "seed": self.seed, "tokenizer": self.words}  # fmt: skip
        return aelib.TextAutoencoder(**{**shared, **own})

    def fit(self, model: Any, callbacks: Any = (), epochs: int | None = None, **own: Any) -> Any:
        return model.fit(
            self.texts["train"], self.texts["valid"], epochs=epochs or self.options.epochs,
            batch_size=self.options.batch, learning_rate=self.options.rate, verbose=0,
            callbacks=callbacks, **{"patience": 5, **own},
        )  # fmt: skip

    def anneal(self, share: float = 0.5) -> Anneal:
        return Anneal(Linear(max(1, int(share * self.options.epochs * self.steps))))

    def cyclical(self) -> Anneal:
        return Anneal(Cyclical(max(1, self.options.epochs * self.steps // 4)))

    # ------------------------------------------------------------------------------- the rows

    def lm(self) -> Any:
        return self.fit(self.model(kind="plain", encoder="none"))

    def ae(self) -> Any:
        return self.fit(self.model(kind="plain"))

    def vae(self) -> Any:
        return self.fit(self.model())

    def annealed(self) -> Any:
        return self.fit(self.model(), [self.anneal()], patience=99)

    def cyclic(self) -> Any:
        return self.fit(self.model(), [self.cyclical()], patience=99)

    def aggressive(self) -> Any:
        model = self.model()
        batches = training.Batches(model.ids(self.texts["train"]), self.options.batch, self.seed)
        held = model.ids(self.texts["valid"])
        inner = Aggressive(batches, held, self.options.inner, min(10, self.options.inner // 2))
        return self.fit(model, [self.anneal(0.2), inner], patience=99)

    def batchnorm(self) -> Any:
        return self.fit(self.model(posterior="batchnorm", min_rate=self.options.free / 32))

    def delta(self) -> Any:
        return self.fit(self.model(posterior="delta", min_rate=self.options.free / 32))

    def free_bits(self) -> Any:
        """Autoencoder first, the decoder reset, then linear annealing with free bits."""
        free = self.options.free / self.options.latent_dim
        model = self.model(free_bits=free, beta=0.0)
        self.fit(model, epochs=max(1, self.options.epochs // 2), monitor="val_nll")
        model.reset_decoder()
        return self.fit(model, [self.anneal()], patience=99)


ROWS = {
    "LM": Run.lm,
    "AE": Run.ae,
    "VAE": Run.vae,
    "BN-VAE": Run.batchnorm,
    "AE + free bits": Run.free_bits,
    "VAE, linear annealing": Run.annealed,
    "VAE, cyclical annealing": Run.cyclic,
    "delta-VAE, variance bounded": Run.delta,
    "VAE, aggressive encoder": Run.aggressive,
}


def parts(model: Any, ids: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """(NLL, KL) of each sentence, nats, averaged over `draws` of z; full softmax."""
    rows = []
    for i in range(0, len(ids), 200):
        found = [model(ids[i : i + 200]) for _ in range(draws)]
        nll = np.mean([ops.convert_to_numpy(p["nll"]) for p in found], axis=0)
        rows.append((nll, ops.convert_to_numpy(ops.sum(found[0]["kl"], axis=-1))))
    return tuple(np.concatenate(x) for x in zip(*rows, strict=True))  # type: ignore[return-value]


def gap(model: Any, ids: np.ndarray, options: Any) -> tuple[float, float]:
    """Mean of (−ELBO) − (IW-NLL) over random sentences, nats, and its standard error."""
    chosen = np.random.default_rng(0).permutation(len(ids))[: options.iw_sentences]
    gaps = []
    for i in sorted(chosen, key=lambda i: int((ids[i] != PAD).sum())):
        row = ids[i : i + 1, : int((ids[i] != PAD).sum())]
        weights = model.log_weights(row, options.iw_samples, most=options.iw_samples)
        gaps.append(-weights.mean() - measure.iw_nll(weights)[0])
    return float(np.mean(gaps)), float(np.std(gaps, ddof=1) / len(gaps) ** 0.5)


def figures(name: str, model: Any, texts: list[str], options: Any) -> dict[str, Any]:
    """The row's figures on the test sentences."""
    ids, variational = model.ids(texts), model.kind == "variational"
    nll, kl = parts(model, ids, draws=5 if variational else 1)
    row = {"rec": float(nll.mean())}
    if name == "LM":
        return {"ppl": measure.perplexity(nll, texts), "nll": float(nll.mean())}
    if not variational:
        return {**row, "active_units": measure.active_units(model.encode(texts))}
    mean, logvar = model.posterior(ids)
    information = measure.mutual_information(mean, logvar)
    slack, error = gap(model, ids, options)
    bound = nll + kl
    return {
        "ppl": measure.perplexity(bound - slack, texts), "nll": float(bound.mean() - slack),
        "neg_elbo": float(bound.mean()), "gap_se": error, **row, "kl": float(kl.mean()),
        "mi": information.nats, "mi_examples": information.examples,
        "active_units": measure.active_units(mean),
    }  # fmt: skip


def options_of(parser: Any) -> None:
    for name in ("train", "valid", "test"):
        parser.add_argument(f"--{name}", type=Path, help="text file, one sentence a line")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="Adam's learning rate")
    parser.add_argument("--width", type=int, default=128, help="LSTM units (published: 256)")
    parser.add_argument("--latent-dim", type=int, default=32)
    parser.add_argument("--vocabulary", type=int, default=10_000, help="words, <unk> included")
    parser.add_argument("--min-count", type=int, default=3, help="rarer words are <unk>")
    parser.add_argument("--free", type=float, default=5.0, help="nats: λ of free bits, over all")
    parser.add_argument("--inner", type=int, default=4, help="encoder steps (published: 100)")
    parser.add_argument("--iw-samples", type=int, default=500)
    parser.add_argument("--iw-sentences", type=int, default=100)


def stored(options: Any) -> list[dict[str, Any]]:
    path = common.record_path("collapse", options)
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.epochs, options.width, options.iw_sentences, options.inner = 1, 32, 5, 2
    texts = data(options)
    if options.quick:
        texts = {k: v[:600] for k, v in texts.items()}
    names = ("epochs", "batch", "rate", "width", "latent_dim", "vocabulary", "min_count", "free",
             "inner", "iw_samples", "iw_sentences")  # fmt: skip
    settings = {n: getattr(options, n) for n in names}
    settings["data"] = options.train.name if options.train else "web"
    for seed in options.seeds:
        for name in options.rows:
            key = {"row": name, "seed": seed, **settings}
            if any(key.items() <= row.items() for row in stored(options)):
                continue
            started = time.process_time()
            model = ROWS[name](Run(options, texts, seed))
            used = time.process_time() - started
            row = {"row": name, "seed": seed, **figures(name, model, texts["test"], options)}
            row = {**row, "fit_cpu_s": round(used, 1), "words": model.tokenizer.size, **settings}
            common.write("collapse", options, [*stored(options), row])


if __name__ == "__main__":
    main()
