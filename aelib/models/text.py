"""`TextAutoencoder`: sentences to vectors and back, one API over several networks and latents."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from aelib import objectives
from aelib.errors import BadInput, UnknownName
from aelib.models import networks, training
from aelib.text import Tokenizer, noise, read_lines
from aelib.text.files import Source

Tensor = Any
KINDS = ("plain", "denoising", "variational")
LONGEST = 64  # tokens; longer sentences are cut while training unless `length` says more


@keras.saving.register_keras_serializable(package="aelib")
class TextAutoencoder(keras.Model):
    """Sentence -> z (latent_dim,) -> sentence.

    encoder, decoder  "binding" (position-bound superposition: learns in a minute), "recurrent",
                      "transformer"; in any combination
    kind              "plain", "denoising" (input noised, target clean), "variational"
    tokens            "word", "bpe", "char" or "byte"; `vocabulary` is its size
    length            longest sentence in tokens, the end included; None: from the training texts
    beta, free_bits   of the variational kind: weight of the KL, and λ in nats per dimension
    word_dropout      share of the decoder's input words that are hidden (autoregressive decoders)

    It is a plain `keras.Model` over token ids (batch, T): calling it gives the loss's parts,
    {"nll": (batch,), "kl": (batch, k)} in nats per sentence, so own training loops work, too.
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
        word_dropout: float = 0.0,
        noise_rate: float = 0.2,
        candidates: int = 512,
        seed: int = 0,
        tokenizer: Tokenizer | str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise UnknownName(f"no kind {kind!r}: choose one of {', '.join(KINDS)}")
        networks.check(encoder, decoder)
        if latent_dim < 1:
            raise BadInput(f"latent_dim is at least 1, not {latent_dim}")
        self.options: dict[str, Any] = {
            "latent_dim": latent_dim, "encoder": encoder, "decoder": decoder, "kind": kind,
            "tokens": tokens, "vocabulary": vocabulary, "length": length, "width": width,
            "free_bits": free_bits, "word_dropout": word_dropout, "noise_rate": noise_rate,
            "candidates": candidates, "seed": seed,
        }  # fmt: skip
        self.latent_dim, self.kind, self.seed = latent_dim, kind, seed
        self.free_bits = free_bits
        self.beta = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(beta), trainable=False, name="beta"
        )
        self.generator = keras.random.SeedGenerator(seed)
        self.trackers = {n: keras.metrics.Mean(name=n) for n in ("nll", "kl")}
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
        size = 2 * self.latent_dim if self.kind == "variational" else self.latent_dim
        self.encoder, self.decoder = networks.make(tokenizer.size, size, self.options)
        self.encoder.build((None, self.length))
        self.decoder.build((None, self.latent_dim))
        self.built = True

    @property
    def length(self) -> int:
        """Longest sentence in tokens, the end token included."""
        return int(self.options["length"])

    def posterior(self, ids: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """(μ, log σ²) of q(z|x), each (batch, latent_dim); only for the variational kind."""
        mean, logvar = ops.split(self.encoder(ids, training=training), 2, axis=-1)
        return mean, logvar

    def call(self, ids: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """The loss's parts, nats per sentence: {"nll": (batch,), "kl": (batch, k)}.

        `ids` is (batch, T), or a pair (input, target) of such.
        """
        ids, targets = ids if isinstance(ids, (tuple, list)) else (ids, ids)
        if self.kind != "variational":
            z = self.encoder(ids, training=training)
            nll = self.decoder.nll(z, targets, training=training)
            return {"nll": nll, "kl": ops.zeros_like(z[:, :1])}
        mean, logvar = self.posterior(ids, training=training)
        z = objectives.reparameterise(mean, logvar, self.generator)
        kl = objectives.kl_per_dimension(mean, logvar)
        return {"nll": self.decoder.nll(z, targets, training=training), "kl": kl}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        nll, kl = y_pred["nll"], y_pred["kl"]  # (batch,), (batch, k)
        self.trackers["nll"].update_state(nll)
        self.trackers["kl"].update_state(ops.sum(kl, axis=-1))
        if self.kind != "variational":
            return ops.mean(nll)
        paid = objectives.free_bits(kl, self.free_bits) if training else ops.mean(ops.sum(kl, -1))
        return ops.mean(nll) + self.beta * paid

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
        callbacks: Sequence[Any] = (),
        verbose: Any = "auto",
    ) -> "TextAutoencoder":
        """Train on sentences: a path, an open file (one a line) or a list. Returns the model.

        The first call learns the tokenizer, too. 5 % of the texts are held out for early stopping
        unless `validation` gives others. `seconds` is a budget of CPU time that replaces `epochs`;
        0 learns the vocabulary and the word counts alone (enough for binding at latent 256).
        `model.history.history` holds the curves, in nats per sentence. Call it again to go on.
        """
        lines = read_lines(texts)
        if validation is None:
            lines, held = training.split_off(lines, seed=self.seed)
        else:
            held = read_lines(validation)
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
        batches = training.Batches(ids, batch_size, self.seed, corrupt=self._corrupt())
        steps = epochs * len(batches) + int(self.optimizer.iterations)
        extra: list[Any] = [training.Budget(seconds, steps)]
        if held:
            extra.append(keras.callbacks.EarlyStopping(
                "val_nll", mode="min", patience=patience, restore_best_weights=True
            ))  # fmt: skip
        super().fit(
            batches, epochs=epochs if seconds is None else 10_000, verbose=verbose,
            validation_data=training.Batches(self.ids(held), 100, shuffle=False) if held else None,
            callbacks=[*extra, *callbacks],
        )  # fmt: skip
        return self

    def _learn_vocabulary(self, lines: list[str]) -> None:
        kind, size = self.options["tokens"], self.options["vocabulary"]
        tokenizer = Tokenizer.train(lines, kind, size)
        if not self.options["length"]:
            longest = max(map(len, tokenizer.ids(lines))) + 1
            self.options["length"] = min(LONGEST, -(-longest // 8) * 8)
        self._set_up(tokenizer)

    def _corrupt(self) -> Callable[[np.ndarray, int], np.ndarray] | None:
        if self.kind != "denoising":
            return None
        rate = self.options["noise_rate"]
        return lambda ids, seed: noise.substitute(noise.swap(ids, rate, seed), rate, seed)

    # -------------------------------------------------------------------------------- using it

    def _ready(self) -> Tokenizer:
        if self.tokenizer is None:
            raise BadInput("this model knows no words yet: call fit(texts), or load a saved model")
        return self.tokenizer

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """Token ids (n, length) int32; a sentence that is too long is cut."""
        return self._ready().encode(texts, self.length)

    def encode(self, texts: Sequence[str] | str, batch_size: int = 256) -> np.ndarray:
        """Sentences to latents, (n, latent_dim) float32; the posterior mean if variational."""
        ids = self.ids([texts] if isinstance(texts, str) else list(texts))
        parts = [
            ops.convert_to_numpy(self.encoder(ids[i : i + batch_size]))[:, : self.latent_dim]
            for i in range(0, len(ids), batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.latent_dim), np.float32)

    def decode(self, z: Any, batch_size: int = 64, **options: Any) -> list[str]:
        """Latents (n, latent_dim) to sentences, greedily and free-running.

        Autoregressive decoders take temperature, top_k, top_p and seed; binding takes sweeps.
        """
        z = self._checked(z)
        texts: list[str] = []
        for i in range(0, len(z), batch_size):
            rows = np.resize(z[i : i + batch_size], (min(batch_size, len(z)), z.shape[1]))
            ids = self.decoder.generate(ops.convert_to_tensor(rows), **options)
            texts += self._ready().decode(ids[: len(z) - i])
        return texts

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
        """n new sentences from z ~ `prior` (an object with sample(n, seed)), N(0, I) by default.

        Only a variational model is trained so that N(0, I) means something; for the others fit
        `aelib.latent.GaussianSampler` or `MixtureSampler` to encoded texts and pass it.
        """
        if prior is None:
            z = np.random.default_rng(seed).standard_normal((n, self.latent_dim))
        else:
            z = prior.sample(n, seed)
        if self.decoder.autoregressive:
            options.setdefault("seed", seed)
        return self.decode(z, **options)

    def score(self, texts: Sequence[str] | str, batch_size: int = 100) -> dict[str, float]:
        """How well the texts come back: exact and token accuracy free-running, NLL, characters.

        exact           share of sentences that come back letter for letter
        token_accuracy  share of tokens right at their place
        nll             nats per sentence, teacher-forced; for the variational kind −ELBO
        kl              nats per sentence (0 unless variational)
        bits_per_character   nll / (ln 2 · characters); a bound only for the variational kind
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise BadInput("there is nothing to score: give at least one text")
        ids = self.ids(texts)
        back = self.reconstruct(texts)
        again = self._ready().encode(back, ids.shape[1])
        real = ids != 0
        parts = [self(ids[i : i + batch_size]) for i in range(0, len(ids), batch_size)]
        nll = np.concatenate([ops.convert_to_numpy(p["nll"]) for p in parts])
        kl = np.concatenate([ops.convert_to_numpy(ops.sum(p["kl"], -1)) for p in parts])
        characters = sum(map(len, texts)) + len(texts)  # each text pays for its end
        return {
            "sentences": len(texts),
            "exact": float(np.mean([a == b for a, b in zip(texts, back, strict=True)])),
            "token_accuracy": float((again == ids)[real].mean()),
            "nll": float((nll + kl).mean()),
            "kl": float(kl.mean()),
            "bits_per_character": float((nll + kl).sum() / np.log(2) / characters),
        }

    # ------------------------------------------------------------------------ saving, loading

    @classmethod
    def load(cls, path: str | Path) -> "TextAutoencoder":
        """Read a model that `save` wrote; BadInput for any other or a damaged file."""
        from aelib.models.storage import load

        return load(path, cls)

    def save(self, path: str | Path, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write one `.keras` file, tokenizer included (first to a temporary name)."""
        from aelib.models.storage import save

        self._ready()
        save(super().save, path, *args, **kwargs)

    @classmethod
    def from_preset(cls, name: str) -> "TextAutoencoder":
        """A model with weights that come with the package: see `aelib.presets.available()`."""
        from aelib import presets

        return presets.load(name, cls)
