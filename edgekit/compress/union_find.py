"""Disjoint sets (union-find; Tarjan 1975)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class UnionFind(Generic[Member]):
    """Disjoint sets, with path compression. For labels by the array, `edgekit.compress.channels.partition` is faster."""

    def __init__(self) -> None:
        self._parent: dict[Member, Member] = {}

    def find(self, member: Member) -> Member:
        """The representative of a member's set; registers one that was never seen."""
        root = member
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        while member != root:
            self._parent[member], member = root, self._parent[member]
        return root

    def __contains__(self, member: Member) -> bool:
        return member in self._parent

    def join(self, a: Member, b: Member) -> None:
        """Make them one set, represented by `a`'s representative."""
        self._parent[self.find(b)] = self.find(a)

    def sets(self) -> list[list[Member]]:
        """All sets, each in the order its members were first seen."""
        found: dict[Member, list[Member]] = {}
        for member in self._parent:
            found.setdefault(self.find(member), []).append(member)
        return list(found.values())
