"""The lab: live instruments in a page.

```{lab} writer```          the instrument, and before it starts (or without JavaScript) an example
```{lab} strangers```       sentences of strangers as the piano's models gave them back, a table
```{lab} knobs```           what the piano's attribute knobs do to held-out sentences, a table
{lab}`writer.bits.web:.2f`  a figure from the manifest of a lab model: NAME.key.key:format

Outside the lab's own pages an instrument starts when the visitor presses its button, so that a
chapter stays light. All read what scripts/train_lab.py wrote to book/_extra/lab/models.
"""

import gzip
import json
from functools import cache, reduce
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

SCRIPTS = {
    "digits": ("runtime", "tiny", "lab", "digits"),
    "writer": ("runtime", "text", "lab", "writer"),
    "compressor": ("runtime", "text", "coder", "brotli", "lab", "compressor"),
    "piano": ("runtime", "text", "lab", "piano"),
    "bottleneck": ("runtime", "text", "lab", "bottleneck"),
    "restyle": ("runtime", "text", "lab", "restyle"),
}
LOADED = {  # what an instrument loads when it starts, or soon after
    "digits": ("digits", "digits-ae", "digits-vae"),
    "writer": ("writer",),
    "compressor": ("reader", "brotli"),
    "piano": ("sentences-vae",),
    "bottleneck": ("bottleneck", *(f"bottleneck-{n}" for n in (48, 64, 96, 128, 192, 256))),
    "restyle": ("style",),
}


def models(env: Any) -> Path:
    return Path(env.srcdir) / "book" / "_extra" / "lab" / "models"


def facts(path: Path) -> dict[str, Any]:
    """A model's settings and what was measured when it was made; of a data file all."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(text[text.index("] = {") + 4 : text.rindex(";")])
    if "config" not in data:
        return data
    sent = {"megabytes": _sent(path, path.stat().st_mtime) / 1e6}
    return data["config"] | data["extra"] | {"parameters": data["parameters"]} | sent


@cache
def _sent(path: Path, time: float) -> int:
    return len(gzip.compress(path.read_bytes()))


def weight(folder: Path, name: str) -> int:
    """Bytes that starting the instrument loads from a host that compresses."""
    paths = (folder / f"{each}.js" for each in LOADED[name])
    return sum(_sent(path, path.stat().st_mtime) for path in paths)


class Figure(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        target, _, form = self.text.partition(":")
        name, *keys = target.split(".")
        path = models(self.env) / f"{name}.js"
        self.env.note_dependency(str(path))
        try:
            value = reduce(lambda v, key: v[key], keys, facts(path))
        except (OSError, KeyError) as error:
            message = self.inliner.reporter.error(f"no lab figure {target}: {error}")
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [nodes.Text(format(value, form or "," * isinstance(value, int)))], []


class Lab(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name in TABLES:
            table, source = TABLES[name]
            self.env.note_dependency(str(models(self.env) / f"{source}.js"))
            return [nodes.raw("", table(models(self.env)), format="html")]
        if name not in SCRIPTS:
            raise self.error(f"no instrument {name!r}: choose one of {', '.join(SCRIPTS)}")
        folder = models(self.env)
        for path in folder.glob("*.js"):
            self.env.note_dependency(str(path))
        up = "../" * self.env.docname.count("/") + "lab/"
        loaded = self.env.temp_data.setdefault("lab_scripts", [])  # of this page, each once
        fresh = [script for script in SCRIPTS[name] if script not in loaded]
        loaded += fresh
        scripts = "".join(f'<script defer src="{up}{s}.js"></script>' for s in fresh)
        body = EXAMPLES[name](folder)
        more = ""
        if not self.env.docname.startswith("book/lab/"):
            more = f' data-start="press" data-size="{weight(folder, name) / 1e6:.1f} MB"'
        text = (
            f'<link rel="stylesheet" href="{up}lab.css">'
            f'<div class="lab" data-lab="{name}"{more}><div class="lab-static">{body}'
            "<noscript><p>The live instrument needs JavaScript; above is a recorded example."
            f"</p></noscript></div></div>{scripts}"
        )
        return [nodes.raw("", text, format="html")]


# ------------------------------------------------------- examples, before anything has started


def digits(folder: Path) -> str:
    parts = []
    for name, title in (("ae", "autoencoder"), ("vae", "variational autoencoder")):
        known = facts(folder / f"digits-{name}.js")
        alt = f"What a grid of places in the latent plane of the {title} decodes to"
        parts.append(
            f'<figure><img class="lab-atlas" alt="{alt}" width="320" height="320" '
            f'src="data:image/png;base64,{known["picture"]}"><figcaption>The {title}’s plane, '
            f"decoded. Holes: {known['holes']:.0%} of it.</figcaption></figure>"
        )
    return f'<div class="lab-two">{"".join(parts)}</div>'


def writer(folder: Path) -> str:
    known = facts(folder / "writer.js")
    rest = known["example"][len(known["prompt"]) :]
    return (
        f'<p>Written by the model (temperature 0.7, top-p 0.95):</p><p class="lab-text">'
        f'<span class="lab-given">{escape(known["prompt"])}</span>{escape(rest)}</p>'
    )


def compressor(folder: Path) -> str:
    """The example letter, each character coloured by its bits, and what others make of it."""
    known = facts(folder / "reader.js")["example"]
    letters = "".join(
        f'<span class="lab-c{min(8, int(b))}" title="{b:.2f} bits">{escape(letter)}</span>'
        for letter, b in zip(known["text"], known["bits"], strict=True)
    )
    ours = round(sum(known["bits"]) / 8)
    sizes = {"the text": len(known["text"].encode()), **known["peers"], "the network": ours}
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="lab-number">{size:,}</td></tr>'
        for name, size in sizes.items()
    )
    return (
        f'<p class="lab-text lab-costs">{letters}</p><table><thead><tr><th scope="col"></th>'
        f'<th scope="col">bytes</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def piano(folder: Path) -> str:
    """Two sentences and what lies between them, in each model that there is."""
    parts = []
    for name, title in (("sentences-vae", "Variational"), ("sentences", "Position-bound")):
        known = facts(folder / f"{name}.js")
        pair = zip(known["pair"], known["back"], strict=True)
        back = "".join(f"<li>{escape(given)} → {escape(got)}</li>" for given, got in pair)
        walk = "".join(f"<li>{escape(text)}</li>" for text in known["walk"])
        parts.append(
            f"<section><h4>{title}</h4><p>Given and returned:</p><ul>{back}</ul>"
            f"<p>On the way from the first to the second:</p><ol>{walk}</ol></section>"
        )
    return f'<div class="lab-two">{"".join(parts)}</div>'


def bottleneck(folder: Path) -> str:
    """One sentence through every size and number of bits."""
    known = facts(folder / "bottleneck.js")
    head = "".join(
        f'<th scope="col">{bits} {"bits" if bits > 1 else "bit"}</th>' for bits in known["bits"]
    )
    rows = ""
    for row in known["rows"]:
        cells = "".join(f"<td>{escape(row['back'][str(bits)])}</td>" for bits in known["bits"])
        rows += f'<tr><th scope="row">{row["size"]} numbers</th>{cells}</tr>'
    return (
        f"<p>{escape(known['sentence'])}</p>"
        f'<table tabindex="0"><thead><tr><th scope="col"></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def restyle(folder: Path) -> str:
    """A verse into modern English, and a modern sentence into the English of 1611."""
    known = facts(folder / "style.js")
    heads = ("Into modern English", "Into the English of 1611")
    parts = (
        f'<section><h4>{head}</h4><p>{escape(verse)}</p><p class="lab-text">{escape(made)}</p>'
        "</section>"
        for head, verse, made in zip(heads, known["verses"], known["edited"], strict=True)
    )
    return f'<div class="lab-two">{"".join(parts)}</div>'


def strangers(folder: Path) -> str:
    """What came back, word for word."""
    known = facts(folder / "strangers.js")
    heads = ("Typed", "Copying model", "Variational model", "Variational, halfway to the next")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(row[key])}</td>" for key in row) + "</tr>"
        for row in known["rows"]
    )
    return _table("Sentences of strangers", head, rows)


def knobs(folder: Path) -> str:
    """For each knob: how far it goes, whom it switches, and a random direction as far."""
    heads = ("Knob", "Switched on", "Switched off", "Words kept", "On by chance", "Kept by chance")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    rows = ""
    for knob in facts(folder / "sentences-vae.js")["directions"]:
        shares = (knob["on"], knob["off"], knob["kept"], knob["random"]["on"],
                  knob["random"]["kept"])  # fmt: skip
        cells = "".join(f"<td>{share:.0%}</td>" for share in shares)
        rows += f'<tr><th scope="row">{escape(knob["name"])}</th>{cells}</tr>'
    return _table("What the knobs do", head, rows)


def _table(name: str, head: str, rows: str) -> str:
    """One that scrolls by itself on a narrow screen, also by keyboard."""
    return (
        f'<div class="lab-table" tabindex="0" role="region" aria-label="{name}">'
        f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


TABLES = {"strangers": (strangers, "strangers"), "knobs": (knobs, "sentences-vae")}
EXAMPLES = {
    "restyle": restyle,
    "digits": digits,
    "writer": writer,
    "compressor": compressor,
    "piano": piano,
    "bottleneck": bottleneck,
}


def setup(app: Sphinx) -> dict:
    app.add_directive("lab", Lab)
    app.add_role("lab", Figure())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
