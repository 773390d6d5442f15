"""Runs every notebook with nbval, each in a fresh kernel, one more at a time than cores.

    python scripts/check_notebooks.py [FILE ...]

Says how long each took, and at the end how many were checked.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from build_book import ROOT, environment
from execute_book import kernel_settings, longest_first, one_core

CELL_SECONDS = 600


def notebooks() -> list[Path]:
    """Every notebook of the book."""
    found = sorted((ROOT / "book").rglob("*.ipynb"))
    return [path.relative_to(ROOT) for path in found if ".ipynb_checkpoints" not in path.parts]


def check(path: Path, workers: int = 1) -> tuple[bool, str, float]:
    """(did all cells run?, what pytest printed, seconds)."""
    begun = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        f"--nbval-cell-timeout={CELL_SECONDS}",
    ]
    command += ["-o", "addopts=", "-p", "no:cacheprovider", "--timeout=0", "--tb=short", str(path)]
    env = environment() | one_core(workers) | kernel_settings(ROOT / "_build")
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    return run.returncode == 0, run.stdout + run.stderr, time.monotonic() - begun


def check_all(paths: list[Path]) -> Iterator[tuple[Path, bool, str, float]]:
    """`check` of each in the order of finishing, one at a time more than there are cores: a kernel
    waits while it starts."""
    workers = min((os.cpu_count() or 1) + 1, len(paths)) or 1
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(check, p, workers): p for p in longest_first(paths)}
        for job in as_completed(jobs):
            yield jobs[job], *job.result()


def closing_line(output: str) -> str:
    """pytest's last line without its ornaments: '12 passed'."""
    lines = [line.strip("= ") for line in output.splitlines() if line.strip()]
    return lines[-1].split(" in ")[0] if lines else "nothing ran"


def reasons(output: str) -> list[str]:
    """The errors' own lines: 'ClaimFailed: C16 (...): ...'."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return re.findall(
        r"^(?:\w+\.)*\w*(?:Error|Failed|Exception|Unavailable|BadInput)\b: .*$", text, re.M
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    chosen = parser.parse_args().notebooks or notebooks()
    started, failed = time.monotonic(), []
    for number, (path, passed, output, seconds) in enumerate(check_all(chosen), 1):
        line = f"[{number}/{len(chosen)}] {path} {seconds:5.0f} s  {closing_line(output)}"
        print(line, flush=True)
        if not passed:
            failed.append((path, reasons(output)))
            print(output, flush=True)
    minutes = (time.monotonic() - started) / 60
    print(
        f"{len(chosen)} notebooks checked in {minutes:.1f} minutes, {len(failed)} failed",
        flush=True,
    )
    for path, why in failed:
        print(f"failed: {path}: {'; '.join(why) or 'see above'}")
    return bool(failed) or not chosen


if __name__ == "__main__":
    sys.exit(main())
