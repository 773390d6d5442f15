"""Language models on a plain-text file and on the King James Bible, beside n-grams and PPMd.

    python benchmarks/language_model.py --shakespeare FILE      (--quick: a smoke test)

tiny Shakespeare: the last tenth is held out. The nanoGPT CPU recipe (4 layers, width 128, context
64, batch 12, 2,000 iterations) with our transformer, and the quasi-recurrent network at
`--seconds` CPU-seconds. King James Bible: whole books held out, the quasi-recurrent network at
`--kjv-seconds`, on characters with hashed n-grams and on 4,096 word pieces. Files are read as they
are; scores are over raw characters, whatever the tokens. "with counts": the same model mixed with
Kneser–Ney over five of its tokens, whose counting is part of its budget, at the share that is best
on the validation books. "adapting": the same model, which goes on learning from the held-out text
as it reads it (dynamic evaluation), as PPMd does; the others stay as they were trained.
PyTorch beside them: the recipe as nanoGPT writes it, and GRUs of width 256 at the fast models'
budgets, on characters and on the same word pieces. These rows need `pip install torch==2.13.0` in
the same environment, and are left out without it.
"""

import io
import time
from pathlib import Path
from typing import Any

from _torch_first import torch  # isort: split

import common
import numpy as np
import pyppmd

import aelib
from aelib.errors import BadInput
from aelib.measure import NGramModel
from aelib.models.language import Windows

GPT = {"width": 128, "depth": 4, "heads": 4, "context": 64}
FAST = {"network": "qrnn", "width": 192, "depth": 2, "context": 128}
PIECES = {**FAST, "context": 64, "tokens": "bpe", "vocabulary": 4096}
ADAPT = 0.3  # rate of the adapting rows
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the counts
Split = tuple[str, str]
JOBS = ("gpt", "fast", "kjv", "torch", "references")


def halves(path: Path | None) -> Split | None:
    """All but the last tenth of a file, and the last tenth; None without a file."""
    if path is None:
        return None
    if not path.is_file():
        raise BadInput(f"no file {path}: give tiny Shakespeare's path")
    text = path.read_text(encoding="utf-8")
    return text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]


def trained(
    name: str, data: str, split: Split, model: dict, fit: dict, adapt: float = 0.0,
    counts: int = 0, validation: str = "",
) -> list[dict[str, Any]]:  # fmt: skip
    """Fit on the first text, score the second: CPU time includes compilation.

    More rows of the same model: with `counts` mixed with n-grams of that many tokens, the share
    chosen on `validation`; with `adapt` learning at this rate as it is scored.
    """
    started = time.process_time()
    lines = split[0].splitlines(keepends=True)
    kind, size = model.get("tokens", "char"), model.get("vocabulary", 0)
    made = aelib.LanguageModel(**model, tokenizer=aelib.text.Tokenizer.train(lines, kind, size))
    grams = NGramModel(counts, made.tokenizer).fit([split[0]]) if counts else None
    counted = time.process_time() - started if counts else 0.0
    budget = {"seconds": fit["seconds"] - counted} if counts else {}
    made.fit(io.StringIO(split[0]), verbose=0, **{**fit, **budget})
    used = time.process_time() - started
    own = {"data": data, "model": name, **model, **fit, "fit_cpu_s": round(used, 1),
           "steps_made": int(made.optimizer.iterations),
           "parameters": made.count_params()}  # fmt: skip
    rows = [{**own, **scored(made, split[1])}]
    if grams:
        share = best_share(made, grams, validation)
        told = {"model": f"{name}, with counts", "order": counts, "share": share}
        rows.append({**own, **told, **scored(made, split[1], beside=grams, share=share)})
    if adapt:
        told = {"model": f"{name}, adapting", "adapt": adapt}
        rows.append({**own, **told, **scored(made, split[1], adapt=adapt)})
    return rows


def best_share(model: aelib.LanguageModel, grams: NGramModel, text: str) -> float:
    nats = {share: model.score(text, beside=grams, share=share)["nll"] for share in SHARES}
    return min(nats, key=nats.__getitem__)


def scored(model: aelib.LanguageModel, text: str, **how: Any) -> dict[str, Any]:
    started = time.process_time()
    score = model.score(text, **how)
    kept = ("nats_per_character", "bits_per_character", "characters")
    return {"score_cpu_s": round(time.process_time() - started, 1)} | {k: score[k] for k in kept}


def references(data: str, split: Split) -> list[dict[str, Any]]:
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


def torch_rows(play: Split | None, bible: Split, options: Any) -> list[dict[str, Any]]:
    """nanoGPT's model for as many steps as ours, and a GRU for as many CPU seconds."""
    if torch is None:
        print("PyTorch is not installed here: its rows are left out")
        return []
    import _torch_peers as peers

    rows = []
    if play:
        size, streams = streams_of(play, "char", 0)
        told = ("tiny Shakespeare", len(play[1]), streams)
        gpt, gru = peers.GPT(size, **GPT), peers.Recurrent(size, 256)
        rows += [
            torch_row("GPT, nanoGPT's CPU recipe, PyTorch", gpt, *told, GPT["context"], 12, 1e-3,
                      steps=options.iterations),
            torch_row("GRU, PyTorch", gru, *told, FAST["context"], 16, 5e-3,
                      seconds=options.seconds),
        ]  # fmt: skip
    size, streams = streams_of(bible, PIECES["tokens"], PIECES["vocabulary"])
    rows.append(torch_row("GRU of word pieces, PyTorch", peers.Recurrent(size, 256), "KJV",
                          len(bible[1]), streams, PIECES["context"], 8, 5e-3,
                          seconds=options.kjv_seconds))  # fmt: skip
    return rows


def streams_of(split: Split, kind: str, size: int) -> tuple[int, list[np.ndarray]]:
    """Size of the vocabulary learned from the first text, and the ids of both."""
    torch.manual_seed(0)
    lines = split[0].splitlines(keepends=True)
    tokenizer = aelib.text.Tokenizer.train(lines, kind, size)
    return tokenizer.size, [np.array(tokenizer.ids([text])[0], np.int32) for text in split]


def torch_row(
    name: str, model: Any, data: str, characters: int, streams: list[np.ndarray], context: int,
    batch: int, rate: float, steps: int | None = None, seconds: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Train by AdamW with the rate falling to a twentieth as ours does, then score."""
    import _torch_peers as peers
    from torch.nn import functional as F

    step = peers.step_of(model, lambda a, b: F.cross_entropy(model(a).flatten(0, 1), b.flatten()),
                         rate, betas=(0.9, 0.99), weight_decay=0.1)  # fmt: skip
    windows, done, started = Windows(streams[0], context, batch, 10**9), 0, time.process_time()
    while (share := done / steps if steps else (time.process_time() - started) / seconds) < 1:
        fall = 0.05 + 0.95 * min(1.0, 2 * (1 - share))
        step(*windows[done], share=min(1.0, (done + 1) / 50) * fall)
        done += 1
    used = time.process_time() - started
    nats = torch_nats(model, streams[1], context) * len(streams[1]) / characters
    return {"data": data, "model": name, "context": context, "batch_size": batch,
            "learning_rate": rate, "fit_cpu_s": round(used, 1), "steps_made": done,
            "parameters": sum(p.numel() for p in model.parameters()), "nats_per_character": nats,
            "bits_per_character": nats / np.log(2), "characters": characters}  # fmt: skip


def torch_nats(model: Any, stream: np.ndarray, context: int) -> float:
    """Nats a token, each with at least half a context before it, as `LanguageModel.score` does."""
    from torch.nn import functional as F

    half, total = context // 2, 0.0
    with torch.no_grad():
        for start in range(0, len(stream) - 1 - half, half):
            row = torch.from_numpy(stream[start : start + context + 1].astype(np.int64))
            nll = F.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="none")
            total += float(nll[half if start else 0 :].sum())
    return total / (len(stream) - 1)


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
    if options.quick:
        corpora = {name: split and (split[0], split[1][:50_000]) for name, split in corpora.items()}
    play, bible = corpora["tiny Shakespeare"], corpora["KJV"]
    rows: list[dict[str, Any]] = []
    if "gpt" in options.jobs and play:
        fit = {"steps": options.iterations, "batch_size": 12, "learning_rate": 1e-3}
        rows += trained("GPT, nanoGPT's CPU recipe", "tiny Shakespeare", play, GPT, fit)
    fit = {"seconds": options.seconds, "batch_size": 16, "learning_rate": 5e-3}
    if "fast" in options.jobs and play:
        rows += trained("QRNN", "tiny Shakespeare", play, {**FAST, "dropout": 0.1}, fit, ADAPT)
    if "kjv" in options.jobs and bible:
        fit = {**fit, "seconds": options.kjv_seconds}
        rows += trained("QRNN, hashed n-grams", "KJV", bible, {**FAST, "ngrams": 8}, fit)
        fit["batch_size"] = 8
        rows += trained(
            "QRNN, word pieces",
            "KJV",
            bible,
            PIECES,
            fit,
            ADAPT,
            counts=5,
            validation=kjv.text("validation")[: 20_000 if options.quick else None],
        )
    if "torch" in options.jobs:
        rows += torch_rows(play, bible, options)
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
