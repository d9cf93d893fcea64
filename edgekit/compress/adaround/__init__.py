"""Roundings chosen on data: `adaround` (the pass), `layer` (the problem), `gradient` and `coordinates` (how it is solved)."""

from edgekit.compress.adaround.adaround import AdaRound

__all__ = ["AdaRound"]
