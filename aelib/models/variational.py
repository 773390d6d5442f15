"""The variational autoencoder (Kingma and Welling, 2014) and β-VAE (Higgins et al., 2017)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from aelib import objectives
from aelib.models.autoencoder import Autoencoder, Decoder, Encoder, Shape, Tensor

_NLL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bernoulli": objectives.bernoulli_nll,
    "gaussian": objectives.gaussian_nll,
}


@keras.saving.register_keras_serializable(package="aelib")
class VariationalAutoencoder(Autoencoder):
    """q(z|x) = N(μ, σ²), p(z) = N(0, I); loss = NLL + β · KL, in nats per example.

    The encoder gives (batch, 2k): μ and log σ². The decoder gives logits (likelihood
    "bernoulli") or the mean of a unit-variance Gaussian ("gaussian").
    ``compile(optimizer)`` needs no loss. ``fit`` and ``evaluate`` report ``loss``,
    ``reconstruction`` and ``kl``, and loss = reconstruction + β · kl holds for both.
    """

    def __init__(
        self, encoder, decoder, beta: float = 1.0, likelihood: str = "bernoulli", seed: int = 0,
        **kwargs: Any,
    ):  # fmt: skip
        if likelihood not in _NLL:
            raise ValueError(f"likelihood is one of {sorted(_NLL)}, not {likelihood!r}")
        super().__init__(encoder, decoder, **kwargs)
        self.likelihood, self.seed = likelihood, seed
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), trainable=False, name="beta"
        )
        self.noise = keras.random.SeedGenerator(seed)
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")

    @classmethod
    def dense(cls, input_dim: Shape, encoding_dim: int, hidden_dim: int = 128, **options: Any):
        """Dense encoder and decoder with one hidden layer each; k = encoding_dim."""
        encoder = Encoder(input_dim, 2 * encoding_dim, hidden_dim)
        return cls(encoder, Decoder(encoding_dim, input_dim, hidden_dim), **options)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(μ, log σ²) of q(z|x), each (batch, k)."""
        mean, logvar = ops.split(self.encoder(x), 2, axis=-1)
        return mean, logvar

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean μ, (batch, k)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z]: probabilities ("bernoulli") or means ("gaussian"), (batch, ...)."""
        out = self.decoder(z)
        return ops.sigmoid(out) if self.likelihood == "bernoulli" else out

    def nll(self, x: Tensor, z: Tensor) -> Tensor:
        """−log p(x|z), nats per example, (batch,)."""
        return _NLL[self.likelihood](x, self.decoder(z))

    def call(self, x: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """One sample of the bound's parts: {"nll": (batch,), "kl": (batch,)}, in nats."""
        mean, logvar = self.posterior(x)
        z = objectives.reparameterise(mean, logvar, self.noise)
        return {"nll": self.nll(x, z), "kl": objectives.kl_standard_normal(mean, logvar)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        nll, kl = y_pred["nll"], y_pred["kl"]  # (batch,) each
        self.reconstruction_tracker.update_state(nll)
        self.kl_tracker.update_state(kl)
        return ops.mean(nll + self.beta * kl)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x | z = μ(x)], (batch, ...)."""
        return self.decode(self.encode(x))

    def sample(self, n: int, seed: int | None = None) -> Tensor:
        """n draws of E[x|z] with z ~ N(0, I), (n, ...)."""
        k = self.decoder.encoding_dim
        return self.decode(keras.random.normal((n, k), seed=self.noise if seed is None else seed))

    def log_weights(self, x: Tensor, samples: int = 100) -> Tensor:
        """log p(x, z) − log q(z|x) for each sample of z, nats, (samples, batch).

        The mean over samples is the ELBO; `aelib.measure.iw_nll` gives the tighter bound.
        """
        mean, logvar = self.posterior(x)
        rows = []
        for _ in range(samples):
            z = objectives.reparameterise(mean, logvar, self.noise)
            rows.append(objectives.importance_weights(self.nll(x, z), z, mean, logvar))
        return ops.stack(rows)

    def get_config(self) -> dict[str, Any]:
        own = {
            "beta": float(ops.convert_to_numpy(self.beta)),
            "likelihood": self.likelihood,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
