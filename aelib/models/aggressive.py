"""The aggressive encoder (He et al., 2019): it catches up before the decoder takes a step."""

from typing import Any

import keras
import numpy as np
from keras import ops

from aelib import measure

Tensor = Any


class EncoderStep(keras.Model):
    """Trains a variational model's encoder alone, by the model's own objective."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.built = True

    @property
    def trainable_variables(self) -> list[Any]:
        return self.model.encoder.trainable_variables + self.model.bottleneck.trainable_variables

    @property
    def trainable_weights(self) -> list[Any]:
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Any]:
        own = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in own]

    def call(self, ids: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        return self.model(ids, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.model.objective(y_pred, training)


class Aggressive(keras.callbacks.Callback):
    """Before every step, encoder steps on random batches while they lower the loss.

    batches  a `training.Batches` to draw from
    held     ids (n, T): when the mutual information on them no longer rises after an epoch,
             training goes on as usual
    most     encoder steps before one step of the whole model (100 in the paper)
    window   steps between two looks at the loss (10 in the paper)

    In the paper the outer step moves the decoder alone; here it moves both.
    """

    def __init__(self, batches: Any, held: np.ndarray, most: int = 100, window: int = 10,
                 seed: int = 0):  # fmt: skip
        super().__init__()
        self.batches, self.held, self.most, self.window = batches, held, most, window
        self.rng = np.random.default_rng(seed)
        self.active, self.information, self.steps = True, 0.0, 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.inner = EncoderStep(self.model)
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.inner.compile(keras.optimizers.Adam(rate, beta_2=0.99, clipnorm=5.0))

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        before, done = float("inf"), 0
        while self.active and done < self.most:
            losses = [self._step() for _ in range(min(self.window, self.most - done))]
            done += len(losses)
            now = float(np.mean(losses))
            if now >= before:
                break
            before = now
        self.steps += done

    def _step(self) -> float:
        ids, _ = self.batches[int(self.rng.integers(len(self.batches)))]
        return float(self.inner.train_on_batch(ids))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.active:
            mean, logvar = self.model.posterior(self.held)
            found = measure.mutual_information(mean, logvar).nats
            self.active, self.information = found > self.information, found
