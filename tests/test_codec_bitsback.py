"""Bits back: the net cost is the negative ELBO, and everything comes back."""

import keras
import numpy as np
import pytest
from keras import ops

import aelib
from aelib import codec, data
from aelib.errors import BadInput
from aelib.models import VariationalAutoencoder

LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat")]  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    keras.utils.set_random_seed(0)
    found = data.load("digits")
    x = (found.x_train > 0.5).astype(np.float32)
    vae = VariationalAutoencoder.dense(64, 4, 64)
    vae.compile(keras.optimizers.Adam(3e-3))
    vae.fit(x, x, epochs=25, batch_size=64, verbose=0)
    return vae, x


def test_digits_cost_their_elbo_and_come_back(digits):
    vae, x = digits
    x = x[:500]
    coder = codec.BitsBack(vae)
    packed = coder.encode(x)
    elbo = float(ops.mean(vae.log_weights(x, 30))) / np.log(2)  # bits per digit
    assert packed.net_bits / len(x) == pytest.approx(-elbo, rel=0.01)
    # Without bits back the latent alone, named on a grid of 1/32, would cost more than that.
    assert packed.net_bits / len(x) < 64 < packed.initial_bits
    np.testing.assert_array_equal(coder.decode(packed), x)


def test_an_empty_stack_and_one_example(digits):
    vae, x = digits
    coder = codec.BitsBack(vae, seed=3)
    for n in (0, 1):
        packed = coder.encode(x[:n])
        assert packed.examples == n and (packed.net_bits == 0) == (n == 0)
        np.testing.assert_array_equal(coder.decode(packed), x[:n])


def test_borrowed_bits_that_do_not_come_back_are_refused(digits):
    vae, x = digits
    packed = codec.BitsBack(vae).encode(x[:20])
    words = packed.words.copy()
    words[len(words) // 2] ^= 1 << 7
    with pytest.raises(codec.Corrupt, match="borrowed"):
        codec.BitsBack(vae).decode(packed._replace(words=words))
    with pytest.raises(codec.Corrupt, match="borrowed"):
        codec.BitsBack(vae, seed=1).decode(packed)
    other = VariationalAutoencoder.dense(64, 4, 64, seed=1)
    with pytest.raises(codec.Corrupt, match="borrowed"):
        codec.BitsBack(other).decode(packed)


@pytest.mark.parametrize("network", ["binding", "recurrent"])
def test_sentences_cost_their_elbo_and_come_back(network):
    keras.utils.set_random_seed(0)
    model = aelib.TextAutoencoder(16, network, network, "variational", width=32, length=12)
    # Where p(x|z) does not fit the texts, what is borrowed is not drawn from q(z|x): train a while.
    epochs = {"binding": 1, "recurrent": 60}[network]
    model.fit(LINES, epochs=epochs, verbose=0, learning_rate=5e-3, patience=100)
    coder = codec.BitsBack(model)
    packed = coder.encode(LINES)
    assert coder.decode(packed) == LINES
    draws = [model(model.ids(LINES)) for _ in range(10)]
    nats = np.mean([float(ops.sum(d["nll"]) + ops.sum(d["kl"])) for d in draws])
    noise = np.sqrt(len(LINES) * 16 / 2)  # of log q(z|x) - log p(z), nats: at most ½ a dimension
    assert packed.net_bits * np.log(2) == pytest.approx(nats, abs=0.01 * nats + noise)


def test_what_cannot_be_coded_is_refused(digits):
    vae, x = digits
    with pytest.raises(BadInput, match="binarise"):
        codec.BitsBack(vae).encode(x * 0.5)
    with pytest.raises(BadInput, match="bernoulli"):
        codec.BitsBack(VariationalAutoencoder.dense(64, 4, likelihood="gaussian"))
    plain = aelib.TextAutoencoder(16, length=12).fit(LINES, seconds=0, verbose=0)
    with pytest.raises(BadInput, match="variational"):
        codec.BitsBack(plain)
    sentences = aelib.TextAutoencoder(16, kind="variational", length=12)
    with pytest.raises(BadInput, match="no words yet"):
        codec.BitsBack(sentences)
    sentences.fit(LINES, seconds=0, verbose=0)
    with pytest.raises(BadInput, match="fewer than 12"):
        codec.BitsBack(sentences).encode(["the dog saw " * 9])
