"""The first floor of models: closed forms, gradients against finite differences, saving."""

import keras
import numpy as np
import pytest
from keras import ops

from aelib import objectives
from aelib.models import (
    GAN,
    Autoencoder,
    ContractiveAutoencoder,
    ConvDecoder,
    ConvEncoder,
    Decoder,
    DenoisingAutoencoder,
    Diffusion,
    Encoder,
    RecurrentDecoder,
    RecurrentEncoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from aelib.models.regularised import jacobian_penalty

KINDS = {
    "dense": lambda: (Autoencoder.dense(12, 4), (12,)),
    "linear": lambda: (Autoencoder.linear(12, 4), (12,)),
    "shaped": lambda: (Autoencoder.dense((2, 6), 4, hidden_dim=5), (2, 6)),
    "sparse": lambda: (SparseAutoencoder.dense(12, 4, penalty=0.1), (12,)),
    "contractive": lambda: (ContractiveAutoencoder.dense(12, 4, penalty=0.1), (12,)),
    "denoising": lambda: (DenoisingAutoencoder.dense(12, 4, noise=0.2, kind="gaussian"), (12,)),
    "convolutional 1-d": lambda: (
        Autoencoder(ConvEncoder((6, 2), 4, filters=3), ConvDecoder(4, (6, 2), filters=3)),
        (6, 2),
    ),
    "convolutional 2-d": lambda: (
        Autoencoder(ConvEncoder((4, 4, 1), 3), ConvDecoder(3, (4, 4, 1))),
        (4, 4, 1),
    ),
    "recurrent": lambda: (
        Autoencoder(RecurrentEncoder((3, 4), 5, units=6), RecurrentDecoder(5, (3, 4), units=6)),
        (3, 4),
    ),
}


def data(shape, n=16, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, *shape)).astype("float32")


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_saves_and_loads(kind, tmp_path):
    keras.utils.set_random_seed(1)
    model, shape = KINDS[kind]()
    x = data(shape)
    model.compile("adam", loss="mse")
    before = model.evaluate(x, verbose=0)
    model.fit(x, epochs=20, verbose=0)
    assert model.evaluate(x, verbose=0) < before
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(again) is type(model) and again.compiled  # ready to go on training
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(numpy(again.encode(x)), numpy(model.encode(x)))
    np.testing.assert_array_equal(numpy(again.decode(again.encode(x))), numpy(model(x)))
    assert tuple(model(x).shape) == x.shape


def test_fit_without_a_target_is_fit_on_itself():
    x, results = data((12,)), []
    for target in (None, x):
        keras.utils.set_random_seed(2)
        model = Autoencoder.dense(12, 4)
        model.compile("adam", loss="mse", metrics=["mae"])
        results.append(model.fit(x, target, epochs=3, verbose=0).history)
    assert results[0] == results[1]


def test_parameter_counts_by_hand():
    # the article's: 100·100+100, 100·32+32, 32·32+32, 32·100+100
    assert Autoencoder.dense(100, 32).count_params() == 10100 + 3232 + 1056 + 3300
    assert Autoencoder.linear(64, 8).count_params() == (64 + 1) * 8 + (8 + 1) * 64
    # a GRU has three gates with input, recurrent and two bias vectors
    assert RecurrentEncoder((3, 4), 5, units=6).count_params() == 3 * (6 * (4 + 6) + 12) + 35


def test_linear_autoencoder_spans_the_principal_subspace():
    keras.utils.set_random_seed(0)
    scales = np.array([4, 3, 2, 0.5, 0.3, 0.2, 0.1, 0.1])
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    x = (rng.normal(size=(256, 8)) * scales) @ basis.T
    x = (x - x.mean(0)).astype("float32")
    model = Autoencoder.linear(8, 3)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=50, decay_rate=0.8)
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    model.fit(x, epochs=150, batch_size=64, verbose=0)
    learnt = np.linalg.qr(numpy(model.decoder.output_layer.kernel).T)[0]  # (8, 3)
    principal = np.linalg.svd(x, full_matrices=False)[2][:3].T  # (8, 3)
    cosines = np.linalg.svd(learnt.T @ principal, compute_uv=False)
    assert cosines.min() > 0.999  # every principal angle is below 2.6 degrees
    residual = x - x @ principal @ principal.T
    best = np.mean(residual**2)  # no linear autoencoder can do better
    assert best * (1 - 1e-5) <= model.evaluate(x, verbose=0) < 1.02 * best


def gradient_by_training(model, x, **options):
    """The gradient that a training step used: with SGD at rate 1, w_new = w − g."""
    before = [numpy(v) for v in model.trainable_variables]
    model.compile(keras.optimizers.SGD(1.0), **options)
    model.train_on_batch(x)
    after = [numpy(v) for v in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    return [b - a for a, b in zip(after, before, strict=True)]


def gradient_by_differences(model, loss, index, entries, step=1e-2):
    """(L(w + h) − L(w − h)) / 2h for some entries of one variable."""
    variable = model.trainable_variables[index]
    value, slopes = numpy(variable), []
    for entry in entries:
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved.flat[entry] += sign * step
            variable.assign(moved)
            sides.append(float(numpy(loss())))
        slopes.append((sides[0] - sides[1]) / (2 * step))
    variable.assign(value)
    return np.array(slopes)


@pytest.mark.parametrize("loss", [objectives.mse, objectives.cross_entropy])
def test_gradients_agree_with_finite_differences(loss):
    keras.utils.set_random_seed(3)
    x = data((6,))
    model = Autoencoder.dense(6, 3, activation="tanh")
    trained = gradient_by_training(model, x, loss=loss)
    for index, gradient in enumerate(trained):
        entries = range(min(4, gradient.size))
        slopes = gradient_by_differences(model, lambda: ops.mean(loss(x, model(x))), index, entries)
        np.testing.assert_allclose(gradient.flat[list(entries)], slopes, rtol=2e-2, atol=2e-4)


def test_each_gan_player_gets_its_own_gradient():
    """One scalar loss, two players: compare with the finite differences of their own losses."""
    keras.utils.set_random_seed(4)
    generator = Decoder(2, 5, 6, activation="tanh")
    model = GAN(generator, Encoder(5, 1, 6, activation="tanh"), latent_dim=2)
    x, z = data((5,), 8), np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    model.noise = lambda: None  # the same z in every call: see below
    model.call = lambda x, training=None: GAN_parts(model, x, z)
    trained = gradient_by_training(model, x)

    def d_loss():
        real, fake = model.discriminator(x), model.discriminator(model.generator(z))
        return ops.mean(ops.softplus(-real) + ops.softplus(fake))

    def g_loss():
        return ops.mean(ops.softplus(-model.discriminator(model.generator(z))))

    count = len(generator.trainable_variables)
    for index, gradient in enumerate(trained):
        own_loss = g_loss if index < count else d_loss
        entries = range(min(3, gradient.size))
        slopes = gradient_by_differences(model, own_loss, index, entries)
        np.testing.assert_allclose(gradient.flat[list(entries)], slopes, rtol=2e-2, atol=2e-4)


def GAN_parts(model, x, z):
    fake = model.generator(z)
    return {
        "real": model.discriminator(x),
        "fake": model.discriminator(fake),
        "fake_held": model.discriminator(ops.stop_gradient(fake)),
    }


def test_contractive_penalty_estimates_the_jacobian_norm():
    keras.utils.set_random_seed(5)
    encoder = Encoder(6, 3, activation="tanh")
    x = data((6,), 1)
    h = 1e-2
    columns = [(numpy(encoder(x + h * e)) - numpy(encoder(x - h * e))) / (2 * h) for e in np.eye(6)]
    exact = np.sum(np.square(columns))
    v = np.random.default_rng(0).normal(size=(20_000, 6)).astype("float32")
    estimates = numpy(jacobian_penalty(encoder, np.repeat(x, len(v), 0), v))
    assert estimates.mean() == pytest.approx(exact, rel=0.05)


def test_sparse_penalty_is_added_to_the_loss():
    keras.utils.set_random_seed(6)
    x = data((12,))
    model = SparseAutoencoder.dense(12, 4, penalty=0.5)
    model.compile("sgd", loss="mse")
    expected = (
        np.mean((x - numpy(model(x))) ** 2) + 0.5 * np.abs(numpy(model.encode(x))).sum(1).mean()
    )
    assert model.evaluate(x, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_denoising_damages_the_input_only_while_training():
    model = DenoisingAutoencoder.dense(50, 4, noise=0.4, kind="mask")
    x = np.ones((200, 50), "float32")
    assert numpy(model.corrupt(x)).mean() == pytest.approx(0.6, abs=0.02)
    np.testing.assert_array_equal(numpy(model(x)), numpy(model(x)))
    assert np.abs(numpy(model(x, training=True)) - numpy(model(x))).max() > 0
    with pytest.raises(ValueError, match="gaussian"):
        DenoisingAutoencoder.dense(50, 4, kind="salt")


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_variational_losses_add_up(likelihood, tmp_path):
    keras.utils.set_random_seed(7)
    x = data((12,), 50)
    model = VariationalAutoencoder.dense(12, 3, hidden_dim=8, beta=0.3, likelihood=likelihood)
    model.compile("adam")
    history = model.fit(x, epochs=3, batch_size=16, verbose=0).history  # the last batch is short
    for logs in (
        {k: v[-1] for k, v in history.items()},
        model.evaluate(x, verbose=0, return_dict=True),
    ):
        assert logs["loss"] == pytest.approx(logs["reconstruction"] + 0.3 * logs["kl"], rel=1e-5)
    model.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(numpy(again.encode(x)), numpy(model.encode(x)))
    assert numpy(model.sample(5, seed=1)).shape == (5, 12)
    np.testing.assert_array_equal(numpy(model.sample(5, seed=1)), numpy(model.sample(5, seed=1)))


def linear_gaussian_vae():
    """p(x|z) = N(Wz, I), z ~ N(0, 1): posterior and log p(x) are known exactly."""
    w = np.array([[0.5, -1.0, 2.0]], "float32")  # (1, 3)
    model = VariationalAutoencoder(Encoder(3, 2, 0), Decoder(1, 3, 0), likelihood="gaussian")
    precision = 1 + float((w @ w.T)[0, 0])
    kernel = np.concatenate([w.T / precision, np.zeros((3, 1))], axis=1)
    model.encoder.code.set_weights([kernel, np.array([0.0, -np.log(precision)])])
    model.decoder.output_layer.set_weights([w, np.zeros(3)])
    return model, w


def test_the_bound_is_exact_when_the_posterior_is():
    model, w = linear_gaussian_vae()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    covariance = np.eye(3) + w.T @ w
    log_p = -0.5 * (
        np.einsum("bi,ij,bj->b", x, np.linalg.inv(covariance), x)
        + np.linalg.slogdet(2 * np.pi * covariance)[1]
    )
    weights = numpy(model.log_weights(x, samples=6))  # every sample gives log p(x) itself
    np.testing.assert_allclose(weights, np.tile(log_p, (6, 1)), rtol=1e-4)


def test_a_wrong_posterior_leaves_a_gap_that_importance_weighting_narrows():
    model, _ = linear_gaussian_vae()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    exact = numpy(model.log_weights(x, 1))[0]
    kernel, bias = model.encoder.code.get_weights()
    model.encoder.code.set_weights([0.5 * kernel, bias + 0.5])
    weights = numpy(model.log_weights(x, samples=400))
    lower, tighter = weights.mean(0), np.log(np.exp(weights).mean(0))
    assert np.all(lower < exact)
    assert np.all(np.abs(tighter - exact) < np.abs(lower - exact))


def test_gan_fits_and_loads(tmp_path):
    model = GAN(Decoder(2, 5, 6), Encoder(5, 1, 6), latent_dim=2)
    model.compile("adam")
    history = model.fit(data((5,)), epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx(history["discriminator"], rel=1e-4)
    model.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(numpy(again.sample(3, seed=0)), numpy(model.sample(3, seed=0)))


def test_diffusion_learns_two_clusters_and_loads(tmp_path):
    keras.utils.set_random_seed(8)
    centres = np.array([[0.1, 0.9], [0.9, 0.1]], "float32")
    x = np.repeat(centres, 100, 0) + 0.02 * np.random.default_rng(0).normal(size=(200, 2))
    layers = [keras.Input((4,)), keras.layers.Dense(32, "silu"), keras.layers.Dense(2)]
    model = Diffusion(keras.Sequential(layers), dim=2, steps=20)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x.astype("float32"), epochs=60, batch_size=50, verbose=0)
    samples = numpy(model.sample(100, seed=0))
    nearest = np.linalg.norm(samples[:, None] - centres, axis=-1)
    assert np.median(nearest.min(1)) < 0.15
    assert 20 < (nearest.argmin(1) == 0).sum() < 80
    model.save(tmp_path / "diffusion.keras")
    again = keras.saving.load_model(tmp_path / "diffusion.keras")
    np.testing.assert_array_equal(numpy(again.sample(3, seed=1)), numpy(model.sample(3, seed=1)))
