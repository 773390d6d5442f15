"""Records of the benchmarks: what they must hold, and how two are compared."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
RECORDS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
QUOTED = yaml.safe_load((ROOT / "book" / "reference" / "quoted.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_where_it_comes_from(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["rows"] and record["title"] and "python benchmarks/" in record["command"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record["machine"]["processor"] and record["versions"]["aelib"]


@pytest.mark.parametrize("other", QUOTED, ids=lambda other: f"{other['record']} {other['cite']}")
def test_a_quoted_figure_has_a_source_and_a_record_to_stand_beside(other):
    assert other["record"] in {path.stem for path in RECORDS} and other["rows"] and other["note"]
    assert f"{{{other['cite']}," in (ROOT / "book" / "references.bib").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("now", "status", "said"),
    [
        (3.1, 0, "2 ratios, none fell by more than 25%"),
        (2.9, 1, "generate, PyTorch: 4 -> 2.9"),
        (None, 1, "generate, PyTorch: 4, and no such row any more"),
    ],
)
def test_ratios_are_compared_and_seconds_are_not(tmp_path, now, status, said):
    def record(name, ms, ratio):
        rows = [{"part": "generate", "contender": "aelib", "ms": ms, "ratio": 1.0}]
        if ratio is not None:
            rows.append({"part": "generate", "contender": "PyTorch", "ms": ms, "ratio": ratio})
        (tmp_path / name).write_text(json.dumps({"rows": rows}))
        return tmp_path / name

    command = [sys.executable, str(ROOT / "scripts" / "compare_records.py")]
    files = [str(record("old.json", 1.0, 4.0)), str(record("new.json", 9.0, now))]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (status, said)
