"""Control: King James verses in modern English and back, against copying and a word table.

    python benchmarks/control.py              (--quick: a smoke test)

An independent classifier (words and pairs of words, logistic regression) learns the two styles
from the training books. On verses of the held-out books three things are read together: accuracy
(the share of outputs that it takes for the wished style), content (chrF against the true verse in
that style), and fluency (perplexity under a trigram model of that style). Rows: copying, the true
verse, a table of word substitutions, and the preset `style` (or an editor trained here) along its
strength; once more through the position-bound latent: encode, decode, then edit.
"""

from typing import Any

import common
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import aelib
from aelib import measure
from aelib.measure import NGramModel
from aelib.models.style import StyleEditor

NAMES = ("KJV", "WEB")
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
Pairs = list[tuple[str, str]]


class Judge:
    """The classifier, and a trigram model of each style."""

    def __init__(self, train: Pairs):
        words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"[\w']+|[^\w\s]", min_df=2)
        self.classifier = make_pipeline(words, LogisticRegression(C=10, max_iter=300))
        self.classifier.fit([text for pair in train for text in pair], [0, 1] * len(train))
        self.models = [NGramModel(3, "word").fit(list(side)) for side in zip(*train, strict=True)]

    def row(self, outputs: list[str], truth: list[str], style: int, **given: Any) -> dict[str, Any]:
        taken = float(np.mean(self.classifier.predict(outputs) == style))
        nll = self.models[style].nll_nats(outputs)
        return {
            "to": NAMES[style], **given, "accuracy": taken,
            "accuracy_se": (taken * (1 - taken) / len(outputs)) ** 0.5,
            "chrf": measure.chrf(outputs, truth),
            "exact": measure.exact_match(outputs, truth),
            "trigram_perplexity": measure.perplexity(nll, outputs), "verses": len(outputs),
        }  # fmt: skip


def rows_of(options: Any) -> list[dict[str, Any]]:
    verses = aelib.data.pairs("kjv", "web")
    train, test = list(verses.train), list(verses.test)
    chosen = np.random.default_rng(options.seed).permutation(len(test))[: options.verses]
    test = [test[i] for i in chosen]
    judge, editor = Judge(train), editor_of(options, train)
    latent = aelib.TextAutoencoder.from_preset("sentences")
    rows: list[dict[str, Any]] = []
    for style in (1, 0):
        source, truth = ([pair[s] for pair in test] for s in (1 - style, style))
        rows.append(judge.row(source, truth, style, method="copy"))
        rows.append(judge.row(truth, truth, style, method="true verse"))
        table = measure.WordTable().fit([(p[1 - style], p[style]) for p in train])
        replaced = [table.rewrite(text) for text in source]
        rows.append(
            judge.row(replaced, truth, style, method="word table", entries=len(table.entries))
        )
        for s in STRENGTHS:
            edited = editor.edit(source, style, s)
            rows.append(judge.row(edited, truth, style, method="editor", strength=s))
        fits = [i for i, text in enumerate(source) if len(latent.tokenizer.ids([text])[0]) < 48]
        back = latent.reconstruct([source[i] for i in fits])
        rows.append(judge.row(editor.edit(back, style), [truth[i] for i in fits], style,
                              method="latent, then editor", strength=1.0))  # fmt: skip
    return rows


def editor_of(options: Any, train: Pairs) -> StyleEditor:
    """The preset, or one trained here when that is asked for."""
    if options.epochs:
        return StyleEditor(seed=options.seed).fit(train, epochs=options.epochs, verbose=0)
    return StyleEditor.from_preset("style")


def options_of(parser: Any) -> None:
    parser.add_argument("--verses", type=int, default=1000, help="held-out verses")
    parser.add_argument("--epochs", type=int, default=0, help="train an editor; 0: the preset")
    parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.verses = 100
    common.write("control", options, rows_of(options))


if __name__ == "__main__":
    main()
