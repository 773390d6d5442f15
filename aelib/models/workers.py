"""Training by several processes, on one machine or more: each takes its rows of every batch.

TensorFlow's `MultiWorkerMirroredStrategy` joins the processes that TF_CONFIG names and adds up
their gradients. Each then takes the same step with an optimiser of its own, so all keep the same
weights, and what follows the sum (clipping, the rate, the step) is what one process does.

Loss and gradients are weighted by rows (language models: by tokens), so their sum over the workers
is that of the whole batch. Each worker's own are dropout and the noise of a latent, and what is no
mean over rows: free bits per dimension and the statistics of a batch-normalised posterior.
"""

import os
import signal
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from aelib.errors import BadInput, WorkerLost
from aelib.models.training import Budget, Resumable

APART = 0x9E3779B1  # between the random streams of two workers


class Workers:
    """This process's place among the workers that TF_CONFIG names. Make it before any model.

    One replica a worker: where it sees several GPUs it takes the first. The process ends by SIGALRM
    when the others have not come within AELIB_WORKERS_WAIT seconds (600).
    """

    def __init__(self) -> None:
        place = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        self.index = int(place.task_id or 0)
        self.count = place.cluster_spec().num_tasks("worker")
        address = place.cluster_spec().task_address("worker", self.index)
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:1], "GPU")
        # TensorFlow waits without end, and holds the interpreter: no thread of ours could stop it
        signal.alarm(int(os.environ.get("AELIB_WORKERS_WAIT", "600")))
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(place)
        except (tf.errors.OpError, RuntimeError) as error:
            raise BadInput(
                f"worker {self.index} cannot start at {address}: is the port taken, or does "
                "another worker not come?"
            ) from error
        finally:
            signal.alarm(0)

        def add(values: list[Any]) -> Any:
            return self.strategy.run(lambda: [_summed(tf.identity(value)) for value in values])

        self._add = tf.function(add, autograph=False)

    @property
    def chief(self) -> bool:
        """Whether this is the worker that reports and writes files."""
        return self.index == 0

    def fit(
        self, model: Any, data: Any, budget: Budget, callbacks: Sequence[Any] = (),
        first: Sequence[Any] = (), epochs: int = 1, validation_data: Any = None, **_: Any,
    ) -> None:  # fmt: skip
        """As Keras's `fit`, the loss that of the whole batch. Every worker calls it alike.

        A checkpoint that the chief's `callbacks` restore reaches the others. WorkerLost: another
        worker is gone.
        """
        if budget.seconds is not None:
            raise BadInput("several workers train by epochs or steps, not by seconds")
        listeners = keras.callbacks.CallbackList(
            [*first, *callbacks, Joined(self, data), budget], add_history=True, model=model,
            epochs=epochs, steps=len(data),
        )  # fmt: skip
        before = int(model.optimizer.iterations)
        model.stop_training = False
        with self._company(), self._joint(model.candidates):
            listeners.on_train_begin()
            step = self._step(model, data[0])
            begin = (int(model.optimizer.iterations) - before) // len(data)
            for epoch in range(begin, epochs):
                self._epoch(model, data, step, epoch, validation_data, listeners)
                if model.stop_training:
                    break
            listeners.on_train_end()

    def _epoch(
        self, model: Any, data: Any, step: Any, epoch: int, validation: Any, listeners: Any
    ) -> None:
        """One pass over the data; then all stop, or none."""
        listeners.on_epoch_begin(epoch)
        total, rows = 0.0, 0
        for i in range(len(data)):
            listeners.on_train_batch_begin(i)
            x, y = data[i]
            loss = float(step(*self.part(model, x, y)))
            total, rows = total + loss * len(y), rows + len(y)
            listeners.on_train_batch_end(i, {"loss": loss})
            if model.stop_training:
                break
        logs = {"loss": total / rows}
        if validation is not None:
            found = model.evaluate(validation, verbose=0, return_dict=True)
            logs |= {f"val_{name}": value for name, value in found.items()}
        listeners.on_epoch_end(epoch, logs)
        model.stop_training = bool(self.total([int(model.stop_training)])[0] > 0)

    def part(self, model: Any, x: Any, y: np.ndarray) -> tuple[Any, np.ndarray, np.float32]:
        """This worker's rows of a batch, and their share of its loss (none: a row at weight 0)."""
        rows = np.array_split(np.arange(len(y)), self.count)[self.index]
        share = model.weight_of(y[rows]) / model.weight_of(y)
        chosen = rows if len(rows) else [0]
        return tree.map_structure(lambda a: a[chosen], x), y[chosen], np.float32(share)

    def _step(self, model: Any, batch: Any) -> Any:
        """(x, y, share) -> loss of the whole batch, traced once: traces number the messages."""
        weights = [v.value for v in model.trainable_variables]

        def local(x: Any, y: Any, share: Any) -> list[Any]:
            with tf.GradientTape() as tape:
                found = model(x, training=True)
                loss = share * model.compute_loss(x, y, found, training=True)
            return [_summed(part) for part in (loss, *tape.gradient(loss, weights))]

        def step(x: Any, y: Any, share: Any) -> Any:
            loss, *gradients = self.strategy.run(local, args=(x, y, share))
            model.optimizer.apply(gradients, model.trainable_variables)
            return loss

        spec = tree.map_structure(lambda a: tf.TensorSpec([None] * a.ndim, a.dtype), batch)
        spec = (*spec, tf.TensorSpec((), tf.float32))
        return tf.function(step, input_signature=spec, autograph=False)

    def total(self, values: Sequence[Any]) -> list[Any]:
        """The sum over all workers of each array."""
        return self._add([tf.convert_to_tensor(v) for v in values])

    def share(self, model: Any, data: Any) -> None:
        """Give every worker the chief's weights and optimiser; BadInput where its data differ."""
        mark = _mark(model, data)
        if int(self.total([np.int64(mark)])[0]) != self.count * mark:
            raise BadInput("the workers do not have the same texts and options: give all the same")
        variables = [*model.variables, *model.optimizer.variables]
        values = [keras.ops.convert_to_numpy(v) for v in variables]
        sent = [v.astype("int64") if v.dtype.kind in "biu" else v for v in values]
        told = self.total([v if self.chief else np.zeros_like(v) for v in sent])
        for variable, value in zip(variables, told, strict=True):
            variable.assign(tf.cast(value, variable.dtype))

    @contextmanager
    def _joint(self, candidates: list[Any]) -> Iterator[None]:
        """One gradient for each word that all have drawn: Adam squares the rows one by one."""
        before = [drawn.shared for drawn in candidates]
        try:
            for drawn in candidates:
                drawn.shared = self._once
            yield
        finally:
            for drawn, shared in zip(candidates, before, strict=True):
                drawn.shared = shared

    def _once(self, rows: Any) -> Any:
        """The same rows; the chief gets the gradient of all workers, the others none."""

        def back(gradient: Any) -> Any:
            total = _summed(gradient)
            return total if self.chief else tf.zeros_like(total)

        return tf.custom_gradient(lambda x: (x, back))(rows)

    @contextmanager
    def _company(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            raise WorkerLost(
                "another worker is gone: run the same command again on all machines, and training "
                "goes on from its last whole epoch"
            ) from error


class Joined(Resumable):
    """Starts with the chief's weights; gives each worker noise of its own, the same in each run."""

    def __init__(self, workers: Workers, data: Any):
        super().__init__(data)
        self.workers = workers

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.workers.share(self.model, self.data)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        common = [drawn.generator.state for drawn in self.model.candidates]
        for state in self.states():
            if not any(state is one for one in common):
                seed, count = (int(n) for n in keras.ops.convert_to_numpy(state))
                count = (count + APART * self.workers.index) % 2**32
                state.assign(np.array([seed, count], state.dtype))


def _summed(value: Any) -> Any:
    """The sum over the workers; of a sparse gradient the rows side by side."""
    context = tf.distribute.get_replica_context()
    if isinstance(value, tf.IndexedSlices):
        rows, indices = (context.all_gather(v, axis=0) for v in (value.values, value.indices))
        return tf.IndexedSlices(rows, indices, value.dense_shape)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _mark(model: Any, data: Any) -> int:
    """A number that tells other data, vocabularies and sizes apart."""
    arrays = tree.flatten([data[0], data[len(data) - 1]])
    facts = [len(data), model.tokenizer.to_json(), *(a.tobytes() for a in arrays)]
    return zlib.crc32(repr(facts).encode())
