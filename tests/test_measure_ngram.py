"""The n-gram model: a distribution, Kneser-Ney's by hand, and a learner of known sources."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aelib import data, measure
from aelib.errors import BadInput
from aelib.text import Tokenizer

sentences = st.lists(
    st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join), min_size=1, max_size=8
)


@settings(deadline=None)
@given(sentences, st.lists(st.sampled_from("abcdz"), max_size=5), st.integers(1, 5))
def test_every_context_has_a_distribution(texts, context, order):
    model = measure.NGramModel(order, vocabulary="abcde").fit(texts)
    text, at = " ".join(context), len(context)
    total = math.exp(-model.token_nll_nats([text])[0][at])  # the end token
    for word in [*"abcde", "unknown"]:
        total += math.exp(-model.token_nll_nats([f"{text} {word}"])[0][at])
    assert math.isclose(total, 1, rel_tol=1e-9)
    assert model.vocabulary_size == 7


def test_a_bigram_by_hand():
    model = measure.NGramModel(2).fit(["a b", "a b", "a c"])
    # Bigrams: <s>a 3, ab 2, ac 1, b</s> 2, c</s> 1: n1 = 2, n2 = 2, so D2 = 2/6.
    # Left neighbours: a 1 (<s>), b 1 (a), c 1 (a), </s> 2 (b, c): n1 = 3, n2 = 1, so D1 = 3/5.
    d2, d1, vocabulary = 1 / 3, 3 / 5, 5
    uniform = d1 * 4 / 5 / vocabulary
    p_b = (1 - d1) / 5 + uniform
    p_b_after_a = (2 - d2) / 3 + d2 * 2 / 3 * p_b
    p_a = (3 - d2) / 3 + d2 * 1 / 3 * ((1 - d1) / 5 + uniform)
    p_end_after_b = (2 - d2) / 2 + d2 * 1 / 2 * ((2 - d1) / 5 + uniform)
    found = np.exp(-model.token_nll_nats(["a b"])[0])
    np.testing.assert_allclose(found, [p_a, p_b_after_a, p_end_after_b])
    assert math.isclose(np.exp(-model.token_nll_nats(["zebra"])[0])[0],
                        d2 / 3 * uniform)  # fmt: skip


def test_sentences_are_independent():
    model = measure.NGramModel(3).fit(["the fox ran", "the fox slept", "a wolf ran"])
    texts = ["the wolf", "", "a fox ran home"]
    together, alone = model.nll_nats(texts), [model.nll_nats([text])[0] for text in texts]
    np.testing.assert_allclose(together, alone)
    assert math.isclose(
        model.perplexity(texts), math.exp(together.sum() / (2 + 0 + 4 + len(texts)))
    )


def test_longer_contexts_help_up_to_the_order_of_the_source():
    source = data.MarkovSource(order=2, alphabet="abcdef", seed=1)
    train, test = source.sample(60_000, seed=2), source.sample(20_000, seed=3)
    bits = []
    for order in (1, 2, 3):
        model = measure.NGramModel(order, unit="character").fit([train])
        bits.append(measure.bits_per_character(model.nll_nats([test]), test))
    assert bits[0] > bits[1] > bits[2]
    assert source.entropy_rate_bits - 0.02 < bits[2] < source.entropy_rate_bits + 0.05


def test_no_model_beats_the_grammars_entropy():
    corpus = data.load("grammar")
    model = measure.NGramModel(4).fit(corpus.train)
    bits = model.nll_nats(corpus.test).mean() / math.log(2)
    assert corpus.grammar.entropy_bits < bits < 1.3 * corpus.grammar.entropy_bits


def test_forward_and_reverse_perplexity_tell_dull_from_varied():
    corpus = data.load("grammar")
    real, held_out = corpus.train[:3000], corpus.test[:500]
    vocabulary = {word for text in real for word in measure.words(text)}
    varied = corpus.grammar.sample(3000, seed=11)
    dull = corpus.grammar.sample(30, seed=12) * 100
    scrambled = [" ".join(reversed(text.split())) for text in varied]

    def reverse(samples):
        return measure.reverse_perplexity(samples, held_out, vocabulary)

    assert reverse(varied) < 0.5 * reverse(dull)
    assert measure.forward_perplexity(varied, real) < 0.2 * measure.forward_perplexity(
        scrambled, real
    )


def test_what_it_refuses():
    with pytest.raises(BadInput, match="order >= 1"):
        measure.NGramModel(0)
    with pytest.raises(BadInput, match="unit"):
        measure.NGramModel(2, unit="byte")
    with pytest.raises(BadInput, match="call fit"):
        measure.NGramModel(2).nll_nats(["a"])
    with pytest.raises(BadInput, match="list of at least one text"):
        measure.NGramModel(2).fit("a text")


@settings(deadline=None)
@given(sentences, st.lists(st.sampled_from("abcdz"), max_size=5), st.integers(1, 5))
def test_the_distribution_is_what_the_nll_charges(texts, context, order):
    model = measure.NGramModel(order, vocabulary="abcde").fit(texts)
    text, at = " ".join(context), len(context)
    p = dict(zip(model.units, model.distribution(text), strict=True))
    assert math.isclose(sum(p.values()), 1) and p["<start>"] == 0
    for word in "abcde":
        nll = model.token_nll_nats([f"{text} {word}"])[0][at]
        assert math.isclose(p[word], math.exp(-nll), rel_tol=1e-9)
    end = model.token_nll_nats([text])[0][at]
    assert math.isclose(p["<end>"], math.exp(-end), rel_tol=1e-9)


def test_samples_follow_the_model():
    source = ["the fox ran.", "the fox slept.", "a wolf ran.", "a fox ran."]
    texts = measure.NGramModel(2).fit(source).sample(4000, seed=1)
    assert texts == measure.NGramModel(2).fit(source).sample(4000, seed=1)
    assert {word for text in texts for word in measure.words(text)} <= {
        "the",
        "a",
        "fox",
        "wolf",
        "ran",
        "slept",
        ".",
    }
    model = measure.NGramModel(2).fit(source)
    p = dict(zip(model.units, model.distribution(), strict=True))
    share = sum(text.startswith("the ") for text in texts) / 4000
    assert abs(share - p["the"] / (1 - p["<unk>"])) < 0.04
    letters = measure.NGramModel(3, unit="character").fit(["abab", "abb"]).sample(50, max_units=9)
    assert all(set(text) <= {"a", "b"} and len(text) <= 9 for text in letters)


def test_it_counts_the_ids_of_a_tokenizer():
    lines = ["the fox ran.", "the fox slept.", "a wolf ran."]
    tokenizer = Tokenizer.train(lines, "bpe", 300)
    model = measure.NGramModel(3, tokenizer).fit(lines)
    nll = model.token_nll_nats(["the wolf 狼"])[0]
    assert len(nll) == len(tokenizer.ids(["the wolf 狼"])[0]) + 1 and np.isfinite(nll).all()
    p = model.distribution("the wo")
    assert math.isclose(p.sum(), 1) and model.units[3:] == list(range(tokenizer.size))
    assert set(model.sample(20, seed=0)) & set(lines)


def test_an_untrained_model_says_what_to_do():
    with pytest.raises(BadInput, match="fit"):
        measure.NGramModel(2).distribution("a")
