"""Models in the page and as ONNX give what Keras gives; files come back; refusals say what to do.

The page's runtime is run by Node against values that Keras computes here. Weights are float32 for
the comparisons (<= 1e-5 relative to the largest value); with float16 weights the distance to the
float32 model is stated.
"""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from typer.testing import CliRunner

import aelib
from aelib import cli
from aelib.errors import BadInput
from aelib.export import from_web, to_onnx, to_web
from aelib.export.web import manifest
from aelib.models import Autoencoder, VariationalAutoencoder
from aelib.models.regularised import SparseAutoencoder
from aelib.models.style import pieces
from aelib.text import BOS, EOS, Tokenizer

EVALUATE = Path(__file__).parent / "lab" / "evaluate.js"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node: install Node.js 20 or newer")
LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat")]  # fmt: skip
STRANGE = ["", " ", "Ünseen, 起初!", "  two  spaces ", "it's we'll I'D 42nd", "a\tb\n\nc \n",
           "👩\u200d👧 x", "\ufeffmark", "nbsp\u00a0here\u2003and\u0085", "\x00\x1f", "e\u0301é",
           "THE DOG"]  # fmt: skip
PAIRS = [("binding", "binding"), ("recurrent", "lstm"), ("lstm", "recurrent"),
         ("transformer", "transformer"), ("binding", "recurrent"), ("recurrent", "binding"),
         ("convolutional", "convolutional")]  # fmt: skip
NETWORKS = ("transformer", "recurrent", "qrnn")


def node(*requests):
    """What the runtime answers, in Node: one list for each (file, calls) or (file, calls, simd)."""
    asked = [{"file": str(f), "calls": c, "simd": not s or s[0]} for f, c, *s in requests]
    path = Path(asked[0]["file"]).with_suffix(".requests.json")
    path.write_text(json.dumps(asked), encoding="utf-8")
    run = subprocess.run([NODE, EVALUATE, path], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def assert_close(ours, keras_value, relative=1e-5):
    """Within `relative` of the largest value."""
    expected = np.asarray(ops.convert_to_numpy(keras_value), np.float64)
    assert np.shape(ours) == expected.shape
    assert np.abs(np.asarray(ours) - expected).max() <= relative * np.abs(expected).max()


def spread_out(model, seed=1):
    """Every weight moved, so that no zero and no one stands in for another."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        v.assign(v + 0.1 * rng.standard_normal(v.shape).astype(np.float32))
    return model


@pytest.fixture(scope="module")
def language():
    def make(network):
        model = aelib.LanguageModel(
            16, 2, 2, context=12, network=network, tokens="char",
            ngrams=3 if network == "qrnn" else 0, tokenizer=Tokenizer.train(LINES, "char", 300),
        )  # fmt: skip
        return spread_out(model)

    return {network: make(network) for network in NETWORKS}


@pytest.fixture(scope="module")
def sentences():
    def make(encoder, decoder):
        model = aelib.TextAutoencoder(
            24, encoder, decoder, kind="variational" if decoder != "binding" else "plain",
            width=16, length=12, skip=decoder == "lstm", posterior="batchnorm",
            tokenizer=Tokenizer.train(LINES, "word", 300),
        )  # fmt: skip
        model.decoder.adapt(model.ids(LINES))
        return model if decoder == "binding" else spread_out(model)

    return {pair: make(*pair) for pair in PAIRS}


# ------------------------------------------------------------------------------ equal to Keras


@needs_node
@pytest.mark.parametrize("simd", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
def test_language_models_predict_as_in_keras(language, network, simd, tmp_path):
    model = language[network]
    ids = [BOS, *model.tokenizer.ids(["the dog saw"])[0]]
    expected = model(np.array([ids]))[0]
    path = to_web(model, tmp_path / "lm.js", "float32")
    ((ours,),) = node((path, [["logits", ids]], simd))
    assert_close(ours, expected)
    ((half,),) = node((to_web(model, tmp_path / "half.js"), [["logits", ids]]))
    assert_close(half, expected, 1e-2)


@needs_node
def test_cache_is_a_ring_beyond_the_context(language, tmp_path):
    model = language["transformer"]
    ids = [BOS, *model.tokenizer.ids(["the dog saw the sea and the sun."])[0]]
    state, expected = model.start(1), []
    for t, token in enumerate(ids):
        logits, state = model.advance(ops.convert_to_tensor([token]), state, t)
        expected.append(ops.convert_to_numpy(logits)[0])
    assert len(ids) > 2 * model.context
    path = to_web(model, tmp_path / "lm.js", "float32")
    assert_close(node((path, [["logits", ids]]))[0][0], np.stack(expected))


@needs_node
@pytest.mark.parametrize("options", [{}, {"temperature": 0.7, "top_p": 0.8}, {"top_k": 5},
                                     {"temperature": 0.0}], ids=str)  # fmt: skip
def test_same_uniform_numbers_write_the_same_text(language, options, tmp_path):
    model, prompt = language["recurrent"], "the d"
    expected = model.generate(prompt, 20, seed=3, **options)[0]
    width = int(np.ceil((len(prompt) + 1 + 20) / 32) * 32)
    uniforms = np.random.default_rng(3).random((1, width), np.float32)[0, len(prompt) :]
    names = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
    call = ["generate", prompt, 20, {names[k]: v for k, v in options.items()}, uniforms.tolist()]
    assert node((to_web(model, tmp_path / "lm.js", "float32"), [call]))[0][0] == expected


@needs_node
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_text_autoencoders_encode_and_decode_as_in_keras(sentences, pair, tmp_path):
    model = sentences[pair]
    text, ids = LINES[3], model.ids(LINES[3:4])
    z = model.encode([text])
    path = to_web(model, tmp_path / "ae.js", "float32")
    calls = [["encode", text], ["decode", z[0].tolist()]]
    if model.decoder.autoregressive:
        before = [BOS, *ids[0, :-1].tolist()]
        calls.append(["logits", before, z[0].tolist()])
    ours = node((path, calls))[0]
    assert_close(ours[0], z[0])
    assert ours[1] == model.decode(z)[0]
    if model.decoder.autoregressive:
        assert_close(ours[2], model.decoder.logits(z, ids)[0])
    half = node((to_web(model, tmp_path / "half.js"), [["encode", text]]))[0][0]
    assert_close(half, z[0], 5e-3)


@needs_node
@pytest.mark.parametrize("kind", ["quantised", "adversarial", "denoising"])
def test_other_latents(kind, tmp_path):
    model = aelib.TextAutoencoder(8, "recurrent", "recurrent", kind=kind, width=16, length=12,
                                  tokenizer=Tokenizer.train(LINES, "word", 300))  # fmt: skip
    path = to_web(spread_out(model), tmp_path / "ae.js", "float32")
    assert_close(node((path, [["encode", LINES[0]]]))[0][0], model.encode(LINES[:1])[0])


@needs_node
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", None])
def test_dense_autoencoders(likelihood, tmp_path):
    if likelihood is None:
        model = Autoencoder.dense(12, 3, hidden_dim=8, output_activation="sigmoid")
    else:
        model = VariationalAutoencoder.dense(12, 3, 8, likelihood=likelihood)
    spread_out(model)
    x = np.random.default_rng(0).random((1, 12), np.float32)
    z = ops.convert_to_numpy(model.encode(x))
    path = to_web(model, tmp_path / "ae.js", "float32")
    ours = node((path, [["encode", x[0].tolist()], ["decode", z[0].tolist()]]))[0]
    assert_close(ours[0], z[0])
    assert_close(ours[1], model.decode(z)[0])
    if likelihood:
        ours = node((path, [["posterior", x[0].tolist()]]))[0][0]
        assert_close(np.stack(ours), np.concatenate([ops.convert_to_numpy(p)
                                                     for p in model.posterior(x)]))  # fmt: skip


@needs_node
@pytest.mark.parametrize("kind", ["word", "bpe", "char", "byte"])
def test_tokenizers_cut_and_spell_every_string_alike(kind, tmp_path):
    texts = [*LINES[:5], *STRANGE, "".join(map(chr, range(32, 700))), "z" * 50]
    tokenizer = Tokenizer.train(LINES + STRANGE, kind, 320)
    model = aelib.LanguageModel(8, 1, 1, context=8, network="recurrent", tokenizer=tokenizer)
    path = to_web(model, tmp_path / "lm.js")
    ids = tokenizer.ids(texts)
    calls = [["ids", t] for t in texts] + [["text", [*i, EOS, 5]] for i in ids]
    calls += [["text", [200, 201, 5, 0, 1, 77]]]  # broken UTF-8
    ours = node((path, calls))[0]
    assert ours[: len(texts)] == ids
    assert ours[len(texts) : -1] == tokenizer.decode(ids) == texts
    assert ours[-1] == tokenizer.decode([[200, 201, 5, 0, 1, 77]])[0]


VERSES = ["Thou hast said unto me, Behold, the king cometh.", "in 1611 – what's that?\n",
          "  He saith: “Go!” ", "", "Ünseen 起初_x e\u0301 a\x1fb",
          "And it came to pass " * 9]  # fmt: skip


@needs_node
@pytest.mark.parametrize("dtype", ["float16", "int6"])
@pytest.mark.parametrize("name", aelib.presets.available())
def test_every_preset_works_in_the_page(name, dtype, tmp_path):
    """With the page's weights Keras gives the same: logits within 1e-5, and the same words."""
    path = to_web(aelib.presets.load(name), tmp_path / f"{name}.js", dtype)
    model = from_web(path)
    text = "In the beginning there was a word, and 3 more."
    if isinstance(model, aelib.StyleEditor):
        cases = [(v, s, k) for v in VERSES for s, k in ((0, 1.0), (1, 2.0), (1, 0))]
        calls = [["edit", *case] for case in cases]
        ours = node((path, [*calls, ["scores", VERSES[0], 1]]))[0]
        assert ours[:-1] == [model.edit(v, s, k)[0] for v, s, k in cases]
        ids = model._ids(pieces(VERSES[0]))
        ids = np.array([ids + [0] * (-len(ids) % 8)])
        assert_close(ours[-1], model((ids, np.array([1])))[0, : len(ours[-1])])
    elif isinstance(model, aelib.LanguageModel):
        ids = [BOS, *model.tokenizer.ids([text])[0]]
        assert_close(node((path, [["logits", ids]]))[0][0], model(np.array([ids]))[0])
    else:
        z = model.encode([text])
        ours = node((path, [["encode", text], ["decode", z[0].tolist()]]))[0]
        assert_close(ours[0], z[0])
        assert ours[1] == model.decode(z)[0]


# ----------------------------------------------------------------------------- files, refusals


def test_files_come_back(language, sentences, tmp_path):
    editor = aelib.StyleEditor(8, 1).fit([("thou hast it", "you have it")] * 3, epochs=1, verbose=0)
    dense = VariationalAutoencoder.dense(12, 3, 8)
    for model in (*language.values(), *sentences.values(), dense, editor):
        path = to_web(model, tmp_path / "m.js", "float32", extra={"note": "é"})
        again = from_web(path)
        assert type(again) is type(model) and manifest(path)["extra"] == {"note": "é"}
        path.unlink()
        for a, b in zip(model.variables, again.variables, strict=True):
            if "seed" not in a.path and "counts" not in a.path and "slots" not in a.path:
                np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    assert not list(tmp_path.iterdir())


def test_codes_of_signs_take_bits():
    model = aelib.TextAutoencoder.from_preset("sentences")
    from aelib.export.web import _pack, _unpack

    for name in ("table", "places"):
        value = ops.convert_to_numpy(getattr(model.decoder.codebook, name))
        packed, how = _pack(name, value, "float16")
        assert packed.nbytes <= value.nbytes / 32
        np.testing.assert_array_equal(_unpack(packed, how), value)


def test_letters_hold_the_nearest_of_63_levels():
    from aelib.export.web import LETTERS, _pack, _unpack

    rng = np.random.default_rng(0)
    for value in (rng.standard_normal((30, 7)), 50 * np.eye(9) + 1e-3, np.zeros((3, 4))):
        packed, how = _pack("w", value.astype(np.float32), "int6")
        again = _unpack(packed, how)
        assert again.shape == value.shape
        if how is None:
            np.testing.assert_array_equal(again, value)
            continue
        assert len(how["letters"]) == value.size and set(how["letters"]) <= set(LETTERS)
        assert np.abs(again - value).max() <= 0.5001 * packed[0]
    with pytest.raises(BadInput, match="NaN"):
        _pack("w", np.full((2, 2), np.nan, np.float32), "int6")


def test_int6_is_light_and_nearly_as_good(tmp_path):
    """What a host that compresses sends is less than half; held-out sentences cost little more."""
    whole_ = aelib.TextAutoencoder.from_preset("sentences-vae")
    light = to_web(whole_, tmp_path / "light.js", "int6")
    full = to_web(whole_, tmp_path / "full.js")
    sent = [len(gzip.compress(path.read_bytes())) for path in (light, full)]
    assert sent[0] < 1.05e6 and sent[0] < 0.35 * sent[1]
    texts = aelib.data.load("web").sentences("test", 3, 10)[:100]
    costs = [model.score(texts)["nll"] for model in (from_web(light), whole_)]
    assert costs[0] < 1.03 * costs[1]


def test_refusals_say_what_to_do(language, tmp_path):
    model = language["recurrent"]
    for path, words in (("a b.js", "try a-b.js"), ("a.json", "try a.js"), ("no/a.js", "cannot")):
        with pytest.raises(BadInput, match=words):
            to_web(model, tmp_path / path)
    with pytest.raises(BadInput, match="float16, float32 or int6"):
        to_web(model, tmp_path / "a.js", "int8")
    with pytest.raises(BadInput, match="learnt nothing yet"):
        to_web(aelib.StyleEditor(), tmp_path / "a.js")
    with pytest.raises(BadInput, match="call fit"):
        to_web(aelib.LanguageModel(), tmp_path / "a.js")
    with pytest.raises(BadInput, match="SparseAutoencoder does not run"):
        to_web(SparseAutoencoder.dense(4, 2), tmp_path / "a.js")
    blind = aelib.TextAutoencoder(
        4, "none", "recurrent", width=8, length=8, tokenizer=model.tokenizer
    )
    with pytest.raises(BadInput, match="NoEncoder does not run"):
        to_web(blind, tmp_path / "a.js")
    large = VariationalAutoencoder.dense(4, 2, 3)
    large.encoder.code.bias.assign([1e5] * 4)
    with pytest.raises(BadInput, match="does not fit float16"):
        to_web(large, tmp_path / "a.js")
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused(language, tmp_path):
    text = to_web(language["recurrent"], tmp_path / "a.js").read_text()
    changes = (('"format":1', '"format":9'), ('"width":16', '"width":17'), ("AAAA", "A*AA"))
    for broken in (text[:-40], "alert(1)", *(text.replace(a, b, 1) for a, b in changes)):
        (tmp_path / "b.js").write_text(broken)
        with pytest.raises(BadInput, match=r"b\.js"):
            from_web(tmp_path / "b.js")


# ---------------------------------------------------------------------------------------- ONNX


@pytest.mark.slow
def test_onnx_gives_what_keras_gives(language, sentences, tmp_path):
    session = pytest.importorskip("onnxruntime").InferenceSession
    pytest.importorskip("tf2onnx")
    model = language["transformer"]
    (path,) = to_onnx(model, tmp_path / "lm.onnx")
    ids = model.tokenizer.encode(LINES[:3], 24)
    assert_close(session(path).run(None, {"ids": ids})[0], model(ids))
    model = sentences["recurrent", "lstm"]
    encoder, decoder = to_onnx(model, tmp_path / "ae.onnx")
    ids = model.ids(LINES[:3])
    (z,) = session(encoder).run(None, {"ids": ids})
    assert_close(z, model.encode(LINES[:3]))
    assert_close(session(decoder).run(None, {"z": z, "ids": ids})[0], model.decoder.logits(z, ids))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".onnx"] * 3
    with pytest.raises(BadInput, match=r"try lm\.onnx"):
        to_onnx(model, tmp_path / "lm.js")


# --------------------------------------------------------------------------------- command line


def test_command(language, tmp_path):
    language["recurrent"].save(tmp_path / "mine.keras")
    run = CliRunner().invoke(cli.app, ["export", str(tmp_path / "mine.keras"), "--web",
                                       str(tmp_path / "mine.js")])  # fmt: skip
    assert run.exit_code == 0, run.output
    assert isinstance(from_web(tmp_path / "mine.js"), keras.Model)
    light = tmp_path / "light.js"
    run = CliRunner().invoke(cli.app, ["export", "style", "--web", str(light), "--dtype", "int6"])
    assert run.exit_code == 0 and isinstance(from_web(light), aelib.StyleEditor)
    run = CliRunner().invoke(cli.app, ["export", "sentences"])
    assert isinstance(run.exception, BadInput) and "--web" in str(run.exception)
