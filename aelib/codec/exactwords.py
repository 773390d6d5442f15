"""The recurrent networks of a `TextAutoencoder`, run by `exact`: the same bits on every machine.

`ExactDecoder` gives the logits of p(x|z), `ExactEncoder` μ and σ of q(z|x) and the code z, where
the network is a GRU ("recurrent") or an LSTM ("lstm"). Their `of(model)` is None for other
networks: there Keras's own numbers have to do. Both keep the weights as they are when made.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np

from aelib.codec import exact
from aelib.codec.neural import State, drawn, weights
from aelib.errors import AelibError
from aelib.models.bottleneck import Adversarial, Plain, Variational
from aelib.models.networks import RECURRENT
from aelib.text import BOS, PAD

ROWS = 32  # sentences that the encoder reads side by side: they share each pass over the weights
Dense = tuple[np.ndarray, np.ndarray]  # kernel, bias


def dense(x: np.ndarray, layer: Dense) -> np.ndarray:
    return exact.product(x, layer[0]) + layer[1]


@dataclass
class Unit:
    """A GRU or an LSTM of width u: kernel (d, g · u), recurrent (u, g · u), biases (g · u,).

    `inner` is the GRU's second bias, which stands behind h U; an LSTM has none.
    """

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    inner: np.ndarray | None

    @classmethod
    def of(cls, layer: Any) -> "Unit":
        kernel, recurrent, bias = map(weights, layer.get_weights())
        return cls(kernel, recurrent, *((bias, None) if bias.ndim == 1 else bias))

    @property
    def vectors(self) -> int:
        """How many make up the state: h, and c of an LSTM."""
        return 2 if self.inner is None else 1

    def step(self, gates: np.ndarray, state: list[np.ndarray]) -> list[np.ndarray]:
        """gates (n, g · u) = x W + b, state (n, u) each, h first -> the new state."""
        recurrent = exact.product(state[0], self.recurrent)
        if self.inner is None:
            return list(exact.lstm(gates + recurrent, state[1]))
        return [exact.gru(gates, recurrent + self.inner, state[0])]


@dataclass
class ExactDecoder:
    """p(x|z) of a recurrent `SequenceDecoder`: table (V, width), bias (V,), bypass (k, width)."""

    table: np.ndarray
    bias: np.ndarray
    unit: Unit
    from_z: Dense
    bypass: np.ndarray

    @classmethod
    def of(cls, model: Any) -> "ExactDecoder | None":
        decoder = model.decoder
        if model.classes or getattr(decoder, "network", None) not in RECURRENT:
            return None
        self_test()
        core, table = decoder.core, weights(decoder.table.embeddings)
        (layer,) = core.grus if decoder.network == "recurrent" else [core.lstm]
        kernel, bias = map(weights, decoder.from_z.get_weights())
        bypass = np.zeros((model.latent_dim, table.shape[1]), np.float32)
        if decoder.bypass is not None:
            bypass = weights(decoder.bypass.kernel)
        return cls(table, weights(decoder.bias), Unit.of(layer), (kernel, bias), bypass)

    def __post_init__(self) -> None:
        width = self.table.shape[1]
        self.output = np.ascontiguousarray(self.table.T)
        self.words, self.latents = self.unit.kernel[:width], self.unit.kernel[width:]

    def start(self, z: np.ndarray) -> State:
        """z (n, k) -> the state before the first word."""
        z = exact.weights(z)
        first = exact.squash(dense(z, self.from_z))  # (n, vectors · width)
        parts = np.split(first, self.unit.vectors, axis=1)
        return {
            "gates": dense(z, (self.latents, self.unit.bias)),  # z's part, the same at every step
            "skip": exact.product(z, self.bypass),
            "vectors": [np.ascontiguousarray(part) for part in parts],
        }

    def read(self, ids: np.ndarray, state: State) -> np.ndarray:
        """The next word of each sentence (n,) -> h (n, width); changes the state."""
        gates = exact.product(self.table[ids], self.words) + state["gates"]
        state["vectors"] = self.unit.step(gates, state["vectors"])
        return state["vectors"][0] + state["skip"]

    def logits(self, h: np.ndarray) -> np.ndarray:
        """(n, width) -> (n, V)."""
        return dense(h, (self.output, self.bias))

    def teach(self, z: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Logits (n, V) of each of the words ids (n,) of one sentence, z (k,)."""
        state, before = self.start(z[None]), [BOS, *ids[:-1]]
        return self.logits(np.concatenate([self.read(np.array([w]), state) for w in before]))


@dataclass
class ExactEncoder:
    """q(z|x) of a recurrent `SequenceEncoder` and its bottleneck: table (V, width), head to (size).

    scale, shift  of the code, (k,) float64: the batch normalisation, if any
    least         1/σ² is above it: the bound of the delta posterior, else 0
    """

    table: np.ndarray
    unit: Unit
    head: Dense
    scale: np.ndarray
    shift: np.ndarray
    least: float

    @classmethod
    def of(cls, model: Any) -> "ExactEncoder | None":
        encoder, neck = model.encoder, model.bottleneck
        known = type(neck) in (Plain, Adversarial, Variational)
        if not known or getattr(encoder, "network", None) not in RECURRENT:
            return None
        self_test()
        kernel, bias = map(weights, encoder.head.get_weights())
        delta = getattr(neck, "family", "") == "delta"
        least = exact.least_precision(float(neck.min_rate)) if delta else 0.0
        unit, table = Unit.of(encoder.layers_[0]), weights(encoder.table.embeddings)
        return cls(table, unit, (kernel, bias), *_normalisation(neck), least)

    def heads(self, ids: np.ndarray) -> np.ndarray:
        """What the head says of the last state, padding not read: (n, T) -> (n, size) float32."""
        blank = np.zeros((len(ids), self.table.shape[1]), np.float32)
        state = [blank] * self.unit.vectors
        for column in ids.T[: (ids != PAD).sum(1).max()]:
            new = self.unit.step(
                dense(self.table[column], (self.unit.kernel, self.unit.bias)), state
            )
            real = (column != PAD)[:, None]
            state = [np.where(real, a, b) for a, b in zip(new, state, strict=True)]
        return dense(state[0], self.head)

    def code(self, ids: np.ndarray) -> np.ndarray:
        """The z that stands for each sentence: (n, T) -> (n, k) float32."""
        k = len(self.scale)
        parts = [self.heads(ids[i : i + ROWS])[:, :k] for i in range(0, len(ids), ROWS)]
        return (np.concatenate(parts) * self.scale + self.shift).astype(np.float32)

    def posterior(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """μ and σ of q(z|x) for one sentence (T,), each (k,) float64."""
        mean, logvar = np.split(self.heads(ids[None])[0].astype(np.float64), 2)
        return mean * self.scale + self.shift, exact.deviation(logvar, self.least)


def _normalisation(neck: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of the code, (k,) float64: from NumPy's + - × ÷ √ alone."""
    norm, k = getattr(neck, "norm", None), neck.latent_dim
    if norm is None:
        return np.ones(k), np.zeros(k)
    beta, mean, variance = (
        weights(w).astype(np.float64) for w in (norm.beta, norm.moving_mean, norm.moving_variance)
    )
    gain, scale = np.sqrt(2 * neck.min_rate), 1 / np.sqrt(variance + norm.epsilon)
    return gain * scale, gain * (beta - mean * scale)


# --- self-test --------------------------------------------------------------------------------

# First digits of SHA-256 over what small networks of each kind say, as in `neural`.
GOLDEN = {"recurrent": "5f72d55a39d54e4c", "lstm": "765aa32ca893d53b"}


def golden_halves(network: str) -> tuple[ExactEncoder, ExactDecoder]:
    """A small encoder and decoder: 31 words, width 8, latent 4."""
    draw, gates = drawn(1), 24 if network == "recurrent" else 32

    def unit(inputs: int) -> Unit:
        inner = draw(gates) if network == "recurrent" else None
        return Unit(draw(inputs, gates), draw(8, gates), draw(gates), inner)

    first = 8 * RECURRENT[network]
    encoder = ExactEncoder(draw(31, 8), unit(8), (draw(8, 8), draw(8)), np.ones(4), np.zeros(4),
                           exact.least_precision(0.1))  # fmt: skip
    decoder = ExactDecoder(draw(31, 8), draw(31), unit(12), (draw(4, first), draw(first)),
                           draw(4, 8))  # fmt: skip
    return encoder, decoder


def fingerprint(network: str) -> str:
    """First digits of SHA-256 over μ, σ and the frequencies of some sentences."""
    encoder, decoder = golden_halves(network)
    digest = sha256()
    for ids in np.arange(60, dtype=np.int32).reshape(6, 10) * 7 % 30 + 1:
        mean, sigma = encoder.posterior(ids)
        rows = exact.frequencies(decoder.teach(mean, ids))
        digest.update(b"".join(a.astype("<f8").tobytes() for a in (mean, sigma, rows)))
    return digest.hexdigest()[:16]


@cache
def self_test() -> None:
    """Run small networks and compare with stored results: refuse to code where they differ."""
    for network, stored in GOLDEN.items():
        if fingerprint(network) != stored:
            raise AelibError(
                f"The exact {network} network fails its self-test: do not code sentences here. "
                "Clear Numba's cache (__pycache__ in aelib/codec) and report the versions of "
                "Python, Numba and NumPy."
            )
