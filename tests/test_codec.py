"""The lossless codec: exact round trips, refusals, and agreement with the NumPy reference."""

import io
import signal
import struct
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aelib import codec
from aelib.codec import container, levels, predictor
from aelib.codec.reference import Reference
from aelib.errors import AelibError, BadInput, UnknownName

TEXT = ("The little door was shut again, and the golden key was lying on the table.\r\n"
        "“So much the better,” thought Anna: 你好，世界 🐙 café.\n\n") * 6  # fmt: skip
RAW = TEXT.encode()
STARTS = [False, True]
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def round_trip(data: bytes, level: str = "default", primed: bool = True) -> bytes:
    blob = codec.compress(data, level, primed=primed)
    assert codec.decompress(blob) == data
    return blob


@pytest.mark.parametrize("level", container.NAMES)
@pytest.mark.parametrize("primed", STARTS)
def test_special_inputs_come_back(level, primed):
    random = np.random.default_rng(0)
    inputs = [b"", b"a", bytes(range(256)) * 2, b"\0" * 4000, random.bytes(2000), RAW,
              b"unix\n" * 50, b"dos\r\n" * 50, b"mixed\r\nends\n" * 50, b"\r" * 9]  # fmt: skip
    for data in inputs:
        round_trip(data, level, primed)


@quick
@given(st.binary(max_size=300), st.sampled_from(container.NAMES), st.sampled_from(STARTS))
def test_any_bytes_come_back(data, level, primed):
    round_trip(data, level, primed)


@quick
@given(st.text(max_size=120))
def test_text_of_every_plane_comes_back(text):
    assert codec.decompress(codec.compress(text)).decode() == text


def test_random_bytes_are_stored_with_little_overhead():
    data = np.random.default_rng(1).bytes(30_000)
    assert len(round_trip(data)) <= len(data) + 120


def test_text_is_compressed_and_priming_helps():
    primed, fresh = round_trip(RAW[:160]), round_trip(RAW[:160], primed=False)
    assert len(primed) < len(fresh) < 160 + 120


@pytest.mark.parametrize("level", ["fast", "default", "max"])
@pytest.mark.parametrize("primed", STARTS)
def test_compiled_predictor_agrees_with_numpy_bit_for_bit(level, primed):
    chosen, text = levels.LEVELS[level], RAW[: 90 if level == "max" else 160]
    reference = Reference(chosen, len(text), primed)
    expected = reference.probabilities(text)
    model = container.start(chosen, primed, len(text))
    data = np.frombuffer(text, np.uint8).copy()
    out = np.zeros(1000, np.uint8)
    size = int(predictor.code(model, predictor.ENCODE, data, out))
    bits = [(c >> i) & 1 for c in text for i in range(7, -1, -1)]
    given = [p if b else 65536 - p for p, b in zip(expected, bits, strict=True)]
    cost = -np.log2(np.array(given) / 65536).sum()
    assert cost <= 8 * size <= cost + 16  # the coder wastes less than two bytes
    for name in ("table", "weights", "final", "maps", "direct", "apms", "match_maps"):
        np.testing.assert_array_equal(getattr(model, name), getattr(reference.m, name), name)


def test_segments_threads_and_streams_agree(monkeypatch):
    monkeypatch.setattr(container, "SMALLEST_SEGMENT", 3000)
    monkeypatch.setattr(container, "BLOCK", 1000)
    data = RAW * 5 + np.random.default_rng(2).bytes(2500) + RAW.replace(b"\r", b"")
    one = codec.compress(data, segment=3000, threads=1)
    assert one == codec.compress(data, segment=3000, threads=2)
    assert len(one) > len(codec.compress(data))  # each segment starts without the others
    assert codec.decompress(one, threads=2) == codec.decompress(one, threads=1) == data
    out = BytesIO()
    codec.compress_file(BytesIO(data), out, segment=3000)  # length not known in advance
    assert codec.decompress(out.getvalue()) == data


def test_the_command_cuts_segments(tmp_path):
    (tmp_path / "text").write_bytes(RAW * 100)
    command = [sys.executable, "-m", "aelib", "compress", "text", "--level", "fast"]
    command += ["--segment", "0.0625", "--threads", "2"]
    subprocess.run(command, cwd=tmp_path, check=True)
    blob = (tmp_path / "text.aec").read_bytes()
    assert blob == codec.compress(RAW * 100, "fast", segment=1 << 16)
    assert blob != codec.compress(RAW * 100, "fast") and codec.decompress(blob) == RAW * 100


@pytest.mark.parametrize("size", [0, container.SEGMENT + 1])
def test_a_segment_out_of_range_is_refused(size):
    with pytest.raises(BadInput, match="a segment has"):
        codec.compress(b"text", segment=size)


# --- damage -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_segments():
    """A file of several blocks and segments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "SMALLEST_SEGMENT", 600)
        patch.setattr(container, "BLOCK", 250)
        return codec.compress(RAW + np.random.default_rng(4).bytes(300), "fast", segment=600)


def refused(blob: bytes, plain: bytes | None = None) -> type:
    with pytest.raises(codec.CorruptFile) as caught:
        codec.decompress(blob)
    assert "\n" not in str(caught.value)
    return caught.type


def test_every_cut_is_refused_as_truncated(small_segments):
    for size in range(len(small_segments)):
        assert refused(small_segments[:size]) is codec.Truncated


def test_every_flipped_byte_is_refused(small_segments):
    random = np.random.default_rng(3)
    for at in range(len(small_segments)):
        broken = bytearray(small_segments)
        broken[at] ^= int(random.integers(1, 256))
        refused(bytes(broken))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutations_are_refused_or_harmless(small_segments, data):
    broken = bytearray(small_segments)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        piece = data.draw(st.binary(max_size=9))
        broken[at : at + data.draw(st.integers(0, 9))] = piece
    with suppress(codec.CorruptFile):
        assert codec.decompress(bytes(broken)) == codec.decompress(small_segments)


def test_other_snapshot_and_version_are_named():
    blob = bytearray(codec.compress(b"some words", "fast"))
    blob[8:16] = b"\1" * 8
    head = container.HEADER.size
    blob[head : head + 4] = struct.pack("<I", zlib.crc32(blob[:head]))
    with pytest.raises(codec.WrongModel, match="0101010101010101"):
        codec.decompress(bytes(blob))
    blob[4] = 9
    blob[head : head + 4] = struct.pack("<I", zlib.crc32(blob[:head]))
    assert refused(bytes(blob)) is codec.WrongModel


def test_damage_is_found_before_anything_is_decoded(small_segments, monkeypatch):
    def never(*_):
        raise AssertionError("decoded a payload whose checksum is wrong")

    monkeypatch.setattr(container, "decode_part", never)
    broken = bytearray(small_segments)
    broken[container.HEADER.size + 4 + container.BLOCK_HEAD.size + 4 + 3] ^= 1  # first payload
    assert refused(bytes(broken)) is codec.Corrupt


def test_declared_lengths_cannot_ask_for_memory():
    head = codec.compress(b"", "fast")[: container.HEADER.size + 4]
    block = container.BLOCK_HEAD.pack(container.CODED, container.RESTART, 2**31, 10, 0, 0)
    assert refused(head + container.sealed(block) + b"0123456789") is codec.Corrupt


def test_a_small_file_that_expands_beyond_the_limit_is_refused(tmp_path):
    """Zeros cost next to nothing: a megabyte of them stands for what a stranger may send."""
    bomb = codec.compress(bytes(1 << 20), "fast")
    assert len(bomb) < 500
    with pytest.raises(BadInput, match="more than 1,000,000 bytes"):
        codec.decompress(bomb, limit=1_000_000)
    assert codec.decompress(bomb, limit=1 << 20) == bytes(1 << 20)
    packed = tmp_path / "of_unknown_length.aec"  # its header declares nothing
    with packed.open("wb") as out:
        codec.compress_file(io.BytesIO(bytes(1 << 20)), out, "fast")
    with pytest.raises(BadInput, match="more than 1,000 bytes"):
        codec.decompress_file(packed, tmp_path / "out", limit=1000)
    assert [path.name for path in tmp_path.iterdir()] == [packed.name]


def test_more_than_the_header_declares_is_refused(small_segments):
    fields = list(container.HEADER.unpack(small_segments[: container.HEADER.size]))
    fields[-1] = 100
    lie = container.sealed(container.HEADER.pack(*fields))
    assert refused(lie + small_segments[len(lie) :]) is codec.Corrupt


def test_self_test_refuses_a_wrong_build(monkeypatch):
    codec.self_test.cache_clear()
    monkeypatch.setitem(codec.GOLDEN, "fast", "00")
    with pytest.raises(AelibError, match="self-test"):
        codec.compress(b"x", "fast")
    codec.self_test.cache_clear()


# --- files ------------------------------------------------------------------------------------


def test_files_are_written_whole_or_not_at_all(tmp_path):
    source, packed, back = tmp_path / "a.txt", tmp_path / "a.txt.aec", tmp_path / "b.txt"
    source.write_bytes(RAW)
    codec.compress_file(source, packed, "fast")
    codec.decompress_file(packed, back)
    assert back.read_bytes() == RAW
    with pytest.raises(BadInput, match="force"):
        codec.compress_file(source, packed)
    back.write_bytes(b"keep me")
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(codec.Truncated):
        codec.decompress_file(packed, back, force=True)
    assert back.read_bytes() == b"keep me"
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "a.txt.aec", "b.txt"}


def test_bad_requests_have_one_clear_line(tmp_path):
    for call in (lambda: codec.compress_file(tmp_path / "none", tmp_path / "x"),
                 lambda: codec.compress_file(tmp_path, tmp_path / "x")):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownName, match="fast, default, max"):
        codec.compress(b"", "best")


KILLED = """
import sys, time
from aelib import codec
codec.compress_file({source!r}, {target!r}, "fast", force=True,
                    progress=lambda n: (print("go", flush=True), time.sleep(60)))
"""


def test_kill_leaves_input_and_old_output_alone(tmp_path):
    source, target = tmp_path / "a", tmp_path / "a.aec"
    source.write_bytes(RAW)
    target.write_bytes(b"old")
    script = KILLED.format(source=str(source), target=str(target))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"go\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert source.read_bytes() == RAW and target.read_bytes() == b"old"


# --- messages ---------------------------------------------------------------------------------


@quick
@given(st.lists(st.binary(max_size=80), max_size=6), st.sampled_from(container.NAMES))
def test_messages_come_back_in_any_order(messages, level):
    frames = codec.compress_messages(messages, level)
    assert all(len(f) <= len(m) + 5 for f, m in zip(frames, messages, strict=True))
    assert codec.decompress_messages(frames[::-1], level) == messages[::-1]


def test_line_ends_cost_a_message_nothing():
    unix = b"Call me Ishmael.\nSome years ago\nI thought I would sail about a little.\n"
    dos = unix.replace(b"\n", b"\r\n")
    frames = codec.compress_messages([unix, dos, b"mixed\r\nends\n", b"\r\n"])
    assert codec.decompress_messages(frames) == [unix, dos, b"mixed\r\nends\n", b"\r\n"]
    assert len(frames[0]) == len(frames[1])


def test_long_messages_and_damaged_frames():
    messages = [RAW * 8, b"See you at the station at nine o'clock.", b""]
    coder = codec.Messenger()
    frames = [coder.encode(m) for m in messages]
    assert [coder.decode(f) for f in frames] == messages
    assert len(frames[1]) < len(messages[1]) + 5
    caught = 0
    for at in range(len(frames[1])):
        for bit in range(8):
            broken = bytearray(frames[1])
            broken[at] ^= 1 << bit
            try:
                assert coder.decode(bytes(broken)) == messages[1]
            except codec.CorruptFile:
                caught += 1
    assert caught >= 8 * len(frames[1]) - 8  # the last byte's low bits may not matter
    for size in range(len(frames[1])):
        with pytest.raises(codec.CorruptFile):
            coder.decode(frames[1][:size])


def test_start_is_quick_once_compiled():
    codec.compress(b"warm up")
    began = time.process_time()
    levels.primed_model(levels.DEFAULT, 10_000, levels.Snapshot())
    assert time.process_time() - began < 1.0


# --- the slow ones ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_repetitive_file_comes_back():
    data = (b"0123456789abcdef" * (1 << 14)) + RAW
    assert len(round_trip(data, "fast")) < 3000


def test_snapshot_is_small_and_unpickled():
    path = Path(levels.SNAPSHOT)
    assert path.stat().st_size <= 8 << 20
    with np.load(path, allow_pickle=False) as arrays:
        assert all(a.dtype.kind in "iu" for a in arrays.values())
