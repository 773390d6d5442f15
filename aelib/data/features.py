"""Texts as rows of 100 numbers: what the article's dense autoencoder is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aelib.errors import BadInput


class TextFeatures:
    """TF-IDF, then truncated SVD (latent semantic analysis), then scaled to [0, 1].

    The scale is that of the training texts, feature by feature; other texts are clipped to it.

    Args:
        dim: features of each text.
        seed: of the randomised SVD.
    """

    def __init__(self, dim: int = 100, seed: int = 0) -> None:
        if dim < 1:
            raise BadInput(f"dim must be at least 1, not {dim}")
        self.dim, self.seed = dim, seed
        self._fitted = False

    def fit(self, texts: Sequence[str]) -> "TextFeatures":
        """Learn vocabulary, directions and scale from the training texts."""
        self._fit(texts)
        return self

    def fit_transform(self, texts: Sequence[str]) -> np.ndarray:
        """Fit, and return the training texts' features: (n, dim) float32 in [0, 1]."""
        return self._scale(self._fit(texts))

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Features of other texts: (n, dim) float32 in [0, 1]."""
        if not self._fitted:
            raise BadInput("call fit with the training texts first")
        return self._scale(self._svd.transform(self._tfidf.transform(_checked(texts))))

    def _fit(self, texts: Sequence[str]) -> np.ndarray:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = _checked(texts)
        self._tfidf: Any = TfidfVectorizer(sublinear_tf=True, min_df=2)
        self._svd: Any = TruncatedSVD(self.dim, random_state=self.seed)
        try:
            counts = self._tfidf.fit_transform(texts)
        except ValueError:
            raise BadInput("too little text: no word is in two of the texts") from None
        if counts.shape[1] <= self.dim:
            raise BadInput(
                f"{counts.shape[1]} words in two or more texts are too few for {self.dim} features"
            )
        projected = self._svd.fit_transform(counts)  # (n, dim)
        self.low, self.high = projected.min(0), projected.max(0)
        self._fitted = True
        return projected

    def _scale(self, projected: np.ndarray) -> np.ndarray:
        scaled = (projected - self.low) / np.maximum(self.high - self.low, 1e-12)
        return np.clip(scaled, 0, 1).astype(np.float32)


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str):
        raise BadInput("give a list of texts, not one string")
    return texts
