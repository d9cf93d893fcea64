"""Proving that an artifact still answers as the float model does."""

from edgekit.verification.several import Pair, Verdicts, verify_all
from edgekit.verification.verdict import Gates, Verdict
from edgekit.verification.verifying import verify

__all__ = ["Gates", "Pair", "Verdict", "Verdicts", "verify", "verify_all"]
