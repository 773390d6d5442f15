"""`StyleEditor`: says the same in another style, by editing each word in its context.

A latent in which words are bound to places can be read back word by word, so control needs no
direction in it: decode, and decide for every word whether it stays, goes or becomes something else
in the wished style (a tagger; Malmi et al., 2019). Learned from aligned pairs of texts.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops

from aelib.errors import BadInput
from aelib.measure.ngram import WORD
from aelib.models import training
from aelib.models.storage import StoredModel
from aelib.models.textcores import ConvCore
from aelib.objectives import categorical_nll
from aelib.text import PAD

Tensor = Any
Pair = tuple[str, str]
PIECE = re.compile(rf"\s*(?:{WORD})|\s+$")
START, KEEP = "", "="  # the piece before the first word; the edit that changes nothing


def pieces(text: str) -> list[str]:
    """An empty piece, then words and signs with the spaces before them; joined they are `text`."""
    return [START, *PIECE.findall(text)]


def edits(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """What to do with each piece of `a` to get `b`: "=" keep, "~x" say x instead, "=x" keep, add x.

    What `b` inserts goes with the piece before; of unequal parts the last piece takes the rest.
    """
    found = [KEEP] * len(a)
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "insert":
            found[i - 1] += "".join(b[k:m])
        elif kind != "equal":
            new = [*b[k:m], *[""] * (j - i)]
            new[j - i - 1] = "".join(b[k + j - i - 1 : m])
            found[i:j] = ["~" + x for x in new[: j - i]]
    return found


def apply(piece: str, edit: str) -> str:
    """The piece after its edit."""
    return edit[1:] if edit.startswith("~") else piece + edit[1:]


class Examples(training.Batches):
    """((pieces (batch, T), style (batch,)), edits (batch, T)), batches of like lengths."""

    def __init__(self, rows: Sequence[tuple[list[int], int, list[int]]], size: int, seed: int = 0):
        width = max(len(ids) for ids, _, _ in rows)
        self.targets = np.zeros((len(rows), width), np.int32)
        self.styles = np.array([style for _, style, _ in rows], np.int32)
        ids = np.zeros((len(rows), width), np.int32)
        for n, (row, _, wanted) in enumerate(rows):
            ids[n, : len(row)], self.targets[n, : len(row)] = row, wanted
        super().__init__(ids, size, seed)

    def __getitem__(self, i: int) -> Any:
        ids, _ = super().__getitem__(i)
        rows = self.batches[i]
        return (ids, self.styles[rows]), self.targets[rows, : ids.shape[1]]


@keras.saving.register_keras_serializable(package="aelib")
class StyleEditor(StoredModel):
    """p(edit_t | words around t, style): keep a word, drop it, replace it or add to it.

    width, depth  of the residual convolutions; each word sees 2(2^depth − 1) words on either side
    words, edits  most frequent ones that are known; rare words and rare edits are left alone

    `edit` has a strength: an edit happens where its probability, times the strength, exceeds that
    of leaving the word as it is. 0 copies, 1 does what is likeliest, more changes more.
    """

    def __init__(self, width: int = 128, depth: int = 3, words: int = 6000, edits: int = 2000,
                 dropout: float = 0.2, seed: int = 0, tokenizer: str | None = None,
                 **kwargs: Any):  # fmt: skip
        super().__init__(**kwargs)
        self.options: dict[str, Any] = {
            "width": width, "depth": depth, "words": words, "edits": edits, "dropout": dropout,
            "seed": seed,
        }  # fmt: skip
        self.tokenizer, self.seed = tokenizer, seed
        if tokenizer is not None:
            self._set_up()

    def _set_up(self) -> None:
        known = json.loads(self.tokenizer or "{}")
        self.words, self.edits = known["words"], known["edits"]
        self.word_id = {w: i + 2 for i, w in enumerate(self.words)}  # 0 padding, 1 unknown
        self.edit_id = {e: i for i, e in enumerate(self.edits)}
        o = self.options
        self.table = layers.Embedding(len(self.words) + 2, o["width"])
        self.style = layers.Embedding(2, o["width"])
        self.core = ConvCore(o["width"], o["depth"], causal=False, seed=o["seed"])
        self.drop = layers.Dropout(o["dropout"], seed=o["seed"])
        self.head = layers.Dense(len(self.edits))
        for layer in (self.table, self.style):
            layer.build((None, None))
        self.core.build((None, None, o["width"]))
        self.head.build((None, None, o["width"]))
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor], training: bool | None = None) -> Tensor:
        """(ids (batch, T), wished style (batch,) 0 or 1) -> edit logits (batch, T, edits)."""
        ids, style = inputs
        real = ops.expand_dims(ops.cast(ops.not_equal(ids, PAD), "float32"), -1)
        x = self.table(ids) + ops.expand_dims(self.style(style), 1)
        x = self.core(self.drop(x, training=training) * real)
        return self.head(self.drop(x, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        real = ops.cast(ops.not_equal(x[0], PAD), y_pred.dtype)
        return ops.sum(categorical_nll(y, y_pred, mask=real)) / ops.sum(real)

    def fit(  # type: ignore[override]
        self, pairs: Sequence[Pair], epochs: int = 4, batch_size: int = 64,
        seconds: float | None = None, learning_rate: float = 2e-3, verbose: Any = "auto",
    ) -> "StyleEditor":  # fmt: skip
        """Learn both directions from (style 0, style 1) pairs of texts. Returns the model."""
        if not pairs:
            raise BadInput("there is nothing to learn from: give pairs of texts")
        cut = [[pieces(text) for text in pair] for pair in pairs]
        both = [(a, edits(a, b), s) for x, y in cut for a, b, s in ((x, y, 1), (y, x, 0))]
        if self.tokenizer is None:
            self._learn(both)
        rows = [(self._ids(a), s, [self.edit_id.get(e, 0) for e in wanted])
                for a, wanted, s in both]  # fmt: skip
        batches = Examples(rows, batch_size, self.seed)
        if not self.compiled:
            self.compile(keras.optimizers.Adam(learning_rate, clipnorm=1.0))
        training.ready_optimizer(self)
        steps = epochs * len(batches) + int(self.optimizer.iterations)
        self._train(batches, training.Budget(seconds, steps), (), verbose=verbose,
                    epochs=epochs if seconds is None else 10_000)  # fmt: skip
        return self

    def _learn(self, rows: Sequence[tuple[list[str], list[str], int]]) -> None:
        words = Counter(w.strip() for a, _, _ in rows for w in a)
        done = Counter(e for _, wanted, _ in rows for e in wanted if e != KEEP)
        o = self.options
        kept = [e for e, n in done.most_common(o["edits"]) if n > 1]
        known = {"words": [w for w, _ in words.most_common(o["words"])],
                 "edits": [KEEP, *kept]}  # fmt: skip
        self.tokenizer = json.dumps(known, ensure_ascii=False)
        self._set_up()

    def _ids(self, a: Sequence[str]) -> list[int]:
        return [self.word_id.get(w.strip(), 1) for w in a]

    def edit(self, texts: Sequence[str] | str, style: int = 1, strength: float = 1.0,
             batch_size: int = 64) -> list[str]:  # fmt: skip
        """The texts in style 0 or 1; more `strength` changes more (see the class)."""
        self._ready()
        if style not in (0, 1) or not strength >= 0:
            raise BadInput("style is 0 or 1, and strength is at least 0")
        cut = [pieces(text) for text in ([texts] if isinstance(texts, str) else texts)]
        done: list[str] = []
        for i in range(0, len(cut), batch_size):
            part = cut[i : i + batch_size]
            ids = np.zeros((len(part), -(-max(map(len, part)) // 8) * 8), np.int32)
            for n, a in enumerate(part):
                ids[n, : len(a)] = self._ids(a)
            best = self._choose(ids, style, strength)
            done += ["".join(apply(w, self.edits[e]) for w, e in zip(a, row, strict=False))
                     for a, row in zip(part, best, strict=True)]  # fmt: skip
        return done

    def _choose(self, ids: np.ndarray, style: int, strength: float) -> np.ndarray:
        """The edit of each piece, (n, T)."""
        logits = self((ids, np.full(len(ids), style, np.int32)))
        scores = ops.convert_to_numpy(ops.log_softmax(logits)).copy()
        if strength == 0:
            return np.zeros(ids.shape, int)
        scores[..., 1:] += np.log(strength)
        return scores.argmax(-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options, "tokenizer": self.tokenizer}

    @classmethod
    def from_preset(cls, name: str = "style") -> Self:
        """The editor that comes with the package: 0 King James Version, 1 World English Bible."""
        return super().from_preset(name)
