"""A full disk, a folder that cannot be written, damaged caches: what is said, and what is left.

Each fault is provoked in a process of its own: a limit on the size of files stands for the full
disk, and root gives up the right to write everywhere.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from aelib import cli, codec
from aelib.codec import levels
from aelib.errors import BadInput, DataUnavailable
from aelib.writing import whole

ROOT = Path(__file__).resolve().parent.parent
if sys.platform == "win32":
    pytest.skip("needs POSIX limits and permissions", allow_module_level=True)

# Give up the capabilities that let root read and write everything (1 and 2), then go on as PROGRAM.
HUMBLE = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
if os.geteuid() == 0 and hasattr(libc, "prctl"):
    libc.prctl(24, 1, 0, 0, 0), libc.prctl(24, 2, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))\n"
COMMAND = "import sys; sys.argv[0] = 'aelib'; from aelib.cli import main; main()"
LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat")]  # fmt: skip


def python(program, *arguments, room=None, humble=False, **environment):
    """Runs a program with these arguments; `room`: the most bytes that a file may get.

    Without byte code: Python itself keeps what was cut off by the limit.
    """
    program = (LIMITED.format(room) if room is not None else "") + program
    first = [sys.executable, "-c", *([HUMBLE] if humble else [])]
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.run(
        [*first, program, *map(str, arguments)],
        capture_output=True, text=True, timeout=600, env=env, cwd=ROOT,
    )  # fmt: skip


def refused(done, words):
    """Exit status 2 and, as the last thing on stderr, one line with these words."""
    *_, line = done.stderr.splitlines() or [""]
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert re.match(f"aelib: .*{words}", line), done.stderr


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A text, some noise, and both compressed."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "mine.txt").write_text("\n".join(LINES), encoding="utf-8")
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(50_000))
    codec.compress_file(folder / "noise", folder / "noise.aec", "fast")
    return folder


@pytest.fixture
def closed(tmp_path):
    """A folder with a file `old` in it, and nobody may write there."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "old").write_text("old")
    folder.chmod(0o555)
    probe = f"open({str(folder / 'probe')!r}, 'w')"
    if python(probe, humble=True).returncode == 0:
        (folder / "probe").unlink()
        pytest.skip("this system lets its user write everywhere")
    yield folder
    assert names(folder) == ["old"] and (folder / "old").read_text() == "old"
    folder.chmod(0o755)


# --------------------------------------------------------------------------------- a full disk


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_compressing_to_a_full_disk_leaves_the_old_file(files, command, tmp_path):
    source = files / ("noise" if command == "compress" else "noise.aec")
    target = tmp_path / "out"
    target.write_bytes(b"old")
    done = python(COMMAND, command, source, "-o", target, "--force", room=20_000)
    refused(done, "cannot write .*out: ")
    assert names(tmp_path) == ["out"] and target.read_bytes() == b"old"


def test_training_on_a_full_disk_keeps_the_old_model_and_goes_on_later(files, tmp_path):
    out = tmp_path / "mine.keras"
    out.write_bytes(b"old")
    command = ["train", files / "mine.txt", "-o", out, "--latent-dim", 32, "--epochs", 2]
    refused(python(COMMAND, *command, room=30_000), "cannot write ")
    assert out.read_bytes() == b"old"
    assert all(n == "mine.keras" or n.endswith(".backup") for n in names(tmp_path))
    done = python(COMMAND, *command)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == ["mine.keras"] and out.read_bytes()[:2] == b"PK"


CUTS = [("latest", "weights", 1), ("latest", "metadata", 1), ("latest", "missing", 1),
        ("previous", "weights", 2), ("both", "weights", 0), ("both", "metadata", 0)]  # fmt: skip


@pytest.mark.parametrize(("which", "what", "epoch_kept"), CUTS)
def test_a_checkpoint_cut_off_gives_way_to_the_one_before(which, what, epoch_kept, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    for epoch, end in ((1, ".bkp"), (2, "")):
        weights, facts = folder / f"latest.weights.h5{end}", folder / f"training_metadata.json{end}"
        with h5py.File(weights, "w") as file:
            file["epoch"] = np.full(1000, epoch)
        facts.write_text(json.dumps({"epoch": epoch, "batch": 0}))
        if which in ("both", "previous" if end else "latest"):
            path = facts if what == "metadata" else weights
            path.write_bytes(path.read_bytes()[:-9])
            if what == "missing":
                path.unlink()
    cli._mend(folder)
    assert folder.exists() == bool(epoch_kept)
    if epoch_kept:
        assert json.loads((folder / "training_metadata.json").read_text())["epoch"] == epoch_kept
        with h5py.File(folder / "latest.weights.h5") as file:
            assert file["epoch"][0] == epoch_kept


WRITERS = """
import json, sys
from pathlib import Path
import aelib
from aelib import presets, cli
from aelib.errors import BadInput
from aelib.export import to_web

folder, said = Path(sys.argv[1]), {}
model = aelib.TextAutoencoder.from_preset("sentences")
writers = {
    "m.keras": model.save,
    "m.js": lambda path: to_web(model, path),
    "t.json": model.tokenizer.save,
    "z.jsonl": lambda path: cli._emit(["x" * 30_000], path),
    "z.npy": lambda path: cli.encode("sentences", Path(sys.argv[2]), path),
    "preset": lambda path: presets.write(model, path),
}
for name, write in writers.items():
    try:
        write(folder / name)
    except BadInput as error:
        said[name] = str(error)
    except BaseException as error:
        said[name] = repr(error)
print(json.dumps(said))
"""


def test_no_writer_leaves_anything_on_a_full_disk(files, tmp_path):
    """Each says which file it cannot write; files of that name are what they were."""
    writers = ["m.keras", "m.js", "t.json", "z.jsonl", "z.npy"]
    parts = ["config.json", "tokenizer.json", "weights.safetensors"]
    (tmp_path / "preset").mkdir()
    old = [*(tmp_path / name for name in writers), *(tmp_path / "preset" / p for p in parts)]
    for path in old:
        path.write_text("old")
    said = json.loads(python(WRITERS, tmp_path, files / "mine.txt", room=20_000).stdout)
    assert sorted(said) == sorted([*writers, "preset"])
    for name, words in said.items():
        assert words.startswith("cannot write ") and name in words and "\n" not in words
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(old)
    assert all(path.read_text() == "old" for path in old)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", [["presets"], ["compress", "{noise}", "-o", "-"]])
def test_full_standard_output_is_one_line(files, command):
    command = [part.format(noise=files / "noise") for part in command]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aelib.cli", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=600, cwd=ROOT,
        )  # fmt: skip
    refused(done, "No space left")
    assert "\n" not in done.stderr.strip()


# ------------------------------------------------------------- folders that cannot be written


def test_compressing_into_a_closed_folder_is_one_line(files, closed):
    for target in ("new.aec", "old"):
        done = python(COMMAND, "compress", files / "noise", "-o", closed / target, "--force",
                      humble=True)  # fmt: skip
        refused(done, f"cannot write .*{target}: Permission denied")


def test_training_into_a_closed_folder_is_refused_before_it_starts(files, closed):
    done = python(COMMAND, "train", files / "mine.txt", "-o", closed / "m.keras", humble=True)
    refused(done, "cannot write .*m.keras: ")
    assert done.stderr.count("\n") == 1  # no bar: nothing was trained


def test_no_writer_leaves_anything_in_a_closed_folder(files, closed):
    said = json.loads(python(WRITERS, closed, files / "mine.txt", humble=True).stdout)
    assert len(said) == 6
    assert all(words.startswith("cannot write ") for words in said.values()), said


def test_files_that_cannot_be_read_are_one_line(files, closed):
    secret = closed / "old"
    secret.chmod(0)
    for command in (["compress", secret, "-o", "-"], ["decompress", secret, "-o", "-"],
                    ["compress", secret, "--compare"]):  # fmt: skip
        refused(python(COMMAND, *command, humble=True), "cannot read .*Permission denied")
    done = python(COMMAND, "encode", "sentences", secret, humble=True)
    assert done.returncode == 2 and "not readable" in done.stderr  # the option parser's words
    secret.chmod(0o644)


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(BadInput, match="cannot write"), whole(tmp_path / "file" / "a") as part:
        part.write_text("x")


def test_a_mounted_disk_that_cannot_be_written_is_one_line(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", tmp_path],
                             capture_output=True) if shutil.which("mount") else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(BadInput, match="Read-only"), whole(tmp_path / "a") as part:
            part.write_text("x")
        with pytest.raises(BadInput, match="Read-only"):
            codec.compress_file(ROOT / "README.md", tmp_path / "a", "fast")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# ------------------------------------------------------------------------------ damaged caches


@pytest.mark.parametrize("keep", [0, 10, 1000, -1000, -1])
def test_a_damaged_snapshot_says_install_again(keep, tmp_path, monkeypatch):
    path = tmp_path / "primed.npz"
    path.write_bytes(Path(levels.SNAPSHOT).read_bytes()[:keep])
    monkeypatch.setattr(levels, "SNAPSHOT", path)
    levels.shipped.cache_clear()
    with pytest.raises(DataUnavailable, match="damaged: install aelib again"):
        codec.compress(b"some words", "fast")
    assert codec.decompress(codec.compress(b"some words", "fast", primed=False)) == b"some words"
    path.unlink()
    with pytest.raises(DataUnavailable, match="missing: install aelib again"):
        codec.compress(b"some words", "fast")
    levels.shipped.cache_clear()


SMALL = """
from aelib.codec.compiled import compiled

@compiled()
def double(x):
    return 2 * x
"""
CALL = "import sys; sys.path.insert(0, sys.argv[1]); import small; print(small.double(21))"


@pytest.fixture
def small(tmp_path):
    """A folder with a compiled function, and the cache of its machine code."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "small.py").write_text(SMALL)
    return folder


def answer(folder, cache, **how):
    done = python(CALL, folder, NUMBA_CACHE_DIR=str(cache), **how)
    assert done.stdout == "42\n", done.stderr


def test_damaged_machine_code_is_compiled_again(small, tmp_path):
    cache = tmp_path / "cache"
    answer(small, cache)
    whole_ = {p: p.read_bytes() for p in cache.rglob("small*.nb*")}
    assert {p.suffix for p in whole_} == {".nbi", ".nbc"}
    for suffix in (".nbi", ".nbc"):
        for size in (0, 5, 40):
            path = next(p for p in whole_ if p.suffix == suffix)
            path.write_bytes(whole_[path][:size])
            answer(small, cache)
            assert len(path.read_bytes()) > 40  # and it is whole again


def test_machine_code_is_not_kept_where_the_disk_is_full_or_closed(small, closed, tmp_path):
    cache = tmp_path / "cache"
    answer(small, cache, room=100)
    assert not [p for p in cache.rglob("small*") if p.is_file() and p.stat().st_size == 100]
    (small / "__pycache__").mkdir(exist_ok=True)
    for folder in (small, small / "__pycache__"):
        folder.chmod(0o555)
    answer(small, closed / "no", humble=True, HOME=str(closed), XDG_CACHE_HOME=str(closed))
    for folder in (small, small / "__pycache__"):
        folder.chmod(0o755)


def test_all_kept_machine_code_goes_through_it():
    code = [p.read_text(encoding="utf-8") for p in (ROOT / "aelib").rglob("*.py")]
    assert not any("njit(cache" in text for text in code)
    assert sum(text.count("@compiled(") for text in code) > 8
