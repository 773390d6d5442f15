"""`TextAutoencoder`: sentences to vectors and back, one API over several networks and latents."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from aelib import measure, objectives
from aelib.errors import BadInput
from aelib.models import bottleneck, networks, training
from aelib.models.storage import StoredModel
from aelib.text import Tokenizer, noise, read_lines
from aelib.text.files import Source

Tensor = Any
KINDS = tuple(bottleneck.KINDS)
LONGEST = 64  # tokens; longer sentences are cut while training unless `length` says more


@keras.saving.register_keras_serializable(package="aelib")
class TextAutoencoder(StoredModel):
    """Sentence -> z (latent_dim,) -> sentence.

    encoder, decoder  "binding" (position-bound superposition: learns in a minute), "recurrent"
                      (GRU), "lstm", "transformer", "convolutional"; in any combination. Encoder
                      "none" leaves the decoder alone: a language model
    kind              "plain", "denoising" (input noised, target clean), "variational",
                      "adversarial" (AAE), "denoising-adversarial" (DAAE), "quantised" (FSQ)
    tokens            "word", "bpe", "char" or "byte"; `vocabulary` is its size
    length            longest sentence in tokens, the end included; None: from the training texts
    beta              weight of the KL (variational) or of the encoder's part in the adversarial
                      game; `objectives.Anneal` moves it while training
    free_bits         of the variational kind: nats that are free per "dimension" or "sentence"
                      (`free_per`)
    posterior         "gaussian", "batchnorm" (BN-VAE) or "delta" (δ-VAE); the latter two keep
                      at least `min_rate` nats per dimension
    skip              z goes straight to the output, too (autoregressive decoders)
    dropout           on the decoder's inputs and outputs
    word_dropout      share of the decoder's input words that are hidden (autoregressive decoders)
    levels            values of each latent dimension of the quantised kind
    classes           above 0 the decoder is told which of so many classes a text belongs to
                      (conditional; Sohn et al., 2015): `fit` and `score` take (text, label) pairs,
                      `decode`, `reconstruct`, `interpolate` and `sample` a `label`

    It is a plain `keras.Model` over token ids (batch, T): calling it gives the loss's parts,
    {"nll": (batch,), "kl": (batch, k)} in nats per sentence and what the kind adds, and
    `objective` adds them up, so own training loops work, too.
    """

    def __init__(
        self,
        latent_dim: int = 256,
        encoder: str = "binding",
        decoder: str = "binding",
        kind: str = "plain",
        tokens: str = "word",
        vocabulary: int = 8000,
        length: int | None = None,
        width: int = 256,
        beta: float = 1.0,
        free_bits: float = 0.0,
        free_per: str = "dimension",
        posterior: str = "gaussian",
        min_rate: float = 0.1,
        levels: int = 8,
        classes: int = 0,
        skip: bool = False,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        noise_rate: float = 0.2,
        candidates: int = 512,
        seed: int = 0,
        tokenizer: Tokenizer | str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        networks.check(encoder, decoder)
        if latent_dim < 1:
            raise BadInput(f"latent_dim is at least 1, not {latent_dim}")
        self.options: dict[str, Any] = {
            "latent_dim": latent_dim, "encoder": encoder, "decoder": decoder, "kind": kind,
            "tokens": tokens, "vocabulary": vocabulary, "length": length, "width": width,
            "free_bits": free_bits, "free_per": free_per, "posterior": posterior,
            "min_rate": min_rate, "levels": levels, "classes": classes, "skip": skip,
            "dropout": dropout, "word_dropout": word_dropout, "noise_rate": noise_rate,
            "candidates": candidates, "seed": seed,
        }  # fmt: skip
        self.latent_dim, self.kind, self.classes, self.seed = latent_dim, kind, classes, seed
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), trainable=False, name="beta"
        )
        self.bottleneck = bottleneck.make(kind, self.options)
        names = ("nll", "kl", *self.bottleneck.reports)
        self.trackers = {n: keras.metrics.Mean(name=n) for n in names}
        self.tokenizer: Tokenizer | None = None
        self.adapted = False  # word frequencies known: by the first fit, or loaded
        if tokenizer is not None:
            self._set_up(
                Tokenizer.from_json(tokenizer) if isinstance(tokenizer, str) else tokenizer
            )

    # ---------------------------------------------------------------- building and Keras's side

    def _set_up(self, tokenizer: Tokenizer) -> None:
        """Make the networks, once the vocabulary is known."""
        self.tokenizer = tokenizer
        self.options["length"] = self.options["length"] or LONGEST
        size = self.bottleneck.size
        self.encoder, self.decoder = networks.make(tokenizer.size, size, self.options)
        self.bottleneck.build((None, size))
        self.encoder.build((None, self.length))
        self.decoder.build((None, self.latent_dim + self.classes))
        self.built = True

    @property
    def length(self) -> int:
        """Longest sentence in tokens, the end token included."""
        return int(self.options["length"])

    def posterior(self, ids: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """(μ, log σ²) of q(z|x), each (batch, latent_dim); only for the variational kind."""
        if self.kind != "variational":
            raise BadInput(f"a {self.kind} model has no posterior: use kind='variational'")
        h = self.encoder(ids, training=training)
        return self.bottleneck.posterior(h, training=training)

    def call(self, ids: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """The loss's parts, nats per sentence: {"nll": (batch,), "kl": (batch, k), ...}.

        `ids` is (batch, T), a pair (input, target) of such, or with classes (input, target, label).
        """
        ids, targets, *label = ids if isinstance(ids, (tuple, list)) else (ids, ids)
        z, parts = self.bottleneck(self.encoder(ids, training=training), training=training)
        told = self._told(z, *label)
        return {"nll": self.decoder.nll(told, targets, training=training), **parts}

    def _told(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """What the decoder gets: z, with classes followed by the label's one-hot vector."""
        if not self.classes:
            return z
        if label is None:
            raise BadInput(
                f"this model is conditional: say which of {self.classes} classes, label="
            )
        return ops.concatenate([z, ops.one_hot(label, self.classes, dtype=z.dtype)], axis=-1)

    def objective(self, parts: dict[str, Tensor], training: bool = True) -> Tensor:
        """What is minimised, from the parts that `call` gives: nats per sentence, a scalar."""
        return ops.mean(parts["nll"]) + self.bottleneck.penalty(parts, self.beta, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        reported = {**y_pred, "kl": ops.sum(y_pred["kl"], axis=-1)}
        reported["bound"] = reported["nll"] + reported["kl"]
        for name, tracker in self.trackers.items():
            tracker.update_state(reported[name])
        return self.objective(y_pred, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        tokenizer = self.tokenizer.to_json() if self.tokenizer else None
        beta = float(ops.convert_to_numpy(self.beta))
        return {**super().get_config(), **self.options, "beta": beta, "tokenizer": tokenizer}

    # ------------------------------------------------------------------------------- training

    def fit(  # type: ignore[override]
        self,
        texts: Source,
        validation: Source | None = None,
        epochs: int = 5,
        batch_size: int = 64,
        seconds: float | None = None,
        learning_rate: float = 1e-3,
        patience: int = 2,
        monitor: str | None = None,
        callbacks: Sequence[Any] = (),
        verbose: Any = "auto",
        workers: Any = None,
    ) -> "TextAutoencoder":
        """Train on sentences: a path, an open file (one a line) or a list. Returns the model.

        A conditional model takes lists of (text, label) pairs.

        The first call learns the tokenizer, too. 5 % of the texts are held out for early stopping
        unless `validation` gives others. `seconds` is a budget of CPU time that replaces `epochs`;
        0 learns the vocabulary and the word counts alone (enough for binding at latent 256).
        Early stopping looks at `monitor`: "val_nll", for the variational kind "val_bound" (−ELBO).
        `model.history.history` holds the curves, in nats per sentence. Call it again to go on.
        `workers` (`aelib.models.workers.Workers`) shares the work with other processes.
        """
        rows = self._rows(texts)
        if validation is None:
            rows, held = training.split_off(rows, seed=self.seed)
        else:
            held = self._rows(validation)
        lines, labels = self._unzip(rows)
        if self.tokenizer is None:
            self._learn_vocabulary(lines)
        ids = self.ids(lines)
        if not self.adapted:
            self.decoder.adapt(ids)
            self.adapted = True
        if not self.compiled:
            self.compile(optimizer=keras.optimizers.Adam(learning_rate, beta_2=0.99, clipnorm=5.0))
        if seconds is not None and seconds <= 0:
            return self
        training.ready_optimizer(self)
        batches = training.Batches(
            ids, batch_size, self.seed, corrupt=self._corrupt(), labels=labels
        )
        steps = epochs * len(batches) + int(self.optimizer.iterations)
        stop = training.Patience.beside(
            callbacks, monitor=monitor or self._monitor(), mode="min", patience=patience
        )
        self._train(
            batches, training.Budget(seconds, steps), callbacks, [stop] if held else [], workers,
            epochs=epochs if seconds is None else 10_000, verbose=verbose,
            validation_data=self._evaluation(held) if held else None,
        )  # fmt: skip
        return self

    def _rows(self, texts: Any) -> list[Any]:
        """Lines, or checked (text, label) pairs."""
        if not self.classes:
            return read_lines(texts)
        rows = list(texts)
        if not all(isinstance(r, tuple) and len(r) == 2 and r[1] in range(self.classes)
                   for r in rows):  # fmt: skip
            raise BadInput(f"give (text, label) pairs, labels from 0 to {self.classes - 1}")
        return rows

    @property
    def candidates(self) -> list[Any]:
        return [self.decoder.candidates]

    def _unzip(self, rows: list[Any]) -> tuple[list[str], np.ndarray | None]:
        """Texts, and labels (n,) if there are classes."""
        if not self.classes:
            return rows, None
        return [text for text, _ in rows], np.array([label for _, label in rows], np.int32)

    def _evaluation(self, rows: list[Any]) -> Any:
        lines, labels = self._unzip(rows)
        return training.Batches(self.ids(lines), 100, shuffle=False, labels=labels)

    def _monitor(self) -> str:
        return "val_bound" if self.kind == "variational" else "val_nll"

    def _learn_vocabulary(self, lines: list[str]) -> None:
        kind, size = self.options["tokens"], self.options["vocabulary"]
        tokenizer = Tokenizer.train(lines, kind, size)
        if not self.options["length"]:
            longest = max(map(len, tokenizer.ids(lines))) + 1
            self.options["length"] = min(LONGEST, -(-longest // 8) * 8)
        self._set_up(tokenizer)

    def reset_decoder(self) -> None:
        """Fresh weights for the decoder and a fresh optimiser (Li et al., 2019).

        After training as an autoencoder (beta 0) it makes the latent worth its price: the encoder
        already tells, and the decoder has to learn to listen.
        """
        size = self._ready().size
        if not self.decoder.autoregressive:
            raise BadInput("a binding decoder shares its vectors with the encoder: no reset")
        _, fresh = networks.make(size, self.bottleneck.size, self.options)
        fresh.build((None, self.latent_dim + self.classes))
        for old, new in zip(self.decoder.trainable_weights, fresh.trainable_weights, strict=True):
            old.assign(new)
        if self.compiled:
            rate = float(ops.convert_to_numpy(self.optimizer.learning_rate))
            self.compile(keras.optimizers.Adam(rate, beta_2=0.99, clipnorm=5.0))

    def log_weights(
        self, ids: Tensor, samples: int = 500, most: int = 4000, label: Any = None
    ) -> np.ndarray:
        """log p(x|z) + log p(z) − log q(z|x) for draws z ~ q, nats, (samples, batch).

        The softmax is full. The mean is the ELBO, `aelib.measure.iw_nll` the tighter bound; `most`
        sentences are decoded at a time. With classes it is log p(x|z, c), and `label` says c: one
        for all, or one for each.
        """
        mean, logvar = self.posterior(ids)
        at_once = max(1, min(samples, most // len(ids)))
        labels = None if label is None else np.broadcast_to(label, (len(ids),)).tolist()
        rows: list[np.ndarray] = []
        for _ in range(-(-samples // at_once)):
            m, s, x = (ops.tile(a, (at_once, 1)) for a in (mean, logvar, ids))
            z = objectives.reparameterise(m, s, self.bottleneck.generator)
            told = self._labelled(ops.convert_to_numpy(z), labels and labels * at_once)
            weights = objectives.importance_weights(self.decoder.nll(told, x), z, m, s)
            rows += list(ops.convert_to_numpy(weights).reshape(at_once, len(ids)))
        return np.stack(rows[:samples])

    def _corrupt(self) -> Callable[[np.ndarray, int], np.ndarray] | None:
        if not self.kind.startswith("denoising"):
            return None
        rate = self.options["noise_rate"]
        return lambda ids, seed: noise.substitute(noise.swap(ids, rate, seed), rate, seed)

    # -------------------------------------------------------------------------------- using it

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """Token ids (n, length) int32; a sentence that is too long is cut, with a warning."""
        return self._ready().encode(texts, self.length)

    def encode(self, texts: Sequence[str] | str, batch_size: int = 256) -> np.ndarray:
        """Sentences to latents, (n, latent_dim) float32; the posterior mean if variational."""
        ids = self.ids([texts] if isinstance(texts, str) else list(texts))
        parts = [
            ops.convert_to_numpy(self.bottleneck.code(self.encoder(ids[i : i + batch_size])))
            for i in range(0, len(ids), batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.latent_dim), np.float32)

    def decode(
        self, z: Any, batch_size: int = 64, label: int | Sequence[int] | None = None, **options: Any
    ) -> list[str]:
        """Latents (n, latent_dim) to sentences, greedily and free-running.

        Autoregressive decoders take temperature, top_k, top_p and seed; binding takes sweeps.
        Conditional models need a `label`: one for all, or one for each.
        """
        z = self._labelled(self._checked(z), label)
        texts: list[str] = []
        for i in range(0, len(z), batch_size):
            rows = np.resize(z[i : i + batch_size], (min(batch_size, len(z)), z.shape[1]))
            ids = self.decoder.generate(ops.convert_to_tensor(rows), **options)
            texts += self._ready().decode(ids[: len(z) - i])
        return texts

    def _labelled(self, z: np.ndarray, label: int | Sequence[int] | None) -> np.ndarray:
        """z with its labels' one-hot vectors, (n, latent_dim + classes)."""
        if label is None:
            return ops.convert_to_numpy(self._told(z))
        labels = np.broadcast_to(np.asarray(label), (len(z),))
        if not self.classes or not np.isin(labels, range(self.classes)).all():
            raise BadInput(f"no label {label!r}: this model has {self.classes} classes")
        return ops.convert_to_numpy(self._told(z, labels))

    def _checked(self, z: Any) -> np.ndarray:
        self._ready()
        z = np.asarray(z, np.float32)
        z = z[None] if z.ndim == 1 else z
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise BadInput(f"latents have shape (n, {self.latent_dim}) here, not {z.shape}")
        if not np.isfinite(z).all():
            raise BadInput("latents hold NaN or infinity: encode the texts again")
        return z

    def reconstruct(self, texts: Sequence[str] | str, **options: Any) -> list[str]:
        """decode(encode(texts))."""
        return self.decode(self.encode(texts), **options)

    def interpolate(
        self, a: str, b: str, steps: int = 7, path: str = "linear", **options: Any
    ) -> list[str]:
        """Sentences decoded on the way from a to b, both ends included."""
        from aelib.latent import interpolate

        za, zb = self.encode([a, b])
        return self.decode(interpolate(za, zb, steps, path), **options)

    def sample(self, n: int = 1, seed: int | None = None, prior: Any = None, **options: Any):
        """n new sentences from z ~ `prior` (an object with sample(n, seed)) or the kind's own.

        That is N(0, I), or uniform codes for the quantised kind. Only variational and adversarial
        models are trained so that it means something; for the others fit
        `aelib.latent.GaussianSampler` or `MixtureSampler` to encoded texts and pass it.
        """
        z = self.bottleneck.prior(n, seed) if prior is None else prior.sample(n, seed)
        if self.decoder.autoregressive:
            options.setdefault("seed", seed)
        return self.decode(z, **options)

    def score(self, texts: Sequence[Any] | str, batch_size: int = 100) -> dict[str, float]:
        """How well the texts come back: exact and token accuracy free-running, NLL, characters.

        exact           share of sentences that come back letter for letter
        token_accuracy  share of tokens right at their place
        nll             nats per sentence, teacher-forced; for the variational kind −ELBO
        kl              nats per sentence (0 unless variational)
        bits_per_character   nll / (ln 2 · characters); a bound only for the variational kind
        """
        rows = [texts] if isinstance(texts, str) else list(texts)
        if not rows:
            raise BadInput("there is nothing to score: give at least one text")
        texts, labels = self._unzip(self._rows(rows) if self.classes else rows)
        ids = self.ids(texts)
        back = self.reconstruct(texts, label=labels)
        given = (ids, ids) if labels is None else (ids, ids, labels)
        parts = [self(tuple(a[i : i + batch_size] for a in given))
                 for i in range(0, len(ids), batch_size)]  # fmt: skip
        nll = np.concatenate([ops.convert_to_numpy(p["nll"]) for p in parts])
        kl = np.concatenate([ops.convert_to_numpy(ops.sum(p["kl"], -1)) for p in parts])
        characters = sum(map(len, texts)) + len(texts)  # each text pays for its end
        return {
            "sentences": len(texts),
            "exact": measure.exact_match(back, texts),
            "token_accuracy": measure.token_accuracy(self._ready().encode(back), ids),
            "nll": float((nll + kl).mean()),
            "kl": float(kl.mean()),
            "bits_per_character": float((nll + kl).sum() / np.log(2) / characters),
        }
