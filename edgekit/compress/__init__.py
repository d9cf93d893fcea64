"""Passes that make a graph smaller or faster, and recipes made of them.

A recipe applies its passes in its own order. The order that works, and why:

1. `prune_channels.PruneChannels` removes channels, `low_rank.LowRank` puts factors in place of weights: what follows has less to do.
2. `prune.Prune` zeroes weights; what follows then works with, and makes up for, the weights that are left.
3. `training.FineTune` brings accuracy back that 1 and 2 cost; after 5 or 6, it trains with tables and roundings in place.
4. `smooth.Smooth` and `equalize.Equalize` move range between channels; they want float weights, and tables and grids chosen after them.
5. `cluster.Cluster` replaces weights by table entries; it wants the weights final, zeros included.
6. `quantize.Quantize` (or `mixed.MixedPrecision`) rounds weights, also those of tables, and activations; it wants the values final.
7. `adaround.AdaRound` chooses integers by what layers give, not by what is nearest, and corrects their biases; it wants the grids in place.
8. `bias_correction.BiasCorrection` undoes the mean error that rounding to nearest left; it takes the place of 7 where time is short.
"""
