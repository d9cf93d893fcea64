"""Data for calibration, verification and profiling: read from anywhere, preprocessed as declared, checked once."""

from edgekit.data.loading import load_samples
from edgekit.data.samples import Samples

__all__ = ["Samples", "load_samples"]
