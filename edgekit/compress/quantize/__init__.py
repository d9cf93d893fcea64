"""Quantization in the graph, driven by the target's rules.

``Quantize`` runs, one file a step: `annotate` (which operators have integer kernels), `sharing` (which values must have
one grid), `calibrate` and `observers` (what the samples show), `assign` (the grids), `limits` (what integer
arithmetic can compute), `weights`, `insert` (the fake-quantize nodes) and `weight_only`.
"""

from edgekit.compress.quantize.observers import CALIBRATIONS
from edgekit.compress.quantize.quantize import Quantize
from edgekit.compress.quantize.warning import QuantizationWarning

__all__ = ["CALIBRATIONS", "QuantizationWarning", "Quantize"]
