"""Sentences through quantised latents: what comes back, what it costs, and lossless with words."""

import numpy as np
import pytest

import aelib
from aelib import codec, measure, plot
from aelib.codec.container import CRC
from aelib.codec.lossy import HEAD
from aelib.errors import BadInput

NOUNS = ("sea", "sun", "fog", "pie", "hat")
LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in NOUNS]  # fmt: skip
ODD = ["", " the dog", "你好 🐙", "the dog saw " * 40, "The\nDOG\0"]


@pytest.fixture(scope="module")
def model():
    return aelib.TextAutoencoder(64, length=12).fit(LINES, seconds=0, verbose=0)


@pytest.fixture(scope="module")
def fitted(model):
    return codec.SentenceCodec(model, bits=6).fit(LINES)


def test_fine_cells_give_the_sentences_back(fitted):
    blob = fitted.encode(LINES)
    assert fitted.decode(blob) == LINES
    assert fitted.decode(fitted.encode([])) == []
    cells = fitted.quantiser.quantise(fitted.model.encode(LINES))
    rate = 8 * (len(blob) - HEAD.size - CRC.size) / len(LINES)
    assert rate == pytest.approx(fitted.quantiser.rate_bits(cells), rel=0.01)


def test_lossless_gives_everything_back(model):
    for bits in (1, 3):  # at one bit the latents alone say little
        coder = codec.SentenceCodec(model, bits).fit(LINES)
        texts = [*LINES[::3], *ODD]
        assert coder.decode(coder.encode(texts, lossless=True)) == texts


def test_the_residual_shrinks_as_the_latent_gets_finer():
    model = aelib.TextAutoencoder(10, length=12).fit(LINES, seconds=0, verbose=0)
    texts, residual = LINES[::2], []
    for bits in (1, 6):
        coder = codec.SentenceCodec(model, bits).fit(LINES)
        residual.append(8 * (len(coder.encode(texts, lossless=True)) - len(coder.encode(texts))))
    assert residual[0] > residual[1] > 0


def test_recurrent_decoders_are_lossless_too():
    model = aelib.TextAutoencoder(8, "recurrent", "recurrent", width=16, length=12)
    model.fit(LINES, epochs=1, verbose=0)
    coder = codec.SentenceCodec(model, 2).fit(LINES)
    texts = [*LINES[:2], *ODD[:3], "the dog saw the cat ate the sea had the sun."]
    assert coder.decode(coder.encode(texts, lossless=True)) == texts


def test_curve_and_its_picture(model):
    points = codec.rate_distortion(model, LINES, bits=(1, 2, 6))
    assert [p.bits for p in points] == [1, 2, 6]
    assert points[0].rate_bits < points[1].rate_bits < points[2].rate_bits
    assert points[0].distortion > points[2].distortion == 0
    assert points[0].exact < points[2].exact == 1
    _, ax = plot.figure()
    ideal = measure.RatePoint(3, 100.0, 0.2)
    plot.rate_distortion(ax, {"coded": points, "ideal": [ideal]})
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [p.rate_bits for p in points])
    np.testing.assert_allclose(line.get_ydata(), [p.distortion for p in points])
    assert [t.get_text() for t in ax.texts] == ["1", "2", "6", "3"]


def test_damage_and_other_models_are_refused(model, fitted):
    blob = fitted.encode(LINES[:5], lossless=True)
    random = np.random.default_rng(0)
    for at in range(0, len(blob), 5):
        broken = bytearray(blob)
        broken[at] ^= int(random.integers(1, 256))
        with pytest.raises(codec.CorruptFile):
            fitted.decode(bytes(broken))
        with pytest.raises(codec.Truncated):
            fitted.decode(blob[:at])
    other = codec.SentenceCodec(model, bits=6).fit(LINES[:20])
    with pytest.raises(codec.WrongModel, match=f"{fitted.ident.hex()}.*{other.ident.hex()}"):
        other.decode(blob)
    with pytest.raises(BadInput, match="fit"):
        codec.SentenceCodec(model).encode(LINES)
    with pytest.raises(BadInput, match="no words yet"):
        codec.SentenceCodec(aelib.TextAutoencoder())


def test_probabilities_that_differ_are_refused(fitted, monkeypatch):
    """Another machine's logits may differ: then the checksum over the text speaks."""
    blob = fitted.encode(LINES[:5], lossless=True)
    right = fitted.words._places
    monkeypatch.setattr(fitted.words, "_places", lambda z, n: right(z, n)[:, ::-1].copy())
    with pytest.raises(codec.Corrupt, match="checksum"):
        fitted.decode(blob)
