"""Sources whose entropy is known exactly, so that bits over entropy can be stated."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType

import numpy as np

from aelib.data.corpus import Corpus, Provenance, digest
from aelib.errors import BadInput

Rules = Mapping[str, Sequence[tuple[float, str]]]


def _uniform(*words: str) -> list[tuple[float, str]]:
    return [(1 / len(words), word) for word in words]


# A name in capitals is a symbol to expand, anything else is a word. No sentence has two
# derivations: a place phrase follows only verbs of motion, a relative clause follows only the noun
# right before it, and whatever "said that" opens runs to the end of the sentence.
ENGLISH: Rules = MappingProxyType({
    "SENTENCE": [(0.68, "CLAUSE"), (0.20, "TIME , CLAUSE"), (0.12, "WHO SAID that CLAUSE2")],
    "CLAUSE2": [(0.85, "CLAUSE"), (0.15, "WHO SAID that CLAUSE2")],
    "CLAUSE": [(0.62, "SUBJECT DID"), (0.38, "SUBJECTS DID")],
    "SUBJECT": [(0.30, "NAME"), (0.58, "the BEING"), (0.12, "the BEING who DID_SIMPLY")],
    "SUBJECTS": [(0.55, "the BEINGS"), (0.25, "NUMBER BEINGS"), (0.20, "all the BEINGS")],
    "WHO": [(0.6, "NAME"), (0.4, "the BEING")],
    "DID": [(0.30, "WENT PLACE"), (0.48, "MADE OBJECT"), (0.22, "RESTED HOW")],
    "DID_SIMPLY": [(0.5, "WENT PLACE"), (0.5, "MADE THING")],
    "OBJECT": [(0.62, "THING"), (0.23, "THING that NAME MADE"), (0.15, "NUMBER THINGS")],
    "THING": [(0.55, "the NOUN"), (0.45, "the QUALITY NOUN")],
    "THINGS": [(0.7, "NOUNS"), (0.3, "QUALITY NOUNS")],
    "PLACE": [(0.8, "WHERE SITE"), (0.2, "WHERE SITE near SITE")],
    "SITE": [(0.7, "the SPOT"), (0.3, "the QUALITY SPOT")],
    "TIME": _uniform("in the morning", "that night", "after the rain", "one winter", "at last"),
    "SAID": [(0.5, "said"), (0.2, "hoped"), (0.2, "thought"), (0.1, "dreamed")],
    "NAME": _uniform("Anna", "Marta", "Tomas", "Peter", "Ivo", "Lena", "Oskar", "Vera"),
    "BEING": _uniform("king", "miller", "fox", "old woman", "child", "captain", "stranger",
                      "shepherd", "wolf", "queen", "doctor", "poet"),
    "BEINGS": _uniform("children", "sailors", "soldiers", "birds", "neighbours", "horses",
                       "sisters", "farmers", "wolves", "travellers"),
    "NUMBER": [(0.4, "two"), (0.3, "three"), (0.2, "seven"), (0.1, "twelve")],
    "WENT": _uniform("walked", "ran", "climbed", "returned", "travelled", "hurried"),
    "WHERE": _uniform("to", "towards", "past", "away from"),
    "SPOT": _uniform("river", "mountain", "city", "harbour", "forest", "bridge", "garden",
                     "lighthouse", "market", "castle", "valley", "library"),
    "MADE": _uniform("found", "carried", "painted", "sold", "remembered", "broke", "hid", "loved",
                     "wanted", "bought", "mended", "lost"),
    "NOUN": _uniform("lamp", "letter", "bread", "boat", "clock", "ring", "key", "map", "mirror",
                     "song", "sword", "violin", "window", "coat", "book", "stone"),
    "NOUNS": _uniform("lamps", "letters", "apples", "boats", "clocks", "rings", "keys", "maps",
                      "coins", "songs", "books", "stones"),
    "QUALITY": [(0.2, "old"), (0.2, "small"), (0.15, "silver"), (0.15, "quiet"), (0.1, "golden"),
                (0.1, "broken"), (0.05, "blue"), (0.05, "forgotten")],
    "RESTED": _uniform("slept", "waited", "sang", "laughed", "wept", "listened"),
    "HOW": [(0.4, "quietly"), (0.3, "all day"), (0.2, "in silence"), (0.1, "without a word")],
})  # fmt: skip


class Grammar:
    """A probabilistic context-free grammar without ambiguity, so its entropy is exact.

    H(A) = Σ_r p_r [−log2 p_r + Σ_{B in r} H(B)] for each symbol A: a linear system
    (I − M) H = h with M[A, B] = Σ_r p_r · count of B in r. It has a finite solution because the
    spectral radius of M is below 1 (checked here): sentences end with probability 1.
    See Grenander (1967); Cover & Thomas, Elements of Information Theory, ch. 4.

    Args:
        rules: symbol -> [(probability, right side)]; the first symbol is the start. Names in
            capitals are symbols, the rest words. A symbol may not begin its own expansion.

    Raises:
        BadInput: probabilities do not sum to 1, a symbol has no rules, or sentences need not end.
    """

    def __init__(self, rules: Rules = ENGLISH) -> None:
        self.start = next(iter(rules))
        self._rules = {
            symbol: [(p, tuple(right.split())) for p, right in options]
            for symbol, options in rules.items()
        }
        self._words = {
            word for options in self._rules.values() for _, right in options for word in right
        } - set(self._rules)
        self._cumulative = {
            symbol: list(accumulate(p for p, _ in options))
            for symbol, options in self._rules.items()
        }
        self._check()
        self._entropy = self._solve()

    @property
    def entropy_bits(self) -> float:
        """Entropy of one sentence, in bits (exact)."""
        return float(self._entropy[0])

    @property
    def mean_characters(self) -> float:
        """Expected characters of a sentence (exact; its full stop and no newline counted)."""
        lengths = {  # each word costs its letters and a space, a comma costs itself alone
            symbol: sum(p * sum(_width(w) for w in right if w not in self._rules)
                        for p, right in options)
            for symbol, options in self._rules.items()
        }  # fmt: skip
        local = np.array([lengths[symbol] for symbol in self._rules])
        total = np.linalg.solve(np.eye(len(local)) - self._expected_counts(), local)
        return float(total[0])  # the space before the first word makes room for the full stop

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """``n`` independent sentences."""
        random = np.random.default_rng(seed)
        return [self._write(self._expand(random)) for _ in range(n)]

    def log2_prob(self, sentence: str) -> float:
        """log2 probability of a sentence; −inf when the grammar cannot produce it."""
        probability, _ = self._parse(sentence)
        return math.log2(probability) if probability else -math.inf

    def derivations(self, sentence: str) -> int:
        """How many ways the grammar has to produce a sentence: 1, or 0 if it cannot."""
        return self._parse(sentence)[1]

    def _parse(self, sentence: str) -> tuple[float, int]:
        """(probability, derivations) of a sentence, written exactly as ``sample`` writes it."""
        words = sentence.removesuffix(".").replace(",", " ,").split()
        if words:
            # The capital of the first word is the sentence's, unless it is a name's.
            lower = words[0][:1].lower() + words[0][1:]
            words[0] = words[0] if words[0] in self._words else lower
        if self._write(words) != sentence:
            return 0.0, 0
        return self._ends(self.start, 0, words, {}).get(len(words), (0.0, 0))

    def _check(self) -> None:
        for symbol, options in self._rules.items():
            if abs(sum(p for p, _ in options) - 1) > 1e-9 or min(p for p, _ in options) <= 0:
                raise BadInput(f"the probabilities of {symbol} must be positive and sum to 1")
            for _, right in options:
                for word in right:
                    if word.isupper() and word not in self._rules:
                        raise BadInput(f"{symbol} uses {word}, which has no rules")
        if max(abs(np.linalg.eigvals(self._expected_counts()))) >= 1:
            raise BadInput("sentences of this grammar need not end: lower the recursive rules")

    def _expected_counts(self) -> np.ndarray:
        """M (symbols, symbols): how many of each symbol one expansion of a symbol brings."""
        index = {symbol: i for i, symbol in enumerate(self._rules)}
        counts = np.zeros((len(index), len(index)))
        for symbol, options in self._rules.items():
            for p, right in options:
                for word in right:
                    if word in index:
                        counts[index[symbol], index[word]] += p
        return counts

    def _solve(self) -> np.ndarray:
        choice = np.array([
            -sum(p * math.log2(p) for p, _ in options) for options in self._rules.values()
        ])  # fmt: skip
        return np.linalg.solve(np.eye(len(choice)) - self._expected_counts(), choice)

    def _expand(self, random: np.random.Generator) -> list[str]:
        words, todo = [], [self.start]
        while todo:
            word = todo.pop()
            if word not in self._rules:
                words.append(word)
                continue
            options = self._rules[word]
            chosen = bisect_right(self._cumulative[word], random.random())
            todo.extend(reversed(options[min(chosen, len(options) - 1)][1]))
        return words

    @staticmethod
    def _write(words: Sequence[str]) -> str:
        text = " ".join(words).replace(" ,", ",")
        return text[:1].upper() + text[1:] + "."

    def _ends(
        self, symbol: str, at: int, words: list[str], memo: dict
    ) -> dict[int, tuple[float, int]]:
        """Inside probabilities: end position -> (probability, derivations) of symbol from at."""
        if (symbol, at) in memo:
            return memo[symbol, at]
        totals: dict[int, tuple[float, int]] = {}
        for p, right in self._rules[symbol]:
            ends = {at: (p, 1)}
            for word in right:
                ends = self._advance(word, ends, words, memo)
            for end, (q, count) in ends.items():
                before, counted = totals.get(end, (0.0, 0))
                totals[end] = (before + q, counted + count)
        memo[symbol, at] = totals
        return totals

    def _advance(self, word: str, ends: dict, words: list[str], memo: dict) -> dict:
        after: dict[int, tuple[float, int]] = {}
        for at, (p, count) in ends.items():
            if word in self._rules:
                found = self._ends(word, at, words, memo)
            else:
                fits = at < len(words) and words[at] == word
                found = {at + 1: (1.0, 1)} if fits else {}
            for end, (q, times) in found.items():
                before, counted = after.get(end, (0.0, 0))
                after[end] = (before + p * q, counted + count * times)
        return after


def _width(word: str) -> int:
    return 1 if word == "," else len(word) + 1


class GrammarCorpus(Corpus):
    """Sentences drawn from ``grammar``, whose entropy is known."""

    @property
    def grammar(self) -> Grammar:
        return Grammar()


def load_grammar() -> GrammarCorpus:
    """20,000 + 2,000 + 2,000 independent sentences of the English-like grammar."""
    grammar = Grammar()
    sizes = {1: 20_000, 2: 2_000, 3: 2_000}
    train, validation, test = (tuple(grammar.sample(n, seed)) for seed, n in sizes.items())
    provenance = Provenance(
        source="aelib's probabilistic grammar",
        version="1",
        licence="MIT",
        split="independent samples (a sentence may occur in two splits)",
        url="",
        sha256=digest(train, validation, test),
    )
    return GrammarCorpus("grammar", train, validation, test, provenance)


class MarkovSource:
    """A random Markov chain over characters, with its exact entropy rate.

    Each context of ``order`` characters has its own next-character distribution, drawn from a
    symmetric Dirichlet. With stationary distribution π over contexts,
    H = −Σ_c π_c Σ_a P(a|c) log2 P(a|c) bits per character (Cover & Thomas, theorem 4.2.4).

    Args:
        order: characters of context, 0 or more.
        alphabet: the characters, each once; len(alphabet) ** (order + 1) may not pass 2^22.
        seed: which source.
        concentration: of the Dirichlet; lower is more predictable.
    """

    def __init__(
        self,
        order: int = 2,
        alphabet: str = "abcdefghijklmnopqrstuvwxyz ",
        seed: int = 0,
        concentration: float = 0.2,
    ) -> None:
        k = len(alphabet)
        if order < 0 or k < 2 or len(set(alphabet)) != k or k ** (order + 1) > 2**22:
            raise BadInput("a Markov source needs order >= 0, two or more different characters "
                           "and at most 2**22 transitions")  # fmt: skip
        self.order, self.alphabet = order, alphabet
        gamma = np.random.default_rng(seed).standard_gamma(concentration, (k**order, k))
        gamma += 1e-12  # keeps every transition possible: one ergodic chain
        self.transitions = gamma / gamma.sum(1, keepdims=True)  # (contexts, k)
        self.stationary = self._stationary()  # (contexts,)

    @property
    def entropy_rate_bits(self) -> float:
        """Entropy rate in bits per character (exact)."""
        p = self.transitions
        return float(-(self.stationary[:, None] * p * np.log2(p)).sum())

    def sample(self, n_chars: int, seed: int = 0) -> str:
        """A string of ``n_chars`` characters from the stationary chain."""
        random = np.random.default_rng(seed)
        k, contexts = len(self.alphabet), len(self.transitions)
        cumulative = np.cumsum(self.transitions, 1)
        cumulative[:, -1] = 1.0
        rows: dict[int, list[float]] = {}  # as lists, which bisect searches quickest
        context = int(random.choice(contexts, p=self.stationary))
        chosen = [context // k**i % k for i in reversed(range(self.order))][:n_chars]
        for u in random.random(max(0, n_chars - self.order)).tolist():
            if context not in rows:
                rows[context] = cumulative[context].tolist()
            a = bisect_right(rows[context], u)
            chosen.append(a)
            context = (context * k + a) % contexts
        return "".join(self.alphabet[a] for a in chosen)

    def log2_prob(self, text: str) -> float:
        """log2 probability of a text; its first ``order`` characters are taken as given."""
        index = {character: i for i, character in enumerate(self.alphabet)}
        if not set(text) <= set(index):
            return -math.inf
        ids = np.array([index[character] for character in text], dtype=np.int64)
        n, k = max(0, len(ids) - self.order), len(self.alphabet)
        context = np.zeros(n, dtype=np.int64)
        for i in range(self.order):
            context = context * k + ids[i : i + n]
        return float(np.log2(self.transitions[context, ids[self.order :]]).sum())

    def _stationary(self) -> np.ndarray:
        contexts = len(self.transitions)
        pi = np.full(contexts, 1 / contexts)
        for _ in range(10_000):
            # Context c followed by a becomes (c·k + a) mod contexts: the oldest character drops.
            joint = pi[:, None] * self.transitions  # (contexts, k)
            new = joint.reshape(-1, contexts).sum(0)
            if np.abs(new - pi).sum() < 1e-14:
                break
            pi = new
        return new / new.sum()
