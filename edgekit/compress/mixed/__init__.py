"""Mixed precision: `mixed_precision` (the pass), which gives the layers that need it more bits."""

from edgekit.compress.mixed.mixed_precision import MixedPrecision

__all__ = ["MixedPrecision"]
