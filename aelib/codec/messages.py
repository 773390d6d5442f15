"""Short messages, each by itself, with as little around the payload as is safe.

A frame is: 1 byte (version and level), 2 bytes of check, the length (7 bits a byte), the payload.
The check covers the plaintext and the snapshot's id, so another snapshot, a flipped bit or a cut is
found with probability 1 - 2^-16: that is what two bytes can do. Use `.aec` files where that is too
little.
"""

import zlib
from collections.abc import Iterable

import numpy as np

from aelib.codec import predictor
from aelib.codec.container import (
    NAMES,
    decode_part,
    encode_part,
    model_ident,
    start,
    unix_lines,
)
from aelib.codec.errors import Corrupt, Truncated, WrongModel
from aelib.codec.levels import LEVELS
from aelib.codec.predictor import Model
from aelib.errors import BadInput

FRAME = 0xB0  # top bits of the first byte: version; low bits: level; between them two flags
STORED, CRLF = 4, 8  # kept as it is; lines ended in CR LF
MOST = 1 << 20


class Messenger:
    """Compresses many short messages with one predictor, reset before each."""

    def __init__(self, level: str = "default", primed: bool = True,
                 room: int = 1 << 12) -> None:  # fmt: skip
        self.level, self.primed, self.room = level, primed, room
        self._fresh = start(LEVELS[level], self.primed, room)
        self._model = self._fresh._replace(
            known=self._fresh.known.apart(),
            **{name: a.copy() for name, a in _arrays(self._fresh)},
        )

    def _reset(self, length: int) -> Model:
        """A predictor as at the start; both sides choose its size by the message's length."""
        if length > self.room:
            return start(LEVELS[self.level], self.primed, length)
        for name, before in _arrays(self._fresh):
            getattr(self._model, name)[...] = before
        self._model.known.reset(self._fresh.known)
        return self._model

    def encode(self, message: bytes | str) -> bytes:
        """One message (at most 1 MiB) as a frame."""
        data = message.encode() if isinstance(message, str) else bytes(message)
        if len(data) > MOST:
            raise BadInput(f"A message may have {MOST} bytes: use compress for {len(data)}.")
        text, dos = unix_lines(data)
        payload = encode_part(self._reset(len(text)), text) if text else b""
        tag = FRAME | NAMES.index(self.level) | (CRLF if dos else 0)
        if len(payload) >= len(text) > 0:
            tag, payload = tag | STORED, text
        return bytes([tag]) + self._check(data) + _varint(len(text)) + payload

    def decode(self, frame: bytes) -> bytes:
        """The message of a frame. Raises Truncated, WrongModel or Corrupt."""
        if len(frame) < 4:
            raise Truncated("A message frame has at least four bytes: this one was cut off.")
        if frame[0] & ~(STORED | CRLF) != FRAME | NAMES.index(self.level):
            raise WrongModel("The message was made with another level or version of the codec.")
        size, at = _read_varint(frame, 3)
        payload = frame[at:]
        stored = bool(frame[0] & STORED)
        if size > MOST or (stored and len(payload) != size) or (len(payload) > size):
            raise Corrupt("The message declares a length that no encoder writes.")
        data = payload
        if not stored and size:
            data = decode_part(self._reset(size), payload, size)
        if frame[0] & CRLF:
            data = data.replace(b"\n", b"\r\n")
        if self._check(data) != frame[1:3]:
            raise Corrupt("The message does not match its check, or needs another snapshot.")
        return data

    def _check(self, data: bytes) -> bytes:
        crc = zlib.crc32(data, zlib.crc32(model_ident(self.primed)))
        return (crc & 0xFFFF).to_bytes(2, "little")


def _arrays(model: Model) -> list[tuple[str, np.ndarray]]:
    """The arrays that a predictor changes, without those of its snapshot."""
    pairs = zip(model._fields, model, strict=True)
    return [(name, a) for name, a in pairs if isinstance(a, np.ndarray)]


def compress_messages(messages: Iterable[bytes | str], level: str = "default",
                      primed: bool = True) -> list[bytes]:  # fmt: skip
    """Each message as a frame of its own: any of them can be read without the others."""
    coder = Messenger(level, primed)
    return [coder.encode(message) for message in messages]


def decompress_messages(frames: Iterable[bytes], level: str = "default",
                        primed: bool = True) -> list[bytes]:  # fmt: skip
    """The inverse of `compress_messages`, given the same level."""
    coder = Messenger(level, primed)
    return [coder.decode(frame) for frame in frames]


def message_bits(messages: Iterable[bytes], level: str = "default",
                 primed: bool = True) -> float:  # fmt: skip
    """Bits that the payloads of the messages would take, without writing them."""
    coder = Messenger(level, primed)
    none = np.zeros(0, np.uint8)
    total = 0.0
    for message in messages:
        text = np.frombuffer(message, np.uint8).copy()
        total += predictor.code(coder._reset(len(message)), predictor.MEASURE, text, none)
    return total


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _read_varint(frame: bytes, at: int) -> tuple[int, int]:
    n = 0
    for shift in (0, 7, 14):
        if at >= len(frame):
            raise Truncated("The message frame ends inside its length: it was cut off.")
        n |= (frame[at] & 127) << shift
        at += 1
        if frame[at - 1] < 128:
            return n, at
    raise Corrupt("The message declares a length that no encoder writes.")
