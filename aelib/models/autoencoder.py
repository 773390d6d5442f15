"""The article's encoder, decoder and autoencoder, mended: saveable, loadable, any input shape."""

import math
from typing import Any

import keras
from keras import layers

from aelib.models.training import ready_optimizer

Tensor = Any
Shape = int | tuple[int, ...]


def as_shape(shape: Shape) -> tuple[int, ...]:
    """100 -> (100,); a tuple or list stays as it is."""
    return (int(shape),) if isinstance(shape, int) else tuple(int(n) for n in shape)


@keras.saving.register_keras_serializable(package="aelib")
class Encoder(keras.Model):
    """z = W₂ f(W₁ x + b₁) + b₂: Dense(input_dim, f) then Dense(encoding_dim).

    x: (batch, *input_dim), flattened; z: (batch, encoding_dim). ``hidden_dim`` is the width of
    the first layer; None means input_dim, as in the article; 0 means no hidden layer at all.
    """

    def __init__(
        self,
        input_dim: Shape,
        encoding_dim: int,
        hidden_dim: int | None = None,
        activation: str | None = "relu",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_dim, self.encoding_dim = as_shape(input_dim), encoding_dim
        self.hidden_dim, self.activation = hidden_dim, activation
        width = math.prod(self.input_dim) if hidden_dim is None else hidden_dim
        self.flatten = layers.Flatten()
        self.hidden = layers.Dense(width, activation=activation) if width else None
        self.code = layers.Dense(encoding_dim)
        self.build((None, *self.input_dim))

    def build(self, input_shape: Any) -> None:
        self.flatten.build((None, *self.input_dim))
        width = math.prod(self.input_dim)
        if self.hidden is not None:
            self.hidden.build((None, width))
            width = self.hidden.units
        self.code.build((None, width))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        h = self.flatten(x)  # (batch, d)
        if self.hidden is not None:
            h = self.hidden(h)  # (batch, hidden_dim)
        return self.code(h)  # (batch, encoding_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "input_dim": self.input_dim,
            "encoding_dim": self.encoding_dim,
            "hidden_dim": self.hidden_dim,
            "activation": self.activation,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="aelib")
class Decoder(keras.Model):
    """x̂ = g(W₄ f(W₃ z + b₃) + b₄): Dense(encoding_dim, f) then Dense(output_dim, g).

    z: (batch, encoding_dim); x̂: (batch, *output_dim). ``hidden_dim`` None means encoding_dim,
    as in the article; 0 means no hidden layer.
    """

    def __init__(
        self,
        encoding_dim: int,
        output_dim: Shape,
        hidden_dim: int | None = None,
        activation: str | None = "relu",
        output_activation: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoding_dim, self.output_dim = encoding_dim, as_shape(output_dim)
        self.hidden_dim, self.activation = hidden_dim, activation
        self.output_activation = output_activation
        width = encoding_dim if hidden_dim is None else hidden_dim
        self.hidden = layers.Dense(width, activation=activation) if width else None
        self.output_layer = layers.Dense(math.prod(self.output_dim), activation=output_activation)
        self.reshape = layers.Reshape(self.output_dim)
        self.build((None, encoding_dim))

    def build(self, input_shape: Any) -> None:
        width = self.encoding_dim
        if self.hidden is not None:
            self.hidden.build((None, width))
            width = self.hidden.units
        self.output_layer.build((None, width))
        self.reshape.build((None, math.prod(self.output_dim)))
        self.built = True

    def call(self, z: Tensor) -> Tensor:
        h = z if self.hidden is None else self.hidden(z)  # (batch, hidden_dim)
        return self.reshape(self.output_layer(h))  # (batch, *output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoding_dim": self.encoding_dim,
            "output_dim": self.output_dim,
            "hidden_dim": self.hidden_dim,
            "activation": self.activation,
            "output_activation": self.output_activation,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="aelib")
class Autoencoder(keras.Model):
    """x̂ = Decoder(Encoder(x)), for any encoder and decoder whose shapes meet.

    ``fit(x)`` is enough: the input is its own target (``fit(x, y)`` sets another one).
    ``save`` writes both parts, ``keras.saving.load_model`` gives them back.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **kwargs: Any):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.built = encoder.built and decoder.built

    @classmethod
    def dense(
        cls, input_dim: Shape, encoding_dim: int, *args: Any, **options: Any
    ) -> "Autoencoder":
        """The article's model: four Dense layers, two of them ReLU.

        Options of the class (a noise level, say) follow by name; ``hidden_dim``, ``activation``
        and ``output_activation`` go to the two parts.
        """
        shared = {k: options.pop(k) for k in ("hidden_dim", "activation") if k in options}
        output = options.pop("output_activation", None)
        encoder = Encoder(input_dim, encoding_dim, **shared)
        decoder = Decoder(encoding_dim, input_dim, output_activation=output, **shared)
        return cls(encoder, decoder, *args, **options)

    @classmethod
    def linear(cls, input_dim: Shape, encoding_dim: int, **options: Any) -> "Autoencoder":
        """One Dense layer each way and no activation: the model that PCA solves exactly."""
        return cls.dense(input_dim, encoding_dim, hidden_dim=0, **options)

    def encode(self, x: Tensor) -> Tensor:
        """z = Encoder(x): (batch, ...) -> (batch, k)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """x̂ = Decoder(z): (batch, k) -> (batch, ...)."""
        return self.decoder(z)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def fit(self, *args: Any, **options: Any) -> keras.callbacks.History:
        """As in `keras.Model`, but the first step is traced once, not twice."""
        if self.built and self.optimizer is not None:
            ready_optimizer(self)
        return super().fit(*args, **options)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = x if y is None else y
        return super().compute_loss(x, target, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, x if y is None else y, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        serialise = keras.saving.serialize_keras_object
        return {
            "encoder": serialise(self.encoder),
            "decoder": serialise(self.decoder),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Autoencoder":
        parts = {
            key: keras.saving.deserialize_keras_object(config.pop(key), custom_objects)
            for key in ("encoder", "decoder")
        }
        return cls(**parts, **config)
