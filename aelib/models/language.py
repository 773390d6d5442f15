"""`LanguageModel`: a small GPT (or a recurrent network) that predicts, scores and writes text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from aelib.errors import BadInput, UnknownName
from aelib.generate import BeamSearch, Sampler, generate
from aelib.measure import NGramModel
from aelib.models import training
from aelib.models.cores import RecurrentCore, TransformerCore
from aelib.models.qrnn import ROWS, QuasiRecurrentCore, ngram_rows
from aelib.models.sampling import token_nll
from aelib.models.storage import StoredModel
from aelib.text import BOS, EOS, PAD, Tokenizer, read_lines, read_text
from aelib.text.files import Source, is_file_like

Tensor = Any
NETWORKS = ("transformer", "recurrent", "qrnn")
NGRAM_WIDTH = 32
FEW = 512  # rows of a table that is read by a product
SMALL = 0.02  # standard deviation of token vectors when training begins


class Windows(keras.utils.PyDataset):
    """Random windows of a stream of ids: (input, target) of (size, context) each."""

    def __init__(self, stream: np.ndarray, context: int, size: int, steps: int, seed: int = 0):
        super().__init__()
        if len(stream) < context + 2:
            raise BadInput(
                f"{len(stream)} tokens are fewer than one window of {context}: give more text or a "
                "smaller context"
            )
        self.stream, self.context, self.size, self.steps = stream, context, size, steps
        self.seed = seed
        self.start(0)

    def on_epoch_end(self) -> None:
        self.start(self.epoch + 1)

    def start(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, self.epoch, i])
        starts = rng.integers(0, len(self.stream) - self.context, (self.size, 1))
        rows = self.stream[starts + np.arange(self.context + 1)]
        return rows[:, :-1], rows[:, 1:]


@keras.saving.register_keras_serializable(package="aelib")
class LanguageModel(StoredModel):
    """p(w_1..w_n) = Π_t p(w_t | w_<t), by a decoder-only transformer or a recurrent network.

    network   "transformer" (rotary positions, RMSNorm, squared ReLU), "recurrent" (GRU) or "qrnn"
              (quasi-recurrent: the fastest to train)
    ngrams    with "qrnn": hashed n-grams of 2..ngrams tokens beside each token (0: none)
    tokens    "char", "word", "bpe" or "byte"; `vocabulary` is its size
    context   window while training and length of the key-value cache, in tokens

    Trained on a string or a file it reads one stream; trained on a list of strings it reads each
    as a document of its own, from start to end token. As a `keras.Model` it maps ids (batch, T)
    to logits (batch, T, V) for the next token.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        context: int = 64,
        network: str = "transformer",
        tokens: str = "char",
        vocabulary: int = 8000,
        dropout: float = 0.0,
        ngrams: int = 0,
        seed: int = 0,
        tokenizer: Tokenizer | str | None = None,
        documents: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if network not in NETWORKS:
            raise UnknownName(f"no network {network!r}: choose one of {', '.join(NETWORKS)}")
        if ngrams and (network != "qrnn" or ngrams < 2):
            raise BadInput('ngrams is 0, or 2 and more with network="qrnn"')
        self.options: dict[str, Any] = {
            "width": width, "depth": depth, "heads": heads, "context": context,
            "network": network, "tokens": tokens, "vocabulary": vocabulary, "dropout": dropout,
            "ngrams": ngrams, "seed": seed,
        }  # fmt: skip
        self.width, self.context, self.seed, self.documents = width, context, seed, documents
        self.ngrams = ngrams
        self.tokenizer: Tokenizer | None = None
        self.nll_tracker = keras.metrics.Mean(name="nll")
        if tokenizer is not None:
            self._set_up(
                Tokenizer.from_json(tokenizer) if isinstance(tokenizer, str) else tokenizer
            )

    def _set_up(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        o = self.options
        small = keras.initializers.RandomNormal(SMALL, seed=self.seed)
        self.table = layers.Embedding(tokenizer.size, self.width, embeddings_initializer=small)
        if o["network"] == "transformer":
            self.core: Any = TransformerCore(
                self.width, o["depth"], o["heads"], self.context, o["dropout"], self.seed
            )
        elif o["network"] == "qrnn":
            self.core = QuasiRecurrentCore(self.width, o["depth"], o["dropout"], self.seed)
        else:
            self.core = RecurrentCore(self.width, o["depth"], o["dropout"], self.seed, SMALL)
        self.table.build((None, None))
        inputs = self.width
        if self.ngrams:
            self.hashed = layers.Embedding(ROWS, NGRAM_WIDTH, embeddings_initializer=small)
            self.hashed.build((None, None))
            inputs += NGRAM_WIDTH * (self.ngrams - 1)
        self.core.build((None, None, inputs))
        self.sampler = Sampler(self)
        self.beam_search = BeamSearch(self)
        self.built = True

    def call(self, ids: Tensor, training: bool | None = None) -> Tensor:
        """Logits for the token after each: (batch, T) -> (batch, T, V)."""
        earlier = ((0, 0), (self.ngrams - 1, 0))
        padded = ops.pad(ids, earlier, constant_values=PAD) if self.ngrams else ids
        x = self._inputs(self._vectors(ids), padded)
        h = self.core(x, training=training)  # (batch, T, width)
        return self._logits(h)

    def _inputs(self, own: Tensor, padded: Tensor) -> Tensor:
        """The tokens' vectors (batch, T, width), those of n-grams beside them.

        `padded` holds the ids, with ngrams - 1 tokens before them.
        """
        if not self.ngrams:
            return own
        grams = self.hashed(ngram_rows(padded, self.ngrams))  # (batch, T, ngrams - 1, 32)
        joined = ops.reshape(grams, (*ops.shape(own)[:2], NGRAM_WIDTH * (self.ngrams - 1)))
        return ops.concatenate([own, joined], axis=-1)

    def _vectors(self, ids: Tensor) -> Tensor:
        """The tokens' vectors: (batch, T) -> (batch, T, width).

        A table of a few rows is multiplied by one-hot vectors: on a GPU the gradient of a lookup
        adds thousands of rows to each of these, one after the other.
        """
        rows = self.table.input_dim
        if rows > FEW:
            return self.table(ids)
        chosen = ops.one_hot(ids, rows, dtype=self.table.compute_dtype)  # (batch, T, rows)
        return ops.matmul(chosen, ops.cast(self.table.embeddings, self.table.compute_dtype))

    def _logits(self, h: Tensor) -> Tensor:
        """(..., width) -> (..., V), in float32 whatever the policy: a softmax follows."""
        table = ops.cast(self.table.embeddings, h.dtype)
        return ops.cast(ops.matmul(h, ops.transpose(table)), "float32")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        nll = token_nll(y_pred, y)  # (batch,)
        tokens = ops.sum(ops.cast(ops.not_equal(y, PAD), nll.dtype))
        mean = ops.sum(nll) / tokens
        self.nll_tracker.update_state(mean, sample_weight=tokens)
        return mean

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def start(self, batch: int, condition: Tensor | None = None) -> list[Tensor]:
        """An empty state: key-value cache or hidden vectors; with n-grams the last tokens, too."""
        recent = [ops.full((batch, self.ngrams - 1), PAD, dtype="int32")] if self.ngrams else []
        return [*self.core.start(batch), *recent]

    def advance(self, tokens: Tensor, state: list[Tensor], t: Tensor):
        """One token (batch,) -> logits for the next (batch, V), and the new state."""
        ids = ops.cast(ops.expand_dims(tokens, 1), "int32")
        padded = ops.concatenate([state[-1], ids], axis=1) if self.ngrams else ids
        own = state[:-1] if self.ngrams else state
        h, own = self.core.step(self._inputs(self.table(ids), padded)[:, 0], own, t)
        recent = [padded[:, 1:]] if self.ngrams else []
        return self._logits(h), [*own, *recent]

    def get_config(self) -> dict[str, Any]:
        tokenizer = self.tokenizer.to_json() if self.tokenizer else None
        own = {**self.options, "documents": self.documents, "tokenizer": tokenizer}
        return {**super().get_config(), **own}

    # ------------------------------------------------------------------------------- training

    def fit(  # type: ignore[override]
        self,
        text: Source,
        validation: Source | None = None,
        steps: int = 2000,
        batch_size: int = 12,
        seconds: float | None = None,
        learning_rate: float = 1e-3,
        callbacks: Sequence[Any] = (),
        verbose: Any = "auto",
        workers: Any = None,
    ) -> "LanguageModel":
        """Train for `steps` batches or `seconds` of CPU time. Returns the model.

        text  a path or an open file: one stream. A list of strings: separate documents.
        `model.history.history` holds loss and nll in nats per token, ten rows or more.
        `workers` (`aelib.models.workers.Workers`) shares the work with other processes.
        """
        self.documents = not (isinstance(text, (str, Path)) or is_file_like(text))
        source = read_lines(text) if self.documents else read_text(text)  # type: ignore[arg-type]
        if self.tokenizer is None:
            lines = source if isinstance(source, list) else source.splitlines(keepends=True)
            o = self.options
            self._set_up(Tokenizer.train(lines, o["tokens"], o["vocabulary"]))
        chunk = max(1, min(250, steps // 10))
        data = self._dataset(source, batch_size, chunk, self.seed)
        held = None
        if validation is not None:
            lines = read_lines(validation) if self.documents else read_text(validation)  # type: ignore
            held = self._evaluation(lines)
        if not self.compiled:
            self.compile(keras.optimizers.AdamW(learning_rate, weight_decay=0.1, beta_2=0.99,
                                                clipnorm=1.0))  # fmt: skip
        training.ready_optimizer(self)
        per_epoch = len(data)
        done = int(self.optimizer.iterations)
        budget = training.Budget(seconds, steps + done, warmup=100)
        epochs = -(-steps // per_epoch) if seconds is None else 100_000
        self._train(data, budget, callbacks, workers=workers, epochs=epochs, verbose=verbose,
                    validation_data=held)  # fmt: skip
        return self

    def weight_of(self, targets: np.ndarray) -> int:
        """The tokens: the loss is their mean."""
        return int((targets != PAD).sum())

    def _dataset(self, source: str | list[str], batch_size: int, steps: int, seed: int) -> Any:
        tokenizer = self._ready()
        if isinstance(source, list):
            return Documents(self._rows(source), batch_size, seed)
        stream = np.array(tokenizer.ids([source])[0], np.int32)
        return Windows(stream, self.context, batch_size, steps, seed)

    def _rows(self, documents: list[str]) -> np.ndarray:
        """Ids with the end token, no longer than the context: (n, T)."""
        longest = max(map(len, self._ready().ids(documents))) + 1
        return self._ready().encode(documents, min(longest, self.context))

    def _evaluation(self, source: str | list[str]) -> Any:
        if isinstance(source, list):
            return Documents(self._rows(source), 32, shuffle=False)
        stream = np.array(self._ready().ids([source])[0], np.int32)
        return Windows(stream, self.context, 16, 20, seed=1)

    # -------------------------------------------------------------------------------- using it

    def score(
        self,
        texts: str | Sequence[str],
        batch_size: int = 32,
        adapt: float = 0.0,
        beside: NGramModel | None = None,
        share: float = 0.3,
    ) -> dict[str, float]:
        """How well it predicts: a string as one stream, a list as separate documents.

        With `adapt` it goes on learning while it reads a stream (dynamic evaluation; Krause et al.,
        2018): after each eight windows, which are scored first, comes one step of gradient descent
        at this rate on them. Try 0.03 to 1. It learns in a copy: this model stays as it is.
        With `beside`, an n-gram model over the same tokens (`NGramModel(5, model.tokenizer)`), it
        scores the mixture (1 − share) · p_own + share · p_beside.

        nll                  nats per token (the end token counted for documents)
        perplexity           exp(nll), per token
        bits_per_character   total nats / (ln 2 · characters)
        nats_per_character   the same in nats; `tokens` and `characters` are the counts
        """
        characters = len(texts) if isinstance(texts, str) else sum(map(len, texts)) + len(texts)
        if adapt:
            if beside is not None:
                raise BadInput("give adapt or beside: they do not go together")
            nll, tokens = self._adapting_nll(texts, adapt)
        else:
            each = np.concatenate(self._mixed_nll(texts, batch_size, beside, share))
            nll, tokens = float(each.sum()), len(each)
        return {
            "nll": nll / tokens,
            "perplexity": float(np.exp(nll / tokens)),
            "bits_per_character": nll / np.log(2) / characters,
            "nats_per_character": nll / characters,
            "tokens": tokens,
            "characters": characters,
        }

    def token_nll(self, texts: str | Sequence[str], batch_size: int = 32) -> list[np.ndarray]:
        """−log p of each token in nats, an array (tokens,) for each text.

        A string is one stream: each token has at least half a context before it (less at the very
        start). Of a list each text is a document, its end token last.
        """
        if isinstance(texts, str):
            inputs, targets = self._windows(texts)
            parts = [self._nll(inputs[i : i + batch_size], targets[i : i + batch_size])
                     for i in range(0, len(inputs), batch_size)]  # fmt: skip
            return [np.concatenate(parts)[targets != PAD]]
        return self._document_nll(list(texts), batch_size)

    def _nll(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """−log p(target) in nats, of padding, too: (batch, T)."""
        nll = ops.sparse_categorical_crossentropy(targets, self(inputs), from_logits=True)
        return ops.convert_to_numpy(nll)

    def _mixed_nll(
        self, texts: str | Sequence[str], batch_size: int, beside: NGramModel | None, share: float
    ) -> list[np.ndarray]:
        if beside is None:
            return self.token_nll(texts, batch_size)
        if not isinstance(beside.unit, Tokenizer) or (
            beside.unit.to_json() != self._ready().to_json()
        ):
            raise BadInput("beside counts other tokens: make it as NGramModel(5, model.tokenizer)")
        if not 0 < share < 1:
            raise BadInput(f"share is the n-gram model's part, between 0 and 1, not {share}")
        other = beside.token_nll_nats([texts] if isinstance(texts, str) else list(texts))
        return [
            -np.logaddexp(np.log(1 - share) - a, np.log(share) - b[: len(a)])
            for a, b in zip(self.token_nll(texts, batch_size), other, strict=True)
        ]

    def _windows(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Overlapping windows (n, context); targets are padding where a window before has them."""
        stream = np.array([BOS, *self._ready().ids([text])[0]], np.int32)
        if len(stream) < 2:
            raise BadInput("there is nothing to score: the text is empty")
        context, half = self.context, self.context // 2
        starts = np.arange(0, max(1, len(stream) - 1 - half), half)
        padded = np.pad(stream, (0, context + 1), constant_values=PAD)
        rows = padded[starts[:, None] + np.arange(context + 1)]
        targets = rows[:, 1:].copy()
        targets[1:, :half] = PAD
        return rows[:, :-1], targets

    def _adapting_nll(self, text: str | Sequence[str], rate: float) -> tuple[float, int]:
        """Nats and tokens of a stream read by a copy that learns from each batch of windows.

        A batch's loss is that of the weights before its step, so nothing is scored that was
        learned from.
        """
        if rate < 0:
            raise BadInput(f"adapt is a rate, 0 or more, not {rate}")
        if not isinstance(text, str):
            raise BadInput("adapt is for one stream, read in order: give a string, not a list")
        rows, targets = self._windows(text)
        reader = type(self).from_config({**self.get_config(), "dropout": 0.0})
        reader.set_weights(self.get_weights())
        reader.compile(keras.optimizers.SGD(rate))
        done = keras.Model.fit(reader, rows, targets, batch_size=8, shuffle=False, verbose=0)
        nll = float(done.history["nll"][0])
        if not np.isfinite(nll):
            raise BadInput(f"adapt={rate} is too fast, the weights ran away: try a tenth of it")
        tokens = int((targets != PAD).sum())
        return nll * tokens, tokens

    def _document_nll(self, texts: list[str], batch_size: int) -> list[np.ndarray]:
        if not texts:
            raise BadInput("there is nothing to score: give at least one text")
        ids = [[BOS, *row, EOS] for row in self._ready().ids(texts)]
        found: list[np.ndarray] = [np.empty(0)] * len(ids)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for i in range(0, len(ids), batch_size):
            group = order[i : i + batch_size]
            width = -(-len(ids[group[-1]]) // 8) * 8
            rows = [ids[j] + [PAD] * (width - len(ids[j])) for j in group]
            batch = np.array(rows, np.int32)
            for j, nll in zip(group, self._nll(batch[:, :-1], batch[:, 1:]), strict=True):
                found[j] = nll[: len(ids[j]) - 1]
        return found

    def generate(
        self, prompt: str | Sequence[str] = "", length: int = 200, temperature: float = 1.0,
        top_k: int = 0, top_p: float = 1.0, seed: int | None = None, n: int = 1,
        stop: str | Sequence[str] = (), beams: int = 0, length_power: float = 0.0,
    ) -> list[str]:  # fmt: skip
        """`n` continuations of each prompt, prompt included, of at most `length` new tokens.

        temperature 0 is greedy; `stop` strings end a text where they first appear (and are cut).
        With `beams` it is beam search instead, without chance: `length_power` 0 compares texts by
        log p, 1 by log p per token; temperature, top_k, top_p and seed are not used then.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        prompts = [p for p in prompts for _ in range(n)]
        ids = self._ready().ids(prompts)
        if beams:
            out = [row + self.beam_search(row, length, beams, length_power)[0] for row in ids]
            texts = [self._ready().decode([row])[0] for row in out]
        else:
            drawn = generate(self.sampler, ids, length, None, temperature, top_k, top_p, seed)
            texts = self._ready().decode(drawn[:, 1:])
        stops = [stop] if isinstance(stop, str) else list(stop)
        return [_cut(text, len(p), stops) for text, p in zip(texts, prompts, strict=True)]

    def sample(self, n: int = 1, seed: int | None = None, **options: Any) -> list[str]:
        """n documents from the start token on, at most a context long."""
        return self.generate("", self.context - 1, seed=seed, n=n, **options)


class Documents(training.Batches):
    """Whole documents: input starts with the start token, target ends with the end token."""

    def __init__(self, ids: np.ndarray, size: int, seed: int = 0, shuffle: bool = True):
        super().__init__(ids, size, seed, shuffle)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        ids, _ = super().__getitem__(i)
        before = np.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=BOS)
        return np.where(before == EOS, PAD, before), ids


def _cut(text: str, start: int, stops: list[str]) -> str:
    """`text` up to the first stop string after character `start`."""
    ends = [text.find(stop, start) for stop in stops if stop]
    return text[: min([e for e in ends if e >= 0], default=len(text))]
