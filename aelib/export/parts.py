"""Which arrays a model consists of, under names that stay: paths of attributes."""

from collections.abc import Iterator
from typing import Any

from keras import layers

from aelib.errors import BadInput
from aelib.models.autoencoder import Autoencoder, Decoder, Encoder
from aelib.models.binding import BindingDecoder, BindingEncoder, Codebook
from aelib.models.bottleneck import Plain, Variational
from aelib.models.cores import Block, RecurrentCore, RMSNorm, TransformerCore
from aelib.models.language import LanguageModel
from aelib.models.networks import SequenceDecoder, SequenceEncoder
from aelib.models.qrnn import QuasiRecurrentCore
from aelib.models.style import StyleEditor
from aelib.models.text import TextAutoencoder
from aelib.models.textcores import ConvCore, LSTMCore

ATTRIBUTES: dict[type, tuple[str, ...]] = {
    layers.Dense: ("kernel", "bias"),
    layers.Embedding: ("embeddings",),
    layers.GRU: ("cell",),
    layers.GRUCell: ("kernel", "recurrent_kernel", "bias"),
    layers.LSTM: ("cell",),
    layers.LSTMCell: ("kernel", "recurrent_kernel", "bias"),
    layers.BatchNormalization: ("beta", "moving_mean", "moving_variance"),
    RMSNorm: ("gamma",),
    Block: ("norm1", "qkv", "out", "norm2", "up", "down"),
    TransformerCore: ("blocks", "norm"),
    RecurrentCore: ("grus",),
    LSTMCore: ("lstm",),
    ConvCore: ("gather", "out"),
    QuasiRecurrentCore: ("gates", "norms"),
    Codebook: ("table", "places", "ends", "prior", "gain"),
    BindingEncoder: ("codebook", "logvar"),
    BindingDecoder: ("codebook", "log_tau", "omega"),
    SequenceEncoder: ("table", "layers_", "norm", "head"),
    SequenceDecoder: ("table", "from_z", "bypass", "core", "bias"),
    Plain: (),
    Variational: ("norm",),
    TextAutoencoder: ("encoder", "bottleneck", "decoder"),
    LanguageModel: ("table", "hashed", "core"),
    StyleEditor: ("table", "style", "core", "head"),
    Encoder: ("hidden", "code"),
    Decoder: ("hidden", "output_layer"),
    Autoencoder: ("encoder", "decoder"),
}


def variables(model: Any) -> dict[str, Any]:
    """{"decoder.core.blocks.0.qkv.kernel": variable, ...}; a shared one has its first name.

    Raises BadInput for a network that has no place in ATTRIBUTES.
    """
    seen: set[int] = set()
    found: dict[str, Any] = {}
    for name, variable in _walk(model, ""):
        if id(variable) not in seen:
            seen.add(id(variable))
            found[name] = variable
    return found


def _walk(part: Any, name: str) -> Iterator[tuple[str, Any]]:
    if part is None:
        return
    if hasattr(part, "assign"):  # a variable
        yield name, part
        return
    if isinstance(part, (list, tuple)):
        children = [(str(i), child) for i, child in enumerate(part)]
    else:
        children = [(a, getattr(part, a, None)) for a in _attributes(part)]
    for attribute, child in children:
        yield from _walk(child, f"{name}.{attribute}" if name else attribute)


def _attributes(layer: Any) -> tuple[str, ...]:
    for kind in type(layer).__mro__:
        if kind in ATTRIBUTES:
            return ATTRIBUTES[kind]
    raise BadInput(
        f"a {type(layer).__name__} does not run in the browser: use networks of dense, binding, "
        "recurrent, lstm, transformer, convolutional or qrnn layers"
    )
