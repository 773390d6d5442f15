"""Generated text: is it varied, is it new, and would real text be likely under it?"""

import re
from collections.abc import Iterable, Iterator, Sequence

from aelib.errors import BadInput
from aelib.measure.ngram import NGramModel, words


def ngrams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Every run of n tokens."""
    return zip(*(tokens[i:] for i in range(n)), strict=False)


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Different word n-grams / all word n-grams, 0 to 1 (Li et al. 2016).

    It falls as more text is counted: compare only equal amounts.
    """
    every = [gram for text in _texts(texts) for gram in ngrams(words(text), n)]
    if not every:
        raise BadInput(f"distinct_n: no text has {n} words")
    return len(set(every)) / len(every)


def self_bleu(texts: Sequence[str], limit: int = 200) -> float:
    """Mean BLEU-4 of each text against all the others, 0 to 100 (Zhu et al. 2018); lower is varied.

    Uses at most ``limit`` texts, evenly spaced, since the cost is quadratic.
    """
    from sacrebleu.metrics.bleu import BLEU

    texts = _texts(texts)
    if len(texts) > limit:
        texts = [texts[i * len(texts) // limit] for i in range(limit)]
    if len(texts) < 2:
        raise BadInput("self_bleu needs at least two texts")
    metric = BLEU(effective_order=True)
    scores = [
        metric.sentence_score(text, texts[:i] + texts[i + 1 :]).score
        for i, text in enumerate(texts)
    ]
    return sum(scores) / len(scores)


def copied_share(texts: Sequence[str], training: Iterable[str]) -> float:
    """Share of texts that are in the training data, case and spacing aside; 0 to 1."""
    texts = _texts(texts)
    known = {_key(text) for text in training}
    return sum(_key(text) in known for text in texts) / len(texts)


def ngram_overlap(texts: Sequence[str], training: Iterable[str], n: int = 4) -> float:
    """Share of the texts' word n-grams that the training data has, 0 to 1."""
    known = {gram for text in training for gram in ngrams(_key(text).split(), n)}
    every = [gram for text in _texts(texts) for gram in ngrams(_key(text).split(), n)]
    if not every:
        raise BadInput(f"ngram_overlap: no text has {n} words")
    return sum(gram in known for gram in every) / len(every)


def forward_perplexity(samples: Sequence[str], real: Sequence[str], order: int = 3) -> float:
    """Perplexity per word of the samples under an n-gram model of real text: are they fluent?"""
    return NGramModel(order).fit(real).perplexity(samples)


def reverse_perplexity(
    samples: Sequence[str], real: Sequence[str], vocabulary: Iterable[str], order: int = 3
) -> float:
    """Perplexity per word of real text under an n-gram model of the samples: do they cover it?

    Args:
        samples: generated texts; compare only equal numbers of them.
        real: held-out real text.
        vocabulary: the words of the real *training* text, so that words which the samples lack
            are paid for, and every model is measured on the same words.
    """
    return NGramModel(order, vocabulary=vocabulary).fit(samples).perplexity(real)


def _texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str) or len(texts) == 0:
        raise BadInput("give a list of at least one text")
    return list(texts)


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+(?:'\w+)*", text.lower()))
