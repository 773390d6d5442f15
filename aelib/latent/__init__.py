"""Working in latent space: paths, neighbours, directions, samplers, scikit-learn."""

from aelib.latent.encoder import TextEncoder
from aelib.latent.paths import interpolate
from aelib.latent.samplers import FlowSampler, GaussianSampler, MixtureSampler
from aelib.latent.search import Direction, analogy, neighbours

__all__ = [
    "Direction", "FlowSampler", "GaussianSampler", "MixtureSampler", "TextEncoder", "analogy",
    "interpolate", "neighbours",
]  # fmt: skip
