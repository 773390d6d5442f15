"""The boundary: every measure works on NumPy arrays, whatever the backend."""

import sys
from typing import Any

import numpy as np

from aelib.errors import BadInput


def to_numpy(x: Any) -> np.ndarray:
    """A NumPy array from a list, an array or a tensor of any Keras backend."""
    if not isinstance(x, np.ndarray) and "keras" in sys.modules:
        import keras

        if keras.ops.is_tensor(x):
            return keras.ops.convert_to_numpy(x)
    return np.asarray(x)


def matrix(x: Any, name: str) -> np.ndarray:
    """A float64 array of shape (n, dim); refuses other shapes, emptiness and NaN."""
    array = to_numpy(x).astype(np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise BadInput(f"{name} must have shape (n, dim) with n, dim >= 1, not {array.shape}")
    if not np.isfinite(array).all():
        raise BadInput(f"{name} has values that are not finite: check the model's training")
    return array


def same_length(first: Any, second: Any, what: str) -> None:
    """Refuse pairs of different length, or none at all."""
    if isinstance(first, str) or isinstance(second, str):
        raise BadInput(f"{what}: give lists of texts, not one string")
    if len(first) != len(second) or len(first) == 0:
        raise BadInput(f"{what}: need as many of each and at least one, not "
                       f"{len(first)} and {len(second)}")  # fmt: skip
