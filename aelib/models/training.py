"""What every text model needs to train: batches of like lengths, budgets, schedules of the rate."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from aelib.text import PAD
from aelib.writing import whole


class Batches(keras.utils.PyDataset):
    """Rows of ids (n, T) in batches of about equal length, cut to a multiple of `step` tokens.

    The order is drawn anew for every epoch from `seed` and the epoch's number. `corrupt` makes
    the input from the target: (ids, seed) -> ids; the model then gets the pair of both. With
    `labels` (n,) it gets (input, target, labels). Call `fit` with shuffle=False: Keras's own order
    would come from Python's `random`.
    """

    def __init__(
        self, ids: np.ndarray, size: int = 64, seed: int = 0, shuffle: bool = True, step: int = 8,
        corrupt: Callable[[np.ndarray, int], np.ndarray] | None = None,
        labels: np.ndarray | None = None,
    ):  # fmt: skip
        super().__init__()
        self.ids, self.size, self.seed, self.step = ids, size, seed, step
        self.shuffle, self.corrupt, self.labels = shuffle, corrupt, labels
        self.lengths = (ids != PAD).sum(axis=1)
        self.start(0)

    def on_epoch_end(self) -> None:
        self.start(self.epoch + 1)

    def start(self, epoch: int) -> None:
        """Draw the order of this epoch."""
        self.epoch = epoch
        rng = np.random.default_rng([self.seed, self.epoch])
        jitter = rng.uniform(0, 3, len(self.ids)) if self.shuffle else 0
        order = np.argsort(self.lengths + jitter, kind="stable")
        self.batches = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        if self.shuffle:
            rng.shuffle(self.batches)
        # Keras infers which axes vary from the first two batches: let the longest be the first.
        longest = max(range(len(self.batches)), key=lambda i: self._width(self.batches[i]))
        self.batches.insert(0, self.batches.pop(longest))
        widths = [self._width(rows) for rows in self.batches]
        other = next((i for i, width in enumerate(widths) if width != widths[0]), 0)
        self.batches.insert(1, self.batches.pop(other))

    def _width(self, rows: np.ndarray) -> int:
        longest = math.ceil(self.lengths[rows].max() / self.step) * self.step
        return min(longest, self.ids.shape[1])

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Any:
        rows = self.batches[i]
        ids = self.ids[rows, : self._width(rows)]
        seen = ids
        if self.corrupt is not None:
            seen = self.corrupt(ids, self.seed * 1_000_003 + self.epoch * len(self) + i)
        if self.labels is not None:
            return (seen, ids, self.labels[rows]), ids
        return (ids if self.corrupt is None else (seen, ids)), ids


def ready_optimizer(model: keras.Model) -> None:
    """Make the optimiser's variables now: made in the first step, they have it traced twice.

    In `fit`, since Keras does not compile a loaded model whose `compile` is its own.
    """
    model.optimizer.build(model.trainable_variables)


class Resumable(keras.callbacks.Callback):
    """Ties order and noise to epoch and step: a resumed run repeats what an unbroken one does.

    Keras's checkpoints hold weights and optimiser, but neither where the data stood nor the state
    of the random generators.
    """

    def __init__(self, data: Any):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if epoch != self.data.epoch:
            self.data.start(epoch)
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        for state in self.states():
            seed = int(keras.ops.convert_to_numpy(state)[0])
            state.assign(np.array([seed, step * 1009 % 2**32], state.dtype))

    def states(self) -> list[Any]:
        """The states of the model's random generators."""
        return [v for v in self.model.variables if "seed_generator_state" in v.path]


class Budget(keras.callbacks.Callback):
    """Stops after `seconds`, and lowers the learning rate to a tenth along the way.

    The clock is CPU time of this process by default, so a busy machine gives the same model
    quality; pass time.monotonic for seconds on the wall. Without `seconds`, the rate falls over
    `steps` (earlier calls of `fit` included), and then training stops. The first `warmup` steps
    have a rising rate.
    """

    def __init__(
        self, seconds: float | None = None, steps: int | None = None, warmup: int = 50,
        final: float = 0.05, clock: Callable[[], float] = time.process_time,
    ):  # fmt: skip
        super().__init__()
        self.seconds, self.steps, self.warmup, self.final = seconds, steps, warmup, final
        self.clock = clock
        self.started: float | None = None
        self.rate: float | None = None  # the one set last

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)  # before a backup is restored, whose rate is on its way down
        self.peak = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Counted here: under JAX the optimiser's own count is written back once an epoch.
        self.step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.rate = None

    def progress(self, step: int) -> float:
        """Share of the budget that is used up, in [0, 1]."""
        if self.seconds is None:
            return min(1.0, step / max(1, self.steps or 1))
        if self.started is None:
            return 0.0
        return min(1.0, (self.clock() - self.started) / self.seconds)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        step = self.step
        fall = self.final + (1 - self.final) * min(1.0, 2 * (1 - self.progress(step)))
        rate = self.peak * min(1.0, (step + 1) / self.warmup) * fall
        if rate != self.rate:  # under JAX, Keras copies every variable when a callback asks for one
            self.model.optimizer.learning_rate.assign(rate)
            self.rate = rate

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.started is None:  # the first step compiles: it is not counted
            self.started = self.clock()
        self.step += 1
        if self.progress(self.step) >= 1:
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        self.model.optimizer.learning_rate.assign(self.peak)


class Patience(keras.callbacks.EarlyStopping):
    """Early stopping that a killed and resumed run does not make forget its best weights.

    `folder` is where Keras's `BackupAndRestore` keeps its checkpoints; without one nothing is kept.
    Put it before that callback: what it keeps must be there when a checkpoint is.
    """

    def __init__(self, folder: str | None, **options: Any):
        super().__init__(restore_best_weights=True, **options)
        self.folder = Path(folder) if folder else None
        self.best_weights: Any = None

    @classmethod
    def beside(cls, callbacks: Sequence[Any], **options: Any) -> "Patience":
        """With the folder of the backup among these callbacks, if there is one."""
        backups = (c for c in callbacks if isinstance(c, keras.callbacks.BackupAndRestore))
        return cls(next((backup.backup_dir for backup in backups), None), **options)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        path = self._kept(epoch - 1)
        if path is None or not path.exists() or self.best_weights is not None:
            return
        with np.load(path, allow_pickle=False) as kept:
            self.best, self.best_epoch = float(kept["best"]), int(kept["best_epoch"])
            self.wait = int(kept["wait"])
            self.best_weights = [kept[f"w{i}"] for i in range(len(self.model.weights))]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        path = self._kept(epoch)
        if path is None or self.best_weights is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = {f"w{i}": w for i, w in enumerate(self.best_weights)}
        with whole(path) as part:
            np.savez(part, best=self.best, best_epoch=self.best_epoch, wait=self.wait, **weights)
        old = self._kept(epoch - 2)  # a cut-off checkpoint may send us one epoch back, not two
        if old is not None:
            old.unlink(missing_ok=True)

    def _kept(self, epoch: int) -> Path | None:
        return self.folder / f"best.{epoch}.npz" if self.folder else None


def split_off(items: Sequence[Any], share: float = 0.05, most: int = 1000, seed: int = 0):
    """(rest, held-out) for early stopping: a random `share`, at most `most`, none below 200."""
    if len(items) < 200:
        return list(items), []
    chosen = np.random.default_rng(seed).permutation(len(items))
    out = set(chosen[: min(most, int(len(items) * share))].tolist())
    return (
        [item for i, item in enumerate(items) if i not in out],
        [item for i, item in enumerate(items) if i in out],
    )
