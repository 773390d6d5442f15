"""Losses in Keras's convention: (x, x_hat) -> (batch, ...), averaged over the last axis."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="aelib")
def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared error over the last axis: (1/d) Σ_i (x_i − x̂_i)²."""
    return ops.mean(ops.square(ops.subtract(x, x_hat)), axis=-1)


@keras.saving.register_keras_serializable(package="aelib")
def relu_loss(x: Tensor, x_hat: Tensor) -> Tensor:
    """The article's loss, ReLU(x − x̂), averaged over the last axis.

    It is kept so that the book can train with it. Wherever x̂ ≥ x both the loss and its gradient
    are zero, so a model that answers "too much" everywhere is perfect by this measure.
    """
    return ops.mean(ops.relu(ops.subtract(x, x_hat)), axis=-1)


@keras.saving.register_keras_serializable(package="aelib")
def cross_entropy(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy in nats, averaged over the last axis; x in [0, 1], logits real.

    For one dimension: −x log σ(l) − (1 − x) log(1 − σ(l)) = softplus(l) − x l.
    """
    return ops.mean(ops.softplus(logits) - ops.multiply(x, logits), axis=-1)
