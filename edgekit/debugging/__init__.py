"""Finding the layers that cost an artifact its accuracy, why they do, and what to do about it."""

from edgekit.debugging.diagnosing import debug
from edgekit.debugging.diagnosis import Diagnosis

__all__ = ["Diagnosis", "debug"]
