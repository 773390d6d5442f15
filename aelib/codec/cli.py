"""`aelib compress` and `aelib decompress`: mounted by `aelib.cli` with `register(app)`."""

import functools
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from aelib import codec, scale
from aelib.errors import BadInput

SUFFIX = ".aec"

Output = Annotated[
    str | None, typer.Option("--output", "-o", help="Where to write; - is standard output.")
]
Keep = Annotated[bool, typer.Option("--keep/--no-keep", "-k", help="Keep the input file.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace an existing output file.")]
Stats = Annotated[bool, typer.Option("--stats", help="Print sizes, bits per character and speed.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Language model that predicts: a preset or .keras file."),
]
Threads = Annotated[int, typer.Option(min=1, help="Segments worked on side by side.")]


def register(app: typer.Typer) -> None:
    """Add both commands to an app."""
    app.command()(compress)
    app.command()(decompress)


def compress(
    file: Annotated[str, typer.Argument(help="File to compress; - is standard input.")],
    output: Output = None,
    level: Annotated[
        str, typer.Option("--level", "-l", help="fast, default or max (up to a gigabyte a thread).")
    ] = "default",
    primed: Annotated[
        bool,
        typer.Option("--primed/--unprimed", help="Start from the English snapshot, or empty."),
    ] = True,
    keep: Keep = True,
    force: Force = False,
    stats: Stats = False,
    threads: Threads = 1,
    segment: Annotated[
        float,
        typer.Option(
            min=1 / 16,
            max=16,
            help="MiB of a segment: small ones keep threads busy, "
            "but each starts without what came before it.",
        ),
    ] = 16,
    model: ModelName = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write nothing; print a table beside other programs.")
    ] = False,
    engine: scale.Engine = None,
    workers: scale.Processes = 1,
) -> None:
    """Compress a text to FILE.aec, losslessly.

    With `--engine ray` FILE and the output are folders: one result for each file, those that are
    there already skipped.

    **Examples**

    `aelib compress book.txt --level max --stats`

    `aelib compress book.txt --compare`

    `aelib compress library.txt --threads 4 --segment 1`

    `aelib compress letter.txt --model lm.keras` (decompress with the same `--model`)

    `aelib compress texts --output packed --engine ray --workers 4`
    """
    if scale.wanted(engine, workers):
        if stats or compare or force or not keep or threads > 1 or segment != 16:
            raise BadInput("--engine goes with --output, --level, --primed, --model and --workers")
        scale.check(engine, Path(file))
        make = functools.partial(compressor, level, primed, model)
        scale.each_file(make, Path(file), Path(output) if output else None, SUFFIX, workers)
        return
    if compare:
        compare_on(file, level, model)
        return
    target = output or ("-" if file == "-" else file + SUFFIX)

    def work(source: str | BinaryIO, sink: str | BinaryIO, progress) -> None:
        codec.compress_file(source, sink, level, primed=primed, threads=threads, force=force,
                            progress=progress, model=language_model(model),
                            segment=int(segment * 2**20))  # fmt: skip

    run(file, target, keep, stats, work)


def compressor(level: str, primed: bool, model: str | None) -> scale.Work:
    """What turns a file into a compressed one."""
    known = language_model(model)
    codec.compress(b"", level, primed=primed, model=known)  # compiles, or finds compiled code
    return lambda source, target: codec.compress_file(
        source, target, level, primed=primed, model=known
    )


def decompress(
    file: Annotated[str, typer.Argument(help="An .aec file; - is standard input.")],
    output: Output = None,
    keep: Keep = True,
    force: Force = False,
    stats: Stats = False,
    threads: Threads = 1,
    model: ModelName = None,
    limit: Annotated[int | None, typer.Option(help="Refuse to write more bytes than this.")] = None,
) -> None:
    """Give back exactly what was compressed.

    **Examples**

    `aelib decompress book.txt.aec --output copy.txt`

    `aelib decompress letter.txt.aec --model lm.keras`

    `aelib decompress from_a_stranger.aec --limit 100000000`
    """
    target = output or ("-" if file == "-" else file.removesuffix(SUFFIX))
    if target == file != "-":
        raise BadInput(f"{file} does not end in {SUFFIX}: say where to write with --output.")

    def work(source: str | BinaryIO, sink: str | BinaryIO, progress) -> None:
        codec.decompress_file(source, sink, threads=threads, force=force, progress=progress,
                              model=language_model(model), limit=limit)  # fmt: skip

    run(file, target, keep, stats, work)


def language_model(name: str | None) -> Any:
    """The LanguageModel of that name; None stands for the mixing predictor."""
    if name is None:
        return None
    from aelib.cli import load_as

    return load_as(name, "LanguageModel")


def run(file: str, target: str, keep: bool, stats: bool, work) -> None:
    """Do the work with a progress bar on standard error, then remove the input if asked."""
    source: str | BinaryIO = sys.stdin.buffer if file == "-" else file
    sink: str | BinaryIO = BytesIO() if target == "-" else target
    total = Path(file).stat().st_size if file != "-" and Path(file).is_file() else None
    began, done = time.perf_counter(), 0
    console = Console(stderr=True)
    columns = (TextColumn(file), BarColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def progress(n: int) -> None:
            nonlocal done
            done += n
            bar.update(task, completed=done)

        work(source, sink, progress)
    if isinstance(sink, BytesIO):  # nothing reaches a pipe before every check has passed
        sys.stdout.buffer.write(sink.getvalue())
        sys.stdout.buffer.flush()
    if stats:
        seconds = time.perf_counter() - began
        size = len(sink.getvalue()) if isinstance(sink, BytesIO) else Path(target).stat().st_size
        plain, packed = (done, size) if total is None or size < done else (size, total)
        console.print(
            f"{plain} bytes <-> {packed} bytes, {8 * packed / max(plain, 1):.3f} bits per byte, "
            f"{done / 1000 / seconds:.0f} kB/s"
        )
    if not keep and file != "-" and target != "-":
        Path(file).unlink()


def compare_on(file: str, level: str, model: str | None = None) -> None:
    """The user's own file through every compressor that is installed, each decoded and compared."""
    from aelib.codec.peers import compare_bytes, compare_model

    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    table = Table("compressor", "bytes", "bits per byte", "kB/s in", "kB/s out")
    rows = [*compare_bytes(data, level)]
    if model is not None:
        rows.append(compare_model(data, f"aelib {model}", language_model(model)))
    for row in rows:
        bits = f"{8 * row.size / max(len(data), 1):.3f}"
        speeds = (f"{len(data) / 1000 / max(s, 1e-9):.0f}" for s in (row.encode_s, row.decode_s))
        table.add_row(row.name, str(row.size), bits, *speeds)
    Console().print(table)
