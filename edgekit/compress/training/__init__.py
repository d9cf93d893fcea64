"""Training a graph: recovery after compression, distillation, quantization-aware training."""

from edgekit.compress.training.fine_tune import FineTune

__all__ = ["FineTune"]
