"""Writing and reading model files so that nothing half-written stays and nothing is unpickled."""

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import keras
import numpy as np

from aelib.errors import BadInput
from aelib.models import training
from aelib.models.feeding import fed
from aelib.writing import whole

WEIGHTS = "model.weights.h5"
MEMBERS = {"metadata.json", "config.json", WEIGHTS}
SWELL = 10  # Keras stores as it is: what claims more than ten times the file's size is no model


def write(save: Callable[..., None], path: str | Path, *args: Any, **kwargs: Any) -> None:
    """Call `save` with a temporary name beside `path`, then rename."""
    path = Path(path)
    if path.suffix != ".keras":
        raise BadInput(f"model files end in .keras: try {path.with_suffix('.keras').name}")
    with whole(path) as part:
        save(part, *args, **kwargs)


def read(path: str | Path, *kinds: Any) -> Any:
    """A `.keras` file as one of `kinds`; safe_mode, so no code in the file ever runs."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"no model file {path}")
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path} is damaged or no .keras file: save the model again")
    try:
        _inspect(path)
        model = keras.saving.load_model(path, safe_mode=True, compile=False)
    except Exception as error:  # Keras raises many kinds for what a bad file may hold
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise BadInput(f"{path} cannot be read as a model: {reason}") from error
    if not isinstance(model, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise BadInput(f"{path} holds a {type(model).__name__}, not a {wanted}")
    model.adapted = True
    return model


def _inspect(path: Path) -> None:
    """ValueError for members and sizes that no saved model has, before Keras unpacks anything."""
    most = SWELL * path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        strange = [m.filename for m in members if m.filename not in MEMBERS]
        if strange or len(members) > len(MEMBERS):
            raise ValueError(f"{(strange or ['a second part'])[0]!r:.80} belongs in no model")
        if sum(m.file_size for m in members) > most:
            raise ValueError(f"it claims more than {SWELL} times its size")
        weights = archive.read(WEIGHTS)
    with h5py.File(io.BytesIO(weights), "r") as file:
        if _claimed(file) > most:
            raise ValueError(f"its weights claim more than {SWELL} times its size")


def _claimed(file: h5py.File) -> int:
    """The bytes that all arrays say they have; ValueError if one lies outside the file."""
    links: list[Any] = []
    items: list[Any] = []
    file.visititems_links(lambda name, link: links.append(link))
    file.visititems(lambda name, item: items.append(item))
    arrays = [item for item in items if isinstance(item, h5py.Dataset)]
    if any(not isinstance(link, h5py.HardLink) for link in links) or any(
        array.external or array.is_virtual for array in arrays
    ):
        raise ValueError("its weights lie outside the file")
    return sum(math.prod(array.shape or ()) * array.dtype.itemsize for array in arrays)


class StoredModel(keras.Model):
    """What every text model shares: whole files and presets. A tokenizer makes it ready."""

    tokenizer: Any = None

    @property
    def candidates(self) -> list[Any]:
        """What draws words for a sampled softmax: several workers draw the same."""
        return []

    def _ready(self) -> Any:
        """The tokenizer; BadInput before the first fit."""
        if self.tokenizer is None:
            raise BadInput("this model has learnt nothing yet: call fit, or load a saved model")
        return self.tokenizer

    def weight_of(self, targets: np.ndarray) -> int:
        """How many things the loss of a batch is the mean of: its rows."""
        return len(targets)

    def _train(
        self, data: Any, budget: training.Budget, callbacks: Sequence[Any],
        first: Sequence[Any] = (), workers: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        """Keras's `fit`, or that of several `workers`.

        `first`, then `callbacks` come before ours: a backup is restored before we count.
        """
        if workers is not None:
            workers.fit(self, data, budget, callbacks, first, **options)
            return
        every = [*first, *callbacks, training.Resumable(data), budget]
        held = fed(options.pop("validation_data", None))
        keras.Model.fit(
            self, fed(data), shuffle=False, callbacks=every, validation_data=held, **options
        )

    def save(self, path: str | Path, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write one `.keras` file, tokenizer included (first to a temporary name)."""
        self._ready()
        write(super().save, path, *args, **kwargs)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote; BadInput for any other or a damaged file."""
        return read(path, cls)

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """A model with weights that come with the package: see `aelib.presets.available()`."""
        from aelib import presets

        return presets.load(name, cls)
