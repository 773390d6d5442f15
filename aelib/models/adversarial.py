"""The generative adversarial network (Goodfellow et al., 2014), for the comparison with AEs."""

from typing import Any

import keras
from keras import ops

from aelib.models.autoencoder import Tensor


def _against(label: float, logits: Tensor) -> Tensor:
    """Cross-entropy (nats) between a constant label and σ(logits), (batch, 1)."""
    return ops.softplus(logits) - label * logits


@keras.saving.register_keras_serializable(package="aelib")
class GAN(keras.Model):
    """A generator x = G(z), z ~ N(0, I), and a discriminator D that gives a logit for "real".

    The players have different losses, but one scalar serves both. With sg = stop-gradient,

        L = [ℓ(1, D(x)) + ℓ(0, D(sg G(z)))] + [ℓ(1, D(G(z))) − ℓ(1, D(sg G(z)))].

    The last bracket is zero in value; its gradient with respect to D cancels, and what is left
    is the generator's own (non-saturating) gradient. So a plain ``fit(x)`` trains both on any
    backend. D must be deterministic (no dropout).
    """

    def __init__(self, generator, discriminator, latent_dim: int, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.built = generator.built and discriminator.built
        self.latent_dim, self.seed = latent_dim, seed
        self.noise = keras.random.SeedGenerator(seed)
        self.discriminator_tracker = keras.metrics.Mean(name="discriminator")
        self.generator_tracker = keras.metrics.Mean(name="generator")

    def sample(self, n: int, seed: int | None = None) -> Tensor:
        """n draws G(z), (n, ...)."""
        shape, seed_ = (n, self.latent_dim), self.noise if seed is None else seed
        return self.generator(keras.random.normal(shape, seed=seed_))

    def call(self, x: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        fake = self.generator(
            keras.random.normal((ops.shape(x)[0], self.latent_dim), seed=self.noise)
        )
        return {
            "real": self.discriminator(x),
            "fake": self.discriminator(fake),
            "fake_held": self.discriminator(ops.stop_gradient(fake)),
        }  # logits, each (batch, 1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        d_loss = _against(1.0, y_pred["real"]) + _against(0.0, y_pred["fake_held"])
        g_loss = _against(1.0, y_pred["fake"])
        self.discriminator_tracker.update_state(d_loss)
        self.generator_tracker.update_state(g_loss)
        return ops.mean(d_loss + g_loss - _against(1.0, y_pred["fake_held"]))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        serialise = keras.saving.serialize_keras_object
        return {
            "generator": serialise(self.generator),
            "discriminator": serialise(self.discriminator),
            "latent_dim": self.latent_dim,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "GAN":
        for key in ("generator", "discriminator"):
            config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects)
        return cls(**config)
