"""Directives for the reference pages.

```{api} models```  the docstrings of aelib.models: of the module, or of every module in the package
```{results}```     a table for each record in benchmarks/results, and for what others published
"""

import importlib.util
import json
import pkgutil
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class MystDirective(SphinxDirective):
    """A directive that writes MyST."""

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        parent = nodes.Element()
        source = StringList(lines, source=self.env.doc2path(self.env.docname))
        self.state.nested_parse(source, self.content_offset, parent)
        return parent.children


class Api(MystDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines = ["```{eval-rst}"]
        for name in modules(f"aelib.{self.arguments[0]}"):
            lines += [f".. automodule:: {name}", "   :members:", "   :ignore-module-all:", ""]
            self.env.note_dependency(importlib.util.find_spec(name).origin)
        return self.parsed([*lines, "```"])


def modules(name: str) -> list[str]:
    """A module, or a package and its public modules. Raises ImportError when there is none."""
    module = importlib.import_module(name)
    if not hasattr(module, "__path__"):
        return [name]
    found = pkgutil.iter_modules(module.__path__, f"{name}.")
    return [name] + [m.name for m in found if not m.name.rpartition(".")[2].startswith("_")]


class Results(MystDirective):
    """Records are JSON objects with `title`, `command`, `date`, `machine` and `rows`."""

    def run(self) -> list[nodes.Node]:
        source = Path(self.env.srcdir)
        beside = source / "book" / "reference" / "quoted.yaml"
        others, lines = yaml.safe_load(beside.read_text(encoding="utf-8")), []
        for path in sorted((source / "benchmarks" / "results").glob("*.json")):
            self.env.note_dependency(str(path))
            lines += entry(path.stem, json.loads(path.read_text(encoding="utf-8")))
            lines += quoted([other for other in others if other["record"] == path.stem])
        self.env.metadata[self.env.docname]["results"] = True
        return self.parsed(lines or ["No record yet."])


def entry(name: str, record: dict) -> list[str]:
    """One record as MyST: title, where it comes from, and a table for each `part` of its rows."""
    facts = [f"{key} {plain(record[key])}" for key in ("date", "machine", "seeds") if key in record]
    facts += [f"made by `{record['command']}`"] if "command" in record else []
    lines = [
        f"**{record.get('title', name)}** (`{name}.json`)",
        "",
        f"Ours: {'; '.join(facts)}",
        "",
    ]
    rows = [row for row in record.get("rows", []) if isinstance(row, dict)]
    for part in dict.fromkeys(row.get("part", "") for row in rows):
        mine = [row for row in rows if row.get("part", "") == part]
        same = common_to(mine)
        said = "; ".join(filter(None, [part, same and f"in every row {plain(same)}"]))
        shown = [{k: v for k, v in r.items() if k not in ("part", *same)} for r in mine]
        lines += [said[:1].upper() + said[1:], ""] if said else []
        lines += [*table(shown), ""]
    return lines


def common_to(rows: list[dict]) -> dict:
    """What three rows or more have in common, but for their part."""
    first = rows[0] if len(rows) > 2 else {}
    return {k: v for k, v in first.items() if k != "part" and all(r.get(k) == v for r in rows)}


def quoted(others: list[dict]) -> list[str]:
    """Figures that others published, as MyST: by whom, how they differ, and a table."""
    lines = []
    for other in others:
        head = f"Quoted from {{cite:t}}`{other['cite']}`, not run here. {other['note']}."
        exact = [{key: str(value) for key, value in row.items()} for row in other["rows"]]
        lines += [head, "", *table(exact), ""]
    return lines


def table(rows: list[dict]) -> list[str]:
    """Rows as a Markdown table, with a column for every key."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return []
    lines = [columns, ["---"] * len(columns)]
    lines += [[plain(row.get(column, "")) for column in columns] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def plain(value) -> str:
    """A value as a table cell shows it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def read_again(app: Sphinx, env, added, changed, removed) -> list[str]:
    """The results page is cheap: read whenever Sphinx runs, so that a new record shows."""
    return [
        name
        for name, data in env.metadata.items()
        if data.get("results") and name in env.found_docs
    ]


def setup(app: Sphinx) -> dict:
    app.add_directive("api", Api)
    app.add_directive("results", Results)
    app.connect("env-get-outdated", read_again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
