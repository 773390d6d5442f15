"""Autoencoders that must do more than copy: sparse, contractive, denoising."""

from typing import Any

import keras
from keras import ops

from aelib.models.autoencoder import Autoencoder, Tensor


@keras.saving.register_keras_serializable(package="aelib")
class SparseAutoencoder(Autoencoder):
    """Adds λ · mean over the batch of Σ_j |z_j|: few code entries are far from zero.

    ``penalty`` is λ, per unit of the reconstruction loss. See Ng (2011), *Sparse autoencoder*.
    """

    def __init__(self, encoder, decoder, penalty: float = 1e-3, **kwargs: Any):
        super().__init__(encoder, decoder, **kwargs)
        self.penalty = penalty

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        z = self.encode(x)  # (batch, k)
        self.add_loss(self.penalty * ops.mean(ops.sum(ops.abs(z), axis=-1)))
        return self.decode(z)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "penalty": self.penalty}


def jacobian_penalty(encode, x: Tensor, direction: Tensor, step: float = 1e-2) -> Tensor:
    """An estimate of ‖∂z/∂x‖²_F per example, shape (batch,), without computing the Jacobian.

    For v ~ N(0, I), E‖J v‖² = ‖J‖²_F (Hutchinson), and J v ≈ (f(x + s v) − f(x)) / s.
    ``direction`` is v, of x's shape; a linear encoder makes the difference exact for any s.
    """
    difference = (encode(x + step * direction) - encode(x)) / step  # (batch, k)
    return ops.sum(ops.square(difference), axis=-1)


@keras.saving.register_keras_serializable(package="aelib")
class ContractiveAutoencoder(Autoencoder):
    """Adds λ E‖∂z/∂x‖²_F: codes that hardly move when the input does (Rifai et al., 2011)."""

    def __init__(self, encoder, decoder, penalty: float = 1e-3, seed: int = 0, **kwargs: Any):
        super().__init__(encoder, decoder, **kwargs)
        self.penalty, self.seed = penalty, seed
        self.directions = keras.random.SeedGenerator(seed)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        v = keras.random.normal(ops.shape(x), seed=self.directions)
        self.add_loss(self.penalty * ops.mean(jacobian_penalty(self.encode, x, v)))
        return super().call(x, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "penalty": self.penalty, "seed": self.seed}


@keras.saving.register_keras_serializable(package="aelib")
class DenoisingAutoencoder(Autoencoder):
    """Sees a damaged x̃, must give back the clean x (Vincent et al., 2008).

    kind "gaussian": x̃ = x + noise · ε, ε ~ N(0, I); kind "mask": each entry is set to zero with
    probability ``noise``. Only while training; afterwards nothing is damaged.
    """

    def __init__(
        self, encoder, decoder, noise: float = 0.3, kind: str = "mask", seed: int = 0, **kwargs: Any
    ):
        if kind not in ("gaussian", "mask"):
            raise ValueError(f"kind is 'gaussian' or 'mask', not {kind!r}")
        super().__init__(encoder, decoder, **kwargs)
        self.noise, self.kind, self.seed = noise, kind, seed
        self.noise_seed = keras.random.SeedGenerator(seed)

    def corrupt(self, x: Tensor) -> Tensor:
        """x -> x̃, of the same shape."""
        if self.kind == "gaussian":
            return x + self.noise * keras.random.normal(ops.shape(x), seed=self.noise_seed)
        keep = keras.random.uniform(ops.shape(x), seed=self.noise_seed) >= self.noise
        return x * ops.cast(keep, x.dtype)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        return super().call(self.corrupt(x) if training else x)

    def get_config(self) -> dict[str, Any]:
        own = {"noise": self.noise, "kind": self.kind, "seed": self.seed}
        return {**super().get_config(), **own}
