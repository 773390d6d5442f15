"""Sampled softmax (Jean et al., 2015): train against a few hundred words instead of all of them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from aelib.objectives import categorical_nll
from aelib.text import EOS, FIRST, PAD

Tensor = Any


@keras.saving.register_keras_serializable(package="aelib")
class Candidates(keras.layers.Layer):
    """Draws m words from q(w) ∝ (count + 1)^0.75; subtracting log(m q) keeps the sum unbiased.

    `shared` stands between the rows of drawn words and the loss: several workers, who all draw the
    same words, add up their gradients there.
    """

    SLOTS = 1 << 16

    def __init__(self, vocabulary: int, m: int = 512, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.vocabulary, self.m, self.seed = vocabulary, m, seed
        self.shared: Callable[[Tensor], Tensor] = lambda rows: rows
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any = None) -> None:
        fixed = {"trainable": False, "dtype": "int32", "initializer": "zeros"}
        self.slots = self.add_weight(shape=(self.SLOTS,), name="slots", **fixed)
        self.counts = self.add_weight(shape=(self.vocabulary,), name="counts", **fixed)
        self._spread(np.ones(self.vocabulary - FIRST))
        self.built = True

    def adapt(self, ids: np.ndarray) -> None:
        """Make q follow the token counts of `ids`."""
        counts = np.bincount(ids[ids >= FIRST], minlength=self.vocabulary)[FIRST:]
        self._spread((counts + 1.0) ** 0.75)

    def _spread(self, weights: np.ndarray) -> None:
        """Give each word a whole number of slots, about in proportion to its weight."""
        edges = np.round(np.cumsum(weights) / weights.sum() * self.SLOTS).astype(int)
        counts = np.diff(edges, prepend=0)
        self.slots.assign(np.repeat(np.arange(len(weights)) + FIRST, counts).astype(np.int32))
        self.counts.assign(np.concatenate([np.zeros(FIRST, int), counts]).astype(np.int32))

    def draw(self) -> tuple[Tensor, Tensor]:
        """Ids (m,) and log of how often each is expected in the sample, (m,)."""
        place = keras.random.randint((self.m,), 0, self.SLOTS, seed=self.generator)
        ids = ops.take(self.slots, place)
        share = ops.cast(ops.take(self.counts, ids), "float32") / self.SLOTS
        return ids, ops.log(share * self.m)

    def rows(self, table: Tensor, ids: Tensor) -> Tensor:
        """The rows of a table, or entries of a vector, for drawn ids (m,)."""
        return self.shared(ops.take(table, ids, axis=0))

    def get_config(self) -> dict[str, Any]:
        own = {"vocabulary": self.vocabulary, "m": self.m, "seed": self.seed}
        return {**super().get_config(), **own}


def token_nll(logits: Tensor, ids: Tensor) -> Tensor:
    """−Σ_t log softmax(logits_t)[ids_t] where ids are not padding, nats: (batch,)."""
    return categorical_nll(ids, logits, mask=ids != PAD)


def sampled_nll(
    h: Tensor, ids: Tensor, table: Tensor, bias: Tensor, candidates: Candidates
) -> Tensor:
    """As `token_nll`, for logits h·table + bias, over the true word, sampled others and the end.

    h (batch, T, d), ids (batch, T), table (V, d), bias (V,) -> (batch,)
    """
    drawn, log_expected = candidates.draw()
    # The end token is never drawn: without it among the wrong ones its score would only rise.
    drawn = ops.concatenate([drawn, ops.full((1,), EOS, dtype=drawn.dtype)])
    log_expected = ops.concatenate([log_expected, ops.zeros((1,), log_expected.dtype)])
    right = ops.sum(h * ops.take(table, ids, axis=0), axis=-1) + ops.take(bias, ids)
    wrong = ops.matmul(h, ops.transpose(candidates.rows(table, drawn)))  # (batch, T, m)
    wrong = wrong + candidates.rows(bias, drawn) - log_expected
    wrong = ops.where(ops.equal(ops.expand_dims(ids, -1), drawn), -1e9, wrong)
    norm = ops.logaddexp(ops.logsumexp(wrong, axis=-1), right)
    return ops.sum((norm - right) * ops.cast(ids != PAD, h.dtype), axis=-1)
