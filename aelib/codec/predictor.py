"""The predictor: many small models look at the past, a mixer weighs them, bit by bit.

A byte is coded as eight binary decisions, most significant bit first. For each decision

1. every *context* (the last two bytes, the current word, ...) looks up a slot in a hash table.
   The slot remembers which bits followed that context: the last seven (a *bit history*), a
   probability and how often it was seen;
2. two *match models* find the last place where the same text stood and expect what came then;
3. each model gives its opinion as a logit, x_i = ln(p_i / (1 - p_i)): the *inputs*;
4. several *mixers* compute w·x, each with the weight vector that its own small context selects;
   a final mixer combines them, and *adaptive probability maps* (APM) correct the result;
5. the bit is coded with that probability; then everything learns from it.

Encoder and decoder run the same code, in integers only, so they stay in step on every machine.
Fixed point: probabilities have 16 bits (65536 = certain), logits 8 fractional bits (256 = 1.0),
weights 16 fractional bits. Masks are written out: no operation can overflow 63 bits.
``aelib.codec.reference`` says the same in plain NumPy.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from aelib.codec.compiled import compiled
from aelib.codec.hashing import M32, find_bucket, hash2, scramble, second_hash
from aelib.codec.snapshot import Known, recall

LIMIT = 2815  # largest logit: 11.0, a probability of 1 - 1/60000
APM_ROWS = 1 << 13
KINDS = 22  # context kinds that `set_contexts` knows
FOLD = 32  # what every run of white space becomes in the folded text

# Registers: the scalars of the state, in one int64 array.
(
    C0, BITS, RAW4, RAW8, FOLD4, FOLD8, POS, COL, WORD0, WORD1, WORD2, WORD3, PUNCT, WIDTH,
    LAST_LINE, SHAPE, HITS, P_MIX, P_OUT, ST_MIX, FIRST, QUOTE, ORDER0, RATE_T, REGISTERS,
) = range(25)  # fmt: skip


class Model(NamedTuple):
    """The whole state of a predictor (arrays are changed in place).

    K contexts, I inputs, S mixers; all integers.
    """

    reg: np.ndarray  # (REGISTERS,) int64, see above
    table: np.ndarray  # (slots,) uint32: 16 slots a bucket, 64 bytes, one cache line
    base: np.ndarray  # (K,) int64, first slot of each context's table
    mask: np.ndarray  # (K,) int64, buckets - 1 of each context's table
    kinds: np.ndarray  # (K,) int64, which context it is
    ctx: np.ndarray  # (K,) int64, hash of each context, 32 bits
    bucket: np.ndarray  # (K,) int64, where its current bucket starts
    hashes: np.ndarray  # (KINDS,) int64
    maps: np.ndarray  # (K, 1024) uint32, bit history -> probability
    direct: np.ndarray  # (3, 65536) uint32, probabilities of orders 0, 1, 2 without hashing
    slots: np.ndarray  # (3,) int64, current places in `direct`
    buf: np.ndarray  # (N,) uint8, text so far (N a power of two)
    heads: np.ndarray  # (2, H) int32, last position of a hash
    match: np.ndarray  # (2, 3) int64: position, length, expected byte + 1 (or 0)
    match_maps: np.ndarray  # (2, 128) uint32
    match_slot: np.ndarray  # (2,) int64
    x: np.ndarray  # (I,) int32 inputs
    weights: np.ndarray  # (rows, I) int32
    first_row: np.ndarray  # (S,) int64, where each mixer's rows start
    row: np.ndarray  # (S,) int64, the rows now selected
    dots: np.ndarray  # (S,) int32, what each mixer says
    final: np.ndarray  # (rows, S) int32, weights of the second layer
    final_row: np.ndarray  # (2,) int64
    apms: np.ndarray  # (A, rows, 33) int32, 16-bit probabilities
    apm_at: np.ndarray  # (A, 2) int64: row, lower column
    rates: np.ndarray  # (4,) int64: mixer rate now, floor, final rate, map limit
    known: Known  # the snapshot
    extra: np.ndarray  # (E,) int32: inputs from outside (a neural net), logits


def _logistic_tables() -> tuple[np.ndarray, np.ndarray]:
    """squash: logit + LIMIT -> 16-bit probability; stretch: 12-bit probability -> logit."""
    # Rounded from values given to 1e-9: the same integers with any C library.
    logit = np.arange(-LIMIT, LIMIT + 1) / 256.0
    squash = np.floor(65536.0 / (1.0 + np.exp(-logit)) + 0.5).astype(np.int32)
    p = (np.arange(4096) + 0.5) / 4096.0
    stretch = np.floor(np.log(p / (1.0 - p)) * 256.0 + 0.5).astype(np.int32)
    return np.clip(squash, 1, 65535).astype(np.int32), stretch


SQUASH, STRETCH = _logistic_tables()
RECIP = (65536 / (np.arange(1024) + 1.6)).astype(np.int64)  # learning rate after n observations
CONFIDENCE = np.floor(256 * np.arange(64) / (np.arange(64) + 0.4) + 0.5).astype(np.int64)
SEEN = np.searchsorted([8, 16, 40], np.arange(64), side="right").astype(np.int64) << 8


def _byte_classes() -> np.ndarray:
    """0 white, 1 lower, 2 upper, 3 digit, 4 end of sentence, 5 comma-like, 6 quotes, 7 other."""
    kind = np.full(256, 7, np.int64)
    for members, value in ((b" \t\n\r", 0), (b"0123456789", 3), (b".!?", 4), (b",;:-", 5),
                           (b"\"'`()[]", 6)):  # fmt: skip
        kind[list(members)] = value
    kind[97:123], kind[65:91], kind[128:] = 1, 2, 1
    return kind


BYTE_CLASS = _byte_classes()


# --- small parts -----------------------------------------------------------------------------


@njit(inline="always")
def clip_logit(st):
    return min(max(st, -LIMIT), LIMIT)


@njit(inline="always")
def adapt(cell, bit, limit):
    """A probability (22 bits) with its count (10 bits) moves towards the bit by 1/(n + 1.6)."""
    value = np.int64(cell)
    p = value >> 10
    n = value & 1023
    p += (((bit << 22) - bit - p) * RECIP[n]) >> 16
    if n < limit:
        n += 1
    return np.uint32((p << 10) | n)


@njit(inline="always")
def adapt_slot(cell, bit, limit):
    """A slot: probability (18 bits), count (6 bits), the last seven bits behind a leading 1."""
    value = np.int64(cell)
    p = value >> 14
    n = (value >> 8) & 63
    h = value & 255
    if n == 0:
        p = 1 << 17
        h = 1
    p += (((bit << 18) - bit - p) * RECIP[n]) >> 16
    if n < limit:
        n += 1
    h = (h << 1) | bit
    if h > 255:
        h = (h & 127) | 128
    return np.uint32((p << 14) | (n << 8) | h)


# --- contexts --------------------------------------------------------------------------------


@njit(inline="always")
def set_contexts(m):
    """Hash what the next byte may depend on, once a byte."""
    r = m.reg
    c4 = r[RAW4]
    c8 = r[RAW8]
    f4 = r[FOLD4]
    f8 = r[FOLD8]
    c1 = c4 & 255
    w0 = r[WORD0]
    w1 = r[WORD1]
    w2 = r[WORD2]
    left = max(0, min(31, r[WIDTH] - r[COL] + 8))
    if r[WIDTH] > 250:
        left = 0
    h = m.hashes
    h[0] = 0
    h[1] = c1
    h[2] = c4 & 0xFFFF
    h[3] = c4 & 0xFFFFFF
    h[4] = c4
    h[5] = hash2(f4, f8 & 0xFF)
    h[6] = hash2(f4, f8 & 0xFFFF)
    h[7] = hash2(f4, f8)
    h[8] = w0
    h[9] = hash2(w0, w1)
    h[10] = hash2(hash2(w0, w1), w2)
    h[11] = hash2(w0, w2 + 7)
    h[12] = c4 & 0xFFFF00
    h[13] = hash2(c4 & 0xFFFFFF00, 3)
    h[14] = hash2(left * 8 + BYTE_CLASS[c1], r[LAST_LINE] & 255)
    h[15] = hash2(r[SHAPE] & 0xFFFFFF, w0)
    h[16] = hash2(w1, c1)
    h[17] = hash2(hash2(w0, r[PUNCT]), r[FIRST])
    h[18] = hash2(f4, c8 & 0)
    h[19] = hash2(hash2(hash2(w0, w1), w2), r[WORD3])
    h[20] = hash2(r[SHAPE], left)
    h[21] = hash2(c4 & 0xF8F8F8F8, c8 & 0xF8F8)
    for k in range(m.kinds.size):
        kind = m.kinds[k]
        m.ctx[k] = scramble((h[kind] + (kind + 1) * 0x3C6EF372) & M32)


@njit(inline="always")
def set_buckets(m):
    """Point every context to the bucket of the coming half-byte."""
    c0 = m.reg[C0]
    for k in range(m.ctx.size):
        h = m.ctx[k]
        if c0 > 1:
            h = second_hash(h, m.mask[k], c0)
        at = find_bucket(m.table, m.base[k], m.mask[k], h)
        if m.table[at + 1] == 0:
            recall(m.known, k, m.ctx[k], c0, m.table, at)
        elif c0 == 1:
            m.known.fresh[k] = 0
        m.bucket[k] = at
    if c0 == 1:
        hits = 0
        for k in range(1, min(8, m.ctx.size)):
            if m.table[m.bucket[k] + 1] != 0:
                hits += 1
        m.reg[HITS] = hits


@njit(inline="always")
def push_byte(m, c):
    """Take a finished byte into the history: raw and folded text, words, lines, shape."""
    r = m.reg
    n = m.buf.size - 1
    m.buf[r[POS] & n] = np.uint8(c)
    r[POS] += 1
    r[RAW8] = ((r[RAW8] << 8) | (r[RAW4] >> 24)) & M32
    r[RAW4] = ((r[RAW4] << 8) | c) & M32
    kind = BYTE_CLASS[c]
    low = c + 32 if kind == 2 else c
    if kind == 0:
        low = FOLD
    if low != FOLD or (r[FOLD4] & 255) != FOLD:
        r[FOLD8] = ((r[FOLD8] << 8) | (r[FOLD4] >> 24)) & M32
        r[FOLD4] = ((r[FOLD4] << 8) | low) & M32
    if kind == 1 or kind == 2:
        if r[WORD0] == 0:
            r[FIRST] = low
        r[WORD0] = scramble((r[WORD0] + low * 0x1F35A7BD + 1) & M32)
    else:
        if r[WORD0] != 0:
            r[WORD3] = r[WORD2]
            r[WORD2] = r[WORD1]
            r[WORD1] = r[WORD0]
            r[WORD0] = 0
            r[PUNCT] = 0
        if kind != 0:
            r[PUNCT] = (r[PUNCT] * 31 + c) & 0xFFFF
    shape = r[SHAPE]
    if (shape & 7) != kind or kind != 1:
        shape = (shape << 3) | kind
    r[SHAPE] = shape & 0x3FFFFFFF
    if c == 10:
        r[LAST_LINE] = r[COL]
        r[WIDTH] = max(r[COL], r[WIDTH] - 1) if r[COL] > 20 else r[WIDTH]
        r[COL] = 0
    else:
        r[COL] = min(r[COL] + 1, 1000)


# --- match models ----------------------------------------------------------------------------


@njit(inline="always")
def find_match(m):
    """After a byte: follow each match, or look for a new one by the hash of the last bytes."""
    r = m.reg
    pos = r[POS]
    n = m.buf.size - 1
    short = hash2(r[FOLD4], (r[FOLD8] & 0xFF) + 5)
    long = hash2(hash2(r[RAW4], r[RAW8]), (r[FOLD8] >> 8) + 11)
    for i in range(2):
        at = m.match[i, 0]
        length = m.match[i, 1]
        c = np.int64(m.buf[(pos - 1) & n])
        if length > 0 and np.int64(m.buf[at & n]) == c:
            at += 1
            length = min(length + 1, 65535)
        else:
            length = 0
        h = scramble(long if i == 1 else short) & (m.heads.shape[1] - 1)
        if length == 0:
            at = np.int64(m.heads[i, h])
            if at > 0 and pos - at < n:
                while (
                    length < 32
                    and at > length
                    and (m.buf[(at - length - 1) & n] == m.buf[(pos - length - 1) & n])
                ):
                    length += 1
        m.heads[i, h] = np.int32(pos)
        m.match[i, 0] = at
        m.match[i, 1] = length
        m.match[i, 2] = np.int64(m.buf[at & n]) + 1 if length > 0 else 0


@njit(inline="always")
def length_bucket(length):
    """0 (none) to 31."""
    if length < 16:
        return length
    return min(31, 16 + ((length - 16) >> 3))


# --- predict and learn -----------------------------------------------------------------------


@njit(inline="always")
def fill_inputs(m):
    """Every model's opinion about the next bit, as logits in m.x."""
    r = m.reg
    x = m.x
    c0 = r[C0]
    bits = r[BITS]
    node = c0 if bits < 4 else (c0 & ((1 << (bits - 4)) - 1)) | (1 << (bits - 4))
    K = m.bucket.size
    for k in range(K):
        cell = np.int64(m.table[m.bucket[k] + node])
        n = (cell >> 8) & 63
        if n == 0:
            x[2 * k] = 0
            x[2 * k + 1] = 0
        else:
            p = np.int64(m.maps[k, (cell & 255) | SEEN[n]]) >> 20
            x[2 * k] = STRETCH[p]
            x[2 * k + 1] = (STRETCH[cell >> 20] * CONFIDENCE[n]) >> 8
    i = 2 * K
    for j in range(3):
        x[i + j] = STRETCH[np.int64(m.direct[j, m.slots[j]]) >> 20]
    i += 3
    for j in range(2):
        expected = m.match[j, 2]
        if expected > 0 and ((expected + 255) & 511) >> (8 - bits) == c0:
            bit = ((expected - 1) >> (7 - bits)) & 1
            at = length_bucket(m.match[j, 1]) * 2 + bit
            m.match_slot[j] = at
            p = np.int64(m.match_maps[j, at]) >> 20
            x[i] = STRETCH[p]
            x[i + 1] = (p - 2048) >> 1
        else:
            m.match_slot[j] = 0
            x[i] = 0
            x[i + 1] = 0
        i += 2
    x[i] = 256
    i += 1
    for j in range(m.extra.size):
        x[i + j] = m.extra[j]


@njit(inline="always")
def select_rows(m):
    """Each mixer's weight vector is chosen by a small context of its own."""
    r = m.reg
    c0 = r[C0]
    bits = r[BITS]
    c4 = r[RAW4]
    c1 = c4 & 255
    longest = max(m.match[0, 1] if m.match_slot[0] else 0, m.match[1, 1] if m.match_slot[1] else 0)
    size = 0
    pos = r[POS]
    while pos > 31 and size < 15:
        pos >>= 1
        size += 1
    where = max(0, min(31, r[WIDTH] - r[COL] + 4)) if r[WIDTH] < 250 else 31
    f = m.first_row
    for s in range(f.size):
        if s == 0:
            row = min(15, length_bucket(longest)) * 8 + r[HITS]
        elif s == 1:
            row = c0
        elif s == 2:
            row = c1
        elif s == 3:
            row = r[HITS] * 8 + bits
        elif s == 4:
            row = (r[SHAPE] & 0x1FF) * 2 + (1 if bits > 2 else 0)
        elif s == 5:
            row = where * 8 + bits
        elif s == 6:
            row = size * 8 + bits
        else:
            row = (c4 >> 8) & 255
        m.row[s] = f[s] + row
    m.final_row[0] = c0
    m.final_row[1] = 256 + min(15, length_bucket(longest)) * 8 + bits


@njit(inline="always")
def mix(m):
    """Two layers: s_j = w_j·x for each selected row, then w·s. Returns a logit."""
    x = m.x
    for s in range(m.row.size):
        w = m.weights[m.row[s]]
        total = np.int64(0)
        for i in range(x.size):
            total += np.int64(w[i]) * np.int64(x[i])
        m.dots[s] = clip_logit(total >> 16)
    st = np.int64(0)
    for j in range(2):
        w = m.final[m.final_row[j]]
        for s in range(m.dots.size):
            st += np.int64(w[s]) * np.int64(m.dots[s])
    return clip_logit(st >> 17)


@njit(inline="always")
def learn_mixers(m, bit):
    """Online gradient descent on the coding cost: dw_i = rate · (bit - p) · x_i."""
    x = m.x
    rate = m.rates[0]
    target = bit << 16
    for s in range(m.row.size):
        e = ((target - np.int64(SQUASH[m.dots[s] + LIMIT])) * rate) >> 10
        w = m.weights[m.row[s]]
        for i in range(x.size):
            w[i] += np.int32((np.int64(x[i]) * e + 0x8000) >> 16)
    e = ((target - m.reg[P_MIX]) * m.rates[2]) >> 10
    for j in range(2):
        w = m.final[m.final_row[j]]
        for s in range(m.dots.size):
            w[s] += np.int32((np.int64(m.dots[s]) * e + 0x8000) >> 16)


@njit(inline="always")
def refine(m, st):
    """Adaptive probability maps: the mixer's answer, corrected by what happened in such cases."""
    r = m.reg
    c0 = r[C0]
    c4 = r[RAW4]
    expected = max(m.match[1, 2], m.match[0, 2])
    a = m.apm_at
    for j in range(a.shape[0]):
        if j == 0:
            h = 0
        elif j == 1:
            h = hash2(c4 & 0xFFFF, 1)
        elif j == 2:
            h = c4 & 0xFF
        elif j == 3:
            h = hash2(r[WORD0], r[FIRST])
        else:
            h = expected * 32 + length_bucket(m.match[1, 1])
        a[j, 0] = scramble(hash2(h, c0)) & (APM_ROWS - 1)
    st = min(max(st, -2047), 2047) + 2048
    low = st >> 7
    frac = st & 127
    total = np.int64(0)
    for j in range(a.shape[0]):
        cells = m.apms[j, a[j, 0]]
        a[j, 1] = low if frac < 64 else low + 1
        p = (np.int64(cells[low]) * (128 - frac) + np.int64(cells[low + 1]) * frac) >> 7
        total += p
    return total // a.shape[0]


@njit(inline="always")
def predict(m):
    """P(next bit is 1), 16 bits, between 1/65536 and 65535/65536."""
    fill_inputs(m)
    select_rows(m)
    st = mix(m)
    p = np.int64(SQUASH[st + LIMIT])
    m.reg[P_MIX] = p
    p = (p + 1 * refine(m, st)) >> 1
    p = min(max(p, 1), 65535)
    m.reg[P_OUT] = p
    return p


@njit(inline="always")
def learn(m, bit):
    """Everything moves a little towards the bit that came; then the next bit is prepared."""
    r = m.reg
    learn_mixers(m, bit)
    for j in range(m.apms.shape[0]):
        at = m.apm_at[j, 0]
        i = m.apm_at[j, 1]
        p = np.int64(m.apms[j, at, i])
        m.apms[j, at, i] = p + (((bit << 16) - bit - p) >> 6)
    c0 = r[C0]
    bits = r[BITS]
    node = c0 if bits < 4 else (c0 & ((1 << (bits - 4)) - 1)) | (1 << (bits - 4))
    limit = m.rates[3]
    for k in range(m.bucket.size):
        i = m.bucket[k] + node
        cell = np.int64(m.table[i])
        n = (cell >> 8) & 63
        if n > 0:
            h = (cell & 255) | SEEN[n]
            m.maps[k, h] = adapt(m.maps[k, h], bit, limit)
        m.table[i] = adapt_slot(cell, bit, 60)
    for j in range(3):
        m.direct[j, m.slots[j]] = adapt(m.direct[j, m.slots[j]], bit, 250)
    for j in range(2):
        if m.match_slot[j] > 0:
            m.match_maps[j, m.match_slot[j]] = adapt(m.match_maps[j, m.match_slot[j]], bit, 1000)
    if m.rates[0] > m.rates[1]:
        r[RATE_T] += 1
        if r[RATE_T] & 1023 == 0:
            m.rates[0] -= max(1, (m.rates[0] - m.rates[1]) >> 4)
    next_bit(m, bit)


@njit(inline="always")
def next_bit(m, bit):
    """Advance by one bit; at half-bytes and bytes fetch the new contexts."""
    r = m.reg
    r[C0] = (r[C0] << 1) | bit
    r[BITS] += 1
    if r[BITS] == 8:
        push_byte(m, r[C0] & 255)
        r[C0] = 1
        r[BITS] = 0
        find_match(m)
        set_contexts(m)
    if r[BITS] == 0 or r[BITS] == 4:
        set_buckets(m)
    c0 = r[C0]
    m.slots[0] = c0
    m.slots[1] = ((r[RAW4] & 255) << 8) | c0
    m.slots[2] = scramble(hash2(r[RAW4] & 0xFFFF, c0)) & 0xFFFF


# --- the coder -------------------------------------------------------------------------------


ENCODE, DECODE, MEASURE = 0, 1, 2


@compiled(nogil=True, _nrt=False)  # all arrays are the caller's: counting references takes longer
def code(m, mode, text, payload):
    """Arithmetic coding: each bit narrows [low, high] in proportion to its probability.

    ENCODE reads text and writes payload (at least 9/8 of its length + 64 bytes), and returns the
    number of bytes written. DECODE reads payload (zeros after its end) and fills text. MEASURE
    writes nothing and returns the bits that the code would take. All learn alike.
    """
    low, high, number, at = 0, M32, 0, 0
    bits = 0.0
    if mode == DECODE:
        for _ in range(4):
            number = (number << 8) | (np.int64(payload[at]) if at < payload.size else 0)
            at += 1
    for j in range(text.size):
        c = np.int64(text[j])
        for i in range(7, -1, -1):
            p = predict(m)
            width = high - low
            middle = low + (width >> 16) * p + (((width & 0xFFFF) * p) >> 16)
            bit = (c >> i) & 1 if mode != DECODE else np.int64(number <= middle)
            learn(m, bit)
            if mode == MEASURE:
                bits -= np.log2((p if bit else 65536 - p) / 65536.0)
                continue
            if bit:
                high = middle
            else:
                low = middle + 1
            while (low ^ high) >> 24 == 0:
                if mode == ENCODE:
                    payload[at] = np.uint8(high >> 24)
                else:
                    byte = np.int64(payload[at]) if at < payload.size else 0
                    number = ((number << 8) & M32) | byte
                at += 1
                low = (low << 8) & M32
                high = ((high << 8) & M32) | 255
        if mode == DECODE:
            text[j] = np.uint8(m.buf[(m.reg[POS] - 1) & (m.buf.size - 1)])
    if mode == MEASURE:
        return bits
    if mode == ENCODE:  # the fewest bytes that lie in [low, high], followed by zeros
        for k in range(5):
            shift = 32 - 8 * k
            value = ((low + (1 << shift) - 1) >> shift) << shift
            if value <= high:
                for i in range(k):
                    payload[at] = np.uint8((value >> (24 - 8 * i)) & 255)
                    at += 1
                break
    return float(at)


@compiled()
def start(m):
    """Prepare the first byte's contexts (after `reg`, `table` and `buf` were set)."""
    find_match(m)
    set_contexts(m)
    set_buckets(m)
    m.slots[0] = 1
    m.slots[1] = 1
    m.slots[2] = scramble(hash2(0, 1)) & 0xFFFF


@compiled()
def trace(m, text, k, out):
    """The hash of context k before every byte of text (for training): out (len(text),) uint32."""
    for j in range(text.size):
        out[j] = np.uint32(m.ctx[k])
        push_byte(m, np.int64(text[j]))
        set_contexts(m)
