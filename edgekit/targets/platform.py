"""Versions of an operating system (or of a device's software), and what a model file may use from each on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgekit import declared
from edgekit.errors import ConversionError, UsageError


@dataclass(frozen=True)
class Platform:
    """What a model file is written for.

    Attributes:
        name: As its owner writes it (``iOS``).
        option: The option of ``edgekit convert`` that chooses a version (``ios``).
        versions: Known ones, oldest first.
        minimum: The oldest version that the file must run on.
        features: What only newer versions read, in words, to the first that does (``grouped palettes``: ``18``).
        operators: Canonical operators, to the first version that has them; they are lowered for older ones.
    """

    name: str
    option: str
    versions: tuple[str, ...]
    minimum: str
    features: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, str] = field(default_factory=dict)

    def at(self, version: str) -> Platform:
        """The same with another oldest version.

        Raises:
            UsageError: There is no such version.
        """
        if version not in self.versions:
            raise UsageError(f"no {self.name} {version} is known", accepted=self.versions, next_step=f"--{self.option} {self.versions[-1]}")
        return replace(self, minimum=version)

    def has(self, what: str) -> bool:
        """Whether every version from the oldest on has a feature or an operator; those nobody listed are in all."""
        first = self.features.get(what, self.operators.get(what, self.versions[0]))
        return self.versions.index(first) <= self.versions.index(self.minimum)

    def need(self, what: str, *, module: str | None = None) -> None:
        """Insist on a feature.

        Raises:
            ConversionError: The oldest version lacks it.
        """
        if not self.has(what):
            first = self.features.get(what) or self.operators[what]
            raise ConversionError(
                f"{what} need {self.name} {first}, but the file was asked for {self.name} {self.minimum}",
                module=module,
                next_step=f"--{self.option} {first}, or a recipe without {what}",
            )

    @property
    def lowered(self) -> tuple[str, ...]:
        """Operators that the oldest version lacks."""
        return tuple(name for name in self.operators if not self.has(name))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Platform:
        """Read the ``[platform]`` table of a target file.

        Raises:
            UsageError: A key is missing, or a version it names is not listed.
        """
        known = declared.build(cls, table, "the [platform] of a target", kind="key")
        for version in (known.minimum, *known.features.values(), *known.operators.values()):
            known.at(version)
        return known
