"""Text compressed for real, and given back bit for bit.

>>> from aelib import codec
>>> small = codec.compress("It is a truth universally acknowledged ...")
>>> codec.decompress(small).decode()
'It is a truth universally acknowledged ...'

Prediction is compression: a predictor that gives the next bit probability p lets an arithmetic
coder write it in -log2 p bits. The predictor (`predictor`) mixes many small context models that
learn while they read; it starts primed with what `snapshot` kept of a large library of English. All
arithmetic is in integers, so every machine decodes what any machine wrote. `container` is the file
format with its checks, `messages` the compact form for short texts, `reference` the same predictor
in plain NumPy.

Levels: "fast", "default", "max". `primed=False` starts empty: the honest line beside other
compressors, and the better choice for data that is not text.
The first use compiles the predictor (some 20 seconds, kept on disk afterwards).

Beside it stand codecs that use a network of `aelib.models`: `compress(data, model=lm)` predicts
with a language model alone (`neural`), `SentenceCodec` codes quantised latents, lossy or with what
makes them lossless (`lossy`), `BitsBack` codes with a variational autoencoder (`bitsback`).
"""

import importlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from aelib.codec.container import NAMES, SEGMENT, read_stream, write_stream
from aelib.codec.errors import Corrupt, CorruptFile, Truncated, WrongModel
from aelib.codec.messages import Messenger, compress_messages, decompress_messages
from aelib.errors import AelibError, BadInput, UnknownName
from aelib.writing import refusal

# Loaded on first use, because they load Keras.
_LATE = {
    "BitsBack": "aelib.codec.bitsback",
    "SentenceCodec": "aelib.codec.lossy",
    "rate_distortion": "aelib.codec.lossy",
}

__all__ = [
    "BitsBack", "Corrupt", "CorruptFile", "Messenger", "SentenceCodec", "Truncated", "WrongModel",
    "compress", "compress_file", "compress_messages", "decompress", "decompress_file",
    "decompress_messages", "rate_distortion", "self_test",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'aelib.codec' has no attribute {name!r}")


# What each level, unprimed, must make of GOLDEN_TEXT: first digits of the file's SHA-256.
GOLDEN_TEXT = b"In the beginning there was a word, and the word was compressed.\n" * 2
GOLDEN = {
    "fast": "cc161bce20ea8073",
    "default": "9cb4f6969ac28f64",
    "max": "4063dbd75f8e6dc2",
}


def compress(data: bytes | str, level: str = "default", *, primed: bool = True,
             threads: int = 1, segment: int = SEGMENT, model: Any = None) -> bytes:  # fmt: skip
    """Compress bytes, or a str as UTF-8, to the bytes of an `.aec` file.

    threads: segments coded side by side. segment: its bytes, 64 KiB to 16 MiB; smaller ones keep
    more threads busy, and each starts without what was learnt before it. The result depends on
    segment, not on threads. model: an `aelib.LanguageModel` that predicts instead; level and primed
    then do not matter. Raises UnknownName for an unknown level.
    """
    raw = data.encode() if isinstance(data, str) else bytes(data)
    out = BytesIO()
    neural = _prepare(level, model)
    write_stream(BytesIO(raw), out, level, primed, len(raw), threads, None, neural, segment)
    return out.getvalue()


def decompress(blob: bytes, *, threads: int = 1, model: Any = None,
               limit: int | None = None) -> bytes:  # fmt: skip
    """Give back exactly what was compressed, or raise Truncated, Corrupt or WrongModel.

    model: the language model that the blob was compressed with, if it was. limit: BadInput where
    there are more bytes than that (a few bytes from a stranger may expand to gigabytes).
    """
    out = BytesIO()
    neural = _prepare("default", model)
    read_stream(BytesIO(bytes(blob)), out, threads, model=neural, limit=limit)
    return out.getvalue()


def _prepare(level: str, model: Any) -> Any:
    """The coder for a language model; without one None, once the mixing predictor is tested."""
    _check_level(level)
    if model is None:
        self_test(level)
        return None
    from aelib.codec.neural import NeuralCoder

    return NeuralCoder(model)


def compress_file(source: str | Path | BinaryIO, target: str | Path | BinaryIO,
                  level: str = "default", *, primed: bool = True, threads: int = 1,
                  force: bool = False, progress: Callable[[int], None] | None = None,
                  model: Any = None, segment: int = SEGMENT) -> None:  # fmt: skip
    """Compress a file or stream in constant memory; a path appears only when it is complete.

    progress(n) is called with the bytes read since the last call. threads, segment and model: as in
    `compress`. BadInput: target exists, or cannot be written.
    """
    neural = _prepare(level, model)

    def work(a: BinaryIO, b: BinaryIO) -> None:
        length = os.stat(source).st_size if isinstance(source, str | Path) else None
        write_stream(a, b, level, primed, length, threads, progress, neural, segment)

    _through(source, target, force, work)


def decompress_file(source: str | Path | BinaryIO, target: str | Path | BinaryIO, *,
                    threads: int = 1, force: bool = False,
                    progress: Callable[[int], None] | None = None,
                    model: Any = None, limit: int | None = None) -> None:  # fmt: skip
    """Decompress a file or stream. A target path is written only when all checks have passed.

    A target *stream* receives segments as each passes its checks, before the end mark is seen.
    limit: as in `decompress`.
    """
    neural = _prepare("default", model)

    def work(a: BinaryIO, b: BinaryIO) -> None:
        read_stream(a, b, threads, progress, neural, limit)

    _through(source, target, force, work)


def _through(source: str | Path | BinaryIO, target: str | Path | BinaryIO, force: bool,
             work: Callable) -> None:  # fmt: skip
    """Open paths; write to a temporary name beside the target, and rename at the end."""
    if not isinstance(source, str | Path):
        return _through_opened(source, target, force, work)
    try:
        opened = open(source, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise BadInput(f"There is no file {source}: check the name.") from None
    except IsADirectoryError:
        raise BadInput(f"{source} is a folder: give a file (tar it first).") from None
    except OSError as error:
        raise BadInput(f"cannot read {source}: {error.strerror or error}") from error
    with opened:
        _through_opened(opened, target, force, work)


def _through_opened(source: BinaryIO, target: str | Path | BinaryIO, force: bool,
                    work: Callable) -> None:  # fmt: skip
    if not isinstance(target, str | Path):
        work(source, target)
        return
    target = Path(target)
    if target.exists() and not force:
        raise BadInput(f"{target} exists: remove it, or pass force=True (--force).")
    if not target.parent.is_dir():
        raise BadInput(f"There is no folder {target.parent}: create it first.")
    with refusal(target):
        _through_temporary(source, target, work)


def _through_temporary(source: BinaryIO, target: Path, work: Callable) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            work(source, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _check_level(level: str) -> None:
    if level not in NAMES:
        raise UnknownName(f"There is no level {level!r}: choose one of {', '.join(NAMES)}.")


@cache
def self_test(level: str) -> None:
    """Code a known text and compare with the stored result: refuse to work on a wrong build."""
    out = BytesIO()
    write_stream(BytesIO(GOLDEN_TEXT), out, level, False, len(GOLDEN_TEXT), 1)
    back = BytesIO()
    read_stream(BytesIO(out.getvalue()), back)
    found = sha256(out.getvalue()).hexdigest()[:16]
    if back.getvalue() != GOLDEN_TEXT or GOLDEN.get(level, found) != found:
        raise AelibError(
            "The codec fails its self-test: do not use it here. Clear Numba's cache (__pycache__ "
            "in aelib/codec) and report the versions of Python, Numba and NumPy."
        )
