"""What the benchmark scripts share: one JSON file a run, with machine, versions, date and seed."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from aelib.writing import whole

RESULTS = Path(__file__).parent / "results"
QUICK = Path(__file__).parents[1] / "_build" / "benchmarks"
PACKAGES = ("aelib", "tensorflow", "keras", "numpy", "numba", "constriction", "pyppmd",
            "scikit-learn", "torch")  # fmt: skip


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []:
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": [round(x, 1) for x in os.getloadavg()],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def arguments(description: str | None, extra: Callable[[argparse.ArgumentParser], None]) -> Any:
    """--quick, --out and a script's own options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a minute or two: a smoke test")
    parser.add_argument("--out", type=Path, help="result file (JSON)")
    extra(parser)
    parser.set_defaults(title=(description or "").strip().split("\n")[0].rstrip("."))
    return parser.parse_args()


def command(argv: list[str]) -> str:
    """How to make a record again; files are named without their folders."""
    script, *rest = argv
    return " ".join(["python", f"benchmarks/{Path(script).name}", *(Path(a).name for a in rest)])


def plain(value: Any) -> str:
    """A setting without the folders of this machine."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return value.name if isinstance(value, Path) else str(value)


def record_path(name: str, options: Any) -> Path:
    """benchmarks/results/NAME.json; quick runs are no results and go to _build/benchmarks."""
    return options.out or (QUICK if options.quick else RESULTS) / f"{name}.json"


def by_parts(name: str, options: Any, parts: Sequence[str],
             rows_of: Callable[[str, Any], Iterable[dict[str, Any]]]) -> None:  # fmt: skip
    """The rows of --part, or of all parts: each printed as it comes, all in one record."""
    rows = []
    for part in [options.part] if options.part else parts:
        for row in rows_of(part, options):
            rows.append(row)
            print(f"{time.process_time():6.0f} s  {row}", flush=True)
    write(f"{name}-{options.part}" if options.part else name, options, rows)


def write(name: str, options: Any, rows: list[dict[str, Any]]) -> None:
    """Write the record (see `record_path`) and print a table."""
    path = record_path(name, options)
    settings = {k: plain(v) for k, v in vars(options).items() if k not in ("out", "title")}
    record = {
        "benchmark": name,
        "title": options.title,
        "command": command(sys.argv),
        "date": datetime.date.today().isoformat(),
        "settings": settings,
        "machine": machine(),
        "versions": versions(),
        "rows": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print("  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}"
                        for k, v in row.items()))  # fmt: skip
