"""Weights that share values by a hash of their positions: nothing says which, so that only the values need be stored.

Chen, Wilson, Tyree, Weinberger and Chen 2015, "Compressing neural networks with the hashing trick", sections 3 and 4: a hash function
assigns each position to one of a few buckets, another one gives it a sign, and a weight is its sign times its bucket's value.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from edgekit.compress.cluster.layers import layers
from edgekit.compress.options import require_within
from edgekit.compress.overrides import check_modules, for_module
from edgekit.constraints import Buckets
from edgekit.graph import Graph, constraints_of, finish, revalue
from edgekit.recipe import Context

_ADDEND, _FIRST, _SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class HashWeights:
    """Makes weights share values by a hash of their positions (HashedNets); wants ``fine_tune`` after it.

    Given: a lowered graph with float weights. Weights with zeros or tables that a pruning or clustering imposed are left alone.
    Result: each weight is the mean of its bucket, with a `Buckets` constraint that training keeps. Positions are shared at random, so
    a trained network is lost until it is trained again; `cluster` loses less for as many values, and needs indices instead.
    No file format knows the hash: files hold every weight, and a pack is smaller where a weight has 256 buckets or less.
    Source: Chen, Wilson, Tyree, Weinberger and Chen 2015, "Compressing neural networks with the hashing trick", sections 3 and 4.

    Attributes:
        share: Buckets of a weight, as a share of its elements: 0 to 1.
        seed: Of the hash functions, beside the weight's name and shape.
        overrides: Module path glob to the share of those modules, 1 to leave them alone; the last match wins.
    """

    name: ClassVar[str] = "hash_weights"

    share: float = 0.125
    seed: int = 0
    overrides: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse shares that are none.

        Raises:
            UsageError: Saying what it got and takes.
        """
        for share in (self.share, *self.overrides.values()):
            require_within("share", share, 0 < share <= 1, "over 0, up to 1 (buckets, as a share of the elements)")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The graph whose weights share values.

        Raises:
            ConversionError: A weight is NaN or infinite.
            UsageError: An override names no module.
        """
        check_modules(graph, self.overrides, "overrides")
        result, stored, hashed = graph.copy(), 0, 0
        for layer in layers(result, context.rules):
            share = for_module(layer.module, self.share, self.overrides) or self.share
            if share < 1 and not constraints_of(layer.node):
                buckets = max(1, round(share * layer.value.numel()))
                constraint = Buckets(layer.name, *hashed_positions(layer.value.shape, buckets, f"{self.seed} {layer.module}"))
                revalue(layer.node, constraint.project(layer.value), constraint)
                stored, hashed = stored + buckets, hashed + layer.value.numel()
        finish(result.module)
        return result.noting(f"hashed: {hashed:,} weights share {stored:,} values; files hold every weight")


def hashed_positions(shape: torch.Size, buckets: int, key: str) -> tuple[Tensor, Tensor]:
    """Bucket (int32) and sign (float32, -1 or 1) of each position of a weight.

    Args:
        shape: Of the weight.
        buckets: How many.
        key: Tells the hash functions of different weights apart.
    """
    numbers = np.arange(int(np.prod(shape)), dtype=np.uint64) + (np.uint64(zlib.crc32(key.encode())) << np.uint64(32))
    mixed = _mixed(numbers)
    where = ((mixed >> np.uint64(32)) % np.uint64(buckets)).astype(np.int32)
    signs = np.where(mixed & np.uint64(1), np.float32(1), np.float32(-1))
    return torch.from_numpy(where.reshape(shape)), torch.from_numpy(signs.reshape(shape))


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    state = numbers * _ADDEND + _ADDEND
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.asarray(state ^ (state >> np.uint64(31)))
