"""From a model to a checked artifact, and from a file back to what is in it."""

from edgekit.conversion.concessions import KINDS, ConversionWarning
from edgekit.conversion.explaining import explain
from edgekit.conversion.explanation import Explanation
from edgekit.conversion.pipeline import convert

__all__ = ["KINDS", "ConversionWarning", "Explanation", "convert", "explain"]
