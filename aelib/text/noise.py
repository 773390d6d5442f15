"""Noise on token ids, (n, T) integers in and out: what a denoising autoencoder has to undo.

Padding and the end token are never touched. Each function takes a rate in [0, 1] and a seed, and
returns a new array.
"""

import numpy as np

from aelib.errors import BadInput
from aelib.text.tokenizer import EOS, FIRST, PAD

BLANK = PAD  # a blanked token reads as padding: "something was here"


def _rows(ids: np.ndarray, rate: float) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise BadInput(f"noise needs integer ids of shape (n, T), not {ids.dtype} {ids.shape}")
    if not 0.0 <= rate <= 1.0:
        raise BadInput(f"a noise rate lies between 0 and 1, not {rate}")
    return ids


def _compact(ids: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Move the kept ids of each row to its front, in order; fill up with padding."""
    order = np.argsort(~keep, axis=1, kind="stable")
    moved = np.take_along_axis(np.where(keep, ids, PAD), order, axis=1)
    return moved


def drop(ids: np.ndarray, rate: float, seed: int | None = None) -> np.ndarray:
    """Leave out each token with probability `rate`; the rest moves up."""
    ids = _rows(ids, rate)
    lost = np.random.default_rng(seed).random(ids.shape) < rate
    return _compact(ids, (ids != PAD) & ~(lost & (ids >= FIRST)))


def blank(ids: np.ndarray, rate: float, seed: int | None = None) -> np.ndarray:
    """Replace each token by padding with probability `rate`; positions stay."""
    ids = _rows(ids, rate)
    lost = np.random.default_rng(seed).random(ids.shape) < rate
    return np.where(lost & (ids >= FIRST), BLANK, ids)


def swap(ids: np.ndarray, rate: float, seed: int | None = None, reach: int = 3) -> np.ndarray:
    """Shuffle locally: with probability `rate` a token gets a new place up to `reach` away.

    The shuffle of Lample et al. (2018): sort by position + uniform(0, reach + 1) noise.
    """
    ids = _rows(ids, rate)
    rng = np.random.default_rng(seed)
    place = np.arange(ids.shape[1]) + (rng.random(ids.shape) < rate) * rng.uniform(
        0, reach + 1, ids.shape
    )
    place = np.where(ids >= FIRST, place, np.where(ids == EOS, 1e6, 2e6))
    return np.take_along_axis(ids, np.argsort(place, axis=1, kind="stable"), axis=1)


def substitute(
    ids: np.ndarray, rate: float, seed: int | None = None, size: int | None = None
) -> np.ndarray:
    """Replace each token by a random one with probability `rate`.

    The new id is uniform below `size` if given, else one drawn from the tokens of `ids` itself.
    """
    ids = _rows(ids, rate)
    rng = np.random.default_rng(seed)
    text = ids[ids >= FIRST]
    if text.size == 0:
        return ids.copy()
    other = rng.integers(FIRST, size, ids.shape) if size else rng.choice(text, ids.shape)
    chosen = (rng.random(ids.shape) < rate) & (ids >= FIRST)
    return np.where(chosen, other, ids).astype(ids.dtype)
