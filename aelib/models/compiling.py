"""Compiling so that the first step is traced once."""

from typing import Any

import keras


class TracedOnce(keras.Model):
    """A model whose optimiser gets its variables when it is compiled.

    Keras makes them in the first step otherwise, and TensorFlow then traces the step twice.
    """

    def compile(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        super().compile(*args, **kwargs)
        if self.built and self.trainable_variables:
            self.optimizer.build(self.trainable_variables)
