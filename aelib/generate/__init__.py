"""Sampling from autoregressive models: one loop, compiled once, for all of them."""

from aelib.generate.beam import BeamSearch
from aelib.generate.loop import Sampler, choose, generate

__all__ = ["BeamSearch", "Sampler", "choose", "generate"]
