"""Beam search: the most probable continuation that a bounded search finds."""

from typing import Any

import keras
import numpy as np
from keras import ops

from aelib.errors import BadInput
from aelib.generate.loop import Autoregressive
from aelib.text import BOS, EOS, PAD

Tensor = Any


class BeamSearch:
    """Keeps the `beams` best continuations of one prompt, token by token.

    The model's step is compiled once for each number of beams; the search itself is NumPy.
    """

    def __init__(self, model: Any):
        self.model = model
        self._step = _compiled_step(model)

    def __call__(self, prompt: list[int], new: int, beams: int = 4,
                 length_power: float = 0.0) -> tuple[list[int], float]:  # fmt: skip
        """At most `new` tokens after `prompt` (ids without the start token).

        Returns the new tokens, with the end token where there is one, and their log p in nats.
        Finished and unfinished texts compete by log p / length**length_power: 0 compares plain
        sums, which favours short texts; 1 compares means. BadInput for beams or new below 1.
        """
        if beams < 1 or new < 1 or length_power < 0:
            raise BadInput("beam search needs beams >= 1, new >= 1 and length_power >= 0")
        state = self.model.start(beams, None)
        for t, token in enumerate([BOS, *prompt]):
            logp, state = self._advance(np.full(beams, token, np.int32), state, t)
        sums = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # all beams are still the same
        texts: list[list[int]] = [[] for _ in range(beams)]
        finished: list[tuple[float, float, list[int]]] = []
        for i in range(new):
            parents, tokens, sums = _best(sums[:, None] + logp, beams)
            texts = [[*texts[p], int(w)] for p, w in zip(parents, tokens, strict=True)]
            for b in np.flatnonzero(tokens == EOS):
                finished.append((sums[b] / (i + 1) ** length_power, sums[b], texts[b]))
            sums = np.where(tokens == EOS, -np.inf, sums)
            if i + 1 == new or not np.isfinite(sums).any():
                break
            state = [ops.take(s, ops.convert_to_tensor(parents), axis=0) for s in state]
            logp, state = self._advance(np.where(tokens == EOS, PAD, tokens), state, t + 1 + i)
        alive = np.flatnonzero(np.isfinite(sums))
        finished += [(sums[b] / len(texts[b]) ** length_power, sums[b], texts[b]) for b in alive]
        _, total, text = max(finished, key=lambda found: found[0])
        return text, float(total)

    def _advance(self, tokens: np.ndarray, state: list[Tensor], t: int):
        """Log-probabilities (beams, V) without start and padding, and the new state."""
        arguments = ops.convert_to_tensor(tokens.astype(np.int32)), state, ops.convert_to_tensor(t)
        logp, state = self._step(*arguments)
        return ops.convert_to_numpy(logp).astype(np.float64), state


def _best(scores: np.ndarray, beams: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best of (beams, V) sums: their rows, tokens and sums, best first."""
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")[:beams]
    return (order // scores.shape[1]).astype(np.int32), order % scores.shape[1], flat[order]


def _compiled_step(model: Autoregressive) -> Any:
    def step(tokens: Tensor, state: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        logits, state = model.advance(tokens, state, t)
        banned = ops.cast(ops.arange(logits.shape[-1]) < EOS, logits.dtype) * -1e9
        return ops.log_softmax(logits + banned, axis=-1), state

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(step, autograph=False)
    return step
