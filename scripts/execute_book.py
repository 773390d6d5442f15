"""Runs the book's notebooks into the execution cache, several at a time, one core each.

`scripts/build_book.py` calls it first; Sphinx then finds every run in the cache. A notebook whose
code and inputs did not change since an earlier run is not run again.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution

ONE_CORE = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
Result = tuple[Path, Any, float, str | None]  # path, executed notebook, seconds, what went wrong


def one_core(workers: int) -> dict[str, str]:
    """Settings for several at a time: more threads than cores get in each other's way."""
    return {name: os.environ.get(name, "1") for name in ONE_CORE} if workers > 1 else {}


def kernel_settings(build: Path) -> dict[str, str]:
    """Kernels that leave cycles of objects alone: they live for a minute and then end.

    Collecting costs seconds while TensorFlow is imported. And it frees TensorFlow's iterators, each
    of which waits for its tuning thread, on a busy machine for up to a minute.
    """
    startup = build / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    if not (startup / "collect.py").exists():  # others may be reading it
        (startup / "collect.py").write_text("import gc\n\ngc.disable()\n", encoding="utf-8")
    return {"IPYTHONDIR": str(build / "ipython")}


def pages(toc: Path) -> list[str]:
    """Every file that a table of contents names, in its order."""

    def walk(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from [part["file"]] if "file" in part else []
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                yield from walk(item)

    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    return [contents["root"], *walk(contents)]


def stale(root: Path, toc: Path, cache: Any) -> list[Path]:
    """The notebooks of `toc` without a run in the cache."""
    found = []
    for path in (root / f"{page}.ipynb" for page in pages(toc)):
        if path.exists():
            try:
                cache.match_cache_notebook(nbformat.read(path, 4))
            except KeyError:
                found.append(path)
    return found


def longest_first(paths: list[Path]) -> list[Path]:
    """By the size of the file, as a guess at its time: no long one is left for the end."""
    return sorted(paths, key=lambda path: -path.stat().st_size)


def run(path: Path, timeout: int) -> Result:
    """Execute one notebook in a fresh kernel, in its own folder."""
    book = nbformat.read(path, 4)
    try:
        result = single_nb_execution(book, str(path.parent), timeout, allow_errors=False)
    except RuntimeError as error:  # the kernel died: out of memory, most often
        return path, book, 0.0, f"{type(error).__name__}: {error}"
    return path, book, result.time, result.exc_string


def execute(root: Path, toc: Path, folder: Path, timeout: int = 600, jobs: int = 0) -> list[str]:
    """Run what is stale and keep it in the cache at `folder`; returns what went wrong.

    `jobs` at a time, by default one for each core.
    """
    cache = get_cache(str(folder))
    todo, wrong = stale(root, toc, cache), []
    if not todo:
        return wrong
    workers = min(jobs or os.cpu_count() or 1, len(todo))
    print(f"Running {len(todo)} notebooks, {workers} at a time:", flush=True)
    os.environ.update(one_core(workers) | kernel_settings(root / "_build"))  # kernels inherit it
    # Not forked: a copy of a process that has used TensorFlow may crash when it collects garbage.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(run, path, timeout) for path in longest_first(todo)]
        for number, job in enumerate(as_completed(runs), 1):
            path, book, seconds, fault = job.result()
            name = path.relative_to(root)
            print(f"[{number}/{len(todo)}] {name} {seconds:5.0f} s", flush=True)
            if fault:
                wrong.append(f"{name}: {fault}")
            else:
                keep(cache, path, book, seconds)
    return wrong


def keep(cache: Any, path: Path, book: Any, seconds: float) -> None:
    """Put an executed notebook where Sphinx will look for it."""
    bundle = CacheBundleIn(nb=book, uri=str(path), data={"execution_seconds": seconds})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
