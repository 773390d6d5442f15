"""The `aelib` command. Every subcommand's --help ends with examples.

Errors that a user can mend are one line on stderr and exit status 2; nothing half-written stays.
"""

import functools
import hashlib
import importlib.util
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from aelib import launch, scale
from aelib.errors import AelibError, BadInput, UnknownName, WorkerLost
from aelib.writing import reason, refusal, whole

app = typer.Typer(
    name="aelib", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Autoencoders for text: compress, represent, generate.",
)  # fmt: skip

Model = Annotated[str, typer.Argument(help="A preset's name, or a .keras file made by `train`.")]
Texts = Annotated[Path, typer.Argument(help="Text file, one sentence a line; - reads stdin.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to stdout.")]
KIND_HELP = "plain, denoising, variational, adversarial, denoising-adversarial or quantised"
NETWORK_HELP = "binding, recurrent, lstm, transformer or convolutional"
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]


def main() -> None:
    """Entry point of the `aelib` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except WorkerLost:
        sys.exit(launch.LOST)  # the launcher says it
    except AelibError as error:
        print(f"aelib: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        print(f"aelib: cannot read or write{place}: {reason(error)}", file=sys.stderr)
        with suppress(OSError):
            sys.stdout.close()  # or the interpreter says it again at its end
        sys.exit(2)


# ------------------------------------------------------------------------------------- helpers


def load(name: str) -> Any:
    """A preset by name, or a model file."""
    from aelib import presets

    if name in presets.available():
        return presets.load(name)
    if not Path(name).exists():
        known = ", ".join(presets.available())
        raise UnknownName(f"{name!r} is neither a file nor a preset ({known})")
    from aelib.models import LanguageModel, StyleEditor, TextAutoencoder, storage

    return storage.read(name, TextAutoencoder, LanguageModel, StyleEditor)


def load_as(name: str, kind: str) -> Any:
    model = load(name)
    if type(model).__name__ != kind:
        raise BadInput(f"{name} is a {type(model).__name__}: this command needs a {kind}")
    return model


def _lines(path: Path) -> list[str]:
    from aelib.text import read_lines

    if str(path) == "-":
        return read_lines(io.BytesIO(sys.stdin.buffer.read()))  # type: ignore[arg-type]
    return read_lines(path)


def _emit(lines: list[str], out: Path | None) -> None:
    text = "".join(line + "\n" for line in lines)
    if out is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with whole(out) as part:
        part.write_text(text, encoding="utf-8")


def _progress(total: int) -> Any:
    """A Keras callback with a bar, the loss and the time left."""
    import keras
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Bar(keras.callbacks.Callback):
        def on_train_begin(self, logs: dict | None = None) -> None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True))
            done = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
            self.task = self.bar.add_task("training", total=total, completed=done)
            self.bar.start()

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            loss = (logs or {}).get("loss", float("nan"))
            self.bar.update(self.task, advance=1, description=f"loss {float(loss):7.3f}")

        def on_train_end(self, logs: dict | None = None) -> None:
            self.bar.stop()

    return Bar()


def _backup(out: Path, *facts: Any) -> Any:
    """Keras's checkpoints in a hidden folder that belongs to this data and these options."""
    import keras

    digest = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:12]
    folder = out.with_name(f".{out.stem}.{digest}.backup")
    _mend(folder)
    return keras.callbacks.BackupAndRestore(str(folder), double_checkpoint=True)


def _mend(folder: Path) -> None:
    """A checkpoint that was cut off gives way to the one before it, or to none."""
    latest = [folder / "latest.weights.h5", folder / "training_metadata.json"]
    before = [path.with_name(f"{path.name}.bkp") for path in latest]
    if not folder.exists() or _sound(*latest):
        return
    if not _sound(*before):
        shutil.rmtree(folder)
        return
    for old, new in zip(before, latest, strict=True):
        shutil.copy(old, new)


def _sound(weights: Path, facts: Path) -> bool:
    import h5py

    try:
        json.loads(facts.read_text(encoding="utf-8"))
        with h5py.File(weights, "r"):  # HDF5 knows how long the file must be
            return True
    except (OSError, ValueError):
        return False


# ------------------------------------------------------------------------------------ commands


@app.command()
def train(
    texts: Texts,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model file to write (.keras).")],
    model: Annotated[str, typer.Option(help="autoencoder or language")] = "autoencoder",
    kind: Annotated[str, typer.Option(help=KIND_HELP)] = "plain",
    encoder: Annotated[str, typer.Option(help=NETWORK_HELP)] = "binding",
    decoder: Annotated[str, typer.Option(help=NETWORK_HELP)] = "binding",
    latent_dim: Annotated[int, typer.Option(help="Width of the latent vector.")] = 256,
    tokens: Annotated[str, typer.Option(help="word, bpe, char or byte")] = "word",
    vocabulary: Annotated[int, typer.Option(help="Number of tokens.")] = 8000,
    beta: Annotated[float, typer.Option(help="Weight of the KL (variational).")] = 1.0,
    free_bits: Annotated[float, typer.Option(help="Free nats a dimension (variational).")] = 0.0,
    epochs: Annotated[int, typer.Option(help="Passes over the text.")] = 5,
    steps: Annotated[int, typer.Option(help="Batches (language model).")] = 2000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    seed: Seed = 0,
) -> None:
    """Train a model on a text file. Killed and run again, it goes on where it was.

    With `--workers` each process takes its rows of every batch, and the losses are those of one
    process (but for dropout and the noise of a latent); it needs TensorFlow. On several machines,
    start the command on each with TF_CONFIG set: worker 0 writes the model, the others nothing.

    **Examples**

    `aelib train mine.txt --out mine.keras`

    `aelib train mine.txt -o vae.keras --kind variational --encoder recurrent --decoder recurrent
    --latent-dim 32 --free-bits 0.25`

    `aelib train book.txt -o lm.keras --model language --tokens char --steps 3000`

    `aelib train mine.txt --out mine.keras --workers 2`

    `TF_CONFIG='{"cluster": {"worker": ["one:4000", "two:4000"]}, "task": {"type": "worker",
    "index": 0}}' aelib train mine.txt -o mine.keras --workers 2` (on the other machine: index 1)
    """
    _check_target(out)
    lines = _lines(texts)
    if workers > 1 and not launch.is_worker():
        if str(texts) == "-":
            raise BadInput("several workers cannot read one standard input: give a file")
        launch.run(workers)
        return
    group = _join() if workers > 1 else None
    import keras

    import aelib

    keras.utils.set_random_seed(seed)
    options = [model, kind, encoder, decoder, latent_dim, tokens, vocabulary, beta, free_bits,
               epochs, steps, seed]  # fmt: skip
    trained: Any
    if model == "autoencoder":
        trained = aelib.TextAutoencoder(
            latent_dim, encoder, decoder, kind, tokens, vocabulary, beta=beta,
            free_bits=free_bits, seed=seed,
        )  # fmt: skip
        source: Any = lines
        length, total = {"epochs": epochs}, epochs * -(-len(lines) // 64)
    elif model == "language":
        trained = aelib.LanguageModel(tokens=tokens, vocabulary=vocabulary, seed=seed)
        source, length, total = io.StringIO("\n".join(lines)), {"steps": steps}, steps
    else:
        raise UnknownName(f"no model {model!r}: choose autoencoder or language")
    chief = group is None or group.chief
    callbacks = [_backup(out, options, lines), _progress(total)] if chief else []
    with refusal(out):  # its checkpoints, too
        trained.fit(source, **length, verbose=0, callbacks=callbacks, workers=group)
    if chief:
        trained.save(out)
        typer.echo(f"{out}: {trained.count_params():,} parameters", err=True)


def _check_target(out: Path) -> None:
    """BadInput if no model can be written there."""
    if out.suffix != ".keras":
        raise BadInput(f"model files end in .keras: try --out {out.with_suffix('.keras').name}")
    if not out.absolute().parent.is_dir():
        raise BadInput(f"no folder {out.parent} to write to: make it first")
    if not os.access(out.absolute().parent, os.W_OK):
        raise BadInput(f"cannot write {out}: its folder is closed to you")


def _join() -> Any:
    """This process's place among the workers."""
    from aelib.models.workers import Workers

    return Workers()


@app.command()
def encode(
    model: Model,
    texts: Texts,
    out: Out = None,
    engine: scale.Engine = None,
    workers: scale.Processes = 1,
    suffix: Annotated[str, typer.Option(help=".npy or .jsonl, of each file of a folder.")] = ".npy",
) -> None:
    """Sentences to latent vectors: JSON lines, or a NumPy array if --out ends in .npy.

    With `--engine ray` TEXTS and OUT are folders: one result for each file, those that are there
    already skipped.

    **Examples**

    `aelib encode sentences mine.txt --out z.npy`

    `echo "They went up to the city." | aelib encode sentences - > z.jsonl`

    `aelib encode sentences texts --out latents --engine ray --workers 4`
    """
    if not scale.wanted(engine, workers):
        _encode(load_as(model, "TextAutoencoder"), texts, out)
        return
    if suffix not in (".npy", ".jsonl"):
        raise UnknownName(f"no suffix {suffix!r}: choose .npy or .jsonl")
    scale.check(engine, texts)
    make = functools.partial(_encoder, model)
    scale.each_file(make, texts, out, suffix, workers)


def _encoder(model: str) -> scale.Work:
    """What turns a file of sentences into one of latents."""
    return functools.partial(_encode, load_as(model, "TextAutoencoder"))


def _encode(model: Any, texts: Path, out: Path | None) -> None:
    import numpy as np

    lines = _lines(texts)
    z = model.encode(lines)
    if out is not None and out.suffix == ".npy":
        with whole(out) as part:
            np.save(part, z)
        return
    rows = zip(lines, z.tolist(), strict=True)
    _emit([json.dumps({"text": t, "z": v}, ensure_ascii=False) for t, v in rows], out)


def _numbers(found: Any) -> Any:
    if getattr(found, "dtype", None) is None or found.dtype.kind not in "fiu":
        raise ValueError("no array of numbers")
    return found


def _latents(path: Path) -> Any:
    import numpy as np

    if str(path) != "-" and not path.is_file():
        raise BadInput(f"no file {path}")
    try:
        if path.suffix == ".npy":
            return _numbers(np.load(path, allow_pickle=False))
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        return np.array([r["z"] if isinstance(r, dict) else r for r in rows], np.float32)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # NumPy and JSON raise many kinds for what a bad file may hold
        raise BadInput(f"{path} holds no latents: give .npy or JSON lines with z") from error


@app.command()
def decode(
    model: Model,
    latents: Annotated[Path, typer.Argument(help=".npy (n, latent_dim) or JSON lines; -: stdin.")],
    out: Out = None,
) -> None:
    """Latent vectors to sentences, one a line.

    **Example** `aelib decode sentences z.npy`
    """
    z = _latents(latents)
    _emit(load_as(model, "TextAutoencoder").decode(z), out)


@app.command()
def interpolate(
    model: Model,
    a: Annotated[str, typer.Argument(help="First sentence.")],
    b: Annotated[str, typer.Argument(help="Last sentence.")],
    steps: Annotated[int, typer.Option(help="Sentences in all.")] = 7,
    path: Annotated[str, typer.Option(help="linear or spherical")] = "linear",
) -> None:
    """Sentences on the way from A to B in latent space.

    **Example** `aelib interpolate sentences-vae "He went up to the city." "They were afraid."`
    """
    _emit(load_as(model, "TextAutoencoder").interpolate(a, b, steps, path), None)


@app.command()
def generate(
    model: Model,
    prompt: Annotated[str, typer.Argument(help="Start of the text (language models).")] = "",
    n: Annotated[int, typer.Option("-n", help="How many texts.")] = 1,
    length: Annotated[int, typer.Option(help="New tokens at most (language models).")] = 200,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Keep the k likeliest tokens; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens up to this mass.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(help="Stop string; may be repeated.")] = None,
    seed: Seed = 0,
) -> None:
    """New text: a language model goes on from PROMPT, an autoencoder decodes z ~ N(0, I).

    **Examples**

    `aelib generate lm-small "The people" --length 100 --temperature 0.7 --seed 1`

    `aelib generate sentences-vae -n 5`
    """
    loaded = load(model)
    sampling: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    if type(loaded).__name__ == "LanguageModel":
        _emit(loaded.generate(prompt, length, seed=seed, n=n, stop=stop or (), **sampling), None)
    elif prompt:
        raise BadInput("an autoencoder takes no prompt: leave it out, or use a language model")
    else:
        _emit(loaded.sample(n, seed, **sampling), None)


@app.command()
def restyle(
    texts: Texts,
    to: Annotated[int, typer.Option(help="Style 0 or 1; of `style`: 0 King James, 1 modern.")] = 1,
    strength: Annotated[float, typer.Option(help="0 copies, 1 the likeliest, more: more.")] = 2.0,
    model: Annotated[str, typer.Option(help="A preset, or a StyleEditor's .keras file.")] = "style",
    out: Out = None,
) -> None:
    """The same texts in another style, one a line.

    **Examples**

    `echo "Thou hast said unto me." | aelib restyle -`

    `aelib restyle modern.txt --to 0 --strength 4 --out old.txt`
    """
    _emit(load_as(model, "StyleEditor").edit(_lines(texts), to, strength), out)


@app.command()
def search(
    model: Model,
    texts: Texts,
    query: Annotated[str, typer.Argument(help="Sentence to look for.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 5,
    metric: Annotated[str, typer.Option(help="cosine or euclidean")] = "cosine",
) -> None:
    """The sentences of a file that lie nearest to QUERY, with their distances.

    **Example** `aelib search sentences mine.txt "They were afraid of the sea." -n 3`
    """
    from aelib.latent import neighbours

    lines = _lines(texts)
    loaded = load_as(model, "TextAutoencoder")
    index, distance = neighbours(loaded.encode([query]), loaded.encode(lines), n, metric)
    found = zip(index[0], distance[0], strict=True)
    _emit([f"{d:.4f}\t{lines[i]}" for i, d in found], None)


@app.command()
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option(help="Text file, one sentence a line; - reads stdin.")],
    stream: Annotated[bool, typer.Option(help="Score the file as one stream (LM).")] = False,
    adapt: Annotated[
        float,
        typer.Option(min=0.0, help="Learn while reading a stream, at this rate; try 0.03 to 1."),
    ] = 0.0,
    beside: Annotated[
        Path | None,
        typer.Option(help="Text whose counts of up to five tokens are mixed in (LM)."),
    ] = None,
) -> None:
    """Measures on a text file, as JSON with the units in the names (nats unless bits).

    **Examples**

    `aelib evaluate sentences --data heldout.txt`

    `aelib evaluate lm-small --data book.txt --stream`

    `aelib evaluate lm-small --data book.txt --stream --adapt 0.3`

    `aelib evaluate lm-small --data chapter2.txt --stream --beside chapter1.txt`
    """
    lines = _lines(data)
    loaded = load(model)
    if stream and type(loaded).__name__ != "LanguageModel":
        raise BadInput("--stream is for language models")
    if adapt and not stream:
        raise BadInput("--adapt goes with --stream: it learns from what it has read so far")
    how = {"adapt": adapt} if adapt else {}
    if beside is not None:
        how["beside"] = _counts(loaded, beside, stream)
    score = loaded.score("\n".join(lines) if stream else lines, **how)
    _emit([json.dumps({k: float(v) for k, v in score.items()}, indent=1)], None)


def _counts(model: Any, path: Path, stream: bool) -> Any:
    """An n-gram model of a text file (its lines, or all as one) over this model's tokens."""
    from aelib.measure import NGramModel

    if type(model).__name__ != "LanguageModel":
        raise BadInput("--beside is for language models")
    lines = _lines(path)
    return NGramModel(5, model.tokenizer).fit(["\n".join(lines)] if stream else lines)


@app.command()
def presets(
    name: Annotated[str, typer.Argument(help="Show this preset's card.")] = "",
) -> None:
    """The models that come with the package, or the card of one.

    **Example** `aelib presets sentences`
    """
    from aelib import presets as shipped

    _emit([shipped.card(name)] if name else shipped.available(), None)


def _mount(module: str) -> None:
    """Add a subpackage's own commands, if it is there."""
    if importlib.util.find_spec(module) is not None:
        register: Callable[[Any], None] = importlib.import_module(module).register
        register(app)


_mount("aelib.codec.cli")
_mount("aelib.export.cli")


if __name__ == "__main__":
    main()
