"""How the weight β of the KL term moves while training: step -> weight."""

from collections.abc import Callable
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Constant:
    """β(step) = value."""

    value: float = 1.0

    def __call__(self, step: int) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` to `end` in `steps` steps, then `end` (Bowman et al., 2016)."""

    steps: int
    start: float = 0.0
    end: float = 1.0

    def __call__(self, step: int) -> float:
        return self.start + (self.end - self.start) * min(1.0, step / self.steps)


@dataclass(frozen=True)
class Cyclical:
    """Each `period`: a linear rise over `rise` of it, then flat (Fu et al., 2019)."""

    period: int
    rise: float = 0.5
    start: float = 0.0
    end: float = 1.0

    def __call__(self, step: int) -> float:
        place = (step % self.period) / self.period
        return self.start + (self.end - self.start) * min(1.0, place / self.rise)


class Anneal(keras.callbacks.Callback):
    """Sets ``model.beta`` before every training step from a schedule.

    Resuming goes on where it was: the step is read from the optimiser.
    """

    def __init__(self, schedule: Callable[[int], float]):
        super().__init__()
        self.schedule = schedule

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.model.beta.assign(self.schedule(step))
