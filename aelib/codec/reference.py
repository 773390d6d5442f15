"""The predictor again, in plain NumPy: to read, and to check the compiled one against.

Same arithmetic as `predictor`, to the last bit, but written over arrays of contexts and mixers,
with no compiler and slowly. Notation as there: K contexts, I inputs, S mixers.
"""

import numpy as np

from aelib.codec import snapshot
from aelib.codec.levels import Level, empty_model, primed_model
from aelib.codec.predictor import (
    APM_ROWS,
    BYTE_CLASS,
    CONFIDENCE,
    LIMIT,
    RECIP,
    SEEN,
    SQUASH,
    STRETCH,
)  # fmt: skip

M32 = 0xFFFFFFFF


def scramble(h: int) -> int:
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & M32
    h = ((h ^ (h >> 12)) * 0x297A2D39) & M32
    return h ^ (h >> 15)


def hash2(a: int, b: int) -> int:
    return ((a * 0x2545F491) & M32) ^ ((b * 0x4F6CDD1D) & M32)


def adapt(cells: np.ndarray, at: tuple, bit: int, limit: int) -> None:
    """Probabilities (22 bits, count 10 bits) move towards the bit by 1/(n + 1.6)."""
    value = cells[at].astype(np.int64)
    p, n = value >> 10, value & 1023
    p = p + ((((bit << 22) - bit - p) * RECIP[n]) >> 16)
    cells[at] = ((p << 10) | np.where(n < limit, n + 1, n)).astype(np.uint32)


class Reference:
    """A predictor with `predict()` and `learn(bit)`; `code_length(text)` sums what they cost."""

    def __init__(self, level: Level, length: int, primed: bool = False) -> None:
        self.m = (primed_model if primed else empty_model)(level, length)  # the arrays, fresh
        self.text: list[int] = []
        self.folded: list[int] = []  # lower case, every run of white space one space
        self.words = [0, 0, 0, 0]  # hashes: current word, the last three
        self.punct = self.first = self.shape = self.col = self.last_line = self.hits = 0
        self.width = 72
        self.matches = [[0, 0], [0, 0]]  # where, how long
        self.rate_clock = 0
        self.begin_byte()

    # --- a new byte ---

    def begin_byte(self) -> None:
        self.c0, self.bits = 1, 0
        self.find_matches()
        self.contexts = self.hash_contexts()  # K hashes of 32 bits
        self.find_buckets()

    def last(self, history: list[int], n: int, skip: int = 0) -> int:
        """n bytes of a history as a number, leaving out the newest `skip`."""
        history = history[-16:]
        padded = [0] * 16 + history
        end = len(padded) - skip
        return int.from_bytes(bytes(padded[end - n : end]), "big")

    def hash_contexts(self) -> list[int]:
        c4, c8 = self.last(self.text, 4), self.last(self.text, 4, 4)
        f4, f8 = self.last(self.folded, 4), self.last(self.folded, 4, 4)
        w0, w1, w2, w3 = self.words
        c1 = c4 & 255
        left = 0 if self.width > 250 else max(0, min(31, self.width - self.col + 8))
        two, three = hash2(w0, w1), hash2(hash2(w0, w1), w2)
        h = [
            0, c1, c4 & 0xFFFF, c4 & 0xFFFFFF, c4,
            hash2(f4, f8 & 0xFF), hash2(f4, f8 & 0xFFFF), hash2(f4, f8),
            w0, two, three, hash2(w0, w2 + 7), c4 & 0xFFFF00, hash2(c4 & 0xFFFFFF00, 3),
            hash2(left * 8 + int(BYTE_CLASS[c1]), self.last_line & 255),
            hash2(self.shape & 0xFFFFFF, w0), hash2(w1, c1),
            hash2(hash2(w0, self.punct), self.first), hash2(f4, 0), hash2(three, w3),
            hash2(self.shape, left), hash2(c4 & 0xF8F8F8F8, c8 & 0xF8F8),
        ]  # fmt: skip
        return [scramble((h[kind] + (kind + 1) * 0x3C6EF372) & M32) for kind in self.m.kinds]

    def find_buckets(self) -> None:
        """Point each context to its bucket of 16 slots; a new bucket asks the snapshot."""
        m = self.m
        for k, context in enumerate(self.contexts):
            h, mask = context, int(m.mask[k])
            if self.c0 > 1:
                h = scramble(((h & (0xFF000000 | mask)) + self.c0 * 0x3D4D51CB) & M32)
            at = self.find_bucket(int(m.base[k]), mask, h)
            if m.table[at + 1] == 0:
                for inner, slot in recall(m.known, k, context, self.c0):
                    m.table[at + inner] = slot
            m.bucket[k] = at
        if self.c0 == 1:
            self.hits = int(np.count_nonzero(m.table[m.bucket[1 : min(8, m.bucket.size)] + 1]))

    def find_bucket(self, base: int, mask: int, h: int) -> int:
        table, check = self.m.table, (h >> 24) + 1
        places = [base + (((h & mask) ^ i) << 4) for i in range(3)]
        for at in places:
            if table[at] == check:
                return at
        at = min(places, key=lambda at: (int(table[at + 1]) >> 8) & 63)
        table[at : at + 16] = 0
        table[at] = check
        return at

    def find_matches(self) -> None:
        m, pos = self.m, len(self.text)
        f4, f8 = self.last(self.folded, 4), self.last(self.folded, 4, 4)
        raw = hash2(self.last(self.text, 4), self.last(self.text, 4, 4))
        keys = [hash2(f4, (f8 & 0xFF) + 5), hash2(raw, (f8 >> 8) + 11)]
        for i, key in enumerate(keys):
            at, length = self.matches[i]
            if length and self.text[at] == self.text[-1]:
                at, length = at + 1, min(length + 1, 65535)
            else:
                length = 0
            h = scramble(key) & (m.heads.shape[1] - 1)
            if length == 0:
                at = int(m.heads[i, h])
                if at > 0:
                    while (
                        length < 32
                        and at > length
                        and (self.text[at - length - 1] == self.text[pos - length - 1])
                    ):
                        length += 1
            m.heads[i, h] = pos
            self.matches[i] = [at, length]

    # --- one bit ---

    def predict(self) -> int:
        """P(next bit is 1) in 1/65536."""
        m = self.m
        m.x[:] = self.inputs()
        m.row[:] = m.first_row + self.mixer_rows()[: m.row.size]
        dots = (m.weights[m.row].astype(np.int64) @ m.x.astype(np.int64)) >> 16  # (S,)
        m.dots[:] = np.clip(dots, -LIMIT, LIMIT)
        longest = min(15, length_bucket(max(self.trusted(0), self.trusted(1))))
        self.final_rows = [self.c0, 256 + longest * 8 + self.bits]
        st = int((m.final[self.final_rows].astype(np.int64) @ m.dots.astype(np.int64)).sum()) >> 17
        st = max(-LIMIT, min(LIMIT, st))
        self.p_mix = int(SQUASH[st + LIMIT])
        return min(max((self.p_mix + self.refine(st)) >> 1, 1), 65535)

    def inputs(self) -> np.ndarray:
        """(I,) logits: two of each context, orders 0 to 2, two of each match, a constant."""
        m = self.m
        self.node = (
            self.c0
            if self.bits < 4
            else self.c0 & ((1 << (self.bits - 4)) - 1) | (1 << (self.bits - 4))
        )
        cells = m.table[m.bucket + self.node].astype(np.int64)  # (K,)
        n = (cells >> 8) & 63
        self.histories = (cells & 255) | SEEN[n]
        known = m.maps[np.arange(cells.size), self.histories].astype(np.int64) >> 20
        out = np.zeros(m.x.size, np.int64)
        out[0 : 2 * cells.size : 2] = np.where(n > 0, STRETCH[known], 0)
        out[1 : 2 * cells.size : 2] = np.where(
            n > 0, (STRETCH[cells >> 20].astype(np.int64) * CONFIDENCE[n]) >> 8, 0
        )
        i = 2 * cells.size
        c1, c2 = self.last(self.text, 1), self.last(self.text, 2)
        self.orders = [self.c0, (c1 << 8) | self.c0, scramble(hash2(c2, self.c0)) & 0xFFFF]
        for j, slot in enumerate(self.orders):
            out[i + j] = STRETCH[int(m.direct[j, slot]) >> 20]
        i += 3
        for j in range(2):
            self.m.match_slot[j] = slot = self.match_slot(j)
            if slot:
                p = int(m.match_maps[j, slot]) >> 20
                out[i : i + 2] = STRETCH[p], (p - 2048) >> 1
            i += 2
        out[i] = 256
        return out

    def match_slot(self, j: int) -> int:
        """Where match j keeps its trust for this length and expected bit; 0 if it has no say."""
        at, length = self.matches[j]
        if not length:
            return 0
        expected = self.text[at] | 256
        if expected >> (8 - self.bits) != self.c0:
            return 0
        return length_bucket(length) * 2 + ((expected >> (7 - self.bits)) & 1)

    def trusted(self, j: int) -> int:
        return self.matches[j][1] if self.m.match_slot[j] else 0

    def mixer_rows(self) -> np.ndarray:
        bits, c0 = self.bits, self.c0
        longest = length_bucket(max(self.trusted(0), self.trusted(1)))
        size = min(15, max(0, len(self.text).bit_length() - 5))
        where = max(0, min(31, self.width - self.col + 4)) if self.width < 250 else 31
        return np.array([
            min(15, longest) * 8 + self.hits, c0, self.last(self.text, 1), self.hits * 8 + bits,
            (self.shape & 0x1FF) * 2 + (bits > 2), where * 8 + bits, size * 8 + bits,
            self.last(self.text, 1, 1),
        ])  # fmt: skip

    def refine(self, st: int) -> int:
        """The mean of the adaptive probability maps at logit st."""
        m = self.m
        expected = max(self.text[at] + 1 if length else 0 for at, length in self.matches)
        keys = [0, hash2(self.last(self.text, 2), 1), self.last(self.text, 1),
                hash2(self.words[0], self.first),
                expected * 32 + length_bucket(self.matches[1][1])]  # fmt: skip
        st = min(max(st, -2047), 2047) + 2048
        low, part = st >> 7, st & 127
        self.apm_cells, total = [], 0
        for j, key in enumerate(keys[: m.apms.shape[0]]):
            row = scramble(hash2(key, self.c0)) & (APM_ROWS - 1)
            cells = m.apms[j, row]
            self.apm_cells.append((j, row, low + (part >= 64)))
            total += (int(cells[low]) * (128 - part) + int(cells[low + 1]) * part) >> 7
        return total // m.apms.shape[0]

    # --- learning ---

    def learn(self, bit: int) -> None:
        m = self.m
        x, dots = m.x.astype(np.int64), m.dots.astype(np.int64)
        error = (((bit << 16) - SQUASH[dots + LIMIT].astype(np.int64)) * int(m.rates[0])) >> 10
        for s, row in enumerate(m.row):  # dw = rate · (bit - p) · x
            m.weights[row] += ((x * error[s] + 0x8000) >> 16).astype(np.int32)
        e = (((bit << 16) - self.p_mix) * int(m.rates[2])) >> 10
        for row in self.final_rows:
            m.final[row] += ((dots * e + 0x8000) >> 16).astype(np.int32)
        for cell in self.apm_cells:
            m.apms[cell] += ((bit << 16) - bit - int(m.apms[cell])) >> 6
        self.learn_slots(bit)
        for j, slot in enumerate(self.orders):
            adapt(m.direct, (np.array([j]), np.array([slot])), bit, 250)
        for which in np.flatnonzero(m.match_slot):
            adapt(m.match_maps, (np.array([which]), m.match_slot[[which]]), bit, 1000)
        if m.rates[0] > m.rates[1]:
            self.rate_clock += 1
            if self.rate_clock % 1024 == 0:
                m.rates[0] -= max(1, int(m.rates[0] - m.rates[1]) >> 4)
        self.advance(bit)

    def learn_slots(self, bit: int) -> None:
        m = self.m
        at = m.bucket + self.node
        cells = m.table[at].astype(np.int64)
        p, n, h = cells >> 14, (cells >> 8) & 63, cells & 255
        seen = np.flatnonzero(n)
        adapt(m.maps, (seen, self.histories[seen]), bit, int(m.rates[3]))
        p, h = np.where(n > 0, p, 1 << 17), np.where(n > 0, h, 1)
        p = p + ((((bit << 18) - bit - p) * RECIP[n]) >> 16)
        h = (h << 1) | bit
        h = np.where(h > 255, (h & 127) | 128, h)
        n = np.minimum(n + 1, 60)
        m.table[at] = ((p << 14) | (n << 8) | h).astype(np.uint32)

    def advance(self, bit: int) -> None:
        self.c0, self.bits = (self.c0 << 1) | bit, self.bits + 1
        if self.bits == 8:
            self.push(self.c0 & 255)
            self.begin_byte()
        elif self.bits == 4:
            self.find_buckets()

    def push(self, c: int) -> None:
        """A finished byte enters the histories: raw, folded, words, shape, lines."""
        self.text.append(c)
        kind = int(BYTE_CLASS[c])
        low = {2: c + 32, 0: 32}.get(kind, c)
        if low != 32 or self.last(self.folded, 1) != 32:
            self.folded.append(low)
        if kind in (1, 2):
            if self.words[0] == 0:
                self.first = low
            self.words[0] = scramble((self.words[0] + low * 0x1F35A7BD + 1) & M32)
        else:
            if self.words[0]:
                self.words = [0, *self.words[:3]]
                self.punct = 0
            if kind:
                self.punct = (self.punct * 31 + c) & 0xFFFF
        if self.shape & 7 != kind or kind != 1:
            self.shape = ((self.shape << 3) | kind) & 0x3FFFFFFF
        if c == 10:
            self.last_line = self.col
            self.width = max(self.col, self.width - 1) if self.col > 20 else self.width
            self.col = 0
        else:
            self.col = min(self.col + 1, 1000)

    def probabilities(self, text: bytes) -> list[int]:
        """P(bit = 1) in 1/65536 before each bit of text, learning on the way."""
        out = []
        for c in text:
            for i in range(7, -1, -1):
                out.append(self.predict())
                self.learn((c >> i) & 1)
        return out


def length_bucket(length: int) -> int:
    return length if length < 16 else min(31, 16 + ((length - 16) >> 3))


def recall(known: snapshot.Known, k: int, h: int, half: int) -> list[tuple[int, int]]:
    """(place in the bucket, slot) of what the snapshot knows of a context; see `snapshot`."""
    groups = int(known.groups[k])
    if not groups:
        return []
    g = int(known.group_base[k]) + (h & (groups - 1))
    first, end = int(known.first[g]), int(known.first[g + 1])
    found = np.flatnonzero(known.checks[first:end] == h >> 24)
    if not found.size:
        return []
    out = []
    for n, node, level in tree_nodes(known, k, g, int(found[0]) + 1):
        depth = node.bit_length() - 5
        if half == 1 and node < 16:
            inner = node
        elif half > 1 and node >= 16 and node >> depth == half:
            inner = (node & ((1 << depth) - 1)) | (1 << depth)
        else:
            continue
        n = min(n, 60)
        edge = 131072 // (n + 1)
        p = (edge, 262144 - edge)[level] if level < 2 else int(known.level_p[level - 2])
        out.append((inner, (p << 14) | (n << 8) | int(known.patterns[level, n])))
    return out


def tree_nodes(known: snapshot.Known, k: int, g: int, trees: int) -> list[tuple[int, int, int]]:
    """Decode a group's first trees; (count, node, class) of the last one's nodes."""
    probs, payload = known.probs[k], known.payload
    at = int(known.group_at[g]) + 4
    low, high, number = 0, M32, int.from_bytes(payload[at - 4 : at].tobytes(), "big")

    def bit(i: int) -> int:
        nonlocal low, high, number, at
        middle = low + ((high - low) >> 8) * int(probs[i])
        got = int(number <= middle)
        low, high = (low, middle) if got else (middle + 1, high)
        while (low ^ high) >> 24 == 0:
            number = ((number << 8) & M32) | int(payload[at])
            low, high, at = (low << 8) & M32, ((high << 8) & M32) | 255, at + 1
        return got

    def number_at(base: int, bits: int) -> int:
        node = 1
        for _ in range(bits):
            node = (node << 1) | bit(base + node)
        return node - (1 << bits)

    nodes: list[tuple[int, int, int]] = []
    for _ in range(trees):
        nodes = []
        stack = [(1, int(known.total_n[number_at(snapshot.CLASSES, 6)]))]
        while stack:
            node, n = stack.pop()
            size = min(n.bit_length() - 1, 7)
            i = snapshot.FLAGS + (node * 8 + size) * 2
            if n > 1 and bit(i):
                depth = node.bit_length() - 1
                level = 2 + number_at(snapshot.MIXED + (depth * 8 + size) * 16, 4)
                ones = max(1, min(n - 1, (n * int(known.level_p[level - 2]) + 131072) >> 18))
            else:
                level = bit(i + 1)
                ones = n * level
            nodes.append((n, node, level))
            if ones > 0 and node < 128:
                stack.append((2 * node + 1, ones))
            if n - ones > 0 and node < 128:
                stack.append((2 * node, n - ones))
    return nodes
