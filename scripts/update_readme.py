"""Writes the table of minutes per notebook into README.md, from the last build."""

import sys

from build_book import ROOT, timings
from nb import write

START, END = "<!-- timings: `make readme` writes this -->", "<!-- end of timings -->"


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if not (ROOT / "_build" / "timings.json").is_file():
        sys.exit("no build yet: run `make book` first")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    write(readme, f"{before}{START}\n{timings(ROOT / '_build')}\n{END}{after}")


if __name__ == "__main__":
    main()
