"""Folders of files through Ray Data; what can be refused without it is."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from aelib import cli, codec
from aelib.errors import AelibError, BadInput, UnknownName


def run(*arguments):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


@pytest.fixture
def folder(tmp_path):
    """Three files, one of them in a folder of its own, and one that is hidden."""
    (tmp_path / "in" / "more").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "more/c.txt", ".hidden"):
        (tmp_path / "in" / name).write_text(f"In the beginning\nthere was {name}\n")
    return tmp_path / "in"


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_without_ray_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r'pip install "aelib\[scale\]"'):
        run("compress", folder, "-o", folder.with_name("out"), "--engine", "ray")
    assert not files(folder.with_name("out"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "spark", "-o", "{out}"], "no engine 'spark'"),
        (["--workers", "2", "-o", "{out}"], "goes with --engine"),
        (["--engine", "ray"], "say which folder"),
        (["--engine", "ray", "-o", "{folder}/out"], "another folder"),
        (["--engine", "ray", "-o", "{out}", "--no-keep"], "goes with"),
    ],
)
def test_refusals(folder, arguments, words):
    named = {"folder": folder, "out": folder.with_name("out")}
    with pytest.raises((BadInput, UnknownName), match=words):
        run("compress", folder, *[a.format(**named) for a in arguments])
    assert not folder.with_name("out").exists()


@pytest.mark.slow
def test_a_folder_compressed_by_two_workers(folder):
    pytest.importorskip("ray.data")
    out = folder.with_name("out")
    command = ["compress", folder, "-o", out, "--engine", "ray", "--workers", 2]
    run(*command)
    assert files(out) == ["a.txt.aec", "b.txt.aec", "more/c.txt.aec"]
    for name in files(out):
        assert codec.decompress((out / name).read_bytes()) == (folder / name[:-4]).read_bytes()
    (out / "a.txt.aec").write_bytes(b"kept")
    (out / "b.txt.aec").unlink()
    run(*command)
    assert (out / "a.txt.aec").read_bytes() == b"kept" and (out / "b.txt.aec").exists()


@pytest.mark.slow
def test_a_folder_encoded_and_a_file_that_is_no_text(folder):
    pytest.importorskip("ray.data")
    (folder / "b.txt").write_bytes(b"\x00\x01")
    out = folder.with_name("out")
    with pytest.raises(AelibError, match=r"1 of 3 files failed: .*b\.txt \(.*binary"):
        run("encode", "sentences", folder, "-o", out, "--engine", "ray")
    assert files(out) == ["a.txt.npy", "more/c.txt.npy"]
    assert np.load(out / "a.txt.npy").shape == (2, 256)
