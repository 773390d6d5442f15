"""Files appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aelib.errors import BadInput


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix, that takes its place when all went well.

    Raises BadInput where the system refuses to write; then, and after any other error, `path` is
    what it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
