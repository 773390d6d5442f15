"""The loop: state in, token out, in one compiled program on either backend.

A model takes part when it has

    start(batch, condition) -> state                      a flat list of tensors
    advance(tokens (batch,), state, t) -> logits (batch, V), state

Randomness comes from outside as uniform numbers, so a seed gives the same text on every backend
as far as the logits agree.
"""

from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from aelib.errors import BadInput
from aelib.text import BOS, EOS, PAD

Tensor = Any


class Autoregressive(Protocol):
    def start(self, batch: int, condition: Tensor | None) -> list[Tensor]: ...

    def advance(
        self, tokens: Tensor, state: list[Tensor], t: Tensor
    ) -> tuple[Tensor, list[Tensor]]: ...


def choose(
    logits: Tensor, u: Tensor, temperature: Tensor, top_p: Tensor, top_k: int, nucleus: bool
) -> Tensor:
    """One token for each row: logits (batch, V), u uniform (batch,) -> (batch,) int32.

    The `top_k` largest stay (0: all), of them with `nucleus` the fewest that reach `top_p`;
    u picks among them by the inverse of their cumulative sum.
    """
    logits = logits / ops.maximum(temperature, 1e-4)
    ids = None
    if nucleus or top_k:
        k = min(top_k or logits.shape[-1], logits.shape[-1])
        logits, ids = ops.top_k(logits, k)  # (batch, k), descending
        if k == 1:
            return ops.cast(ids[:, 0], "int32")
    p = ops.softmax(logits, axis=-1)
    if nucleus:
        before = ops.cumsum(p, axis=-1) - p
        p = p * ops.cast(before < top_p, p.dtype)
    total = ops.cumsum(p, axis=-1)
    below = total <= ops.expand_dims(u, -1) * total[:, -1:]
    place = ops.minimum(ops.sum(ops.cast(below, "int32"), axis=-1), logits.shape[-1] - 1)
    if ids is None:
        return ops.cast(place, "int32")
    return ops.cast(ops.take_along_axis(ids, ops.expand_dims(place, -1), axis=-1)[:, 0], "int32")


def _loop(
    model: Autoregressive, top_k: int, nucleus: bool,
    prompt, lengths, uniforms, condition, temperature, top_p,
):  # fmt: skip
    """prompt (batch, T) with `lengths` given tokens a row; returns the filled (batch, T)."""
    batch, total = prompt.shape
    state = model.start(batch, condition)
    place = ops.arange(total)

    def body(t, ids, done, state):
        token = ops.take(ids, t, axis=1)
        logits, state = model.advance(token, state, t)
        banned = ops.cast(ops.arange(logits.shape[-1]) < EOS, logits.dtype) * -1e9
        u = ops.take(uniforms, t, axis=1)
        drawn = choose(logits + banned, u, temperature, top_p, top_k, nucleus)
        drawn = ops.where(done, PAD, drawn)
        given = t + 1 < lengths
        done = ops.logical_or(done, ops.logical_and(ops.logical_not(given), drawn == EOS))
        here = ops.expand_dims(place == t + 1, 0)
        token = ops.where(given, ops.take(ids, ops.minimum(t + 1, total - 1), axis=1), drawn)
        return t + 1, ops.where(here, ops.expand_dims(token, 1), ids), done, state

    def going(t, ids, done, state):
        return ops.logical_and(t + 1 < total, ops.logical_not(ops.all(done)))

    done = ops.zeros((batch,), dtype="bool")
    out = ops.while_loop(going, body, (ops.convert_to_tensor(0), prompt, done, state))
    return out[1]


class Sampler:
    """A model's generation loop, compiled on first use for each shape and then kept."""

    def __init__(self, model: Any):
        self.model = model
        self._compiled: dict[tuple[int, bool], Any] = {}

    def __call__(self, top_k: int, nucleus: bool, *arguments: Any) -> np.ndarray:
        key = (top_k, nucleus)
        if key not in self._compiled:
            self._compiled[key] = _compile(self.model, *key)
        return ops.convert_to_numpy(self._compiled[key](*arguments))


def _compile(model: Any, *static: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda *a: _loop(model, *static, *a), jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        def run(values, *a):
            # Weights come in as arguments: a later `fit` must not meet stale constants.
            pairs = list(zip(model.variables, values, strict=True))
            with keras.StatelessScope(state_mapping=pairs):
                return _loop(model, *static, *a)

        fast = jax.jit(run)
        return lambda *a: fast([v.value for v in model.variables], *a)
    return lambda *a: _loop(model, *static, *a)


def generate(
    sampler: Sampler, prompts: list[list[int]], new: int, condition: Tensor | None = None,
    temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Continue each prompt (ids, without the start token) by at most `new` tokens.

    Returns (batch, T) int32: start token, prompt, new tokens up to and with the end token, padding.
    """
    if temperature < 0 or not 0 < top_p <= 1 or top_k < 0 or new < 1:
        raise BadInput("temperature >= 0, 0 < top_p <= 1, top_k >= 0 and at least one new token")
    lengths = np.array([len(p) + 1 for p in prompts], np.int32)
    width = int(np.ceil((lengths.max() + new) / 32) * 32)  # few shapes, so few compilations
    ids = np.full((len(prompts), width), PAD, np.int32)
    ids[:, 0] = BOS
    for row, prompt in zip(ids, prompts, strict=True):
        row[1 : len(prompt) + 1] = prompt
    uniforms = np.random.default_rng(seed).random((len(prompts), width), np.float32)
    tensors = [ops.convert_to_tensor(a) for a in (ids, lengths, uniforms)]
    options = [ops.convert_to_tensor(np.float32(x)) for x in (temperature, top_p)]
    top_k = 1 if temperature == 0 else top_k
    out = sampler(top_k, top_p < 1 and top_k != 1, *tensors, condition, *options).copy()
    for row, length in zip(out, lengths, strict=True):
        row[length + new :] = PAD
    return out
