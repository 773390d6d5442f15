"""How good are generated vectors? Two views that need no labels: moments, and neighbourhoods."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.neighbors import NearestNeighbors

from aelib.errors import BadInput


def _matrix(x: ArrayLike, name: str) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or not len(x) or not np.isfinite(x).all():
        raise BadInput(f"{name} must be a finite array of shape (n, d), got shape {x.shape}")
    return x


def frechet_distance(real: ArrayLike, fake: ArrayLike, ridge: float = 1e-6) -> float:
    """‖μ − μ'‖² + tr(C + C' − 2 (C C')^½): squared, in the data's units (Heusel et al., 2017).

    real (n, d), fake (m, d). The distance between two Gaussians with the sets' means and
    covariances (plus `ridge` on the diagonal): zero when the first two moments agree.
    """
    real, fake = _matrix(real, "real"), _matrix(fake, "fake")
    shift = real.mean(0) - fake.mean(0)
    eye = ridge * np.eye(real.shape[1])
    a, b = np.cov(real.T) + eye, np.cov(fake.T) + eye
    root = linalg.sqrtm(a @ b).real
    return float(shift @ shift + np.trace(a + b - 2 * root))


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]: `precision` of fakes that look real, `recall` of reals that are covered."""

    precision: float
    recall: float


def precision_recall(real: ArrayLike, fake: ArrayLike, k: int = 5) -> PrecisionRecall:
    """Neighbourhood precision and recall (Kynkäänniemi et al., 2019). real (n, d), fake (m, d).

    A set's region is the union of balls around its points, each reaching the point's k-th
    neighbour. Precision: share of fakes inside the real region. Recall: the reverse.
    """
    real, fake = _matrix(real, "real"), _matrix(fake, "fake")
    if min(len(real), len(fake)) <= k:
        raise BadInput(f"precision and recall with k = {k} need more than {k} points in each set")
    return PrecisionRecall(_inside(fake, real, k), _inside(real, fake, k))


def _inside(points: np.ndarray, region: np.ndarray, k: int) -> float:
    """Share of `points` within the k-th-neighbour ball of at least one point of `region`."""
    neighbours = NearestNeighbors(n_neighbors=k + 1).fit(region)
    radius = neighbours.kneighbors(region)[0][:, -1]  # (n,); the first neighbour is the point
    distance = linalg.norm(points[:, None] - region[None], axis=-1)  # (m, n)
    return float((distance <= radius).any(axis=1).mean())
