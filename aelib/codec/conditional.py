"""p(x|z) and q(z|x) of the autoencoders as symbols on constriction's stack.

What is pushed last is popped first, so a sentence is pushed from its end. Probabilities are whole
numbers made from the model's logits, one example at a time, by the same calls on both sides.

Recurrent networks of sentences ("recurrent", "lstm") are run by `exactwords`: decoder and encoder,
each for itself, then give the same bits on every machine, backend and number of threads. All other
logits come from Keras: they agree within one process and, in practice, between runs with the same
backend, machine and number of threads; nothing more is promised.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from constriction import stream
from keras import ops

from aelib.codec import exact
from aelib.codec.exactwords import ExactDecoder, ExactEncoder
from aelib.errors import BadInput
from aelib.models import TextAutoencoder, VariationalAutoencoder
from aelib.text import BOS, EOS

FAMILY = stream.model.Categorical(perfect=False)
Stack = stream.stack.AnsCoder


def _rows(logits: Any) -> np.ndarray:
    """Logits (n, V) of any backend -> whole-number frequencies (n, V) float64."""
    return exact.frequencies(np.ascontiguousarray(ops.convert_to_numpy(logits), np.float32))


class Pixels:
    """Binary examples of a Bernoulli `VariationalAutoencoder`."""

    portable = False  # Keras runs the networks

    def __init__(self, model: VariationalAutoencoder) -> None:
        if model.likelihood != "bernoulli":
            raise BadInput('the coder needs likelihood="bernoulli": pixels that are 0 or 1')
        self.model, self.latent_dim = model, int(model.decoder.encoding_dim)

    def examples(self, x: Any) -> list[np.ndarray]:
        """Rows of x (n, ...), checked to hold 0 and 1 alone."""
        x = np.asarray(x)
        if not np.isin(x, (0, 1)).all():
            raise BadInput("pixels are 0 or 1 here: binarise them first, say x > 0.5")
        return list(x.astype(np.float32))

    def restore(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.stack(rows) if rows else np.zeros((0, *self.model.decoder.output_dim), np.float32)

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """μ and σ of q(z|x), each (k,) float64."""
        return _moments(self.model.posterior(x[None]))

    def _frequencies(self, z: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        logits = ops.convert_to_numpy(self.model.decoder(z[None]))[0]
        flat = logits.reshape(-1, 1)
        return _rows(np.concatenate([np.zeros_like(flat), flat], axis=1)), logits.shape

    def push(self, stack: Any, z: np.ndarray, x: np.ndarray) -> None:
        rows, _ = self._frequencies(z)
        stack.encode_reverse(x.reshape(-1).astype(np.int32), FAMILY, rows)

    def pop(self, stack: Any, z: np.ndarray) -> np.ndarray:
        rows, shape = self._frequencies(z)
        return stack.decode(FAMILY, rows).reshape(shape).astype(np.float32)


class Words:
    """Sentences of a `TextAutoencoder`, as rows of ids (length,) with end token and padding.

    encoder, decoder   the network by exact arithmetic, or None: then Keras runs it
    """

    def __init__(self, model: TextAutoencoder) -> None:
        if model.tokenizer is None:
            raise BadInput("this model knows no words yet: call fit(texts), or load a saved model")
        self.model, self.latent_dim = model, model.latent_dim
        self.encoder, self.decoder = ExactEncoder.of(model), ExactDecoder.of(model)

    @property
    def portable(self) -> bool:
        """Whether p(x|z) and q(z|x) are the same on every machine."""
        return self.encoder is not None and self.decoder is not None

    def code(self, texts: list[str]) -> np.ndarray:
        """The latents of sentences, as `model.encode` gives them: (n, k) float32."""
        if self.encoder is None or not texts:
            return self.model.encode(texts)
        return self.encoder.code(self.model.ids(texts))

    def examples(self, texts: list[str]) -> list[np.ndarray]:
        """Rows of ids; BadInput for a sentence that is too long for the model."""
        longest = max(map(len, self.model.tokenizer.ids(texts)), default=0)
        if longest >= self.model.length:
            raise BadInput(f"a sentence has {longest} tokens: the model codes fewer than "
                           f"{self.model.length}")  # fmt: skip
        return list(self.model.ids(texts))

    def restore(self, rows: list[np.ndarray]) -> list[str]:
        return self.model.tokenizer.decode(rows)

    def posterior(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """μ and σ of q(z|x), each (k,) float64."""
        if self.encoder is None:
            return _moments(self.model.posterior(ids[None]))
        return self.encoder.posterior(ids)

    def push(self, stack: Any, z: np.ndarray, ids: np.ndarray) -> None:
        n = int(np.argmax(ids == EOS))
        if self.model.decoder.autoregressive:
            stack.encode_reverse(ids[: n + 1], FAMILY, self._given(z, ids[: n + 1]))
            return
        if n:
            stack.encode_reverse(ids[:n], FAMILY, self._places(z, n))
        stack.encode_reverse(np.array([n], np.int32), FAMILY, self._lengths(z))

    def pop(self, stack: Any, z: np.ndarray) -> np.ndarray:
        ids = np.zeros(self.model.length, np.int32)
        if self.model.decoder.autoregressive:
            for t, row in enumerate(self._steps(z, ids)):
                ids[t] = stack.decode(FAMILY, row)[0]
                if ids[t] == EOS or t + 1 == len(ids):
                    return ids
        n = int(stack.decode(FAMILY, self._lengths(z))[0])
        if n:
            ids[:n] = stack.decode(FAMILY, self._places(z, n))
        ids[n] = EOS
        return ids

    def _steps(self, z: np.ndarray, ids: np.ndarray) -> Iterator[np.ndarray]:
        """Frequencies (1, V) of each word given those before it; reads `ids` as it goes."""
        advance, before = self._advance(z), BOS
        for t in range(len(ids)):
            yield _rows(advance(before, t))
            before = int(ids[t])

    def _given(self, z: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Frequencies (n, V) of each of the words ids (n,) given those before it."""
        if self.decoder is None:
            return np.concatenate(list(self._steps(z, ids)))
        return _rows(self.decoder.teach(z, ids))

    def _advance(self, z: np.ndarray) -> Callable[[int, int], Any]:
        """A function (word t - 1, t) -> logits (1, V) of word t, to be called for t = 0, 1, …"""
        if (exactly := self.decoder) is not None:
            held = exactly.start(z[None])
            return lambda before, t: exactly.logits(exactly.read(np.array([before]), held))
        decoder = self.model.decoder
        state = decoder.start(1, ops.convert_to_tensor(z[None]))

        def advance(before: int, t: int) -> Any:
            nonlocal state
            logits, state = decoder.advance(
                ops.convert_to_tensor([before]), state, ops.convert_to_tensor(t)
            )
            return logits

        return advance

    def _lengths(self, z: np.ndarray) -> np.ndarray:
        return _rows(self.model.decoder.length_logits(ops.convert_to_tensor(z[None])))

    def _places(self, z: np.ndarray, n: int) -> np.ndarray:
        """Frequencies (n, V) of the words of a sentence that is n words long."""
        ended = np.where(np.arange(self.model.length) == n, EOS, 0)[None].astype(np.int32)
        logits = self.model.decoder.logits(ops.convert_to_tensor(z[None]),
                                           ops.convert_to_tensor(ended))  # fmt: skip
        return _rows(logits[0][:n])


def _moments(posterior: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    mean, logvar = (ops.convert_to_numpy(p)[0].astype(np.float64) for p in posterior)
    return mean, exact.deviation(logvar, 0.0)
