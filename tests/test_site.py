"""The built site in a browser, page by page: nothing from outside, no error, readable by all."""

from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

SITE = Path(__file__).resolve().parent.parent / "_build" / "html"
PAGES = sorted(str(p.relative_to(SITE)) for p in (SITE / "book").rglob("*.html"))
NOTEBOOKS = [p for p in PAGES if (SITE / "_sources" / p).with_suffix(".ipynb").exists()]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not PAGES, reason="no built site: run `make book` first"),
]


@pytest.fixture(scope="module")
def site(served):
    """Address of the built site."""
    with served(SITE) as address:
        yield address


class Visit:
    """A page together with everything that went wrong while it was open."""

    def __init__(self, browser, base):
        self.context = browser.new_context(
            viewport=WIDE, color_scheme="light", reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.base, self.faults = base, []
        self.page.on("request", self.request)
        self.page.on("response", self.response)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("console", self.console)

    def request(self, request):
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"request to another host: {request.url}")

    def response(self, response):
        if response.status >= 400:
            self.faults.append(f"{response.status} {response.url}")

    def console(self, message):
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def open(self, path):
        self.page.goto(f"{self.base}/{path}", wait_until="networkidle")
        self.page.evaluate("window.MathJax?.startup?.promise")
        # The theme looks once which blocks scroll, on a busy machine before they have their width.
        self.page.evaluate("window.dispatchEvent(new Event('resize'))")
        self.page.wait_for_function(SCROLLS_BY_KEYBOARD)
        return self.page

    def theme(self, name):
        """Switches as the site's own button does."""
        self.page.evaluate(
            "name => { document.documentElement.dataset.mode = name;"
            " document.documentElement.dataset.theme = name }",
            name,
        )


@pytest.fixture
def visit(browser, site):
    visit = Visit(browser, site)
    yield visit
    visit.context.close()


SCROLLS_BY_KEYBOARD = """() => [...document.querySelectorAll('pre')].every(
  e => e.scrollWidth <= e.clientWidth || e.tabIndex === 0)"""

UNNAMED = """() => {
  const hidden = e => e.closest('[aria-hidden=true]') || e.getClientRects().length === 0;
  const named = e => e.getAttribute('aria-label') || e.querySelector('title');
  const images = [...document.images].filter(e => !hidden(e) && !e.alt.trim());
  const drawings = [...document.querySelectorAll('article svg')].filter(
    e => !e.parentElement.closest('svg') && !hidden(e) && !e.closest('button')
      && !(e.getAttribute('role') && named(e)));
  const canvases = [...document.querySelectorAll('canvas')].filter(e => !hidden(e) && !named(e));
  return [...images, ...drawings, ...canvases].map(e => e.outerHTML.slice(0, 160));
}"""
WIDER = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('article *')]
    .filter(e => e.getBoundingClientRect().right > width + 1)
    .map(e => e.outerHTML.slice(0, 120)).slice(0, 5).concat('page is wider than the screen');
}"""


COLOURS = ["color-contrast", "link-in-text-block"]  # the only rules that a theme can change
# Of leaves alike in tag, class and style all the way up one stays: axe-core would take ten seconds
# to look at the colours of every token of a page's code.
HIDE_TWINS = """() => {
  const looks = new Map([[null, '']]), seen = new Set();
  for (const e of document.body.querySelectorAll('*')) {  // parents come before children
    const own = [e.tagName, e.getAttribute('class'), e.getAttribute('style'), e.rowIndex % 2];
    const look = (looks.get(e.parentElement) ?? '') + '>' + own;
    looks.set(e, look);
    if (seen.has(look) && !e.children.length) e.style.visibility = 'hidden';
    seen.add(look);
  }
}"""


def axe_findings(page, **options):
    """Serious and critical findings of axe-core, one line each."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "preload": False, **options}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]} ({' '.join(node['failureSummary'].split())[:200]})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("path", [*PAGES, "search.html", "genindex.html", "404.html"])
def test_page(visit, path):
    """Light, dark and narrow: no fault, every picture named, nothing wider than a phone."""
    page = visit.open(path)
    faults = [f"no alternative text: {e}" for e in page.evaluate(UNNAMED)]
    faults += axe_findings(page, rules={rule: {"enabled": False} for rule in COLOURS})
    page.evaluate(HIDE_TWINS)
    for theme in ("light", "dark"):
        visit.theme(theme)
        found = axe_findings(page, runOnly={"type": "rule", "values": COLOURS})
        faults += [f"{theme}: {finding}" for finding in found]
    page.set_viewport_size(NARROW)
    faults += [f"at 390 px: {e}" for e in page.evaluate(WIDER)]
    faults = visit.faults + faults
    assert not faults, "\n".join(faults)


def test_search_finds(visit):
    page = visit.open("search.html?q=autoencoder")
    page.wait_for_selector("#search-results ul.search li a", timeout=20_000)
    assert page.locator("#search-results ul.search li").count() >= 3
    assert not visit.faults


def test_search_dialog_opens_by_keyboard(visit):
    page = visit.open("book/index.html")
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog#pst-search-dialog[open]", timeout=10_000)
    page.keyboard.type("posterior collapse")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=posterior**")


def test_every_icon_is_drawn_and_no_script_brings_them(visit):
    page = visit.open("book/index.html")
    icons = page.evaluate(
        "() => [...document.querySelectorAll(':is(i, span)[class*=\"fa-\"]')].map(e => {"
        " const s = getComputedStyle(e, '::before');"
        " return [e.className, s.maskImage.startsWith('url(\"data:image/svg+xml')] })"
    )
    assert len(icons) > 8 and all(drawn for _, drawn in icons), icons
    assert not page.locator("script[src*=fontawesome], svg.svg-inline--fa").count()


@pytest.mark.parametrize("path", NOTEBOOKS[:1])
def test_launch_buttons(visit, path):
    page = visit.open(path)
    notebook = path.replace(".html", ".ipynb")
    for host in ("colab.research.google.com", "mybinder.org"):
        assert page.locator(f'a[href*="{host}"][href*="{notebook}"]').count() == 1


def test_mathematics_is_set_locally(visit):
    page = visit.open("book/reference/notation.html")
    page.wait_for_selector("mjx-container", timeout=20_000)
    assert page.locator("mjx-container").count() > 10
    assert not visit.faults


def test_ledger_and_cells_link_to_each_other(visit):
    """From each row to the box that decides it, and back to the row."""
    page = visit.open("book/reference/claims.html")
    hrefs = page.eval_on_selector_all(
        ".claim a[href*='#claim-c']", "links => links.map(a => a.href)"
    )
    assert len(hrefs) == 28
    for file in sorted({href.split("#")[0] for href in hrefs}):
        page.goto(file)
        for href in (h for h in hrefs if h.startswith(file)):
            anchor = href.split("#")[1]
            back = page.locator(f'.claim:has([id="{anchor}"]) a[href*="#ledger-c"]')
            assert back.count() >= 1, anchor


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_every_cell_was_run(path):
    """In the run behind the page: no cell without its number, no error among the outputs."""
    newest = max((SITE.parent / "executed").iterdir(), key=lambda folder: folder.stat().st_mtime)
    cache = get_cache(str(newest))
    source = nbformat.read((SITE.parents[1] / path).with_suffix(".ipynb"), 4)
    cells = cache.get_cache_bundle(cache.match_cache_notebook(source).pk).nb.cells
    assert (SITE / path).read_text(encoding="utf-8").count("cell_output") >= 1
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and all(cell["execution_count"] for cell in code)
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]


def test_pages_open_from_disk(visit):
    visit.base = "file://"
    page = visit.page
    page.goto(f"file://{SITE}/{PAGES[0]}", wait_until="networkidle")
    assert page.locator("article h1").count() == 1
    assert not [fault for fault in visit.faults if "another host" in fault]
