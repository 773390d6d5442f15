"""Every link inside the built site leads to a page, and every #anchor to a place on it."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).resolve().parent.parent / "_build" / "html"
# The theme's templates are no pages, and 404.html is served in place of any page, from the root.
PAGES = sorted(
    p for p in SITE.rglob("*.html") if p.name != "404.html" and SITE / "_static" not in p.parents
)
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not PAGES, reason="no built site: run `make book` first"),
]


class Page(HTMLParser):
    """Where a page's links lead, and which anchors it has."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if given.get(LINKS.get(tag, "")):
            self.links.add(given[LINKS[tag]])


@cache
def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def faults(path: Path) -> list[str]:
    """Links of one page that lead nowhere."""
    found = []
    for link in sorted(page(path).links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            found.append(f"{link}: no such file")
        elif target.suffix == ".html" and unquote(parts.fragment) not in page(target).anchors:
            found.append(f"{link}: no such place on the page")
    return found


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(SITE)) for path in PAGES])
def test_links_lead_somewhere(path):
    assert not faults(path)


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="here">b</h1>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<a href="https://example.org/x">4</a><a href="#">5</a><img src="no.png">'
    )
    assert [fault.split(":")[0] for fault in faults(tmp_path / "a.html")] == [
        "b.html#gone",
        "c.html",
        "no.png",
    ]
