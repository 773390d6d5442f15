"""Sentences as quantised, entropy-coded latents: lossy, or made lossless by a residual.

*Lossy*: each latent dimension falls into one of 2^b cells, and the cell's number is coded with the
frequencies that training texts showed. What comes back is what the decoder says at the cells'
middles. *Lossless*: behind the cells come the true words, coded with the probabilities that the
decoder gives at that same point; a word it is sure of costs next to nothing. Cells and words
together usually cost more than the words alone would with a good language model: a latent named
exactly says more than the sentence needs. `BitsBack` gets that surplus back.

A blob is a header, one stack (constriction's) and a checksum over both. Lossless decoding needs
the decoder's logits to the last bit, and every decoding the ranges that `fit` found. With a
"recurrent" or "lstm" decoder the first are the same on every machine, backend and number of
threads; with such an encoder (of any kind but "quantised") so are the second, when `fit` gets the
same texts. Other networks are run by Keras: decode where you encoded (see
`aelib.codec.conditional`). What does not agree is refused: by `ident`, or by a checksum over the
text.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from constriction import stream
from keras import ops

from aelib import measure
from aelib.codec.conditional import FAMILY, Stack, Words
from aelib.codec.container import CRC, sealed
from aelib.codec.errors import Corrupt, Truncated, WrongModel
from aelib.errors import BadInput
from aelib.models import TextAutoencoder

HEAD = struct.Struct("<4sBIII8s")  # magic, mode, sentences, words of payload, CRC of text, ident
MAGIC = b"\xaeLAT"
LOSSY, LOSSLESS = 0, 1
FITS = np.array([[4095.0, 1.0]])  # frequencies: the model can spell the sentence, or it cannot
BYTE = stream.model.Uniform(256)


class SentenceCodec:
    """Codes lists of sentences through the latents of a `TextAutoencoder`.

    bits   of each latent dimension (1 to 16); `fit` takes ranges and frequencies from texts, which
           are part of the codec as the weights are: `ident` names both. Train the model before.
    """

    def __init__(self, model: TextAutoencoder, bits: int = 4) -> None:
        self.model, self.words = model, Words(model)
        self.quantiser = measure.Quantiser(bits)
        self.ident = b""

    def fit(self, texts: Sequence[str]) -> "SentenceCodec":
        """Learn the ranges of the latents and how often each cell occurs."""
        self.words = Words(self.model)  # the weights as they are now
        self.quantiser.fit(self.words.code(list(texts)))
        q = self.quantiser
        digest = sha256(self.model.tokenizer.to_json().encode())  # type: ignore[union-attr]
        arrays = [q.low, q.step, q.frequencies, *map(ops.convert_to_numpy, self.model.weights)]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        self.ident = digest.digest()[:8]
        return self

    def encode(self, texts: Sequence[str], lossless: bool = False) -> bytes:
        """Sentences as one blob; with `lossless` they come back letter for letter."""
        self._fitted()
        texts = list(texts)
        stack = Stack()
        cells = self.quantiser.quantise(self.words.code(texts)) if texts else np.zeros((0, 1))
        for text, row in zip(reversed(texts), reversed(cells), strict=True):
            if lossless:
                self._push(stack, text, self._middle(row))
            stack.encode_reverse(row.astype(np.int32), FAMILY, self.quantiser.frequencies)
        payload = stack.get_compressed().astype("<u4").tobytes()
        mode, plain = (LOSSLESS, _plain_crc(texts)) if lossless else (LOSSY, 0)
        head = HEAD.pack(MAGIC, mode, len(texts), len(payload) // 4, plain, self.ident)
        return sealed(head + payload)

    def decode(self, blob: bytes) -> list[str]:
        """The sentences. Raises Truncated, Corrupt or WrongModel."""
        self._fitted()
        mode, count, plain, payload = self._open(blob)
        z, texts = np.zeros((count, self.model.latent_dim), np.float32), []
        try:
            stack = Stack(np.frombuffer(payload, "<u4").astype(np.uint32))
            for i in range(count):
                z[i] = self._middle(stack.decode(FAMILY, self.quantiser.frequencies))
                if mode == LOSSLESS:
                    texts.append(self._pop(stack, z[i]))
        except (AssertionError, UnicodeDecodeError):  # the words do not follow from this z
            texts = []
        if mode == LOSSY:
            return self.model.decode(z) if count else []
        if len(texts) != count or _plain_crc(texts) != plain:
            raise Corrupt(
                "The decoded sentences do not match their checksum: decode on the machine and "
                "backend that encoded, or encode again."
            )
        return texts

    def _fitted(self) -> None:
        if not self.ident:
            raise BadInput("the codec knows no frequencies yet: call fit(texts) first")

    def _open(self, blob: bytes) -> tuple[int, int, int, bytes]:
        """(mode, sentences, CRC of the text, payload), all checked."""
        if len(blob) < HEAD.size:
            raise Truncated("The blob ends inside its header: it was cut off.")
        magic, mode, count, words, plain, ident = HEAD.unpack(blob[: HEAD.size])
        if magic != MAGIC or mode > LOSSLESS:
            raise Corrupt("These are no sentences coded by SentenceCodec.")
        if len(blob) < HEAD.size + 4 * words + CRC.size:
            raise Truncated("The blob is shorter than its header says: it was cut off.")
        payload = blob[HEAD.size : HEAD.size + 4 * words]
        if sealed(blob[: HEAD.size] + payload) != blob:
            raise Corrupt("The blob does not match its checksum: it is damaged.")
        if ident != self.ident:
            raise WrongModel(
                f"The blob needs model and frequencies {ident.hex()}, and these are "
                f"{self.ident.hex()}: load and fit as when encoding."
            )
        return mode, count, plain, payload

    def _middle(self, cells: np.ndarray) -> np.ndarray:
        return self.quantiser.dequantise(cells).astype(np.float32)

    def _push(self, stack: Any, text: str, z: np.ndarray) -> None:
        """The residual: the words given z; bytes for a sentence that the model cannot spell."""
        ids = self.model.ids([text])[0]
        fits = self.model.tokenizer.decode([ids])[0] == text  # type: ignore[union-attr]
        if fits:
            self.words.push(stack, z, ids)
        else:
            raw = text.encode()
            both = np.frombuffer(len(raw).to_bytes(4, "little") + raw, np.uint8)
            stack.encode_reverse(both.astype(np.int32), BYTE)
        stack.encode_reverse(np.array([not fits], np.int32), FAMILY, FITS)

    def _pop(self, stack: Any, z: np.ndarray) -> str:
        if not stack.decode(FAMILY, FITS)[0]:
            return self.model.tokenizer.decode([self.words.pop(stack, z)])[0]  # type: ignore
        size = int.from_bytes(stack.decode(BYTE, 4).astype(np.uint8).tobytes(), "little")
        size = min(size, 4 * stack.num_words() + 8)  # more cannot be there
        return stack.decode(BYTE, size).astype(np.uint8).tobytes().decode()


def _plain_crc(texts: list[str]) -> int:
    return zlib.crc32("\0".join(texts).encode())


class TextPoint(NamedTuple):
    """A point of a curve, all from coded and decoded sentences.

    bits             of each latent dimension
    rate_bits        per sentence, without the header
    distortion       character error rate of what comes back
    exact            share of sentences that come back letter for letter
    """

    bits: int
    rate_bits: float
    distortion: float
    exact: float


def rate_distortion(
    model: TextAutoencoder,
    texts: Sequence[str],
    bits: Iterable[int] = (1, 2, 3, 4, 6, 8),
    train: Sequence[str] | None = None,
) -> list[TextPoint]:
    """What sentences cost through the latent, and how much of them is lost.

    train: texts that ranges and frequencies come from; `texts` themselves if not given, which
    flatters the rate. `aelib.plot.rate_distortion` draws the curve; `measure.rate_distortion` is
    the same for arrays, with an ideal coder.
    """
    points = []
    for b in bits:
        codec = SentenceCodec(model, b).fit(texts if train is None else train)
        blob = codec.encode(texts)
        back = codec.decode(blob)
        rate = 8 * (len(blob) - HEAD.size - CRC.size) / len(texts)
        error = measure.character_error_rate(back, texts)
        points.append(TextPoint(b, rate, error, measure.exact_match(back, texts)))
    return points
