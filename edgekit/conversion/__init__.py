"""From a model to a checked artifact, and from a file back to what is in it."""

from edgekit.conversion.concessions import KINDS, ConversionWarning
from edgekit.conversion.explaining import explain
from edgekit.conversion.explanation import Explanation
from edgekit.conversion.pipeline import convert
from edgekit.conversion.several import Conversions, Outcome, convert_all

__all__ = ["KINDS", "ConversionWarning", "Conversions", "Explanation", "Outcome", "convert", "convert_all", "explain"]
