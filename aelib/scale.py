"""A folder of files, each worked on by itself, on Ray Data: `aelib encode|compress --engine ray`.

Ray Data hands the names of the files to a pool of worker processes; each reads, works and writes
one file at a time, so a folder may be larger than memory. RAY_ADDRESS names a cluster that runs
already; its machines must then see the same folders.
"""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aelib.errors import AelibError, BadInput, UnknownName
from aelib.writing import refusal

Work = Callable[[Path, Path], None]  # reads the first, writes the second, whole or not at all
ENGINES = ("ray",)
Engine = Annotated[str | None, typer.Option(help="ray: a whole folder, by several processes.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that share the files (ray).")]


def each_file(
    make: Callable[[], Work], folder: Path, out: Path | None, suffix: str, workers: int
) -> None:
    """Turn every file below `folder` into one of the same name and `suffix` below `out`.

    `make` gives a worker what it works with, once; it is called here first, so that what is wrong
    with it shows, and what it keeps on disk is there. Results that are there already are skipped.
    AelibError, when all the rest is done, with the names of the files that failed.
    """
    found = _pairs(folder, out, suffix)
    todo = [(source, target) for source, target in found if not target.exists()]
    if not todo:
        return
    if importlib.util.find_spec("ray") is None:
        raise BadInput('--engine ray needs Ray Data: pip install "aelib[scale]"')
    make()
    with refusal(todo[0][1].parent):
        for parent in {target.parent for _, target in todo}:
            parent.mkdir(parents=True, exist_ok=True)
    failed = []
    with _ray(workers) as data, _bar(len(todo)) as advance:
        rows = [{"source": str(a), "target": str(b)} for a, b in todo]
        names = data.from_items(rows, override_num_blocks=len(rows))
        for row in names.map(_worker(make), concurrency=workers).iter_rows():
            failed += [f"{row['source']} ({row['error']})"] if row["error"] else []
            advance()
    if failed:
        raise AelibError(f"{len(failed)} of {len(todo)} files failed: {'; '.join(sorted(failed))}")


def wanted(engine: str | None, workers: int) -> bool:
    """Whether a folder is to be worked on; BadInput for workers without an engine."""
    if engine is None and workers > 1:
        raise BadInput("--workers goes with --engine ray and a folder of files")
    return engine is not None


def check(engine: str | None, folder: Path) -> None:
    """Raise unless there is such an engine and folder."""
    if engine not in ENGINES:
        raise UnknownName(f"no engine {engine!r}: choose {' or '.join(ENGINES)}")
    if not folder.is_dir():
        raise BadInput(f"--engine {engine} works on a folder of files, and {folder} is none")


def _pairs(folder: Path, out: Path | None, suffix: str) -> list[tuple[Path, Path]]:
    """(source, target) of every file below the folder but hidden ones."""
    if out is None:
        raise BadInput("say which folder the results go to, with -o")
    if out.absolute().is_relative_to(folder.absolute()):
        raise BadInput(f"{out} lies in {folder}: results go to another folder")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [p.relative_to(folder) for p in files]
    seen = [n for n in names if not any(part.startswith(".") for part in n.parts)]
    if not seen:
        raise BadInput(f"there is no file in {folder}")
    return [(folder / n, out / f"{n}{suffix}") for n in seen]


def _worker(make: Callable[[], Work]) -> type:
    """What a process of the pool does with a row; an error is told, not raised."""

    class Worker:
        def __init__(self) -> None:
            self.work = make()

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            try:
                self.work(Path(row["source"]), Path(row["target"]))
            except Exception as error:  # whatever one file provokes, the others go on
                return {**row, "error": " ".join(f"{error}".split()) or type(error).__name__}
            return {**row, "error": ""}

    return Worker


@contextmanager
def _ray(workers: int) -> Iterator[Any]:
    """`ray.data` on this machine, or on the cluster that RAY_ADDRESS names."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **here)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray.data
    finally:
        ray.shutdown()


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    """Files done, and the time left."""
    console = Console(stderr=True)
    columns = (TextColumn("files"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
