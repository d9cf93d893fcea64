"""Learned rounding: `adaround` (the pass) and `rounding` (one layer's optimization)."""

from edgekit.compress.adaround.adaround import AdaRound

__all__ = ["AdaRound"]
