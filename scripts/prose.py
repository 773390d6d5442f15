"""Finds numbers that somebody typed into the book's prose: they must come from a run.

python scripts/prose.py FILE ...      (notebooks or Markdown)

Free are: years, whole numbers up to twelve, names (GPT-3, C16, 16-bit), code, mathematics
(but not a number alone between dollars), addresses, roles such as {glue:text}, and what
tests/allowed_numbers.txt lists with a reason.
"""

import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

ALLOWED = Path(__file__).resolve().parent.parent / "tests" / "allowed_numbers.txt"
LARGEST_FREE = 12
NOT_PROSE = {"code-block", "code-cell", "math", "eval-rst", "bibliography", "include", "mermaid"}
NOT_PROSE |= {"claim", "verdict", "ledger", "tally", "api", "results", "literalinclude", "toctree"}
FENCE = re.compile(r"^\s*(`{3,}|:{3,}|~{3,})\s*(?:\{([\w:-]+)\})?(\S*)")
INLINE = re.compile(r"(?<![\\$])\$([^$]+?)\$")
BARE = re.compile(  # of a number alone: 256, 95\,\%, \approx 3\times10^{6}; but not 10^{6}
    r"(?!10\^\{?-?\d+\}?$)(?:[\d.,\-–~<>\s]|\{,\}|10\^(?:\d|\{-?\d+\})"
    r"|\\[,;!%]|\\(?:times|approx|sim|pm|[lg]eq?)(?![a-z]))+"
)
UNDRESSED = [
    (re.compile(r"10\^\{?(-?\d+)\}?"), lambda match: f"{Decimal(10) ** int(match[1]):,f}"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)(?:\\[,;!]|~)(?=\d{3}\b)"), ""),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\times"), " × "),
    (re.compile(r"\\(?:[,;!]|[a-z]+)|~"), " "),
]
REMOVED = [
    re.compile(r"<!--.*?-->", re.S),
    re.compile(r"\$\$.*?\$\$", re.S),
    re.compile(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.S),
    INLINE,
    re.compile(r"\{[\w:+-]+\}(`+).+?\1", re.S),
    re.compile(r"(`+).+?\1", re.S),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"<[^>\n]+>"),
    re.compile(r"https?://\S+|10\.\d{4,}/\S+"),
    re.compile(r"^\s*\d+[.)]\s", re.M),
    re.compile(r"^\s*:[\w-]+:.*$", re.M),
    re.compile(r"^\s*\([\w-]+\)=\s*$", re.M),
]
NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*)"
    r"(?![\w]|-[A-Za-z])(\s?(?:%|per ?cent\b|×(?!\s?\d)))?"
)
YEARS = re.compile(r"(?:18|19|20)\d\d")


def prose(markdown: str) -> str:
    """The text that a reader reads as prose: fenced code goes, directives' bodies stay."""
    kept, fences = [], []
    for line in markdown.splitlines():
        match = FENCE.match(line)
        if match and fences and match[1].startswith(fences[-1][0]) and not (match[2] or match[3]):
            fences.pop()
        elif match:
            inside = match[2] is not None and match[2] not in NOT_PROSE
            fences.append((match[1], inside))
            kept.append(line[match.end() :] if inside else "")
        elif all(inside for _, inside in fences):
            kept.append(line)
    text = "\n".join(kept)
    for pattern in REMOVED:
        text = pattern.sub(undressed if pattern is INLINE else " ", text)
    return text


def undressed(span: re.Match) -> str:
    """A number alone in mathematics as one writes it outside; of other mathematics, nothing."""
    number = span[1]
    if not BARE.fullmatch(number):
        return " "
    for pattern, plain in UNDRESSED:
        number = pattern.sub(plain, number)
    return number.strip()


def allowed_numbers(path: Path = ALLOWED) -> set[str]:
    """Numbers with a reason: '1,797  # digits of scikit-learn'. Raises ValueError without one.

    With words behind it ('256 bytes') a number is allowed before these words only.
    """
    numbers = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            number, _, reason = line.partition("#")
            if not reason.strip():
                raise ValueError(f"{path.name}: {number.strip()} has no reason")
            numbers.add(number.strip())
    return numbers


def typed_numbers(markdown: str, allowed: set[str] = frozenset()) -> list[str]:
    """The numbers in a text that nothing computed, with a few words around each."""
    text = " ".join(prose(markdown).split())
    phrases = tuple(entry for entry in allowed if " " in entry)
    found = []
    for match in NUMBER.finditer(text):
        number, unit = match[1], match[2]
        if number in allowed or match[0].replace(" ", "") in allowed:
            continue
        if text.startswith(phrases, match.start()):
            continue
        if not unit and (YEARS.fullmatch(number) or _small(number)):
            continue
        around = text[max(0, match.start() - 30) : match.end() + 20]
        found.append(f"{match[0]} in “{around.strip()}”")
    return found


def _small(number: str) -> bool:
    return number.isdigit() and int(number) <= LARGEST_FREE


def texts(path: Path) -> Iterator[str]:
    """The Markdown of a page: of each cell of a notebook."""
    if path.suffix != ".ipynb":
        yield path.read_text(encoding="utf-8")
        return
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])


def main() -> int:
    allowed, count = allowed_numbers(), 0
    for path in map(Path, sys.argv[1:]):
        for text in texts(path):
            for number in typed_numbers(text, allowed):
                print(f"{path}: {number}")
                count += 1
    return bool(count)


if __name__ == "__main__":
    sys.exit(main())
