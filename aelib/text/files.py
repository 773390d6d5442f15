"""Reading text that people give: a path, an open file, a string or strings, with clear refusals."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO, cast

from aelib.errors import BadInput

Source = str | os.PathLike[str] | TextIO | Iterable[str]
LONGEST_LINE = 100_000


def read_text(source: str | os.PathLike[str] | TextIO) -> str:
    """The whole text of a path or an open file; BadInput for empty, binary or non-UTF-8 files."""
    name = getattr(source, "name", None) or ("the input" if is_file_like(source) else source)
    try:
        data = source.read() if hasattr(source, "read") else Path(source).read_bytes()
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{name} is not UTF-8 text (byte {error.start}): convert it, "
            f"for example with iconv -f latin1 -t utf-8"
        ) from error
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror or error}") from error
    if "\0" in text:
        raise BadInput(f"{name} looks like a binary file: give plain text, one sentence a line")
    if not text.strip():
        raise BadInput(f"{name} is empty: give plain text, one sentence a line")
    return text


def read_lines(source: Source) -> list[str]:
    """Non-empty lines, stripped, of a path, an open file or a list of strings.

    Raises BadInput for empty or binary input, and for a line of more than 100,000 characters.
    """
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        lines = read_text(cast("TextIO", source)).splitlines()
    else:
        lines = list(source)
    for i, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise BadInput(f"line {i} is {type(line).__name__}, not a string")
        if len(line) > LONGEST_LINE:
            raise BadInput(f"line {i} has {len(line):,} characters: put one sentence on a line")
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise BadInput("there is no text here: give at least one non-empty line")
    return lines


def is_file_like(source: object) -> bool:
    """True for an open file."""
    return isinstance(source, io.IOBase) or hasattr(source, "read")
