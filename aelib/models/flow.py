"""A normalising flow: an invertible network that knows the density of what it makes."""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from aelib.errors import BadInput

Tensor = Any


@keras.saving.register_keras_serializable(package="aelib")
class Flow(keras.Model):
    """Affine couplings (RealNVP; Dinh et al., 2017): log p(x) = log N(f(x); 0, I) + log |∂f/∂x|.

    Each coupling leaves half of the coordinates (mask m) as they are and makes from them scale and
    shift of the rest: y = m x + (1 − m) (x exp(s) + t), s = tanh(a(m x)), t = b(m x). Halves are
    drawn from `seed`, each followed by its complement. Called on x (batch, dim) it gives
    log p(x) in nats, (batch,); training maximises its mean.
    """

    def __init__(self, dim: int, depth: int = 8, width: int = 64, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if dim < 2 or depth < 2 or depth % 2:
            raise BadInput("a flow needs at least two dimensions and an even number of couplings")
        self.dim, self.depth, self.width, self.seed = dim, depth, width, seed
        rng = np.random.default_rng(seed)
        halves = [rng.permutation(dim) < dim // 2 for _ in range(depth // 2)]
        self.masks = [m.astype("float32") for half in halves for m in (half, ~half)]
        self.nets = [self._net(seed + i) for i in range(depth)]
        self.built = True

    def _net(self, seed: int) -> keras.Model:
        he = keras.initializers.HeUniform(seed)
        return keras.Sequential([
            keras.Input((self.dim,)), layers.Dense(self.width, "relu", kernel_initializer=he),
            layers.Dense(2 * self.dim, kernel_initializer="zeros"),  # starts as the identity
        ])  # fmt: skip

    def _scale_and_shift(self, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        s, t = ops.split(self.nets[i](x * self.masks[i]), 2, axis=-1)
        return ops.tanh(s) * (1 - self.masks[i]), t * (1 - self.masks[i])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, dim) -> (z (batch, dim), log |det| (batch,))."""
        log_det = ops.zeros_like(x[:, 0])
        for i in range(self.depth):
            s, t = self._scale_and_shift(i, x)
            x, log_det = x * ops.exp(s) + t, log_det + ops.sum(s, axis=-1)
        return x, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """z (batch, dim) -> the x with f(x) = z."""
        for i in reversed(range(self.depth)):
            s, t = self._scale_and_shift(i, z)
            z = (z - t) * ops.exp(-s)
        return z

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        z, log_det = self.forward(x)
        return log_det - 0.5 * ops.sum(ops.square(z), -1) - 0.5 * self.dim * math.log(2 * math.pi)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return -ops.mean(y_pred)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        own = {"dim": self.dim, "depth": self.depth, "width": self.width, "seed": self.seed}
        return {**super().get_config(), **own}
