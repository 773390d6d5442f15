"""Rate and distortion: how many bits a code costs, and what is lost.

Rates are in bits per example, distortions in mean squared error per number.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from aelib.errors import BadInput
from aelib.measure.arrays import matrix, to_numpy


class Quantiser:
    """Uniform quantiser: 2^bits equal cells a dimension, over the range of the training codes.

    Args:
        bits: bits a dimension, 1 to 16.
    """

    def __init__(self, bits: int) -> None:
        if not 1 <= bits <= 16:
            raise BadInput(f"bits must be from 1 to 16, not {bits}")
        self.bits, self.levels = bits, 2**bits

    def fit(self, z: Any) -> "Quantiser":
        """Take each dimension's range, and the cells' frequencies, from codes (n, dim)."""
        z = matrix(z, "z")
        self.low = z.min(0)
        self.step = np.maximum(z.max(0) - self.low, 1e-12) / self.levels
        cells = self.quantise(z)
        counts = np.stack([np.bincount(column, minlength=self.levels) for column in cells.T])
        # (dim, levels) whole numbers; a cell that training never used has a price too
        self.frequencies = 2.0 * counts + 1.0
        self.cost_bits = -np.log2(self.frequencies / self.frequencies.sum(1, keepdims=True))
        return self

    def quantise(self, z: Any) -> np.ndarray:
        """Codes (n, dim) -> cell numbers (n, dim), int64."""
        cells = np.floor((matrix(z, "z") - self.low) / self.step)
        return np.clip(cells, 0, self.levels - 1).astype(np.int64)

    def dequantise(self, cells: Any) -> np.ndarray:
        """Cell numbers (n, dim) -> the cells' middles (n, dim)."""
        return self.low + (to_numpy(cells) + 0.5) * self.step

    def rate_bits(self, cells: Any) -> float:
        """Mean bits per example that an ideal entropy coder with the training frequencies spends.

        Dimensions are coded independently.
        """
        cells = to_numpy(cells)
        return float(self.cost_bits[np.arange(cells.shape[1]), cells].sum(1).mean())


def empirical_entropy_bits(symbols: Any) -> float:
    """Entropy in bits per symbol of the symbols' own frequencies (a plug-in estimate, too low)."""
    counts = np.unique(to_numpy(symbols), return_counts=True)[1]
    if not len(counts):
        raise BadInput("empirical_entropy_bits: no symbols")
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum()) + 0.0


class RatePoint(NamedTuple):
    """One point of a curve: bits a dimension, bits per example, mean squared error per number."""

    bits: int
    rate_bits: float
    distortion: float


def rate_distortion(
    encode: Callable[[Any], Any],
    decode: Callable[[np.ndarray], Any],
    x: Any,
    bits: Iterable[int] = (1, 2, 3, 4, 5, 6, 8),
    x_train: Any = None,
    distortion: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> list[RatePoint]:
    """The curve that a code draws when its codes are quantised and entropy-coded.

    Args:
        encode: x -> codes (n, latent_dim).
        decode: codes (n, latent_dim), float32 -> reconstructions like x.
        x: held-out examples, any shape (n, ...), or texts if ``distortion`` takes them.
        bits: bits a dimension of the points.
        x_train: what ranges and frequencies are taken from; ``x`` itself if not given, which
            flatters the rate a little.
        distortion: (reconstruction, x) -> number; mean squared error per number by default.
    """
    if distortion is None:
        distortion = _mean_squared
    z = to_numpy(encode(x))
    z_train = z if x_train is None else to_numpy(encode(x_train))
    points = []
    for b in bits:
        quantiser = Quantiser(b).fit(z_train)
        cells = quantiser.quantise(z)
        output = decode(quantiser.dequantise(cells).astype(np.float32))
        points.append(RatePoint(b, quantiser.rate_bits(cells), float(distortion(output, x))))
    return points


def gaussian_rate_bits(variances: Any, distortion: float) -> float:
    """Shannon's bound in bits per example for independent Gaussians of these variances (dim,).

    Reverse water-filling (Cover & Thomas, theorem 10.3.3): D_i = min(λ, σ_i²) with the water level
    λ such that the mean D_i is ``distortion``, and R = Σ max(0, ½ log2(σ_i²/D_i)).
    """
    sigma2 = to_numpy(variances).astype(np.float64).reshape(-1)
    if distortion <= 0 or not len(sigma2) or (sigma2 < 0).any():
        raise BadInput("gaussian_rate_bits needs a distortion above 0 and variances of at least 0")
    if distortion >= sigma2.mean():
        return 0.0
    low, high = 0.0, float(sigma2.max())
    for _ in range(200):  # the mean of min(λ, σ²) rises with λ: bisection
        level = (low + high) / 2
        if np.minimum(level, sigma2).mean() < distortion:
            low = level
        else:
            high = level
    above = sigma2[sigma2 > level]
    return float(0.5 * np.log2(above / level).sum())


def _mean_squared(output: Any, x: Any) -> float:
    difference = to_numpy(output).astype(np.float64) - to_numpy(x).astype(np.float64)
    return float((difference**2).mean())
