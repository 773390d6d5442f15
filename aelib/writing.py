"""Files appear whole or not at all."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aelib.errors import BadInput


def reason(error: OSError) -> str:
    """What the system said, in a few words; HDF5 tucks them into a long story."""
    told = re.search(r"error message = '([^']+)'", str(error))
    return told[1] if told else error.strerror or " ".join(str(error).split())


@contextmanager
def refusal(path: str | Path) -> Iterator[None]:
    """Turns what the system refuses into BadInput: `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"cannot write {path}: {reason(error)}") from error


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix, that takes its place when all went well.

    Raises BadInput where the system refuses to write; then, and after any other error, `path` is
    what it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with refusal(path):
            yield part
            part.replace(path)
    finally:
        with suppress(OSError):  # it is not there, or nothing may be written
            part.unlink()
