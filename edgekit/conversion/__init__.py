"""From a model to a checked artifact, and from a file back to what is in it."""

from edgekit.conversion.concessions import KINDS, ConversionWarning
from edgekit.conversion.pipeline import convert

__all__ = ["KINDS", "ConversionWarning", "convert"]
