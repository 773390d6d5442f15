"""Working in latent space: paths, neighbours, directions, samplers, scikit-learn."""

from aelib.latent.paths import interpolate

__all__ = ["interpolate"]
