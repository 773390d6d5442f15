"""Measures against closed forms and against what others compute."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aelib import data, measure
from aelib.errors import BadInput


def test_a_uniform_model_has_the_vocabulary_as_its_perplexity():
    texts = ["a b c", "a", "b c d e f"]
    nll = [(len(text.split()) + 1) * math.log(50) for text in texts]
    assert math.isclose(measure.perplexity(nll, texts), 50)
    assert math.isclose(measure.perplexity(nll, [3, 1, 5]), 50)


def test_bits_per_character_of_uniform_letters():
    text = "abcd" * 25
    assert math.isclose(measure.bits_per_character(100 * math.log(4), text), 2)
    halves = [50 * math.log(4)] * 2
    assert math.isclose(measure.bits_per_character(halves, [text[:50], text[50:]]), 2)


def linear_gaussian(n, seed):
    """x = w z + noise with z ~ N(0, 1): its data, exact NLL, and exact posterior."""
    random = np.random.default_rng(seed)
    w, sigma = 1.5, 0.7
    x = w * random.standard_normal(n) + sigma * random.standard_normal(n)
    variance = w**2 + sigma**2
    nll = 0.5 * (np.log(2 * np.pi * variance) + x**2 / variance)
    return x, w, sigma, nll, w * x / variance, sigma**2 / variance


def log_normal(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def log_weights(x, w, sigma, mean, variance, samples, seed):
    noise = np.random.default_rng(seed).standard_normal((samples, len(x)))
    z = mean + np.sqrt(variance) * noise
    joint = log_normal(x, w * z, sigma**2) + log_normal(z, 0, 1)
    return joint - log_normal(z, mean, variance)


def test_iw_nll_is_exact_with_the_exact_posterior():
    x, w, sigma, nll, mean, variance = linear_gaussian(20, seed=1)
    weights = log_weights(x, w, sigma, mean, variance, samples=3, seed=2)
    np.testing.assert_allclose(measure.iw_nll(weights), nll, rtol=1e-10)


def test_iw_nll_falls_to_the_exact_value_with_a_poor_posterior():
    x, w, sigma, nll, mean, variance = linear_gaussian(300, seed=3)
    bounds = []
    for samples in (1, 10, 500):
        weights = log_weights(x, w, sigma, mean + 0.2, 2 * variance, samples, seed=4)
        bounds.append(measure.iw_nll(weights).mean())
    assert bounds[0] > bounds[1] > bounds[2]
    assert abs(bounds[2] - nll.mean()) < 0.01
    # With one sample it is the negative ELBO, above the NLL by KL(q || p(z|x)).
    kl = 0.5 * (2 + 0.2**2 / variance - 1 - math.log(2))
    assert abs(bounds[0] - nll.mean() - kl) < 0.2


def test_iw_nll_does_not_overflow():
    assert measure.iw_nll([[-2000.0], [-2000.0]])[0] == 2000
    with pytest.raises(BadInput, match="not finite"):
        measure.iw_nll([[float("nan")]])
    with pytest.raises(BadInput, match="shape"):
        measure.iw_nll([1.0, 2.0])


def test_active_units_uses_the_unbiased_variance():
    means = np.zeros((3, 4))
    means[:, 0] = [-0.1, 0.0, 0.1]  # variance 0.01 with n − 1, 0.0067 with n
    means[:, 1] = [5, 5, 5]
    means[:, 2] = [-0.09, 0.0, 0.09]
    means[:, 3] = [0, 1, 2]
    assert measure.active_units(means * (1 + 1e-9)) == 2


def test_a_collapsed_posterior_has_no_mutual_information():
    same = measure.mutual_information(np.zeros((50, 3)), np.zeros((50, 3)))
    assert abs(same.nats) < 1e-9
    assert same.examples == 50 and math.isclose(same.cap_nats, math.log(50))


def test_far_apart_posteriors_reach_the_cap():
    means = np.arange(40.0)[:, None] * 1000
    far = measure.mutual_information(means, np.zeros((40, 1)), block=7)
    assert math.isclose(far.nats, far.cap_nats)


def test_mutual_information_of_a_gaussian_channel():
    # z = μ(x) + noise with μ ~ N(0, s²) and noise ~ N(0, 1): I = ½ ln(1 + s²) a dimension.
    random = np.random.default_rng(5)
    scale = np.array([1.0, 2.0])
    means = random.standard_normal((4000, 2)) * scale
    found = measure.mutual_information(means, np.zeros_like(means), seed=6)
    exact = 0.5 * np.log(1 + scale**2).sum()
    assert abs(found.nats - exact) < 0.06
    assert measure.mutual_information(
        means, np.zeros_like(means), seed=6, block=99
    ) == pytest.approx(found)
    with pytest.raises(BadInput, match="differ in shape"):
        measure.mutual_information(means, means[:5])


def test_exact_match_and_token_accuracy():
    assert measure.exact_match(["a b", "c"], ["a b", "d"]) == 0.5
    assert measure.token_accuracy(["a x c", "d"], ["a b c", "d e"]) == 3 / 5
    wanted = np.array([[5, 6, 2, 0], [7, 2, 0, 0]])
    assert measure.token_accuracy(wanted, wanted) == 1
    assert measure.token_accuracy([[5, 9, 2], [7, 7, 7]], wanted) == 3 / 5
    assert measure.token_accuracy([[5, 6, 2, 0, 9], [7, 2, 3, 3, 3]], wanted) == 1
    for measured in (measure.exact_match, measure.token_accuracy, measure.bleu):
        with pytest.raises(BadInput, match="as many"):
            measured(["a"], ["a", "b"])
        with pytest.raises(BadInput, match="lists of texts"):
            measured("a", "a")


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@given(st.text("abc", max_size=90), st.text("abc", max_size=90))
def test_edit_distance_is_levenshteins(a, b):
    assert measure.edit_distance(a, b) == levenshtein(a, b)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_edit_distance_is_a_metric(a, b, c):
    distance = measure.edit_distance
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_character_error_rate():
    assert measure.edit_distance("kitten", "sitting") == 3
    assert measure.character_error_rate(["kitten", "abc"], ["sitting", "abc"]) == 3 / 10


def test_bleu_by_hand_and_chrf():
    # Of six words five are right, of five pairs three, and so on; no brevity penalty.
    score = measure.bleu(["the cat sat on a mat"], ["the cat sat on the mat"])
    by_hand = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert math.isclose(score, by_hand)
    assert math.isclose(measure.bleu(["a b c d e"], ["a b c d e"]), 100)
    assert math.isclose(measure.chrf(["abc"], ["abc"]), 100)
    assert measure.chrf(["abd"], ["abc"]) < 100


def test_distinct_and_overlap():
    assert measure.distinct_n(["a b a b"], 1) == 0.5
    assert measure.distinct_n(["a b", "a b"], 2) == 0.5
    assert measure.copied_share(["He ran.", "She sat."], ["he  ran", "they sat"]) == 0.5
    assert measure.ngram_overlap(["a b c d"], ["b c d e"], n=2) == 2 / 3
    with pytest.raises(BadInput, match="no text has 5 words"):
        measure.distinct_n(["a b"], 5)


def test_self_bleu_is_high_for_copies_and_low_for_variety():
    grammar = data.Grammar()
    varied = measure.self_bleu(grammar.sample(60, seed=1))
    few = grammar.sample(4, seed=2)
    assert measure.self_bleu(few * 15) == pytest.approx(100)
    assert varied < 90
    assert measure.self_bleu(grammar.sample(300, seed=3), limit=10) < varied
    with pytest.raises(BadInput, match="two texts"):
        measure.self_bleu(["one"])


def test_pca_error_is_the_eigenvalues_left_out():
    x = data.load("digits").x_train
    covariance = np.cov(x.T, bias=True)
    eigenvalues = np.sort(np.linalg.eigvalsh(covariance))[::-1]
    for k in (1, 8, 32):
        left_out = eigenvalues[k:].sum() / x.shape[1]
        assert math.isclose(measure.pca_error(x, x, k), left_out, rel_tol=1e-6)
    pca = measure.PCA(8).fit(x)
    np.testing.assert_allclose(pca.eigenvalues[:64], eigenvalues, atol=1e-9)
    z = pca.encode(x)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.diag(eigenvalues[:8]), atol=1e-9)
    with pytest.raises(BadInput, match="components"):
        measure.PCA(65).fit(x)


def test_a_probe_reads_what_a_line_can_read():
    random = np.random.default_rng(7)
    z, other = random.standard_normal((400, 3)), random.standard_normal((400, 3))
    assert measure.linear_probe(z, z[:, 0] > 0, other, other[:, 0] > 0) > 0.97
    assert (
        measure.linear_probe(z, z[:, 0] * z[:, 1] > 0, other, other[:, 0] * other[:, 1] > 0) < 0.65
    )
    digits = data.load("digits")
    score = measure.linear_probe(digits.x_train, digits.y_train, digits.x_test, digits.y_test)
    assert 0.85 < score < 1


def test_tensors_are_taken_too():
    import keras

    means = keras.ops.convert_to_tensor(np.eye(4, dtype="float32"))
    assert measure.active_units(means) == 4
    assert math.isclose(measure.mean_squared_error(means, np.zeros((4, 4))), 0.25)


def test_known_compressors_on_known_bytes():
    sizes = measure.compressors(b"the same line again\n" * 2000)
    assert {"gzip -9", "bzip2 -9", "xz -9e"} <= set(sizes)
    assert all(0 < size < 400 for size in sizes.values())
    noise = np.random.default_rng(0).bytes(4096)
    assert all(size >= 4096 for size in measure.compressors(noise).values())
    assert all(size < 64 for size in measure.compressors(b"").values())


def test_ppmd_comes_back():
    pyppmd = pytest.importorskip("pyppmd")
    from aelib.measure.compressors import _ppmd

    text = data.load("pydoc").text("test").encode()
    packed = _ppmd(text, 6)
    assert pyppmd.Ppmd7Decoder(6, 256 << 20).decode(packed, len(text)) == text
    assert measure.compressors(text)["PPMd o6"] == len(packed)


def test_a_word_table_learns_what_goes_with_what_and_rewrites():
    old = [f"he {v}eth {w}; and thou {w}." for v in ("go", "say") for w in ("far", "near", "well")]
    new = [t.replace("eth", "es").replace("thou", "you") for t in old]
    table = measure.WordTable(least=3).fit(list(zip(old, new, strict=True)))
    assert table.entries == {"goeth": "goes", "sayeth": "sayes", "thou": "you"}
    assert table.rewrite("And thou  goeth — 'thou'!") == "And you  goes — 'you'!"
    assert measure.WordTable().fit([("a", "a")]).rewrite("thou") == "thou"
    with pytest.raises(BadInput, match="aligned"):
        measure.WordTable().fit([])
