"""A text autoencoder as a scikit-learn transformer."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class TextEncoder(TransformerMixin, BaseEstimator):
    """Sentences to latents in a scikit-learn `Pipeline`: list of n strings -> (n, latent_dim).

    preset  name of a shipped model; None: train an own one on the texts that `fit` gets
    model   a trained `TextAutoencoder` to use as it is
    The other parameters belong to the own model; `seconds` is its CPU time for training.
    """

    def __init__(
        self, preset: str | None = None, model: Any = None, latent_dim: int = 256,
        encoder: str = "binding", decoder: str = "binding", kind: str = "plain",
        seconds: float = 20.0, seed: int = 0,
    ):  # fmt: skip
        self.preset = preset
        self.model = model
        self.latent_dim = latent_dim
        self.encoder = encoder
        self.decoder = decoder
        self.kind = kind
        self.seconds = seconds
        self.seed = seed

    def fit(self, texts: Iterable[str], y: Any = None) -> "TextEncoder":
        """Load the preset, take the model, or train one on `texts`."""
        from aelib.models import TextAutoencoder

        if self.model is not None:
            self.model_ = self.model
        elif self.preset is not None:
            self.model_ = TextAutoencoder.from_preset(self.preset)
        else:
            self.model_ = TextAutoencoder(
                self.latent_dim, self.encoder, self.decoder, self.kind, seed=self.seed
            ).fit(list(texts), seconds=self.seconds, verbose=0)
        return self

    def transform(self, texts: Iterable[str]) -> np.ndarray:
        """Latents, (n, latent_dim) float32."""
        check_is_fitted(self, "model_")
        return self.model_.encode(list(texts))

    def inverse_transform(self, z: np.ndarray) -> list[str]:
        """Decoded sentences."""
        check_is_fitted(self, "model_")
        return self.model_.decode(z)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        check_is_fitted(self, "model_")
        return np.array([f"z{i}" for i in range(self.model_.latent_dim)], dtype=object)
