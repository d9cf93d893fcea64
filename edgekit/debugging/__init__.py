"""Finding the layers that cost an artifact its accuracy, why they do, and turning the knobs of its recipe until they do no longer."""

from edgekit.debugging.diagnosing import debug
from edgekit.debugging.diagnosis import Diagnosis
from edgekit.debugging.fixing import Fix, fix

__all__ = ["Diagnosis", "Fix", "debug", "fix"]
