"""Notebooks as text and back: `python scripts/nb.py --help`.

The book's notebooks are .ipynb files without outputs. Edit them in Jupyter and run `strip`,
or edit them as MyST Markdown:

    python scripts/nb.py text book/math/index.ipynb      # writes _build/text/book/math/index.md
    python scripts/nb.py notebook book/math/index.ipynb  # reads it back: ids kept, outputs dropped
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "_build" / "text"
COLAB = "colab"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def text_path(notebook: Path) -> Path:
    """Where the text of a notebook is edited."""
    return TEXT / notebook.resolve().relative_to(ROOT).with_suffix(".md")


def cell_id(source: str, taken: set[str]) -> str:
    """An id that depends on the cell's first text alone, and is free."""
    name = digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    copy = 1
    while name in taken:
        copy += 1
        name = f"{digest}-{copy}"
    return name


def colab_cell(folder: str) -> dict[str, Any]:
    """The first code cell of every notebook: does nothing but on Colab; the site hides it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    source = f"""import sys

if "google.colab" in sys.modules:  # on Colab: fetch the book and install its library
    %env BOOK={config["repository"]["url"]}
    !git clone -q --depth 1 "$BOOK" /content/book
    %pip install -q --editable "/content/book[data]"
    %cd -q /content/book/{folder}"""
    return {
        "cell_type": "code",
        "id": COLAB,
        "metadata": {"tags": ["remove-cell"]},
        "source": source,
    }


def with_colab(nb: dict[str, Any], folder: str) -> dict[str, Any]:
    """The notebook with that cell before its first code cell, once."""
    cells = [cell for cell in nb["cells"] if '"google.colab" in' not in "".join(cell["source"])]
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    return {**nb, "cells": [*cells[:first], colab_cell(folder), *cells[first:]]}


def folder_of(notebook: Path) -> str:
    return notebook.resolve().parent.relative_to(ROOT).as_posix()


def normalise(nb: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    """Outputs dropped, python3 kernel, ids kept from `old` for cells with unchanged source."""
    known: dict[str, list[str]] = {}
    for cell in (old or {"cells": []})["cells"]:
        if cell.get("id"):
            known.setdefault("".join(cell["source"]), []).append(cell["id"])
    reserved = {name for names in known.values() for name in names}
    cells, taken = [], set()
    for cell in nb["cells"]:
        source = "".join(cell["source"]).strip("\n")
        if not source:
            continue
        if cell.get("id") == COLAB:
            name = COLAB
        elif names := known.get(source):
            name = names.pop(0)
        elif old is None and cell.get("id") and cell["id"] not in taken:
            name = cell["id"]
        else:
            name = cell_id(source, taken | reserved)
        taken.add(name)
        cells.append(clean_cell(cell, name, source))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def clean_cell(cell: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    """The cell with its tags and nothing else that a run or an editor left on it."""
    kept = ("tags", "mystnb")
    metadata = {k: v for k, v in cell.get("metadata", {}).items() if k in kept and v}
    clean = {"cell_type": cell["cell_type"], "id": name, "metadata": metadata}
    if cell["cell_type"] == "code":
        clean |= {"execution_count": None, "outputs": []}
    return clean | {"source": source.splitlines(keepends=True)}


def write(path: Path, text: str) -> None:
    """Writes to a temporary name first, so that no half file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def dump(nb: dict[str, Any]) -> str:
    return json.dumps(nb, ensure_ascii=False, indent=1) + "\n"


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def to_text(notebook: Path) -> None:
    import jupytext

    nb = jupytext.read(notebook)
    write(text_path(notebook), jupytext.writes(nb, fmt="md:myst"))
    print(text_path(notebook).relative_to(ROOT))


def to_notebook(notebook: Path) -> None:
    import jupytext
    import nbformat

    source = text_path(notebook)
    if not source.is_file():
        sys.exit(f"no {source.relative_to(ROOT)}: make it first with `scripts/nb.py text`")
    nb = json.loads(nbformat.writes(jupytext.read(source, fmt="md:myst")))
    nb = with_colab(nb, folder_of(notebook))
    write(notebook, dump(normalise(nb, load(notebook) if notebook.is_file() else {"cells": []})))
    print(f"{notebook}: {len(nb['cells'])} cells")


def strip(notebook: Path) -> None:
    before = notebook.read_text(encoding="utf-8")
    after = dump(normalise(with_colab(json.loads(before), folder_of(notebook))))
    if after != before:
        write(notebook, after)
        print(f"{notebook}: stripped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=["text", "notebook", "strip"])
    parser.add_argument("notebooks", nargs="+", type=Path)
    arguments = parser.parse_args()
    action = {"text": to_text, "notebook": to_notebook, "strip": strip}[arguments.action]
    for notebook in arguments.notebooks:
        action(notebook)


if __name__ == "__main__":
    main()
