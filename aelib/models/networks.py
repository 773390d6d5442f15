"""The encoders and decoders that a `TextAutoencoder` is put together from."""

from typing import Any

import keras
from keras import layers, ops

from aelib.errors import BadInput, UnknownName
from aelib.generate import Sampler, generate
from aelib.models.binding import BindingDecoder, BindingEncoder, Codebook
from aelib.models.cores import Block, ReadsWords, RecurrentCore, RMSNorm, TransformerCore
from aelib.models.sampling import Candidates, sampled_nll, token_nll
from aelib.models.textcores import ConvCore, LSTMCore
from aelib.text import BOS, EOS, PAD

Tensor = Any
RECURRENT = {"recurrent": 1, "lstm": 2}  # vectors in the state
SMALL = 0.05  # standard deviation of word vectors when training begins
DECODERS = ("binding", "recurrent", "lstm", "transformer", "convolutional")
ENCODERS = (*DECODERS, "none")


def check(encoder: str, decoder: str) -> None:
    """Raise UnknownName for a network that does not exist."""
    for name, known in ((encoder, ENCODERS), (decoder, DECODERS)):
        if name not in known:
            raise UnknownName(f"no network {name!r}: choose one of {', '.join(known)}")


def make(vocabulary: int, size: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """(encoder, decoder): ids -> (batch, size) and z -> words. Two binding halves share vectors."""
    latent, seed, width = options["latent_dim"], options["seed"], options["width"]
    read = options["decoder"] == "binding"
    book = Codebook(vocabulary, options["length"], latent, width, seed, read)
    variational = size == 2 * latent
    if options["encoder"] == "binding":
        encoder: Any = BindingEncoder(book, variational)
    elif options["encoder"] == "none":
        encoder = NoEncoder(size)
    else:
        encoder = SequenceEncoder(vocabulary, size, width, options["encoder"], seed)
    if read:
        if options["classes"]:
            raise BadInput("classes need an autoregressive decoder, such as recurrent or lstm")
        return encoder, BindingDecoder(book, candidates=options["candidates"])
    decoder = SequenceDecoder(
        vocabulary, latent + options["classes"], width, options["length"], options["decoder"],
        options["word_dropout"], options["candidates"], seed, dropout=options["dropout"],
        skip=options["skip"],
    )  # fmt: skip
    return encoder, decoder


@keras.saving.register_keras_serializable(package="aelib")
class NoEncoder(layers.Layer):
    """Zeros (batch, size): the decoder alone is a language model, the line to beat."""

    def __init__(self, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size

    def call(self, ids: Tensor, training: bool | None = None) -> Tensor:
        return ops.zeros((ops.shape(ids)[0], self.size))


@keras.saving.register_keras_serializable(package="aelib")
class SequenceEncoder(layers.Layer):
    """ids (batch, T) -> (batch, size): the last state of a recurrent network ("recurrent": GRU;
    "lstm"), or the mean output of a transformer or of convolutions.
    """

    def __init__(self, vocabulary: int, size: int, width: int, network: str, seed: int = 0,
                 depth: int = 2, heads: int = 4, **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.network, self.width = network, width
        self.table = layers.Embedding(
            vocabulary,
            width,
            embeddings_initializer=keras.initializers.RandomNormal(SMALL, seed=seed),
        )
        if network in RECURRENT:
            cell = layers.GRU if network == "recurrent" else layers.LSTM
            self.layers_ = [
                cell(width, seed=seed, kernel_initializer=ReadsWords(width, SMALL, seed))
            ]
        elif network == "convolutional":
            self.layers_ = [ConvCore(width, depth + 1, causal=False, seed=seed)]
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
        if self.network in RECURRENT:
            return self.head(self.layers_[0](x, mask=real))
        weight = ops.expand_dims(ops.cast(real, x.dtype), -1)
        if self.network == "convolutional":
            x = self.layers_[0](x * weight)
        else:
            barred = (1.0 - ops.cast(real, x.dtype))[:, None, None, :] * -1e9
            for block in self.layers_:
                x = block(x, barred=barred, training=training)
            x = self.norm(x)
        mean = ops.sum(x * weight, axis=1) / ops.sum(weight, axis=1)
        return self.head(mean)


@keras.saving.register_keras_serializable(package="aelib")
class SequenceDecoder(layers.Layer):
    """p(x|z) = Π_t p(w_t | w_<t, z).

    "recurrent" (GRU) and "lstm" see z at every step, concatenated with the word, and start from
    a state made of z; "transformer" and "convolutional" add z, projected, to √width times the word.
    While training, `word_dropout` hides that share of the inputs (Bowman et al., 2016), `dropout`
    acts on inputs and outputs, and the softmax is sampled when the vocabulary is large. With
    `skip`, z also goes straight to the output (Dieng et al., 2019).
    """

    autoregressive = True

    def __init__(self, vocabulary: int, latent_dim: int, width: int, length: int, network: str,
                 word_dropout: float = 0.0, candidates: int = 512, seed: int = 0, depth: int = 2,
                 heads: int = 4, dropout: float = 0.0, skip: bool = False,
                 **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.vocabulary, self.latent_dim, self.length = vocabulary, latent_dim, length
        self.network, self.width, self.word_dropout = network, width, word_dropout
        self.candidates = Candidates(vocabulary, candidates, seed)
        self.sampled = vocabulary > 3 * candidates
        self.generator = keras.random.SeedGenerator(seed)
        small = keras.initializers.RandomNormal(SMALL, seed=seed)
        self.table = layers.Embedding(vocabulary, width, embeddings_initializer=small)
        glorot = keras.initializers.GlorotUniform
        self.from_z = layers.Dense(
            RECURRENT.get(network, 1) * width, kernel_initializer=glorot(seed)
        )
        bypass = layers.Dense(width, use_bias=False, kernel_initializer=glorot(seed + 1))
        self.bypass = bypass if skip else None
        self.drop = layers.Dropout(dropout, seed=seed + 2)
        self.core = self._core(depth, heads, seed)
        self.sampler = Sampler(self)

    def _core(self, depth: int, heads: int, seed: int) -> Any:
        if self.network == "recurrent":
            return RecurrentCore(self.width, seed=seed, deviation=SMALL)
        if self.network == "lstm":
            return LSTMCore(self.width, seed=seed, deviation=SMALL)
        if self.network == "convolutional":
            return ConvCore(self.width, depth + 1, seed=seed)
        return TransformerCore(self.width, depth, heads, context=self.length, seed=seed)

    def build(self, shape: Any = None) -> None:
        self.table.build((None, None))
        self.from_z.build((None, self.latent_dim))
        extra = self.latent_dim if self.network in RECURRENT else 0
        self.core.build((None, None, self.width + extra))
        if self.bypass is not None:
            self.bypass.build((None, self.latent_dim))
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
        x = self.drop(self.table(before), training=training)
        if self.network in RECURRENT:
            each = ops.repeat(ops.expand_dims(z, 1), ops.shape(x)[1], axis=1)
            h = self.core(ops.concatenate([x, each], -1), initial=self._first(z), training=training)
        else:
            h = self.core(self._joined(x, ops.expand_dims(z, 1)), training=training)
        if self.bypass is not None:
            h = h + ops.expand_dims(self.bypass(z), 1)
        return self.drop(h, training=training)

    def _joined(self, x: Tensor, z: Tensor) -> Tensor:
        """√width times the word vectors, which start small, and z (Vaswani et al., 2017, §3.4)."""
        return x * self.width**0.5 + self.from_z(z)

    def _first(self, z: Tensor) -> Tensor:
        """The recurrent state before the first word."""
        return ops.tanh(self.from_z(z))

    def logits(self, z: Tensor, ids: Tensor) -> Tensor:
        """Teacher-forced scores, (batch, T, V)."""
        return self._scores(self.hidden(z, ids))

    def _scores(self, h: Tensor) -> Tensor:
        # Not h @ …: TensorFlow would multiply sentence by sentence and add up as many gradients.
        return ops.matmul(h, ops.transpose(self.table.embeddings)) + self.bias

    def nll(self, z: Tensor, ids: Tensor, training: bool | None = None) -> Tensor:
        """−log p(x|z), the end token counted, nats per sentence, (batch,)."""
        h = self.hidden(z, ids, training=training)
        if training and self.sampled:
            return sampled_nll(h, ids, self.table.embeddings, self.bias, self.candidates)
        return token_nll(self._scores(h), ids)

    def start(self, batch: int, condition: Tensor) -> list[Tensor]:
        if self.network in RECURRENT:
            return [condition, *self.core.start(batch, self._first(condition))]
        return [condition, *self.core.start(batch)]

    def advance(self, tokens: Tensor, state: list[Tensor], t: Tensor):
        z, x = state[0], self.table(tokens)
        x = ops.concatenate([x, z], axis=-1) if self.network in RECURRENT else self._joined(x, z)
        h, rest = self.core.step(x, state[1:], t)
        if self.bypass is not None:
            h = h + self.bypass(z)
        return self._scores(h), [z, *rest]

    def generate(self, z: Tensor, temperature: float = 0.0, **options: Any) -> Any:
        """Ids by free-running generation, greedy unless told otherwise, (batch, T)."""
        prompts: list[list[int]] = [[] for _ in range(z.shape[0])]
        out = generate(self.sampler, prompts, self.length, z, temperature, **options)
        return out[:, 1 : self.length + 1]
