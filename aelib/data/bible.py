"""Three public-domain Bibles, verse by verse, from the ``pythonbible-*`` wheels."""

import importlib
import re
from functools import lru_cache
from importlib.metadata import version as installed_version
from types import MappingProxyType

from aelib.data.corpus import SPLITS, Corpus, Pairs, Provenance, digest, normalise
from aelib.errors import DataUnavailable, UnknownName

TITLES = {
    "web": "World English Bible",
    "kjv": "King James Version",
    "asv": "American Standard Version",
}

# Whole books, the same in every translation. Books that tell the same story stay together on the
# training side: Samuel, Kings, Chronicles, Isaiah, Jeremiah and the Psalms; Ezra and Nehemiah; the
# Gospels; the books of the Law; Ephesians and Colossians; 2 Peter and Jude.
VALIDATION_BOOKS = ("Esther", "Job", "Lamentations", "Amos", "Jonah", "Romans", "Galatians")
TEST_BOOKS = ("Ruth", "Proverbs", "Ecclesiastes", "Daniel", "Hosea", "Acts", "James")
_SPLIT_RULE = (
    f"whole books: validation {', '.join(VALIDATION_BOOKS)}; test {', '.join(TEST_BOOKS)}; "
    "parallel histories, Gospels and letters together in train"
)

_PSALMS, _SONG = 19, 22
_NEXT_PSALM = re.compile(r"\s+(?:BOOK [IV]+\s+)?Psalm \d+\b.*$", re.DOTALL)
_HEBREW_LETTER = re.compile(r"(?<=[.?!])\s+[A-Z]{2,}(?: AND SHIN)?\.?$")
_SPEAKER = re.compile(r"(?<=[.?!,])\s+(?:Lover|Beloved|Friends)(?=$|\s+[A-Z])")
_SELAH = re.compile(r"\s*\[(Higgaion\. )?Selah\.?\]?$")
_PLACEHOLDER = re.compile(r"(?:dummy|empty) verses\b.* by amos$")


def load_bible(name: str) -> Corpus:
    """One translation; each passage is a verse and its reference is like "Ruth 1:1".

    Raises:
        DataUnavailable: the wheel is not installed.
    """
    verses, titles = _verses(name)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    references: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, verse in verses.items():
        book = titles[number // 1_000_000]
        split = split_of_book(book)
        splits[split].append(verse)
        references[split].append(f"{book} {number // 1000 % 1000}:{number % 1000}")
    train, validation, test = (tuple(splits[split]) for split in SPLITS)
    return Corpus(
        name, train, validation, test,
        provenance=_provenance(name, digest(train, validation, test)),
        flowing=True,
        references=MappingProxyType({split: tuple(references[split]) for split in SPLITS}),
    )  # fmt: skip


def load_pairs(left: str, right: str) -> Pairs:
    """The verses that both translations have, as (left, right) pairs."""
    for name in (left, right):
        if name not in TITLES:
            raise UnknownName(f"no Bible named {name!r}: choose from {', '.join(TITLES)}")
    (ours, titles), (theirs, _) = _verses(left), _verses(right)
    splits: dict[str, list[tuple[str, str]]] = {split: [] for split in SPLITS}
    for number, verse in ours.items():
        if number in theirs:
            splits[split_of_book(titles[number // 1_000_000])].append((verse, theirs[number]))
    train, validation, test = (tuple(splits[split]) for split in SPLITS)
    lines = [["\t".join(pair) for pair in split] for split in (train, validation, test)]
    one, two = _provenance(left), _provenance(right)
    provenance = Provenance(
        f"{one.source}; {two.source}", f"{one.version}; {two.version}", one.licence, _SPLIT_RULE,
        one.url, digest(*lines),
    )  # fmt: skip
    return Pairs(left, right, train, validation, test, provenance)


def split_of_book(book: str) -> str:
    """Which split a book of the Bible belongs to."""
    if book in VALIDATION_BOOKS:
        return "validation"
    return "test" if book in TEST_BOOKS else "train"


@lru_cache(maxsize=len(TITLES))
def _verses(name: str) -> tuple[MappingProxyType[int, str], MappingProxyType[int, str]]:
    """Normalised verses by number (book, chapter, verse: 1001001), and book titles by number."""
    try:
        # The readers' edition: plain text without verse numbers. The html ones are not imported.
        module = importlib.import_module(f"pythonbible_{name}.plain_text_readers_bible")
    except ModuleNotFoundError as error:
        raise DataUnavailable(
            f'the corpus "{name}" is not installed: pip install "aelib[data]"'
        ) from error
    bible = module.bible
    content, ends = bible.scripture_content, bible.verse_end_indices
    verses = {}
    for number, start in bible.verse_start_indices.items():
        verse = clean_verse(content[start : ends[number]].strip(), number)
        if verse:  # a few verses are empty in one translation or another
            verses[number] = verse
    titles = {book.value: book.title for book in bible.short_titles}
    return MappingProxyType(verses), MappingProxyType(titles)


def clean_verse(verse: str, number: int) -> str:
    """Normalise one verse: the next psalm's heading, speakers' names and brackets removed."""
    book = number // 1_000_000
    if "Psalm " in verse:
        verse = _NEXT_PSALM.sub("", verse)
    if book == _PSALMS:
        verse = _HEBREW_LETTER.sub("", verse)
    if book == _SONG:
        verse = _SPEAKER.sub("", verse)
    if verse.endswith(" by amos") and _PLACEHOLDER.search(verse):
        return ""
    verse = _SELAH.sub(r" \1Selah.", verse)
    return normalise(verse.replace("[", "").replace("]", "").replace("( ", "("))


def _provenance(name: str, sha256: str = "") -> Provenance:
    package = f"pythonbible-{name}"
    return Provenance(
        source=f"{TITLES[name]}, from the package {package}",
        version=installed_version(package),
        licence="public domain",
        split=_SPLIT_RULE,
        url="https://github.com/avendesora/pythonbible",
        sha256=sha256,
    )
