"""Models that come with the package, made by ``scripts/train_presets.py``.

A preset is a folder: ``config.json``, ``tokenizer.json``, ``weights.safetensors`` (float16) and
``card.md``. Weights that the seed alone determines are left out and made again when loading.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file, save

from aelib.errors import BadInput, UnknownName
from aelib.writing import refusal, whole

Model = TypeVar("Model")
_HERE = Path(__file__).parent
_FORMAT = 1


def available() -> list[str]:
    """Names of the presets in this installation."""
    return sorted(path.parent.name for path in _HERE.glob("*/config.json"))


def card(name: str) -> str:
    """The model card: data, training, figures, limits (Markdown)."""
    return (_folder(name) / "card.md").read_text(encoding="utf-8")


def load(name: str, kind: type[Model] | None = None) -> Any:
    """The preset `name`; UnknownName if there is none, BadInput if it is no `kind`."""
    return read(_folder(name), kind)


def _folder(name: str) -> Path:
    if name not in available():
        raise UnknownName(f"no preset {name!r}: choose one of {', '.join(available())}")
    return _HERE / name


def write(model: Any, folder: str | Path) -> None:
    """Write a text model (see `aelib.models`) as a preset folder (no card), or BadInput."""
    folder = Path(folder)
    with refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
    config = model.get_config()
    config.pop("dtype", None)
    tokenizer = config.pop("tokenizer")
    head = {"format": _FORMAT, "class": type(model).__name__, "config": config}
    values = _values(model)
    fresh = _values(type(model).from_config({**config, "tokenizer": tokenizer}))
    kept = {n: _half(v) for n, v in values.items() if not np.array_equal(v, fresh[n])}
    kept = {n: v for n, v in kept.items() if not n.endswith((".slots", ".counts"))}  # training only
    names = [folder / name for name in ("config.json", "tokenizer.json", "weights.safetensors")]
    with whole(names[0]) as config_part, whole(names[1]) as words, whole(names[2]) as weights:
        config_part.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
        words.write_text(tokenizer, encoding="utf-8")
        weights.write_bytes(save(kept))


def read(folder: str | Path, kind: type[Model] | None = None) -> Any:
    """Rebuild the model of a preset folder. Nothing in it is ever executed."""
    from aelib.models import LanguageModel, StyleEditor, TextAutoencoder

    folder = Path(folder)
    try:
        head = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        weights = load_file(folder / "weights.safetensors")
        known = {c.__name__: c for c in (LanguageModel, StyleEditor, TextAutoencoder)}
        model = known[head["class"]].from_config({**head["config"], "tokenizer": tokenizer})
    except BadInput:
        raise
    except Exception as error:  # damaged JSON, weights or configuration
        raise BadInput(f"{folder} is no preset or a damaged one: install aelib again") from error
    if kind is not None and not isinstance(model, kind):
        raise BadInput(f"{folder.name} is a {type(model).__name__}, not a {kind.__name__}")
    _assign(model, weights, folder)
    model.adapted = True
    return model


def _named(model: Any) -> dict[str, Any]:
    """Variables by place and name, which do not change from session to session."""
    kept = [v for v in model.variables if "seed_generator" not in v.path]
    return {f"{i:03d}.{v.name}": v for i, v in enumerate(kept)}


def _values(model: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(v.numpy() if hasattr(v, "numpy") else v) for name, v in
            _named(model).items() if "optimizer" not in v.path}  # fmt: skip


def _half(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16) if value.dtype == np.float32 else value


def _assign(model: Any, weights: dict[str, np.ndarray], folder: Path) -> None:
    variables = _named(model)
    for name, value in weights.items():
        if name not in variables or tuple(variables[name].shape) != value.shape:
            raise BadInput(f"{folder} does not fit this version of aelib: weight {name}")
        variables[name].assign(value.astype(variables[name].dtype))
