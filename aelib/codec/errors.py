"""What can be wrong with a compressed file: the kinds of `CorruptFile`."""

from aelib.errors import AelibError


class CorruptFile(AelibError, ValueError):
    """The compressed data cannot be trusted; nothing was written."""


class Truncated(CorruptFile):
    """The data ends too early."""


class Corrupt(CorruptFile):
    """A checksum, a length or a mark is not what it must be."""


class WrongModel(CorruptFile):
    """The data was made with another snapshot or codec version; the message names both."""
