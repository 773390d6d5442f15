"""How much of the input comes back. Decode free-running, never teacher-forced, unless you say so.

Every function takes the outputs first and the originals second.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aelib.errors import BadInput
from aelib.measure.arrays import same_length, to_numpy


def exact_match(outputs: Sequence[str], originals: Sequence[str]) -> float:
    """Share of texts that come back exactly, 0 to 1."""
    same_length(outputs, originals, "exact_match")
    return sum(a == b for a, b in zip(outputs, originals, strict=True)) / len(originals)


def token_accuracy(outputs: Any, originals: Any, pad: int = 0) -> float:
    """Share of the originals' tokens that the outputs have at the same position, 0 to 1.

    Args:
        outputs: token ids (n, T'), or n texts, whose tokens are what spaces separate.
        originals: token ids (n, T), or n texts. Padding is left out; the end token counts if it
            is there. A shorter output has its missing tokens wrong.
    """
    same_length(outputs, originals, "token_accuracy")
    if isinstance(originals[0], str):
        return _word_accuracy(outputs, originals)
    got, wanted = to_numpy(outputs), to_numpy(originals)
    if got.ndim != 2 or wanted.ndim != 2:
        raise BadInput("token_accuracy: token ids must have shape (n, T)")
    length = min(got.shape[1], wanted.shape[1])
    counted = wanted != pad
    if not counted.any():
        raise BadInput("token_accuracy: the originals are all padding")
    right = (got[:, :length] == wanted[:, :length]) & counted[:, :length]
    return float(right.sum() / counted.sum())


def _word_accuracy(outputs: Sequence[str], originals: Sequence[str]) -> float:
    right = total = 0
    for output, original in zip(outputs, originals, strict=True):
        got, wanted = output.split(), original.split()
        right += sum(a == b for a, b in zip(got, wanted, strict=False))
        total += len(wanted)
    if total == 0:
        raise BadInput("token_accuracy: the originals have no words")
    return right / total


def edit_distance(output: str, original: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of characters.

    Myers (1999), as simplified by Hyyrö (2001): a column of the table is a pair of integers,
    one bit for each character of ``output``, so a column costs a few operations.
    """
    if not output or not original:
        return len(output) + len(original)
    where: dict[str, int] = {}
    for i, character in enumerate(output):
        where[character] = where.get(character, 0) | 1 << i
    mask, last = (1 << len(output)) - 1, 1 << (len(output) - 1)
    plus, minus, distance = mask, 0, len(output)  # vertical differences +1 and −1
    for character in original:
        match = where.get(character, 0)
        zero = (((match & plus) + plus) ^ plus) | match | minus  # diagonal differences of 0
        up, down = minus | ~(zero | plus) & mask, plus & zero  # horizontal +1 and −1
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & mask, down << 1 & mask
        plus, minus = down | ~(zero | up) & mask, up & zero
    return distance


def character_error_rate(outputs: Sequence[str], originals: Sequence[str]) -> float:
    """Edits per character of the originals: Σ edit distance / Σ characters; can pass 1."""
    same_length(outputs, originals, "character_error_rate")
    characters = sum(map(len, originals))
    if characters == 0:
        raise BadInput("character_error_rate: the originals are empty")
    edits = sum(edit_distance(a, b) for a, b in zip(outputs, originals, strict=True))
    return edits / characters


def bleu(outputs: Sequence[str], originals: Sequence[str]) -> float:
    """Corpus BLEU-4, 0 to 100, as sacrebleu computes it (13a tokens, Post 2018)."""
    from sacrebleu.metrics.bleu import BLEU

    same_length(outputs, originals, "bleu")
    return float(BLEU().corpus_score(list(outputs), [list(originals)]).score)


def chrf(outputs: Sequence[str], originals: Sequence[str]) -> float:
    """chrF2, 0 to 100: F-score of character 1- to 6-grams (Popović 2015), from sacrebleu."""
    from sacrebleu.metrics.chrf import CHRF

    same_length(outputs, originals, "chrf")
    return float(CHRF().corpus_score(list(outputs), [list(originals)]).score)


def mean_squared_error(outputs: Any, originals: Any) -> float:
    """Mean squared error per number, over examples and features."""
    x, y = to_numpy(outputs).astype(np.float64), to_numpy(originals).astype(np.float64)
    if x.shape != y.shape or x.size == 0:
        raise BadInput(f"mean_squared_error: shapes {x.shape} and {y.shape} must be the same")
    return float(((x - y) ** 2).mean())
