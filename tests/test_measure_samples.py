"""Distances between sets of samples, against cases whose answer is known."""

import numpy as np
import pytest

from aelib.errors import BadInput
from aelib.measure.samples import frechet_distance, precision_recall

RNG = np.random.default_rng(0)


def test_frechet_distance_of_two_gaussians():
    a = RNG.normal(size=(40_000, 2))
    b = RNG.normal(size=(40_000, 2)) * [3.0, 1.0] + [0.0, 2.0]
    # 2² from the means; (3 − 1)² from the standard deviations, since they share their axes
    assert frechet_distance(a, b) == pytest.approx(8.0, rel=0.03)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-4)


def test_precision_falls_with_junk_and_recall_with_a_missing_mode():
    left, right = RNG.normal(size=(200, 2)) - 20, RNG.normal(size=(200, 2)) + 20
    real = np.concatenate([left, right])
    one_mode = RNG.normal(size=(200, 2)) - 20
    narrow = precision_recall(real, one_mode)
    assert narrow.precision > 0.9 and 0.3 < narrow.recall < 0.55
    junk = np.concatenate([real + 0.01, 100 + 50 * RNG.normal(size=(400, 2))])
    wide = precision_recall(real, junk)
    assert wide.precision == pytest.approx(0.5, abs=0.05) and wide.recall > 0.95


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((20, 2), np.nan), np.zeros(20)])
def test_bad_input(bad):
    with pytest.raises(BadInput):
        precision_recall(np.zeros((20, 2)), bad)
