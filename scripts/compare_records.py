"""Says what a new benchmark record has lost against an old one. Ratios only, never seconds.

    python benchmarks/speed.py --out new.json
    python scripts/compare_records.py benchmarks/results/speed.json new.json

A ratio compares contenders of one run, so it may come from another machine or a busy one. Rows are
matched by their words (part, contender, ...). Status 1 if a ratio fell by more than `--tolerance`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

Key = tuple[tuple[str, str], ...]


def ratios(record: dict[str, Any]) -> dict[Key, float]:
    """`ratio` of each row that has one, under the row's words."""
    return {
        tuple((k, v) for k, v in row.items() if isinstance(v, str)): row["ratio"]
        for row in record["rows"]
        if "ratio" in row
    }


def fallen(old: dict[Key, float], new: dict[Key, float], tolerance: float) -> list[str]:
    """A line for each ratio that is lower than `tolerance` allows, or missing."""
    found = []
    for key, before in old.items():
        words, now = ", ".join(value for _, value in key), new.get(key)
        if now is None:
            found.append(f"{words}: {before:.3g}, and no such row any more")
        elif now < before * (1 - tolerance):
            found.append(f"{words}: {before:.3g} -> {now:.3g}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.25, help="share that may be lost")
    options = parser.parse_args()
    old, new = (ratios(json.loads(path.read_text())) for path in (options.old, options.new))
    if not old:
        parser.error(f"{options.old} has no ratios")
    lost = fallen(old, new, options.tolerance)
    print("\n".join(lost) or f"{len(old)} ratios, none fell by more than {options.tolerance:.0%}")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
