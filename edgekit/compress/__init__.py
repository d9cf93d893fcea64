"""Passes that make a graph smaller or faster, and recipes made of them.

A recipe applies its passes in its own order. The order that works, and why:

1. `equalize.Equalize` moves range between channels; it wants float weights, and the grids must be chosen after it.
2. `quantize.Quantize` rounds weights and activations; it wants the weights final.
3. `bias_correction.BiasCorrection` undoes the mean error that rounding left; it wants the grids in place.
"""
