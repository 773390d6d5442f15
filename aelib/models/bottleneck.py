"""What stands between encoder and decoder: the latent of each kind of text autoencoder.

A bottleneck takes the encoder's output h (batch, `size`) and gives z (batch, latent_dim) with the
parts of the loss that it adds, nats per sentence. Networks know nothing of it.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.optimize import brentq

from aelib import objectives
from aelib.errors import BadInput, UnknownName

Tensor = Any
POSTERIORS = ("gaussian", "batchnorm", "delta")


@keras.saving.register_keras_serializable(package="aelib")
class Plain(layers.Layer):
    """z = h, nothing added."""

    reports: tuple[str, ...] = ()  # parts that training reports, besides nll and kl

    def __init__(self, latent_dim: int, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.latent_dim, self.seed = latent_dim, seed
        self.generator = keras.random.SeedGenerator(seed)

    @property
    def size(self) -> int:
        """Width that the encoder has to give."""
        return self.latent_dim

    def build(self, shape: Any = None) -> None:
        self.built = True

    def code(self, h: Tensor) -> Tensor:
        """The z that stands for a sentence, without noise: (batch, size) -> (batch, k)."""
        return h

    def call(self, h: Tensor, training: bool | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        return self.code(h), {"kl": ops.zeros_like(h[:, :1])}

    def penalty(self, parts: dict[str, Tensor], beta: Tensor, training: bool) -> Tensor:
        """What the loss has besides the mean NLL, a scalar."""
        return 0.0

    def prior(self, n: int, seed: int | None = None) -> np.ndarray:
        """n draws from the prior, (n, k): N(0, I)."""
        return np.random.default_rng(seed).standard_normal((n, self.latent_dim))


@keras.saving.register_keras_serializable(package="aelib")
class Variational(Plain):
    """z = μ + σ ε. `family` bounds the rate from below by `min_rate` δ, nats per dimension:

    gaussian   no bound
    batchnorm  μ = γ (μ̂ + b), μ̂ batch-normalised, γ² = 2δ fixed: the mean KL over a batch is at
               least δ a dimension (BN-VAE; Zhu et al., 2020)
    delta      σ² <= s² < 1 with ½ (s² − ln s² − 1) = δ: every posterior's KL is at least δ a
               dimension. It is the independent δ-VAE (Razavi et al., 2019) with the variance
               bounded above alone; its mean stays free.
    """

    reports = ("bound",)  # −ELBO, whatever β is

    def __init__(
        self, latent_dim: int, seed: int = 0, family: str = "gaussian", min_rate: float = 0.1,
        free_bits: float = 0.0, free_per: str = "dimension", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(latent_dim, seed, **kwargs)
        if family not in POSTERIORS:
            raise UnknownName(f"no posterior {family!r}: choose one of {', '.join(POSTERIORS)}")
        if min_rate <= 0:
            raise BadInput(f"min_rate is above 0 nats per dimension, not {min_rate}")
        self.family, self.min_rate = family, min_rate
        self.free_bits, self.free_per = free_bits, objectives.check_free_per(free_per)
        # With Keras's epsilon of 1e-3 an encoder escapes the bound by making μ small.
        norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-7, scale=False)
        self.norm = norm if family == "batchnorm" else None

    @property
    def size(self) -> int:
        return 2 * self.latent_dim

    def build(self, shape: Any = None) -> None:
        if self.norm is not None:
            self.norm.build((None, self.latent_dim))
        self.built = True

    def posterior(self, h: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """(μ, log σ²), each (batch, k)."""
        mean, logvar = ops.split(h, 2, axis=-1)
        if self.norm is not None:
            mean = math.sqrt(2 * self.min_rate) * self.norm(mean, training=training)
        if self.family == "delta":
            most = math.log(largest_variance(self.min_rate))
            logvar = most - ops.softplus(most - logvar)  # a smooth minimum of the two
        return mean, logvar

    def code(self, h: Tensor) -> Tensor:
        return self.posterior(h, training=False)[0]

    def call(self, h: Tensor, training: bool | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        mean, logvar = self.posterior(h, training=training)
        z = objectives.reparameterise(mean, logvar, self.generator)
        return z, {"kl": objectives.kl_per_dimension(mean, logvar)}

    def penalty(self, parts: dict[str, Tensor], beta: Tensor, training: bool) -> Tensor:
        floor = self.free_bits if training else 0.0
        return beta * objectives.free_bits(parts["kl"], floor, self.free_per)


def largest_variance(rate: float) -> float:
    """s² < 1 at which KL(N(0, s²) ‖ N(0, 1)) = `rate` nats."""
    return float(brentq(lambda s2: 0.5 * (s2 - math.log(s2) - 1) - rate, 1e-30, 1.0))


@keras.saving.register_keras_serializable(package="aelib")
class Adversarial(Plain):
    """A discriminator D tells z = h from N(0, I), and the encoder learns to deceive it.

    The adversarial autoencoder (Makhzani et al., 2016); with noise on the input it is DAAE (Shen
    et al., 2020). One scalar trains both players, as in `GAN`: with ℓ(1, a) = softplus(−a),

        discriminator = ℓ(1, D(ε)) + ℓ(0, D(sg z))
        generator     = ℓ(1, D(z)) − ℓ(1, D(sg z)) + sg ℓ(1, D(z))

    so that D gets the gradient of the first and the encoder that of the second alone.
    """

    reports = ("generator", "discriminator")

    def __init__(self, latent_dim: int, seed: int = 0, width: int = 256, **kwargs: Any):
        super().__init__(latent_dim, seed, **kwargs)
        glorot = keras.initializers.GlorotUniform
        self.hidden = [layers.Dense(width, "relu", kernel_initializer=glorot(seed + i))
                       for i in (1, 2)]  # fmt: skip
        self.out = layers.Dense(1, kernel_initializer=glorot(seed + 3))

    def build(self, shape: Any = None) -> None:
        width = self.latent_dim
        for layer in (*self.hidden, self.out):
            layer.build((None, width))
            width = layer.units
        self.built = True

    def discriminate(self, z: Tensor) -> Tensor:
        """The logit for "drawn from the prior": (batch, k) -> (batch,)."""
        for layer in self.hidden:
            z = layer(z)
        return self.out(z)[:, 0]

    def call(self, h: Tensor, training: bool | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        z, parts = super().call(h)
        real = self.discriminate(keras.random.normal(ops.shape(z), seed=self.generator))
        seen, held = self.discriminate(z), self.discriminate(ops.stop_gradient(z))
        deceit = ops.softplus(-seen)
        parts["generator"] = deceit - ops.softplus(-held) + ops.stop_gradient(deceit)
        parts["discriminator"] = ops.softplus(-real) + ops.softplus(held)
        return z, parts

    def penalty(self, parts: dict[str, Tensor], beta: Tensor, training: bool) -> Tensor:
        return ops.mean(beta * parts["generator"] + parts["discriminator"])


@keras.saving.register_keras_serializable(package="aelib")
class Quantised(Plain):
    """Each dimension of z is one of L values in [−1, 1]: finite scalar quantisation.

    z = 2 round(u) / (L − 1) − 1 with u = (L − 1) (tanh h + 1) / 2, and the gradient passes the
    rounding as if it were not there (Mentzer et al., 2024). Against a VQ codebook it needs no
    second loss and no moving averages, and no code can die. A sentence costs k log₂ L bits.
    """

    def __init__(self, latent_dim: int, seed: int = 0, levels: int = 8, **kwargs: Any):
        super().__init__(latent_dim, seed, **kwargs)
        if levels < 2:
            raise BadInput(f"levels is at least 2, not {levels}")
        self.levels = levels

    def code(self, h: Tensor) -> Tensor:
        u = (self.levels - 1) * (ops.tanh(h) + 1) / 2
        u = u + ops.stop_gradient(ops.round(u) - u)
        return 2 * u / (self.levels - 1) - 1

    def symbols(self, z: Any) -> np.ndarray:
        """The integers 0..L−1 of codes z, (n, k) int32."""
        return np.rint((np.asarray(z) + 1) * (self.levels - 1) / 2).astype(np.int32)

    def prior(self, n: int, seed: int | None = None) -> np.ndarray:
        """Uniform over the codes, (n, k)."""
        drawn = np.random.default_rng(seed).integers(0, self.levels, (n, self.latent_dim))
        return 2 * drawn / (self.levels - 1) - 1


KINDS: dict[str, type[Plain]] = {
    "plain": Plain,
    "denoising": Plain,
    "variational": Variational,
    "adversarial": Adversarial,
    "denoising-adversarial": Adversarial,
    "quantised": Quantised,
}


def make(kind: str, options: dict[str, Any]) -> Plain:
    """The bottleneck of a kind; UnknownName if there is none."""
    if kind not in KINDS:
        raise UnknownName(f"no kind {kind!r}: choose one of {', '.join(KINDS)}")
    latent_dim, seed = options["latent_dim"], options["seed"]
    if kind == "variational":
        return Variational(
            latent_dim, seed, options["posterior"], options["min_rate"], options["free_bits"],
            options["free_per"],
        )  # fmt: skip
    if kind == "quantised":
        return Quantised(latent_dim, seed, options["levels"])
    return KINDS[kind](latent_dim, seed)
