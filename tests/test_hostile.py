"""Files that a stranger made: whatever they hold, only the documented errors come out."""

import base64
import copy
import dataclasses
import io
import json
import shutil
import struct
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_tensors

import aelib
from aelib import cli, codec, presets
from aelib.data import online
from aelib.errors import BadInput
from aelib.export import from_web, to_web
from aelib.export.web import manifest
from aelib.text import Tokenizer, read_lines

LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat") for v in ("saw", "ate")
         for b in ("sea", "sun", "pie")]  # fmt: skip
WEIGHTS = "model.weights.h5"
ours = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
heavy = settings(ours, max_examples=25)


@pytest.fixture(scope="module")
def model():
    return aelib.LanguageModel(8, 1, 1, context=8, network="recurrent",
                               tokenizer=Tokenizer.train(LINES, "char", 280))  # fmt: skip


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The members of a good `.keras` file."""
    path = tmp_path_factory.mktemp("saved") / "good.keras"
    model.save(path)
    return members_of(path)


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """The members of a Keras model of layers, whose parts Keras reads one by one."""
    path = tmp_path_factory.mktemp("layered") / "good.keras"
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(path)
    return members_of(path)


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    """A folder with a good preset."""
    folder = tmp_path_factory.mktemp("presets") / "good"
    presets.write(model, folder)
    return folder


def forge(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def refused(path, match):
    """The model file is refused, in one line; the good one beside it is what it was."""
    with pytest.raises(BadInput, match=match) as caught:
        aelib.LanguageModel.load(path)
    assert "\n" not in str(caught.value)


def weights_file(write):
    """The bytes of an HDF5 file that `write` filled."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write(file)
    return buffer.getvalue()


@pytest.fixture
def unread(monkeypatch):
    """Keras must not even look at the file."""
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras read it"))


# ------------------------------------------------------------------------------- .keras files


def test_the_forger_can_also_write_a_good_file(saved, tmp_path):
    loaded = aelib.LanguageModel.load(forge(tmp_path / "good.keras", saved))
    again = forge(tmp_path / "packed.keras", saved, zipfile.ZIP_DEFLATED)
    assert loaded.score(LINES) == aelib.LanguageModel.load(again).score(LINES)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_zip_bombs_are_refused_unread(saved, unread, name, tmp_path):
    members = saved | {name: bytes(50 << 20)}
    path = forge(tmp_path / "bomb.keras", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    refused(path, "claims")


def test_a_lie_about_the_size_is_refused_unread(saved, unread, tmp_path):
    """The directory says four gigabytes where a few kilobytes are."""
    path = forge(tmp_path / "lie.keras", saved)
    raw = path.read_bytes()
    true = struct.pack("<I", len(saved[WEIGHTS]))
    at = raw.rindex(true, 0, raw.rindex(WEIGHTS.encode()))
    path.write_bytes(raw[:at] + struct.pack("<I", 0xFFFFFFF0) + raw[at + 4 :])
    refused(path, "claims")


@pytest.mark.parametrize("name", ["../evil.py", "assets/../../evil.py", "/tmp/evil.py", "evil.py"])
def test_members_that_belong_in_no_model_are_refused(saved, unread, name, tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = forge(folder / "model.keras", saved | {name: b"print('evil')"})
    refused(path, "belongs in no model")
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", "model.keras"]
    assert not Path("/tmp/evil.py").exists()


def test_a_member_that_is_there_twice_is_refused(saved, unread, tmp_path):
    path = forge(tmp_path / "twice.keras", saved)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    refused(path, "belongs in no model")


def claimed(file):
    file.create_dataset("a/vars/0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def elsewhere(file):
    file["a"] = h5py.ExternalLink("secret.h5", "/a")


def another_file(file):
    file.create_dataset("a", (6,), "u1", external=[("secret", 0, 6)])


def a_view(file):
    layout = h5py.VirtualLayout((6,), "u1")
    layout[:] = h5py.VirtualSource("secret.h5", "a", (6,))
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize("write", [claimed, elsewhere, another_file, a_view])
def test_weights_that_claim_terabytes_or_lie_elsewhere_are_refused(saved, unread, write, tmp_path):
    path = forge(tmp_path / "weights.keras", saved | {WEIGHTS: weights_file(write)})
    refused(path, "weights claim|weights lie outside")


NAMED = [("payload", "Model"), ("payload", "run"), ("os", "system"), ("subprocess", "Popen"),
         ("builtins", "exec"), ("keras.utils", "get_file"), ("aelib.cli", "main")]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), NAMED, ids=[f"{m}-{n}" for m, n in NAMED])
@pytest.mark.parametrize("place", ["whole", "layer", "function"])
def test_a_config_that_names_python_runs_nothing(
    layered, module, name, place, tmp_path, monkeypatch
):
    """Not as the model, not inside it, though the module could be imported."""
    (tmp_path / "payload.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
        "import keras\nclass Model(keras.Model): pass\ndef run(*a, **k): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads(layered["config.json"])
    evil = {"module": module, "class_name": name, "registered_name": name, "config": {}}
    if place == "whole":
        config = evil
    elif place == "layer":
        config["config"]["layers"][-1] = evil
    else:
        evil |= {"class_name": "function", "config": name, "registered_name": name}
        config["config"]["layers"][-1]["config"]["activation"] = evil
    members = layered | {"config.json": json.dumps(config).encode()}
    refused(forge(tmp_path / "code.keras", members), "cannot be read")
    assert not (tmp_path / "ran").exists() and "payload" not in sys.modules


# -------------------------------------------------------------------- safetensors and presets


def tensors(head, data=b"", length=None):
    """A safetensors file; `length` is what it says of its header."""
    raw = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(start, end, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


HOSTILE = {
    "long header": tensors({}, length=2**60),
    "longest header": tensors({}, length=2**64 - 1),
    "header beyond the end": tensors({}, length=3),
    "no header": b"\0\0\0",
    "nothing": b"",
    "not JSON": tensors(b"{]"),
    "not UTF-8": tensors(b'{"\xff": 1}'),
    "deep": tensors(b"[" * 100_000),
    "overlap": tensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "same place": tensors({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)),
    "negative": tensors({"a": entry(-8, 0)}, bytes(8)),
    "backwards": tensors({"a": entry(8, 0)}, bytes(8)),
    "hole": tensors({"a": entry(0, 8), "b": entry(12, 20)}, bytes(20)),
    "beyond": tensors({"a": entry(0, 80, (20,))}, bytes(8)),
    "shape": tensors({"a": entry(0, 8, (2**40, 2**40))}, bytes(8)),
    "shape that overflows": tensors({"a": entry(0, 8, (2**62, 4))}, bytes(8)),
    "negative shape": tensors({"a": entry(0, 8, (-2,))}, bytes(8)),
    "dtype": tensors({"a": entry(0, 8, dtype="O8")}, bytes(8)),
    "unread rest": tensors({"a": entry(0, 8)}, bytes(16)),
}


@pytest.mark.parametrize("blob", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_safetensors_are_refused(preset, blob, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "preset")
    (folder / "weights.safetensors").write_bytes(blob)
    with pytest.raises(BadInput, match="damaged"):
        presets.read(folder)


@ours
@given(data=st.data())
def test_mutated_weights_are_read_or_refused(preset, data, tmp_path_factory):
    folder = shutil.copytree(preset, tmp_path_factory.mktemp("fuzz") / "preset")
    path = folder / "weights.safetensors"
    path.write_bytes(data.draw(mutated(path.read_bytes(), 600)))
    with suppress(BadInput):
        assert isinstance(presets.read(folder), aelib.LanguageModel)


@st.composite
def mutated(draw, raw, most):
    """`raw` with up to three pieces of its first `most` bytes replaced."""
    raw = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, min(most, len(raw))))
        raw[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(raw)


# ------------------------------------------------------------------------- JSON, piece by piece

scalars = (
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(-9, 99) | st.text(max_size=3)
    | st.just(float("nan")) | st.sampled_from(["word", "char", "transformer", "float16"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    max_leaves=4,
)


def places(document, path=()):
    """Every path into a document, an entry per container and at most four of a long list."""
    yield path
    if isinstance(document, dict):
        for key in document:
            yield from places(document[key], (*path, key))
    elif isinstance(document, list):
        for i in range(min(len(document), 4)):
            yield from places(document[i], (*path, i))


@st.composite
def changed(draw, document):
    """The document with one to three of its parts replaced or gone."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([p for p in places(document) if p] or [()])) or (None,)
        if last is None:
            return draw(values)
        at = document
        for key in way:
            at = at[key]
        if draw(st.booleans()):
            at[last] = draw(values)
        else:
            del at[last]
    return document


NO_TOKENIZERS = {
    "nothing": "", "list": "[]", "number": "5", "text": '"word"', "empty": "{}",
    "deep": "[" * 10**5,
    "kind alone": '{"kind": "word"}', "null inside": '{"kind": "word", "tokenizers": null}',
    "binary": "\x00\x01", "another model's": '{"version": "1.0", "model": {"type": "BPE"}}',
    "another program's": '{"kind": "word", "tokenizers": {"model": {"type": "WordLevel", '
    '"vocab": {"a": 0}, "unk_token": "a"}}}',
}  # fmt: skip


@pytest.mark.parametrize("text", NO_TOKENIZERS.values(), ids=NO_TOKENIZERS.keys())
def test_what_is_no_tokenizer_is_refused(preset, text, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="not an aelib tokenizer"):
        Tokenizer.load(path)
    folder = shutil.copytree(preset, tmp_path / "preset")
    shutil.copy(path, folder)
    with pytest.raises(BadInput):
        presets.read(folder)


def test_bytes_that_are_no_text_are_no_tokenizer(tmp_path):
    (tmp_path / "t.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadInput, match="cannot read a tokenizer"):
        Tokenizer.load(tmp_path / "t.json")


@pytest.mark.parametrize("kind", ["word", "bpe", "char", "byte"])
def test_changed_tokenizers_spell_everything_or_are_refused(kind):
    whole = json.loads(Tokenizer.train(LINES, kind, 300).to_json())

    @ours
    @given(changed(whole))
    def check(document):
        with suppress(BadInput):
            tokenizer = Tokenizer.from_json(json.dumps(document))
            assert tokenizer.decode(tokenizer.encode(["the Ünseen dog"])) == ["the Ünseen dog"]

    check()


def test_changed_presets_are_read_or_refused(preset, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "preset")
    whole = json.loads((folder / "config.json").read_text())

    @heavy
    @given(changed(whole))
    def check(document):
        (folder / "config.json").write_text(json.dumps(document))
        with suppress(BadInput):
            assert isinstance(presets.read(folder), keras.Model)

    check()


def test_changed_scripts_are_read_or_refused(model, tmp_path):
    path = to_web(model, tmp_path / "m.js", "int6")
    text, whole = path.read_text(), manifest(path)
    head = text[: text.index("] = ") + 4]

    @heavy
    @given(changed(whole))
    def check(document):
        path.write_text(f"{head}{json.dumps(document)};\n")
        with suppress(BadInput):
            assert isinstance(from_web(path), keras.Model)

    check()
    for broken in ("[" * 10**5, '{"a":' * 10**5 + "1" + "}" * 10**5, "{}"):
        path.write_text(f"{head}{broken};\n")
        with pytest.raises(BadInput):
            from_web(path)


@ours
@given(blob=st.binary(max_size=200))
def test_any_tensors_in_a_script_are_read_or_refused(model, blob, tmp_path_factory):
    path = to_web(model, tmp_path_factory.mktemp("web") / "m.js")
    text, weights = path.read_text(), manifest(path)["weights"]
    good = base64.b64decode(weights)
    assert load_tensors(good)
    path.write_text(text.replace(weights, base64.b64encode(blob + good[len(blob) :]).decode()))
    with suppress(BadInput):
        assert isinstance(from_web(path), aelib.LanguageModel)


# -------------------------------------------------------------------------- frames, latents, text


@ours
@given(frame=st.binary(max_size=80), tag=st.sampled_from([0xB0, 0xB4, 0xB8, 0xBC, 0xFF]))
def test_any_frame_is_read_or_refused(frame, tag):
    with suppress(codec.CorruptFile):
        assert isinstance(codec.decompress_messages([bytes([tag]) + frame], "fast"), list)


@ours
@given(blob=st.binary(max_size=300), head=st.booleans(), data=st.data())
def test_any_archive_is_read_or_refused(blob, head, data):
    good = codec.compress(b"the dog saw the sea. " * 3, "fast")
    blob = good[: data.draw(st.integers(0, len(good)))] + blob if head else blob
    with suppress(codec.CorruptFile):
        assert codec.decompress(blob) == b"the dog saw the sea. " * 3


def npy(head, data=b""):
    raw = (head if isinstance(head, bytes) else repr(head).encode()).ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


LATENTS = {
    "terabytes.npy": npy({"descr": "<f4", "fortran_order": False, "shape": (2**40, 8)}),
    "overflow.npy": npy({"descr": "<f4", "fortran_order": False, "shape": (2**62, 2**62)}),
    "negative.npy": npy({"descr": "<f4", "fortran_order": False, "shape": (-1, 8)}, bytes(32)),
    "deep.npy": npy(b"(" * 60_000),
    "words.npy": npy({"descr": "<U4", "fortran_order": False, "shape": (1,)}, bytes(16)),
    "objects.npy": npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, b"cos\nsystem\n."),
    "archive.npy": b"PK\x05\x06" + bytes(18),
    "deep.jsonl": b"[" * 100_000,
    "huge.jsonl": b"[1" + b"0" * 400 + b"]",
    "endless.jsonl": b"[1" + b"0" * 5000 + b"]",
    "objects.jsonl": b'{"z": {"a": 1}}',
    "ragged.jsonl": b"[1, 2]\n[3]",
    "nothing.jsonl": b"",
}


@pytest.mark.parametrize("name", LATENTS)
def test_hostile_latents_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(LATENTS[name])
    with pytest.raises(BadInput):
        aelib.TextAutoencoder.from_preset("sentences").decode(cli._latents(tmp_path / name))


GOOD_LATENTS = {
    ".npy": npy({"descr": "<f4", "fortran_order": False, "shape": (1, 8)}, bytes(32)),
    ".jsonl": b'{"text": "a", "z": [1.5, 2e3, -4]}\n[1, 2, 3]\n',
}


@ours
@given(data=st.data(), suffix=st.sampled_from([".npy", ".jsonl"]))
def test_any_latents_are_read_or_refused(data, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("latents") / f"z{suffix}"
    path.write_bytes(data.draw(st.binary(max_size=60) | mutated(GOOD_LATENTS[suffix], 200)))
    with suppress(BadInput):
        assert isinstance(cli._latents(path), np.ndarray)


@ours
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_text_file_is_read_or_refused(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(raw)
    with suppress(BadInput):
        assert all(isinstance(line, str) and line.strip() for line in read_lines(path))


@pytest.mark.parametrize("damage", ["bomb", "empty", "cut", "flipped"])
def test_damaged_downloads_are_refused(damage, tmp_path, monkeypatch):
    """What AELIB_DATA holds under a known name is not that text; a bomb is not unpacked."""
    text = bytes(50 << 20) if damage == "bomb" else bytes(range(256)) * 9
    members = {} if damage == "empty" else {"text8": text}
    path = forge(tmp_path / "text8.zip", members, zipfile.ZIP_DEFLATED)
    raw = path.read_bytes()
    if damage == "cut":
        path.write_bytes(raw[20:])
    elif damage == "flipped":
        path.write_bytes(raw[:40] + bytes(9) + raw[49:])
    monkeypatch.setenv("AELIB_DATA", str(tmp_path))
    classic = dataclasses.replace(online.CLASSICS["text8"], size=1000)
    monkeypatch.setitem(online.CLASSICS, "text8", classic)
    asked = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *a: asked.append(a[1:]) or read(*a))
    with pytest.raises(BadInput, match=r"text8\.zip"):
        online.load_classic("text8")
    assert asked == ([(1001,)] if damage in ("bomb", "flipped") else [])
