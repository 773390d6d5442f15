"""A language model as the predictor: its score in bits, exact everywhere, damage refused."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import ops
from numba import njit
from typer.testing import CliRunner

import aelib
from aelib import cli, codec
from aelib.codec import container, exact, exactwords, neural
from aelib.codec.peers import compare_model
from aelib.errors import AelibError, BadInput
from aelib.text import Tokenizer

WORDS = ["the", "king", "went", "up", "to", "the", "city", "and", "the", "people", "were", "afraid"]


def text(n: int, seed: int) -> str:
    draw = np.random.default_rng(seed).choice(WORDS, n)
    return " ".join(draw.tolist())


SHAPES = {
    "transformer": {"depth": 1, "heads": 2},
    "recurrent": {"depth": 1},
    "qrnn": {"depth": 2, "ngrams": 3},
}


@pytest.fixture(scope="module", params=SHAPES)
def lm(request):
    """A model that learned the spelling of a few words."""
    shape = SHAPES[request.param]
    model = aelib.LanguageModel(32, context=16, network=request.param, tokens="char", **shape)
    return model.fit(io.StringIO(text(3000, 0)), steps=250, learning_rate=1e-2, verbose=0)


# --- arithmetic -------------------------------------------------------------------------------


@njit
def _all(x):
    return [(exact.exp(v), exact.tanh(v), exact.sigmoid(v)) for v in x]


def test_functions_are_accurate():
    x = np.linspace(-50, 50, 4001)
    mine = np.array(_all(x)).T
    for got, want in zip(mine, (np.exp(x), np.tanh(x), 1 / (1 + np.exp(-x))), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-15)
    angle = np.arange(500)[:, None] * 10_000.0 ** (-np.arange(8) / 8)
    for got, want in zip(exact.angles(500, 8), (np.cos(angle), np.sin(angle)), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-7)


def test_a_row_does_not_know_of_the_others():
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(s).astype(np.float32) for s in ((7, 30), (30, 45)))
    whole = exact.product(x, w)
    np.testing.assert_allclose(whole, x @ w, rtol=1e-4, atol=1e-4)
    ordered = np.zeros((7, 45), np.float32)
    for k in range(30):  # the written order: one product and one sum at a time
        ordered = ordered + x[:, k, None] * w[k]
    np.testing.assert_array_equal(whole, ordered)
    for i in range(7):
        np.testing.assert_array_equal(exact.product(x[i : i + 1], w)[0], whole[i])


def test_the_compiler_does_not_fuse():
    neural.self_test()
    exactwords.self_test()
    kernels = (exact.product, exact.rms_norm, exact.gru, exact.lstm, exact.qrnn, exact.squash,
               exact.deviation, exact.least_precision, exact.attend, exact.frequencies)  # fmt: skip
    for kernel in kernels:
        fresh = njit(nogil=True)(kernel.py_func)  # code from the cache cannot be read
        fresh.compile(kernel.signatures[0])
        (code,) = fresh.inspect_asm().values()
        assert "mul" in code
        assert not any(word in code for word in ("vfmadd", "vfmsub", "vfnmadd", "fmla", "fmadd"))


def test_networks_agree_with_keras(lm):
    ids = np.random.default_rng(1).integers(3, lm.tokenizer.size, (2, 16)).astype(np.int32)
    expected = ops.convert_to_numpy(lm(ids))  # (2, 16, V)
    network = neural.NETWORKS[lm.options["network"]].of(lm)
    state = network.start(2)
    for t in range(16):
        h = network.read(ids[:, t], state)
        np.testing.assert_allclose(h @ network.table.T, expected[:, t], atol=2e-4)


@pytest.mark.parametrize("shape", [{"depth": 1}, {"depth": 3, "ngrams": 2}])
def test_other_quasi_recurrent_shapes_agree_with_keras(shape):
    tokenizer = Tokenizer.train([text(50, 0)], "char")
    model = aelib.LanguageModel(16, network="qrnn", tokenizer=tokenizer, **shape)
    ids = np.random.default_rng(1).integers(3, tokenizer.size, (2, 9)).astype(np.int32)
    network = neural.QuasiRecurrent.of(model)
    state, expected = network.start(2), ops.convert_to_numpy(model(ids))
    for t in range(9):
        h = network.read(ids[:, t], state)
        np.testing.assert_allclose(h @ network.table.T, expected[:, t], atol=1e-5)


def test_the_name_knows_all_that_changes_a_prediction():
    tokenizer = Tokenizer.train([text(50, 0)], "char")
    model = aelib.LanguageModel(16, 1, network="qrnn", ngrams=3, tokenizer=tokenizer)
    name = neural.identify(model)
    model.hashed.embeddings.assign(model.hashed.embeddings * np.float32(1.001))
    changed = neural.identify(model)
    model.options["ngrams"] = 4
    assert len({name, changed, neural.identify(model)}) == 3


@pytest.mark.parametrize("name", neural.NETWORKS)
def test_lanes_do_not_change_each_other(name):
    network = neural.golden_networks()[name]
    ids = np.random.default_rng(2).integers(0, 31, (30, 5)).astype(np.int32)
    together, alone = neural.Lanes(network, 5), neural.Lanes(network, 1)
    for row in ids:
        np.testing.assert_array_equal(together.next(row)[3:4], alone.next(row[3:4]))


def test_self_test_refuses_a_wrong_build(lm, monkeypatch):
    neural.self_test.cache_clear()
    monkeypatch.setitem(neural.GOLDEN, "recurrent", "00")
    with pytest.raises(AelibError, match="self-test"):
        codec.compress(b"x", model=lm)
    neural.self_test.cache_clear()


# --- bits -------------------------------------------------------------------------------------


def test_bits_are_those_of_the_score(lm, monkeypatch):
    held_out = text(2000, 1)
    monkeypatch.setattr(neural, "LANE_TOKENS", len(held_out) // 2)
    promised = lm.score(held_out)["bits_per_character"]
    coder = neural.NeuralCoder(lm)
    payload = coder.encode(held_out.encode())
    assert payload[1] == 2  # lanes
    assert promised < 5
    assert 8 * (len(payload) - 6) / len(held_out) == pytest.approx(promised, rel=0.01)
    assert coder.decode(payload, len(held_out)) == held_out.encode()


def test_special_inputs_come_back(lm):
    held_out = text(200, 2)
    random = np.random.default_rng(0)
    inputs = [b"", b"a", bytes(range(256)) * 2, random.bytes(500), b"\x80\x81 x", held_out,
              held_out.replace(" ", "\r\n"), f"{held_out} 你好，世界 🐙 café\0"]  # fmt: skip
    for data in inputs:
        raw = data.encode() if isinstance(data, str) else data
        blob = codec.compress(data, model=lm)
        assert codec.decompress(blob, model=lm) == raw
        assert len(blob) <= len(raw) + 130
    assert len(codec.compress(held_out, model=lm)) < 0.7 * len(held_out)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_any_input_comes_back(lm, data):
    raw = data.encode() if isinstance(data, str) else data
    coder = neural.NeuralCoder(lm)
    assert not raw or coder.decode(coder.encode(raw), len(raw)) == raw


def test_blocks_are_cut_between_characters(lm, monkeypatch):
    monkeypatch.setattr(neural, "BLOCK", 100)
    monkeypatch.setattr(container, "SMALLEST_SEGMENT", 333)
    data = (text(30, 3) + " 世界🐙").encode() * 9
    coder = neural.NeuralCoder(lm)
    parts = list(coder.cut(data[:333]))
    assert b"".join(parts) == data[:333] and max(map(len, parts)) <= 100
    assert all(part.decode() for part in parts[:-1])
    blob = codec.compress(data, model=lm, segment=333)
    assert codec.decompress(blob, model=lm, threads=2) == data


# --- refusals ---------------------------------------------------------------------------------


def test_damage_is_refused(lm):
    blob = codec.compress(text(40, 4), model=lm)
    random = np.random.default_rng(3)
    for at in range(0, len(blob), 3):
        broken = bytearray(blob)
        broken[at] ^= int(random.integers(1, 256))
        with pytest.raises(codec.CorruptFile):
            codec.decompress(bytes(broken), model=lm)
        with pytest.raises(codec.Truncated):
            codec.decompress(blob[:at], model=lm)


def test_payloads_that_no_encoder_writes_are_refused(lm):
    coder = neural.NeuralCoder(lm)
    payload = coder.encode(text(40, 4).encode())
    for bad in (b"", payload[:-1], b"\2" + payload[1:], payload[:1] + b"\0" + payload[2:],
                payload[:2] + b"\xff\xff\xff\xff" + payload[6:]):  # fmt: skip
        with pytest.raises(codec.Corrupt):
            coder.decode(bad, 200)


def test_wrong_model_is_named(lm):
    blob = codec.compress("the king", model=lm)
    with pytest.raises(codec.WrongModel, match="--model"):
        codec.decompress(blob)
    name = neural.identify(lm).hex()
    table = ops.convert_to_numpy(lm.table.embeddings)
    lm.table.embeddings.assign(table * np.float32(1.0000002))
    try:
        with pytest.raises(codec.WrongModel, match=f"{name}.*{neural.identify(lm).hex()}"):
            codec.decompress(blob, model=lm)
    finally:
        lm.table.embeddings.assign(table)
    assert codec.decompress(codec.compress("the king", "fast"), model=lm) == b"the king"


def test_other_models_are_refused_in_one_line():
    for model in (aelib.LanguageModel(), aelib.TextAutoencoder(), "lm.keras"):
        with pytest.raises(BadInput, match="LanguageModel"):
            codec.compress(b"x", model=model)


# --- other machines, kills, shell -------------------------------------------------------------

ELSEWHERE = """
import sys, time, keras
from pathlib import Path
from aelib import LanguageModel, codec
folder = Path(sys.argv[1])
lm = LanguageModel.load(folder / "lm.keras")
codec.decompress_file(folder / "a.aec", folder / "back", model=lm, threads=2)
codec.compress_file(folder / "back", folder / "again.aec", model=lm)
print(keras.backend.backend(), flush=True)
codec.compress_file(folder / "a", folder / "a.aec", model=lm, force=True,
                    progress=lambda n: (print("go", flush=True), time.sleep(60)))
"""


def test_another_backend_and_thread_count_and_a_kill(lm, tmp_path):
    """Encoded here, decoded under JAX with two threads, encoded again: the same file."""
    if lm.options["network"] == "recurrent":
        pytest.skip("one network is enough: a process costs seconds")
    data = text(2000, 5).encode()
    lm.save(tmp_path / "lm.keras")
    (tmp_path / "a").write_bytes(data)
    codec.compress_file(tmp_path / "a", tmp_path / "a.aec", model=lm)
    packed = (tmp_path / "a.aec").read_bytes()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "2")
    process = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)], stdout=subprocess.PIPE,
        env={**os.environ, **threads, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert process.stdout.readline() == b"jax\n"
    assert process.stdout.readline() == b"go\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "back").read_bytes() == (tmp_path / "a").read_bytes() == data
    assert (tmp_path / "again.aec").read_bytes() == (tmp_path / "a.aec").read_bytes() == packed


def test_from_the_shell(lm, tmp_path):
    def run(*arguments):
        result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
        if result.exception:
            raise result.exception
        return result.stdout

    model, file = tmp_path / "lm.keras", tmp_path / "a.txt"
    lm.save(model)
    file.write_text(text(50, 6))
    run("compress", file, "--model", model)
    run("decompress", tmp_path / "a.txt.aec", "-o", tmp_path / "b.txt", "--model", model)
    assert (tmp_path / "b.txt").read_bytes() == file.read_bytes()
    row = compare_model(file.read_bytes(), "lm", lm)
    assert row.name == "lm" and row.size == (tmp_path / "a.txt.aec").stat().st_size
    with pytest.raises(codec.WrongModel, match="--model"):
        run("decompress", tmp_path / "a.txt.aec", "-o", tmp_path / "c.txt")
    for command in ("compress", "decompress"):
        assert "--model lm.keras" in " ".join(run(command, "--help").split())
