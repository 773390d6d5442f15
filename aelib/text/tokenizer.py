"""Tokenisers that can spell any Unicode string: a thin face over the ``tokenizers`` library.

Text becomes UTF-8 bytes, and every vocabulary holds all 256 bytes, so no token is ever unknown and
``decode(encode(text)) == text`` holds exactly.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import tokenizers as hf
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from aelib.errors import BadInput, UnknownName
from aelib.writing import whole

PAD, BOS, EOS, FIRST = 0, 1, 2, 3  # FIRST is the smallest id that stands for text
# Characters outside the byte alphabet: no text can ever produce these three pieces.
_SPECIALS = ["␀pad", "␀bos", "␀eos"]
_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
_KINDS = ("word", "bpe", "char", "byte")
_FORMAT = 1


class Tokenizer:
    """Text to token ids and back, exactly, for any Unicode string.

    Make one with :meth:`train`. Ids 0, 1 and 2 are padding, start and end.
    """

    def __init__(self, kind: str, backend: hf.Tokenizer) -> None:
        self.kind = kind
        self._backend = backend

    @classmethod
    def train(cls, texts: Iterable[str], kind: str = "word", size: int = 8000) -> "Tokenizer":
        """Learn a vocabulary of at most `size` tokens (never fewer than the 256 bytes + 3).

        word  the most frequent words, each with its leading space; the rest is spelt in pieces
        bpe   byte-pair encoding (Sennrich et al., 2016) over bytes
        char  the most frequent characters; the rest is spelt in bytes
        byte  bytes alone; nothing is learned
        """
        if kind not in _KINDS:
            raise UnknownName(f"no tokenizer kind {kind!r}: choose one of {', '.join(_KINDS)}")
        texts = _checked(texts)
        if kind != "byte" and not any(texts):
            raise BadInput("no text to learn a vocabulary from: give at least one non-empty string")
        maker = {"word": _word, "bpe": _bpe, "char": _char, "byte": _byte}[kind]
        return cls(kind, maker(texts, max(size, len(_ALPHABET) + FIRST)))

    @property
    def size(self) -> int:
        """Number of ids, the three special ones included."""
        return self._backend.get_vocab_size()

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text` as readable strings (bytes that are no character show as �)."""
        return [self._text([i], strip=False) for i in self.ids([text])[0]]

    def ids(self, texts: Iterable[str]) -> list[list[int]]:
        """Ids of each text, without start, end or padding."""
        texts = _checked(texts)
        batches = _batches(texts, 20_000)
        return [e.ids for batch in batches for e in self._backend.encode_batch(batch)]

    def encode(self, texts: str | Iterable[str], length: int | None = None) -> np.ndarray:
        """Ids with end token and padding, (n, T) int32; T is `length`, or the longest text's.

        A text of more than `length` - 1 tokens keeps the first `length` - 1, then the end token;
        a warning says how many were cut.
        """
        rows = self.ids([texts] if isinstance(texts, str) else texts)
        length = length or max(map(len, rows), default=0) + 1
        cut = sum(len(row) >= length for row in rows)
        if cut:
            warnings.warn(
                f"{cut} of {len(rows)} texts have more than {length - 1} tokens and were cut: "
                "make a model with a larger length",
                stacklevel=4,
            )
        out = np.full((len(rows), length), PAD, np.int32)
        for line, row in zip(out, rows, strict=True):
            kept = row[: length - 1]
            line[: len(kept)] = kept
            line[len(kept)] = EOS
        return out

    def decode(self, ids: np.ndarray | Sequence[Sequence[int]]) -> list[str]:
        """Texts of rows of ids, each up to its first end token; special ids are skipped."""
        return [self._text(_until_end(row)) for row in ids]

    def _text(self, ids: Sequence[int], strip: bool = True) -> str:
        text = self._backend.decode(list(ids), skip_special_tokens=False)
        leading = self.kind in ("word", "bpe") and strip and text.startswith(" ")
        return text[1:] if leading else text

    def to_json(self) -> str:
        """The whole tokenizer as one JSON string."""
        return json.dumps(
            {
                "format": _FORMAT,
                "kind": self.kind,
                "tokenizers": json.loads(self._backend.to_str()),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "Tokenizer":
        """Rebuild a tokenizer from :meth:`to_json`; raises BadInput if it is something else."""
        try:
            data = json.loads(text)
            kind, backend = data["kind"], hf.Tokenizer.from_str(json.dumps(data["tokenizers"]))
            if data["format"] == _FORMAT and _spells_everything(kind, backend):
                return cls(kind, backend)
            raise ValueError("a tokenizer of another kind")
        except Exception as error:  # the library raises bare Exception for bad JSON
            raise BadInput("not an aelib tokenizer: save one with Tokenizer.save") from error

    def save(self, path: str | Path) -> None:
        """Write JSON to `path` (through a temporary file)."""
        with whole(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot read a tokenizer from {path}: {error}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        return f"Tokenizer(kind={self.kind!r}, size={self.size})"


def _checked(texts: Iterable[str]) -> list[str]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"text {i} is {type(text).__name__}, not a string")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BadInput(f"text {i} holds a lone surrogate: not valid Unicode") from error
    return texts


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(islice(rest, size)):
        yield batch


def _until_end(row: Iterable[int]) -> list[int]:
    kept = []
    for i in row:
        if i == EOS:
            break
        if i >= FIRST:
            kept.append(int(i))
    return kept


def _dress(backend: hf.Tokenizer, words: bool) -> hf.Tokenizer:
    """Bytes in, bytes out; `words` splits before each word and gives the first one its space."""
    if words:
        backend.normalizer = normalizers.Prepend(" ")
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    backend.decoder = decoders.ByteLevel()
    return backend


def _spells_everything(kind: str, backend: hf.Tokenizer) -> bool:
    """Is it one of ours, all bytes in its vocabulary? Then any text comes back."""
    plain = models.BPE() if kind == "bpe" else models.Unigram([("a", 0.0)], unk_id=PAD)
    ours = _dress(hf.Tokenizer(plain), words=kind in ("word", "bpe"))
    ids = backend.get_vocab()
    return (
        kind in _KINDS
        and _settings(backend) == _settings(ours)
        and [backend.id_to_token(i) for i in range(FIRST)] == _SPECIALS
        and sorted(ids.values()) == list(range(len(ids)))
        and ids.keys() >= set(_ALPHABET)
    )


def _settings(backend: hf.Tokenizer) -> dict:
    """Everything but what was learnt."""
    state = json.loads(backend.to_str())
    learnt = ("vocab", "merges")
    return state | {"model": {k: v for k, v in state["model"].items() if k not in learnt}}


def _lookup(pieces: list[tuple[str, float]], words: bool) -> hf.Tokenizer:
    """A fixed list of (piece, log-probability); text is cut into the likeliest pieces."""
    floor = min((score for _, score in pieces), default=0.0) - 10.0
    known = {piece for piece, _ in pieces}
    spare = [(byte, floor) for byte in _ALPHABET if byte not in known]
    vocabulary = [(special, floor) for special in _SPECIALS] + pieces + spare
    return _dress(hf.Tokenizer(models.Unigram(vocabulary, unk_id=PAD)), words)


def _log(p: float) -> float:
    """ln p on a grid of 1/1024: a binary fraction, so JSON keeps it to the last bit."""
    return round(float(np.log(p)) * 1024) / 1024


def _byte(texts: list[str], size: int) -> hf.Tokenizer:
    return _lookup([], words=False)


def _char(texts: list[str], size: int) -> hf.Tokenizer:
    counts = Counter(char for text in texts for char in text)
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = []
    for char, n in counts.most_common(size - len(_ALPHABET) - FIRST):
        (piece, _), *_ = spell.pre_tokenize_str(char)
        pieces.append((piece, _log(n / counts.total())))
    return _lookup(pieces, words=False)


def _bpe(texts: list[str], size: int) -> hf.Tokenizer:
    backend = _dress(hf.Tokenizer(models.BPE()), words=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=_SPECIALS, initial_alphabet=_ALPHABET, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    # The trainer marks its specials as text to look for; ours must never be matched.
    state = json.loads(backend.to_str())
    state["added_tokens"] = []
    return hf.Tokenizer.from_str(json.dumps(state))


def _word(texts: list[str], size: int) -> hf.Tokenizer:
    split = _dress(hf.Tokenizer(models.BPE()), words=True)
    counts: Counter[str] = Counter()
    for text in texts:
        spaced = split.normalizer.normalize_str(text)
        counts.update(word for word, _ in split.pre_tokenizer.pre_tokenize_str(spaced))
    room = size - len(_ALPHABET) - FIRST
    whole = dict(counts.most_common(room - room // 8))
    rare = {word: n for word, n in counts.items() if word not in whole}
    parts = _parts(rare, room // 8, exclude=set(whole))
    total = counts.total()
    pieces = [(word, _log(n / total)) for word, n in whole.items()]
    least = min((score for _, score in pieces), default=0.0)
    # A part costs more than any whole word, so a word of the vocabulary is never cut.
    return _lookup(pieces + [(part, least - 1.0) for part in parts], words=True)


def _parts(rare: dict[str, int], room: int, exclude: set[str]) -> list[str]:
    """Frequent pieces of the words that are not in the vocabulary, by byte-pair encoding."""
    if not rare or room < 1:
        return []
    backend = hf.Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=room + len(_ALPHABET), initial_alphabet=_ALPHABET, show_progress=False
    )
    backend.train_from_iterator(rare, trainer)
    taken, ids = exclude | set(_ALPHABET), backend.get_vocab()  # in no order of its own
    return [piece for piece in sorted(ids, key=ids.__getitem__) if piece not in taken][:room]
