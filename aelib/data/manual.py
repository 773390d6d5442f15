"""Technical English: the language reference that ships with Python (``pydoc_data.topics``)."""

import platform
import re
from types import MappingProxyType

from aelib.data.corpus import SPLITS, Corpus, Provenance, digest

_LONG = 60  # characters: shorter paragraphs (headings, "Note:") are common to unrelated topics


def load_pydoc() -> Corpus:
    """Python's help topics; each passage is a section of a topic, line breaks kept.

    Many topics quote others, so that a random split would leak. A topic most of which is part of a
    longer one is left out, and of each repeated paragraph the first is kept.
    """
    from pydoc_data.topics import topics

    kept = _without_repeats(_without_contained(topics))
    train, validation, test, references = _split(kept)
    provenance = Provenance(
        source="pydoc_data.topics of the Python standard library",
        version=platform.python_version(),
        licence="PSF-2.0",
        split="whole topics by name, in ten blocks of like length: fifth validation, tenth test",
        url="https://docs.python.org/3/reference/",
        sha256=digest(train, validation, test, separator="\n\n"),
    )
    return Corpus(
        "pydoc", train, validation, test, provenance, separator="\n\n", references=references
    )


def _paragraphs(topic: str) -> list[str]:
    lines = "\n".join(line.rstrip() for line in topic.splitlines())
    return [p.strip("\n") for p in re.split(r"\n{2,}", lines) if p.strip()]


def _without_contained(topics: dict[str, str]) -> dict[str, list[str]]:
    """Leave out each topic that has half of its long paragraphs in one longer topic."""
    paragraphs = {name: _paragraphs(topics[name]) for name in sorted(topics)}
    long = {name: {p for p in ps if len(p) > _LONG} for name, ps in paragraphs.items()}

    def contained(name: str) -> bool:
        return any(
            2 * len(long[name] & long[other]) >= len(long[name]) > 0
            and (len(topics[other]), other) > (len(topics[name]), name)
            for other in topics
            if other != name
        )

    return {name: ps for name, ps in paragraphs.items() if not contained(name)}


def _without_repeats(paragraphs: dict[str, list[str]]) -> dict[str, list[str]]:
    seen: set[str] = set()
    kept = {}
    for name, ps in paragraphs.items():
        kept[name] = [p for p in ps if len(p) <= _LONG or p not in seen]
        seen.update(ps)
    return kept


def _sections(paragraphs: list[str]) -> list[str]:
    """Join paragraphs into sections; a heading (an underlined line) opens one."""
    sections: list[list[str]] = []
    for paragraph in paragraphs:
        if not sections or re.search(r"\n[*=\-~]{3,}$", paragraph):
            sections.append([])
        sections[-1].append(paragraph)
    return ["\n\n".join(section) for section in sections]


def _split(
    paragraphs: dict[str, list[str]],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], MappingProxyType]:
    total = sum(len(p) for ps in paragraphs.values() for p in ps)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    references: dict[str, list[str]] = {split: [] for split in SPLITS}
    before = 0
    for name, ps in paragraphs.items():
        block = 10 * before // total
        split = {4: "validation", 9: "test"}.get(block, "train")
        sections = _sections(ps)
        splits[split].extend(sections)
        references[split].extend([name] * len(sections))
        before += sum(len(p) for p in ps)
    train, validation, test = (tuple(splits[split]) for split in SPLITS)
    return train, validation, test, MappingProxyType({s: tuple(references[s]) for s in SPLITS})
