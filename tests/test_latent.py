"""Geometry of paths, neighbours and directions; samplers; the scikit-learn face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from aelib.errors import BadInput, UnknownName
from aelib.latent import (
    Direction,
    FlowSampler,
    GaussianSampler,
    MixtureSampler,
    TextEncoder,
    analogy,
    interpolate,
    neighbours,
)

RNG = np.random.default_rng(0)
vectors = st.integers(0, 10_000).map(lambda s: np.random.default_rng(s).standard_normal((2, 8)))


@settings(max_examples=30, deadline=None)
@given(ab=vectors, steps=st.integers(2, 9))
def test_paths_start_and_end_where_they_should(ab, steps):
    for path in ("linear", "spherical"):
        z = interpolate(ab[0], ab[1], steps, path)
        assert z.shape == (steps, 8) and z.dtype == np.float32
        assert np.allclose(z[[0, -1]], ab, atol=1e-5)
        assert np.allclose(z, interpolate(ab[1], ab[0], steps, path)[::-1], atol=1e-5)


def test_spherical_keeps_the_norm_and_linear_loses_it():
    a, b = np.eye(4)[0] * 3, np.eye(4)[1] * 3
    assert np.allclose(np.linalg.norm(interpolate(a, b, 5, "spherical"), axis=1), 3, atol=1e-5)
    assert np.linalg.norm(interpolate(a, b, 5)[2]) == pytest.approx(3 / np.sqrt(2), rel=1e-5)


def test_neighbours_are_those_of_a_full_sort():
    z, query = RNG.standard_normal((50, 6)), RNG.standard_normal((3, 6))
    index, distance = neighbours(query, z, 4, "euclidean")
    full = np.linalg.norm(query[:, None] - z[None], axis=2)
    assert np.array_equal(index, np.argsort(full, axis=1)[:, :4])
    assert np.allclose(distance, np.sort(full, axis=1)[:, :4], atol=1e-4)
    index, distance = neighbours(z[7] * 5, z, 1)
    assert index[0, 0] == 7 and abs(distance[0, 0]) < 1e-6
    assert neighbours(query, z, 99)[0].shape == (3, 50)


def test_a_direction_separates_measures_and_moves():
    shift = np.array([2.0, 0, 0, 0])
    without = RNG.standard_normal((400, 4)) * 0.3
    having = RNG.standard_normal((400, 4)) * 0.3 + shift
    line = Direction.between(without, having)
    assert line.gap == pytest.approx(2, abs=0.1) and abs(line.unit[0]) > 0.99
    assert line.accuracy > 0.99
    assert line.score(without).mean() == pytest.approx(-0.5, abs=1e-4)
    assert line.score(line.move(without, 1.0)).mean() == pytest.approx(0.5, abs=1e-4)
    assert np.allclose(line.move(without[0], 0.0), without[0])
    assert np.allclose(analogy(without[0], without[0] + shift, having[0]), having[0] + shift)


def test_samplers_have_the_moments_they_were_fitted_to():
    mix = RNG.standard_normal((3, 3))
    z = RNG.standard_normal((3000, 3)) @ mix + [5, 0, -5]
    drawn = GaussianSampler(z).sample(20_000, seed=1)
    assert np.allclose(drawn.mean(0), z.mean(0), atol=0.1)
    assert np.allclose(np.cov(drawn.T), np.cov(z.T), atol=0.25)
    two = np.concatenate([RNG.normal(-4, 0.1, (500, 2)), RNG.normal(4, 0.1, (500, 2))])
    for covariance in ("full", "diag"):
        sampler = MixtureSampler(two, components=2, covariance=covariance)
        drawn = sampler.sample(500, seed=2)
        assert (np.abs(np.abs(drawn) - 4) < 1).all()  # nothing between the two clouds
        assert np.array_equal(drawn, sampler.sample(500, seed=2))
        assert sampler.log_density([[4, 4]]) > sampler.log_density([[0, 0]]) + 10


def test_refusals():
    with pytest.raises(UnknownName):
        interpolate(np.ones(2), np.ones(2), path="curved")
    with pytest.raises(BadInput, match="one width"):
        interpolate(np.ones(2), np.ones(3))
    with pytest.raises(BadInput, match="at least 2"):
        interpolate(np.ones(2), np.ones(2), steps=1)
    with pytest.raises(BadInput, match="no direction"):
        interpolate(np.zeros(2), np.ones(2), path="spherical")
    with pytest.raises(UnknownName):
        neighbours(np.ones(2), np.ones((3, 2)), metric="manhattan")
    with pytest.raises(BadInput, match="width"):
        neighbours(np.ones(3), np.ones((3, 2)))
    with pytest.raises(BadInput, match="finite"):
        neighbours(np.ones(2), np.full((3, 2), np.nan))
    with pytest.raises(BadInput, match="same mean"):
        Direction.between(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(BadInput, match="finite rows"):
        MixtureSampler(np.ones((2, 2)), components=5)


def test_text_encoder_in_a_pipeline():
    texts = [f"the {a} {v} the {b}." for a in ("dog", "cat") for v in ("saw", "ate")
             for b in ("sea", "sun", "fog", "pie")]  # fmt: skip
    labels = ["saw" in text for text in texts]
    encoder = TextEncoder(latent_dim=64, seconds=0.5)
    assert clone(encoder).get_params() == encoder.get_params()
    pipe = make_pipeline(encoder, LogisticRegression()).fit(texts, labels)
    assert pipe.score(texts, labels) == 1.0
    z = pipe[0].transform(texts)
    assert z.shape == (16, 64) and len(pipe[0].get_feature_names_out()) == 64
    assert pipe[0].inverse_transform(z) == texts
    again = TextEncoder(model=pipe[0].model_).fit(texts)
    assert np.array_equal(again.transform(texts), z)


def ring(n, seed):
    """Points (n, 2) near a circle of radius two around (5, 0)."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, n), 2 + 0.2 * rng.standard_normal(n)
    return np.stack([5 + radius * np.cos(angle), radius * np.sin(angle)], axis=1)


@pytest.fixture(scope="module")
def ring_flow():
    return FlowSampler(ring(2000, 0), epochs=40)


def test_flow_density_integrates_to_one(ring_flow):
    x, y = np.meshgrid(np.linspace(1, 9, 161), np.linspace(-4, 4, 161))
    p = np.exp(ring_flow.log_density(np.stack([x.ravel(), y.ravel()], axis=1)))
    assert p.sum() * 0.05**2 == pytest.approx(1, abs=0.02)


def test_flow_finds_the_hole_that_a_gaussian_fills(ring_flow):
    held, gauss = ring(1000, 1), GaussianSampler(ring(2000, 0))
    assert ring_flow.log_density(held).mean() > gauss.log_density(held).mean() + 0.3
    empty = [
        np.linalg.norm(s.sample(1000, seed=0) - [5, 0], axis=1) < 1 for s in (ring_flow, gauss)
    ]
    assert empty[0].mean() < 0.5 * empty[1].mean()
    assert np.array_equal(ring_flow.sample(5, seed=3), ring_flow.sample(5, seed=3))


def test_flow_is_undone_by_its_inverse_and_knows_its_determinant(ring_flow):
    x = RNG.standard_normal((4, 2)).astype("float32")
    z, log_det = (np.asarray(a) for a in ring_flow.flow.forward(x))
    assert np.allclose(ring_flow.flow.inverse(z), x, atol=1e-4)
    eps = 1e-3
    columns = [(np.asarray(ring_flow.flow.forward(x + eps * e)[0])
                - np.asarray(ring_flow.flow.forward(x - eps * e)[0])) / (2 * eps)
               for e in np.eye(2, dtype="float32")]  # fmt: skip
    slopes = np.stack(columns, axis=-1)  # (4, 2, 2)
    assert np.allclose(np.log(np.abs(np.linalg.det(slopes))), log_det, atol=0.02)
    with pytest.raises(BadInput, match="hundred"):
        FlowSampler(np.zeros((5, 2)))
