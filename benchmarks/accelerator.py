"""nanoGPT's GPU recipe in mixed precision: tokens a second, share of the peak, loss.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --shakespeare FILE    (--quick: a smoke test)

6 layers, 6 heads, width 384, context 256, batch 64, dropout 0.2, 5,000 iterations; the last tenth
of the file is held out. As published (1.4697 nats a character), the figure is the lowest of those
seen every 250 iterations, on windows of held-out text that begin with an empty context; those
weights then score the whole tenth, each character with at least half a context before it. Float
operations a token are counted as 6 N + 12 · layers · width · context (Chowdhery et al., 2022,
appendix B); the peak is that of a bfloat16 matrix product measured here (float32 without a GPU).
Where there is no GPU a few steps are timed, in float32, and the training stands as not run.
"""

import io
import time
from pathlib import Path
from typing import Any

import common
import keras
import numpy as np
from keras import ops
from language_model import halves

import aelib

GPT = {"width": 384, "depth": 6, "heads": 6, "context": 256, "dropout": 0.2}
BATCH, LEAD = 64, 2  # steps before the clock starts
Row = dict[str, Any]


def gpu_name() -> str:
    """Of the first GPU; empty where there is none."""
    if keras.backend.backend() != "jax":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(found[0])["device_name"] if found else ""
    import jax

    return jax.devices()[0].device_kind if jax.default_backend() == "gpu" else ""


def peak(gpu: str, times: int = 20, tries: int = 5) -> float:
    """FLOP a second of a large matrix product, the best of several tries."""
    n = 8192 if gpu else 1024
    a = ops.cast(np.random.default_rng(0).random((n, n), "float32"), "bfloat16" if gpu else None)
    taken = []
    for _ in range(1 + tries):  # the first compiles
        b, started = a, time.perf_counter()
        for _ in range(times):
            b = (a @ b) * (1 / n)
        ops.convert_to_numpy(ops.sum(b))
        taken.append(time.perf_counter() - started)
    return 2.0 * n**3 * times / min(taken[1:])


class Clock(keras.callbacks.Callback):
    """When each step was done."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.times.append(time.perf_counter())

    def seconds_a_step(self) -> float:
        """The median: between some two steps there is an evaluation."""
        return float(np.median(np.diff(self.times[LEAD - 1 :])))


def speed(model: aelib.LanguageModel, clock: Clock, gpu: str) -> Row:
    """Of the steps that the clock saw."""
    tokens = BATCH * GPT["context"] / clock.seconds_a_step()
    work = 6 * model.count_params() + 12 * GPT["depth"] * GPT["width"] * GPT["context"]
    return {"part": "speed", "device": gpu or "CPU", "backend": keras.backend.backend(),
            "policy": keras.mixed_precision.dtype_policy().name, "steps": len(clock.times),
            "tokens_per_s": tokens, "mfu": tokens * work / peak(gpu)}  # fmt: skip


def training(model: aelib.LanguageModel, play: tuple[str, str], options: Any) -> Row:
    """What the best of the weights that `fit` looked at make of the held-out text."""
    seen = model.history.history["val_nll"]
    every = int(model.optimizer.iterations) // len(seen)
    best = int(np.argmin(seen))
    return {"iterations": options.iterations, "best_after": (best + 1) * every,
            "nats_windows": seen[best], "nats_windows_at_the_end": seen[-1],
            "nats_per_character": model.score(play[1])["nats_per_character"]}  # fmt: skip


def rows_of(options: Any) -> list[Row]:
    gpu = gpu_name()
    if gpu:
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    play = halves(options.shakespeare) or (aelib.data.load("web").text("train")[:300_000], "")
    full = bool(gpu) and not options.quick and options.shakespeare is not None
    model, clock = aelib.LanguageModel(tokens="char", **GPT), Clock()
    best = keras.callbacks.EarlyStopping("val_nll", patience=options.iterations, mode="min",
                                         restore_best_weights=True)  # fmt: skip
    model.fit(io.StringIO(play[0]), io.StringIO(play[1]) if full else None,
              steps=options.iterations if full else LEAD + options.timed, batch_size=BATCH,
              learning_rate=1e-3, verbose=0,
              callbacks=[clock, best] if full else [clock])  # fmt: skip
    found = training(model, play, options) if full else {"nats_per_character": "not run"}
    return [speed(model, clock, gpu), {"part": "training", "data": "tiny Shakespeare", **found}]


def options_of(parser: Any) -> None:
    parser.add_argument("--shakespeare", type=Path, help="tiny Shakespeare, or any text file")
    parser.add_argument("--iterations", type=int, default=5000)
    parser.add_argument("--timed", type=int, default=5, help="steps, where it does not train")


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.timed = 2
    common.write("accelerator", options, rows_of(options))


if __name__ == "__main__":
    main()
