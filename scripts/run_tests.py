"""`make test`: pytest, the models' tests on JAX, every notebook. Fails when any of them does."""

import os
import subprocess
import sys

from build_book import ROOT, environment
from execute_book import one_core

LONGEST_FIRST = ["tests/test_workers.py", "tests/test_text_autoencoder.py", "tests/test_faults.py"]
OTHER_BACKEND = ["tests/test_models.py", "tests/test_objectives.py", "tests/test_language.py"]


def pytest(arguments: list[str], **settings: str) -> int:
    """pytest with a process on each core; a file's tests stay together."""
    workers = min(os.cpu_count() or 1, 8)  # each holds a TensorFlow, about a gigabyte
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "--dist", "loadfile"]
    command += ["--no-loadscope-reorder"]
    env = environment() | one_core(workers) | settings
    return subprocess.run([*command, *arguments], cwd=ROOT, env=env).returncode


def main() -> int:
    unit = pytest(sys.argv[1:] or [*LONGEST_FIRST, "tests"])
    print("\nNow the models' tests again, on JAX:", flush=True)
    jax = pytest(OTHER_BACKEND, KERAS_BACKEND="jax")
    print("\nNow every notebook, each in a fresh kernel:", flush=True)
    books = subprocess.run(
        [sys.executable, "scripts/check_notebooks.py"], cwd=ROOT, env=environment()
    )
    return unit or jax or books.returncode


if __name__ == "__main__":
    sys.exit(main())
