"""The claims ledger as data: reading book/claims.yml, and finding what is wrong with it."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

SECTIONS = {
    "background": "背景 Background",
    "concepts": "核心概念 Concepts",
    "math": "算法 Algorithm and mathematics",
    "code": "代码 Code",
    "future": "未来 Future challenges",
    "faq": "附录 Questions and answers",
}
VERDICTS = ("holds", "partly", "wrong", "out of date")
PLACEHOLDER = re.compile(r"(?<![{`\w])\{(\w+)\}(?!`)")
CLAIM_BOX = re.compile(r"^[`:]{3,}\{claim\}[ \t]+(.+)$", re.M)


@dataclass(frozen=True)
class Claim:
    """One row of the ledger; the fields are explained at the top of claims.yml."""

    id: str
    name: str
    section: str
    zh: str
    en: str
    verdict: str
    because: str
    link: str
    cites: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The label of the box in the notebook that decides the claim."""
        return f"claim-{self.id.lower()}"

    @property
    def row(self) -> str:
        """The label of the claim's row in the ledger."""
        return f"ledger-{self.id.lower()}"

    @property
    def figures(self) -> list[str]:
        """Names of the figures that the sentence quotes."""
        return PLACEHOLDER.findall(self.because)

    def sentence(self) -> str:
        """The sentence as MyST, each figure taken from the run of the linked notebook."""
        where = f"/{self.link}.ipynb::{self.id}_"
        return PLACEHOLDER.sub(lambda m: f"{{glue:text}}`{where}{m[1]}:s`", self.because)


def load(path: Path) -> list[Claim]:
    """The ledger's rows in order. Raises ValueError, naming the row, for an unknown field."""
    claims = []
    for row in yaml.safe_load(path.read_text(encoding="utf-8")):
        try:
            claims.append(Claim(**{**row, "cites": tuple(row.get("cites", ()))}))
        except TypeError as error:
            raise ValueError(f"{path.name}, {row.get('id', row)}: {error}") from None
    return claims


def boxes(notebook: dict) -> Iterator[str]:
    """Ids in the claim boxes of a notebook's markdown cells."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for ids in CLAIM_BOX.findall("".join(cell["source"])):
                yield from ids.split()


def decisions(notebook: dict) -> Iterator[tuple[str, set[str], bool]]:
    """(claim id, names of figures, can it fail?) for each decide(...) call in a notebook."""
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = re.sub(r"^(\s*)[%!].*$", r"\1pass", "".join(cell["source"]), flags=re.M)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and _called(node.func) == "decide" and len(node.args) > 1:
                claim, holds = node.args[:2]
                if isinstance(claim, ast.Constant):
                    names = {word.arg for word in node.keywords if word.arg}
                    yield claim.value, names, not isinstance(holds, ast.Constant)


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def problems(claims: list[Claim], root: Path, bibliography: set[str]) -> list[str]:
    """One line for each fault of the ledger; empty when it is sound."""
    found = [f"{id_}: listed twice" for id_ in _repeated([claim.id for claim in claims])]
    for claim in claims:
        found += [f"{claim.id}: {fault}" for fault in _faults(claim, root, bibliography)]
    return found


def _repeated(ids: list[str]) -> list[str]:
    return sorted({id_ for id_ in ids if ids.count(id_) > 1})


def _faults(claim: Claim, root: Path, bibliography: set[str]) -> Iterator[str]:
    if claim.section not in SECTIONS:
        yield f"unknown section {claim.section!r}"
    if claim.verdict not in VERDICTS:
        yield f"no verdict (got {claim.verdict!r}; one of {', '.join(VERDICTS)})"
    for field in ("name", "zh", "en", "because"):
        if not getattr(claim, field):
            yield f"{field} is empty"
    yield from (f"cites {key!r}, not in references.bib" for key in set(claim.cites) - bibliography)
    notebook = root / f"{claim.link}.ipynb"
    if not notebook.is_file():
        yield f"dead link: no {claim.link}.ipynb"
        return
    yield from _notebook_faults(claim, json.loads(notebook.read_text(encoding="utf-8")))


def _notebook_faults(claim: Claim, notebook: dict) -> Iterator[str]:
    if claim.id not in boxes(notebook):
        yield f"dead link: no ```{{claim}} {claim.id}``` box in {claim.link}.ipynb"
    calls = [(names, can_fail) for id_, names, can_fail in decisions(notebook) if id_ == claim.id]
    if not calls and not claim.cites:
        yield f"neither a decide() call in {claim.link}.ipynb nor a citation decides it"
    if len(calls) > 1:
        yield f"{len(calls)} decide() calls in {claim.link}.ipynb; one per claim and notebook"
    if calls and not calls[0][1]:
        yield "decide() is given a constant: give it a comparison that can fail"
    yielded = {name for names, _ in calls for name in names}
    for name in sorted(set(claim.figures) - yielded):
        yield f"figure {{{name}}} comes from no run: no {name}= in decide() in {claim.link}.ipynb"
