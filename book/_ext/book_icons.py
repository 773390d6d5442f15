"""The few icons that the theme's pages show, as a style sheet of some kilobytes.

The theme loads all of Font Awesome as a script, half a megabyte compressed on every page. After
the build the icons that occur are taken out of that script (Font Awesome Free, CC BY 4.0), written
to _static/icons.css as masks in the colour of the text, and the script is dropped.
"""

import re
from pathlib import Path
from urllib.parse import quote

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SCRIPT = "_static/scripts/fontawesome.js"
TAG = re.compile(r'<script defer src="([^"]*)_static/scripts/fontawesome\.js[^>]*></script>')
USED = re.compile(r'"[^"]*\bfa[brs]?\b[^"]*"|"[^"]*\bfa-(?:solid|brands|regular)\b[^"]*"')
NAME = re.compile(r"\bfa-([a-z][a-z0-9-]*)")
NO_ICONS = {"solid", "brands", "regular", "lg", "fw", "sm", "xs"}
SHARED = """\
/* Font Awesome Free 6, https://fontawesome.com, CC BY 4.0: the icons that these pages use. */
:is(i, span):is(.fas, .fab, .fa-solid, .fa-brands)::before {
  content: ""; display: inline-block; height: 1em; vertical-align: -0.125em;
  background: currentColor; mask: var(--icon) center / contain no-repeat;
}
.btn .fa-lg { font-size: inherit; }
"""


def names(texts: list[str]) -> set[str]:
    """Icons in the class attributes of pages, and in a script's strings."""
    classes = " ".join(found for text in texts for found in USED.findall(text))
    return set(NAME.findall(classes)) - NO_ICONS


def drawing(name: str, script: str) -> tuple[int, int, str]:
    """Width, height and path of an icon; of a name in several styles the solid one, the last."""
    found = re.findall(
        rf'[{{,]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]', script
    )
    if not found:
        raise ExtensionError(f"the theme's Font Awesome has no icon {name!r}")
    width, height, path = found[-1]
    return int(width), int(height), path


def rule(name: str, script: str) -> str:
    width, height, path = drawing(name, script)
    box = f'viewBox="0 0 {width} {height}"'
    svg = quote(f'<svg xmlns="http://www.w3.org/2000/svg" {box}><path d="{path}"/></svg>', " =/")
    return (f':is(i, span).fa-{name}::before {{ content: ""; width: {width / height:.3f}em; '
            f'--icon: url("data:image/svg+xml,{svg}"); }}\n')  # fmt: skip


def write_icons(app: Sphinx, exception: Exception | None) -> None:
    """Write _static/icons.css; every page loads it in place of the script."""
    out = Path(app.outdir)
    script = out / SCRIPT
    if exception or app.builder.format != "html" or not script.exists():
        return
    pages = {path: path.read_text(encoding="utf-8") for path in out.rglob("*.html")}
    theme = (out / "_static/scripts/pydata-sphinx-theme.js").read_text(encoding="utf-8")
    drawings = script.read_text(encoding="utf-8")
    rules = [rule(name, drawings) for name in sorted(names([*pages.values(), theme]))]
    (out / "_static" / "icons.css").write_text(SHARED + "".join(rules), encoding="utf-8")
    for path, text in pages.items():
        new = TAG.sub(r'<link rel="stylesheet" href="\1_static/icons.css" />', text)
        if new != text:
            path.write_text(new, encoding="utf-8")
    for old in script.parent.glob("fontawesome.js*"):
        old.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_icons, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
