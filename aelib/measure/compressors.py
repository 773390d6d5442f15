"""Whole-file compressors to stand beside, each at its strongest usual setting."""

import bz2
import gzip
import lzma
from importlib.util import find_spec


def compressors(data: bytes) -> dict[str, int]:
    """Bytes that each compressor makes of ``data``: its name with settings -> length.

    gzip, bzip2 and xz always; zstd, brotli and PPMd (orders 6 and 12) when the ``compare`` extra is
    installed (``pip install "aelib[compare]"``). Bits per character: 8 · bytes / characters.
    """
    lengths = {
        "gzip -9": len(gzip.compress(data, 9, mtime=0)),
        "bzip2 -9": len(bz2.compress(data, 9)),
        "xz -9e": len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
    }
    if find_spec("zstandard"):
        import zstandard

        lengths["zstd -22"] = len(zstandard.ZstdCompressor(level=22).compress(data))
    if find_spec("brotli"):
        import brotli

        lengths["brotli -11"] = len(brotli.compress(data, quality=11, lgwin=24))
    if find_spec("pyppmd"):
        for order in (6, 12):
            lengths[f"PPMd o{order}"] = len(_ppmd(data, order))
    return lengths


def _ppmd(data: bytes, order: int) -> bytes:
    import pyppmd

    encoder = pyppmd.Ppmd7Encoder(order, 256 << 20)
    return encoder.encode(data) + encoder.flush()
