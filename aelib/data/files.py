"""A reader's own text file as a corpus."""

import re
from pathlib import Path

from aelib.data.corpus import Corpus, Provenance, contiguous, digest
from aelib.errors import BadInput

_WRAPPED = 45  # characters: lines of verse and of lists are mostly shorter


def from_file(
    path: str | Path,
    encoding: str = "utf-8",
    name: str | None = None,
    unit: str | None = None,
) -> Corpus:
    """Read a text file and split it into blocks of 80 / 10 / 10 % in reading order.

    Args:
        path: the file; blank lines are left out, every other character is kept.
        encoding: of the file.
        name: of the corpus; the file's own without its ending if not given.
        unit: what a passage is, "line" or "paragraph" (lines up to a blank one, joined). If not
            given: paragraphs for a book wrapped at some width, lines for anything else.

    Raises:
        BadInput: no such file, empty, binary, or in another encoding.
    """
    if unit not in (None, "line", "paragraph"):
        raise BadInput(f'unit must be "line" or "paragraph", not {unit!r}')
    path = Path(path)
    text = _decode(_read(path), path, encoding)
    blocks = [_lines(block) for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    if not blocks:
        raise BadInput(f"{path} is empty: give a file with some text in it")
    unit = unit or ("paragraph" if _is_wrapped(blocks) else "line")
    if unit == "paragraph":
        passages = [" ".join(lines) for lines in blocks]
    else:
        passages = [line for lines in blocks for line in lines]
    train, validation, test = contiguous(passages)
    provenance = Provenance(
        source=str(path.name),
        version="",
        licence="your own text",
        split=f"blocks of 80 / 10 / 10 % of the {unit}s in reading order",
        url="",
        sha256=digest(train, validation, test),
    )
    return Corpus(name or path.stem, train, validation, test, provenance)


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.split("\n") if line.strip()]


def _is_wrapped(blocks: list[list[str]]) -> bool:
    """Do lines that are not a block's last mostly break off long and in mid-sentence?"""
    inner = [line for lines in blocks for line in lines[:-1]]
    if len(blocks) < 2 or not inner:
        return False
    broken = [line for line in inner if len(line) >= _WRAPPED and line[-1] not in ".!?:\"'”’"]
    return 2 * len(broken) > len(inner)


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
