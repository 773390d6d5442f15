"""Notebooks run side by side into the cache that Sphinx reads."""

import execute_book
import nbformat
import pytest
import yaml
from jupyter_cache import get_cache
from nbformat import v4


@pytest.fixture
def book(tmp_path):
    """(root, table of contents) of a book with two notebooks, of which the second fails."""
    good = v4.new_notebook(cells=[v4.new_code_cell("import os; print(os.getcwd())")])
    bad = v4.new_notebook(cells=[v4.new_code_cell("assert 1 > 2, 'C99 is no longer true'")])
    for name, notebook in (("good", good), ("bad", bad)):
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    (tmp_path / "page.md").write_text("# Page\n")
    toc = tmp_path / "_toc.yml"
    parts = [{"chapters": [{"file": "good", "sections": [{"file": "bad"}]}]}]
    toc.write_text(yaml.safe_dump({"root": "page", "parts": parts}))
    return tmp_path, toc


def test_runs_what_is_stale_once_and_names_what_failed(book, capsys):
    root, toc = book
    cache = root / "cache"
    wrong = execute_book.execute(root, toc, cache, timeout=60)
    assert len(wrong) == 1 and wrong[0].startswith("bad.ipynb") and "C99" in wrong[0]
    assert "[2/2]" in capsys.readouterr().out
    left = execute_book.stale(root, toc, get_cache(str(cache)))
    assert [path.name for path in left] == ["bad.ipynb"]
    record = get_cache(str(cache)).match_cache_notebook(nbformat.read(root / "good.ipynb", 4))
    assert record.data["execution_seconds"] > 0
    executed = get_cache(str(cache)).get_cache_bundle(record.pk).nb
    assert str(root) in executed.cells[0].outputs[0].text


def test_table_of_contents_is_walked_in_order(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text(
        "root: a\nparts:\n- chapters:\n  - file: b\n    sections:\n    - file: c\n  - file: d\n"
    )
    assert execute_book.pages(toc) == ["a", "b", "c", "d"]  # the root, too


def test_one_core_each_only_when_there_are_several(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert execute_book.one_core(1) == {}
    assert execute_book.one_core(2)["OMP_NUM_THREADS"] == "3"
    assert execute_book.one_core(2)["TF_NUM_INTRAOP_THREADS"] == "1"


def test_kernels_leave_cycles_alone(tmp_path, monkeypatch):
    for name, value in execute_book.kernel_settings(tmp_path / "_build").items():
        monkeypatch.setenv(name, value)
    asks = v4.new_notebook(cells=[v4.new_code_cell("import gc; assert not gc.isenabled()")])
    nbformat.write(asks, tmp_path / "asks.ipynb")
    assert execute_book.run(tmp_path / "asks.ipynb", timeout=60)[3] is None


def test_a_kernel_that_dies_is_reported(tmp_path):
    dies = v4.new_notebook(cells=[v4.new_code_cell("import os; os._exit(1)")])
    nbformat.write(dies, tmp_path / "dies.ipynb")
    _, _, _, fault = execute_book.run(tmp_path / "dies.ipynb", timeout=60)
    assert fault.startswith("DeadKernelError")
