"""Disjoint sets of numbered elements, united a whole array at a time (union-find; Tarjan 1975)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = NDArray[np.int64]
"""Elements of a partition, one for each index of a dimension: what must be removed together has labels of one set."""

FIXED = 0
"""The label of an index that no one may remove: of a batch, of a picture's rows, of a model's own input."""


class Partition:
    """Sets of labels; `FIXED` stays alone."""

    def __init__(self) -> None:
        self._parent = [FIXED]

    def fresh(self, count: int) -> Labels:
        """Labels of new sets of one element each."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def unite(self, a: Labels, b: Labels) -> None:
        """Make one set of the sets of each pair."""
        differ = a != b
        for x, y in zip(a[differ].tolist(), b[differ].tolist(), strict=True):
            low, high = sorted((self._root(x), self._root(y)))
            self._parent[high] = low

    def roots(self) -> Labels:
        """For each label, the least of its set."""
        parent = np.array(self._parent)
        while (above := parent[parent]).tolist() != parent.tolist():
            parent = above
        return parent

    def of(self, labels: Labels) -> Labels:
        """For each of these labels, the least of its set so far."""
        return np.array([self._root(label) for label in labels.tolist()], np.int64)

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = label = self._parent[self._parent[label]]
        return label
