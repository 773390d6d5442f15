"""More causal cores for text decoders (see `aelib.models.cores`): LSTM and dilated convolutions."""

from typing import Any

import keras
from keras import layers, ops

from aelib.models.cores import ReadsWords

Tensor = Any


@keras.saving.register_keras_serializable(package="aelib")
class LSTMCore(layers.Layer):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); its state is h and c.

    deviation   of the word vectors when training begins, see `ReadsWords`
    """

    def __init__(self, width: int = 256, seed: int = 0, deviation: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.width = width
        self.lstm = layers.LSTM(
            width, return_sequences=True, seed=seed,
            kernel_initializer=ReadsWords(width, deviation, seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 1),
        )  # fmt: skip

    def build(self, shape: Any) -> None:
        self.lstm.build(shape)
        self.built = True

    def call(self, x: Tensor, initial: Tensor | None = None, training: bool | None = None):
        """x (batch, T, d), initial (batch, 2 · width) -> (batch, T, width)."""
        return self.lstm(x, initial_state=self.start(ops.shape(x)[0], initial), training=training)

    def start(self, batch: int, initial: Tensor | None = None) -> list[Tensor]:
        if initial is None:
            return [ops.zeros((batch, self.width)) for _ in range(2)]
        return list(ops.split(initial, 2, axis=-1))

    def step(self, x: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, new = self.lstm.cell(x, state)
        return x, list(new)


@keras.saving.register_keras_serializable(package="aelib")
class ConvCore(layers.Layer):
    """Residual convolutions of three places, the distance doubling: x + W relu(W' [x_t-2d…x_t]).

    Causal for a decoder (dilated convolutions; Yang et al., 2017), centred for an encoder. The
    state of each layer is its last 2d inputs.
    """

    def __init__(self, width: int = 256, depth: int = 3, causal: bool = True, seed: int = 0,
                 **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.depth, self.causal = width, depth, causal
        he, glorot = keras.initializers.HeUniform, keras.initializers.GlorotUniform
        self.gather = [layers.Dense(width, "relu", kernel_initializer=he(seed + i))
                       for i in range(depth)]  # fmt: skip
        self.out = [layers.Dense(width, kernel_initializer=glorot(seed + depth + i))
                    for i in range(depth)]  # fmt: skip

    def build(self, shape: Any) -> None:
        for gather, out in zip(self.gather, self.out, strict=True):
            gather.build((*shape[:-1], 3 * self.width))
            out.build((*shape[:-1], self.width))
        self.built = True

    def _layer(self, i: int, windows: list[Tensor], x: Tensor) -> Tensor:
        return x + self.out[i](self.gather[i](ops.concatenate(windows, axis=-1)))

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        t = ops.shape(x)[1]
        for i in range(self.depth):
            d = 2**i
            padded = ops.pad(x, ((0, 0), (2 * d, 0) if self.causal else (d, d), (0, 0)))
            windows = [padded[:, j * d : j * d + t] for j in range(3)]
            x = self._layer(i, windows, x)
        return x

    def start(self, batch: int) -> list[Tensor]:
        return [ops.zeros((batch, 2 * 2**i, self.width)) for i in range(self.depth)]

    def step(self, x: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        new = []
        for i, past in enumerate(state):
            new.append(ops.concatenate([past[:, 1:], x[:, None]], axis=1))
            x = self._layer(i, [past[:, 0], past[:, 2**i], x], x)
        return x, new
