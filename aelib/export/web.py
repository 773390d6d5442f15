"""A model as one script file for the page: safetensors, manifest and tokenizer.

    (globalThis.aelibModels ??= {})["NAME"] = {manifest, with "weights": base64 of safetensors};

A script also loads from a page that was opened from disk, where fetching is forbidden. Behind the
`=` stands JSON, so a reader parses the file and need not run it. `book/_extra/lab/runtime.js`
turns it into a model.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from safetensors.numpy import load, save

from aelib.errors import BadInput
from aelib.export.parts import variables
from aelib.models.autoencoder import Autoencoder
from aelib.models.language import LanguageModel
from aelib.models.style import StyleEditor
from aelib.models.text import TextAutoencoder
from aelib.models.variational import VariationalAutoencoder
from aelib.writing import whole

FORMAT = 1
CLASSES = {
    c.__name__: c
    for c in (TextAutoencoder, LanguageModel, StyleEditor, Autoencoder, VariationalAutoencoder)
}
DTYPES = ("float16", "float32", "int6")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
MOST = len(LETTERS) // 2  # levels from -MOST to MOST, one letter each
NAME = re.compile(r"[\w.-]+")
FILE = re.compile(r"/\*.*?\*/\n\(globalThis\.aelibModels \?\?= \{\}\)\[.*?\] = (\{.*\});\n", re.S)


def to_web(
    model: Any, path: str | Path, dtype: str = "float16", extra: dict[str, Any] | None = None
) -> Path:
    """Write a TextAutoencoder, LanguageModel, StyleEditor, dense Autoencoder or
    VariationalAutoencoder.

    path   ends in .js; its stem is the model's name in the page
    dtype  "float16", "float32" (twice the size), or "int6": matrices in 63 equal steps, one letter
           a weight, which a host that compresses sends in about half a byte; measure what it
           costs your model with `from_web`
    extra  anything that JSON can hold, kept in the manifest: figures, ranges, examples

    Vectors of equal numbers with random signs, and permutations, take a bit or two bytes a row.
    Raises BadInput for other models and for weights that float16 cannot hold.
    """
    path = Path(path)
    if path.suffix != ".js" or not NAME.fullmatch(path.stem):
        better = re.sub(r"[^-.\w]", "-", path.stem)
        raise BadInput(f"the page reads a script: try {better}.js")
    if dtype not in DTYPES:
        raise BadInput(f"dtype is {', '.join(DTYPES[:-1])} or {DTYPES[-1]}, not {dtype}")
    name = type(model).__name__
    if CLASSES.get(name) is not type(model):
        raise BadInput(f"a {name} does not run in the browser: choose {', '.join(CLASSES)}")
    if getattr(model, "classes", 0):
        raise BadInput("conditional models do not run in the browser yet")
    manifest = _manifest(model, dtype, extra)
    head = f"{path.stem}: {name}, {manifest['parameters']:,} parameters, {dtype}; aelib.export"
    body = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
    text = f'/* {head} */\n(globalThis.aelibModels ??= {{}})["{path.stem}"] = {body};\n'
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _manifest(model: Any, dtype: str, extra: dict[str, Any] | None) -> dict[str, Any]:
    if hasattr(model, "tokenizer"):
        model._ready()  # raises BadInput before training
    config = {k: v for k, v in model.get_config().items() if k not in ("dtype", "trainable")}
    tokenizer = config.pop("tokenizer", None)
    values = {n: ops.convert_to_numpy(v) for n, v in variables(model).items()}
    packed = {n: _pack(n, v, dtype) for n, v in values.items()}
    return {
        "format": FORMAT,
        "class": type(model).__name__,
        "config": config,
        "tokenizer": json.loads(tokenizer) if tokenizer else None,
        "parameters": sum(v.size for v in values.values()),
        "packed": {n: how for n, (_, how) in packed.items() if how},
        "extra": extra or {},
        "weights": base64.b64encode(save({n: v for n, (v, _) in packed.items()})).decode(),
    }


def _pack(name: str, value: np.ndarray, dtype: str) -> tuple[np.ndarray, dict[str, Any] | None]:
    """What is stored, and how to make the array from it (None: as it is)."""
    scale, rows = np.abs(value).max(initial=0), value.reshape(-1, *value.shape[-1:])
    if value.ndim > 1 and scale and (np.abs(value) == scale).all():
        how = {"as": "signs", "shape": value.shape, "scale": float(scale)}
        return np.packbits(value.ravel() > 0), how
    if value.ndim == 3 and (np.count_nonzero(rows, axis=1) == 1).all() and (rows**2 <= 1).all():
        place = np.argmax(np.abs(rows), axis=1)
        sign = rows[np.arange(len(rows)), place]
        if (np.abs(sign) == 1).all():
            return (sign * (place + 1)).astype(np.int16), {"as": "turns", "shape": value.shape}
    if dtype == "int6":
        if value.ndim > 1 and scale:
            return _levels(name, value)
        dtype = "float16"
    with np.errstate(over="ignore"):
        stored = np.asarray(value, dtype, order="C")
    if not np.isfinite(stored).all():
        raise BadInput(f"{name} does not fit {dtype}: try dtype='float32', or train again")
    return stored, None


def _levels(name: str, value: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Every number as a letter for the nearest of 63 levels, half the root mean square apart.

    Equal steps for the whole array: what a compressor saves on small numbers pays for large ones.
    Where some number would lie beyond the last level, the steps grow.
    """
    if not np.isfinite(value).all():
        raise BadInput(f"{name} holds NaN or infinity: train again")
    value = value.astype(np.float64)
    step = np.float32(max(np.sqrt((value**2).mean()) / 2, np.abs(value).max() / (MOST + 0.5)))
    level = np.clip(np.rint(value / step), -MOST, MOST).astype(int).ravel()
    letters = np.array(list(LETTERS))[level + MOST]
    return np.array([step]), {"as": "levels", "shape": value.shape, "letters": "".join(letters)}


def _unpack(value: np.ndarray, how: dict[str, Any] | None) -> np.ndarray:
    if how is None:
        return value.astype(np.float32)
    shape = tuple(how["shape"])
    if how["as"] == "levels":
        codes = np.frombuffer(how["letters"].encode(), np.uint8)
        level = np.zeros(256, np.float32)
        level[np.frombuffer(LETTERS.encode(), np.uint8)] = np.arange(-MOST, MOST + 1)
        return (level[codes] * value[0]).reshape(shape)
    if how["as"] == "signs":
        bits = np.unpackbits(value)[: np.prod(shape)].astype(np.float32)
        return ((2 * bits - 1) * how["scale"]).reshape(shape)
    rows = np.zeros((len(value), shape[-1]), np.float32)
    rows[np.arange(len(value)), np.abs(value) - 1] = np.sign(value)
    return rows.reshape(shape)


def manifest(path: str | Path) -> dict[str, Any]:
    """What `to_web` wrote, without running it; BadInput for anything else."""
    try:
        found = FILE.fullmatch(Path(path).read_text(encoding="utf-8"))
        data = json.loads(found[1]) if found else {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
    if data.get("format") != FORMAT or str(data.get("class")) not in CLASSES:
        raise BadInput(f"{path} is no model for the page: write one with aelib.export.to_web")
    return data


def from_web(path: str | Path) -> Any:
    """The Keras model of a file that `to_web` wrote, with the weights that the page has."""
    data = manifest(path)
    try:
        config = dict(data["config"])
        if data["tokenizer"]:
            config["tokenizer"] = json.dumps(data["tokenizer"], ensure_ascii=False)
        model: Any = CLASSES[data["class"]].from_config(config)
        stored = load(base64.b64decode(data["weights"], validate=True))
        for name, variable in variables(model).items():
            variable.assign(_unpack(stored[name], data["packed"].get(name)))
    except BadInput:
        raise
    except Exception as error:  # a damaged file raises many kinds
        raise BadInput(f"{path} is damaged: export the model again") from error
    model.adapted = True
    return model
