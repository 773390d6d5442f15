"""Sources of known entropy against closed forms, enumeration and sampling."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aelib import data
from aelib.errors import BadInput


def test_entropy_agrees_with_sampling():
    grammar = data.Grammar()
    bits = np.array([-grammar.log2_prob(s) for s in grammar.sample(4000, seed=7)])
    assert abs(bits.mean() - grammar.entropy_bits) < 4 * bits.std() / math.sqrt(len(bits))


def test_mean_length_agrees_with_sampling():
    grammar = data.Grammar()
    lengths = np.array([len(s) for s in grammar.sample(4000, seed=8)])
    assert abs(lengths.mean() - grammar.mean_characters) < 4 * lengths.std() / math.sqrt(4000)


def test_no_sampled_sentence_is_ambiguous():
    grammar = data.Grammar()
    assert {grammar.derivations(s) for s in grammar.sample(1000, seed=9)} == {1}


def test_a_finite_grammar_by_enumeration():
    rules = {
        "S": [(0.5, "A B"), (0.3, "A"), (0.2, "so A , B")],
        "A": [(0.9, "x"), (0.1, "y z")],
        "B": [(0.25, "one"), (0.75, "two A")],
    }
    grammar = data.Grammar(rules)
    a = {"x": 0.9, "y z": 0.1}
    b = {"one": 0.25} | {f"two {k}": 0.75 * p for k, p in a.items()}
    sentences = {k: 0.3 * p for k, p in a.items()}
    sentences |= {f"{k} {m}": 0.5 * p * q for k, p in a.items() for m, q in b.items()}
    sentences |= {f"so {k}, {m}": 0.2 * p * q for k, p in a.items() for m, q in b.items()}
    assert math.isclose(sum(sentences.values()), 1)
    entropy = -sum(p * math.log2(p) for p in sentences.values())
    assert math.isclose(grammar.entropy_bits, entropy)
    mean = sum(p * (len(s) + 1) for s, p in sentences.items())
    assert math.isclose(grammar.mean_characters, mean)
    for sentence, p in sentences.items():
        assert math.isclose(2 ** grammar.log2_prob(sentence.capitalize() + "."), p)


@given(st.floats(0.01, 0.95))
def test_a_recursive_grammar_has_the_entropy_of_a_geometric_variable(p):
    grammar = data.Grammar({"S": [(p, "a S"), (1 - p, "a")]})
    coin = -p * math.log2(p) - (1 - p) * math.log2(1 - p)
    assert math.isclose(grammar.entropy_bits, coin / (1 - p), rel_tol=1e-9)
    assert math.isclose(grammar.log2_prob("A a a."), 2 * math.log2(p) + math.log2(1 - p))


def test_derivations_are_counted():
    rules = {"S": [(0.5, "A A"), (0.5, "b")], "A": [(0.5, "b"), (0.5, "b b")]}
    grammar = data.Grammar(rules)
    assert grammar.derivations("B b b.") == 2
    assert math.isclose(grammar.log2_prob("B b b."), math.log2(0.25))
    assert grammar.derivations("B c.") == 0


@pytest.mark.parametrize(
    "text", ["", ".", "The fox.", "the fox slept quietly.", "The fox slept quietly", "Fox quietly."]
)
def test_what_the_grammar_cannot_say_has_probability_zero(text):
    grammar = data.Grammar()
    assert grammar.log2_prob("The fox slept quietly.") > -20
    assert grammar.log2_prob(text) == -math.inf


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"S": [(0.5, "a"), (0.4, "b")]}, "sum to 1"),
        ({"S": [(1.0, "a B")]}, "B, which has no rules"),
        ({"S": [(0.5, "a S S"), (0.5, "b")]}, "need not end"),
    ],
)
def test_a_grammar_that_is_none(rules, message):
    with pytest.raises(BadInput, match=message):
        data.Grammar(rules)


def test_the_grammar_corpus_is_a_sample_of_its_grammar():
    corpus = data.load("grammar")
    assert corpus.train[:5] == tuple(corpus.grammar.sample(5, seed=1))
    assert all(corpus.grammar.log2_prob(sentence) > -60 for sentence in corpus.test[:200])


def test_markov_of_order_zero_is_independent_letters():
    source = data.MarkovSource(order=0, alphabet="abc", seed=3)
    p = source.transitions[0]
    assert math.isclose(source.entropy_rate_bits, -(p * np.log2(p)).sum())
    assert math.isclose(source.log2_prob("abca"), np.log2(p[[0, 1, 2, 0]]).sum())


def test_a_chain_of_two_states_by_its_closed_form():
    source = data.MarkovSource(order=1, alphabet="01", seed=5, concentration=1.0)
    a, b = source.transitions[0, 1], source.transitions[1, 0]

    def coin(p):
        return -p * math.log2(p) - (1 - p) * math.log2(1 - p)

    assert math.isclose(source.entropy_rate_bits, (b * coin(a) + a * coin(b)) / (a + b))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3), st.integers(2, 5), st.integers(0, 1000))
def test_the_stationary_distribution_stays(order, k, seed):
    source = data.MarkovSource(order, "abcde"[:k], seed, concentration=1.0)
    after = np.zeros(k**order)
    for context in range(k**order):
        for a in range(k):
            after[(context * k + a) % k**order] += (
                source.stationary[context] * source.transitions[context, a]
            )
    np.testing.assert_allclose(after, source.stationary, atol=1e-9)
    assert 0 <= source.entropy_rate_bits <= math.log2(k)


def test_markov_rate_agrees_with_a_long_sample():
    source = data.MarkovSource(order=2, seed=1)
    text = source.sample(200_000, seed=2)
    assert len(text) == 200_000 and set(text) <= set(source.alphabet)
    assert text == source.sample(200_000, seed=2) != source.sample(200_000, seed=3)
    rate = -source.log2_prob(text) / len(text)
    assert abs(rate - source.entropy_rate_bits) < 0.02
    assert source.log2_prob("ABC") == -math.inf


@pytest.mark.parametrize(
    "arguments", [{"order": -1}, {"alphabet": "a"}, {"alphabet": "aa"}, {"order": 9}]
)
def test_a_markov_source_that_is_none(arguments):
    with pytest.raises(BadInput, match="Markov source"):
        data.MarkovSource(**arguments)
