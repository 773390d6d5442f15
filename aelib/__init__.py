"""aelib: autoencoders for text. Compress, represent, generate.

Submodules load on first use, so ``import aelib`` is quick and ``aelib.data`` needs no TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = (
    "claims", "codec", "data", "errors", "export", "generate", "latent",
    "measure", "models", "objectives", "plot", "presets", "text",
)  # fmt: skip
_CLASSES = {
    "TextAutoencoder": "aelib.models.text",
    "LanguageModel": "aelib.models.language",
    "StyleEditor": "aelib.models.style",
    "TextEncoder": "aelib.latent",
}

__all__ = [*_SUBMODULES, *_CLASSES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"aelib.{name}")
    if name in _CLASSES:
        return getattr(importlib.import_module(_CLASSES[name]), name)
    raise AttributeError(f"module 'aelib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
