"""Retrieval: known ranks, ties, and refusals."""

import numpy as np
import pytest

from aelib import measure
from aelib.errors import BadInput


def test_recall_counts_the_known_ranks():
    similarity = [[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.4, 0.2]]  # ranks 1, 2 and 3
    assert [measure.recall_at(similarity, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_more_items_than_queries():
    assert measure.recall_at([[0.5, 0.1, 0.9], [0.1, 0.8, 0.2]]) == 0.5


def test_codes_that_are_all_alike_find_nothing():
    assert measure.recall_at(np.ones((4, 4)), 3) == 0
    assert measure.recall_at(np.ones((4, 4)), 4) == 1


@pytest.mark.parametrize(("shape", "k"), [((3, 2), 1), ((2, 2), 0), ((0, 3), 1)])
def test_refuses(shape, k):
    with pytest.raises(BadInput):
        measure.recall_at(np.zeros(shape), k)
