"""Make aelib/codec/primed.npz: what the lossless codec knows before the first byte.

    python scripts/train_codec.py NOVELS [--everyday FILE] [--threshold 36] [--check TEST ...]

NOVELS is a folder of plain texts (.txt or .txt.gz), for example 19th-century novels of Project
Gutenberg. The training splits of the World English Bible and of the State of the Union addresses
are added (from `aelib.data`), and, if given, everyday sentences (lines, tab-separated languages).

1. Count which byte follows each context in all texts but the novels held out; keep contexts seen
   `threshold` times or more (the curve of snapshot size against bits comes from this one number).
2. Tune mixers, maps and APMs on the novels held out and on validation splits, as they will be used:
   every piece, from a hundred characters to a hundred thousand, starts from the counts alone.

`--check` refuses to train when a test file shares a run of 64 characters with any text.
"""

import argparse
import gzip
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aelib import data
from aelib.codec import levels, predictor, snapshot

HELD_OUT = ("cran", "prof", "frank", "TTC", "jekyll", "persu")
NONE = np.zeros(0, np.uint8)


def read(path: Path) -> bytes:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").strip() + b"\n\n"


def texts(novels: Path, everyday: Path | None) -> tuple[list[bytes], list[bytes]]:
    """(texts to count, texts to tune on)."""
    train, tune = [], []
    for name in ("web", "sotu"):
        corpus = data.load(name)
        train.append(corpus.text("train").encode() + b"\n")
        tune.append(corpus.text("validation").encode() + b"\n")
    if everyday:
        columns = [line.split("\t")[:2] for line in read(everyday).decode().split("\n")]
        columns = [c for c in columns if len(c) == 2]
        for i in range(2):
            lines = [c[i] for c in columns]
            train.append("\n".join(t for j, t in enumerate(lines) if j % 20).encode() + b"\n")
            tune.append("\n".join(lines[::20]).encode() + b"\n")
    for path in sorted(novels.glob("*.txt*")):
        held = path.name.split(".")[0] in HELD_OUT
        (tune if held else train).append(read(path))
    return train, tune


def shingles(text: bytes) -> np.ndarray:
    """Hashes of all runs of 64 characters, white space and case folded."""
    h = np.frombuffer(b" ".join(text.lower().split()), np.uint8).astype(np.uint64)
    base = 6364136223846793005
    for k in (1, 2, 4, 8, 16, 32):  # a run of 2k is a run of k, then another
        h = h[:-k] * np.uint64(base) + h[k:]
        base = base * base % 2**64
    return h


def overlap(train: Iterable[bytes], tests: list[Path]) -> dict[str, int]:
    """How many 64-character runs of each test file occur in the training texts."""
    wanted = {path.name: shingles(read(path)) for path in tests}
    found = {name: 0 for name in wanted}
    for text in train:
        have = shingles(text)
        for name, runs in wanted.items():
            found[name] += int(np.isin(have, runs).sum())
    return found


def count_contexts(text: np.ndarray, kind: int, threshold: int) -> tuple[np.ndarray, np.ndarray]:
    """(keys, counts) of the (context, next byte) pairs kept; key: index, check, byte."""
    level = levels.Level("count", (kind,), 1, 1, 10)
    hashes = np.zeros(text.size, np.uint32)
    predictor.trace(levels.empty_model(level, 1000), text, 0, hashes)
    index = hashes.astype(np.int64) & ((1 << snapshot.INDEX_BITS) - 1)
    key = (((index << 8) | (hashes >> 24)) << 8) | text
    key.sort()
    new = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    counts = np.diff(np.append(new, key.size))
    key = key[new]
    contexts = np.flatnonzero(np.append(True, key[1:] >> 8 != key[:-1] >> 8))
    sizes = np.diff(np.append(contexts, key.size))
    totals = np.repeat(np.add.reduceat(counts, contexts), sizes)
    keep = (totals >= threshold) & (counts >= np.maximum(1.5, 0.002 * totals))
    return key[keep], counts[keep]


def trees(keys: np.ndarray, counts: np.ndarray, a_group: int = 4) -> dict[str, np.ndarray]:
    """Group the contexts (frequent ones first in each group) and pack their trees."""
    context = keys >> 8
    _, which = np.unique(context, return_inverse=True)
    totals = np.bincount(which, weights=counts)[which]
    bits = max(0, min(snapshot.INDEX_BITS, round(float(np.log2(max(which[-1] + 1, 1) / a_group)))))
    group = (context >> 8) & ((1 << bits) - 1)
    order = np.lexsort((context, -totals, group))
    keys, counts, context, group = keys[order], counts[order], context[order], group[order]
    starts = np.flatnonzero(np.append(True, context[1:] != context[:-1]))
    places = (group[starts] << 8) | (context[starts] & 255)
    classes = np.zeros(starts.size, np.int64)
    nodes = np.zeros(keys.size * 8 + 8, np.uint8)
    size = snapshot.quantise(
        np.append(starts, keys.size), keys & 255, counts.astype(np.int64), classes, nodes,
        snapshot.CUTS, snapshot.LEVEL_P, snapshot.TOTALS,
    )  # fmt: skip
    return snapshot.pack_trees(places, classes, nodes[:size].copy(), 1 << bits)


def pieces(tune: list[bytes], budget: int, seed: int) -> list[np.ndarray]:
    """Random pieces: half of the characters in long ones, a quarter in short messages."""
    random = np.random.default_rng(seed)
    sizes = [(100_000, 0.3), (20_000, 0.2), (4_000, 0.15), (1_000, 0.2), (250, 0.08), (100, 0.07)]
    weight = np.array([min(len(t), 600_000) for t in tune], float)
    out = []
    for size, share in sizes:
        for _ in range(int(budget * share / size)):
            text = tune[random.choice(len(tune), p=weight / weight.sum())]
            at = text.find(b" ", int(random.integers(max(len(text) - size, 1)))) + 1
            out.append(np.frombuffer(text[at : at + size], np.uint8).copy())
    return [out[i] for i in random.permutation(len(out))]


def tune_level(level: levels.Level, known: snapshot.Known, parts: list[np.ndarray],
               start: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:  # fmt: skip
    """Learn weights, maps and APMs over pieces that each start from the counts alone."""
    old, bits, size, clock = None, 0.0, 0, time.process_time()
    for i, part in enumerate(parts):
        model = levels.empty_model(level, part.size, known)
        if old is not None:
            for name in ("weights", "final", "maps", "direct", "match_maps", "rates"):
                getattr(model, name)[:] = getattr(old, name)
            model = model._replace(apms=old.apms)
        if i == len(parts) * 3 // 4:
            model.rates[1] = 80
        bits += predictor.code(model, predictor.MEASURE, part, NONE)
        size += part.size
        old = model
        if i % 100 == 99:
            seconds = time.process_time() - clock
            print(f"{level.name} {i + 1}/{len(parts)} {bits / size:.4f} bits/byte {seconds:.0f} s",
                  flush=True)  # fmt: skip
            bits, size = 0.0, 0
    return levels.keep(old)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("novels", type=Path)
    parser.add_argument("--everyday", type=Path)
    parser.add_argument("--threshold", type=int, default=36)
    parser.add_argument("--budget", type=int, default=1_500_000, help="characters to tune on")
    parser.add_argument("--check", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=levels.SNAPSHOT)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    train, tune = texts(args.novels, args.everyday)
    shared = overlap([*train, *tune], args.check)
    print("64-character runs of the test files found in the training texts:", json.dumps(shared),
          flush=True)  # fmt: skip
    if any(shared.values()):
        raise SystemExit(
            "A test file overlaps the training texts: take it out of --check or NOVELS."
        )
    text = np.frombuffer(b"".join(train), np.uint8).copy()
    arrays: dict[str, np.ndarray] = {}
    for kind in levels.DEFAULT.kinds:
        part = trees(*count_contexts(text, kind, args.threshold))
        arrays |= {f"trees/{kind}/{name}": part[name] for name in levels.TREES}
        print(
            f"context {kind}: {part['checks'].size} kept, {part['payload'].size} bytes", flush=True
        )
    np.savez_compressed(args.out.with_suffix(".trees.npz"), **arrays)
    parts = pieces(tune, args.budget, args.seed)
    for level in levels.LEVELS.values():
        known = join_kinds(arrays, level)
        kept = tune_level(level, known, parts)
        arrays |= {f"{level.name}/{name}": value for name, value in kept.items()}
    np.savez_compressed(args.out, **arrays)
    args.out.with_suffix(".trees.npz").unlink()
    print(f"{args.out}: {args.out.stat().st_size} bytes, from {text.size} bytes of text")


def join_kinds(arrays: dict[str, np.ndarray], level: levels.Level) -> snapshot.Known:
    return snapshot.join([
        {name: arrays[f"trees/{kind}/{name}"] for name in levels.TREES}
        if f"trees/{kind}/checks" in arrays else None
        for kind in level.kinds
    ])  # fmt: skip


if __name__ == "__main__":
    main()
