"""The lab's instruments in a browser, on http and from disk: each does what its page promises.

Values of the page are compared with those of the Keras model that holds the same weights
(`from_web`): <= 1e-5 relative in float32. The files hold float16, whose distance from the trained
model is in test_export.py.
"""

import base64
import gzip
import json
import os
import shutil
import subprocess
from html import escape
from pathlib import Path

import book_lab
import numpy as np
import pytest
from keras import ops
from typer.testing import CliRunner

import aelib
from aelib import cli
from aelib.export import from_web, to_web
from aelib.export.web import manifest
from aelib.text import BOS

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(os.environ.get("AELIB_SITE", ROOT / "_build" / "html"))  # another: build_book --only
LAB = ROOT / "book" / "_extra" / "lab"
MODELS = LAB / "models"
NODE = shutil.which("node")
NAMES = ("piano", "bottleneck", "compressor", "writer", "digits", "restyle")
CHAPTERS = {  # where each instrument stands beside its own page
    "piano": "book/concepts/generation",
    "bottleneck": "book/concepts/compression",
    "compressor": "book/math/coding",
    "writer": "book/concepts/language",
    "digits": "book/concepts/autoencoders",
    "restyle": "book/future/control",
}
MOST = 2_000_000  # bytes a page, as a static host sends them (text compressed)

needs_node = pytest.mark.skipif(NODE is None, reason="no node: install Node.js 20 or newer")


def site(test):
    """Marks of a test that needs the built site."""
    for mark in (
        pytest.mark.skipif(
            not (SITE / "book" / "lab").exists(), reason="no built lab: run `make book` first"
        ),
        pytest.mark.site,
    ):
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def bases(served):
    """Addresses of the built site: served from this process, and on disk."""
    with served(SITE) as address:
        yield {"http": address, "file": f"file://{SITE}"}


class Lab:
    """One instrument's page, with what it asked for and what went wrong."""

    def __init__(self, browser, base, javascript=True, **options):
        self.base, self.asked, self.faults = base, [], []
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 900}, java_script_enabled=javascript,
            reduced_motion="reduce", **options,
        )  # fmt: skip
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("console", self.console)

    def console(self, message):
        # from disk Chromium forbids what the theme fetches for its search; the lab fetches nothing
        if message.type == "error" and "file://" not in self.base:
            self.faults.append(f"console: {message.text}")

    def open(self, name):
        self.page.goto(f"{self.base}/book/lab/{name}.html")
        box = self.page.locator(f'.lab[data-lab="{name}"]')
        box.scroll_into_view_if_needed()
        box.and_(self.page.locator('[data-state="live"]')).wait_for(timeout=60_000)
        return self.page

    def weight(self):
        """Bytes of all that was loaded, as a static host sends them; and of the lab's part."""
        files = {url.split("?")[0].removeprefix(self.base + "/") for url in self.asked}
        paths = [SITE / file for file in files if (SITE / file).is_file()]
        sizes = {path: len(gzip.compress(path.read_bytes())) for path in paths}
        return sum(sizes.values()), sum(n for p, n in sizes.items() if SITE / "lab" in p.parents)

    def check(self):
        outside = [u for u in self.asked if not u.startswith((self.base, "data:", "blob:"))]
        assert not outside and not self.faults, [*outside, *self.faults]


@pytest.fixture(params=["http", "file"])
def lab(request, browser, bases):
    visit = Lab(browser, bases[request.param])
    yield visit
    visit.context.close()


def set_value(page, label, value):
    """Moves a slider or makes a choice, as a visitor's input would."""
    page.get_by_label(label, exact=True).first.evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); "
        "e.dispatchEvent(new Event('change')) }",
        str(value),
    )


def near(ours, keras_value, relative=1e-5):
    expected = np.asarray(ops.convert_to_numpy(keras_value), np.float64)
    assert np.shape(ours) == expected.shape
    assert np.abs(np.asarray(ours) - expected).max() <= relative * np.abs(expected).max()


# --------------------------------------------------------------------------------- instruments


@site
def test_writer(lab):
    """Greedily it writes what Keras writes; its probabilities are Keras's."""
    page, model = lab.open("writer"), from_web(MODELS / "writer.js")
    text = page.locator('[data-role="text"]')
    before = text.inner_text()
    set_value(page, "Temperature", 0)
    page.get_by_role("button", name="Write", exact=True).click()
    page.wait_for_selector(".lab-out[data-made]", timeout=60_000)
    prompt = manifest(MODELS / "writer.js")["extra"]["prompt"]
    written = page.evaluate("document.querySelector('[data-role=text]').textContent")
    assert written != before and len(written) == len(prompt) + 400
    assert written[:120] == model.generate(prompt, 400, temperature=0.0)[0][:120]
    ids = [BOS, *model.tokenizer.ids([prompt])[0]]
    ours = page.evaluate(
        "ids => { const m = aelib.load('writer'), s = m.start();"
        " return Array.from(ids.map(id => m.advance(id, s)).at(-1)) }",
        ids,
    )
    near(ours, model(np.array([ids]))[0, -1])
    page.get_by_role("button", name="Start again").click()
    page.locator(".lab-bar").first.click()
    assert len(page.evaluate("document.querySelector('[data-role=text]').textContent")) > len(
        prompt
    )
    lab.check()


STRANGE = ("Grüße, 起初! 👩‍👧 aaaa", "", "x", "今天下午我们去公园吧。🎉" * 40, "0123456789" * 99)


def compressed(page, text):
    """What the compressor says of a text that is typed in."""
    said = page.locator(".lab-out")
    said.evaluate("e => { e.dataset.state = 'old' }")
    page.get_by_label("Text", exact=True).fill(text)
    page.wait_for_selector('.lab-out[data-state="done"]', timeout=120_000)
    return said.evaluate("e => ({...e.dataset})")


def brotli_bytes(text):
    package = pytest.importorskip("brotli")
    return len(package.compress(text.encode(), quality=11, lgwin=24))


@site
def test_compressor(lab):
    """The file comes back equal and is smaller than gzip's; the bits are Keras's."""
    page = lab.open("compressor")
    page.wait_for_selector('.lab-out[data-state="done"]', timeout=120_000)
    said = page.locator(".lab-out")
    facts = said.evaluate("e => ({...e.dataset})")
    example = manifest(MODELS / "reader.js")["extra"]["example"]
    assert facts["equal"] == "true" and int(facts["bytes"]) < int(facts["gzip"])
    assert float(facts["bits"]) == pytest.approx(sum(example["bits"]), rel=5e-3)
    assert int(facts["bytes"]) <= float(facts["bits"]) / 8 + 4
    assert int(facts["brotli"]) == example["peers"]["brotli -11"] == brotli_bytes(example["text"])
    for kind in ("counts", "both"):
        set_value(page, "Predictor", kind)
        page.wait_for_selector('.lab-out[data-state="busy"]', timeout=60_000)
        page.wait_for_selector('.lab-out[data-state="done"]', timeout=120_000)
        assert said.get_attribute("data-equal") == "true"
    set_value(page, "Predictor", "counts")
    for text in STRANGE:
        facts = compressed(page, text)
        assert facts["equal"] == "true" and int(facts["brotli"]) == brotli_bytes(text)
        shown = page.get_by_role("row", name="brotli, quality 11").locator("td").first
        assert shown.inner_text() == f"{brotli_bytes(text):,}"
    lab.check()


@site
def test_compressor_without_brotli(browser, bases):
    """A browser that cannot run it, or an encoder that does not arrive: the row says so."""
    visit = Lab(browser, bases["http"])
    visit.page.add_init_script("delete globalThis.DecompressionStream")
    row = visit.open("compressor").get_by_role("row", name="brotli, quality 11")
    row.get_by_text("this browser cannot run it").wait_for(timeout=60_000)
    visit.context.close()
    visit = Lab(browser, bases["http"])
    visit.page.route("**/models/brotli.js", lambda route: route.abort(), times=1)
    page = visit.open("compressor")
    page.get_by_role("row", name="could not be loaded").wait_for(timeout=60_000)
    facts = compressed(page, "once more")  # and the next text brings it
    assert facts["equal"] == "true" and int(facts["brotli"]) == brotli_bytes("once more")
    visit.context.close()


PLAYED = ("sentences-vae", "sentences")


@site
def test_piano(lab):
    """Latents, reconstructions, knobs and the walk are Keras's; turned numbers change the text."""
    page = lab.open("piano")
    text = page.locator('[data-lab=piano] [data-role="text"]')
    assert not any("models/sentences.js" in url for url in lab.asked)  # only when it is chosen
    for name in PLAYED:
        set_value(page, "Model", name)
        model, known = from_web(MODELS / f"{name}.js"), manifest(MODELS / f"{name}.js")["extra"]
        page.wait_for_function(
            "t => document.querySelector('[data-role=text]').textContent === t",
            arg=known["back"][0],
        )
        ours = page.evaluate(
            "([n, t]) => Array.from(aelib.load(n).encode(t))", [name, known["pair"][0]]
        )
        near(ours, model.encode(known["pair"][:1])[0])
        set_value(page, "On the way", 0.4)
        ends = model.encode(known["pair"])
        middle = model.decode((0.6 * ends[0] + 0.4 * ends[1])[None].astype(np.float32))[0]
        assert page.locator('[data-role="between"]').inner_text() == middle
        for knob in known.get("directions", ()):
            for end in (-knob["reach"], knob["reach"]):
                set_value(page, knob["name"], end)
                moved = (ends[0] + end * np.array(knob["vector"])).astype(np.float32)
                assert text.inner_text() == model.decode(moved)[0]
            set_value(page, knob["name"], 0)
        assert text.inner_text() == known["back"][0]
        turned = model.encode(known["pair"][:1])
        for i in range(min(24, model.latent_dim)):
            turned[0, i] = known.get("span", 3) * (-1) ** i
            set_value(page, "Dimension", i + 1)
            set_value(page, "Its value", turned[0, i])
        assert text.inner_text() == model.decode(turned)[0] != known["back"][0]
        page.get_by_role("button", name="Back to my sentence").click()
        assert text.inner_text() == known["back"][0]
    page.get_by_role("button", name="Show every sentence on the way").click()
    page.wait_for_function("document.querySelectorAll('[data-role=walk] li').length >= 2")
    lab.check()


@site
def test_restyle(lab):
    """Both ways and at every strength it says what Keras says; what changed is marked."""
    box = lab.open("restyle").locator('.lab[data-lab="restyle"]')
    model, text = from_web(MODELS / "style.js"), box.locator('[data-role="text"]')
    known = manifest(MODELS / "style.js")["extra"]
    assert text.inner_text() == known["edited"][0] and text.locator("mark").count() > 1
    verse = "And he saith unto them, Ye know not; but I will go thither, saith Tom at 5 o'clock!"
    box.get_by_label("Your sentence").fill(verse)
    for style, word in ((1, "modern"), (0, "old")):
        box.get_by_label("Into").select_option(word)
        for strength in (0, 1, 8):
            slider = box.get_by_label("Strength")
            slider.evaluate(
                "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", strength
            )
            assert text.inner_text() == model.edit(verse, style, strength)[0]
    lab.check()


@site
def test_bottleneck(lab):
    """Every setting gives the recorded sentence."""
    page = lab.open("bottleneck")
    known = data("bottleneck")
    for i in (0, 3, 5):
        set_value(page, "Numbers", i)
        for j, bits in enumerate(known["bits"]):
            set_value(page, "Bits each", j)
            shown = page.locator('[data-role="text"]').inner_text()
            assert shown == known["rows"][i]["back"][str(bits)]
    assert page.locator(".lab-out").get_attribute("data-raw") == str(
        known["sizes"][5] * known["bits"][-1]
    )
    lab.check()


def data(name):
    text = (MODELS / f"{name}.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("] = {") + 4 : text.rindex(";")])


@site
def test_digits(lab):
    """Dragging decodes as Keras does; training lowers the squared error, but not ReLU(x − x̂)."""
    page = lab.open("digits")
    planes = page.locator(".lab-plane")
    before = page.locator(".lab-out").first.inner_text()
    box = planes.first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 8, box["y"] + 8, steps=4)
    page.mouse.up()
    after = page.locator(".lab-out").first
    assert after.inner_text() != before and after.get_attribute("data-hole") == "true"
    for name in ("digits-ae", "digits-vae"):
        z = [[0.5, -1.0]]
        ours = page.evaluate("([n, z]) => Array.from(aelib.load(n).decode(z))", [name, z[0]])
        near(ours, from_web(MODELS / f"{name}.js").decode(np.array(z, np.float32))[0])
    errors = {}
    for loss in ("relu", "mse", "entropy"):
        set_value(page, "Loss", loss)
        said = page.locator(".lab-train .lab-out")
        start = float(said.get_attribute("data-mse"))
        page.get_by_role("button", name="Train", exact=True).click()
        page.wait_for_function(
            "+document.querySelector('.lab-train .lab-out').dataset.epoch >= 10", timeout=120_000
        )
        page.get_by_role("button", name="Pause").click()
        errors[loss] = (start, float(said.get_attribute("data-mse")))
    assert errors["mse"][1] < 0.9 * errors["mse"][0]
    assert errors["entropy"][1] < 0.9 * errors["entropy"][0]
    assert errors["relu"][1] > 1.5 * errors["relu"][0]
    lab.check()


# ------------------------------------------------------------------------- what all have in common


@site
@pytest.mark.parametrize("name", NAMES)
def test_example_without_javascript(browser, bases, name):
    visit = Lab(browser, bases["http"], javascript=False)
    visit.page.goto(f"{visit.base}/book/lab/{name}.html")
    shown = visit.page.locator(f"[data-lab={name}] .lab-static").inner_text()
    assert "JavaScript" in shown and len(shown) > 150
    assert visit.page.locator(".lab :is(button, input)").count() == 0
    visit.context.close()


@site
@pytest.mark.parametrize("name", NAMES)
def test_page_is_light(browser, bases, name):
    """All that a first visit loads, as a static host sends it."""
    visit = Lab(browser, bases["http"])
    page = visit.open(name)
    if name == "piano":  # and its other model
        set_value(page, "Model", "sentences")
        page.wait_for_function("window.aelibModels.sentences")
    if name == "compressor":  # loads its other part after the start
        page.wait_for_function("window.aelibData?.brotli")
    assert visit.weight()[0] <= MOST
    visit.context.close()


@site
@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_holds_its_instrument(browser, bases, name):
    """An example and a button; nothing heavy is loaded before it is pressed, all works after."""
    path = CHAPTERS[name]
    if not (SITE / f"{path}.html").exists():
        pytest.skip(f"{path} is not built here")
    visit = Lab(browser, bases["http"])
    visit.page.goto(f"{visit.base}/{path}.html", wait_until="networkidle")
    box = visit.page.locator(f'.lab[data-lab="{name}"]')
    box.scroll_into_view_if_needed()
    assert box.get_attribute("data-state") is None and len(box.inner_text()) > 100
    assert visit.weight()[0] <= MOST and visit.weight()[1] <= 40_000
    button = box.get_by_role("button", name="Start it here")
    promised = float(box.get_attribute("data-size").split()[0]) * 1e6
    button.press("Enter")
    box.and_(visit.page.locator('[data-state="live"]')).wait_for(timeout=60_000)
    if name == "compressor":  # loads its other part after the start
        visit.page.wait_for_function("window.aelibData?.brotli")
    assert abs(visit.weight()[1] - promised) < 100_000 and visit.weight()[0] <= MOST
    assert box.locator(":focus").count() == 1  # goes on where the visitor was
    visit.page.set_viewport_size({"width": 390, "height": 844})
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
    visit.check()
    visit.context.close()


@site
@pytest.mark.parametrize("name", NAMES)
def test_axe_after_the_start(browser, bases, name):
    from test_site import axe_findings

    visit = Lab(browser, bases["http"])
    visit.open(name)
    faults = axe_findings(visit.page)
    visit.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    rule = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    faults += axe_findings(visit.page, **rule)
    assert not faults, faults
    visit.context.close()


@site
def test_model_that_does_not_arrive(browser, bases):
    """The example stays, the reason is said, and a second try works."""
    visit = Lab(browser, bases["http"])
    visit.page.route("**/models/style.js", lambda route: route.abort(), times=1)
    visit.page.goto(f"{visit.base}/book/future/control.html")
    box = visit.page.locator('.lab[data-lab="restyle"]')
    box.get_by_role("button", name="Start it here").click()
    box.get_by_role("alert").wait_for()
    assert "could not be loaded" in box.inner_text() and box.locator(".lab-static").count() == 1
    box.get_by_role("button", name="Try again").click()
    box.and_(visit.page.locator('[data-state="live"]')).wait_for(timeout=60_000)
    visit.context.close()


@site
def test_own_models(browser, bases, tmp_path):
    visit = Lab(browser, bases["file"])
    page = visit.open("writer")
    page.get_by_text("Use your own model").click()
    said = page.locator(".lab-said")
    for file, words in (
        (MODELS / "digits-vae.js", "it holds a VariationalAutoencoder"),
        (LAB / "lab.css", "no exported model"),
    ):
        page.get_by_label("Model file").set_input_files(str(file))
        page.wait_for_function(
            "w => document.querySelector('.lab-said').textContent.includes(w)", arg=words
        )
        assert "cannot be used" in said.inner_text()
    visit.check()
    visit.context.close()


GERMAN = [
    "Der Hund schläft.",
    "Die Katze läuft über die Straße.",
    "Was kostet das Öl?",
    "Grüß Gott!",
]
CHINESE = ["今天下午我们去公园吧。", "他们怕海。", "你知道她说了什么吗?"]
RUSSIAN = "собака видела море, а кошка спала. " * 20


def strangers_models(folder):
    """Small models with settings of other people: {file: (instrument, texts)}."""
    made = {}
    for name, lines, options in (
        ("german", GERMAN, {"latent_dim": 5, "encoder": "lstm", "decoder": "convolutional",
                            "kind": "variational", "tokens": "char"}),
        ("chinese", CHINESE, {"latent_dim": 12, "encoder": "transformer", "decoder": "recurrent",
                              "kind": "quantised", "tokens": "byte", "skip": True}),
        ("bound", GERMAN, {"latent_dim": 96, "tokens": "bpe", "vocabulary": 300}),
    ):  # fmt: skip
        made[name] = ("piano", lines, aelib.TextAutoencoder(width=16, length=48, **options))
    for name, network, tokens in (("russian", "qrnn", "char"), ("cyrillic", "transformer", "bpe")):
        made[name] = ("writer", None, aelib.LanguageModel(
            24, 1, 2, context=16, network=network, tokens=tokens, vocabulary=300))  # fmt: skip
    files = {}
    for name, (instrument, lines, model) in made.items():
        if lines:
            model.fit(lines * 20, epochs=2, verbose=0)
        else:
            model.fit(open_text(folder, RUSSIAN), steps=3, verbose=0)
        model.save(folder / f"{name}.keras")
        options = ["--dtype", "int6"] if name in ("chinese", "cyrillic") else []
        run = CliRunner().invoke(cli.app, [
            "export", str(folder / f"{name}.keras"), "--web", str(folder / f"{name}.js"), *options
        ])  # fmt: skip
        assert run.exit_code == 0, run.output
        files[folder / f"{name}.js"] = (instrument, lines)
    return files


def choose_file(page, path, said):
    page.get_by_label("Model file").set_input_files(str(path))
    try:
        page.wait_for_function(
            "w => document.querySelector('.lab-said').textContent.includes(w)", arg=said
        )
    except Exception as error:
        raise AssertionError(f"{path.name}: {page.locator('.lab-said').inner_text()}") from error


@site
def test_models_of_strangers_play(browser, bases, tmp_path):
    """Other widths, networks and letters, exported on the command line, say what Keras says."""
    visit = Lab(browser, bases["file"])
    now = None
    for path, (instrument, lines) in strangers_models(tmp_path).items():
        if instrument != now:
            page, now = visit.open(instrument), instrument
            page.get_by_text("Use your own model").first.click()
        choose_file(page, path, f"Now playing {path.name}")
        model = from_web(path)
        if instrument == "writer":
            page.get_by_label("Temperature").evaluate(
                "e => { e.value = 0; e.dispatchEvent(new Event('input')) }"
            )
            page.get_by_label("Beginning").fill("кошка ")
            before = page.locator("[data-role=text]").evaluate("e => e.textContent")
            page.get_by_role("button", name="One character").click()
            text = page.locator("[data-role=text]").evaluate("e => e.textContent")
            ids = [BOS, *model.tokenizer.ids([before])[0]]
            assert text == model.generate(before, 1, temperature=0.0)[0], ids
            continue
        for line in lines[:2]:
            page.get_by_label("Your sentence").first.fill(line)
            shown = page.locator("[data-lab=piano] [data-role=text]").evaluate("e => e.textContent")
            assert shown == model.reconstruct(line)[0]
        page.get_by_label("Another sentence").fill(lines[-1])
        set_value(page, "On the way", 0.5)
        ends = model.encode([lines[1], lines[-1]])
        shown = page.locator("[data-role=between]").evaluate("e => e.textContent")
        assert shown == model.decode(ends.mean(axis=0))[0]
    visit.check()
    visit.context.close()


@site
def test_damaged_and_foreign_files_are_refused(browser, bases, tmp_path):
    """Every one with a reason; the model that was there plays on."""
    visit = Lab(browser, bases["file"])
    page = visit.open("piano")
    page.get_by_text("Use your own model").first.click()
    text = page.locator("[data-lab=piano] [data-role=text]")
    before = text.inner_text()
    model = aelib.TextAutoencoder(4, "lstm", "lstm", width=8, length=16, tokens="byte")
    model.fit(["the dog saw."] * 9, epochs=1, verbose=0)
    good = to_web(model, tmp_path / "good.js", "float32").read_text(encoding="utf-8")
    stored = json.loads(good[good.index("] = {") + 4 : good.rindex(";")])
    empty = np.frombuffer(base64.b64decode(stored["weights"]), np.uint8).copy()
    empty[len(empty) // 2 :] = 255  # not a number, everywhere
    broken = {
        "half.js": good[: len(good) // 2],
        "letters.js": good.replace(stored["weights"][400:404], "!!!!", 1),
        "short.js": good.replace(stored["weights"], stored["weights"][:4000]),
        "numbers.js": good.replace(stored["weights"], base64.b64encode(empty).decode()),
        "version.js": good.replace('"format":1', '"format":2', 1),
        "width.js": good.replace('"latent_dim":4', '"latent_dim":40', 1),
        "class.js": good.replace('"class":"TextAutoencoder"', '"class":"Strange"', 1),
        "other.js": "window.stolen = 1;", "empty.js": "", "list.json": "[1, 2]",
    }  # fmt: skip
    for name, content in broken.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        choose_file(page, tmp_path / name, f"{name} cannot be used")
        assert text.inner_text() == before and page.evaluate("window.stolen === undefined")
    choose_file(page, tmp_path / "good.js", "Now playing good.js")
    visit.check()
    visit.context.close()


def open_text(folder, text):
    path = folder / "own.txt"
    path.write_text(text, encoding="utf-8")
    return path


@site
@pytest.mark.parametrize("name", NAMES)
def test_narrow_and_by_keyboard(browser, bases, name):
    visit = Lab(browser, bases["http"])
    page = visit.open(name)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    controls = page.locator(".lab :is(button, input, select, textarea, summary):visible")
    assert controls.count() >= 3
    unnamed = page.evaluate("""() => [...document.querySelectorAll('.lab input, .lab select')]
        .filter(e => !e.labels.length).map(e => e.outerHTML)""")
    assert not unnamed
    page.evaluate("document.querySelector('.lab :is(button, input, select, textarea)').focus()")
    reached = set()
    for _ in range(min(12, controls.count())):
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
        page.keyboard.press("Tab")
    assert len(reached) >= min(8, controls.count() - 1)
    visit.context.close()


@site
def test_finger_and_keys(browser, bases):
    """A tap chooses and turns a number of the piano; End turns a knob; a tap moves in the map."""
    visit = Lab(browser, bases["http"], has_touch=True)
    page = visit.open("piano")
    text, known = page.locator('[data-lab=piano] [data-role="text"]'), manifest(
        MODELS / "sentences-vae.js")["extra"]  # fmt: skip
    box = page.locator("[data-lab=piano] canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + 3)
    assert page.get_by_label("Dimension", exact=True).input_value() == "32"
    assert float(page.get_by_label("Its value").input_value()) > 0.9 * known["span"]
    page.get_by_role("button", name="Back to my sentence").tap()
    knob = known["directions"][0]
    page.get_by_label(knob["name"], exact=True).focus()
    page.keyboard.press("End")
    moved = np.array(knob["vector"]) * knob["reach"]
    model = from_web(MODELS / "sentences-vae.js")
    z = model.encode(known["pair"][:1])[0]
    assert text.inner_text() == model.decode((z + moved).astype(np.float32))[0]
    page = visit.open("digits")
    before = page.locator(".lab-out").first.inner_text()
    page.locator(".lab-plane").first.tap(position={"x": 9, "y": 9})
    assert page.locator(".lab-out").first.inner_text() != before
    visit.check()
    visit.context.close()


@site
@pytest.mark.parametrize("name", ("digits", "piano", "bottleneck"))
def test_canvases_follow_the_theme(browser, bases, name):
    visit = Lab(browser, bases["http"])
    page = visit.open(name)
    pictures = []
    for theme in ("light", "dark"):
        page.evaluate("t => { document.documentElement.dataset.theme = t }", theme)
        page.wait_for_timeout(200)
        pictures.append(page.evaluate("document.querySelector('.lab canvas').toDataURL()"))
    assert pictures[0] != pictures[1]
    visit.context.close()


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_made_from_the_records(name):
    example = book_lab.EXAMPLES[name](MODELS)
    assert len(example) > 300 and "<script" not in example
    assert set(book_lab.SCRIPTS[name]) <= {path.stem for path in LAB.glob("*.js")}


# ------------------------------------------------------------------------------- parts, in Node


def node(script, *values):
    """What a script prints as JSON; $0, $1, ... are the values."""
    for i, value in enumerate(values):
        script = script.replace(f"${i}", json.dumps(value))
    head = f"globalThis.aelib = require('{LAB}/text.js');"
    run = subprocess.run([NODE, "-e", head + script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_node
def test_coder_gives_every_sequence_back():
    """Skewed and flat distributions, no symbol at all; about as short as the ideal."""
    wrong = node(f"""
      const c = require('{LAB}/coder.js'), wrong = [];
      for (let seed = 0; seed < 200; seed++) {{
        const draw = aelib.random(seed), n = 2 + Math.floor(draw() * 300);
        const p = Array.from({{ length: n }}, () => draw() ** (1 + 30 * draw()));
        const sum = p.reduce((a, b) => a + b), q = p.map(v => v / sum);
        const best = q.indexOf(Math.max(...q));
        const same = {{ probabilities: () => q, update() {{}} }};
        const tokens = Array.from({{ length: seed % 7 ? 300 : 0 }},
          () => (draw() < 0.5 ? Math.floor(draw() * n) : best));
        const {{ file, bits }} = c.finish(c.compress(same, tokens));
        const back = c.finish(c.decompress(same, file));
        const ideal = bits.reduce((a, b) => a + b, 0) / 8 * 1.01 + 3;
        const equal = JSON.stringify(back) === JSON.stringify(tokens);
        if (!equal || file.length > ideal) wrong.push(seed);
      }}
      console.log(JSON.stringify(wrong))""")
    assert wrong == []


@needs_node
def test_brotli_gives_every_text_back():
    """Files of the page's encoder: Python's package reads them, and of its version makes them."""
    package = pytest.importorskip("brotli")
    letter = manifest(MODELS / "reader.js")["extra"]["example"]["text"]
    noise = np.random.default_rng(0).integers(32, 0x9FFF, 4000)
    texts = [*STRANGE, letter, letter * 11, "".join(map(chr, noise)), "\n".join(map(str, noise))]
    files = node(
        f"""require('{MODELS}/brotli.js');
      (async () => {{
        const compress = await require('{LAB}/brotli.js').encoder(aelibData.brotli);
        const files = $0.map(text => compress(new TextEncoder().encode(text)));
        console.log(JSON.stringify(files.map(file => Buffer.from(file).toString('base64'))));
      }})()""",
        texts,
    )
    for text, file in zip(texts, map(base64.b64decode, files), strict=True):
        assert package.decompress(file).decode() == text
        if package.__version__ == data("brotli")["version"]:
            assert file == package.compress(text.encode(), quality=11, lgwin=24)


@needs_node
def test_predictors_are_distributions():
    """Sums are one after any text, also where a context is new."""
    worst = node(f"""
      const c = require('{LAB}/coder.js');
      const m = new c.Mixture([new c.Counts(9, 3), new c.Counts(9, 1)]);
      let worst = 0;
      for (const token of [1, 2, 3, 1, 2, 3, 1, 2, 8, 8, 8, 0]) {{
        const p = m.probabilities(), sum = p.reduce((a, b) => a + b);
        worst = Math.max(worst, Math.abs(sum - 1), Math.min(...p) > 0 ? 0 : 1);
        m.update(token);
      }}
      console.log(JSON.stringify(worst))""")
    assert worst < 1e-12


@needs_node
@pytest.mark.parametrize("loss", ["mse", "entropy", "relu"])
def test_gradients_in_the_page_are_those_of_keras(loss):
    """Of the tiny autoencoder, for a batch: loss and every ∂L/∂W and ∂L/∂b."""
    import tensorflow as tf

    x = np.random.default_rng(0).random((5, 64))
    made = node(
        f"""const {{ Tiny }} = require('{LAB}/tiny.js'), net = new Tiny($0, 3);
        const loss = net.gradient($1), plain = a => Array.from(a);
        const layers = net.layers.map(l => ({{ m: l.m, n: l.n, w: plain(l.w), b: plain(l.b),
          gw: plain(l.gw), gb: plain(l.gb) }}));
        console.log(JSON.stringify({{ loss, layers }}))""",
        loss,
        x.tolist(),
    )
    weights = []
    for layer in made["layers"]:
        weights += [tf.Variable(np.reshape(layer["w"], (layer["n"], layer["m"])).T)]
        weights += [tf.Variable(np.array(layer["b"], np.float64))]
    with tf.GradientTape() as tape:
        h = tf.constant(x)
        for i, f in enumerate((tf.tanh, tf.identity, tf.tanh, tf.sigmoid)):
            h = f(h @ weights[2 * i] + weights[2 * i + 1])
        value = {
            "mse": lambda: tf.reduce_mean((x - h) ** 2),
            "entropy": lambda: (
                -tf.reduce_mean(x * tf.math.log(h + 1e-7) + (1 - x) * tf.math.log(1 - h + 1e-7))
            ),
            "relu": lambda: tf.reduce_mean(tf.nn.relu(x - h)),
        }[loss]()
    assert made["loss"] == pytest.approx(float(value), rel=1e-9)
    gradients = tape.gradient(value, weights)
    for i, layer in enumerate(made["layers"]):
        near(np.reshape(layer["gw"], (layer["n"], layer["m"])).T, gradients[2 * i], 1e-8)
        near(layer["gb"], gradients[2 * i + 1], 1e-8)


@needs_node
def test_exported_json_is_read_too():
    answers = node(
        """const fs = require('node:fs'), text = fs.readFileSync($0, 'utf8');
        const json = JSON.stringify(aelib.parse(text)), said = [];
        for (const other of ['{}', 'body { }', '[1]', 'x'])
          try { aelib.parse(other); } catch (error) { said.push(error.message); }
        console.log(JSON.stringify([aelib.parse(json).class, said]))""",
        str(MODELS / "digits-vae.js"),
    )
    assert answers[0] == "VariationalAutoencoder"
    assert len(answers[1]) == 4 and all("aelib export" in words for words in answers[1])


@pytest.mark.parametrize("name", ["writer", "reader", "style", *PLAYED])
def test_recorded_examples_are_the_models_own(name):
    """What a page shows before it starts is what the model in it gives."""
    model, known = from_web(MODELS / f"{name}.js"), manifest(MODELS / f"{name}.js")["extra"]
    if name == "writer":
        made = model.generate(known["prompt"], 300, 0.7, top_p=0.95, seed=0)[0]
        assert made[:60] == known["example"][:60]
    elif name == "reader":
        bits = model.score(known["example"]["text"])["bits_per_character"]
        total = sum(known["example"]["bits"])
        assert bits * len(known["example"]["text"]) == pytest.approx(total, rel=0.1)
    elif name == "style":
        edited = [model.edit(v, 1 - i, 2.0)[0] for i, v in enumerate(known["verses"])]
        assert edited == known["edited"]
    else:
        assert model.decode(model.encode(known["pair"])) == known["back"]
        assert list(dict.fromkeys(model.interpolate(*known["pair"], steps=9))) == known["walk"]


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_sentences_of_strangers_are_reported_as_they_came_back():
    rows = data("strangers")["rows"]
    typed = [row["typed"] for row in rows]
    assert len(rows) == 10 and max(map(len, typed)) > 120
    copying, smooth = (from_web(MODELS / f"{name}.js") for name in PLAYED[::-1])
    z = smooth.encode(typed)
    assert [row["copied"] for row in rows] == copying.reconstruct(typed)
    assert [row["smooth"] for row in rows] == smooth.decode(z)
    assert [row["halfway"] for row in rows] == smooth.decode((z + np.roll(z, -1, axis=0)) / 2)
    table = book_lab.strangers(MODELS)
    assert all(escape(row["smooth"]) in table for row in rows)


def test_steps_cost_what_the_piano_says():
    """The likelihood little, and no fluency by the trigram judge."""
    cost = manifest(MODELS / "sentences-vae.js")["extra"]["cost"]
    exact, light = cost["exact"], cost["light"]
    assert light["nll"] < 1.05 * exact["nll"]
    assert light["back"] <= exact["back"] and light["between"] <= exact["between"]


def test_knobs_do_more_than_chance():
    """The recorded effects; each kept knob switches most held-out sentences, both ways."""
    knobs = manifest(MODELS / "sentences-vae.js")["extra"]["directions"]
    assert len(knobs) >= 3
    for knob in knobs:
        assert min(knob["on"], knob["off"]) >= 0.6 and knob["on"] > knob["random"]["on"] + 0.2
