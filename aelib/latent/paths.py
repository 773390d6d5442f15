"""Paths between latents."""

import numpy as np

from aelib.errors import BadInput, UnknownName


def interpolate(a: np.ndarray, b: np.ndarray, steps: int = 7, path: str = "linear") -> np.ndarray:
    """`steps` points from a to b, ends included: (k,), (k,) -> (steps, k).

    linear     (1 − s) a + s b
    spherical  along the great circle, the norm going linearly (Shoemake, 1985); for Gaussian
               latents it keeps to the shell where nearly all of N(0, I) lies
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise BadInput(f"interpolate between two vectors of one width, not {a.shape} and {b.shape}")
    if steps < 2:
        raise BadInput(f"at least 2 steps, not {steps}")
    s = np.linspace(0, 1, steps)[:, None]  # (steps, 1)
    if path == "linear":
        return ((1 - s) * a + s * b).astype(np.float32)
    if path != "spherical":
        raise UnknownName(f"no path {path!r}: choose linear or spherical")
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    if na == 0 or nb == 0:
        raise BadInput("a zero vector has no direction: use path='linear'")
    angle = np.arccos(np.clip(a @ b / (na * nb), -1, 1))
    if np.sin(angle) < 1e-6:
        return ((1 - s) * a + s * b).astype(np.float32)
    turn = (np.sin((1 - s) * angle) * a / na + np.sin(s * angle) * b / nb) / np.sin(angle)
    return (turn * ((1 - s) * na + s * nb)).astype(np.float32)
