"""Network arithmetic that gives the same bits on every machine, thread count and batch size.

What makes floating point differ between runs is not the numbers but the order of the sums, fused
multiply-adds and each C library's own exp. Here

- every sum runs in one written order, per output, so the other rows of a batch cannot matter;
- only +, -, ×, ÷, square root and floor are used, which IEEE 754 rounds in exactly one way; exp,
  tanh, sine and cosine are made of them;
- the compiler may neither reorder nor fuse (Numba without fastmath; a test reads the machine code);
- weights below 2^-60 count as 0 and exp ends at e^-60, so no result depends on how a processor
  treats the tiniest numbers.

Inner loops run over outputs, so they vectorise although the order is fixed. Integers are exact by
themselves, and weights of 8 bits cost next to no compression (benchmarks/neural_compression.py),
but norms, attention and softmax would need tables, and every new network its own scales.
`aelib.codec.neural.self_test` compares with stored results before anything is coded.
"""

import math

import numpy as np
from numba import njit

from aelib.codec.compiled import compiled

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
TAYLOR = np.array([1.0 / math.factorial(i) for i in range(13, -1, -1)])
POWERS = np.array([2.0**n for n in range(-100, 101)])
SMALLEST = 2.0**-60
UNITS = 2.0**32  # frequencies are whole numbers of 1/UNITS of the likeliest symbol's


@njit(inline="always")
def exp(x):
    """e^x in float64 for x cut to [-60, 60]: 2^n times the series of the rest."""
    x = min(max(x, -60.0), 60.0)
    n = math.floor(x * LOG2E + 0.5)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    y = TAYLOR[0]
    for i in range(1, 14):
        y = y * r + TAYLOR[i]
    return y * POWERS[int(n) + 100]


@njit(inline="always")
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@njit(inline="always")
def tanh(x):
    return 1.0 - 2.0 / (1.0 + exp(2.0 * x))


@compiled(nogil=True)
def product(x, w):
    """x (n, k) times w (k, m), float32: y_j = ((x_0 w_0j + x_1 w_1j) + x_2 w_2j) + …

    Four rows of w share each pass over y; every sum still goes from first to last.
    """
    n, k = x.shape
    m = w.shape[1]
    y = np.zeros((n, m), np.float32)
    whole = k - k % 4
    for a in range(0, whole, 4):
        w0, w1, w2, w3 = w[a], w[a + 1], w[a + 2], w[a + 3]
        for i in range(n):
            x0, x1, x2, x3 = x[i, a], x[i, a + 1], x[i, a + 2], x[i, a + 3]
            row = y[i]
            for j in range(m):
                row[j] = (((row[j] + x0 * w0[j]) + x1 * w1[j]) + x2 * w2[j]) + x3 * w3[j]
    for a in range(whole, k):
        w0 = w[a]
        for i in range(n):
            x0 = x[i, a]
            row = y[i]
            for j in range(m):
                row[j] = row[j] + x0 * w0[j]
    return y


@compiled(nogil=True)
def rms_norm(x, gamma):
    """x / rms(x) · γ over the last axis: (n, d) float32."""
    n, d = x.shape
    y = np.empty((n, d), np.float32)
    for i in range(n):
        square = 0.0
        for j in range(d):
            square += np.float64(x[i, j]) * np.float64(x[i, j])
        scale = np.float32(1.0 / math.sqrt(square / d + 1e-6))
        for j in range(d):
            y[i, j] = x[i, j] * scale * gamma[j]
    return y


@compiled(nogil=True)
def gru(gates, inner, h):
    """One step of a gated recurrent unit, all (n, ·) float32: the new h (n, u).

    gates (n, 3u) = x W + b, inner (n, 3u) = h U + c, parts z, r, h̃ (Keras's reset_after).
    """
    n, u = h.shape
    new = np.empty((n, u), np.float32)
    for i in range(n):
        a, b = gates[i], inner[i]
        for j in range(u):
            z = sigmoid(np.float64(a[j] + b[j]))
            r = sigmoid(np.float64(a[u + j] + b[u + j]))
            candidate = tanh(np.float64(a[2 * u + j]) + r * np.float64(b[2 * u + j]))
            new[i, j] = np.float32(z * np.float64(h[i, j]) + (1.0 - z) * candidate)
    return new


@compiled(nogil=True)
def lstm(gates, c):
    """One step of a long short-term memory, all (n, ·) float32: the new h and c (n, u).

    gates (n, 4u) = x W + h U + b, parts i, f, c̃, o; c (n, u)
    """
    n, u = c.shape
    h, new = np.empty((n, u), np.float32), np.empty((n, u), np.float32)
    for i in range(n):
        a = gates[i]
        for j in range(u):
            kept = sigmoid(np.float64(a[u + j])) * np.float64(c[i, j])
            written = sigmoid(np.float64(a[j])) * tanh(np.float64(a[2 * u + j]))
            cell = kept + written
            new[i, j] = np.float32(cell)
            h[i, j] = np.float32(sigmoid(np.float64(a[3 * u + j])) * tanh(cell))
    return h, new


@compiled(nogil=True)
def qrnn(gates, c):
    """One step of a quasi-recurrent layer, all (n, ·) float32: the new h and c (n, u).

    gates (n, 3u) = W [x_t; x_{t−1}] + b, parts z, f, o; c (n, u)
    """
    n, u = c.shape
    h, new = np.empty((n, u), np.float32), np.empty((n, u), np.float32)
    for i in range(n):
        a = gates[i]
        for j in range(u):
            f = sigmoid(np.float64(a[u + j]) + 1.0)
            cell = f * np.float64(c[i, j]) + (1.0 - f) * tanh(np.float64(a[j]))
            new[i, j] = np.float32(cell)
            h[i, j] = np.float32(sigmoid(np.float64(a[2 * u + j])) * cell)
    return h, new


@compiled(nogil=True)
def squash(x):
    """tanh of each number: (n, d) float32 -> same."""
    n, d = x.shape
    y = np.empty((n, d), np.float32)
    for i in range(n):
        for j in range(d):
            y[i, j] = np.float32(tanh(np.float64(x[i, j])))
    return y


@compiled(nogil=True)
def deviation(logvar, least):
    """σ from log σ², (k,) float64: σ² = 1 / (e^-logvar + least), where `least` is 0 or bounds σ."""
    k = len(logvar)
    sigma = np.empty(k)
    for j in range(k):
        sigma[j] = math.sqrt(1.0 / (exp(-logvar[j]) + least))
    return sigma


@compiled(nogil=True)
def least_precision(rate):
    """1/s² > 1 at which KL(N(0, s²) ‖ N(0, 1)) = ½ (s² − ln s² − 1) is `rate` nats."""
    low, high = 0.0, 60.0  # of −ln s²
    for _ in range(100):
        u = (low + high) / 2
        if 0.5 * (exp(-u) + u - 1.0) < rate:
            low = u
        else:
            high = u
    return exp(low)


@compiled(nogil=True)
def attend(q, keys, values, t):
    """softmax(q kᵀ / √d) v over places 0..t, heads joined: (n, heads · d) float32.

    q (n, heads, d), keys (n, heads, d, context), values (n, heads, context, d)
    """
    n, heads, d = q.shape
    y = np.zeros((n, heads * d), np.float32)
    scale = 1.0 / math.sqrt(np.float64(d))
    scores = np.empty(t + 1, np.float32)
    for i in range(n):
        for head in range(heads):
            scores[:] = 0
            for c in range(d):
                qc, row = q[i, head, c], keys[i, head, c]
                for s in range(t + 1):
                    scores[s] = scores[s] + qc * row[s]
            best = scores[0]
            for s in range(1, t + 1):
                best = max(best, scores[s])
            total = 0.0
            for s in range(t + 1):
                weight = exp(np.float64(scores[s] - best) * scale)
                total += weight
                scores[s] = np.float32(weight)
            out = y[i, head * d : (head + 1) * d]
            for s in range(t + 1):
                p, row = np.float32(scores[s] / total), values[i, head, s]
                for c in range(d):
                    out[c] = out[c] + p * row[c]
    return y


@compiled(nogil=True)
def frequencies(logits):
    """Whole numbers in proportion to e^logit, as float64: (n, V). Their sums are exact."""
    n, v = logits.shape
    f = np.empty((n, v))
    for i in range(n):
        best = logits[i, 0]
        for j in range(1, v):
            best = max(best, logits[i, j])
        for j in range(v):
            f[i, j] = math.floor(exp(np.float64(logits[i, j]) - np.float64(best)) * UNITS)
    return f


@compiled()
def angles(context, half):
    """cos and sin of t · 10000^(-i / half), (context, half) float32, by turning step by step."""
    cosines, sines = np.empty((context, half), np.float32), np.empty((context, half), np.float32)
    for i in range(half):
        speed = exp(-9.210340371976184 * i / half)
        c1 = s1 = 0.0
        for k in range(10, -1, -1):  # Taylor's series of cos and sin
            c1 = 1.0 - c1 * speed * speed / ((2 * k + 1) * (2 * k + 2))
            s1 = 1.0 - s1 * speed * speed / ((2 * k + 2) * (2 * k + 3))
        s1 *= speed
        c, s = 1.0, 0.0
        for t in range(context):
            cosines[t, i], sines[t, i] = np.float32(c), np.float32(s)
            c, s = c * c1 - s * s1, s * c1 + c * s1
    return cosines, sines


def weights(array) -> np.ndarray:
    """A weight as float32, in memory order, the tiniest numbers as 0."""
    w = np.asarray(array, np.float32)
    return np.ascontiguousarray(np.where(np.abs(w) < SMALLEST, np.float32(0), w))
