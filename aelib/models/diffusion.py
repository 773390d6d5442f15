"""A small denoising diffusion model (Ho et al., 2020), for the comparison with autoencoders."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from aelib.models.autoencoder import Tensor


def signal_share(steps: int) -> np.ndarray:
    """ᾱ_t for t = 1 … T, (T,): the cosine schedule of Nichol and Dhariwal (2021)."""
    t = np.arange(steps + 1) / steps
    f = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = np.clip(1 - f[1:] / f[:-1], 0, 0.999)
    return np.cumprod(1 - beta).astype("float32")


@keras.saving.register_keras_serializable(package="aelib")
class Diffusion(keras.Model):
    """x_t = √ᾱ_t x + √(1 − ᾱ_t) ε; the denoiser gives x̂(x_t, t). Data in [0, 1], (n, d).

    A denoising autoencoder without a bottleneck, trained at every noise level at once; sampling
    starts from pure noise and denoises step by step. The denoiser maps (batch, d + 2) to
    (batch, d): its last two inputs are √ᾱ_t and √(1 − ᾱ_t). The loss is ‖x − x̂‖² / d.
    """

    def __init__(self, denoiser, dim: int, steps: int = 100, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.denoiser, self.dim, self.steps, self.seed = denoiser, dim, steps, seed
        self.noise = keras.random.SeedGenerator(seed)
        self.share = signal_share(steps)  # ᾱ, (T,)
        self.built = denoiser.built

    def denoise(self, x_t: Tensor, share: Tensor) -> Tensor:
        """x̂(x_t, ᾱ_t), in [−1, 1]: (batch, d), (batch, 1) -> (batch, d)."""
        level = [ops.sqrt(share), ops.sqrt(1 - share)]
        return self.denoiser(ops.concatenate([x_t, *level], axis=-1))

    def call(self, x: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        batch = ops.shape(x)[0]
        t = keras.random.randint((batch, 1), 0, self.steps, seed=self.noise)
        share = ops.take(ops.convert_to_tensor(self.share), t)  # (batch, 1)
        epsilon = keras.random.normal((batch, self.dim), seed=self.noise)
        clean = 2 * x - 1  # the schedule wants data centred at zero
        x_t = ops.sqrt(share) * clean + ops.sqrt(1 - share) * epsilon
        return {"clean": clean, "denoised": self.denoise(x_t, share)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(ops.square(y_pred["clean"] - y_pred["denoised"]))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n samples by ancestral sampling, (n, d) in [0, 1]; T passes through the denoiser."""
        rng = keras.random.SeedGenerator(seed)
        x = keras.random.normal((n, self.dim), seed=rng)
        for t in reversed(range(self.steps)):
            share, before = self.share[t], self.share[t - 1] if t else 1.0
            clean = ops.clip(self.denoise(x, ops.full((n, 1), share)), -1, 1)
            alpha = share / before
            mean = (before**0.5 * (1 - alpha) * clean + alpha**0.5 * (1 - before) * x) / (
                1 - share
            )  # of q(x_{t−1} | x_t, x̂_0)
            spread = ((1 - before) / (1 - share) * (1 - alpha)) ** 0.5
            x = mean + spread * keras.random.normal((n, self.dim), seed=rng)
        return (x + 1) / 2

    def get_config(self) -> dict[str, Any]:
        denoiser = keras.saving.serialize_keras_object(self.denoiser)
        own = {"dim": self.dim, "steps": self.steps, "seed": self.seed, "name": self.name}
        return {"denoiser": denoiser, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Diffusion":
        config["denoiser"] = keras.saving.deserialize_keras_object(
            config["denoiser"], custom_objects
        )
        return cls(**config)
