"""The fast recurrent network: quasi-recurrent layers, and hashed n-grams as further inputs.

All large products are over whole windows; only an elementwise recurrence runs along time.
"""

from typing import Any

import keras
from keras import layers, ops

from aelib.models.cores import RMSNorm

Tensor = Any
ROWS = 131_071  # of the hash table: the prime 2¹⁷ − 1, so that key · FACTOR stays below 2³¹
FACTOR = 16_381


def linear_recurrence(f: Tensor, u: Tensor) -> Tensor:
    """c_t = f_t c_{t−1} + u_t from c_0 = 0, elementwise: (batch, T, width) -> same shape.

    Unrolled where T is known, which is the fastest on a processor; else a scan.
    """
    if f.shape[1] is not None:
        c, all_c = 0.0, []
        for f_t, u_t in zip(ops.unstack(f, axis=1), ops.unstack(u, axis=1), strict=True):
            c = f_t * c + u_t
            all_c.append(c)
        return ops.stack(all_c, axis=1)

    def body(c: Tensor, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        c = pair[0] * c + pair[1]
        return c, c

    pairs = (ops.transpose(f, (1, 0, 2)), ops.transpose(u, (1, 0, 2)))
    _, all_c = ops.scan(body, ops.zeros_like(f[:, 0]), pairs)
    return ops.transpose(all_c, (1, 0, 2))


def ngram_rows(ids: Tensor, most: int) -> Tensor:
    """Table rows of the 2..most tokens that end at each place.

    ids (batch, T + most − 1), with most − 1 earlier tokens in front -> (batch, T, most − 1)
    """
    steps = ops.shape(ids)[1] - most + 1
    key, rows = ids[:, most - 1 :], []
    for n in range(2, most + 1):
        key = (key * FACTOR + ids[:, most - n : most - n + steps] + n) % ROWS
        rows.append(key)
    return ops.stack(rows, axis=-1)


@keras.saving.register_keras_serializable(package="aelib")
class QuasiRecurrentCore(layers.Layer):
    """Quasi-recurrent layers of window two (Bradbury et al., 2017), pre-norm, with residuals.

    z, f, o = W [x_t; x_{t−1}] + b;  c_t = σ(f) c_{t−1} + (1 − σ(f)) tanh(z);  h_t = σ(o) c_t
    """

    def __init__(self, width: int = 192, depth: int = 2, dropout: float = 0.0, seed: int = 0,
                 **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.depth = width, depth
        glorot = keras.initializers.GlorotUniform
        self.gates = [
            layers.Dense(3 * width, kernel_initializer=glorot(seed + i)) for i in range(depth)
        ]
        self.norms = [RMSNorm() for _ in range(depth + 1)]
        self.drop = layers.Dropout(dropout, seed=seed)

    def build(self, shape: Any) -> None:
        self.inputs = [shape[-1]] + [self.width] * (self.depth - 1)
        for norm, gates, size in zip(self.norms, self.gates, self.inputs, strict=False):
            norm.build((None, None, size))
            gates.build((None, None, 2 * size))
        self.norms[-1].build((None, None, self.width))
        self.built = True

    def _split(self, i: int, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Forget gate, what is written, output gate."""
        z, f, o = ops.split(self.gates[i](ops.concatenate([x, before], axis=-1)), 3, axis=-1)
        f = ops.sigmoid(f + 1.0)
        return f, (1.0 - f) * ops.tanh(z), ops.sigmoid(o)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        for i in range(self.depth):
            a = self.norms[i](x)
            f, u, o = self._split(i, a, ops.pad(a, ((0, 0), (1, 0), (0, 0)))[:, :-1])
            h = self.drop(o * linear_recurrence(f, u), training=training)
            x = x + h if i else h
        return self.norms[-1](x)

    def start(self, batch: int) -> list[Tensor]:
        """Of each layer the cell and the input before."""
        sizes = [size for n in self.inputs for size in (self.width, n)]
        return [ops.zeros((batch, size), self.compute_dtype) for size in sizes]

    def step(self, x: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        new: list[Tensor] = []
        for i in range(self.depth):
            a = self.norms[i](x)
            f, u, o = self._split(i, a, state[2 * i + 1])
            c = f * state[2 * i] + u
            new += [c, a]
            x = x + o * c if i else o * c
        return self.norms[-1](x), new
