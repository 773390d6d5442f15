"""A reader's own text file as a corpus."""

import re
from pathlib import Path

from aelib.data.corpus import Corpus, Provenance, contiguous, digest
from aelib.errors import BadInput


def from_file(path: str | Path, encoding: str = "utf-8", name: str | None = None) -> Corpus:
    """Read a text file and split it into blocks of 80 / 10 / 10 % in reading order.

    Text with blank lines between paragraphs of several lines (a wrapped book) gives a passage per
    paragraph; any other text gives a passage per line. Blank lines are left out, characters kept.

    Raises:
        BadInput: no such file, empty, binary, or in another encoding.
    """
    path = Path(path)
    text = _decode(_read(path), path, encoding)
    blocks = [block for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise BadInput(f"{path} is empty: give a file with some text in it")
    wrapped = len(blocks) > 1 and len(lines) > 2 * len(blocks)
    passages = [" ".join(block.split()) for block in blocks] if wrapped else lines
    train, validation, test = contiguous(passages)
    unit = "paragraphs" if wrapped else "lines"
    provenance = Provenance(
        source=str(path.name),
        version="",
        licence="your own text",
        split=f"blocks of 80 / 10 / 10 % of the {unit} in reading order",
        url="",
        sha256=digest(train, validation, test),
    )
    return Corpus(name or path.stem, train, validation, test, provenance)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give a text file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist: check the path") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    if not data.strip():
        raise BadInput(f"{path} is empty: give a file with some text in it")
    return data


def _decode(data: bytes, path: Path, encoding: str) -> str:
    if encoding.lower().replace("-", "") == "utf8":
        encoding = "utf-8-sig"  # a byte order mark is no character of the text
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise BadInput(f'{path} is UTF-16: say encoding="utf-16"')
        if b"\0" in data:
            raise BadInput(f"{path} is a binary file: give plain text (UTF-8)")
    try:
        text = data.decode(encoding)
    except LookupError:
        raise BadInput(f"no encoding named {encoding!r}: try utf-8, latin-1 or cp1252") from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not {encoding.removesuffix('-sig')} text (byte {error.start:,}): "
            'say its encoding, such as encoding="cp1252", or convert it'
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
