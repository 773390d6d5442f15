"""Tokenizers are exact for any Unicode; noise touches only text; bad files are refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aelib.errors import BadInput, UnknownName
from aelib.text import EOS, FIRST, PAD, Tokenizer, noise, read_lines, read_text

TEXTS = [
    "In the beginning, God created the heavens and the earth.",
    "Now the earth was formless and empty. Darkness was on the deep.",
    "God's Spirit was hovering over the waters, and the earth heard.",
    "It's 1,000 miles; naïve Zoë said: “¡olé!” 起初",
] * 3
KINDS = ["word", "bpe", "char", "byte"]
TOKENIZERS = {kind: Tokenizer.train(TEXTS, kind, size=420) for kind in KINDS}
unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
odd = ["", " ", "Ġ", "a\0b", " lead"]
odd += ["  two  spaces ", "<pad>", "␀eos", "[UNK]", "\n\ttab", "👩‍👩‍👧"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", odd + TEXTS[:4])
def test_round_trip_of_odd_strings(kind, text):
    tok = TOKENIZERS[kind]
    assert tok.decode(tok.encode([text])) == [text]
    assert tok.encode(text).min() >= 0
    assert not {0, 1, 2} & set(tok.ids([text])[0])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(text=unicode_text)
def test_round_trip_of_any_unicode(kind, text):
    tok = TOKENIZERS[kind]
    assert tok.decode(tok.encode([text])) == [text]


@pytest.mark.parametrize("kind", KINDS)
def test_json_and_file_keep_everything(kind, tmp_path):
    tok = TOKENIZERS[kind]
    tok.save(tmp_path / "t.json")
    for twin in (Tokenizer.from_json(tok.to_json()), Tokenizer.load(tmp_path / "t.json")):
        assert twin == tok and twin.size == tok.size and twin.kind == kind
        assert np.array_equal(twin.encode(TEXTS + odd), tok.encode(TEXTS + odd))


def test_words_are_whole_and_the_first_equals_the_others():
    tok = Tokenizer.train(TEXTS, "word", size=1000)
    assert tok.tokens("earth earth") == [" earth", " earth"]
    ids = tok.ids(["the earth heard the waters"])[0]
    assert len(ids) == 5 and ids[0] == ids[3]
    assert len(tok.ids(["qzx"])[0]) >= 2  # spelt, not unknown


def test_sizes_and_special_rows():
    assert TOKENIZERS["byte"].size == 256 + 3
    assert Tokenizer.train(TEXTS, "bpe", size=300).size == 300
    assert Tokenizer.train(TEXTS, "word", size=10).size == 259
    ids = TOKENIZERS["char"].encode(["ab", "abcd"])
    assert ids.shape == (2, 5) and ids.dtype == np.int32
    assert ids[0, 2] == EOS and list(ids[0, 3:]) == [PAD, PAD]
    cut = TOKENIZERS["byte"].encode(["abcdef"], length=4)
    assert cut.shape == (1, 4) and cut[0, -1] == EOS
    assert TOKENIZERS["byte"].decode(cut) == ["abc"]


def test_training_is_deterministic():
    for kind in KINDS:
        assert Tokenizer.train(TEXTS, kind, 420) == TOKENIZERS[kind]


def test_bad_vocabulary_requests():
    with pytest.raises(UnknownName, match="choose one of"):
        Tokenizer.train(TEXTS, "wordpiece")
    with pytest.raises(BadInput, match="no text"):
        Tokenizer.train([], "word")
    with pytest.raises(BadInput, match="not a string"):
        TOKENIZERS["byte"].encode(["a", 3])
    with pytest.raises(BadInput, match="surrogate"):
        TOKENIZERS["byte"].encode(["\ud800"])
    with pytest.raises(BadInput, match="not an aelib tokenizer"):
        Tokenizer.from_json('{"kind": "word"}')


IDS = TOKENIZERS["word"].encode(TEXTS)


@pytest.mark.parametrize("name", ["drop", "blank", "swap", "substitute"])
def test_noise_properties(name):
    make = getattr(noise, name)
    assert np.array_equal(make(IDS, 0.0, seed=1), IDS)
    noisy = make(IDS, 0.5, seed=1)
    assert noisy.shape == IDS.shape and noisy.dtype == IDS.dtype
    assert np.array_equal(noisy, make(IDS, 0.5, seed=1))
    assert not np.array_equal(noisy, make(IDS, 0.5, seed=2))
    assert np.array_equal((noisy == EOS).sum(1), (IDS == EOS).sum(1))
    with pytest.raises(BadInput, match="between 0 and 1"):
        make(IDS, 1.5)
    with pytest.raises(BadInput, match="integer ids"):
        make(IDS.astype(float), 0.1)


def test_each_noise_does_what_it_says():
    tokens = (IDS >= FIRST).sum()
    dropped = noise.drop(IDS, 0.3, seed=0)
    assert 0.6 * tokens < (dropped >= FIRST).sum() < 0.8 * tokens
    assert all(set(a) <= set(b) | {PAD} for a, b in zip(dropped, IDS, strict=True))
    assert (np.diff((dropped == PAD).astype(int), axis=1) >= 0).all()  # no holes
    blanked = noise.blank(IDS, 0.3, seed=0)
    assert ((blanked == IDS) | (blanked == PAD)).all()
    assert np.array_equal((blanked == EOS), (IDS == EOS))
    swapped = noise.swap(IDS, 1.0, seed=0)
    assert np.array_equal(np.sort(swapped, axis=1), np.sort(IDS, axis=1))
    assert np.array_equal((swapped >= FIRST), (IDS >= FIRST))
    replaced = noise.substitute(IDS, 1.0, seed=0)
    assert set(replaced[IDS >= FIRST]) <= set(IDS[IDS >= FIRST])
    assert noise.substitute(IDS, 1.0, seed=0, size=10).max() < 10


def test_a_swapped_token_moves_at_most_three_places():
    row = np.arange(FIRST, FIRST + 50)[None]
    moved = noise.swap(row, 1.0, seed=3)
    assert np.abs(moved[0] - row[0]).max() <= 3


def test_files_are_read_or_refused(tmp_path):
    good = tmp_path / "good.txt"
    good.write_text("\ufeffone\n\n  two \n", encoding="utf-8")
    assert read_lines(good) == ["one", "two"]
    assert read_lines(io.StringIO("a\nb")) == ["a", "b"]
    assert read_lines(["x ", ""]) == ["x"]
    with good.open() as handle:
        assert "two" in read_text(handle)
    cases = {
        b"": "is empty", b"\n \n": "is empty", b"\x00\x01ab": "binary",
        "café".encode("latin1"): "not UTF-8", b"x" * 100_001: "one sentence on a line",
    }  # fmt: skip
    for data, message in cases.items():
        bad = tmp_path / "bad.txt"
        bad.write_bytes(data)
        with pytest.raises(BadInput, match=message):
            read_lines(bad)
    with pytest.raises(BadInput, match="cannot read"):
        read_lines(tmp_path / "missing.txt")
    with pytest.raises(BadInput, match="no text"):
        read_lines([""])


@pytest.mark.parametrize("kind", ["word", "bpe", "char"])
def test_the_same_texts_give_the_same_tokenizer(kind):
    texts = [f"{a}{b} {b}{a}ing un{a}" for a in ["spring", "fall", "winter"] for b in "xyz"]
    made = {Tokenizer.train(texts, kind, 300).to_json() for _ in range(4)}
    assert len(made) == 1
