"""Bits back (Townsend, Bird and Barber, 2019): a variational autoencoder codes at its own bound.

To code x, a latent z is needed, and naming it costs -log p(z) bits more than it should, since many
z would do. So z is *drawn with bits that are already on the stack*: popping it with q(z|x) takes
-log q(z|x) bits off, then x is pushed with p(x|z) and z with p(z). Net cost:

    log q(z|x) - log p(x|z) - log p(z)        whose mean is the negative ELBO

The decoder pops z and x, and pushes z with q(z|x): the borrowed bits are back. The first example
borrows from random bits, which are counted apart: they come out again unchanged at the end.

>>> packed = codec.BitsBack(vae).encode(x)
>>> packed.net_bits / len(x)
"""

from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from constriction import stream

from aelib.codec.conditional import Pixels, Stack, Words
from aelib.codec.errors import Corrupt
from aelib.errors import AelibError, BadInput

GRID = 32  # cells of z per unit: finer gains nothing, since p(z) and q(z|x) pay for it alike
REACH = 32  # z lies within ±REACH
CELLS = stream.model.QuantizedGaussian(-REACH * GRID, REACH * GRID)


class Packed(NamedTuple):
    """A packed stack. net_bits is what the examples added to the initial_bits borrowed."""

    words: np.ndarray  # (n,) uint32
    examples: int
    initial_bits: int
    net_bits: int


class BitsBack:
    """Codes examples with a VAE: binary pictures, or sentences.

    model   a Bernoulli `VariationalAutoencoder`, or a `TextAutoencoder` of kind "variational"
    seed    of the bits that the first example borrows

    Sentences of a model whose encoder and decoder are both "recurrent" or "lstm" come back on every
    machine, backend and number of threads. Other networks are run by Keras: decode where you
    encoded (see `aelib.codec.conditional`). What does not come back is refused with Corrupt, for
    then the borrowed bits do not come back either.

    The cells of z take constriction's Gaussian. Its erf is that of the Rust crate libm, compiled
    in: plain IEEE arithmetic, not the C library's. All this has run on x86-64 alone; self-tests
    compare with stored results before such a model codes anything.
    """

    def __init__(self, model: Any, seed: int = 0) -> None:
        if getattr(model, "kind", "variational") != "variational":
            raise BadInput('bits-back needs q(z|x): a TextAutoencoder with kind="variational"')
        self.data = Words(model) if hasattr(model, "tokenizer") else Pixels(model)
        if self.data.portable:
            self_test()
        k = self.data.latent_dim
        self.prior = np.zeros(k), np.full(k, float(GRID))
        # Every popped dimension takes fewer than 12 bits off the stack.
        size = 12 * k // 32 + 4
        self.initial = np.random.default_rng(seed).integers(1, 2**32, size).astype(np.uint32)

    def encode(self, examples: Any) -> Packed:
        """Pictures (n, ...) of 0 and 1, or a list of sentences, on one stack."""
        rows = self.data.examples(examples)
        stack = Stack(self.initial)
        initial = stack.num_valid_bits()
        for x in rows:
            cells = stack.decode(CELLS, *self._posterior(x))
            self.data.push(stack, _place(cells), x)
            stack.encode_reverse(cells, CELLS, *self.prior)
        net = stack.num_valid_bits() - initial
        return Packed(stack.get_compressed(), len(rows), initial, net)

    def decode(self, packed: Packed) -> Any:
        """The pictures (n, ...) float32, or the sentences. Corrupt: they do not come back."""
        stack = Stack(packed.words)
        rows = []
        for _ in range(packed.examples):
            cells = stack.decode(CELLS, *self.prior)
            x = self.data.pop(stack, _place(cells))
            stack.encode_reverse(cells, CELLS, *self._posterior(x))
            rows.append(x)
        if not np.array_equal(stack.get_compressed(), self.initial):
            raise Corrupt("The borrowed bits do not come back: another model, or damaged data.")
        return self.data.restore(rows[::-1])

    def _posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """μ and σ of q(z|x) in cells."""
        mean, deviation = self.data.posterior(x)
        return np.clip(mean, -REACH, REACH) * GRID, deviation * GRID


def _place(cells: np.ndarray) -> np.ndarray:
    """The middle of each cell as z (k,) float32."""
    return (cells / GRID).astype(np.float32)


# First digits of SHA-256 over cells coded with many means and deviations.
GOLDEN = "379ce7774883a117"


def fingerprint() -> str:
    """Of the Gaussian's probabilities: means and deviations are multiples of 2^-12."""
    raw = np.random.PCG64(0).random_raw((3, 2000)) >> np.uint64(44)  # 20 bits each
    mean, deviation = raw[0] / 1024 - 512.0, (raw[1] + 1) / 4096
    cells = np.rint(mean + deviation * (raw[2] / 2**19 - 1) * 4)
    cells = np.clip(cells, -REACH * GRID, REACH * GRID).astype(np.int32)
    stack = Stack()
    stack.encode_reverse(cells, CELLS, mean, deviation)
    return sha256(stack.get_compressed().astype("<u4").tobytes()).hexdigest()[:16]


@cache
def self_test() -> None:
    """Code known cells and compare with the stored result: refuse to code where they differ."""
    if fingerprint() != GOLDEN:
        raise AelibError(
            "constriction's Gaussian fails its self-test: do not use BitsBack here, and report "
            "constriction's version and the machine."
        )
