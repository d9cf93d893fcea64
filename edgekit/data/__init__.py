"""Data for calibration, verification and profiling: read from anywhere, preprocessed as declared, checked once."""

from edgekit.data.loading import read_samples
from edgekit.data.samples import Samples

__all__ = ["Samples", "read_samples"]
