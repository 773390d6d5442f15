"""The command line end to end, in one process for speed; refusals through a real process."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from aelib import cli
from aelib.errors import BadInput, UnknownName

LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat")]  # fmt: skip


def run(*arguments, stdin=None):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.txt").write_text("\n".join(LINES), encoding="utf-8")
    run("train", folder / "mine.txt", "--out", folder / "mine.keras", "--latent-dim", 64,
        "--epochs", 1)  # fmt: skip
    return folder


def test_train_leaves_one_file_and_it_works(files):
    assert sorted(p.name for p in files.glob("*.keras")) == ["mine.keras"]
    assert not [p for p in files.iterdir() if p.name.endswith((".backup", ".part"))]
    score = json.loads(run("evaluate", files / "mine.keras", "--data", files / "mine.txt"))
    assert score["exact"] == 1.0 and score["sentences"] == len(LINES)


def test_encode_decode_round_trip_in_both_formats(files):
    model, text = files / "mine.keras", files / "mine.txt"
    run("encode", model, text, "--out", files / "z.npy")
    assert np.load(files / "z.npy").shape == (len(LINES), 64)
    assert run("decode", model, files / "z.npy").splitlines() == LINES
    rows = run("encode", model, text)
    assert json.loads(rows.splitlines()[0])["text"] == LINES[0]
    (files / "z.jsonl").write_text(rows, encoding="utf-8")
    assert run("decode", model, files / "z.jsonl").splitlines() == LINES
    one = run("encode", model, "-", stdin=LINES[3] + "\n")
    assert np.allclose(json.loads(one)["z"], np.load(files / "z.npy")[3], atol=1e-5)


def test_search_and_interpolate(files):
    found = run("search", files / "mine.keras", files / "mine.txt", LINES[7], "-n", 2)
    first = found.splitlines()[0].split("\t")
    assert first[1] == LINES[7] and float(first[0]) < 1e-3
    path = run("interpolate", files / "mine.keras", LINES[0], LINES[9], "--steps", 3)
    assert path.splitlines()[0] == LINES[0] and path.splitlines()[-1] == LINES[9]


def test_language_model_from_the_shell(files):
    out = files / "lm.keras"
    run("train", files / "mine.txt", "-o", out, "--model", "language", "--steps", 20)
    texts = run("generate", out, "the ", "-n", 2, "--length", 10, "--seed", 1)
    assert texts.count("the ") >= 2
    assert texts == run("generate", out, "the ", "-n", 2, "--length", 10, "--seed", 1)
    score = json.loads(run("evaluate", out, "--data", files / "mine.txt", "--stream"))
    assert 0 < score["bits_per_character"] < 8
    heard = run("evaluate", out, "--data", files / "mine.txt", "--stream", "--adapt", 0.3)
    assert json.loads(heard)["bits_per_character"] < score["bits_per_character"]
    for how in (("--stream",), ()):
        both = run(
            "evaluate", out, "--data", files / "mine.txt", "--beside", files / "mine.txt", *how
        )
        assert json.loads(both)["bits_per_character"] < score["bits_per_character"]


def test_killed_training_goes_on(files, monkeypatch):
    """Stop in the third epoch; the next run starts there and says so in its epochs."""
    import keras

    from aelib.models import TextAutoencoder

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    seen = []
    fit = TextAutoencoder.fit

    def watched(self, *args, callbacks=(), **kwargs):
        extra = [Kill()] if not seen else []
        seen.append(self)
        return fit(self, *args, callbacks=[*callbacks, *extra], **kwargs)

    monkeypatch.setattr(TextAutoencoder, "fit", watched)
    command = ["train", files / "mine.txt", "-o", files / "again.keras", "--latent-dim", 16,
               "--epochs", 4]  # fmt: skip
    CliRunner().invoke(cli.app, [str(a) for a in command])
    assert not (files / "again.keras").exists()
    assert list(files.glob(".again.*.backup"))
    run(*command)
    assert seen[1].history.epoch[0] == 2  # the first two were not repeated
    assert (files / "again.keras").exists() and not list(files.glob(".again.*.backup"))
    run(*[files / "unbroken.keras" if a == files / "again.keras" else a for a in command])
    for resumed, unbroken in zip(seen[1].get_weights(), seen[2].get_weights(), strict=True):
        np.testing.assert_array_equal(resumed, unbroken)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "nothing", "{text}"], "neither a file nor a preset"),
        (["decode", "{model}", "{text}"], "holds no latents"),
        (["decode", "{model}", "{wide}"], "shape"),
        (["decode", "{model}", "{nan}"], "NaN"),
        (["decode", "{model}", "{pickle}"], "holds no latents"),
        (["encode", "{model}", "{empty}"], "empty"),
        (["encode", "{model}", "{binary}"], "binary"),
        (["train", "{text}", "-o", "x.h5"], "end in .keras"),
        (["train", "{text}", "-o", "{folder}/no/x.keras", "--epochs", "1"], "no folder"),
        (["evaluate", "{text}", "--data", "{text}"], "damaged or no .keras"),
        (["evaluate", "{model}", "--data", "{text}", "--adapt", "0.3"], "goes with --stream"),
        (["evaluate", "{model}", "--data", "{text}", "--beside", "{text}"], "for language models"),
        (["generate", "{model}", "prompt"], "takes no prompt"),
        (["presets", "nothing"], "no preset"),
    ],
)
def test_refusals(files, arguments, message):
    places = {n: files / n for n in ("empty", "binary", "wide.npy", "nan.npy", "pickle.npy")}
    places["empty"].write_bytes(b"")
    places["binary"].write_bytes(b"\x00\x01")
    np.save(places["wide.npy"], np.zeros((1, 3)))
    np.save(places["nan.npy"], np.full((1, 64), np.nan))
    np.save(places["pickle.npy"], np.array([{}], dtype=object), allow_pickle=True)
    named = {name.split(".")[0]: path for name, path in places.items()}
    named |= {"text": files / "mine.txt", "model": files / "mine.keras", "folder": files}
    before = sorted(files.iterdir())
    with pytest.raises((BadInput, UnknownName), match=message.replace(".", r"\.")):
        run(*[a.format(**named) for a in arguments])
    assert sorted(files.iterdir()) == before  # nothing half-written


def test_errors_are_one_line_and_status_2(files):
    call = [sys.executable, "-m", "aelib.cli", "encode", "nothing", str(files / "mine.txt")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("aelib: 'nothing' is neither") and done.stderr.count("\n") == 1


def test_every_command_has_help_with_an_example():
    ours = ["train", "encode", "decode", "interpolate", "generate", "search", "evaluate", "presets"]
    for name in ours:
        assert "Example" in run(name, "--help"), name


def test_stdin_that_is_not_utf8(files, monkeypatch):
    fake = type("In", (), {"buffer": io.BytesIO("café".encode("latin1"))})
    monkeypatch.setattr(sys, "stdin", fake)
    with pytest.raises(BadInput, match="not UTF-8"):
        cli._lines("-")
