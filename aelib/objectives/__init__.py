"""What an autoencoder minimises, in one place: losses, likelihoods, the ELBO and its schedules.

Every likelihood returns nats per example, shape (batch,), summed over the other axes. Summing,
not averaging, keeps the two halves of the ELBO on one scale.
"""

from aelib.objectives.likelihoods import bernoulli_nll, categorical_nll, gaussian_nll
from aelib.objectives.losses import cross_entropy, mse, relu_loss
from aelib.objectives.schedules import Anneal, Constant, Cyclical, Linear
from aelib.objectives.variational import (
    check_free_per,
    elbo,
    free_bits,
    importance_weights,
    kl_per_dimension,
    kl_standard_normal,
    reparameterise,
)

__all__ = [
    "Anneal",
    "Constant",
    "Cyclical",
    "Linear",
    "bernoulli_nll",
    "categorical_nll",
    "check_free_per",
    "cross_entropy",
    "elbo",
    "free_bits",
    "gaussian_nll",
    "importance_weights",
    "kl_per_dimension",
    "kl_standard_normal",
    "mse",
    "relu_loss",
    "reparameterise",
]
