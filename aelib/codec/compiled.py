"""Numba's `njit` with its machine code kept on disk, where a bad cache costs time and no more.

Numba itself fails when a kept file is cut off, when the disk is full, and on import when no folder
can be written. Here the function is then compiled in this process, and kept again if possible.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache


class Cache(FunctionCache):
    """Machine code on disk: what cannot be read counts as missing, what cannot be written stays."""

    def load_overload(self, *args: Any) -> Any:
        """The kept code, or None: then Numba compiles and calls `save_overload`."""
        try:
            return super().load_overload(*args)
        except Exception:  # a damaged file raises whatever its bytes ask for
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, *args: Any) -> None:
        """Keep it, unless the disk is full or closed."""
        with suppress(OSError):
            super().save_overload(*args)


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """`njit` with these options and that cache."""

    def wrap(function: Callable) -> Any:
        made = njit(**options)(function)
        with suppress(RuntimeError):  # no folder that can be written
            made._cache = Cache(function)
        return made

    return wrap
