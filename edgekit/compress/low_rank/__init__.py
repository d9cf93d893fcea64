"""Low rank: `low_rank` (the pass), `kinds` (how a weight is factorized), `options` (what ranks cost), `replacing` (the layers written)."""

from edgekit.compress.low_rank.low_rank import LowRank

__all__ = ["LowRank"]
