"""Builds the book: executes every notebook that changed, warnings are errors.

python scripts/build_book.py [--clean] [--jobs 3] [--only book/math/index ...]

--only executes and builds the named pages with the reference pages, in a folder of its own.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bootstrap import alone

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "book" / "_ext"))
NOISE = re.compile(
    r"absl::InitializeLog|IPKernelApp\] WARNING|oneDNN custom operations|port\.cc|cudart_stub"
    r"|cuInit|^\s*$"
)
FAULT = re.compile(r" (WARNING|ERROR): |^WARNING: |^(\w+\.)*\w*(Error|Failed|Exception): ")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def environment() -> dict[str, str]:
    """Quiet TensorFlow, oneDNN on, byte code kept."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}
    env |= {"PYTHONUNBUFFERED": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def jupyter_book(*options: str) -> tuple[int, list[str]]:
    """Runs jupyter-book and passes on what it says without the noise: (status, the faults)."""
    run = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", run, "build", str(ROOT), *options]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    faults = []
    for line in process.stdout:
        plain = COLOUR.sub("", line)
        if NOISE.search(plain):
            continue
        print(line, end="", flush=True)
        if FAULT.search(plain):
            faults.append(plain.strip())
    return process.wait(), list(dict.fromkeys(faults))


def run_notebooks(toc: Path, build: Path, jobs: int = 0) -> list[str]:
    """Run the notebooks of `toc` that changed, side by side; returns what went wrong."""
    from book_build import execution_cache
    from execute_book import execute

    os.environ.update(environment())
    return execute(ROOT, toc, execution_cache(ROOT, build), jobs=jobs)


def only(pages: list[str], jobs: int = 0) -> int:
    """A book of the named pages and the reference, outside the real one."""
    names = [str(Path(page).with_suffix("")) for page in pages]
    output = ROOT / "_build" / "only" / "-".join(names).replace("/", "-")
    output.mkdir(parents=True, exist_ok=True)
    reference = sorted(
        p.relative_to(ROOT).with_suffix("") for p in ROOT.glob("book/reference/*.md")
    )
    files = dict.fromkeys([*names, *(str(p) for p in reference if p.stem not in ("claims", "api"))])
    toc = output / "toc.yml"
    chapters = "".join(f"  - file: {name}\n" for name in files)
    toc.write_text(f"format: jb-book\nroot: book/index\nchapters:\n{chapters}", encoding="utf-8")
    if wrong := run_notebooks(toc, output / "_build", jobs):
        print(*wrong, sep="\n")
        return 1
    status, faults = jupyter_book(
        "--path-output", str(output), "--toc", str(toc), "--keep-going", "-n"
    )
    mine = [fault for fault in faults if any(name in fault for name in names)]
    print(*(fault for fault in mine if "'ledger-" not in fault), sep="\n")
    print(f"\n{output.relative_to(ROOT)}/_build/html/{names[0]}.html")
    print("Links to pages outside this small book are warned about above; `make book` decides.")
    return status


def timings(build: Path) -> str:
    """Minutes per notebook as a Markdown table."""
    seconds = json.loads((build / "timings.json").read_text(encoding="utf-8"))
    lines = ["| notebook | minutes |", "|---|---:|"]
    lines += [f"| {name} | {value / 60:.1f} |" for name, value in seconds.items()]
    total = sum(seconds.values()) / 60
    return "\n".join([*lines, f"| **{len(seconds)} notebooks** | **{total:.1f}** |"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the book.")
    parser.add_argument("--clean", action="store_true", help="forget earlier builds and runs")
    parser.add_argument(
        "--jobs", type=int, default=0,
        help="notebooks at a time, by default one a core; one more is faster, but lengthens each",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", metavar="PAGE", help="build these pages alone")
    arguments = parser.parse_args()
    with alone("book"):
        if arguments.only:
            return only(arguments.only, arguments.jobs)
        return whole(arguments.clean, arguments.jobs)


def whole(clean: bool, jobs: int = 0) -> int:
    """The real book, in _build/html."""
    build = ROOT / "_build"
    if clean:
        for part in ("html", "executed", "jupyter_execute", ".doctrees", "timings.json"):
            remove(build / part)
    started, began = time.monotonic(), time.time()
    if wrong := run_notebooks(ROOT / "_toc.yml", build, jobs):
        print("\nThe book was not built. These notebooks failed:", *wrong, sep="\n  ")
        return 1
    status, faults = jupyter_book("-W", "--keep-going", "-n")
    if not status and (build / "timings.json").stat().st_mtime < began:
        status = 1  # it said nothing and did nothing
    if status:
        remove(build / ".doctrees")  # or the next build would not warn again
        print("\nThe book was not built. Every warning is an error here:", *faults, sep="\n  ")
        return status
    index = build / "html" / "index.html"
    print(
        f"\n{timings(build)}\n\nBuilt in {(time.monotonic() - started) / 60:.1f} minutes: {index}"
    )
    print(f"Open it with your browser (file://{index}), or run `make serve`.")
    return 0


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
