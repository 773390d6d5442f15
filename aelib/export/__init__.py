"""Models for other places: the browser (one script file, no server) and ONNX.

What it holds loads on first use, so that the command line starts without Keras.
"""

import importlib
from typing import Any

_HOMES = {
    "from_web": "aelib.export.web",
    "to_onnx": "aelib.export.onnx",
    "to_web": "aelib.export.web",
}

__all__ = ["from_web", "to_onnx", "to_web"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aelib.export' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
