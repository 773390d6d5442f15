"""Hashes and hash buckets, in 32-bit arithmetic that 63 bits can hold."""

import numpy as np
from numba import njit

M32 = 0xFFFFFFFF


@njit(inline="always")
def scramble(h):
    """Spread a 32-bit hash over all its bits."""
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & M32
    h = ((h ^ (h >> 12)) * 0x297A2D39) & M32
    return h ^ (h >> 15)


@njit(inline="always")
def hash2(a, b):
    return (((a * 0x2545F491) & M32) ^ (b * 0x4F6CDD1D)) & M32


@njit(inline="always")
def find_bucket(table, base, mask, h):
    """The bucket of hash h: its own, one of two neighbours, or the least used of them, emptied."""
    check = (h >> 24) + 1
    a = base + ((h & mask) << 4)
    if np.int64(table[a]) == check:
        return a
    b = base + (((h & mask) ^ 1) << 4)
    if np.int64(table[b]) == check:
        return b
    c = base + (((h & mask) ^ 2) << 4)
    if np.int64(table[c]) == check:
        return c
    if ((np.int64(table[b + 1]) >> 8) & 63) < ((np.int64(table[a + 1]) >> 8) & 63):
        a = b
    if ((np.int64(table[c + 1]) >> 8) & 63) < ((np.int64(table[a + 1]) >> 8) & 63):
        a = c
    for i in range(1, 16):
        table[a + i] = 0
    table[a] = np.uint32(check)
    return a


@njit(inline="always")
def second_hash(h, mask, nibble):
    """Where the second half-byte's bucket is: known from the first's place and check alone."""
    return scramble(((h & (0xFF000000 | mask)) + nibble * 0x3D4D51CB) & M32)
