"""Quantisers and rate-distortion curves against Shannon's bound."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aelib import data, measure
from aelib.errors import BadInput


@given(st.integers(1, 12), st.integers(0, 100))
def test_a_quantised_code_is_off_by_half_a_cell_at_most(bits, seed):
    z = np.random.default_rng(seed).standard_normal((50, 3))
    quantiser = measure.Quantiser(bits).fit(z)
    cells = quantiser.quantise(z)
    assert cells.min() == 0 and cells.max() == 2**bits - 1
    error = np.abs(quantiser.dequantise(cells) - z)
    assert (error <= quantiser.step / 2 * (1 + 1e-9)).all()


def test_the_rate_of_uniform_codes_is_their_bits():
    z = np.random.default_rng(1).random((50_000, 2))
    quantiser = measure.Quantiser(3).fit(z)
    assert math.isclose(quantiser.rate_bits(quantiser.quantise(z)), 6, abs_tol=0.01)


def test_codes_outside_the_training_range_cost_more_but_have_a_price():
    z = np.random.default_rng(2).standard_normal((1000, 1))
    quantiser = measure.Quantiser(4).fit(z)
    far = quantiser.quantise([[99.0], [-99.0]])
    assert far.tolist() == [[15], [0]]
    assert quantiser.rate_bits(quantiser.quantise(z)) < quantiser.rate_bits(far) < 20
    with pytest.raises(BadInput, match="1 to 16"):
        measure.Quantiser(0)


def test_empirical_entropy():
    assert measure.empirical_entropy_bits([1, 2, 3, 4]) == 2
    assert measure.empirical_entropy_bits([7, 7]) == 0
    assert math.isclose(measure.empirical_entropy_bits([0, 0, 0, 1]), 2 - 0.75 * math.log2(3))


@given(st.floats(0.01, 0.99))
def test_shannons_bound_for_equal_variances(share):
    assert math.isclose(
        measure.gaussian_rate_bits([4.0, 4.0, 4.0], 4 * share),
        -1.5 * math.log2(share),
        rel_tol=1e-9,
    )


def test_water_filling_leaves_the_weak_dimensions_out():
    # λ = 1 drowns the variance of 0.5: D = (1 + 1 + 0.5)/3 and R = ½ log2 16 + ½ log2 4.
    assert math.isclose(measure.gaussian_rate_bits([16, 4, 0.5], 2.5 / 3), 3)
    assert measure.gaussian_rate_bits([1, 2], 1.5) == 0


def test_a_scalar_quantiser_at_high_rate_is_a_quarter_bit_above_the_bound():
    # Uniform cells and an ideal entropy coder: ½ log2(2πe/12) = 0.2546 bits a dimension
    # (Gish & Pierce 1968), when the cells are small.
    random = np.random.default_rng(3)
    x_train, x = random.standard_normal((200_000, 1)), random.standard_normal((50_000, 1))
    (point,) = measure.rate_distortion(
        lambda x: x, lambda z: z, x, bits=[6], x_train=x_train
    )  # fmt: skip
    excess = point.rate_bits - measure.gaussian_rate_bits([1.0], point.distortion)
    assert abs(excess - 0.5 * math.log2(2 * math.pi * math.e / 12)) < 0.01


def test_the_curve_of_principal_components():
    digits = data.load("digits")
    pca = measure.PCA(8).fit(digits.x_train)
    points = measure.rate_distortion(
        pca.encode, pca.decode, digits.x_test, bits=(1, 2, 4, 8), x_train=digits.x_train
    )
    assert [p.bits for p in points] == [1, 2, 4, 8]
    rates, errors = [p.rate_bits for p in points], [p.distortion for p in points]
    assert rates == sorted(rates) and errors == sorted(errors, reverse=True)
    assert all(p.rate_bits <= 8 * p.bits + 1 for p in points)
    assert abs(errors[-1] - pca.error(digits.x_test)) < 1e-4


def test_a_distortion_of_ones_own():
    texts = ["ab", "abcd"]
    points = measure.rate_distortion(
        lambda texts: np.array([[len(t)] for t in texts], dtype="float32"),
        lambda z: ["x" * round(float(n)) for (n,) in z],
        texts, bits=[4], distortion=lambda out, x: 1 - measure.exact_match(out, x),
    )  # fmt: skip
    assert points[0].distortion == 1
