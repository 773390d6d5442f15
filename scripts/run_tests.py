"""`make test`: pytest, the models' tests on JAX, every notebook. Fails when any of them does."""

import subprocess
import sys

from build_book import ROOT, environment

OTHER_BACKEND = ["tests/test_models.py", "tests/test_objectives.py", "tests/test_language.py"]


def main() -> int:
    arguments = sys.argv[1:] or ["tests"]
    unit = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment())
    print("\nNow the models' tests again, on JAX:", flush=True)
    jax = subprocess.run(
        [sys.executable, "-m", "pytest", *OTHER_BACKEND],
        cwd=ROOT,
        env=environment() | {"KERAS_BACKEND": "jax"},
    )
    print("\nNow every notebook, each in a fresh kernel:", flush=True)
    books = subprocess.run(
        [sys.executable, "scripts/check_notebooks.py"], cwd=ROOT, env=environment()
    )
    return unit.returncode or jax.returncode or books.returncode


if __name__ == "__main__":
    sys.exit(main())
