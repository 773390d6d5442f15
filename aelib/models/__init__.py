"""The models of the book, as plain Keras 3 models on any backend."""

import importlib
from typing import Any

_HOME = {
    "Encoder": "autoencoder",
    "Decoder": "autoencoder",
    "Autoencoder": "autoencoder",
    "SparseAutoencoder": "regularised",
    "ContractiveAutoencoder": "regularised",
    "DenoisingAutoencoder": "regularised",
    "ConvEncoder": "convolutional",
    "ConvDecoder": "convolutional",
    "RecurrentEncoder": "recurrent",
    "RecurrentDecoder": "recurrent",
    "VariationalAutoencoder": "variational",
    "GAN": "adversarial",
    "Diffusion": "diffusion",
    "Flow": "flow",
    "TextAutoencoder": "text",
    "LanguageModel": "language",
    "StyleEditor": "style",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'aelib.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aelib.models.{_HOME[name]}"), name)
