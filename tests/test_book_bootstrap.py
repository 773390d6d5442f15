"""The environment's own script: what it accepts, and the one line it says when it cannot go on."""

import collections
import subprocess
import sys
from pathlib import Path

import bootstrap
import pytest
import try_versions

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 4), True), ((3, 14), False)],
)
def test_python_versions(version, fits):
    assert bootstrap.suitable(version) is fits


def said(capsys):
    """The one line on stderr."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_old_python_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        bootstrap.find_python()
    assert stopped.value.code == 1
    assert "Python 3.11 to 3.13 is needed, this is 3.8" in said(capsys)


def test_another_python_on_the_path_is_taken(monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: sys.executable if name == "python3.12" else None
    )
    assert bootstrap.find_python() == sys.executable


def test_full_disk_is_one_line(monkeypatch, capsys):
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda path: usage(2e9))
    with pytest.raises(SystemExit):
        bootstrap.check_disk()
    assert "2.0 GB are free" in said(capsys)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: No matching distribution found for absl-py==2.5.1",
            "registry cannot be reached",
        ),
        ("ERROR: No matching distribution found for absl-py==2.5.1", "no package that fits"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "differs from the one that was pinned"),
        ("ERROR: something else\n", "ERROR: something else"),
        ("", "pip says no more"),
    ],
)
def test_causes(output, reason):
    assert reason in bootstrap.cause(output)


def test_stamp_follows_pins_and_python(tmp_path, monkeypatch):
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    first = bootstrap.wanted(sys.executable)
    assert bootstrap.wanted(sys.executable) == first
    (tmp_path / "requirements.txt").write_text("other")
    second = bootstrap.wanted(sys.executable)
    assert second[0] != first[0] and second[1] == first[1]
    monkeypatch.setattr(bootstrap, "STAMP", str(tmp_path / "no"))
    assert bootstrap.stamp() == ["", ""]


def test_an_environment_of_the_same_python_is_kept(monkeypatch):
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    assert bootstrap.reusable(sys.executable)
    monkeypatch.setattr(bootstrap, "version", lambda python: python)
    assert not bootstrap.reusable("/another/python")
    monkeypatch.setattr(bootstrap, "PYTHON", "/no/python")
    assert not bootstrap.reusable("/no/python")


HOLDS = """
import sys
sys.path.insert(0, {scripts!r})
import bootstrap
bootstrap.ROOT = {root!r}
with bootstrap.alone("book"):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_of_two_builds_the_second_waits_and_a_killed_one_holds_nothing(tmp_path):
    script = HOLDS.format(scripts=str(ROOT / "scripts"), root=str(tmp_path))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    first, second = (subprocess.Popen([sys.executable, "-c", script], **pipes) for _ in "12")
    with first, second:
        waits = [process.stdout.readline() for process in (first, second)]
        assert sorted(waits)[0].startswith("Another process is making the book") and (
            sorted(waits)[1] == "mine\n"
        )
        holder, other = (first, second) if waits[0] == "mine\n" else (second, first)
        holder.kill()
        assert other.stdout.readline() == "mine\n"
        other.stdin.close()
        assert other.wait() == 0


def test_an_installation_that_was_killed_goes_on(tmp_path, monkeypatch):
    """Killed before the stamp: it is done again. Killed before pip was there: from the start."""
    monkeypatch.setattr(bootstrap, "VENV", str(tmp_path / "venv"))
    monkeypatch.setattr(bootstrap, "PYTHON", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setattr(bootstrap, "STAMP", str(tmp_path / "venv" / "ready"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bootstrap.VENV], check=True)
    assert bootstrap.works(bootstrap.PYTHON) and not bootstrap.reusable(sys.executable)
    assert bootstrap.stamp() != bootstrap.wanted(sys.executable)


def test_make_help_lists_the_commands():
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True)
    commands = "book test test-lowest test-newest serve bench lock check readme clean"
    for command in commands.split():
        assert f"make {command}\t" in listed.stdout


def test_the_ends_of_the_ranges_have_their_own_environment(tmp_path, monkeypatch):
    make, install, tests = try_versions.commands(tmp_path, "lowest-direct", ["tests/test_a.py"])
    assert make[-1] == str(tmp_path) and tests[0] == str(tmp_path / "bin" / "python")
    assert install[install.index("--python") + 1] == tests[0] != sys.executable
    assert install[install.index("--resolution") + 1] == "lowest-direct"
    assert {"data", "dev", "onnx"} < set(try_versions.extras().split(","))
    assert tests[-3:] == ["-m", "not site", "tests/test_a.py"]
    monkeypatch.setattr(bootstrap, "works", lambda python: True)
    assert len(try_versions.commands(tmp_path, "highest", [])) == 2  # an environment is kept
