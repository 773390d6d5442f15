"""Text in and out: tokenisers with an open vocabulary, noise on token ids, and safe reading."""

from aelib.text import noise
from aelib.text.files import read_lines, read_text
from aelib.text.tokenizer import BOS, EOS, FIRST, PAD, Tokenizer

__all__ = ["BOS", "EOS", "FIRST", "PAD", "Tokenizer", "noise", "read_lines", "read_text"]
