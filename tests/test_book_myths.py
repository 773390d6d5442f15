"""Every myth of the book comes with an experiment and with a figure that the experiment glues."""

import ast
import json
import re
from pathlib import Path

import ledger
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "reference" / "myths.md"
FIGURE = re.compile(r"\{glue:text\}`/(book/[\w/]+\.ipynb)::(\w+):s`")
LINK = re.compile(r"\{doc\}`(?:[^`<]*<)?([\w./]+)>?`")
SOURCE = re.compile(r"\{cite(?::\w+)?\}`([\w,]+)`")


def myths(text):
    """{title: body} of the page's third-level sections."""
    parts = re.split(r"^### +(.+)$", re.sub(r"^## .*$", "", text, flags=re.M), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def pattern(node):
    """What a glued name can be, as a regular expression: f"{key}_mse" is ".+_mse"."""
    if isinstance(node, ast.Constant):
        return re.escape(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(map(pattern, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return pattern(node.left) + pattern(node.right)
    return ".+"


def glued(path):
    """Patterns of the names that a notebook's glue() and decide() calls make."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    made = [f"{claim}_{name}" for claim, names, _ in ledger.decisions(notebook) for name in names]
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and "glue(" in source and "%cd" not in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "glue":
                    made.append(pattern(node.args[0]))
    return made


def faults(title, body, root=ROOT):
    """What a myth lacks: the link to an experiment, a figure or source, a figure's origin."""
    folder = root / "book" / "reference"
    pages = [(folder / link).resolve().with_suffix(".ipynb") for link in LINK.findall(body)]
    figures = FIGURE.findall(body)
    found = [f"{title}: dead link to {p.stem}" for p in pages if not p.is_file()]
    if not pages:
        found.append(f"{title}: no link to an experiment")
    if not figures and not SOURCE.search(body):
        found.append(f"{title}: neither a figure nor a source")
    for name, key in figures:
        if not any(re.fullmatch(made, key) for made in glued(root / name)):
            found.append(f"{title}: {name} glues no {key}")
    return found


@pytest.mark.parametrize(("title", "body"), myths(PAGE.read_text(encoding="utf-8")).items())
def test_myth_has_experiment_and_figure(title, body):
    assert faults(title, body) == []


def test_myths_cite_known_sources():
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    keys = ",".join(SOURCE.findall(PAGE.read_text(encoding="utf-8"))).split(",")
    assert [key for key in keys if f"{{{key}," not in bibliography] == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("Wrong {cite}`a2020b`.", "no link to an experiment"),
        ("Wrong. {doc}`../math/index`", "neither a figure nor a source"),
        ("{cite}`a2020b` {doc}`../math/nowhere`", "dead link to nowhere"),
        ("{glue:text}`/book/math/index.ipynb::no_such:s` {doc}`../math/index`", "glues no no_such"),
    ],
)
def test_spoiled_myth_is_named(body, fault):
    (found,) = faults("“It”", body)
    assert fault in found
