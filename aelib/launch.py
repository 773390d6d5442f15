"""This command again as several worker processes, watched as one: `aelib train --workers N`."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from aelib.errors import AelibError, BadInput

MARK = "AELIB_WORKER"  # set in the environment of a worker
LOST = 3  # exit status of a worker that lost another: the launcher says what happened


def is_worker() -> bool:
    """Whether this process was started by `run`. It then ends when the launcher does."""
    if MARK not in os.environ:
        return False
    threading.Thread(target=_follow, daemon=True).start()
    return True


def _follow() -> None:
    os.read(0, 1)  # ends when the launcher, who holds the other end, is gone
    os._exit(LOST)


def run(count: int) -> None:
    """Start the workers and wait for them; AelibError, in one line, when one fails.

    With TF_CONFIG set this machine has the one worker that it names, otherwise all `count`.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise BadInput(f"--workers needs TensorFlow, not KERAS_BACKEND={backend}: unset it")
    configs = _given(count) or loopback(count)
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker.started(config)) for config in configs]
        while any(w.running for w in workers) and not any(w.failed for w in workers):
            time.sleep(0.2)
        if any(w.failed for w in workers):
            _complain(workers)


def _given(count: int) -> list[dict[str, Any]]:
    """What TF_CONFIG says, if it is set; BadInput if it names another number of workers."""
    if not os.environ.get("TF_CONFIG"):
        return []
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        index, named = int(config["task"]["index"]), len(config["cluster"]["worker"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            'TF_CONFIG is like {"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from error
    if named != count or not 0 <= index < count:
        raise BadInput(f"--workers {count}, but TF_CONFIG is worker {index} of {named}")
    return [config]


def loopback(count: int) -> list[dict[str, Any]]:
    """A cluster of `count` workers on free ports of this machine."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in taken]
    return [
        {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}} for i in range(count)
    ]


class _Worker:
    """A process, and what it says on standard error unless it is the chief, who is heard."""

    def __init__(self, config: dict[str, Any], said: IO[bytes]):
        self.index, self.said = config["task"]["index"], said
        environment = os.environ | {MARK: "1", "TF_CONFIG": json.dumps(config)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aelib.cli", *sys.argv[1:]], stdin=subprocess.PIPE,
            stderr=None if self.chief else said, env=environment,
        )  # fmt: skip

    @classmethod
    @contextmanager
    def started(cls, config: dict[str, Any]) -> Iterator["_Worker"]:
        """Its process is gone at the end, whatever happens."""
        with tempfile.TemporaryFile() as said:
            worker = cls(config, said)
            try:
                yield worker
            finally:
                worker.process.kill()
                worker.process.communicate()

    @property
    def chief(self) -> bool:
        return self.index == 0

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        return bool(self.process.poll())

    def last_line(self) -> str:
        """The last that it said."""
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").splitlines()
        return lines[-1].removeprefix("aelib: ") if lines else "it said nothing"


def _complain(workers: list[_Worker]) -> None:
    """Say which worker failed, and what to do; a chief that spoke has said it."""
    failed = [(w, w.process.returncode) for w in workers if w.failed]
    again = "run the same command again, and training goes on from its last whole epoch"
    for worker, status in failed:
        if status == -signal.SIGALRM:
            raise AelibError(
                f"worker {worker.index} waited for the others, and they did not come: start all "
                "within AELIB_WORKERS_WAIT seconds (600), at the addresses that TF_CONFIG names"
            )
        if status < 0:
            raise AelibError(f"worker {worker.index} was killed (signal {-status}): {again}")
    for worker, status in failed:
        if status != LOST and worker.chief:
            sys.exit(2)
        if status != LOST:
            raise AelibError(f"worker {worker.index}: {worker.last_line()}")
    raise AelibError(f"another worker is gone: {again}")
