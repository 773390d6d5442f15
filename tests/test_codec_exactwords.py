"""Recurrent autoencoders by exact arithmetic: Keras's numbers, and the same bits everywhere."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import aelib
from aelib import codec
from aelib.codec import bitsback, exactwords
from aelib.codec.conditional import Words
from aelib.codec.exactwords import ExactDecoder, ExactEncoder
from aelib.errors import AelibError
from aelib.text import BOS, EOS

LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat")]  # fmt: skip
TEXTS = [*LINES[::3], "the dog saw", "", "The King", "你好 🐙"]


def made(network: str, kind: str = "variational", **options):
    """A model whose weights are all noisy: biases and statistics, too, are not 0 and 1."""
    model = aelib.TextAutoencoder(8, network, network, kind, width=24, length=24, **options)
    model.fit(LINES, seconds=0, verbose=0)
    random = np.random.default_rng(0)
    for weight in (*model.encoder.weights, *model.decoder.weights, *model.bottleneck.weights):
        if len(weight.shape) < 3 and weight.dtype == "float32":
            noise = random.normal(0, 0.15, weight.shape) * (np.abs(weight.numpy()) < 2)
            weight.assign_add(noise.astype(np.float32))
    return model


@pytest.fixture(scope="module", params=["recurrent", "lstm"])
def vae(request):
    """A model that learned a part of what there is in LINES."""
    keras.utils.set_random_seed(0)
    network, skip = request.param, request.param == "lstm"
    model = aelib.TextAutoencoder(
        8, network, network, "variational", width=24, length=24, skip=skip
    )
    return model.fit(LINES * 4, epochs=40, verbose=0, learning_rate=5e-3, patience=100)


# --- the networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["recurrent", "lstm"])
@pytest.mark.parametrize("skip", [False, True])
def test_decoders_agree_with_keras(network, skip):
    model = made(network, "plain", skip=skip)
    ids, z = model.ids(TEXTS), model.encode(TEXTS)
    expected = ops.convert_to_numpy(model.decoder.logits(ops.convert_to_tensor(z), ids))
    decoder = ExactDecoder.of(model)
    state, before = decoder.start(z), np.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=BOS)
    for t, column in enumerate(before.T):
        logits = decoder.logits(decoder.read(column, state))
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    assert np.ptp(expected) > 0.5


@pytest.mark.parametrize("posterior", ["gaussian", "batchnorm", "delta"])
@pytest.mark.parametrize("network", ["recurrent", "lstm"])
def test_encoders_agree_with_keras(network, posterior):
    model = made(network, posterior=posterior, min_rate=0.3)
    ids = model.ids(TEXTS)
    mean, logvar = map(ops.convert_to_numpy, model.posterior(ids))
    encoder = ExactEncoder.of(model)
    np.testing.assert_allclose(encoder.code(ids), model.encode(TEXTS), atol=1e-4)
    for row, mu, lv in zip(ids, mean, logvar, strict=True):
        got = encoder.posterior(row)
        np.testing.assert_allclose(got[0], mu, atol=1e-4)
        np.testing.assert_allclose(got[1], np.exp(lv / 2), rtol=1e-4)


@pytest.mark.parametrize("kind", ["denoising", "adversarial"])
def test_codes_of_other_kinds_agree_with_keras(kind):
    model = made("recurrent", kind)
    words = Words(model)
    assert words.portable
    np.testing.assert_allclose(words.code(TEXTS), model.encode(TEXTS), atol=1e-4)


def test_a_sentence_does_not_know_of_the_others(vae):
    """Bit for bit: one at a time, many at a time, and word by word."""
    encoder, decoder = ExactEncoder.of(vae), ExactDecoder.of(vae)
    ids = vae.ids(TEXTS)
    together = encoder.code(ids)
    for row, z in zip(ids, together, strict=True):
        np.testing.assert_array_equal(encoder.code(row[None])[0], z)
    state = decoder.start(together)
    before = np.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=BOS)
    steps = [decoder.logits(decoder.read(column, state)) for column in before.T]
    for i in (0, len(ids) - 1):
        alone = decoder.teach(together[i], ids[i])
        np.testing.assert_array_equal(alone, np.stack([step[i] for step in steps]))


def test_other_networks_are_left_to_keras():
    for encoder, decoder in (("binding", "lstm"), ("recurrent", "binding")):
        model = aelib.TextAutoencoder(8, encoder, decoder, width=8, length=12)
        words = Words(model.fit(LINES, seconds=0, verbose=0))
        assert (words.encoder is None) == (encoder == "binding")
        assert (words.decoder is None) == (decoder == "binding")
        assert not words.portable
    model = aelib.TextAutoencoder(8, "lstm", "lstm", "quantised", width=8, length=12)
    assert Words(model.fit(LINES, seconds=0, verbose=0)).encoder is None
    model = aelib.TextAutoencoder(8, "lstm", "lstm", classes=2, width=8, length=12)
    pairs = [(line, i % 2) for i, line in enumerate(LINES)]
    assert Words(model.fit(pairs, seconds=0, verbose=0)).decoder is None


def test_self_tests_refuse_a_wrong_build(vae, monkeypatch):
    exactwords.self_test.cache_clear()
    monkeypatch.setitem(exactwords.GOLDEN, "lstm", "00")
    with pytest.raises(AelibError, match="lstm network fails its self-test"):
        codec.SentenceCodec(vae)
    monkeypatch.undo()
    exactwords.self_test.cache_clear()
    bitsback.self_test.cache_clear()
    monkeypatch.setattr(bitsback, "GOLDEN", "00")
    with pytest.raises(AelibError, match="Gaussian fails its self-test"):
        codec.BitsBack(vae)
    bitsback.self_test.cache_clear()


# --- bits -------------------------------------------------------------------------------------


def bits(words: Words, z: np.ndarray, ids: np.ndarray) -> float:
    """-log2 p of each word of a sentence, summed."""
    rows = words._given(z, ids)
    return float(-np.log2(rows[np.arange(len(ids)), ids] / rows.sum(1)).sum())


def test_bits_are_those_that_keras_promises(vae):
    """A word costs what it cost by Keras's logits; the whole is within 1 % of the bound."""
    words, by_keras = Words(vae), Words(vae)
    by_keras.decoder = None
    rows = [row[: np.argmax(row == EOS) + 1] for row in vae.ids(LINES)]
    codes = vae.encode(LINES)
    mine, keras_s = (sum(map(bits, [w] * len(rows), codes, rows)) for w in (words, by_keras))
    assert mine == pytest.approx(keras_s, rel=1e-3)
    coder = codec.BitsBack(vae)
    packed = coder.encode(LINES)
    assert coder.decode(packed) == LINES
    costs = -vae.log_weights(vae.ids(LINES), 30).sum(1)  # nats of all sentences, for 30 draws of z
    slack = float(0.01 * costs.mean() + 3 * costs.std())
    assert packed.net_bits * np.log(2) == pytest.approx(costs.mean(), abs=slack)


def test_a_codec_keeps_the_weights_it_was_made_with(vae):
    coder = codec.SentenceCodec(vae, 3).fit(LINES)
    blob = coder.encode(TEXTS, lossless=True)
    bias = ops.convert_to_numpy(vae.decoder.bias)
    vae.decoder.bias.assign(bias + np.arange(len(bias)) % 3)
    try:
        assert coder.decode(blob) == TEXTS
        with pytest.raises(codec.WrongModel):
            codec.SentenceCodec(vae, 3).fit(LINES).decode(blob)
    finally:
        vae.decoder.bias.assign(bias)


# --- other machines ---------------------------------------------------------------------------

ELSEWHERE = """
import json, sys, keras
from pathlib import Path
import numpy as np
from aelib import TextAutoencoder, codec
folder = Path(sys.argv[1])
assert keras.backend.backend() == "jax"
told = json.loads((folder / "told.json").read_text())
model = TextAutoencoder.load(folder / "vae.keras")
coder = codec.SentenceCodec(model, 3).fit(told["lines"])
blob = (folder / "lossless").read_bytes()
assert coder.decode(blob) == told["texts"]
assert coder.encode(told["texts"], lossless=True) == blob
back = codec.BitsBack(model)
words = np.load(folder / "words.npy")
packed = codec.bitsback.Packed(words, len(told["lines"]), 0, 0)
assert back.decode(packed) == told["lines"]
assert np.array_equal(back.encode(told["lines"]).words, words)
print("same")
"""


def test_another_backend_and_thread_count(vae, tmp_path):
    """Encoded here, decoded under JAX with two threads, encoded again: the same bits."""
    vae.save(tmp_path / "vae.keras")
    (tmp_path / "told.json").write_text(json.dumps({"lines": LINES, "texts": TEXTS}))
    coder = codec.SentenceCodec(vae, 3).fit(LINES)
    (tmp_path / "lossless").write_bytes(coder.encode(TEXTS, lossless=True))
    np.save(tmp_path / "words.npy", codec.BitsBack(vae).encode(LINES).words)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "2")
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)], capture_output=True, text=True,
        env={**os.environ, **threads, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert found.stdout == "same\n", found.stderr[-2000:]
