"""Sentences, a reader's own files, and the classics that come over the network."""

import dataclasses
import hashlib
import re
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aelib import data
from aelib.data import online
from aelib.data.corpus import Corpus, Provenance, contiguous, digest
from aelib.errors import BadInput, DataUnavailable, UnknownName


def corpus_of(*passages, **fields):
    provenance = Provenance("a test", "1", "MIT", "all in train", "", "-")
    return Corpus("mine", tuple(passages), (), (), provenance, **fields)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He ran. She sat! Who? Me.", ["He ran.", "She sat!", "Who?", "Me."]),
        ("Mr. Cyrus Vance met J. M. Keynes. They ate.", 2),
        ("The U.S. Senate met. It was No. 7 of the Rev. Smith.", 2),
        ('He said, "Let there be light," and there was light. God saw it.', 2),
        ('"Will you go?" she asked. "I will." He went.', 3),
        ("It cost 3.50 dollars. Then 4 men came.", 2),
        ("See Fig. 3 and e.g. Anna. (It rained.) Done.", 3),
        ("‘Oh dear!’ said she. “Élan!” he said. `Well,' she said.", 3),
        ("An end without a stop", ["An end without a stop"]),
        ("", []),
    ],
)
def test_splitting_into_sentences(text, sentences):
    found = list(data.split_sentences(text))
    assert found == sentences if isinstance(sentences, list) else len(found) == sentences


def test_a_quote_that_opens_in_another_sentence_is_dropped():
    assert list(data.split_sentences('He said, "Go. I will stay." So be it.')) == [
        "He said, Go.",
        "I will stay.",
        "So be it.",
    ]


@given(st.lists(st.sampled_from(["a", "The", "end.", "No.", "Why?", "U.S.", "(so)", "1st"])))
def test_splitting_loses_no_word(words):
    sentences = list(data.split_sentences(" ".join(words)))
    assert " ".join(sentences).split() == words
    assert all(sentence == sentence.strip() and sentence for sentence in sentences)


@pytest.mark.parametrize("name", ["web", "sotu", "grammar"])
def test_sentences_have_the_length_asked_for(name):
    sentences = data.load(name).sentences("test", min_words=5, max_words=9)
    assert len(sentences) > 300
    assert {len(s.split()) for s in sentences} == {5, 6, 7, 8, 9}
    assert len(set(sentences)) == len(sentences)
    assert all(s[-1] in ".!?\"')" and re.match("[\"'(]*[A-Z]", s) for s in sentences)


def test_verses_flow_on_but_not_into_another_book():
    references = {"train": ("Ruth 1:1", "Ruth 1:2", "Ruth 1:3", "Job 1:1")}
    passages = ("It came to pass,", "that he died. So she", "wept a long", "There was a man.")
    flowing = corpus_of(*passages, flowing=True, references=references)
    assert flowing.sentences(min_words=3) == ["It came to pass, that he died.", "There was a man."]
    assert corpus_of(*passages).sentences(min_words=3) == ["There was a man."]


def test_unique_keeps_the_first_of_each():
    corpus = corpus_of("He went up. He went up. She came.", "He went up.")
    assert corpus.sentences(min_words=2) == ["He went up.", "She came."]
    assert len(corpus.sentences(min_words=2, unique=False)) == 4
    with pytest.raises(BadInput, match="min_words"):
        corpus.sentences(min_words=5, max_words=4)


def test_headings_and_code_are_no_sentences():
    section = "The section\n***********\n\nIt does a\nthing well.\n\n   >>> Code is here.\n"
    assert list(data.split_sentences(section)) == ["It does a thing well."]
    assert corpus_of("A HEADING IN CAPITALS.").sentences() == []


def test_contiguous_blocks_are_the_whole():
    train, validation, test = contiguous([str(i) for i in range(103)])
    assert [*train, *validation, *test] == [str(i) for i in range(103)]
    assert (len(train), len(validation), len(test)) == (82, 10, 11)
    assert digest(["a", "b"], ["c"]) == hashlib.sha256(b"a\nb\nc").hexdigest()


def test_from_file_reads_lines(tmp_path):
    path = tmp_path / "mine.txt"
    lines = "".join(f"line {i}\n" for i in range(99))
    path.write_bytes(f"\ufeffüber 日本 0\r\n\r\n{lines}".encode())
    corpus = data.from_file(path)
    assert corpus.name == "mine"
    assert corpus.train[:2] == ("über 日本 0", "line 0")
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (80, 10, 10)
    assert corpus.test[-1] == "line 98"
    assert data.from_file(str(path)) == corpus


def test_from_file_joins_wrapped_paragraphs(tmp_path):
    path = tmp_path / "book.txt"
    lines = "It was a sentence that went on and on and over the\nend of the line.", "Short."
    path.write_text("\n\n".join(lines * 5), encoding="utf-8")
    corpus = data.from_file(path)
    assert corpus.train == (lines[0].replace("\n", " "), lines[1]) * 4
    assert len(data.from_file(path, unit="line").train) == 12
    poem = "So much depends\nupon\n\na red wheel\nbarrow\n" * 5
    path.write_text(poem, encoding="utf-8")
    assert data.from_file(path).train[:3] == ("So much depends", "upon", "a red wheel")
    assert data.from_file(path, unit="paragraph").train[0] == "So much depends upon"
    with pytest.raises(BadInput, match='"line" or "paragraph"'):
        data.from_file(path, unit="page")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is a binary file"),
        ("café".encode("cp1252"), r"is not utf-8 text \(byte 3\)"),
        ("hello".encode("utf-16"), 'say encoding="utf-16"'),
    ],
)
def test_from_file_refuses_in_one_line(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        data.from_file(path)
    assert "\n" not in str(caught.value)


def test_from_file_takes_an_encoding(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("café".encode("cp1252"))
    assert data.from_file(path, encoding="cp1252").text("test") == "café"
    path.write_bytes("日本".encode("utf-16"))
    assert data.from_file(path, encoding="utf-16").text("test") == "日本"
    with pytest.raises(BadInput, match="no encoding named"):
        data.from_file(path, encoding="klingon")
    with pytest.raises(BadInput, match="is a folder"):
        data.from_file(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        data.from_file(tmp_path / "none.txt")


PLAY = ("First Citizen:\nBefore we proceed, hear mé speak.\n\n" * 20).encode()


@pytest.fixture
def play(monkeypatch):
    """A short stand-in for tiny Shakespeare, whose first cut falls inside a character."""
    cut = PLAY.index("é".encode()) + 1
    classic = dataclasses.replace(
        online.CLASSICS["shakespeare"],
        size=len(PLAY), sha256=hashlib.sha256(PLAY).hexdigest(), cuts=(cut, len(PLAY)),
    )  # fmt: skip
    monkeypatch.setitem(online.CLASSICS, "shakespeare", classic)
    monkeypatch.delenv("AELIB_DATA", raising=False)
    return classic


def test_a_classic_from_a_file_comes_back_byte_for_byte(play, tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(PLAY)
    corpus = data.load("shakespeare", path=path)
    assert (corpus.text("train") + corpus.text("validation")).encode() == PLAY
    assert corpus.text("train").endswith("é") and corpus.test == ()


def test_a_classic_from_a_folder_or_an_archive(play, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "tinyshakespeare.txt", "w") as archive:
        archive.writestr("input.txt", PLAY)
    monkeypatch.setenv("AELIB_DATA", str(tmp_path))
    assert data.load("shakespeare").text("train").startswith("First Citizen:")


def test_another_text_under_a_classics_name_is_refused(play, tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(PLAY[1:])
    with pytest.raises(BadInput, match="SHA-256 differs"):
        data.load("shakespeare", path=path)
    with pytest.raises(BadInput, match="cannot read"):
        data.load("shakespeare", path=tmp_path / "none.txt")


def test_without_a_network_it_says_what_to_do(play, monkeypatch):
    import keras

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(keras.utils, "get_file", refuse)
    with pytest.raises(DataUnavailable, match=r"AELIB_DATA") as caught:
        data.load("shakespeare")
    assert play.url in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".txt", ".zip"])
def test_an_interrupted_download_is_fetched_again(play, ending, tmp_path, monkeypatch):
    """Keras writes to the final name: a killed process leaves a part of the file there."""
    import keras

    far, cache = tmp_path / f"far{ending}", tmp_path / ".keras" / "aelib"
    if ending == ".zip":
        with zipfile.ZipFile(far, "w") as archive:
            archive.writestr("input.txt", PLAY)
    else:
        far.write_bytes(PLAY)
    cache.mkdir(parents=True)
    (cache / f"shakespeare{ending}").write_bytes(far.read_bytes()[:50])
    near = dataclasses.replace(play, url=far.as_uri())
    monkeypatch.setitem(online.CLASSICS, "shakespeare", near)
    get = keras.utils.get_file
    monkeypatch.setattr(
        keras.utils, "get_file", lambda *a, **k: get(*a, cache_dir=tmp_path / ".keras", **k)
    )
    assert data.load("shakespeare").text("train").startswith("First Citizen:")
    assert (cache / f"shakespeare{ending}").read_bytes() == far.read_bytes()


def test_a_path_is_for_classics_only(tmp_path):
    with pytest.raises(BadInput, match="from_file"):
        data.load("web", path=tmp_path)
    with pytest.raises(UnknownName, match="from_file"):
        data.load("mine", path=tmp_path)


def test_the_published_split_of_tiny_shakespeare():
    classic = online.CLASSICS["shakespeare"]
    assert classic.cuts == (int(0.9 * 1_115_394), 1_115_394)
    assert data.available(online=True)[-3:] == ["shakespeare", "text8", "enwik8"]
