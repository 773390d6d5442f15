"""What the predictor knows before the first byte: counts of a large text, packed.

Training counts which byte followed each context. Contexts seen often are kept, each as a *tree*:
the eight binary decisions of a byte, and at each node how likely a 1 is, in sixteen coarse steps;
children's counts follow from their parent's. Trees are arithmetic-coded with fixed probabilities in
groups of about four, so that one can be read without the others. `recall` does that when a context
turns up for the first time: nothing is unpacked at start, and only what is needed takes memory.

A context is known by its group (its hash's low bits) and a check byte (its top bits).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from aelib.codec.compiled import compiled
from aelib.codec.hashing import M32

INDEX_BITS = 18
MAX_TOTAL = 24  # totals are kept as powers of sqrt(2): classes 0..47
# Logits of the mixed node classes 2..17.
LEVELS = np.array([-6.6, -4.6, -3.4, -2.5, -1.75, -1.1, -0.6, -0.2, 0.2, 0.6, 1.1, 1.75, 2.5, 3.4,
                   4.6, 6.6])  # fmt: skip
LEVEL_P = np.floor(262144 / (1 + np.exp(-LEVELS)) + 0.5).astype(np.int64)  # 18 bits
CUTS = np.concatenate([[-99.0], (LEVELS[1:] + LEVELS[:-1]) / 2])
TOTALS = np.floor(2.0 ** (np.arange(2 * MAX_TOTAL) / 2) + 0.5).astype(np.int64)


def _patterns() -> np.ndarray:
    """(18, 64): the bit history that a node of this class and count starts with."""
    out = np.zeros((18, 64), np.int64)
    for level in range(18):
        p = (0.0, 1.0)[level] if level < 2 else LEVEL_P[level - 2] / 262144
        for n in range(1, 64):
            length = min(n, 7)
            ones = round(length * p)
            if level > 1 and length > 1:
                ones = min(max(ones, 1), length - 1)
            bits = [(j + 1) * ones // length - j * ones // length for j in range(length)]
            out[level, n] = int("1" + "".join(map(str, bits)), 2)
    return out


PATTERNS = _patterns()


@compiled()
def quantise(starts, symbols, counts, totals, nodes, cuts, level_p, total_n):
    """Counts of the bytes after each context -> total class and node classes in tree order."""
    size = 0
    tree = np.zeros(512, np.float64)  # how often each node (leaves from 256) was passed
    stack = np.zeros(64, np.int64)
    count = np.zeros(64, np.int64)
    for c in range(starts.size - 1):
        tree[:] = 0.0
        for i in range(starts[c], starts[c + 1]):
            node = 256 + symbols[i]
            while node > 0:
                tree[node] += counts[i]
                node >>= 1
        totals[c] = min(47, int(np.floor(2 * np.log2(tree[1]) + 0.5)))
        top = 1
        stack[0] = 1
        count[0] = total_n[totals[c]]
        while top > 0:
            top -= 1
            node = stack[top]
            n = count[top]
            zero = tree[2 * node]
            one = tree[2 * node + 1]
            if n < 2 or zero == 0 or one == 0:
                nodes[size] = 1 if one > zero else 0
                ones = n * nodes[size]
            else:
                logit = np.log(one / zero)
                level = 0
                while level < 15 and logit > cuts[level + 1]:
                    level += 1
                nodes[size] = 2 + level
                ones = max(1, min(n - 1, (n * level_p[level] + 131072) >> 18))
            size += 1
            if ones > 0 and node < 128:
                stack[top] = 2 * node + 1
                count[top] = ones
                top += 1
            if n - ones > 0 and node < 128:
                stack[top] = 2 * node
                count[top] = n - ones
                top += 1
    return size


# --- coding of the trees: binary arithmetic coding with fixed probabilities ---------------------

LOW, HIGH, AT, MODE = range(4)
WRITE, COUNT = 0, 1
CLASSES, FLAGS = 0, 64
MIXED = FLAGS + 256 * 8 * 2
PROBS = MIXED + 9 * 8 * 16


@njit(inline="always")
def code_bit(s, buf, probs, i, bit):
    """Write one bit with P(1) = probs[i] / 256; or only count it."""
    if s[MODE] == COUNT:
        buf[2 * i + bit] += 1
        return
    middle = s[LOW] + ((s[HIGH] - s[LOW]) >> 8) * np.int64(probs[i])
    if bit:
        s[HIGH] = middle
    else:
        s[LOW] = middle + 1
    while (s[LOW] ^ s[HIGH]) >> 24 == 0:
        buf[s[AT]] = s[HIGH] >> 24
        s[AT] += 1
        s[LOW] = (s[LOW] << 8) & M32
        s[HIGH] = ((s[HIGH] << 8) & M32) | 255


@njit(inline="always")
def code_number(s, buf, probs, base, value, bits):
    """A number of `bits` bits as a path in a binary tree of probabilities."""
    node = 1
    for i in range(bits - 1, -1, -1):
        bit = (value >> i) & 1
        code_bit(s, buf, probs, base + node, bit)
        node = (node << 1) | bit


@njit(inline="always")
def floor_log2(n, most):
    k = 0
    while k < most and (n >> (k + 1)) > 0:
        k += 1
    return k


@njit(inline="always")
def code_tree(s, buf, probs, total, nodes, size, level_p, total_n, stack):
    """Write one tree: its total class, then the class of each node that counts reach.

    stack: (2, 64) int64, room to work in. Returns the size after it.
    """
    code_number(s, buf, probs, CLASSES, total, 6)
    top = 1
    stack[0, 0] = 1
    stack[1, 0] = total_n[total]
    while top > 0:
        top -= 1
        node = stack[0, top]
        n = stack[1, top]
        size_class = floor_log2(n, 7)
        at = FLAGS + (node * 8 + size_class) * 2
        level = nodes[size]
        mixed = 0
        if n > 1:
            mixed = 1 if level > 1 else 0
            code_bit(s, buf, probs, at, mixed)
        if mixed:
            at = MIXED + (floor_log2(node, 8) * 8 + size_class) * 16
            code_number(s, buf, probs, at, level - 2, 4)
            ones = max(1, min(n - 1, (n * level_p[level - 2] + 131072) >> 18))
        else:
            code_bit(s, buf, probs, at + 1, level)
            ones = n * level
        size += 1
        if ones > 0 and node < 128:
            stack[0, top] = 2 * node + 1
            stack[1, top] = ones
            top += 1
        if n - ones > 0 and node < 128:
            stack[0, top] = 2 * node
            stack[1, top] = n - ones
            top += 1
    return size


@compiled()
def code_groups(mode, first, totals, nodes, probs, buf, group_at, level_p, total_n):
    """Write all trees (COUNT: count their bits in buf). first: (groups + 1,) contexts before."""
    s = np.zeros(4, np.int64)
    s[MODE] = mode
    stack = np.zeros((2, 64), np.int64)
    size = 0
    for g in range(first.size - 1):
        group_at[g] = s[AT]
        s[LOW] = 0
        s[HIGH] = M32
        for c in range(first[g], first[g + 1]):
            size = code_tree(s, buf, probs, totals[c], nodes, size, level_p, total_n, stack)
        if mode == WRITE and first[g + 1] > first[g]:
            for k in range(5):  # the fewest bytes that decide, whatever follows
                shift = 32 - 8 * k
                value = ((s[LOW] + (1 << shift) - 1) >> shift) << shift
                if value + (1 << shift) - 1 <= s[HIGH]:
                    for i in range(k):
                        buf[s[AT]] = (value >> (24 - 8 * i)) & 255
                        s[AT] += 1
                    break
    group_at[first.size - 1] = s[AT]
    return s[AT]


@njit(inline="always")
def read_bit(payload, p, low, high, number, at):
    """`code_bit`'s reading half, with the coder's state in registers."""
    middle = low + ((high - low) >> 8) * np.int64(p)
    if number <= middle:
        bit = 1
        high = middle
    else:
        bit = 0
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        number = ((number << 8) & M32) | np.int64(payload[at])
        at += 1
        low = (low << 8) & M32
        high = ((high << 8) & M32) | 255
    return bit, low, high, number, at


@njit(inline="always")
def read_trees(known, k, g, trees):
    """Decode the first `trees` trees of group g; the last one's nodes go to known.nodes[k].

    Each node is (count << 16 | node << 8 | class). Returns their number.
    """
    payload = known.payload
    probs = known.probs[k]
    nodes = known.nodes[k]
    stack = known.stack
    at = np.int64(known.group_at[g])
    low, high, number = 0, M32, 0
    for i in range(4):
        number = (number << 8) | np.int64(payload[at + i])
    at += 4
    size = 0
    for _ in range(trees):
        size = 0
        total = 1
        for _ in range(6):
            p = probs[CLASSES + total]
            bit, low, high, number, at = read_bit(payload, p, low, high, number, at)
            total = (total << 1) | bit
        top = 1
        stack[0] = (known.total_n[total - 64] << 8) | 1
        while top > 0:
            top -= 1
            node = stack[top] & 255
            n = stack[top] >> 8
            size_class = floor_log2(n, 7)
            i = FLAGS + (node * 8 + size_class) * 2
            bit = 0
            if n > 1:
                bit, low, high, number, at = read_bit(payload, probs[i], low, high, number, at)
            if bit:
                i = MIXED + (floor_log2(node, 8) * 8 + size_class) * 16
                level = 1
                for _ in range(4):
                    p = probs[i + level]
                    bit, low, high, number, at = read_bit(payload, p, low, high, number, at)
                    level = (level << 1) | bit
                level -= 14
                ones = max(1, min(n - 1, (n * known.level_p[level - 2] + 131072) >> 18))
            else:
                p = probs[i + 1]
                level, low, high, number, at = read_bit(payload, p, low, high, number, at)
                ones = n * level
            nodes[size] = (n << 16) | (node << 8) | level
            size += 1
            if ones > 0 and node < 128:
                stack[top] = (ones << 8) | (2 * node + 1)
                top += 1
            if n - ones > 0 and node < 128:
                stack[top] = ((n - ones) << 8) | (2 * node)
                top += 1
    return size


@njit(inline="always")
def recall(known, k, h, half, table, bucket):
    """If the snapshot knows the context with hash h, fill its new bucket.

    half: 1 for the first half-byte, 16..31 (the partial byte) for the second.
    """
    if half == 1:
        known.fresh[k] = 0
    if known.groups[k] == 0:
        return
    if known.fresh[k] == 0:
        g = known.group_base[k] + (h & (known.groups[k] - 1))
        check = h >> 24
        c = np.int64(known.first[g])
        end = np.int64(known.first[g + 1])
        trees = 1
        while c < end and np.int64(known.checks[c]) != check:
            trees += 1
            c += 1
        known.sizes[k] = 0
        if c < end:
            known.sizes[k] = read_trees(known, k, g, trees)
        known.fresh[k] = 1
    for i in range(known.sizes[k]):
        cell = known.nodes[k, i]
        node = (cell >> 8) & 255
        inner = 0
        if half == 1:
            if node < 16:
                inner = node
        elif node >= 16:
            depth = floor_log2(node, 8) - 4
            if node >> depth == half:
                inner = (node & ((1 << depth) - 1)) | (1 << depth)
        if inner > 0:
            level = cell & 255
            n = min(cell >> 16, 60)
            p = known.level_p[level - 2] if level > 1 else 131072 // (n + 1)
            if level == 1:
                p = 262144 - p
            table[bucket + inner] = np.uint32((p << 14) | (n << 8) | known.patterns[level, n])


WORKING = ("nodes", "sizes", "fresh", "stack")  # what `recall` changes in a `Known`


class Known(NamedTuple):
    """A loaded snapshot, and room to work in. K contexts of a level, C kept trees, G groups."""

    groups: np.ndarray  # (K,) int64: groups of each context (a power of two), 0 if none
    group_base: np.ndarray  # (K,) int64
    first: np.ndarray  # (G + 1,) int32: first tree of each group
    group_at: np.ndarray  # (G + 1,) int32: where its payload starts
    checks: np.ndarray  # (C,) uint8
    payload: np.ndarray  # uint8
    probs: np.ndarray  # (K, PROBS) uint8
    level_p: np.ndarray  # (16,) int64
    total_n: np.ndarray  # (48,) int64
    patterns: np.ndarray  # (18, 64) int64
    nodes: np.ndarray  # (K, 512) int64, the tree last read for each context
    sizes: np.ndarray  # (K,) int64, its nodes
    fresh: np.ndarray  # (K,) int64, 1 if it belongs to the current byte
    stack: np.ndarray  # (64,) int64

    def apart(self) -> "Known":
        """The same knowledge with working room of its own."""
        return self._replace(**{name: getattr(self, name).copy() for name in WORKING})

    def reset(self, before: "Known") -> None:
        """Make the working room what it was in `before`."""
        for name in WORKING:
            getattr(self, name)[...] = getattr(before, name)


def pack_trees(
    places: np.ndarray, totals: np.ndarray, nodes: np.ndarray, groups: int
) -> dict[str, np.ndarray]:
    """Trees of one context kind, sorted by group -> the arrays that a snapshot keeps.

    places: (C,) group << 8 | check; totals: (C,) classes; nodes: (M,) classes in tree order.
    """
    first = np.searchsorted(places >> 8, np.arange(groups + 1)).astype(np.int64)
    at = np.zeros(groups + 1, np.int64)
    seen = np.zeros(2 * PROBS, np.int64)
    none = np.zeros(PROBS, np.uint8)
    code_groups(COUNT, first, totals, nodes, none, seen, at, LEVEL_P, TOTALS)
    zero, one = seen[0::2], seen[1::2]
    probs = np.clip(np.round(256 * (one + 0.4) / (zero + one + 0.8)), 1, 255).astype(np.uint8)
    buf = np.zeros(4 * nodes.size + 64, np.int64)
    size = code_groups(WRITE, first, totals, nodes, probs, buf, at, LEVEL_P, TOTALS)
    return {
        "counts": np.diff(first).astype(np.uint8),
        "lengths": np.diff(at).astype(np.uint16),
        "checks": (places & 255).astype(np.uint8),
        "payload": buf[:size].astype(np.uint8),
        "probs": probs,
    }


def join(parts: list[dict[str, np.ndarray] | None]) -> Known:
    """The packed kinds of a level (None: nothing known) as one `Known`."""
    none = np.zeros(0, np.uint8)
    empty: dict[str, np.ndarray] = {
        "counts": none, "lengths": np.zeros(0, np.uint16), "checks": none, "payload": none,
        "probs": np.full(PROBS, 128, np.uint8),
    }  # fmt: skip
    full = [part or empty for part in parts]
    groups = np.array([part["counts"].size for part in full], np.int64)

    def starts(name: str) -> np.ndarray:
        sizes = np.concatenate([part[name] for part in full])
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int32)

    return Known(
        groups=groups,
        group_base=np.concatenate([[0], np.cumsum(groups)[:-1]]).astype(np.int64),
        first=starts("counts"),
        group_at=starts("lengths"),
        checks=np.concatenate([part["checks"] for part in full]),
        payload=np.concatenate([*(part["payload"] for part in full), np.zeros(64, np.uint8)]),
        probs=np.stack([part["probs"] for part in full]),
        level_p=LEVEL_P,
        total_n=TOTALS,
        patterns=PATTERNS,
        nodes=np.zeros((len(parts), 512), np.int64),
        sizes=np.zeros(len(parts), np.int64),
        fresh=np.zeros(len(parts), np.int64),
        stack=np.zeros(64, np.int64),
    )
