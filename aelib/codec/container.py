"""The `.aec` file: a header, blocks, an end mark. Every part is checked before it is believed.

    header  magic 4, version 1, level 1, flags 1, zero 1, model id 8, length 8, CRC-32 4
    block   kind 1, flags 1, plain length 4, payload length 4, payload CRC 4, plain CRC 4, CRC 4
    end     kind 0 (1), blocks 4, length 8, SHA-256 of the plaintext 32, CRC 4

All numbers are little-endian. A *segment* (16 MiB, or what the writer asks for) starts with a fresh
predictor, so segments can be coded side by side; its blocks (1 MiB) go on with the same predictor.
The order of the checks: header, model, declared lengths, payload checksum before decoding,
plaintext checksum, end mark; only then does an output file get its name.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import BinaryIO, Protocol

import numpy as np

from aelib.codec import predictor
from aelib.codec.errors import Corrupt, Truncated, WrongModel
from aelib.codec.levels import LEVELS, Level, empty_model, primed_model, shipped
from aelib.codec.predictor import Model
from aelib.errors import BadInput

MAGIC = b"\xaeAEC"
VERSION = 2
NAMES = ("fast", "default", "max")
NEURAL = 7  # the level byte of a file that needs a language model, not the mixing predictor
SEGMENT = 1 << 24
SMALLEST_SEGMENT = 1 << 16
BLOCK = 1 << 20
UNKNOWN = 2**64 - 1  # length of a stream not known in advance
PRIMED = 1  # header flag
CODED, STORED = 1, 2  # kinds of block; 0 is the end mark
RESTART, CRLF = 1, 2  # block flags: first of a segment; line ends were CR LF throughout

HEADER = struct.Struct("<4sBBBB8sQ")
BLOCK_HEAD = struct.Struct("<BBIIII")
END = struct.Struct("<BIQ32s")
CRC = struct.Struct("<I")

Progress = Callable[[int], None] | None


@dataclass(frozen=True)
class Block:
    kind: int
    flags: int
    plain: int
    payload: bytes
    plain_crc: int


def model_ident(primed: bool) -> bytes:
    """Eight bytes that name the snapshot, or the empty start."""
    return shipped().ident if primed else b"unprimed"


def start(level: Level, primed: bool, length: int) -> Model:
    return primed_model(level, length) if primed else empty_model(level, length)


def unix_lines(data: bytes) -> tuple[bytes, bool]:
    """(the data with LF for CR LF, True) if every line ends in CR LF; else (data, False)."""
    if b"\r\n" not in data:
        return data, False
    unix = data.replace(b"\r\n", b"\n")
    dos = len(unix) + unix.count(b"\n") == len(data) and b"\r" not in unix
    return (unix, True) if dos else (data, False)


# --- segments --------------------------------------------------------------------------------


def encode_segment(data: bytes, level: Level, primed: bool) -> list[Block]:
    """A segment's blocks. A block that would grow is stored, and the next starts afresh."""
    data, dos = unix_lines(data)
    flags = RESTART | CRLF if dos else RESTART
    blocks: list[Block] = []
    model = None
    for at in range(0, len(data), BLOCK):
        part = data[at : at + BLOCK]
        if model is None:
            model = start(level, primed, len(data) - at)
        payload = encode_part(model, part)
        kind = CODED
        if len(payload) >= len(part):
            kind, payload, model = STORED, part, None
        blocks.append(Block(kind, flags, len(part), payload, zlib.crc32(part)))
        flags &= CRLF
    return blocks


def encode_part(model: Model, part: bytes) -> bytes:
    text = np.frombuffer(part, np.uint8).copy()
    out = np.zeros(len(part) + len(part) // 2 + 64, np.uint8)
    size = int(predictor.code(model, predictor.ENCODE, text, out))
    return out[:size].tobytes()


def decode_part(model: Model, payload: bytes, size: int) -> bytes:
    text = np.zeros(size, np.uint8)
    predictor.code(model, predictor.DECODE, text, np.frombuffer(payload, np.uint8).copy())
    return text.tobytes()


def decode_segment(blocks: list[Block], level: Level, primed: bool) -> bytes:
    """The bytes of a segment: the mirror of `encode_segment`."""
    out: list[bytes] = []
    model = None
    for i, block in enumerate(blocks):
        if block.kind == STORED:
            part, model = block.payload, None
        else:
            if model is None:
                model = start(level, primed, sum(b.plain for b in blocks[i:]))
            part = decode_part(model, block.payload, block.plain)
        if zlib.crc32(part) != block.plain_crc:
            raise Corrupt("The decoded text does not match its checksum: the file is damaged.")
        out.append(part)
    data = b"".join(out)
    return data.replace(b"\n", b"\r\n") if blocks[0].flags & CRLF else data


class Predictor(Protocol):
    """What codes blocks in place of the mixing predictor (`aelib.codec.neural`), named by ident.

    Blocks do not depend on each other. An empty payload says: store this block.
    """

    ident: bytes

    def cut(self, data: bytes) -> Iterator[bytes]: ...

    def encode(self, part: bytes) -> bytes: ...

    def decode(self, payload: bytes, size: int) -> bytes: ...


def encode_neural(data: bytes, model: Predictor) -> list[Block]:
    """A segment's blocks, coded by a language model; a block that would grow is stored."""
    blocks: list[Block] = []
    for part in model.cut(data):
        payload, kind = model.encode(part), CODED
        if not 0 < len(payload) < len(part):
            payload, kind = part, STORED
        flags = 0 if blocks else RESTART
        blocks.append(Block(kind, flags, len(part), payload, zlib.crc32(part)))
    return blocks


def decode_neural(blocks: list[Block], model: Predictor) -> bytes:
    """The bytes of a segment: the mirror of `encode_neural`."""
    out: list[bytes] = []
    for block in blocks:
        part = block.payload
        if block.kind == CODED:
            part = model.decode(block.payload, block.plain)
        if len(part) != block.plain or zlib.crc32(part) != block.plain_crc:
            raise Corrupt("The decoded text does not match its checksum: the file is damaged.")
        out.append(part)
    return b"".join(out)


# --- writing ---------------------------------------------------------------------------------


def sealed(raw: bytes) -> bytes:
    return raw + CRC.pack(zlib.crc32(raw))


def write_stream(source: BinaryIO, target: BinaryIO, level: str, primed: bool, length: int | None,
                 threads: int, progress: Progress = None, model: Predictor | None = None,
                 segment: int = SEGMENT) -> None:  # fmt: skip
    """Compress source to target, one segment per thread in memory at a time.

    With a model, level and primed do not matter.
    """
    if not SMALLEST_SEGMENT <= segment <= SEGMENT:
        raise BadInput(f"a segment has {SMALLEST_SEGMENT:,} to {SEGMENT:,} bytes, not {segment:,}")
    known = UNKNOWN if length is None else length
    if model is None:
        kind = (NAMES.index(level), PRIMED if primed else 0, 0, model_ident(primed))
    else:
        kind = (NEURAL, 0, 0, model.ident)
    target.write(sealed(HEADER.pack(MAGIC, VERSION, *kind, known)))
    digest, total, count = sha256(), 0, 0

    def segments() -> Iterator[bytes]:
        while data := source.read(segment):
            yield data

    def encode(data: bytes) -> tuple[bytes, list[Block]]:
        if model is not None:
            return data, encode_neural(data, model)
        return data, encode_segment(data, LEVELS[level], primed)

    for data, blocks in in_order(encode, segments(), threads):
        digest.update(data)
        total += len(data)
        for b in blocks:
            target.write(sealed(BLOCK_HEAD.pack(b.kind, b.flags, b.plain, len(b.payload),
                                                zlib.crc32(b.payload), b.plain_crc)))  # fmt: skip
            target.write(b.payload)
            count += 1
        if progress:
            progress(len(data))
    target.write(sealed(END.pack(0, count, total, digest.digest())))


def in_order(work: Callable, items: Iterator, threads: int) -> Iterator:
    """work(item) for every item, `threads` at a time, results in order, never more in memory."""
    if threads <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(items, threads)):
            yield from pool.map(work, batch)


# --- reading ---------------------------------------------------------------------------------


def take(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    while len(data) < size and (more := source.read(size - len(data))):
        data += more
    if len(data) < size:
        raise Truncated("The compressed file ends too early: it was cut off. Get it again.")
    return data


def unseal(source: BinaryIO, size: int, what: str, already: bytes = b"") -> bytes:
    raw = already + take(source, size - len(already) + CRC.size)
    body, crc = raw[:size], raw[size:]
    if CRC.unpack(crc)[0] != zlib.crc32(body):
        raise Corrupt(f"The {what} does not match its checksum: the file is damaged.")
    return body


@dataclass(frozen=True)
class Head:
    level: str
    primed: bool
    length: int | None
    model: Predictor | None = None


def read_head(source: BinaryIO, model: Predictor | None = None) -> Head:
    """Check magic, version, checksum, level and model, in this order."""
    raw = source.read(len(MAGIC))
    if raw != MAGIC:
        if MAGIC.startswith(raw):
            raise Truncated("The file is empty or cut off in its first bytes.")
        raise Corrupt("This is not an .aec file: its first four bytes are others.")
    raw = unseal(source, HEADER.size, "header", MAGIC)
    _, version, level, flags, zero, ident, length = HEADER.unpack(raw)
    if version != VERSION:
        raise WrongModel(f"The file has format {version}; this aelib reads format {VERSION}.")
    known = level < len(NAMES) or (level == NEURAL and not flags)
    if not known or flags & ~PRIMED or zero:
        raise Corrupt("The header holds values that no encoder writes.")
    primed, size = bool(flags & PRIMED), None if length == UNKNOWN else length
    if level == NEURAL:
        return Head("neural", False, size, checked(model, ident))
    if ident != model_ident(primed):
        raise WrongModel(
            f"The file needs snapshot {ident.hex()}, and this aelib has "
            f"{model_ident(primed).hex()}: install the version of aelib that wrote it."
        )
    return Head(NAMES[level], primed, size)


def checked(model: Predictor | None, ident: bytes) -> Predictor:
    """The model, if it is the one that the header names."""
    if model is None:
        raise WrongModel(
            f"The file was made with language model {ident.hex()}: pass it as model= (--model)."
        )
    if model.ident != ident:
        raise WrongModel(
            f"The file needs language model {ident.hex()}, and the one given is "
            f"{model.ident.hex()}: pass the model that wrote it."
        )
    return model


def read_blocks(source: BinaryIO, head: Head) -> Iterator[Block | tuple[int, int, bytes]]:
    """The blocks, checked but not decoded; last the end mark (blocks, length, digest)."""
    first = True
    while True:
        kind = take(source, 1)
        if kind == b"\0":
            _, count, length, digest = END.unpack(unseal(source, END.size, "end mark", kind))
            if source.read(1):
                raise Corrupt("There is data after the end mark: the file is damaged.")
            yield count, length, digest
            return
        raw = unseal(source, BLOCK_HEAD.size, "block header", kind)
        k, flags, plain, size, payload_crc, plain_crc = BLOCK_HEAD.unpack(raw)
        good = k in (CODED, STORED) and flags <= RESTART | CRLF and 0 < plain <= BLOCK
        good = good and (size == plain if k == STORED else size < plain)
        if not good or (first and not flags & RESTART):
            raise Corrupt("A block declares values that no encoder writes.")
        payload = take(source, size)
        if zlib.crc32(payload) != payload_crc:
            raise Corrupt("A block does not match its checksum: the file is damaged.")
        first = False
        yield Block(k, flags, plain, payload, plain_crc)


def group_segments(blocks: Iterator, ends: list) -> Iterator[list[Block]]:
    """Blocks gathered from one segment start to the next; the end mark goes to `ends`."""
    batch: list[Block] = []
    size = 0
    for item in blocks:
        if isinstance(item, tuple):
            ends.append(item)
            break
        if item.flags & RESTART and batch:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.plain
        if size > SEGMENT:
            raise Corrupt("A segment declares more than 16 MiB: the file is damaged.")
    if batch:
        yield batch


def fits(total: int, head: Head, limit: int | None) -> None:
    """Raise when `total` bytes are more than the header declares, or than the caller wants."""
    if limit is not None and total > limit:
        raise BadInput(f"It expands to more than {limit:,} bytes: raise the limit if you trust it.")
    if head.length is not None and total > head.length:
        raise Corrupt("There is more in it than its header declares: the file is damaged.")


def read_stream(source: BinaryIO, target: BinaryIO, threads: int = 1,
                progress: Progress = None, model: Predictor | None = None,
                limit: int | None = None) -> Head:  # fmt: skip
    """Decompress source to target; raises before anything unchecked could be kept."""
    head = read_head(source, model)
    fits(head.length or 0, head, limit)
    digest, total, count = sha256(), 0, 0
    ends: list[tuple[int, int, bytes]] = []

    def decode(blocks: list[Block]) -> tuple[int, bytes]:
        if head.model is not None:
            return len(blocks), decode_neural(blocks, head.model)
        return len(blocks), decode_segment(blocks, LEVELS[head.level], head.primed)

    for n, data in in_order(decode, group_segments(read_blocks(source, head), ends), threads):
        digest.update(data)
        total += len(data)
        fits(total, head, limit)
        count += n
        target.write(data)
        if progress:
            progress(len(data))
    expected = (count, total, digest.digest())
    if ends[0] != expected or head.length not in (None, total):
        raise Corrupt("The end mark does not match what was decoded: blocks are missing.")
    return head
