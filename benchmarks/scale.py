"""One worker and two: training by `--workers`, a folder of files by `--engine ray`.

Losses must agree; seconds and ratios are this machine's. The last row is on paper: what a terabyte
takes at the speed of one worker, if files are shared out as evenly as here.

    python benchmarks/scale.py             python benchmarks/scale.py --quick
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

import aelib
from aelib import launch

TRAIN = """
import json, os, sys, time
from aelib.models.workers import Workers
workers = Workers() if "TF_CONFIG" in os.environ else None
import keras, aelib
keras.utils.set_random_seed(0)
texts, steps = list(aelib.data.load("grammar").train[:2000]), int(sys.argv[1])
class Clock(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        times.append(time.monotonic())
times = []
model = aelib.LanguageModel(128, 2, 4, 32, tokens="word")
model.fit(texts, steps=steps, batch_size=64, verbose=0, callbacks=[Clock()], workers=workers)
late = times[len(times) // 2 :]
print(json.dumps([model.history.history["loss"], (late[-1] - late[0]) / (len(late) - 1)]))
"""


def trained(count: int, steps: int) -> tuple[list[float], float]:
    """Losses, and seconds a step (of the second half) with so many workers."""
    configs: list[Any] = [None] if count == 1 else launch.loopback(count)
    processes = []
    for config in configs:
        told = {} if config is None else {"TF_CONFIG": json.dumps(config)}
        processes.append(subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(steps)], env=os.environ | told, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ))  # fmt: skip
    said = [p.communicate()[0].splitlines() for p in processes]
    losses, seconds = json.loads(said[0][-1])
    return losses, seconds


def training(steps: int) -> dict[str, Any]:
    (one, one_s), (two, two_s) = trained(1, steps), trained(2, steps)
    apart = max(abs(a - b) / a for a, b in zip(one, two, strict=True))
    return {"what": "training", "relative_difference": apart, "one_s_per_step": one_s,
            "two_s_per_step": two_s, "ratio": one_s / two_s}  # fmt: skip


def written(folder: Path, files: int, size: int) -> None:
    """Files of `size` characters of the grammar's sentences."""
    text = "\n".join(aelib.data.load("grammar").train)
    for i in range(files):
        start = i * size % (len(text) - size)
        (folder / f"{i:04}.txt").write_text(text[start : start + size], encoding="utf-8")


def compressed(folder: Path, workers: int) -> float:
    """Seconds from the first finished file to the last: without what starts the engine."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "aelib.cli", "compress", str(folder), "-o", out,
                   "--engine", "ray", "--workers", str(workers)]  # fmt: skip
        subprocess.run(command, check=True)
        ends = sorted(p.stat().st_mtime for p in Path(out).iterdir())
    return (ends[-1] - ends[0]) / (len(ends) - 1) * len(ends)


def corpora(files: int, size: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        written(Path(name), files, size)
        one, two = compressed(Path(name), 1), compressed(Path(name), 2)
    speed = files * size / 1000 / one
    days = 1e9 / speed / 86400
    return [
        {"what": "compress", "files": files, "one_files_per_s": files / one,
         "two_files_per_s": files / two, "ratio": one / two, "one_kB_per_s": speed},
        {"what": "1 TB on paper", "core_days": days, "days_on_100_cores": days / 100},
    ]  # fmt: skip


def options_of(parser: Any) -> None:
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--characters", type=int, default=300_000)


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.steps, options.files, options.characters = 40, 12, 50_000
    started = time.monotonic()
    rows = [training(options.steps)]
    if importlib.util.find_spec("ray"):
        rows += corpora(options.files, options.characters)
    else:
        print('No Ray Data here, so no corpora: pip install "aelib[scale]"')
    print(f"{time.monotonic() - started:.0f} s")
    common.write("scale", options, rows)


if __name__ == "__main__":
    main()
