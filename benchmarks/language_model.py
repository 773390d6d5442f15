"""Language models on a plain-text file and on the King James Bible, beside n-grams and PPMd.

    python benchmarks/language_model.py --shakespeare FILE      (--quick: a smoke test)

tiny Shakespeare: the last tenth is held out. The nanoGPT CPU recipe (4 layers, width 128, context
64, batch 12, 2,000 iterations) with our transformer, and the quasi-recurrent network at
`--seconds` CPU-seconds. King James Bible: whole books held out, the quasi-recurrent network with
hashed n-grams at `--kjv-seconds`. Files are read as they are; scores are over raw characters.
"""

import io
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
import pyppmd

import aelib
from aelib.errors import BadInput
from aelib.measure import NGramModel

GPT = {"width": 128, "depth": 4, "heads": 4, "context": 64}
FAST = {"network": "qrnn", "width": 192, "depth": 2, "context": 128}
JOBS = ("gpt", "fast", "kjv", "references")


def halves(path: Path | None) -> tuple[str, str] | None:
    """All but the last tenth of a file, and the last tenth; None without a file."""
    if path is None:
        return None
    if not path.is_file():
        raise BadInput(f"no file {path}: give tiny Shakespeare's path")
    text = path.read_text(encoding="utf-8")
    return text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]


def trained(name: str, data: str, split: tuple[str, str], model: dict, fit: dict) -> dict[str, Any]:
    """Fit on the first text, score the second: CPU time includes compilation."""
    made = aelib.LanguageModel(**model)
    started = time.process_time()
    made.fit(io.StringIO(split[0]), verbose=0, **fit)
    used = time.process_time() - started
    score = made.score(split[1])
    return {
        "data": data, "model": name, **model, **fit, "fit_cpu_s": round(used, 1),
        "steps_made": int(made.optimizer.iterations), "parameters": made.count_params(),
        "nats_per_character": score["nats_per_character"],
        "bits_per_character": score["bits_per_character"], "characters": score["characters"],
    }  # fmt: skip


def references(data: str, split: tuple[str, str]) -> list[dict[str, Any]]:
    """Kneser–Ney over characters, and PPMd with the training text as prefix."""
    train, test = split
    nats = float(NGramModel(6, "character").fit([train]).nll_nats([test]).sum())
    bits = nats / np.log(2) / len(test)
    sizes = []
    for text in (train, train + test):
        encoder = pyppmd.Ppmd7Encoder(12, 256 << 20)
        sizes.append(len(encoder.encode(text.encode()) + encoder.flush()))
    ppmd = (sizes[1] - sizes[0]) * 8 / len(test)
    return [{"data": data, "model": name, "nats_per_character": value * np.log(2),
             "bits_per_character": value, "characters": len(test)}
            for name, value in (("6-gram Kneser–Ney", bits), ("PPMd o12", ppmd))]  # fmt: skip


def options_of(parser: Any) -> None:
    parser.add_argument("--shakespeare", type=Path, help="tiny Shakespeare, or any text file")
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU-seconds, fast model")
    parser.add_argument("--kjv-seconds", type=float, default=240.0)
    parser.add_argument("--iterations", type=int, default=2000, help="of the GPT recipe")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))


def rows_of(options: Any) -> list[dict[str, Any]]:
    kjv = aelib.data.load("kjv")
    corpora = {"tiny Shakespeare": halves(options.shakespeare),
               "KJV": (kjv.text("train"), kjv.text("test"))}  # fmt: skip
    play, bible = corpora["tiny Shakespeare"], corpora["KJV"]
    rows: list[dict[str, Any]] = []
    if "gpt" in options.jobs and play:
        fit = {"steps": options.iterations, "batch_size": 12, "learning_rate": 1e-3}
        rows.append(trained("GPT, nanoGPT's CPU recipe", "tiny Shakespeare", play, GPT, fit))
    fit = {"seconds": options.seconds, "batch_size": 16, "learning_rate": 5e-3}
    if "fast" in options.jobs and play:
        rows.append(trained("QRNN", "tiny Shakespeare", play, {**FAST, "dropout": 0.1}, fit))
    if "kjv" in options.jobs and bible:
        fit = {**fit, "seconds": options.kjv_seconds}
        rows.append(trained("QRNN, hashed n-grams", "KJV", bible, {**FAST, "ngrams": 8}, fit))
    if "references" in options.jobs:
        rows += [row for data, split in corpora.items() if split for row in references(data, split)]
    return rows


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.seconds, options.kjv_seconds, options.iterations = 10.0, 10.0, 60
    common.write("language_model", options, rows_of(options))


if __name__ == "__main__":
    main()
