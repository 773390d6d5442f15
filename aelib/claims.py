"""Numbers and verdicts that a notebook hands to the book's prose and to its claims ledger.

`glue` names a number, so that prose can show it and nobody types it. `decide` names the figures
that decide one of the article's claims, and fails when the run no longer bears the verdict out.
Both work in any notebook and do nothing visible outside the book.
"""

import math
import textwrap
from pathlib import Path
from typing import Any

from aelib.errors import AelibError, BadInput, UnknownName

_RECORD = "application/papermill.record/"  # the MIME prefix under which the book finds glued values


class ClaimFailed(AelibError, AssertionError):
    """A run no longer bears out what the claims ledger says about a claim."""


def glue(name: str, value: Any, fmt: str | None = None) -> None:
    """Names `value` for the prose around the cell, which shows it with the role glue:text.

    name: unique in its notebook. value: a number, or a text that is shown as it is.
    fmt: a format specification such as ".3f" or ".1%"; without it, whole numbers get
    thousands separators and others three significant digits.
    Raises BadInput when the value is not finite.
    """
    text = as_text(value, fmt)
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        record = {"scrapbook": {"name": name, "mime_prefix": _RECORD}}
        # quoted, or the book would read "3,256" as a pair and "0.50" as 0.5
        display({f"{_RECORD}text/plain": repr(text)}, raw=True, metadata=record)


def decide(claim_id: str, holds: bool, **figures: Any) -> None:
    """Decides one of the article's claims by the figures of this run.

    claim_id: "C1" to "C28". holds: does this run bear out the *verdict* in the ledger
    (a verdict "wrong" is borne out when the article's claim fails)?
    figures: what the verdict's sentence quotes, a value or a (value, format) pair each;
    ``mse=0.5`` is glued as ``C16_mse``.
    Raises ClaimFailed, naming the claim, when `holds` is false; UnknownName for no such claim.
    """
    title = _title(claim_id)
    shown = {
        name: as_text(*figure) if isinstance(figure, tuple) else as_text(figure)
        for name, figure in figures.items()
    }
    listed = ", ".join(f"{name} = {text}" for name, text in shown.items())
    if not holds:
        raise ClaimFailed(
            f"{title}: the ledger's verdict no longer holds ({listed or 'no figure'})"
        )
    for name, text in shown.items():
        glue(f"{claim_id}_{name}", text)
    print("\n".join([f"{title}: decided", *textwrap.wrap(listed, 80)]))


def as_text(value: Any, fmt: str | None = None) -> str:
    """A figure as prose shows it. Raises BadInput for NaN and infinities."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):  # NumPy scalars, one-element arrays and tensors
        value = value.item()
    elif hasattr(value, "numpy"):
        value = value.numpy().item()
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"a figure must be a finite number or a text, got {value!r}")
    if fmt is not None:
        return format(value, fmt)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _title(claim_id: str) -> str:
    """'C16 (loss = ReLU(x − x̂))', or the id alone where the ledger isn't at hand."""
    ledger = _ledger()
    if ledger is None:
        return claim_id
    for row in ledger:
        if row["id"] == claim_id:
            return f"{claim_id} ({row['name']})"
    raise UnknownName(f"no claim {claim_id!r} in book/claims.yml: use C1 to C{len(ledger)}")


def _ledger() -> list[dict[str, Any]] | None:
    """book/claims.yml, found from the working directory upwards; None outside the book."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "book" / "claims.yml"
        if path.is_file():
            try:
                import yaml
            except ImportError:
                return None
            return yaml.safe_load(path.read_text(encoding="utf-8"))
    return None
