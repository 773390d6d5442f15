"""Convolutional encoder and decoder: one filter bank slid over time or over an image."""

import math
from typing import Any

import keras
from keras import layers

from aelib.models.autoencoder import Tensor


@keras.saving.register_keras_serializable(package="aelib")
class ConvEncoder(keras.Model):
    """x -> convolution, stride 2, ReLU -> Dense(encoding_dim).

    input_dim: (time, dim) or (height, width, channels), each length even.
    z: (batch, encoding_dim).
    """

    def __init__(
        self, input_dim, encoding_dim: int, filters: int = 16, kernel_size: int = 3, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.input_dim, self.encoding_dim = tuple(input_dim), encoding_dim
        self.filters, self.kernel_size = filters, kernel_size
        conv = {2: layers.Conv1D, 3: layers.Conv2D}[len(self.input_dim)]
        self.conv = conv(filters, kernel_size, strides=2, padding="same", activation="relu")
        self.flatten, self.code = layers.Flatten(), layers.Dense(encoding_dim)
        self.build((None, *self.input_dim))

    def build(self, input_shape: Any) -> None:
        self.conv.build((None, *self.input_dim))
        features = self.conv.compute_output_shape((None, *self.input_dim))
        self.flatten.build(features)
        self.code.build((None, math.prod(features[1:])))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        return self.code(self.flatten(self.conv(x)))  # (batch, encoding_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "input_dim": self.input_dim,
            "encoding_dim": self.encoding_dim,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="aelib")
class ConvDecoder(keras.Model):
    """z -> Dense -> transposed convolution, stride 2: the encoder's steps in reverse.

    z: (batch, encoding_dim); x̂: (batch, *output_dim), no activation at the end unless given.
    """

    def __init__(
        self,
        encoding_dim: int,
        output_dim,
        filters: int = 16,
        kernel_size: int = 3,
        output_activation: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoding_dim, self.output_dim = encoding_dim, tuple(output_dim)
        self.filters, self.kernel_size = filters, kernel_size
        self.output_activation = output_activation
        self.half = (*(n // 2 for n in self.output_dim[:-1]), filters)
        transpose = {2: layers.Conv1DTranspose, 3: layers.Conv2DTranspose}[len(self.output_dim)]
        self.hidden = layers.Dense(math.prod(self.half), activation="relu")
        self.reshape = layers.Reshape(self.half)
        self.conv = transpose(
            self.output_dim[-1], kernel_size, strides=2, padding="same",
            activation=output_activation,
        )  # fmt: skip
        self.build((None, encoding_dim))

    def build(self, input_shape: Any) -> None:
        self.hidden.build((None, self.encoding_dim))
        self.reshape.build((None, math.prod(self.half)))
        self.conv.build((None, *self.half))
        self.built = True

    def call(self, z: Tensor) -> Tensor:
        return self.conv(self.reshape(self.hidden(z)))  # (batch, *output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoding_dim": self.encoding_dim,
            "output_dim": self.output_dim,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "output_activation": self.output_activation,
            "name": self.name,
        }
