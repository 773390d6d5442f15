"""Edits are exact, and an editor learns a style that can be known exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aelib.errors import BadInput
from aelib.models.style import StyleEditor, apply, edits, pieces

WORDS = ["the", "king", "saith", "unto", "his", "men", "went", "up"]
sentences = st.lists(st.sampled_from(["a", "b", "c d", "é", ",", "."]), max_size=8).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_pieces_joined_are_the_text(text):
    assert "".join(pieces(text)) == text


@settings(max_examples=200, deadline=None)
@given(a=sentences, b=sentences)
def test_edits_turn_one_text_into_the_other(a, b):
    x = pieces(a)
    assert "".join(apply(w, e) for w, e in zip(x, edits(x, pieces(b)), strict=True)) == b


def test_edits_of_an_example():
    a, b = pieces("He went unto him"), pieces("Then he went to him.")
    assert edits(a, b) == ["=", "~Then he", "=", "~ to", "=."]


def pair(rng):
    """An old sentence and a modern one: unto is to, saith is says, and the last word goes."""
    middle = " ".join(rng.choice(WORDS, 5))
    old, new = f"{middle} Selah.", f"{middle}."
    return old, new.replace("unto", "to").replace("saith", "says")


@pytest.fixture(scope="module")
def editor():
    rng = np.random.default_rng(0)
    made = StyleEditor(width=32, depth=1, dropout=0.0)
    return made.fit([pair(rng) for _ in range(400)], epochs=12, learning_rate=1e-2, verbose=0)


def test_it_learns_both_directions(editor):
    old, new = map(
        list, zip(*(pair(np.random.default_rng(i)) for i in range(1000, 1040)), strict=True)
    )
    assert np.mean([a == b for a, b in zip(editor.edit(old, 1), new, strict=True)]) > 0.95
    assert np.mean([a == b for a, b in zip(editor.edit(new, 0), old, strict=True)]) > 0.95


def test_strength_goes_from_copying_to_changing(editor):
    old = [pair(np.random.default_rng(i))[0] for i in range(20)]
    assert editor.edit(old, 1, strength=0) == old
    changed = [
        sum(e != "=" for a, b in zip(old, editor.edit(old, 1, s), strict=True)
            for e in edits(pieces(a), pieces(b)))
        for s in (0.0, 1.0, 1e6)
    ]  # fmt: skip
    assert changed[0] == 0 < changed[1] < changed[2]
    assert editor.edit("unbekannte Wörter bleiben", 1)[0].count("Wörter") == 1


def test_saved_and_loaded_it_edits_alike(editor, tmp_path):
    texts = [pair(np.random.default_rng(i))[0] for i in range(5)]
    editor.save(tmp_path / "style.keras")
    assert StyleEditor.load(tmp_path / "style.keras").edit(texts, 1) == editor.edit(texts, 1)


def test_batches_do_not_change_the_answer(editor):
    texts = [pair(np.random.default_rng(i))[0] for i in range(9)] + ["saith"]
    assert editor.edit(texts, 1, batch_size=2) == editor.edit(texts, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: StyleEditor().edit("x"), "learnt nothing"),
        (lambda e: StyleEditor().fit([]), "nothing to learn"),
        (lambda e: e.edit("x", 2), "0 or 1"),
        (lambda e: e.edit("x", 1, -1), "at least 0"),
        (lambda e: e.edit("x", 1, float("nan")), "at least 0"),
    ],
)
def test_refusals(editor, call, message):
    with pytest.raises(BadInput, match=message):
        call(editor)
