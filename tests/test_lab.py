"""The lab's instruments in a browser, on http and from disk: each does what its page promises.

Values of the page are compared with those of the Keras model that holds the same weights
(`from_web`): <= 1e-5 relative in float32. The files hold float16, whose distance from the trained
model is in test_export.py.
"""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import book_lab
import numpy as np
import pytest
from keras import ops

import aelib
from aelib.export import from_web, to_web
from aelib.export.web import manifest
from aelib.text import BOS

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(os.environ.get("AELIB_SITE", ROOT / "_build" / "html"))  # another: build_book --only
LAB = ROOT / "book" / "_extra" / "lab"
MODELS = LAB / "models"
NODE = shutil.which("node")
NAMES = ("piano", "bottleneck", "compressor", "writer", "digits")
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

    def __init__(self, browser, base, javascript=True):
        self.base, self.asked, self.faults = base, [], []
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 900}, java_script_enabled=javascript,
            reduced_motion="reduce",
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
        self.page.locator(".lab").scroll_into_view_if_needed()
        self.page.wait_for_selector('.lab[data-state="live"]', timeout=60_000)
        return self.page

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
    for kind in ("counts", "both"):
        set_value(page, "Predictor", kind)
        page.wait_for_selector('.lab-out[data-state="busy"]', timeout=60_000)
        page.wait_for_selector('.lab-out[data-state="done"]', timeout=120_000)
        assert said.get_attribute("data-equal") == "true"
    page.get_by_label("Text", exact=True).fill("Grüße, 起初! 👩‍👧 aaaa")
    page.wait_for_function("document.querySelector('.lab-costs').textContent.startsWith('Gr')")
    page.wait_for_selector('.lab-out[data-state="done"]', timeout=120_000)
    assert said.get_attribute("data-equal") == "true"
    lab.check()


PLAYED = [name for name in ("piano-vae", "sentences") if (MODELS / f"{name}.js").exists()]


@site
def test_piano(lab):
    """Latents, reconstructions and the walk are Keras's; turned numbers change the text."""
    page = lab.open("piano")
    text = page.locator('[data-role="text"]')
    for name in PLAYED:
        set_value(page, "Model", name)
        model, known = from_web(MODELS / f"{name}.js"), manifest(MODELS / f"{name}.js")["extra"]
        assert text.inner_text() == known["back"][0]
        ours = page.evaluate(
            "([n, t]) => Array.from(aelib.load(n).encode(t))", [name, known["pair"][0]]
        )
        near(ours, model.encode(known["pair"][:1])[0])
        set_value(page, "On the way", 0.4)
        ends = model.encode(known["pair"])
        middle = model.decode((0.6 * ends[0] + 0.4 * ends[1])[None].astype(np.float32))[0]
        assert page.locator('[data-role="between"]').inner_text() == middle
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
    shown = visit.page.locator(".lab-static").inner_text()
    assert "JavaScript" in shown and len(shown) > 150
    assert visit.page.locator(".lab :is(button, input)").count() == 0
    visit.context.close()


@site
@pytest.mark.parametrize("name", NAMES)
def test_page_is_light(browser, bases, name):
    """All that a first visit loads, as a static host sends it, and the lab's own part as it is."""
    visit = Lab(browser, bases["http"])
    visit.open(name)
    files = {url.split("?")[0].removeprefix(visit.base + "/") for url in visit.asked}
    paths = [SITE / file for file in files if (SITE / file).is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in paths) <= MOST
    own = [path for path in paths if path.parent in (SITE / "lab", SITE / "lab" / "models")]
    assert sum(path.stat().st_size for path in own) <= MOST
    visit.context.close()


def test_models_together_are_small():
    assert sum(path.stat().st_size for path in MODELS.glob("*.js")) <= 6_000_000


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
    own = aelib.LanguageModel(8, 1, 1, context=8, network="recurrent", tokens="byte")
    own.fit(open_text(tmp_path), steps=1, verbose=0)
    page.get_by_label("Model file").set_input_files(to_web(own, tmp_path / "own.js"))
    page.wait_for_function(
        "document.querySelector('.lab-said').textContent.startsWith('Now playing own.js')"
    )
    page.get_by_role("button", name="One character").click()
    visit.check()
    visit.context.close()


def open_text(folder):
    path = folder / "own.txt"
    path.write_text("the dog saw the sea.\n" * 20, encoding="utf-8")
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


@pytest.mark.parametrize("name", ["writer", "reader", *PLAYED])
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
    else:
        assert model.decode(model.encode(known["pair"])) == known["back"]
        assert list(dict.fromkeys(model.interpolate(*known["pair"], steps=9))) == known["walk"]
