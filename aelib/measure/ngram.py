"""A small n-gram language model, the reference that needs no training time to speak of."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from aelib.errors import BadInput
from aelib.text import Tokenizer

_UNKNOWN, _START, _END = 0, 1, 2
WORD = r"\w+(?:['’-]\w+)*|[^\w\s]"  # a word or a punctuation mark


def words(text: str) -> list[str]:
    """Words and punctuation marks: "Don't go." -> ["Don't", "go", "."]."""
    return re.findall(WORD, text)


class NGramModel:
    """Interpolated Kneser–Ney (Kneser & Ney 1995; Chen & Goodman 1999, eq. 20-22).

    p_k(w|h) = max(c(hw) − D_k, 0)/c(h·) + D_k·N1+(h·)/c(h·) · p_{k−1}(w|h'), where h' drops the
    oldest word; below the highest order, c counts the different words seen before hw. Under the
    unigrams lies the uniform distribution over the vocabulary, so any text has a probability.
    D_k = n1/(n1 + 2·n2). Sentences are independent, each with an end token.

    Args:
        order: longest n-gram.
        unit: "word", "character", or a `Tokenizer`: its ids.
        vocabulary: the known units; by default those of the text it is fitted on, or all ids of
            the tokenizer. Others are ``<unk>``, an ordinary token that costs what the model gives
            it.
    """

    def __init__(
        self,
        order: int = 3,
        unit: str | Tokenizer = "word",
        vocabulary: Iterable[Any] | None = None,
    ) -> None:
        if order < 1 or not (isinstance(unit, Tokenizer) or unit in ("word", "character")):
            raise BadInput(
                'an n-gram model needs order >= 1, and unit "word", "character" or a Tokenizer'
            )
        self.order, self.unit = order, unit
        if vocabulary is None and isinstance(unit, Tokenizer):
            vocabulary = range(unit.size)
        self._vocabulary = None if vocabulary is None else set(vocabulary)
        self._ids: dict[Any, int] = {}

    @property
    def vocabulary_size(self) -> int:
        """Tokens it can predict: the known units, ``<unk>`` and the end token."""
        return len(self._ids) + 2

    def fit(self, texts: Sequence[str]) -> "NGramModel":
        """Count the texts' n-grams. Returns the model itself."""
        split = [self._split(text) for text in _listed(texts)]
        known = self._vocabulary
        if known is None:
            known = {unit for units in split for unit in units}
        self._ids = {unit: i for i, unit in enumerate(sorted(known), start=3)}
        tokens, depth = self._encode(split)
        self._keys: list[np.ndarray] = []  # per order: sorted codes (prefix's number, last token)
        ends = np.zeros(len(tokens), dtype=np.int64)  # number of the (k−1)-gram ending here
        grams = []
        for k in range(1, self.order + 1):
            codes = _before(ends) * self._width + tokens
            valid = depth >= k - 1
            if not valid.any():
                break  # no text is that long
            keys = np.unique(codes[valid])
            ends = np.where(valid, np.searchsorted(keys, codes), -1)
            self._keys.append(keys)
            grams.append(ends)
        self._count(grams, tokens, depth)
        return self

    def nll_nats(self, texts: Sequence[str]) -> np.ndarray:
        """NLL of each text in nats, end token included: (n,)."""
        return np.array([nll.sum() for nll in self.token_nll_nats(texts)])

    def token_nll_nats(self, texts: Sequence[str]) -> list[np.ndarray]:
        """NLL of each text's tokens in nats, the end token last: n arrays of (units + 1,)."""
        if not self._ids:
            raise BadInput("call fit with some text first")
        tokens, depth = self._encode([self._split(text) for text in _listed(texts)])
        starts = np.flatnonzero(depth == 0)
        return [
            nll[1:] for nll in np.split(-np.log(self._probabilities(tokens, depth)), starts[1:])
        ]

    def _probabilities(self, tokens: np.ndarray, depth: np.ndarray) -> np.ndarray:
        p = np.full(len(tokens), 1 / self.vocabulary_size)
        context = np.zeros(len(tokens), dtype=np.int64)  # number of the (k−1)-gram before, or −1
        for k in range(1, len(self._keys) + 1):
            codes = context * self._width + tokens
            found = self._find(k, codes, context >= 0)
            total = np.where(context >= 0, self._totals[k - 1][context], 0)
            count = np.where(found >= 0, self._counts[k - 1][found], 0)
            types, discount = self._types[k - 1][context], self._discounts[k - 1]
            safe = np.maximum(total, 1)
            mixed = np.maximum(count - discount, 0) / safe + discount * types / safe * p
            p = np.where(total > 0, mixed, p)
            context = np.where(depth >= k, _before(found), -1)
        return p  # what it says of start tokens is not used

    def perplexity(self, texts: Sequence[str]) -> float:
        """exp(Σ NLL / Σ (units + 1)): the end token counts, the start token does not."""
        units = sum(len(self._split(text)) + 1 for text in _listed(texts))
        return math.exp(self.nll_nats(texts).sum() / units)

    @property
    def units(self) -> list[Any]:
        """What `distribution` is over: ``<unk>``, ``<start>``, ``<end>``, then the known units."""
        return ["<unk>", "<start>", "<end>", *self._ids]

    def distribution(self, prefix: str = "") -> np.ndarray:
        """p(next unit | prefix), (len(units),), sums to 1; ``<start>`` is never next."""
        if not self._ids:
            raise BadInput("call fit with some text first")
        return self._after([self._ids.get(unit, _UNKNOWN) for unit in self._split(prefix)])

    def _after(self, tokens: Sequence[int]) -> np.ndarray:
        """`distribution` after these tokens of a text, from its first on."""
        history = [_START, *tokens]
        p = np.full(self._width, 1 / self.vocabulary_size)
        p[_START] = 0.0
        for k, keys in enumerate(self._keys[: len(history) + 1], start=1):
            context = self._number(history[len(history) - k + 1 :])
            total = self._totals[k - 1][context] if context >= 0 else 0
            if total == 0:
                break  # no longer context was seen either
            bounds = np.array([context, context + 1], dtype=np.int64) * self._width
            first, last = np.searchsorted(keys, bounds)
            discount = self._discounts[k - 1]
            p *= discount * self._types[k - 1][context] / total
            seen = np.maximum(self._counts[k - 1][first:last] - discount, 0) / total
            p[keys[first:last] - bounds[0]] += seen
        return p

    def sample(self, n: int, seed: int = 0, max_units: int = 60) -> list[str]:
        """n texts drawn unit by unit, each at most max_units long; ``<unk>`` is never drawn."""
        rng, units = np.random.default_rng(seed), self.units
        drawn = [self._draw(rng, max_units) for _ in range(n)]
        return [self._join([units[token] for token in tokens]) for tokens in drawn]

    def _draw(self, rng: np.random.Generator, max_units: int) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < max_units:
            p = self._after(drawn)
            p[_UNKNOWN] = 0.0
            token = int(rng.choice(len(p), p=p / p.sum()))
            if token == _END:
                break
            drawn.append(token)
        return drawn

    def _join(self, units: Sequence[Any]) -> str:
        if isinstance(self.unit, Tokenizer):
            return self.unit.decode([units])[0]
        if self.unit == "character":
            return "".join(units)
        return re.sub(r" ([^\w\s])", r"\1", " ".join(units))

    def _number(self, gram: Sequence[int]) -> int:
        """Number of a seen n-gram among those of its length, -1 for others; 0 for the empty one."""
        number = np.zeros(1, dtype=np.int64)
        for k, token in enumerate(gram, start=1):
            number = self._find(k, number * self._width + token, number >= 0)
        return int(number[0])

    @property
    def _width(self) -> int:
        return len(self._ids) + 3

    def _split(self, text: str) -> list[Any]:
        if isinstance(self.unit, Tokenizer):
            return list(self.unit.ids([text])[0])
        return words(text) if self.unit == "word" else list(text)

    def _encode(self, split: list[list[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """All texts in one row of tokens, and each token's distance from its text's start."""
        ids = self._ids
        coded = [[ids.get(unit, _UNKNOWN) for unit in units] for units in split]
        tokens = [token for row in coded for token in (_START, *row, _END)]
        depth = [d for units in split for d in range(len(units) + 2)]
        return np.array(tokens, dtype=np.int64), np.array(depth, dtype=np.int64)

    def _count(self, grams: list[np.ndarray], tokens: np.ndarray, depth: np.ndarray) -> None:
        self._counts, self._totals, self._types, self._discounts = [], [], [], []
        for k, keys in enumerate(self._keys, start=1):
            here = grams[k - 1]
            counts = np.bincount(here[here >= 0], minlength=len(keys))
            if k < len(self._keys):  # different left neighbours, but a text's beginning has none
                _, first = np.unique(grams[k], return_index=True)
                first = first[grams[k][first] >= 0]
                neighbours = np.bincount(here[first], minlength=len(keys))
                begins = np.zeros(len(keys), dtype=bool)
                begins[here[depth == k - 1]] = True
                counts = np.where(begins, counts, neighbours)
            if k == 1:
                counts = np.where(keys == _START, 0, counts)  # never predicted
            parents = 1 if k == 1 else len(self._keys[k - 2])
            prefix = keys // self._width
            self._counts.append(counts)
            self._totals.append(np.bincount(prefix, weights=counts, minlength=parents))
            self._types.append(np.bincount(prefix, weights=counts > 0, minlength=parents))
            once, twice = (counts == 1).sum(), (counts == 2).sum()
            self._discounts.append(once / (once + 2 * twice) if once and twice else 0.5)

    def _find(self, k: int, codes: np.ndarray, valid: np.ndarray) -> np.ndarray:
        keys = self._keys[k - 1]
        at = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
        return np.where(valid & (keys[at] == codes), at, -1)


def _before(numbers: np.ndarray) -> np.ndarray:
    """Shift by one: what stands at the previous position."""
    return np.concatenate([numbers[:1] * 0, numbers[:-1]])


def _listed(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str) or len(texts) == 0:
        raise BadInput("give a list of at least one text")
    return list(texts)
