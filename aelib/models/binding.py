"""Position-bound superposition: an encoder and decoder that work before any training.

A sentence is a sum of word vectors, each turned by a matrix that stands for its place (a
holographic reduced representation: Plate, 1995):

    z = g · (Σ_t e(w_t) R_t + l(n))        R_t (d, k) with orthonormal rows, n the length

Each place is read back by the transposed matrix, e(w_t) + interference from the other words. The
decoder guesses all words, subtracts what it has guessed, and reads again. This is approximate
message passing for superposition codes (Barbier and Krzakala, 2017), unrolled as layers that can
be trained.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from aelib.models.sampling import Candidates
from aelib.objectives import categorical_nll
from aelib.text import EOS, FIRST, PAD

Tensor = Any


def lengths(ids: Tensor) -> Tensor:
    """Place of the end token, or T - 1 when there is none: (batch, T) -> (batch,)."""
    found = ops.cast(ops.equal(ids, EOS), "int32")
    last = ops.shape(ids)[1] - 1
    return ops.where(ops.any(found > 0, axis=1), ops.argmax(found, axis=1), last)


@keras.saving.register_keras_serializable(package="aelib")
class Codebook(keras.layers.Layer):
    """The vectors that encoder and decoder share; `read` is false when only the encoder has them.

    table (V, d)      e(w), a unit vector for each token
    places (T, d, k)  R_t, orthonormal rows
    ends (T, k)       l(n), one vector for each length
    prior (V,)        log p(w), set from counts by `adapt`
    """

    def __init__(self, vocabulary: int, length: int, latent_dim: int, width: int, seed: int = 0,
                 read: bool = True, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.vocabulary, self.length, self.seed, self.read = vocabulary, length, seed, read
        self.latent_dim, self.width = latent_dim, min(width, latent_dim)

    def build(self, input_shape: Any = None) -> None:
        v, t, d, k = self.vocabulary, self.length, self.width, self.latent_dim
        bits = np.random.PCG64(self.seed)  # raw bits: the same on every machine, for ever
        table = _signs(bits, (v, d)) / math.sqrt(d)
        ends = _signs(bits, (t, k)) * math.sqrt(2.5 / k)
        places = np.zeros((t, d, k), np.float32)  # R_t: a random permutation with random signs
        for turn in places:
            turn[np.arange(d), np.argsort(bits.random_raw(k), kind="stable")[:d]] = 1
        places *= _signs(bits, (t, 1, k))
        self.table = self._weight("table", table)
        self.places = self._weight("places", places)
        self.ends = self._weight("ends", ends)
        self.prior = self._weight("prior", np.full(v, -math.log(v)), trainable=self.read)
        self.gain = self._weight("gain", math.sqrt(k / (t / 2 + 2.5)), trainable=False)
        self.built = True

    def _weight(self, name: str, value: Any, trainable: bool = True) -> Any:
        value = np.asarray(value, np.float32)
        return self.add_weight(
            shape=value.shape, initializer=lambda *_, **__: ops.convert_to_tensor(value),
            trainable=trainable, name=name,
        )  # fmt: skip

    def adapt(self, ids: np.ndarray) -> None:
        """Set log p(w) from the tokens of `ids`, and g so that z has unit variance."""
        counts = np.bincount(ids[ids >= FIRST], minlength=self.vocabulary) + 0.5
        counts[:FIRST] = 1e-6
        self.prior.assign(np.log(counts / counts.sum()).astype(np.float32))
        energy = (ids >= FIRST).sum(1).mean() + 2.5  # E|z|² before the gain
        self.gain.assign(math.sqrt(self.latent_dim / energy))

    def bind(self, vectors: Tensor) -> Tensor:
        """Σ_t v_t R_t: (batch, T, d) -> (batch, k), one matrix product."""
        t = ops.shape(vectors)[1]
        turn = ops.reshape(self.places[:t], (t * self.width, self.latent_dim))
        return ops.reshape(vectors, (-1, t * self.width)) @ turn

    def unbind(self, z: Tensor, t: int) -> Tensor:
        """z R_tᵀ for the first t places: (batch, k) -> (batch, t, d)."""
        turn = ops.reshape(self.places[:t], (t * self.width, self.latent_dim))
        return ops.reshape(z @ ops.transpose(turn), (-1, t, self.width))

    def get_config(self) -> dict[str, Any]:
        names = ("vocabulary", "length", "latent_dim", "width", "seed", "read")
        return {**super().get_config(), **{n: getattr(self, n) for n in names}}


def _signs(bits: np.random.PCG64, shape: tuple[int, ...]) -> np.ndarray:
    """Random −1 and +1."""
    raw = bits.random_raw(math.prod(shape)) >> np.uint64(63)
    return (raw.astype(np.float32) * 2 - 1).reshape(shape)


@keras.saving.register_keras_serializable(package="aelib")
class BindingEncoder(keras.layers.Layer):
    """z = g · (Σ_t e(w_t) R_t + l(n)): ids (batch, T) -> (batch, k). Padding adds nothing.

    With `variational` it gives (batch, 2k): z as the mean, and log σ² from a dense layer on z.
    """

    def __init__(self, codebook: Codebook, variational: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.codebook = codebook
        self.logvar = None
        if variational:
            self.logvar = keras.layers.Dense(
                codebook.latent_dim, kernel_initializer="zeros",
                bias_initializer=keras.initializers.Constant(-4.0),
            )  # fmt: skip

    def build(self, input_shape: Any = None) -> None:
        if not self.codebook.built:
            self.codebook.build()
        if self.logvar is not None:
            self.logvar.build((None, self.codebook.latent_dim))
        self.built = True

    @staticmethod
    def superpose(book: Codebook, ids: Tensor) -> Tensor:
        """Σ_t e(w_t) R_t + l(n), (batch, k)."""
        words = ops.take(book.table, ids, axis=0)  # (batch, T, d)
        words = words * ops.cast(ops.expand_dims(ids >= FIRST, -1), words.dtype)
        return book.bind(words) + ops.take(book.ends, lengths(ids), axis=0)

    def call(self, ids: Tensor, training: bool | None = None) -> Tensor:
        z = self.codebook.gain * self.superpose(self.codebook, ids)
        return z if self.logvar is None else ops.concatenate([z, self.logvar(z)], axis=-1)


@keras.saving.register_keras_serializable(package="aelib")
class BindingDecoder(keras.layers.Layer):
    """Reads all places at once, in `sweeps` rounds of guessing and subtracting.

    With r the part of z not yet explained, s² its mean square and ê_t the present guess:

        h_t = r R_tᵀ + ê_t                     what place t says
        p(w) ∝ exp((h_t·e_w − |e_w|²/2) / s²τ) p₀(w)
        ê_t = Σ_w p(w) e_w                     r = z − Σ_t ê_t R_t + ω r Σ_t Var(ê_t) / (k s²)

    The last term (Onsager's) removes a guess's echo of itself. τ, ω and all vectors are trained.
    """

    autoregressive = False

    def __init__(self, codebook: Codebook, sweeps: int = 3, candidates: int = 512, **kwargs: Any):
        super().__init__(**kwargs)
        self.codebook, self.sweeps = codebook, sweeps
        self.candidates = Candidates(codebook.vocabulary, candidates, seed=codebook.seed)

    def build(self, input_shape: Any = None) -> None:
        if not self.codebook.built:
            self.codebook.build()
        self.log_tau = self.add_weight(shape=(), initializer="zeros", name="log_tau")
        self.omega = self.add_weight(shape=(), initializer="ones", name="omega")
        self.candidates.build()
        self.built = True

    def adapt(self, ids: np.ndarray) -> None:
        self.codebook.adapt(ids)
        self.candidates.adapt(ids)

    def length_logits(self, z: Tensor) -> Tensor:
        """Scores of each length: (batch, k) -> (batch, T)."""
        ends, z = self.codebook.ends, z / self.codebook.gain
        noise = ops.mean(ops.square(z), axis=-1, keepdims=True)
        return (z @ ops.transpose(ends) - ops.sum(ops.square(ends), axis=-1) / 2) / noise

    def _start(self, z: Tensor, n: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """What is left of z once its length is known, and which places hold words."""
        rest = z / self.codebook.gain - ops.take(self.codebook.ends, n, axis=0)
        here = ops.arange(t)[None] < ops.cast(ops.expand_dims(n, -1), "int32")
        return rest, ops.cast(ops.expand_dims(here, -1), z.dtype)  # (batch, k), (batch, t, 1)

    def _scores(self, h: Tensor, table: Tensor, prior: Tensor, noise: Tensor) -> Tensor:
        """Log-probabilities up to a constant: h (batch, t, d), table (m, d) -> (batch, t, m)."""
        match = ops.matmul(h, ops.transpose(table)) - ops.sum(ops.square(table), axis=-1) / 2
        return match / noise + prior

    def _noise(self, rest: Tensor) -> Tensor:
        square = ops.mean(ops.square(rest), axis=-1)
        floor = 0.1 / self.codebook.latent_dim
        return ops.reshape(ops.maximum(square, floor) * ops.exp(self.log_tau), (-1, 1, 1))

    def _explain(self, z: Tensor, rest: Tensor, guess: Tensor, power: Tensor, noise: Tensor):
        """The residual after subtracting the guesses; power is Σ_w p(w)|e_w|², (batch, t)."""
        spread = ops.sum(power, axis=1) - ops.sum(ops.square(guess), axis=(1, 2))
        echo = spread / (self.codebook.latent_dim * noise[:, 0, 0])
        return z - self.codebook.bind(guess) + self.omega * rest * ops.expand_dims(echo, -1)

    def logits(self, z: Tensor, ids: Tensor | None = None, sweeps: int | None = None) -> Tensor:
        """(batch, T, V) over words at every place before the end.

        The end is that of `ids`; without ids it is read from z, and T is the longest sentence's.
        """
        n = ops.argmax(self.length_logits(z), axis=-1) if ids is None else lengths(ids)
        t = ops.shape(ids)[1] if ids is not None else int(ops.max(n)) + 1
        z, here = self._start(z, n, t)
        rest, guess, book = z, ops.zeros_like(here), self.codebook
        for sweep in range(sweeps or self.sweeps):
            noise = self._noise(rest)
            h = book.unbind(rest, t) + guess
            scores = self._scores(h, book.table, book.prior, noise)
            if sweep + 1 < (sweeps or self.sweeps):
                p = ops.softmax(scores, axis=-1) * here
                guess = ops.matmul(p, book.table)
                power = ops.matmul(p, ops.sum(ops.square(book.table), axis=-1))
                rest = self._explain(z, rest, guess, power, noise)
        return scores

    def nll(self, z: Tensor, ids: Tensor, training: bool | None = None) -> Tensor:
        """−log p(length, words | z), nats per sentence, (batch,).

        While training, the softmax is over a sample of the vocabulary, and every sweep is scored.
        """
        n = lengths(ids)
        log_length = ops.log_softmax(self.length_logits(z), axis=-1)
        length_nll = -ops.take_along_axis(log_length, ops.expand_dims(n, -1), axis=-1)[:, 0]
        tokens = self._sampled(z, ids, n) if training else self._exact(z, ids)
        return length_nll + tokens

    def _exact(self, z: Tensor, ids: Tensor) -> Tensor:
        return categorical_nll(ids, self.logits(z, ids), mask=ids >= FIRST)

    def _sampled(self, z: Tensor, ids: Tensor, n: Tensor) -> Tensor:
        book, t = self.codebook, ops.shape(ids)[1]
        drawn, log_expected = self.candidates.draw()  # (m,), (m,)
        table = self.candidates.rows(book.table, drawn)  # (m, d)
        prior = self.candidates.rows(book.prior, drawn) - log_expected
        own = ops.take(book.table, ids, axis=0)  # (batch, t, d): the true words
        own_power = ops.sum(ops.square(own), axis=-1)
        own_prior = ops.take(book.prior, ids)
        powers = ops.sum(ops.square(table), axis=-1)
        hit = ops.equal(ops.expand_dims(ids, -1), drawn)  # the true word among the sample
        z, here = self._start(z, n, t)
        rest, guess, total = z, ops.zeros_like(own), 0.0
        for sweep in range(self.sweeps):
            noise = self._noise(rest)
            h = book.unbind(rest, t) + guess
            right = (ops.sum(h * own, -1) - own_power / 2) / noise[..., 0] + own_prior
            wrong = ops.where(hit, -1e9, self._scores(h, table, prior, noise))
            norm = ops.logaddexp(ops.logsumexp(wrong, axis=-1), right)  # (batch, t)
            total = total + ops.sum((norm - right) * here[..., 0], axis=-1)
            if sweep + 1 < self.sweeps:
                p = ops.exp(wrong - ops.expand_dims(norm, -1)) * here  # (batch, t, m)
                p_own = ops.exp(right - norm) * here[..., 0]
                guess = ops.matmul(p, table) + ops.expand_dims(p_own, -1) * own
                power = ops.matmul(p, powers) + p_own * own_power
                rest = self._explain(z, rest, guess, power, noise)
        return total / self.sweeps

    def generate(self, z: Tensor, sweeps: int = 12, **_: Any) -> np.ndarray:
        """The likeliest ids at each place, (batch, T) int32.

        A few sweeps settle most sentences; those whose words do not add up to z get `sweeps`.
        """
        ids = self._read(z, min(self.sweeps, sweeps))
        rest = ops.square(z / self.codebook.gain - self._superpose(ids))
        open_rows = np.flatnonzero(ops.convert_to_numpy(ops.sum(rest, axis=-1)) > 0.5)
        if sweeps > self.sweeps and len(open_rows):
            again = self._read(ops.take(z, open_rows, axis=0), sweeps)
            wide = max(ids.shape[1], again.shape[1])
            ids, again = (np.pad(a, ((0, 0), (0, wide - a.shape[1]))) for a in (ids, again))
            ids[open_rows] = again
        return ids

    def _superpose(self, ids: np.ndarray) -> Tensor:
        return BindingEncoder.superpose(self.codebook, ops.convert_to_tensor(ids))

    def _read(self, z: Tensor, sweeps: int) -> np.ndarray:
        n = ops.convert_to_numpy(ops.argmax(self.length_logits(z), axis=-1))[:, None]
        words = ops.argmax(self.logits(z, sweeps=sweeps)[..., FIRST:], axis=-1) + FIRST
        words = ops.convert_to_numpy(words)
        place = np.arange(words.shape[1])[None]
        return np.where(place < n, words, np.where(place == n, EOS, PAD)).astype(np.int32)
