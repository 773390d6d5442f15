"""Errors that a user can act on: each message is one line that says what to do."""


class AelibError(Exception):
    """Base of every error that aelib raises on purpose; the shell prints it and exits with 2."""


class BadInput(AelibError, ValueError):
    """The given text, array or file cannot be used as it is."""


class UnknownName(AelibError, ValueError):
    """A corpus, preset or option of that name does not exist."""


class WorkerLost(AelibError, RuntimeError):
    """One of several workers is gone, and the others cannot go on."""


class DataUnavailable(AelibError, RuntimeError):
    """A corpus is not installed, or needs the network or a local file."""
