"""The evidence lower bound of a Gaussian-latent model (Kingma and Welling, 2014), in nats."""

import math
from typing import Any

import keras
from keras import ops

from aelib.errors import UnknownName

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


FREE_PER = ("dimension", "sentence")


def check_free_per(per: str) -> str:
    if per not in FREE_PER:
        raise UnknownName(f"free bits are per {' or '.join(FREE_PER)}, not {per!r}")
    return per


def free_bits(kl: Tensor, floor: float, per: str = "dimension") -> Tensor:
    """The KL that is paid when λ = `floor` nats are free; nats, a scalar. kl: (batch, k).

    dimension  Σ_j max(λ, mean over the batch of KL_j) (Kingma et al., 2016)
    sentence   mean over the batch of max(λ, Σ_j KL_j): λ is the total of a sentence

    Below the floor the KL costs the same whatever the posterior does, so nothing pushes it to
    carry less. Floor 0 is the plain KL.
    """
    if check_free_per(per) == "sentence":
        return ops.mean(ops.maximum(ops.sum(kl, axis=-1), floor))
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
