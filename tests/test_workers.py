"""Several worker processes on this machine: the losses of one, a killed worker, refusals."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import aelib
from aelib import launch
from aelib.errors import BadInput

LINES = [f"the {a} {v} the {b}." for a in ("dog", "cat", "king") for v in ("saw", "ate", "had")
         for b in ("sea", "sun", "fog", "pie", "hat", "old red hat")]  # fmt: skip
COMMAND = [sys.executable, "-m", "aelib.cli", "train"]
tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow")

TRAIN = """
import json
from aelib.models.workers import Workers
workers = Workers()
import test_workers
print(json.dumps(test_workers.losses(workers)))
"""


def losses(workers=None):
    """Ragged batches of a text autoencoder and of a language model; five rows, then one."""
    keras.utils.set_random_seed(0)
    texts = aelib.TextAutoencoder(24, width=24)
    texts.fit(LINES * 4, LINES, epochs=2, batch_size=43, verbose=0, workers=workers)
    recurrent = aelib.TextAutoencoder(8, "recurrent", "recurrent", width=8)
    recurrent.fit(LINES[:31], epochs=2, batch_size=5, verbose=0, workers=workers)
    language = aelib.LanguageModel(16, 1, 2, 16)
    language.fit(io.StringIO("\n".join(LINES)), steps=12, batch_size=5, verbose=0, workers=workers)
    return [m.history.history["loss"] for m in (texts, recurrent, language)]


def environment(config=None, **more):
    told = {} if config is None else {"TF_CONFIG": json.dumps(config)}
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | told | more


def refused(done, words):
    """Status 2 and one line of ours with these words."""
    said = [line for line in done.stderr.splitlines() if line.startswith("aelib: ")]
    assert done.returncode == 2 and len(said) == 1 and words in said[0], done.stderr


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(LINES), encoding="utf-8")
    return tmp_path / "mine.txt"


@tensorflow
@pytest.mark.slow
def test_two_workers_have_the_losses_of_one_process():
    here = os.path.dirname(__file__)
    workers = [
        subprocess.Popen([sys.executable, "-c", TRAIN], env=environment(config), cwd=here,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for config in launch.loopback(2)
    ]  # fmt: skip
    alone = losses()
    told = [worker.communicate(timeout=600) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in told)
    assert first == second
    for ours, theirs in zip(alone, first, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4)


@tensorflow
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_ends_the_run_and_the_next_goes_on(mine):
    out = mine.with_name("mine.keras")
    command = [*COMMAND, str(mine), "-o", str(out), "--latent-dim", "16", "--epochs", "60"]
    launcher = subprocess.Popen([*command, "--workers", "2"], env=environment(), text=True,
                                stderr=subprocess.PIPE)  # fmt: skip
    while not list(mine.parent.glob(".mine.*.backup/training_metadata.json")):
        time.sleep(0.01)
        assert launcher.poll() is None
    with open(f"/proc/{launcher.pid}/task/{launcher.pid}/children") as file:
        os.kill(int(file.read().split()[1]), signal.SIGKILL)
    _, said = launcher.communicate(timeout=60)
    refused(subprocess.CompletedProcess([], launcher.returncode, "", said), "worker 1 was killed")
    assert not out.exists() and sorted(p.suffix for p in mine.parent.iterdir()) == [
        ".backup", ".txt",
    ]  # fmt: skip
    again = subprocess.run([*command, "--workers", "2"], env=environment(), timeout=600,
                           capture_output=True, text=True)  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert sorted(p.name for p in mine.parent.iterdir()) == ["mine.keras", "mine.txt"]
    keras.utils.set_random_seed(0)
    alone = aelib.TextAutoencoder(16).fit(LINES, epochs=60, verbose=0)
    resumed = aelib.TextAutoencoder.load(out)
    for ours, theirs in zip(alone.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


@tensorflow
@pytest.mark.slow
def test_a_worker_whose_port_is_taken_says_so(mine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        hosts = [f"127.0.0.1:{taken.getsockname()[1]}", "127.0.0.1:1"]
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": 0}}
        done = subprocess.run([*COMMAND, str(mine), "-o", str(mine.with_name("x.keras")),
                               "--workers", "2"], env=environment(config), timeout=600,
                              capture_output=True, text=True)  # fmt: skip
    refused(done, f"worker 0 cannot start at {hosts[0]}: is the port taken")


@tensorflow
@pytest.mark.slow
def test_a_worker_whose_fellow_never_comes_gives_up(mine):
    config = {"cluster": {"worker": ["127.0.0.1:0", "127.0.0.1:1"]},
              "task": {"type": "worker", "index": 0}}  # fmt: skip
    done = subprocess.run([*COMMAND, str(mine), "-o", str(mine.with_name("x.keras")),
                           "--workers", "2"], env=environment(config, AELIB_WORKERS_WAIT="1"),
                          timeout=600, capture_output=True, text=True)  # fmt: skip
    refused(done, "worker 0 waited for the others, and they did not come")
    assert [p.name for p in mine.parent.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"KERAS_BACKEND": "jax"}, "needs TensorFlow, not KERAS_BACKEND=jax"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG is like"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}'}, "worker 0 of 1"),
    ],
)
def test_refusals_before_any_worker_starts(variables, words, monkeypatch):
    for name, value in ({"KERAS_BACKEND": "tensorflow"} | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=words):
        launch.run(2)


def test_workers_need_a_file(monkeypatch):
    from typer.testing import CliRunner

    from aelib import cli

    done = CliRunner().invoke(cli.app, ["train", "-", "-o", "x.keras", "--workers", "2"],
                              input="one\ntwo\n")  # fmt: skip
    assert isinstance(done.exception, BadInput) and "give a file" in str(done.exception)
