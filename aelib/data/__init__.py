"""Corpora, digits and sources of known entropy, each with fixed splits and its provenance.

>>> import aelib
>>> corpus = aelib.data.load("web")
>>> corpus.sentences("test")[:1]
['They came into the country of Moab, and continued there.']
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, overload

from aelib.data.addresses import Speech, load_sotu, speeches
from aelib.data.bible import load_bible, load_pairs
from aelib.data.corpus import Corpus, Digits, Pairs, Provenance, normalise, split_sentences
from aelib.data.digits import load_digits
from aelib.data.features import TextFeatures
from aelib.data.files import from_file
from aelib.data.grammar import ENGLISH, Grammar, GrammarCorpus, MarkovSource, load_grammar
from aelib.data.manual import load_pydoc
from aelib.data.online import CLASSICS, load_classic
from aelib.errors import BadInput, DataUnavailable, UnknownName

__all__ = [
    "ENGLISH", "Corpus", "Digits", "Grammar", "GrammarCorpus", "MarkovSource", "Pairs",
    "Provenance", "Speech", "TextFeatures", "available", "from_file", "load", "normalise", "pairs",
    "speeches", "split_sentences", "summary",
]  # fmt: skip

_LOADERS: dict[str, Callable[[], Corpus | Digits]] = {
    "web": lambda: load_bible("web"),
    "kjv": lambda: load_bible("kjv"),
    "asv": lambda: load_bible("asv"),
    "sotu": load_sotu,
    "pydoc": load_pydoc,
    "digits": load_digits,
    "grammar": load_grammar,
}


def available(online: bool = False) -> list[str]:
    """The names that ``load`` knows; with ``online``, also those that may need the network."""
    return [*_LOADERS, *(CLASSICS if online else ())]


@overload
def load(name: Literal["digits"]) -> Digits: ...
@overload
def load(name: Literal["grammar"]) -> GrammarCorpus: ...
@overload
def load(
    name: Literal["web", "kjv", "asv", "sotu", "pydoc", "shakespeare", "text8", "enwik8"],
    path: str | Path | None = None,
) -> Corpus: ...
@overload
def load(name: str, path: str | Path | None = None) -> Corpus | Digits: ...
def load(name: str, path: str | Path | None = None) -> Corpus | Digits:
    """Load a corpus or the digits by name. Nothing in the result can be changed; it is cached.

    Args:
        name: one of ``available(online=True)``.
        path: for an online classic, the local file to read instead.

    Raises:
        UnknownName: there is no such corpus.
        DataUnavailable: the data extra is not installed, or the network cannot be reached.
        BadInput: a path for something else than an online classic.
    """
    if name in CLASSICS:
        return load_classic(name, path)
    if name not in _LOADERS:
        raise UnknownName(
            f"no corpus named {name!r}: choose from {', '.join(available(online=True))}, "
            "or read your own with aelib.data.from_file(path)"
        )
    if path is not None:
        raise BadInput(f"path is for {', '.join(CLASSICS)}: read your own text with "
                       "aelib.data.from_file(path)")  # fmt: skip
    return _load(name)


@cache
def _load(name: str) -> Corpus | Digits:
    return _LOADERS[name]()


@cache
def pairs(left: str = "kjv", right: str = "web") -> Pairs:
    """Verses that two Bibles share, as (left, right) pairs; the books held out are the same.

    Raises:
        UnknownName: not one of web, kjv, asv.
        DataUnavailable: the data extra is not installed.
    """
    return load_pairs(left, right)


def summary() -> str:
    """A table of every corpus: characters in each split, licence and source."""
    rows: list[tuple[str, ...]] = [("name", "train", "validation", "test", "licence", "source")]
    for name in _LOADERS:
        try:
            data = load(name)
        except DataUnavailable as error:
            rows.append((name, "-", "-", "-", "-", str(error)))
            continue
        if isinstance(data, Corpus):
            sizes = [f"{len(data.text(split)):,}" for split in ("train", "validation", "test")]
        elif isinstance(data, Digits):
            ys = (data.y_train, data.y_validation, data.y_test)
            sizes = [f"{len(y):,} images" for y in ys]
        rows.append((name, *sizes, data.provenance.licence, data.provenance.source))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)) for row in rows
    )
