"""Presets: they load fast, do what their cards say, and damaged ones are refused."""

import json
import shutil
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aelib import presets
from aelib.errors import BadInput, UnknownName
from aelib.models import LanguageModel, StyleEditor, TextAutoencoder

LINES = ["the dog saw the sea.", "a cat ate the hat.", "the king had a dog."] * 70


def folder_of(name):
    return presets._folder(name)


def test_all_presets_have_cards_and_fit_in_the_wheel():
    assert "sentences" in presets.available()
    size = sum(p.stat().st_size for n in presets.available() for p in folder_of(n).iterdir())
    assert size <= 12 * 2**20
    for name in presets.available():
        assert presets.card(name).startswith(f"# {name}\n")


@pytest.mark.parametrize("name", presets.available())
def test_each_loads_within_two_seconds_of_cpu(name):
    started = time.process_time()
    model = presets.load(name)
    assert time.process_time() - started < 2
    if name == "style":
        assert model.edit("Ünseen, 起初!", 1, strength=0) == ["Ünseen, 起初!"]
    else:
        tokens = model.tokenizer
        assert tokens.decode(tokens.encode(["Ünseen, 起初!"])) == ["Ünseen, 起初!"]


def test_style_makes_old_words_modern():
    editor = StyleEditor.from_preset("style")
    assert editor.edit("He said unto him.", 1) == ["He said to him."]
    assert "unto" in editor.edit("He said to him, Go.", 0, strength=2.0)[0]


def test_sentences_come_back_exactly():
    model = TextAutoencoder.from_preset("sentences")
    texts = [
        "In the beginning there was a word.",
        "She poured herself a second cup of coffee and opened the laptop.",
        "Zoë paid €3.50 for two croissants near the station.",
        "The committee will meet again on the 14th of March.",
    ]
    assert model.reconstruct(texts) == texts


def test_held_out_sentences_of_the_corpora():
    data = pytest.importorskip("aelib.data")
    model = TextAutoencoder.from_preset("sentences")
    rng = np.random.default_rng(1)
    for name, least in (("web", 0.95), ("sotu", 0.90)):
        texts = data.load(name).sentences("test")
        texts = [texts[i] for i in rng.choice(len(texts), 60, replace=False)]
        assert model.score(texts)["exact"] >= least, name


@pytest.mark.parametrize("kind", ["binding", "recurrent", "language"])
def test_written_and_read_back(kind, tmp_path):
    if kind == "language":
        model = LanguageModel(width=16, depth=1, heads=2, context=8, tokens="word")
        model.fit(LINES, steps=5, verbose=0)
        use = lambda m: m.score(LINES[:5])["nll"]  # noqa: E731
    else:
        model = TextAutoencoder(16, kind, kind, width=16).fit(LINES, epochs=1, verbose=0)
        use = lambda m: m.score(LINES[:5])["nll"]  # noqa: E731
    presets.write(model, tmp_path / "mine")
    again = presets.read(tmp_path / "mine")
    assert use(again) == pytest.approx(use(model), rel=0.02, abs=0.02)  # float16


def test_damaged_presets_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="choose one of"):
        presets.load("nothing")
    with pytest.raises(BadInput, match="not a LanguageModel"):
        LanguageModel.from_preset("sentences")
    for broken in ("config.json", "tokenizer.json", "weights.safetensors"):
        copy = tmp_path / broken.split(".")[0]
        shutil.copytree(folder_of("sentences"), copy)
        (copy / broken).write_bytes((copy / broken).read_bytes()[:-50])
        with pytest.raises(BadInput):
            presets.read(copy)
    copy = tmp_path / "other"
    shutil.copytree(folder_of("sentences"), copy)
    head = json.loads((copy / "config.json").read_text())
    head["config"]["length"] = 8
    head["config"]["latent_dim"] = 64
    (copy / "config.json").write_text(json.dumps(head))
    weights = load_file(copy / "weights.safetensors")
    weights["000.beta"] = np.zeros((3, 3), np.float32)
    save_file(weights, copy / "weights.safetensors")
    with pytest.raises(BadInput, match="does not fit"):
        presets.read(copy)
