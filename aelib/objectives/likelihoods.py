"""Negative log-likelihoods −log p(x | z), in nats per example: summed over the other axes."""

import math
from typing import Any

from keras import ops

Tensor = Any


def _sum_per_example(values: Tensor) -> Tensor:
    """(batch, ...) -> (batch,)."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def gaussian_nll(x: Tensor, mean: Tensor, sigma: float = 1.0) -> Tensor:
    """−log N(x; mean, σ²I) = Σ_i (x_i − mean_i)² / 2σ² + d log(σ√2π), nats, shape (batch,).

    Minimising it over `mean` is minimising the squared error: MSE is this likelihood.
    """
    squares = ops.square((x - mean) / sigma) / 2
    return _sum_per_example(squares + (math.log(sigma) + 0.5 * math.log(2 * math.pi)))


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """−log Π_i p_i^{x_i} (1 − p_i)^{1 − x_i}, p = σ(logits), nats, shape (batch,).

    A probability only for x in {0, 1}; for grey values in between it is a cross-entropy.
    """
    return _sum_per_example(ops.softplus(logits) - x * logits)


def categorical_nll(ids: Tensor, logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """−Σ_t log softmax(logits_t)[ids_t], nats, shape (batch,).

    ids: (batch, time) integers; logits: (batch, time, vocabulary); mask: (batch, time), 1 where
    a token counts and 0 where there is padding.
    """
    nll = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)  # (batch, time)
    if mask is not None:
        nll = nll * ops.cast(mask, nll.dtype)
    return ops.sum(nll, axis=-1)
