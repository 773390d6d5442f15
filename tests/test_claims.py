"""The claims ledger is complete and sound; the functions and checks behind it work."""

import json
import re
import shutil
from pathlib import Path

import check_notebooks
import ledger
import nb
import nbformat
import numpy as np
import prose
import pytest
from nbclient import NotebookClient

from aelib.claims import ClaimFailed, as_text, decide, glue
from aelib.errors import BadInput, UnknownName

ROOT = Path(__file__).resolve().parent.parent
LEDGER = ROOT / "book" / "claims.yml"
CLAIMS = ledger.load(LEDGER)


def bibliography():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return set(re.findall(r"^@\w+\{([^,]+),", text, re.M))


def test_all_claims_are_there():
    assert [claim.id for claim in CLAIMS] == [f"C{i}" for i in range(1, 29)]


def test_ledger_is_sound():
    """A verdict on each, no dead link, every figure from a decide() call that can fail."""
    assert ledger.problems(CLAIMS, ROOT, bibliography()) == []


def test_no_figure_in_the_ledger_is_typed():
    allowed = prose.allowed_numbers()
    typed = {claim.id: prose.typed_numbers(claim.because, allowed) for claim in CLAIMS}
    assert not any(typed.values()), {id_: numbers for id_, numbers in typed.items() if numbers}


def test_ledger_page_shows_every_section():
    page = (ROOT / "book" / "reference" / "claims.md").read_text(encoding="utf-8")
    assert re.findall(r"^```\{ledger\} (\w+)$", page, re.M) == list(ledger.SECTIONS)


def test_every_decision_is_in_the_ledger():
    for path in (ROOT / "book").rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for claim, _, _ in ledger.decisions(notebook):
            assert claim in {c.id for c in CLAIMS}, f"{path}: decide({claim!r}, ...)"


# The checker, on a small ledger with one sound claim that each case spoils


def claim(**changes):
    sound = {
        "id": "C1", "name": "one", "section": "math", "zh": "一", "en": "One.", "verdict": "wrong",
        "because": "It is {mse}, not {other}.", "link": "book/one",
    }  # fmt: skip
    return ledger.Claim(**{**sound, **changes})


def notebook(
    tmp_path, box="```{claim} C0 C1\n```", code="decide('C1', a > b, mse=1, other=(2, '.1f'))"
):
    kinds = (("markdown", box), ("code", code))
    cells = [{"cell_type": kind, "source": source, "metadata": {}} for kind, source in kinds]
    (tmp_path / "book").mkdir(exist_ok=True)
    nb.write(
        tmp_path / "book" / "one.ipynb", nb.dump(nb.normalise({"cells": cells}, {"cells": []}))
    )


def test_sound_claim_passes(tmp_path):
    notebook(tmp_path)
    assert ledger.problems([claim()], tmp_path, set()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"verdict": ""}, "no verdict"),
        ({"verdict": "perhaps"}, "no verdict"),
        ({"link": "book/two"}, "dead link: no book/two.ipynb"),
        ({"section": "poetry"}, "unknown section"),
        ({"because": "{mse} and {kl}"}, r"figure {kl} comes from no run"),
        ({"because": ""}, "because is empty"),
        ({"cites": ("nobody1900",)}, "not in references.bib"),
    ],
)
def test_spoiled_claim_is_named(tmp_path, changes, fault):
    notebook(tmp_path)
    (found,) = ledger.problems([claim(**changes)], tmp_path, set())
    assert found.startswith("C1: ") and fault in found


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"box": "```{claim} C10\n```"}, "dead link: no ```{claim} C1``` box"),
        ({"code": "decide('C1', True, mse=1, other=2)"}, "given a constant"),
        ({"code": "decide('C1', a > b, mse=1)"}, "figure {other} comes from no run"),
        ({"code": "decide('C2', a > b)"}, "neither a decide() call"),
        ({"code": "decide('C1', a, mse=1, other=1)\ndecide('C1', a, mse=1)"}, "2 decide() calls"),
    ],
)
def test_spoiled_notebook_is_named(tmp_path, changes, fault):
    notebook(tmp_path, **changes)
    found = ledger.problems([claim()], tmp_path, set())
    assert any(fault in line for line in found), found


def test_claim_listed_twice_and_unknown_field(tmp_path):
    notebook(tmp_path)
    assert ledger.problems([claim(), claim()], tmp_path, set()) == ["C1: listed twice"]
    (tmp_path / "claims.yml").write_text("- {id: C1, figures: 3}\n")
    with pytest.raises(ValueError, match=r"claims.yml, C1: .*figures"):
        ledger.load(tmp_path / "claims.yml")


def test_sentence_takes_figures_from_the_run():
    sentence = claim(because="{mse} of {cite:t}`key`").sentence()
    assert sentence == "{glue:text}`/book/one.ipynb::C1_mse:s` of {cite:t}`key`"


# decide and glue


def test_false_decision_names_the_claim():
    with pytest.raises(ClaimFailed, match=r"^C16 \(loss = ReLU\(x − x̂\)\): .* \(mse = 0\.50\)$"):
        decide("C16", False, mse=(0.5, ".2f"))
    with pytest.raises(UnknownName, match="C1 to C28"):
        decide("C99", True)


def test_decide_outside_the_book(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    decide("C16", np.bool_(True), mse=np.float32(0.25))
    assert capsys.readouterr().out == "C16: decided\nmse = 0.25\n"


@pytest.mark.parametrize(
    ("value", "fmt", "text"),
    [
        (31102, None, "31,102"),
        (np.int64(7), None, "7"),
        (0.0059312, None, "0.00593"),
        (12345.6, None, "12,346"),
        (np.float32(0.5), ".1%", "50.0%"),
        (np.array([0.25]), ".1f", "0.2"),
        ("as is", None, "as is"),
    ],
)
def test_as_text(value, fmt, text):
    assert as_text(value, fmt) == text


@pytest.mark.parametrize("value", [float("nan"), np.inf, None, 1j])
def test_figures_are_finite_numbers(value):
    with pytest.raises(BadInput, match="finite"):
        glue("name", value)


def run_cell(tmp_path, source):
    """Runs one cell in a kernel, in a folder with the real ledger beside it."""
    (tmp_path / "book").mkdir(exist_ok=True)
    shutil.copy(LEDGER, tmp_path / "book")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    made.metadata["kernelspec"] = nb.KERNEL
    nbformat.write(made, tmp_path / "one.ipynb")
    return made


def test_glued_figures_reach_the_book(tmp_path):
    from myst_nb.ext.glue import extract_glue_data

    source = "from aelib.claims import decide, glue\nglue('n', 1797)\n"
    source += "decide('C16', 2 > 1, mse=(2.41, '.1f'))"
    made = run_cell(tmp_path, source)
    NotebookClient(
        made, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    glued = extract_glue_data(made, [0], None)
    assert {key: entry["data"]["text/plain"] for key, entry in glued.items()} == {
        "n": "'1,797'",  # quoted: the book evaluates it
        "C16_mse": "'2.4'",
    }
    (left,) = made.cells[0].outputs  # the record shows nothing; the decision is printed
    assert left.text == "C16 (loss = ReLU(x − x̂)): decided\nmse = 2.4\n"


def test_broken_claim_fails_the_notebook_check_and_is_named(tmp_path):
    run_cell(tmp_path, "from aelib.claims import decide\ndecide('C16', 1 > 2, mse=0.5)")
    passed, output, _ = check_notebooks.check(tmp_path / "one.ipynb")
    assert not passed
    assert any("C16 (loss = ReLU" in reason for reason in check_notebooks.reasons(output))
