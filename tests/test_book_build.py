"""The hooks into the book's build and the scripts around it."""

import json
import re

import book_build
import book_reference
import build_book
import check_notebooks
import pytest
import update_readme


@pytest.fixture
def project(tmp_path):
    """A small repository: library, recorded result, pins."""
    for name in ("aelib/models", "benchmarks/results", "aelib/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "aelib/models/vae.py").write_text("beta = 1")
    (tmp_path / "benchmarks/results/a.json").write_text("{}")
    (tmp_path / "requirements.txt").write_text("keras==3")
    return tmp_path


@pytest.mark.parametrize(
    "path",
    ["aelib/models/vae.py", "aelib/new.npz", "benchmarks/results/a.json", "requirements.txt"],
)
def test_a_change_of_library_data_results_or_pins_runs_notebooks_again(project, path):
    before = book_build.digest(project, book_build.INPUTS)
    assert book_build.digest(project, book_build.INPUTS) == before
    (project / path).write_text("changed")
    assert book_build.digest(project, book_build.INPUTS) != before


def test_byte_code_and_pages_do_not_run_notebooks_again(project):
    before = book_build.digest(project, book_build.INPUTS)
    (project / "aelib/__pycache__/vae.pyc").write_text("x")
    (project / "README.md").write_text("x")
    assert book_build.digest(project, book_build.INPUTS) == before


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Sums |z_j| over *all* j, see `f(x)`.", r"Sums \|z_j\| over \*all\* j, see ``f(x)``."),
        ("code over\nlines: `a +\nb` ends", "code over\nlines: ``a + b`` ends"),
        ("Equation:\n\n    z = *x*\n\nend", "Equation:\n\n::\n\n        z = *x*\n\nend"),
        ("size   how large\nkind   which", "::\n\n    size   how large\n    kind   which"),
        ("Args:\n    x: *input*", "Args:\n    x: *input*"),
        ("first line\n    hanging", "first line\nhanging"),
    ],
)
def test_docstrings_are_plain_text(text, written):
    lines = text.splitlines()
    book_build.plain_docstring(None, "function", "f", None, None, lines)
    assert "\n".join(lines).strip() == written


def test_keras_classes_show_their_own_arguments():
    class Model:
        def __init__(self, size: int, *, beta=1.0):
            pass

    shown = book_build.keras_signature(None, "class", "M", Model, None, "(*args, **kwargs)", None)
    assert shown == ("(size: int, *, beta=1.0)", "")
    assert book_build.keras_signature(None, "function", "f", len, None, None, None) is None


def test_records_become_tables():
    record = {"title": "Run", "command": "python x.py", "seeds": [0, 1], "machine": {"cores": 2}}
    record["rows"] = [{"method": "a|b", "bits": 1.87654}, {"method": "c", "seconds": 12345.6}]
    assert book_reference.entry("run", record) == [
        "**Run** (`run.json`)",
        "",
        "Ours: machine cores 2; seeds 0, 1; made by `python x.py`",
        "",
        "| method | bits | seconds |",
        "| --- | --- | --- |",
        r"| a\|b | 1.877 |  |",
        "| c |  | 12,346 |",
        "",
    ]


def test_what_all_rows_share_is_said_once():
    rows = [{"part": "files", "bits": bits, "seed": 0} for bits in (1.0, 2.0, 3.0)]
    assert book_reference.entry("run", {"rows": [*rows, {"part": "other", "bits": 4}]})[4:] == [
        "Files; in every row seed 0", "", "| bits |", "| --- |", "| 1 |", "| 2 |", "| 3 |", "",
        "Other", "", "| bits |", "| --- |", "| 4 |", "",
    ]  # fmt: skip


def test_what_others_published_is_called_quoted():
    other = {
        "cite": "who2020what",
        "note": "Another corpus",
        "rows": [{"row": "LM", "ppl": 100.47}],
    }
    assert book_reference.quoted([other]) == [
        "Quoted from {cite:t}`who2020what`, not run here. Another corpus.",
        "", "| row | ppl |", "| --- | --- |", "| LM | 100.47 |", "",
    ]  # fmt: skip


def test_each_part_of_a_record_has_a_table_of_its_own():
    rows = [{"part": "files", "bits": 1}, {"part": "damage", "refused": 2}]
    lines = book_reference.entry("run", {"rows": rows})
    tables = [line for line in lines if line.startswith("|")]
    assert tables == ["| bits |", "| --- |", "| 1 |", "| refused |", "| --- |", "| 2 |"]
    assert lines[lines.index("| 1 |") + 1] == ""


def test_table_of_minutes_goes_between_the_markers(tmp_path, monkeypatch):
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build/timings.json").write_text(json.dumps({"book/a": 30.0, "book/b": 90.0}))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{update_readme.START}\nold\n{update_readme.END}\nafter\n")
    monkeypatch.setattr(update_readme, "ROOT", tmp_path)
    update_readme.main()
    text = readme.read_text()
    assert "old" not in text and text.startswith("before\n") and text.endswith("\nafter\n")
    assert "| book/b | 1.5 |" in text and "| **2 notebooks** | **2.0** |" in text


def test_build_lists_faults_and_drops_noise():
    assert build_book.FAULT.search("book/a.md:3: WARNING: unknown document")
    assert build_book.FAULT.search("aelib.claims.ClaimFailed: C16 (...)")
    assert not build_book.FAULT.search("reading sources... [ 50%] book/errors")
    assert build_book.NOISE.search("[IPKernelApp] WARNING | Kernel is running over TCP")


def test_notebook_check_reports_errors_and_closing_line():
    output = (
        "x\n\x1b[31mClaimFailed\x1b[39m: C16 (loss): no longer\n=== 1 failed, 2 passed in 3.1s ==="
    )
    assert check_notebooks.reasons(output) == ["ClaimFailed: C16 (loss): no longer"]
    assert check_notebooks.closing_line(output) == "1 failed, 2 passed"
    assert all(re.match(r"book/.*\.ipynb", str(path)) for path in check_notebooks.notebooks())
