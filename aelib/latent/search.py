"""Neighbours, arithmetic and attribute directions."""

from dataclasses import dataclass

import numpy as np

from aelib.errors import BadInput, UnknownName


def _rows(z: np.ndarray, name: str) -> np.ndarray:
    z = np.asarray(z, np.float32)
    if z.ndim != 2 or len(z) == 0 or not np.isfinite(z).all():
        raise BadInput(f"{name} has to be finite with shape (n, k), n >= 1, not {z.shape}")
    return z


def neighbours(
    query: np.ndarray, z: np.ndarray, n: int = 5, metric: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """The n nearest rows of z for each query: indices and distances, both (queries, n).

    query (k,) or (queries, k); metric "cosine" (1 − cos) or "euclidean".
    """
    query = _rows(np.atleast_2d(query), "query")
    z = _rows(z, "z")
    if query.shape[1] != z.shape[1]:
        raise BadInput(f"query has width {query.shape[1]}, z has {z.shape[1]}")
    if metric == "cosine":
        q, r = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (query, z))
        distance = 1 - q @ r.T
    elif metric == "euclidean":
        squares = (query**2).sum(1)[:, None] + (z**2).sum(1) - 2 * query @ z.T
        distance = np.sqrt(np.maximum(squares, 0))
    else:
        raise UnknownName(f"no metric {metric!r}: choose cosine or euclidean")
    n = min(n, len(z))
    near = np.argpartition(distance, n - 1, axis=1)[:, :n]
    order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
    near = np.take_along_axis(near, order, axis=1)
    return near, np.take_along_axis(distance, near, axis=1)


def analogy(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """b − a + c: what is to c as b is to a, any shapes that broadcast."""
    return (np.asarray(b) - np.asarray(a) + np.asarray(c)).astype(np.float32)


@dataclass(frozen=True)
class Direction:
    """A line along which an attribute grows: z(s) = z + s · gap · unit.

    `gap` is the distance between the two classes' means, so strength 1 is "as much as the
    classes differ"; `accuracy` is the share of the given latents on the right side of the middle.
    """

    unit: np.ndarray
    gap: float
    middle: float
    accuracy: float

    @classmethod
    def between(cls, without: np.ndarray, having: np.ndarray) -> "Direction":
        """From latents without the attribute (n, k) and having it (m, k): difference of means."""
        without, having = _rows(without, "without"), _rows(having, "having")
        shift = having.mean(axis=0) - without.mean(axis=0)
        gap = float(np.linalg.norm(shift))
        if gap == 0:
            raise BadInput("the two groups have the same mean: there is no direction between them")
        unit = shift / gap
        low, high = without @ unit, having @ unit
        middle = float((low.mean() + high.mean()) / 2)
        right = np.concatenate([low < middle, high > middle])
        return cls(unit, gap, middle, float(right.mean()))

    def score(self, z: np.ndarray) -> np.ndarray:
        """How far along each latent lies: −½ at the mean without, +½ at the mean with, (n,)."""
        return (_rows(z, "z") @ self.unit - self.middle) / self.gap

    def move(self, z: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """z + strength · gap · unit, (n, k)."""
        return (_rows(np.atleast_2d(z), "z") + strength * self.gap * self.unit).astype(np.float32)
