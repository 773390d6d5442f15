"""`make test`: pytest, then every notebook in a fresh kernel. Fails when either does."""

import subprocess
import sys

from build_book import ROOT, environment


def main() -> int:
    arguments = sys.argv[1:] or ["tests"]
    unit = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment())
    print("\nNow every notebook, each in a fresh kernel:", flush=True)
    books = subprocess.run(
        [sys.executable, "scripts/check_notebooks.py"], cwd=ROOT, env=environment()
    )
    return unit.returncode or books.returncode


if __name__ == "__main__":
    sys.exit(main())
