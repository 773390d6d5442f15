"""Models as ONNX files, for other runtimes. Needs the extra `onnx`."""

import importlib.util
from pathlib import Path
from typing import Any

import keras
from keras import ops

from aelib.errors import BadInput
from aelib.models.language import LanguageModel
from aelib.models.text import TextAutoencoder
from aelib.writing import whole

Tensor = Any


class _Function(keras.Model):
    """One of a model's functions as a Keras model of its own, with the weights it uses."""

    def __init__(self, owner: Any, function: Any) -> None:
        super().__init__(name="function")
        self.owner, self.function = owner, function

    def call(self, first: Tensor, second: Tensor = None) -> Tensor:
        return self.function(first) if second is None else self.function(first, second)


def to_onnx(model: Any, path: str | Path) -> list[Path]:
    """Write a model as ONNX; returns the files written.

    LanguageModel      PATH: ids (batch, T) int32 -> logits (batch, T, V); T is the context for qrnn
    TextAutoencoder    NAME.encoder.onnx: ids (batch, length) -> z (batch, k), the posterior mean;
                       NAME.decoder.onnx: z and ids (batch, length) -> teacher-forced logits, for
                       autoregressive decoders (binding reads in rounds and has no such file);
                       of conditional models z is followed by the label's one-hot vector
    Keras models       PATH: their own call

    Raises BadInput without the packages or for a PATH that does not end in .onnx.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise BadInput(f"ONNX files end in .onnx: try {path.with_suffix('.onnx').name}")
    if not all(map(importlib.util.find_spec, ("tf2onnx", "onnx"))):
        raise BadInput('ONNX needs more packages: pip install "aelib[onnx]"')
    if isinstance(model, LanguageModel):
        recurrent = model.options["network"] == "qrnn"  # unrolled: of one length
        return [_write(model, [_ids(model.context if recurrent else None)], path)]
    if isinstance(model, TextAutoencoder):
        return _both(model, path)
    return [_write(model, None, path)]


def _both(model: TextAutoencoder, path: Path) -> list[Path]:
    model._ready()
    ids = _ids(model.length)
    z = keras.InputSpec(dtype="float32", shape=(None, model.latent_dim + model.classes), name="z")
    encode = _Function(model, lambda x: model.bottleneck.code(model.encoder(x)))
    files = [_write(encode, [ids], path.with_suffix(".encoder.onnx"))]
    if model.decoder.autoregressive:
        decode = _Function(model, model.decoder.logits)
        files.append(_write(decode, [z, ids], path.with_suffix(".decoder.onnx")))
    return files


def _ids(length: int | None) -> keras.InputSpec:
    return keras.InputSpec(dtype="int32", shape=(None, length), name="ids")


def _write(function: Any, signature: Any, path: Path) -> Path:
    if signature is not None:
        example = [ops.zeros((1, *(s or 8 for s in i.shape[1:])), i.dtype) for i in signature]
        function(*example)
    with whole(path) as part:
        function.export(part, format="onnx", input_signature=signature, verbose=False)
    return path
