"""Search by similarity: is the right neighbour among the nearest?"""

from typing import Any

import numpy as np

from aelib.errors import BadInput
from aelib.measure.arrays import matrix


def recall_at(similarity: Any, k: int = 1) -> float:
    """Share of queries, 0 to 1, whose own partner is among the k most similar items.

    A tie counts against the partner, so that codes which are all alike find nothing.

    Args:
        similarity: (n, m) with m >= n, larger is nearer; the partner of query i is item i.
        k: at least 1.
    """
    similarity = matrix(similarity, "similarity")
    queries, items = similarity.shape
    if k < 1 or items < queries:
        raise BadInput(f"need k >= 1 and an item for each query, not k={k} and {queries} queries "
                       f"for {items} items")  # fmt: skip
    own = np.diagonal(similarity)[:, None]  # (n, 1)
    rank = (similarity >= own).sum(1)  # 1 is best
    return float((rank <= k).mean())
