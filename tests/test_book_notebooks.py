"""What every page of the book must keep to, and tests of the checks themselves."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import ledger
import nb
import prose
import pytest
import yaml
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(
    p for p in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
)
PAGES = [*NOTEBOOKS, *sorted((ROOT / "book").rglob("*.md"))]
LESSONS = [path for path in NOTEBOOKS if path != ROOT / "book" / "index.ipynb"]
LONGEST_CELL = 15
PARTS = {
    "“What you should see”": r"^#+ What you should see|\{admonition\} What you should see",
    "“Limits”": r"^#+ Limits\b|^\*\*Limits\b|\{admonition\} Limits",
    "an exercise marked warm-up": r"\{exercise(-start)?\}.*[Ww]arm-up",
    "an exercise marked research": r"\{exercise(-start)?\}.*[Rr]esearch",
    "a source in {cite}": r"\{cite(:\w+)?\}`",
}
SOLVED_ON_PAPER = set()  # labels of exercises whose solution is mathematics only
CODE = "%% a code cell that runs"


def name(path):
    return str(path.relative_to(ROOT))


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebook_is_stored_clean(path):
    """No outputs, python3, an id on every cell, nothing that an editor left."""
    stored = path.read_text(encoding="utf-8")
    notebook = json.loads(stored)
    ids = [cell.get("id") for cell in notebook["cells"]]
    assert all(ids) and len(set(ids)) == len(ids)
    clean = nb.normalise(nb.with_colab(notebook, nb.folder_of(path)))
    assert stored == nb.dump(clean), f"run: scripts/nb.py strip {name(path)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_cells_are_short(path):
    lines = [source.splitlines() for source in cells(path, "code")]
    long = [f"{len(cell)} lines: {cell[0]}" for cell in lines if len(cell) > LONGEST_CELL]
    assert not long, f"{name(path)} has cells of more than {LONGEST_CELL} lines: {long}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_number_is_typed(path):
    allowed = prose.allowed_numbers()
    found = [number for text in prose.texts(path) for number in prose.typed_numbers(text, allowed)]
    assert not found, "glue these, or list them in tests/allowed_numbers.txt: " + "; ".join(found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_headings_go_down_one_level_at_a_time(path):
    text = re.sub(r"^(`{3,}).*?^\1", "", "\n".join(cells(path, "markdown")), flags=re.M | re.S)
    levels = [len(m) for m in re.findall(r"^(#+) ", text, re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_every_exercise_is_solved(path):
    text = "\n".join(cells(path, "markdown"))
    exercises = re.findall(r"\{exercise(?:-start)?\}.*?:label: *(\S+)", text, re.S)
    solutions = re.findall(r"\{solution(?:-start)?\} *(\S+)", text)
    assert sorted(exercises) == sorted(solutions)
    assert text.count("{exercise-start}") == text.count("{exercise-end}")
    assert text.count("{solution-start}") == text.count("{solution-end}")


def page(path):
    """A notebook as one text, with the line CODE in place of each code cell that runs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    texts = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            texts.append("".join(cell["source"]))
        elif "skip-execution" not in cell["metadata"].get("tags", []):
            texts.append(CODE)
    return "\n".join(texts)


def missing_parts(text):
    return [part for part, pattern in PARTS.items() if not re.search(pattern, text, re.M)]


def missing_in_exercises(text):
    """What the exercises and the solutions of a page lack."""
    labels = re.findall(r"\{exercise(?:-start)?\}.*?:label: *(\S+)", text, re.S)
    parts = re.split(r"\{solution(?:-start)?\} *(\S+)", text)
    solutions = {
        label: re.split(r"\{exercise(?:-start)?\}|^## ", body, maxsplit=1, flags=re.M)[0]
        for label, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    found = [] if len(labels) >= 3 else [f"exercises (it has {len(labels)} of at least 3)"]
    found += [f"a solution of {label}" for label in labels if label not in solutions]
    for label, body in solutions.items():
        if ":class: dropdown" not in body:
            found.append(f"a dropdown around the solution of {label}")
        if CODE not in body and label not in SOLVED_ON_PAPER:
            found.append(f"a code cell in the solution of {label}")
    return found


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_page_has_every_part(path):
    missing = missing_parts(page(path))
    assert not missing, f"{name(path)} lacks: {', '.join(missing)}"


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_exercises_have_solutions_that_run(path):
    missing = missing_in_exercises(page(path))
    assert not missing, f"{name(path)} lacks: {', '.join(missing)}"


def test_every_source_can_be_found_and_stands_once():
    entries = parse_file(str(ROOT / "book" / "references.bib")).entries
    unlinked = [key for key, entry in entries.items() if not {"doi", "url"} & set(entry.fields)]
    assert not unlinked, f"neither DOI nor URL: {unlinked}"
    links = Counter(e.fields.get("doi") or e.fields["url"] for e in entries.values())
    twice = [link for link, count in links.items() if count > 1]
    assert not twice, f"listed under two keys: {twice}"


def toc_files(node):
    """Every file that _toc.yml names."""
    if isinstance(node, list):
        return [file for item in node for file in toc_files(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [file for value in node.values() for file in toc_files(value)]


def test_table_of_contents_names_every_page_once():
    files = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert sorted(files) == sorted(name(path.with_suffix("")) for path in PAGES)


# The checks themselves


@pytest.mark.parametrize(
    "text",
    [
        "It reached 0.0059 on held-out data.",
        "About 97 % of the sentences come back.",
        "It is 3× faster.",
        "There are 31,102 verses.",
        "| PCA | 14.2 |",
        "```{admonition} Note\nAbout 25 nats.\n```",
        "Half of 5 per cent.",
        "A latent of $256$ numbers.",
        "An interval of $95\\,\\%$.",
        "A threshold of $0.4$ and $n = 256$.",
        "At $T = 0$, $0.4$, $1$.",
        "With $100\\,000$ sentences.",
        "About $\\approx 3\\times10^{6}$ words.",
    ],
)
def test_typed_numbers_are_found(text):
    assert len(prose.typed_numbers(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{glue:text}`C16_mse` nats, {glue:text}`/book/math/index.ipynb::x` more",
        "In 2018, GPT-3 and C16 with 16-bit floats, 2 layers and 12 heads, the 1980s.",
        "From $4$ to $12$ words, $p = 0.5$, $k \\le 64$, to $2^{24}$ or $10^{-6}$, not $\\$3$.",
        "`x[100]`, $x^{100}$ and\n$$\n64 \\times 64\n$$",
        "```python\nx = 3.14\n```",
        "1. first\n2. second",
        "[a link](https://example.org/12345) and <https://example.org/99>",
        "```{exercise-start} Warm-up\n:label: math-100\n```",
    ],
)
def test_free_numbers_pass(text):
    assert prose.typed_numbers(text) == []


def test_allowed_numbers_need_a_reason(tmp_path):
    (tmp_path / "a.txt").write_text("97.5\n")
    with pytest.raises(ValueError, match=r"97\.5 has no reason"):
        prose.allowed_numbers(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("97.5  # measured by others (Li, 2020)\n")
    allowed = prose.allowed_numbers(tmp_path / "a.txt")
    assert prose.typed_numbers("97.5 and 97.6", allowed) == ["97.6 in “97.5 and 97.6”"]


def test_a_number_can_be_allowed_before_its_words_only():
    assert prose.typed_numbers("$256$\nbytes", {"256 bytes"}) == []
    assert len(prose.typed_numbers("256 numbers", {"256 bytes"})) == 1


def test_missing_parts_are_named():
    exercise = "```{{exercise-start}} {0}\n:label: {0}\n```\n```{{solution-start}} {0}\n{1}\n```\n"
    whole = "".join(exercise.format(x, f":class: dropdown\n{CODE}") for x in "abc")
    assert missing_in_exercises(whole) == []
    assert missing_in_exercises(whole + exercise.format("d", CODE)) == [
        "a dropdown around the solution of d"
    ]
    assert missing_in_exercises(whole.replace(f"{CODE}\n", "", 1)) == [
        "a code cell in the solution of a"
    ]
    assert len(missing_in_exercises("")) == 1 and missing_parts("") == list(PARTS)
    assert "“Limits”" not in missing_parts("## Limits and the next question")


def test_normalise_keeps_ids_of_unchanged_cells():
    def cell(source, **more):
        return {"cell_type": "code", "source": source, "metadata": {}, **more}

    old = nb.normalise({"cells": [cell("a = 1"), cell("b = 2"), cell("a = 1")]}, {"cells": []})
    edited = {
        "cells": [cell("new"), cell("b = 2", outputs=[{"x": 1}], execution_count=3), cell("a = 1")]
    }
    new = nb.normalise(edited, old)
    ids = [c["id"] for c in new["cells"]]
    assert ids[1] == old["cells"][1]["id"] and ids[2] == old["cells"][0]["id"]
    assert len(set(ids)) == 3
    assert new["cells"][1]["outputs"] == [] and new["cells"][1]["execution_count"] is None
    assert nb.normalise(new) == new


def test_colab_cell_is_put_in_once_and_can_be_parsed():
    def cell(kind, source):
        return {"cell_type": kind, "source": source, "metadata": {}}

    book = {"cells": [cell("markdown", "# Title"), cell("code", "decide('C1', a > b)")]}
    once = nb.normalise(nb.with_colab(book, "book/math"), {"cells": []})
    twice = nb.normalise(nb.with_colab(once, "book/math"))
    assert once == twice and once["cells"][1]["id"] == nb.COLAB
    assert "%cd -q /content/book/book/math" in "".join(once["cells"][1]["source"])
    assert list(ledger.decisions(once)) == [("C1", set(), True)]
