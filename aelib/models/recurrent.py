"""Recurrent autoencoder: a GRU reads the sequence into one vector, another writes it."""

from typing import Any

import keras
from keras import layers

from aelib.models.autoencoder import Tensor


@keras.saving.register_keras_serializable(package="aelib")
class RecurrentEncoder(keras.Model):
    """x (batch, time, dim) -> last state of a GRU -> Dense -> z (batch, encoding_dim)."""

    def __init__(self, input_dim, encoding_dim: int, units: int = 64, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_dim, self.encoding_dim, self.units = tuple(input_dim), encoding_dim, units
        self.gru, self.code = layers.GRU(units), layers.Dense(encoding_dim)
        self.build((None, *self.input_dim))

    def build(self, input_shape: Any) -> None:
        self.gru.build((None, *self.input_dim))
        self.code.build((None, self.units))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        return self.code(self.gru(x))  # (batch, encoding_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "input_dim": self.input_dim,
            "encoding_dim": self.encoding_dim,
            "units": self.units,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="aelib")
class RecurrentDecoder(keras.Model):
    """z (batch, encoding_dim), repeated at every step -> GRU -> Dense -> x̂ (batch, time, dim)."""

    def __init__(
        self,
        encoding_dim: int,
        output_dim,
        units: int = 64,
        output_activation: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoding_dim, self.output_dim, self.units = encoding_dim, tuple(output_dim), units
        self.output_activation = output_activation
        time, dim = self.output_dim
        self.repeat = layers.RepeatVector(time)
        self.gru = layers.GRU(units, return_sequences=True)
        self.output_layer = layers.Dense(dim, activation=output_activation)
        self.build((None, encoding_dim))

    def build(self, input_shape: Any) -> None:
        time, _ = self.output_dim
        self.repeat.build((None, self.encoding_dim))
        self.gru.build((None, time, self.encoding_dim))
        self.output_layer.build((None, time, self.units))
        self.built = True

    def call(self, z: Tensor) -> Tensor:
        h = self.gru(self.repeat(z))  # (batch, time, units)
        return self.output_layer(h)  # (batch, time, dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoding_dim": self.encoding_dim,
            "output_dim": self.output_dim,
            "units": self.units,
            "output_activation": self.output_activation,
            "name": self.name,
        }
