"""Other compressors under one face, to compare with: every result is decoded and compared."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aelib import codec

Coder = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Result:
    """size in bytes; encode_s and decode_s in CPU seconds."""

    name: str
    size: int
    encode_s: float
    decode_s: float


def peers() -> dict[str, tuple[Coder, Coder]]:
    """Name -> (compress, decompress) of what is installed."""
    found: dict[str, tuple[Coder, Coder]] = {
        "gzip -9": (lambda d: gzip.compress(d, 9, mtime=0), gzip.decompress),
        "bz2 -9": (lambda d: bz2.compress(d, 9), bz2.decompress),
        "xz -9e": (lambda d: lzma.compress(d, preset=9 | lzma.PRESET_EXTREME), lzma.decompress),
    }
    try:
        import zstandard

        found["zstd -22"] = (
            lambda d: zstandard.ZstdCompressor(level=22).compress(d),
            lambda b: zstandard.ZstdDecompressor().decompress(b),
        )
    except ImportError:
        pass
    try:
        import brotli

        found["brotli -11"] = (
            lambda d: brotli.compress(d, quality=11, lgwin=24),
            brotli.decompress,
        )
    except ImportError:
        pass
    try:
        import pyppmd

        for order in (6, 12):
            found[f"PPMd o{order}"] = (ppmd_encoder(pyppmd, order), ppmd_decoder(pyppmd, order))
    except ImportError:
        pass
    return found


def ppmd_encoder(pyppmd, order: int) -> Coder:
    def encode(data: bytes) -> bytes:
        coder = pyppmd.Ppmd7Encoder(order, 256 << 20)
        return len(data).to_bytes(8, "little") + coder.encode(data) + coder.flush()

    return encode


def ppmd_decoder(pyppmd, order: int) -> Coder:
    def decode(blob: bytes) -> bytes:
        size = int.from_bytes(blob[:8], "little")
        return pyppmd.Ppmd7Decoder(order, 256 << 20).decode(blob[8:], size)

    return decode


def measure(name: str, data: bytes, encode: Coder, decode: Coder) -> Result:
    """Compress, decompress, compare byte for byte."""
    t0 = time.process_time()
    blob = encode(data)
    t1 = time.process_time()
    back = decode(blob)
    t2 = time.process_time()
    if back != data:
        raise AssertionError(f"{name} did not give back what it was given")
    return Result(name, len(blob), t1 - t0, t2 - t1)


def measure_zpaq(data: bytes) -> Result | None:
    """zpaq -m5 as a program, if it is installed."""
    if not shutil.which("zpaq"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x").write_bytes(data)

        def call(*arguments: str) -> float:
            before = os.times()
            subprocess.run(["zpaq", *arguments], cwd=folder, check=True, capture_output=True)
            after = os.times()
            return (after.children_user + after.children_system
                    - before.children_user - before.children_system)  # fmt: skip

        seconds = call("a", "x.zpaq", "x", "-m5", "-t1")
        size = (Path(folder) / "x.zpaq").stat().st_size
        (Path(folder) / "x").unlink()
        back = call("x", "x.zpaq", "-t1")
        if (Path(folder) / "x").read_bytes() != data:
            raise AssertionError("zpaq did not give back what it was given")
    return Result("zpaq -m5", size, seconds, back)


def compare_model(data: bytes, name: str, model: Any) -> Result:
    """A language model as the predictor."""
    codec.decompress(codec.compress(b"warm up", model=model), model=model)  # compile
    encode, decode = partial(codec.compress, model=model), partial(codec.decompress, model=model)
    return measure(name, data, encode, decode)


def compare_bytes(data: bytes, level: str = "default") -> Iterator[Result]:
    """One result per compressor: the peers, then aelib unprimed and primed."""
    for name, (encode, decode) in peers().items():
        yield measure(name, data, encode, decode)
    if zpaq := measure_zpaq(data):
        yield zpaq
    for primed in (False, True):
        codec.decompress(codec.compress(b"warm up", level, primed=primed))  # compile, read snapshot
        name = f"aelib {level} {'primed' if primed else 'unprimed'}"
        encode = partial(codec.compress, level=level, primed=primed)
        yield measure(name, data, encode, codec.decompress)
