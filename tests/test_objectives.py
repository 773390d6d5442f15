"""Losses, likelihoods, the KL and the schedules against closed forms."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from aelib import objectives
from aelib.errors import UnknownName
from aelib.models import VariationalAutoencoder

RNG = np.random.default_rng(0)


def numpy(x):
    return ops.convert_to_numpy(x)


def test_losses_by_hand():
    x, x_hat = np.array([[0.0, 1.0]]), np.array([[0.5, 0.0]])
    assert numpy(objectives.mse(x, x_hat))[0] == pytest.approx((0.25 + 1) / 2)
    assert numpy(objectives.relu_loss(x, x_hat))[0] == pytest.approx(0.5)
    log2 = np.log(2.0)  # logit 0 is probability one half
    assert numpy(objectives.cross_entropy(x, np.zeros((1, 2))))[0] == pytest.approx(log2)


def test_the_relu_loss_is_blind_to_answers_that_are_too_large():
    x = RNG.uniform(size=(5, 7)).astype("float32")
    assert numpy(objectives.relu_loss(x, np.ones_like(x))).max() == 0
    assert numpy(objectives.relu_loss(x, 100 * np.ones_like(x))).max() == 0


@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_gaussian_likelihood(sigma):
    x, mean = RNG.normal(size=(2, 4, 3, 2)).astype("float32")
    expected = -stats.norm.logpdf(x, mean, sigma).sum(axis=(1, 2))
    np.testing.assert_allclose(numpy(objectives.gaussian_nll(x, mean, sigma)), expected, rtol=1e-5)


def test_bernoulli_likelihood():
    x = RNG.integers(0, 2, size=(4, 6)).astype("float32")
    logits = RNG.normal(size=(4, 6)).astype("float32")
    expected = -stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))).sum(1)
    np.testing.assert_allclose(numpy(objectives.bernoulli_nll(x, logits)), expected, rtol=1e-5)


def test_categorical_likelihood_and_its_mask():
    ids = RNG.integers(0, 5, size=(3, 4))
    logits = RNG.normal(size=(3, 4, 5)).astype("float32")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -np.log(np.take_along_axis(p, ids[..., None], -1))[..., 0]
    np.testing.assert_allclose(
        numpy(objectives.categorical_nll(ids, logits)), each.sum(1), rtol=1e-5
    )
    mask = np.array([[1, 1, 0, 0]] * 3)
    masked = objectives.categorical_nll(ids, logits, mask)
    np.testing.assert_allclose(numpy(masked), each[:, :2].sum(1), rtol=1e-5)


def test_kl_against_monte_carlo_and_is_summed_over_dimensions():
    mean, logvar = np.array([[0.5, -1.0]], "float32"), np.array([[0.2, -0.7]], "float32")
    sigma = np.exp(logvar / 2)
    z = mean + sigma * RNG.normal(size=(400_000, 2))
    sampled = (stats.norm.logpdf(z, mean, sigma) - stats.norm.logpdf(z)).sum(1)
    kl = numpy(objectives.kl_standard_normal(mean, logvar))[0]
    assert kl == pytest.approx(sampled.mean(), abs=5 * sampled.std() / len(z) ** 0.5)
    each = numpy(objectives.kl_per_dimension(mean, logvar))
    assert kl == pytest.approx(each.sum())
    assert numpy(objectives.elbo(np.array([3.0]), np.array([kl])))[0] == pytest.approx(-3 - kl)


def test_free_bits_floor_each_dimension():
    kl = np.array([[0.0, 2.0], [0.2, 4.0]], "float32")  # means 0.1 and 3
    assert float(numpy(objectives.free_bits(kl, 0.5))) == pytest.approx(0.5 + 3.0)


def test_free_bits_of_a_sentence_are_a_total():
    kl = np.array([[0.0, 2.0], [0.2, 4.0]], "float32")
    assert float(numpy(objectives.free_bits(kl, 3.0, "sentence"))) == pytest.approx((3 + 4.2) / 2)
    assert float(numpy(objectives.free_bits(kl, 0.0, "sentence"))) == pytest.approx(3.1)
    assert float(numpy(objectives.free_bits(kl, 0.0))) == pytest.approx(3.1)
    with pytest.raises(UnknownName, match="dimension or sentence"):
        objectives.free_bits(kl, 1.0, "batch")


def test_schedules():
    linear = objectives.Linear(steps=10)
    assert [linear(s) for s in (0, 5, 10, 99)] == [0.0, 0.5, 1.0, 1.0]
    cyclical = objectives.Cyclical(period=10, rise=0.5)
    assert [cyclical(s) for s in (0, 4, 5, 9, 10)] == [0.0, 0.8, 1.0, 1.0, 0.0]
    assert objectives.Constant(0.3)(7) == 0.3


def test_anneal_sets_beta_from_the_step_and_resumes():
    model = VariationalAutoencoder.dense(4, 2, hidden_dim=3, beta=0.0)
    model.compile("adam")
    x = RNG.uniform(size=(8, 4)).astype("float32")
    anneal = objectives.Anneal(objectives.Linear(steps=8))
    model.fit(x, batch_size=4, epochs=2, verbose=0, callbacks=[anneal])  # steps 0 to 3
    assert float(numpy(model.beta)) == pytest.approx(3 / 8)
    model.fit(x, batch_size=4, epochs=1, verbose=0, callbacks=[anneal])  # steps 4 and 5
    assert float(numpy(model.beta)) == pytest.approx(5 / 8)


def test_losses_are_serialisable():
    loss = keras.saving.serialize_keras_object(objectives.relu_loss)
    assert keras.saving.deserialize_keras_object(loss) is objectives.relu_loss
