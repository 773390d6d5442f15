"""Hooks into the book's build.

- The execution cache is keyed by the library, its data, recorded results and the pins, so that a
  change in any of them runs every notebook again.
- A change of styles, hooks or settings writes every page again.
- The minutes that each notebook took are written to _build/timings.json.
- Thebe's scripts (an error on every page, and requests to other hosts) are dropped.
- Keras models show the arguments of their own __init__ in the API reference.
"""

import hashlib
import inspect
import json
import re
import shutil
from pathlib import Path

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

INPUTS = ("aelib/**/*", "benchmarks/results/*.json", "requirements.txt")
LOOKS = ("_config.yml", "book/_ext/*", "book/_static/**/*", "book/_extra/**/*")
KEPT_CACHES = 3


def digest(root: Path, patterns: tuple[str, ...]) -> str:
    """Of the files' names and contents."""
    state = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                state.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()[:16]


def execution_cache(root: Path, build: Path) -> Path:
    """One folder for each state of the inputs, under `build`; the oldest ones are deleted."""
    caches = build / "executed"
    cache = caches / digest(root, INPUTS)
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    for old in sorted(caches.iterdir(), key=lambda p: p.stat().st_mtime)[:-KEPT_CACHES]:
        shutil.rmtree(old, ignore_errors=True)
    return cache


def key_cache(app: Sphinx, config) -> None:
    cache = execution_cache(Path(app.srcdir), Path(app.outdir).parent)
    config.nb_execution_cache_path = str(cache)


def write_all_again(app: Sphinx, env, added, changed, removed) -> list[str]:
    """Every page, when styles, hooks or settings changed: Sphinx would leave the old ones."""
    looks = digest(Path(app.srcdir), LOOKS)
    if getattr(env, "book_looks", None) == looks:
        return []
    env.book_looks = looks
    return sorted(env.found_docs)


def write_timings(app: Sphinx, exception: Exception | None) -> None:
    """{notebook: seconds} of the runs behind the pages."""
    if exception or app.builder.format != "html":
        return
    seconds = {}
    for name in sorted(app.env.found_docs):
        run = NbMetadataCollector.get_exec_data(app.env, name)
        if run and run["runtime"] is not None:
            seconds[name] = round(run["runtime"], 1)
    path = Path(app.outdir).parent / "timings.json"
    path.write_text(json.dumps(seconds, indent=1) + "\n", encoding="utf-8")


def mend_page(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Thebe's files go (no page here runs code on another host); what assistive technology trips
    over is put right: the colour mode's name, and a list whose items are not all list items."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if "thebe" not in str(file)]
    context["default_mode"] = "auto"
    if "body" in context:
        body = context["body"]
        context["body"] = body.replace('<div role="list" class="citation-list">', "<div>")


SEARCH = re.compile(
    r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^>]*></script>'
)
UNNAMED = '<summary><span class="toctree-toggle"'
NAMED = '<summary aria-label="Show or hide the pages below"><span class="toctree-toggle"'


def mend_files(app: Sphinx, exception: Exception | None) -> None:
    """What the theme writes outside the page's context: buttons in the sidebar get a name, and the
    search index (a third of a megabyte) is loaded where it is used, on the search page."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        before = path.read_text(encoding="utf-8")
        after = before.replace(UNNAMED, NAMED)
        if path.name != "search.html":
            after = SEARCH.sub("", after)
        if after != before:
            path.write_text(after, encoding="utf-8")


def keras_signature(app: Sphinx, what, name, obj, options, signature, returns):
    """Keras wraps __init__; the wrapped one has the arguments."""
    if what != "class" or signature not in (
        None,
        "(*args, **kwargs)",
        "(*args: Any, **kwargs: Any)",
    ):
        return None
    try:
        arguments = inspect.signature(inspect.unwrap(obj.__init__))
    except (TypeError, ValueError):
        return None
    kept = [p for p in arguments.parameters.values() if p.name != "self"]
    return str(arguments.replace(parameters=kept, return_annotation=inspect.Signature.empty)), ""


_CODE = re.compile(r"(``.+?``|(?<![`:])`[^`]+`(?!`))", re.S)
_MARKUP = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")
_SECTION = re.compile(r"(Args|Arguments|Returns|Raises|Yields|Examples?|Notes?):$")
_COLUMNS = re.compile(r"\S {2,}\S")


def plain_docstring(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text. `Code` stands in backticks; indented blocks and blocks in columns
    are shown as they are; sections such as ``Args:`` go to napoleon; the rest is escaped."""
    written: list[str] = []
    for block in "\n".join(lines).strip().split("\n\n"):
        written += [*_block(block), ""]
    lines[:] = written


def _block(text: str) -> list[str]:
    lines = text.splitlines()
    if not lines or _SECTION.match(lines[0]) or lines[0].startswith((">>>", ".. ", ":")):
        return lines
    if lines[0].startswith("  ") or any(_COLUMNS.search(line) for line in lines):
        return ["::", "", *(f"    {line}" for line in lines)]
    parts = _CODE.split(text)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = ["``" + " ".join(part.strip("`").split()) + "``" for part in parts[1::2]]
    is_list = lines[0].startswith(("- ", "* ", "1. "))
    return [line if is_list else line.strip() for line in "".join(parts).splitlines()]


def chinese_quotes(app: Sphinx) -> None:
    """Tells the typographer what quotation marks Chinese uses."""
    app.env.settings["smartquotes_locales"] = [("zh", "“”‘’")]


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", key_cache)
    app.connect("env-get-outdated", write_all_again)
    app.connect("builder-inited", chinese_quotes)
    app.connect("build-finished", write_timings)
    app.connect("build-finished", mend_files)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
    app.connect("autodoc-process-signature", keras_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
