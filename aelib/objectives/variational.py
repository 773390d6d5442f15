"""The evidence lower bound of a Gaussian-latent model (Kingma and Welling, 2014), in nats."""

import math
from typing import Any

import keras
from keras import ops

Tensor = Any


def reparameterise(mean: Tensor, logvar: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """z = μ + σ ε with ε ~ N(0, I): a sample through which gradients flow. (batch, k)."""
    noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=seed)
    return mean + ops.exp(0.5 * logvar) * noise


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(μ_j, σ_j²) ‖ N(0, 1)) = ½ (μ_j² + σ_j² − log σ_j² − 1), nats, shape (batch, k)."""
    return 0.5 * (ops.square(mean) + ops.exp(logvar) - logvar - 1.0)


def kl_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|x) ‖ N(0, I)) in nats, shape (batch,): *summed* over the latent dimensions.

    A widespread slip averages over them instead, which quietly divides the KL by k.
    """
    return ops.sum(kl_per_dimension(mean, logvar), axis=-1)


def free_bits(kl: Tensor, floor: float) -> Tensor:
    """Σ_j max(λ, mean over the batch of KL_j), nats, a scalar (Kingma et al., 2016).

    kl: (batch, k) from `kl_per_dimension`; floor: λ in nats per dimension. Below the floor a
    dimension costs the same whatever it does, so nothing pushes it to carry less.
    """
    return ops.sum(ops.maximum(ops.mean(kl, axis=0), floor))


def elbo(reconstruction_nll: Tensor, kl: Tensor) -> Tensor:
    """ELBO = −NLL − KL ≤ log p(x), nats per example; both inputs (batch,)."""
    return -reconstruction_nll - kl


def importance_weights(nll: Tensor, z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log p(x|z) + log p(z) − log q(z|x), nats, shape (batch,), for z drawn from q(z|x).

    Averaged it estimates the ELBO; log-mean-exp over samples gives the tighter IW bound
    (Burda et al., 2016): `aelib.measure.iw_nll`.
    """
    log_prior = -0.5 * ops.sum(ops.square(z) + math.log(2 * math.pi), axis=-1)
    scaled = ops.square(z - mean) / ops.exp(logvar)
    log_q = -0.5 * ops.sum(scaled + logvar + math.log(2 * math.pi), axis=-1)
    return -nll + log_prior - log_q
