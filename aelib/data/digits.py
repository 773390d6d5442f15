"""Small pictures: the handwritten digits that ship with scikit-learn."""

import hashlib
from importlib.metadata import version as installed_version

import numpy as np

from aelib.data.corpus import Digits, Provenance

_BLOCKS = (1297, 1547)  # where validation and test begin; 1,797 images in all


def load_digits() -> Digits:
    """1,797 images of 8 x 8 as rows of 64 numbers in [0, 1], in file order."""
    from sklearn.datasets import load_digits as read

    images, labels = read(return_X_y=True)
    x = (images / 16).astype(np.float32)  # (1797, 64)
    y = labels.astype(np.int64)  # (1797,)
    x.setflags(write=False)
    y.setflags(write=False)
    first, second = _BLOCKS
    provenance = Provenance(
        source="Optical Recognition of Handwritten Digits (UCI), from scikit-learn",
        version=installed_version("scikit-learn"),
        licence="CC BY 4.0",
        split="blocks in file order (1,297 / 250 / 250), so that a writer is on one side",
        url="https://archive.ics.uci.edu/dataset/80",
        sha256=hashlib.sha256(x.tobytes()).hexdigest(),
    )
    return Digits(
        x[:first], y[:first], x[first:second], y[first:second], x[second:], y[second:], provenance
    )
