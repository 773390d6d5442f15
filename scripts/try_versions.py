"""`make test-lowest`, `make test-newest`: pytest with the ends of pyproject.toml's ranges.

Each has an environment of its own (.venv-lowest, .venv-newest; 4 GB), which every run brings up to
date. Notebooks and the built site are left to `make test` and `make check`.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import bootstrap
from build_book import ROOT, environment
from execute_book import one_core

RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def extras() -> str:
    """The names of all optional dependencies of the package, as pip wants them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return ",".join(project["optional-dependencies"])


def commands(folder: Path, resolution: str, arguments: list[str]) -> list[list[str]]:
    """What makes the environment, what installs into it, and what runs the tests there."""
    python, uv = str(folder / "bin" / "python"), [sys.executable, "-m", "uv"]
    make = [*uv, "venv", "--quiet", "--seed", "--clear", "--python", sys.executable, str(folder)]
    install = [*uv, "pip", "install", "--python", python, "--upgrade", "--only-binary=:all:",
               "--resolution", resolution, "--editable", f"{ROOT}[{extras()}]"]  # fmt: skip
    tests = [python, "-m", "pytest", "-n", str(workers()), "--dist", "loadfile"]
    made = bootstrap.works(python)
    return [*([] if made else [make]), install, [*tests, "-m", "not site", *arguments]]


def workers() -> int:
    """As in `make test`: each holds a TensorFlow, about a gigabyte."""
    return min(os.cpu_count() or 1, 8)


def main() -> int:
    """Runs them up to the first that fails, and gives its status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=RESOLUTIONS)
    chosen, arguments = parser.parse_known_args()
    folder = ROOT / f".venv-{chosen.which}"
    env = environment() | one_core(workers())
    env["NUMBA_CACHE_DIR"] = str(folder / "numba")  # another Numba would overwrite what .venv keeps
    for command in commands(folder, RESOLUTIONS[chosen.which], arguments or ["tests"]):
        if status := subprocess.run(command, cwd=ROOT, env=env).returncode:
            return status
    return 0


if __name__ == "__main__":
    bootstrap.check_disk()
    sys.exit(main())
