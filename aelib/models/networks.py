"""The encoders and decoders that a `TextAutoencoder` is put together from."""

from typing import Any

import keras
from keras import layers, ops

from aelib.errors import UnknownName
from aelib.generate import Sampler, generate
from aelib.models.binding import BindingDecoder, BindingEncoder, Codebook
from aelib.models.cores import Block, RecurrentCore, RMSNorm, TransformerCore
from aelib.models.sampling import Candidates, sampled_nll, token_nll
from aelib.text import BOS, EOS, PAD

Tensor = Any
ENCODERS = ("binding", "recurrent", "transformer")
DECODERS = ("binding", "recurrent", "transformer")


def check(encoder: str, decoder: str) -> None:
    """Raise UnknownName for a network that does not exist."""
    for name, known in ((encoder, ENCODERS), (decoder, DECODERS)):
        if name not in known:
            raise UnknownName(f"no network {name!r}: choose one of {', '.join(known)}")


def make(vocabulary: int, size: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """(encoder, decoder): ids -> (batch, size) and z -> words. Two binding halves share vectors."""
    latent, seed, width = options["latent_dim"], options["seed"], options["width"]
    book = Codebook(vocabulary, options["length"], latent, width, seed)
    variational = size == 2 * latent
    if options["encoder"] == "binding":
        encoder = BindingEncoder(book, variational)
    else:
        encoder = SequenceEncoder(vocabulary, size, width, options["encoder"], seed)
    if options["decoder"] == "binding":
        return encoder, BindingDecoder(book, candidates=options["candidates"])
    decoder = SequenceDecoder(
        vocabulary, latent, width, options["length"], options["decoder"],
        options["word_dropout"], options["candidates"], seed,
    )  # fmt: skip
    return encoder, decoder


@keras.saving.register_keras_serializable(package="aelib")
class SequenceEncoder(layers.Layer):
    """ids (batch, T) -> (batch, size): a GRU's last state, or a transformer's mean output."""

    def __init__(self, vocabulary: int, size: int, width: int, network: str, seed: int = 0,
                 depth: int = 2, heads: int = 4, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.network, self.width = network, width
        self.table = layers.Embedding(
            vocabulary,
            width,
            embeddings_initializer=keras.initializers.RandomNormal(0.05, seed=seed),
        )
        if network == "recurrent":
            self.layers_ = [layers.GRU(width, seed=seed)]
        else:
            self.layers_ = [
                Block(width, heads, scale=(2 * depth) ** -0.5, causal=False, seed=seed + 10 * i)
                for i in range(depth)
            ]
            self.norm = RMSNorm()
        self.head = layers.Dense(size, kernel_initializer=keras.initializers.GlorotUniform(seed))

    def build(self, shape: Any = None) -> None:
        self.table.build((None, None))
        for layer in self.layers_:
            layer.build((None, None, self.width))
        if self.network == "transformer":
            self.norm.build((None, None, self.width))
        self.head.build((None, self.width))
        self.built = True

    def call(self, ids: Tensor, training: bool | None = None) -> Tensor:
        x, real = self.table(ids), ops.not_equal(ids, PAD)
        if self.network == "recurrent":
            return self.head(self.layers_[0](x, mask=real))
        barred = (1.0 - ops.cast(real, x.dtype))[:, None, None, :] * -1e9
        for block in self.layers_:
            x = block(x, barred=barred, training=training)
        weight = ops.expand_dims(ops.cast(real, x.dtype), -1)
        mean = ops.sum(self.norm(x) * weight, axis=1) / ops.sum(weight, axis=1)
        return self.head(mean)


@keras.saving.register_keras_serializable(package="aelib")
class SequenceDecoder(layers.Layer):
    """p(x|z) = Π_t p(w_t | w_<t, z): z is added to every input and sets the first state.

    network is "recurrent" or "transformer". While training, `word_dropout` hides that share of the
    inputs (Bowman et al., 2016), and the softmax is sampled when the vocabulary is large.
    """

    autoregressive = True

    def __init__(self, vocabulary: int, latent_dim: int, width: int, length: int, network: str,
                 word_dropout: float = 0.0, candidates: int = 512, seed: int = 0, depth: int = 2,
                 heads: int = 4, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.vocabulary, self.latent_dim, self.length = vocabulary, latent_dim, length
        self.network, self.width, self.word_dropout = network, width, word_dropout
        self.candidates = Candidates(vocabulary, candidates, seed)
        self.sampled = vocabulary > 3 * candidates
        self.generator = keras.random.SeedGenerator(seed)
        small = keras.initializers.RandomNormal(0.05, seed=seed)
        self.table = layers.Embedding(vocabulary, width, embeddings_initializer=small)
        self.from_z = layers.Dense(
            2 * width, kernel_initializer=keras.initializers.GlorotUniform(seed)
        )
        if network == "recurrent":
            self.core: Any = RecurrentCore(width, seed=seed)
        else:
            self.core = TransformerCore(width, depth, heads, context=length, seed=seed)
        self.sampler = Sampler(self)

    def build(self, shape: Any = None) -> None:
        self.table.build((None, None))
        self.from_z.build((None, self.latent_dim))
        self.core.build((None, None, self.width))
        self.bias = self.add_weight(shape=(self.vocabulary,), initializer="zeros", name="bias")
        self.candidates.build()
        self.built = True

    def adapt(self, ids: Any) -> None:
        self.candidates.adapt(ids)

    def hidden(self, z: Tensor, ids: Tensor, training: bool | None = None) -> Tensor:
        """State before each word of `ids`: (batch, T, width)."""
        before = ops.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=BOS)
        if training and self.word_dropout:
            u = keras.random.uniform(ops.shape(before), seed=self.generator)
            before = ops.where(ops.logical_and(u < self.word_dropout, before > EOS), PAD, before)
        each, first = ops.split(self.from_z(z), 2, axis=-1)
        x = self.table(before) + ops.expand_dims(each, 1)
        if self.network == "recurrent":
            return self.core(x, initial=ops.tanh(first), training=training)
        return self.core(x, training=training)

    def logits(self, z: Tensor, ids: Tensor) -> Tensor:
        """Teacher-forced scores, (batch, T, V)."""
        return self._scores(self.hidden(z, ids))

    def _scores(self, h: Tensor) -> Tensor:
        return h @ ops.transpose(self.table.embeddings) + self.bias

    def nll(self, z: Tensor, ids: Tensor, training: bool | None = None) -> Tensor:
        """−log p(x|z), the end token counted, nats per sentence, (batch,)."""
        h = self.hidden(z, ids, training=training)
        if training and self.sampled:
            return sampled_nll(h, ids, self.table.embeddings, self.bias, self.candidates)
        return token_nll(self._scores(h), ids)

    def start(self, batch: int, condition: Tensor) -> list[Tensor]:
        each, first = ops.split(self.from_z(condition), 2, axis=-1)
        if self.network == "recurrent":
            return [each, *self.core.start(batch, ops.tanh(first))]
        return [each, *self.core.start(batch)]

    def advance(self, tokens: Tensor, state: list[Tensor], t: Tensor):
        h, rest = self.core.step(self.table(tokens) + state[0], state[1:], t)
        return self._scores(h), [state[0], *rest]

    def generate(self, z: Tensor, temperature: float = 0.0, **options: Any) -> Any:
        """Ids by free-running generation, greedy unless told otherwise, (batch, T)."""
        prompts: list[list[int]] = [[] for _ in range(z.shape[0])]
        out = generate(self.sampler, prompts, self.length, z, temperature, **options)
        return out[:, 1 : self.length + 1]
