"""The shapes that data comes in, and the splitting of running text into sentences."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from aelib.errors import BadInput, UnknownName

SPLITS = ("train", "validation", "test")
Passages = tuple[str, ...]
References = Mapping[str, Passages]


def check_split(split: str) -> str:
    if split not in SPLITS:
        raise UnknownName(f"no split named {split!r}: choose one of {', '.join(SPLITS)}")
    return split


@dataclass(frozen=True)
class Provenance:
    """Where data comes from, under which licence, and how it was split.

    ``sha256`` is the digest of the normalised text, the three splits joined by a newline
    (of the pixels, for digits).
    """

    source: str
    version: str
    licence: str
    split: str
    url: str
    sha256: str = ""


@dataclass(frozen=True, repr=False)
class Corpus:
    """Text in three splits; each is a tuple of passages in reading order.

    A passage is a verse, a paragraph, a section or a line. ``references[split][i]`` says where
    ``split[i]`` comes from ("Ruth 1:1", "1862-Lincoln-1"), if the source can be named.
    ``flowing`` means that a sentence may run on from one passage into the next (verses).
    """

    name: str
    train: Passages
    validation: Passages
    test: Passages
    provenance: Provenance
    separator: str = "\n"
    flowing: bool = False
    references: References = field(default_factory=lambda: MappingProxyType({}))

    def passages(self, split: str = "train") -> Passages:
        """The passages of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[
            check_split(split)
        ]

    def text(self, split: str = "train") -> str:
        """The whole split as one string, passages joined by ``separator`` (a newline)."""
        return self.separator.join(self.passages(split))

    def sentences(
        self,
        split: str = "train",
        min_words: int = 4,
        max_words: int = 16,
        unique: bool = True,
    ) -> list[str]:
        """Whole sentences of ``min_words`` to ``max_words`` words, in reading order.

        Only sentences that begin with a capital and end with ``.``, ``!`` or ``?`` are kept;
        with ``unique``, the first of each.
        """
        if not 1 <= min_words <= max_words:
            raise BadInput(f"need 1 <= min_words <= max_words, not {min_words} and {max_words}")
        passages: Sequence[str] = self.passages(split)
        if self.flowing:
            passages = list(_join_flowing(passages, self.references.get(split)))
        found = [
            sentence
            for passage in passages
            for sentence in split_sentences(passage)
            if min_words <= len(sentence.split()) <= max_words and _is_whole(sentence)
        ]
        return list(dict.fromkeys(found)) if unique else found

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{split} {len(self.passages(split)):,} passages / {len(self.text(split)):,} characters"
            for split in SPLITS
        )
        return f"Corpus({self.name!r}: {sizes}; {self.provenance.licence})"


@dataclass(frozen=True, repr=False)
class Digits:
    """Handwritten digits: images (n, 64) float32 in [0, 1], labels (n,) int64; read-only."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    provenance: Provenance

    def __repr__(self) -> str:
        sizes = [len(self.y_train), len(self.y_validation), len(self.y_test)]
        return "Digits({:,} train, {:,} validation, {:,} test images of 8 x 8)".format(*sizes)


@dataclass(frozen=True, repr=False)
class Pairs:
    """The same verses in two translations: (left, right) text pairs in three splits."""

    left: str
    right: str
    train: tuple[tuple[str, str], ...]
    validation: tuple[tuple[str, str], ...]
    test: tuple[tuple[str, str], ...]
    provenance: Provenance

    def __repr__(self) -> str:
        sizes = [len(self.train), len(self.validation), len(self.test)]
        counts = "{:,} train, {:,} validation, {:,} test".format(*sizes)
        return f"Pairs({self.left!r}, {self.right!r}: {counts})"


def digest(*splits: Iterable[str], separator: str = "\n") -> str:
    """SHA-256 of the splits' text, joined by a newline."""
    text = "\n".join(separator.join(split) for split in splits)
    return hashlib.sha256(text.encode()).hexdigest()


def contiguous(passages: Sequence[str], fractions: tuple[float, float] = (0.8, 0.1)) -> list:
    """Cut passages into train, validation and test blocks in reading order.

    ``fractions`` are the shares of train and of validation; the test block is the rest.
    """
    first = int(len(passages) * fractions[0])
    second = first + int(len(passages) * fractions[1])
    return [tuple(passages[:first]), tuple(passages[first:second]), tuple(passages[second:])]


_QUOTES = str.maketrans({"`": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})


def normalise(text: str) -> str:
    """Straight quotes and single spaces, on one line."""
    return " ".join(text.translate(_QUOTES).split())


_ABBREVIATIONS = (
    "Mr|Mrs|Ms|Messrs|Dr|Prof|Rev|Hon|Gen|Maj|Col|Capt|Lieut|Lt|Sgt|Adm|Gov|Sen|Rep|Pres|Sec|Supt|"
    "St|Mt|Ft|No|Nos|Vol|Art|Sect|Ch|Fig|Inc|Co|Corp|Ltd|Bros|Jr|Sr|vs|viz|etc|cf|al|e\\.g|i\\.e|"
    "Jan|Feb|Mar|Apr|Aug|Sept|Oct|Nov|Dec|U\\.S|U\\.N|D\\.C|a\\.m|p\\.m|[A-Z]"
)
# A stop, closing quotes or brackets, a space, and then something that can open a sentence.
_CAPITAL = "A-ZÀ-ÖØ-ÞΑ-ΩА-Я"
_BOUNDARY = re.compile(rf"""(?<=[.!?])(["'”’)\]]*)\s+(?=["'“‘`(\[]*[{_CAPITAL}0-9])""")
_ABBREVIATED = re.compile(rf"(?:^|[\s(\"'\[])(?:{_ABBREVIATIONS})\.$")
_STOPS = re.compile(r"""[.!?]["'”’)\]]*$""")
_OPENS = re.compile(rf"""["'“‘`(]*[{_CAPITAL}]""")


def split_sentences(passage: str) -> Iterator[str]:
    """Split a passage into sentences; headings and indented code are left out.

    A stop followed by a space and a capital ends a sentence, unless an abbreviation or an
    initial ("Mr.", "U.S.", "J.") comes before it. Unmatched double quotes are dropped.
    """
    for block in re.split(r"\n\s*\n", passage):
        if not _is_prose(block):
            continue
        block, start = " ".join(block.split()), 0
        for match in _BOUNDARY.finditer(block):
            if not match[1] and _ABBREVIATED.search(block, start, match.start()):
                continue
            yield _tidy(block[start : match.end(1)])
            start = match.end()
        if start < len(block):
            yield _tidy(block[start:])


def _is_prose(block: str) -> bool:
    first, *rest = block.split("\n")
    underlined = bool(rest) and re.fullmatch(r"([*=\-~\"'^])\1{2,}", rest[-1].strip())
    return bool(first) and not first.startswith("   ") and not underlined


def _tidy(sentence: str) -> str:
    return sentence if sentence.count('"') % 2 == 0 else sentence.replace('"', "").strip()


def _is_whole(sentence: str) -> bool:
    return bool(
        _OPENS.match(sentence)
        and _STOPS.search(sentence)
        and sentence.count("(") == sentence.count(")")
        and not sentence.isupper()
    )


def _join_flowing(passages: Sequence[str], references: Passages | None) -> Iterator[str]:
    """Join a passage to the next while it does not end in a stop (within one book)."""
    held, book = "", ""
    for i, passage in enumerate(passages):
        here = references[i].rpartition(" ")[0] if references else ""
        if held and here != book:
            yield held
            held = ""
        held, book = f"{held} {passage}".strip(), here
        if _STOPS.search(passage):
            yield held
            held = ""
    if held:
        yield held
