"""Causal sequence networks with two faces: all steps at once to train, one step to generate.

Every core maps (batch, T, width) to (batch, T, width) with `call`, and the same function step by
step with `start` and `step`. A test holds the two against each other.
"""

import math
from typing import Any

import keras
from keras import layers, ops

Tensor = Any


@keras.saving.register_keras_serializable(package="aelib")
class RMSNorm(layers.Layer):
    """x / rms(x) · γ over the last axis (Zhang and Sennrich, 2019)."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")

    def call(self, x: Tensor) -> Tensor:
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6) * self.gamma


def rotate(x: Tensor, place: Tensor) -> Tensor:
    """Rotary positions (Su et al., 2021): x (batch, heads, T, d), place (T,) -> same shape.

    After it a query's product with a key depends on their distance alone.
    """
    half = x.shape[-1] // 2
    speed = ops.exp(ops.arange(half, dtype="float32") * (-math.log(10_000.0) / half))
    angle = ops.cast(ops.expand_dims(place, -1), "float32") * speed  # (T, d/2)
    cos, sin = ops.cos(angle), ops.sin(angle)
    a, b = ops.split(x, 2, axis=-1)
    crossed = ops.concatenate([b, a], axis=-1)
    cos = ops.cast(ops.concatenate([cos, cos], axis=-1), x.dtype)
    sin = ops.cast(ops.concatenate([-sin, sin], axis=-1), x.dtype)
    return x * cos + crossed * sin


@keras.saving.register_keras_serializable(package="aelib")
class Block(layers.Layer):
    """Pre-norm transformer block: fused QKV attention, then a squared-ReLU MLP of 4 × width."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, scale: float = 1.0,
                 causal: bool = True, seed: int = 0, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.heads, self.causal = width, heads, causal
        self.norm1, self.norm2 = RMSNorm(), RMSNorm()
        normal = keras.initializers.RandomNormal
        self.qkv = layers.Dense(
            3 * width, use_bias=False, kernel_initializer=normal(0.02, seed=seed)
        )
        out = normal(0.02 * scale, seed=seed + 1)
        self.out = layers.Dense(width, use_bias=False, kernel_initializer=out)
        self.up = layers.Dense(4 * width, use_bias=False,
                               kernel_initializer=normal(0.02, seed=seed + 2))  # fmt: skip
        down = normal(0.02 * scale, seed=seed + 3)
        self.down = layers.Dense(width, use_bias=False, kernel_initializer=down)
        self.drop = layers.Dropout(dropout, seed=seed + 4)

    def build(self, shape: Any) -> None:
        wide = (*shape[:-1], 4 * self.width)
        for layer in (self.norm1, self.norm2, self.qkv, self.out, self.up):
            layer.build(shape)
        self.down.build(wide)
        self.built = True

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, T, width) -> three of (batch, heads, T, width / heads)."""
        shape = (-1, ops.shape(x)[1], self.heads, self.width // self.heads)
        q, k, v = (
            ops.transpose(ops.reshape(part, shape), (0, 2, 1, 3))
            for part in ops.split(self.qkv(x), 3, axis=-1)
        )
        return q, k, v

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """softmax(q kᵀ / √d) v, heads joined: (batch, T, width)."""
        scores = q @ ops.transpose(k, (0, 1, 3, 2)) * (self.width // self.heads) ** -0.5
        if mask is not None:
            scores = scores + mask
        mixed = ops.transpose(ops.softmax(scores, axis=-1) @ v, (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, ops.shape(mixed)[1], self.width))

    def _mlp(self, x: Tensor) -> Tensor:
        return self.down(ops.square(ops.relu(self.up(self.norm2(x)))))

    def call(self, x: Tensor, barred: Tensor | None = None, training: bool | None = None) -> Tensor:
        """x (batch, T, width); `barred` is added to the scores (0 or −10⁹)."""
        place = ops.arange(ops.shape(x)[1])
        q, k, v = self._heads(self.norm1(x))
        if self.causal:
            ahead = ops.expand_dims(place, 0) > ops.expand_dims(place, 1)
            barred = ops.cast(ahead, x.dtype) * -1e9
        mixed = self._attend(rotate(q, place), rotate(k, place), v, barred)
        x = x + self.drop(self.out(mixed), training=training)
        return x + self.drop(self._mlp(x), training=training)

    def step(self, x: Tensor, keys: Tensor, values: Tensor, t: Tensor):
        """One token: x (batch, width), cache (batch, heads, context, d) -> x and the new cache.

        The cache is a ring: beyond `context` tokens the oldest is forgotten.
        """
        context = keys.shape[2]
        q, k, v = self._heads(self.norm1(ops.expand_dims(x, 1)))
        place = ops.reshape(t, (1,))
        slot = ops.cast(ops.equal(ops.arange(context), t % context), x.dtype)[:, None]
        keys = keys * (1 - slot) + rotate(k, place) * slot
        values = values * (1 - slot) + v * slot
        empty = ops.cast(ops.arange(context) > t, x.dtype) * -1e9
        mixed = self._attend(rotate(q, place), keys, values, empty)[:, 0]
        x = x + self.out(mixed)
        return x + self._mlp(x), keys, values


@keras.saving.register_keras_serializable(package="aelib")
class TransformerCore(layers.Layer):
    """A stack of causal blocks with rotary positions; its state is the key-value cache."""

    def __init__(self, width: int = 128, depth: int = 4, heads: int = 4, context: int = 64,
                 dropout: float = 0.0, seed: int = 0, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.depth, self.heads, self.context = width, depth, heads, context
        scale = (2 * depth) ** -0.5
        self.blocks = [
            Block(width, heads, dropout, scale, seed=seed + 10 * i) for i in range(depth)
        ]
        self.norm = RMSNorm()

    def build(self, shape: Any) -> None:
        for block in self.blocks:
            block.build(shape)
        self.norm.build(shape)
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x)

    def start(self, batch: int) -> list[Tensor]:
        """An empty cache: keys and values of each block."""
        shape = (batch, self.heads, self.context, self.width // self.heads)
        return [ops.zeros(shape, self.compute_dtype) for _ in range(2 * self.depth)]

    def step(self, x: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        new: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x, keys, values = block.step(x, state[2 * i], state[2 * i + 1], t)
            new += [keys, values]
        return self.norm(x), new


@keras.saving.register_keras_serializable(package="aelib")
class ReadsWords(keras.initializers.GlorotUniform):
    """Glorot's numbers; the first `rows` rows, which read word vectors, divided by their deviation.

    The vectors start small (`deviation`), since they are the output's weights, too. A gate that
    reads them with Glorot's weights hardly moves at first; so it starts as with vectors of one.
    """

    def __init__(self, rows: int, deviation: float, seed: int = 0):
        super().__init__(seed)
        self.rows, self.deviation = rows, deviation

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        kernel = super().__call__(shape, dtype)  # (inputs, gates)
        words = ops.expand_dims(ops.arange(shape[0]) < self.rows, 1)
        return ops.where(words, kernel / self.deviation, kernel)

    def get_config(self) -> dict[str, Any]:
        seed = super().get_config()["seed"]
        return {"rows": self.rows, "deviation": self.deviation, "seed": seed}


@keras.saving.register_keras_serializable(package="aelib")
class RecurrentCore(layers.Layer):
    """A stack of gated recurrent units (Cho et al., 2014); its state is one vector a layer.

    deviation   of the word vectors when training begins, see `ReadsWords`
    """

    def __init__(self, width: int = 256, depth: int = 1, dropout: float = 0.0, seed: int = 0,
                 deviation: float = 1.0, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.depth = width, depth
        self.grus = [
            layers.GRU(width, return_sequences=True, seed=seed + i,
                       kernel_initializer=ReadsWords(width, 1.0 if i else deviation, seed + i),
                       recurrent_initializer=keras.initializers.Orthogonal(seed=seed + i))
            for i in range(depth)
        ]  # fmt: skip
        self.drop = layers.Dropout(dropout, seed=seed)

    def build(self, shape: Any) -> None:
        self.grus[0].build(shape)
        for gru in self.grus[1:]:
            gru.build((*shape[:-1], self.width))
        self.built = True

    def call(self, x: Tensor, initial: Tensor | None = None, training: bool | None = None):
        for gru in self.grus:
            x = self.drop(gru(x, initial_state=initial), training=training)
        return x

    def start(self, batch: int, initial: Tensor | None = None) -> list[Tensor]:
        if initial is None:
            initial = ops.zeros((batch, self.width), self.compute_dtype)
        return [initial for _ in range(self.depth)]

    def step(self, x: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        new = []
        for gru, h in zip(self.grus, state, strict=True):
            x, _ = gru.cell(x, [h])
            new.append(x)
        return x, new
