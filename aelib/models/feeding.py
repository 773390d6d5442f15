"""Batches for Keras's `fit` under TensorFlow: a `tf.data` pipeline that does not tune itself.

Keras makes a pipeline of a `PyDataset`, too, but one with a tuning thread. When an iterator over it
is freed it waits for that thread, on a busy machine for up to a minute, and holds the interpreter
meanwhile (TensorFlow 2.21). With one batch prepared ahead there is nothing to tune.
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import tree


def fed(data: Any) -> Any:
    """What to hand `fit` or `evaluate` for a `PyDataset`; anything else is given back as it is.

    Sizes that the first two batches share are fixed, as in Keras; the first never is. The order of
    each epoch is the data's own: let a callback start it (`training.Resumable` does).
    """
    if keras.backend.backend() != "tensorflow" or not isinstance(data, keras.utils.PyDataset):
        return data
    import tensorflow as tf

    def batches() -> Iterator[Any]:
        for i in range(len(data)):
            yield data[i]

    def spec(*arrays: Any) -> Any:
        sizes = zip(*(a.shape[1:] for a in arrays), strict=True)
        fixed = [size[0] if len(set(size)) == 1 else None for size in sizes]
        return tf.TensorSpec([None, *fixed], arrays[0].dtype)

    signature = tree.map_structure(spec, *(data[i] for i in range(min(2, len(data)))))
    pipeline = tf.data.Dataset.from_generator(batches, output_signature=signature)
    pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(len(data))).prefetch(1)
    options = tf.data.Options()
    options.autotune.enabled = False
    return pipeline.with_options(options)
