"""Larger classics: from a local file, from AELIB_DATA, or downloaded once and checked."""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from aelib.data.corpus import Corpus, Provenance
from aelib.errors import BadInput, DataUnavailable


@dataclass(frozen=True)
class Classic:
    """A well-known text: ``size`` and ``sha256`` are of the text itself, not of an archive."""

    title: str
    url: str
    files: tuple[str, ...]  # names looked for in the folder AELIB_DATA
    size: int  # bytes
    sha256: str
    cuts: tuple[int, int]  # bytes: where validation and test begin
    split: str
    licence: str


_CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
_LTCB = "https://mattmahoney.net/dc/"
_WIKIPEDIA = "CC BY-SA 3.0 and GFDL (Wikipedia)"

CLASSICS = {
    "shakespeare": Classic(
        title="tiny Shakespeare",
        url=_CHAR_RNN + "input.txt",
        files=("tinyshakespeare.txt", "shakespeare.txt"),
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        cuts=(1_003_854, 1_115_394),
        split="the last tenth is validation, as in nanoGPT; no test split",
        licence="public domain",
    ),
    "text8": Classic(
        title="text8",
        url=_LTCB + "text8.zip",
        files=("text8", "text8.zip"),
        size=100_000_000,
        sha256="6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7",
        cuts=(90_000_000, 95_000_000),
        split="the usual 90 / 5 / 5 million characters",
        licence=_WIKIPEDIA,
    ),
    "enwik8": Classic(
        title="enwik8",
        url=_LTCB + "enwik8.zip",
        files=("enwik8", "enwik8.zip"),
        size=100_000_000,
        sha256="2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
        cuts=(90_000_000, 95_000_000),
        split="the usual 90 / 5 / 5 million bytes, cut at the next whole character",
        licence=_WIKIPEDIA,
    ),
}


def load_classic(name: str, path: str | Path | None = None) -> Corpus:
    """A classic, unchanged: its passages are lines, and ``text()`` joins them as they were.

    Looks at ``path``, then in the folder AELIB_DATA, then in Keras's download cache, and downloads
    only when none has it. The SHA-256 of the text is checked every time.

    Raises:
        DataUnavailable: neither a file nor the network has it.
        BadInput: the file given is another text.
    """
    classic = CLASSICS[name]
    found = Path(path) if path else (_local(classic) or _download(name, classic))
    data = _read(found, classic.size)
    if not _same(data, classic):
        raise BadInput(f"{found} is not {classic.title} (SHA-256 differs): delete it or give "
                       f"the file from {classic.url}")  # fmt: skip
    first, second = (_next_character(data, cut) for cut in classic.cuts)
    parts = [part.decode() for part in (data[:first], data[first:second], data[second:])]
    train, validation, test = (tuple(part.split("\n")) if part else () for part in parts)
    provenance = Provenance(
        classic.title, "1", classic.licence, classic.split, classic.url, classic.sha256
    )
    return Corpus(name, train, validation, test, provenance)


def _local(classic: Classic) -> Path | None:
    folder = os.environ.get("AELIB_DATA")
    if not folder:
        return None
    candidates = (Path(folder).expanduser() / file for file in classic.files)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _same(data: bytes, classic: Classic) -> bool:
    return hashlib.sha256(data).hexdigest() == classic.sha256


def _download(name: str, classic: Classic) -> Path:
    """Keras's copy; what a killed download left of it is fetched again."""
    import keras  # only here: nothing else in aelib.data needs it

    def copy(again: bool) -> Path:
        file = f"{name}{Path(classic.url).suffix}"
        return Path(keras.utils.get_file(file, classic.url, cache_subdir="aelib",
                                         force_download=again))  # fmt: skip

    try:
        path = copy(again=False)
        return path if _complete(path, classic) else copy(again=True)
    except Exception as error:  # urllib's errors have no common base but this
        raise DataUnavailable(
            f"cannot download {classic.title}: get {classic.url} and call "
            f'load("{name}", path=FILE), or put it into the folder named by AELIB_DATA'
        ) from error


def _complete(path: Path, classic: Classic) -> bool:
    try:
        return _same(_read(path, classic.size), classic)
    except BadInput:
        return False


def _read(path: Path, size: int) -> bytes:
    """The text, or enough of another one (more than `size` bytes) to tell that it is another."""
    try:
        if not zipfile.is_zipfile(path):
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as text:
            return text.read(size + 1)
    except Exception as error:  # a damaged archive raises many kinds
        raise BadInput(f"cannot read {path}: {error}") from error


def _next_character(data: bytes, cut: int) -> int:
    """The first position from cut on where a UTF-8 character begins."""
    while cut < len(data) and data[cut] & 0xC0 == 0x80:
        cut += 1
    return cut
