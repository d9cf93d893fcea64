"""Passes that make a graph smaller or faster, and recipes made of them.

A recipe applies its passes in its own order. The order that works, and why:

1. `prune.Prune` zeroes weights; what follows then works with, and makes up for, the weights that are left.
2. `equalize.Equalize` moves range between channels; it wants float weights, and tables and grids must be chosen after it.
3. `cluster.Cluster` replaces weights by table entries; it wants the weights final, zeros included.
4. `quantize.Quantize` rounds weights (also those of tables) and activations; it wants the values final.
5. `adaround.AdaRound` chooses integers by what layers give, not by what is nearest, and corrects their biases; it wants the grids in place.
6. `bias_correction.BiasCorrection` undoes the mean error that rounding to nearest left; it takes the place of 5 where time is short.
"""
