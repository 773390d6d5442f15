"""A language model as the predictor: `codec.compress(data, model=lm)`.

The text becomes tokens, the model gives each token's probability from those before it, and
constriction's range coder writes it in -log2 p bits: the bits per character that `lm.score` says.

Encoder and decoder must agree on every probability to the last bit, and Keras cannot promise that:
its sums depend on threads, batch and backend. So the weights are taken out of the model and the
network is run by `exact`, whose docstring says why its results are the same everywhere. The
probabilities become whole numbers before coding; the coder's own arithmetic on them is one
division, products and truncation in float64, exact in the same sense.

A long block is cut into up to 16 *lanes* that are predicted side by side, each from its own start:
one pass over the weights serves them all. Transformers are read in windows as `score` does: when
one is full, its second half is read again as the first half of the next. Recurrent networks go on.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
from constriction import stream
from keras import ops

from aelib.codec import exact
from aelib.codec.container import BLOCK
from aelib.codec.errors import Corrupt
from aelib.errors import AelibError, BadInput
from aelib.models.qrnn import FACTOR
from aelib.text import BOS, PAD, Tokenizer

LANES, LANE_TOKENS = 16, 4096  # at most so many lanes, each at least so long
TEXT, BYTES = 0, 1  # a payload's first byte: the bytes were UTF-8, or each byte is a character
CONTINUATION = bytes(range(0x80, 0xC0))  # bytes inside a UTF-8 character
FAMILY = stream.model.Categorical(perfect=False)
State = dict[str, Any]


class Network(Protocol):
    """A causal network on lanes, run by `exact`: any with these can be the predictor.

    A new kind of `LanguageModel` needs such a class, its `of(model)`, and a line in NETWORKS and
    GOLDEN.
    """

    table: np.ndarray  # (V, width) float32: vectors of the tokens; h times it are the logits
    window: int  # tokens after which it must start anew; 0: never

    def start(self, lanes: int) -> State: ...

    def read(self, ids: np.ndarray, state: State) -> np.ndarray:
        """The next token of each lane (lanes,) -> h (lanes, width); changes the state."""
        ...


@dataclass
class Recurrent:
    """`RecurrentCore`: a stack of GRUs, each with kernel, recurrent kernel and bias."""

    table: np.ndarray
    grus: list[list[np.ndarray]]
    window: int = 0

    @classmethod
    def of(cls, model: Any) -> "Recurrent":
        grus = [[weights(w) for w in gru.get_weights()] for gru in model.core.grus]
        return cls(weights(model.table.embeddings), grus)

    def start(self, lanes: int) -> State:
        return {"h": [np.zeros((lanes, u.shape[0]), np.float32) for _, u, _ in self.grus]}

    def read(self, ids: np.ndarray, state: State) -> np.ndarray:
        x = self.table[ids]  # (lanes, width)
        for i, (kernel, recurrent, bias) in enumerate(self.grus):
            h = state["h"][i]
            gates = exact.product(x, kernel) + bias[0]  # (lanes, 3 · width)
            x = exact.gru(gates, exact.product(h, recurrent) + bias[1], h)
            state["h"][i] = x
        return x


@dataclass
class Transformer:
    """`TransformerCore`: causal blocks with rotary positions and a key-value cache.

    Each block is γ₁, QKV, output, γ₂, up and down; `window` is the context it was trained on.
    """

    table: np.ndarray
    blocks: list[list[np.ndarray]]
    gamma: np.ndarray
    heads: int
    window: int

    @classmethod
    def of(cls, model: Any) -> "Transformer":
        core = model.core
        blocks = [
            [b.norm1.gamma, b.qkv.kernel, b.out.kernel, b.norm2.gamma, b.up.kernel, b.down.kernel]
            for b in core.blocks
        ]
        blocks = [[weights(w) for w in block] for block in blocks]
        table, gamma = weights(model.table.embeddings), weights(core.norm.gamma)
        return cls(table, blocks, gamma, core.heads, core.context)

    def __post_init__(self) -> None:
        self.size = self.table.shape[1] // self.heads
        self.cos, self.sin = exact.angles(self.window, self.size // 2)

    def start(self, lanes: int) -> State:
        n, heads, context, d = lanes, self.heads, self.window, self.size
        return {
            "t": 0,
            "keys": [np.zeros((n, heads, d, context), np.float32) for _ in self.blocks],
            "values": [np.zeros((n, heads, context, d), np.float32) for _ in self.blocks],
        }

    def rotate(self, x: np.ndarray, t: int) -> np.ndarray:
        """Rotary position t: (lanes, heads, d) -> same."""
        a, b = np.split(x, 2, axis=-1)
        cos, sin = self.cos[t], self.sin[t]
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    def read(self, ids: np.ndarray, state: State) -> np.ndarray:
        x, t = self.table[ids], state["t"]  # (lanes, width)
        for i, (g1, qkv, out, g2, up, down) in enumerate(self.blocks):
            keys, values = state["keys"][i], state["values"][i]
            parts = exact.product(exact.rms_norm(x, g1), qkv).reshape(-1, 3, self.heads, self.size)
            keys[..., t] = self.rotate(parts[:, 1], t)
            values[:, :, t] = parts[:, 2]
            mixed = exact.attend(self.rotate(parts[:, 0], t), keys, values, t)
            x = x + exact.product(mixed, out)
            a = np.maximum(exact.product(exact.rms_norm(x, g2), up), np.float32(0))
            x = x + exact.product(a * a, down)  # squared ReLU
        state["t"] = t + 1
        return exact.rms_norm(x, self.gamma)


@dataclass
class QuasiRecurrent:
    """`QuasiRecurrentCore`, with the hashed n-grams of 2..ngrams tokens beside each token.

    Each layer is γ, kernel (2 · inputs, 3 · width) and bias; grams (rows, size) is the hash table.
    """

    table: np.ndarray
    grams: np.ndarray
    layers: list[list[np.ndarray]]
    gamma: np.ndarray
    ngrams: int
    window: int = 0

    @classmethod
    def of(cls, model: Any) -> "QuasiRecurrent":
        core, n = model.core, model.ngrams
        layers = [
            [weights(w) for w in (norm.gamma, gates.kernel, gates.bias)]
            for norm, gates in zip(core.norms, core.gates, strict=False)
        ]
        grams = weights(model.hashed.embeddings) if n else np.zeros((1, 0), np.float32)
        return cls(weights(model.table.embeddings), grams, layers, weights(core.norms[-1].gamma), n)

    def start(self, lanes: int) -> State:
        return {
            "recent": np.full((lanes, max(0, self.ngrams - 1)), PAD, np.int64),
            "c": [np.zeros((lanes, len(b) // 3), np.float32) for _, _, b in self.layers],
            "before": [np.zeros((lanes, len(g)), np.float32) for g, _, _ in self.layers],
        }

    def inputs(self, ids: np.ndarray, state: State) -> np.ndarray:
        """Vectors of the tokens (lanes,) and of the n-grams they end: (lanes, inputs)."""
        key, parts, recent = ids.astype(np.int64), [self.table[ids]], state["recent"]
        for n in range(2, self.ngrams + 1):  # as `ngram_rows`
            key = (key * FACTOR + recent[:, 1 - n] + n) % len(self.grams)
            parts.append(self.grams[key])
        state["recent"] = np.concatenate([recent, ids[:, None]], axis=1)[:, 1:]
        return np.concatenate(parts, axis=1)

    def read(self, ids: np.ndarray, state: State) -> np.ndarray:
        x = self.inputs(ids, state)
        for i, (gamma, kernel, bias) in enumerate(self.layers):
            a = exact.rms_norm(x, gamma)
            both = np.concatenate([a, state["before"][i]], axis=1)
            h, state["c"][i] = exact.qrnn(exact.product(both, kernel) + bias, state["c"][i])
            state["before"][i] = a
            x = x + h if i else h
        return exact.rms_norm(x, self.gamma)


def weights(variable: Any) -> np.ndarray:
    """A Keras variable (or an array) as `exact` wants it."""
    return exact.weights(ops.convert_to_numpy(variable))


NETWORKS: dict[str, Any] = {
    "recurrent": Recurrent, "transformer": Transformer, "qrnn": QuasiRecurrent,
}  # fmt: skip


class Lanes:
    """Frequencies of the next token of each lane; restarts a network whose window is full."""

    def __init__(self, network: Network, lanes: int) -> None:
        self.network, self.lanes = network, lanes
        self.output = np.ascontiguousarray(network.table.T)
        self.state = network.start(lanes)
        self.seen: list[np.ndarray] = []  # inputs since the window began

    def next(self, ids: np.ndarray) -> np.ndarray:
        """The last token of each lane (lanes,) -> whole-number frequencies (lanes, V) float64."""
        window = self.network.window
        if window and len(self.seen) == window:
            self.state, self.seen = self.network.start(self.lanes), self.seen[-(window // 2) :]
            for old in self.seen:
                self.network.read(old, self.state)
        if window:
            self.seen.append(ids)
        h = self.network.read(ids, self.state)
        return exact.frequencies(exact.product(h, self.output))


class NeuralCoder:
    """Codes blocks of bytes with one language model. `ident` (8 bytes) names it in a file."""

    def __init__(self, model: Any) -> None:
        kind = getattr(model, "options", {}).get("network")
        if kind not in NETWORKS or getattr(model, "tokenizer", None) is None:
            known = ", ".join(NETWORKS)
            raise BadInput(f"the codec needs a trained LanguageModel whose network is {known}")
        self_test()
        self.tokenizer: Tokenizer = model.tokenizer
        self.network: Network = NETWORKS[kind].of(model)
        self.ident = identify(model)

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Blocks of a segment, cut between characters where the data is UTF-8."""
        at = len(data[:3]) - len(data[:3].lstrip(CONTINUATION))
        if at:  # the segment begins inside a character
            yield data[:at]
        while at < len(data):
            part = data[at : at + BLOCK]
            whole = part[: len(part) - _hanging(part)] or part
            yield whole
            at += len(whole)

    def encode(self, part: bytes) -> bytes:
        """A block of bytes as a payload; empty if the tokenizer does not give it back."""
        try:
            route, text = TEXT, part.decode("utf-8")
        except UnicodeDecodeError:
            route, text = BYTES, part.decode("latin-1")
        ids = np.array(self.tokenizer.ids([text])[0], np.int32)
        if self.tokenizer.decode(ids[None])[0] != text:
            return b""
        lanes = min(LANES, max(1, len(ids) // LANE_TOKENS))
        head = bytes([route, lanes]) + len(ids).to_bytes(4, "little")
        return head + encode_ids(self.network, ids, lanes)

    def decode(self, payload: bytes, size: int) -> bytes:
        """The block of `size` bytes that a payload holds; Corrupt if it cannot be one."""
        if len(payload) < 6 or len(payload) % 4 != 2:
            raise Corrupt("A neural block has a length that no encoder writes.")
        route, lanes, count = payload[0], payload[1], int.from_bytes(payload[2:6], "little")
        if route > BYTES or not 0 < lanes <= LANES or not lanes <= count <= 2 * size + 1:
            raise Corrupt("A neural block declares values that no encoder writes.")
        try:
            ids = decode_ids(self.network, payload[6:], count, lanes)
            text = self.tokenizer.decode(ids[None])[0]
            return text.encode("latin-1" if route == BYTES else "utf-8")
        except (AssertionError, UnicodeEncodeError):  # no such symbols, or no such bytes
            raise Corrupt("A neural block does not spell bytes: the file is damaged.") from None


def _hanging(part: bytes) -> int:
    """Bytes at the end that begin a character without ending it; 0 where it is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(part)
    except UnicodeDecodeError:
        return 0
    return len(decoder.getstate()[0])


def _grid(count: int, lanes: int) -> tuple[int, int]:
    """(steps, length of the last lane) of `count` tokens in lanes of equal length."""
    steps = -(-count // lanes)
    return steps, count - (lanes - 1) * steps


def encode_ids(network: Network, ids: np.ndarray, lanes: int = 1) -> bytes:
    """Token ids (n,) as bytes, predicted in lanes."""
    steps, last = _grid(len(ids), lanes)
    rows = np.zeros(lanes * steps, np.int32)
    rows[: len(ids)] = ids
    columns = np.ascontiguousarray(rows.reshape(lanes, steps).T)  # (steps, lanes)
    predictor, coder = Lanes(network, lanes), stream.queue.RangeEncoder()
    before = np.full(lanes, BOS, np.int32)
    for step, column in enumerate(columns):
        active = lanes if step < last else lanes - 1
        coder.encode(column[:active], FAMILY, predictor.next(before)[:active])
        before = column
    return coder.get_compressed().astype("<u4").tobytes()


def decode_ids(network: Network, data: bytes, count: int, lanes: int = 1) -> np.ndarray:
    """The inverse of `encode_ids`: (count,) int32."""
    steps, last = _grid(count, lanes)
    columns = np.zeros((steps, lanes), np.int32)
    coder = stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
    predictor = Lanes(network, lanes)
    before = np.full(lanes, BOS, np.int32)
    for step in range(steps):
        active = lanes if step < last else lanes - 1
        columns[step, :active] = coder.decode(FAMILY, predictor.next(before)[:active])
        before = columns[step]
    return columns.T.reshape(-1)[:count]


def identify(model: Any) -> bytes:
    """Eight bytes of SHA-256 over the network's shape, the tokenizer and all weights."""
    digest = sha256(model.tokenizer.to_json().encode())
    shape = ["network", "heads", "context"]
    shape += ["depth", "ngrams"] if model.options["network"] == "qrnn" else []
    digest.update(repr([model.options[k] for k in shape]).encode())
    for weight in model.weights:
        array = weights(weight)
        digest.update(repr(array.shape).encode() + array.astype("<f4").tobytes())
    return digest.digest()[:8]


# --- self-test --------------------------------------------------------------------------------

# First digits of SHA-256 over the frequencies that each network, with weights drawn from a seed,
# gives along GOLDEN_IDS.
GOLDEN_IDS = np.arange(40, dtype=np.int32).reshape(20, 2) * 7 % 31
GOLDEN = {
    "recurrent": "9d7363791bc16f36",
    "transformer": "bdc3b838f2b037d7",
    "qrnn": "bf8a8615cc015fcc",
}


def drawn(seed: int) -> Callable[..., np.ndarray]:
    """draw(*shape) gives weights in [-1, 1), multiples of 2^-23: the same everywhere."""
    bits = np.random.PCG64(seed)

    def draw(*shape: int) -> np.ndarray:
        raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(40)
        return (raw.astype(np.float32) / np.float32(1 << 23) - np.float32(1)).reshape(shape)

    return draw


def golden_networks() -> dict[str, Network]:
    """A small network of each kind."""
    draw = drawn(0)
    blocks = [[draw(8), draw(8, 24), draw(8, 8), draw(8), draw(8, 32), draw(32, 8)] for _ in "12"]
    grus = [[draw(8, 24), draw(8, 24), draw(2, 24)] for _ in "12"]
    return {
        "recurrent": Recurrent(draw(31, 8), grus),
        "transformer": Transformer(draw(31, 8), blocks, draw(8), heads=2, window=8),
        "qrnn": QuasiRecurrent(
            draw(31, 8), draw(53, 4), [[draw(n), draw(2 * n, 24), draw(24)] for n in (16, 8)],
            draw(8), ngrams=3,
        ),
    }  # fmt: skip


def fingerprint(network: Network) -> str:
    """First digits of SHA-256 over the frequencies along GOLDEN_IDS."""
    lanes, digest = Lanes(network, GOLDEN_IDS.shape[1]), sha256()
    for ids in GOLDEN_IDS:
        digest.update(lanes.next(ids).astype("<f8").tobytes())
    return digest.hexdigest()[:16]


@cache
def self_test() -> None:
    """Run small networks and compare with stored results: refuse to code where they differ."""
    for name, network in golden_networks().items():
        if fingerprint(network) != GOLDEN[name]:
            raise AelibError(
                f"The {name} predictor fails its self-test: do not compress with a model here. "
                "Clear Numba's cache (__pycache__ in aelib/codec) and report the versions of "
                "Python, Numba and NumPy."
            )
