"""`aelib export`: mounted by `aelib.cli` with `register(app)`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aelib.errors import BadInput

ModelName = Annotated[str, typer.Argument(help="A preset's name, or a .keras file.")]
Web = Annotated[Path | None, typer.Option(help="Script file for the page (.js) to write.")]
Dtype = Annotated[str, typer.Option(help="Numbers in the page's file: float16, float32 or int6.")]
Onnx = Annotated[Path | None, typer.Option(help="ONNX file (.onnx) to write.")]


def register(app: Any) -> None:
    app.command("export")(export)


def export(model: ModelName, web: Web = None, onnx: Onnx = None, dtype: Dtype = "float16") -> None:
    """Write a model for the browser or for ONNX runtimes.

    **Examples**

    `aelib export mine.keras --web mine.js`

    `aelib export lm.keras --onnx lm.onnx`
    """
    from aelib import export as to
    from aelib.cli import load

    if web is None and onnx is None:
        raise BadInput("say where to write: --web FILE.js or --onnx FILE.onnx")
    loaded = load(model)
    files = [to.to_web(loaded, web, dtype)] if web else []
    files += to.to_onnx(loaded, onnx) if onnx else []
    for file in files:
        typer.echo(f"{file}: {file.stat().st_size:,} bytes", err=True)
