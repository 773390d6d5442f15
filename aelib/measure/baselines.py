"""What an autoencoder must beat: principal components, a linear probe on codes, a word table."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from aelib.errors import BadInput
from aelib.measure.arrays import matrix, same_length, to_numpy
from aelib.measure.ngram import WORD, words


class PCA:
    """Principal components as an encoder and decoder: the best linear code for squared error.

    z = (x − μ) W, x̂ = μ + z Wᵀ, with W (dim, k) the top eigenvectors of the training covariance
    (Eckart & Young 1936; Baldi & Hornik 1989). The training error per number is the sum of the
    eigenvalues left out, divided by dim.
    """

    def __init__(self, components: int) -> None:
        if components < 1:
            raise BadInput(f"components must be at least 1, not {components}")
        self.components = components

    def fit(self, x: Any) -> "PCA":
        """Learn μ and W from training rows (n, dim)."""
        x = matrix(x, "x")
        if self.components > min(x.shape):
            raise BadInput(f"{self.components} components need as many rows and columns, not "
                           f"{x.shape[0]} and {x.shape[1]}")  # fmt: skip
        self.mean = x.mean(0)
        _, singular, rows = np.linalg.svd(x - self.mean, full_matrices=False)
        self.weights = rows[: self.components].T  # (dim, k)
        self.eigenvalues = singular**2 / len(x)  # of the covariance, largest first
        return self

    def encode(self, x: Any) -> np.ndarray:
        """(n, dim) -> (n, k)."""
        return (matrix(x, "x") - self.mean) @ self.weights

    def decode(self, z: Any) -> np.ndarray:
        """(n, k) -> (n, dim)."""
        return self.mean + matrix(z, "z") @ self.weights.T

    def error(self, x: Any) -> float:
        """Mean squared error per number of rows x (n, dim) after encode and decode."""
        return float(((matrix(x, "x") - self.decode(self.encode(x))) ** 2).mean())


def pca_error(x_train: Any, x_test: Any, components: int) -> float:
    """Held-out mean squared error per number with ``components`` principal components."""
    return PCA(components).fit(x_train).error(x_test)


def linear_probe(z_train: Any, y_train: Any, z_test: Any, y_test: Any) -> float:
    """Test accuracy, 0 to 1, of logistic regression on standardised codes z (n, dim)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = matrix(z_train, "z_train"), matrix(z_test, "z_test")
    labels, expected = to_numpy(y_train), to_numpy(y_test)
    same_length(train, labels, "linear_probe")
    same_length(test, expected, "linear_probe")
    if len(np.unique(labels)) < 2:
        raise BadInput("linear_probe needs at least two classes in y_train")
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(train, labels).score(test, expected))


class WordTable:
    """Rewrites a text word by word: what an editor of style must beat.

    From aligned texts (x, y): for each word that is typical of x (in more than twice as many texts)
    the word of y with the highest Dice coefficient 2 n(a, b) / (n(a) + n(b)), counted over texts
    that have a on the left alone and b on the right alone. `entries` is the table.
    """

    def __init__(self, least: int = 5) -> None:
        self.least = least  # pairs of texts that an entry must have been seen in

    def fit(self, pairs: Sequence[tuple[str, str]]) -> "WordTable":
        if not len(pairs):
            raise BadInput("a word table needs aligned texts: there are none")
        left, right = Counter[str](), Counter[str]()
        both = Counter[tuple[str, str]]()
        for x, y in pairs:
            a, b = set(words(x)), set(words(y))
            left.update(a)
            right.update(b)
            both.update((i, j) for i in a - b for j in b - a)
        self.entries: dict[str, str] = {}
        best: dict[str, float] = {}
        for (i, j), n in both.items():
            dice = 2 * n / (left[i] + right[j])
            if n >= self.least and left[i] > 2 * right[i] and dice > best.get(i, 0.2):
                self.entries[i], best[i] = j, dice
        return self

    def rewrite(self, text: str) -> str:
        """The text with every word that the table knows replaced; spaces stay as they are."""
        return re.sub(WORD, lambda word: self.entries.get(word[0], word[0]), text)
