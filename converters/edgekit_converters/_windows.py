"""Windows that slide over an image: where they lie, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from edgekit.graph import argument, aten, is_call, shape_of


@dataclass(frozen=True)
class Window:
    """A window that slides along one spatial dimension.

    Attributes:
        size: Elements of the input without padding.
        kernel: Taps.
        stride: Step.
        dilation: Distance of taps.
        before: Padding in front.
        result: Elements of the result.
        behind: Padding behind that the model asks for.
        change: By how much neighbouring sizes differ that the input may have; 0 where it has one.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    result: int
    behind: int = 0
    change: int = 0

    @property
    def moving(self) -> bool:
        """Whether the windows end elsewhere at another size of the input, so that no padding scheme holds at all sizes."""
        return self.change % self.stride != 0

    @property
    def reach(self) -> int:
        """Elements from the first to the last tap."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def after(self) -> int:
        """Padding behind that the windows reach into, at some size at least; negative where they leave elements unread."""
        return self.behind if self.moving else (self.result - 1) * self.stride + self.reach - self.size - self.before

    @property
    def valid(self) -> bool:
        """Whether VALID places the same windows."""
        fits = self.before == 0 and self.result == (self.size - self.reach) // self.stride + 1
        return fits and not (self.moving and self.behind)

    @property
    def same(self) -> bool:
        """Whether SAME places the same windows: the result is ceil(size / stride) and the odd element of padding goes behind."""
        total = max((self.result - 1) * self.stride + self.reach - self.size, 0)
        return self.result == -(-self.size // self.stride) and self.before == total // 2 and not self.moving


def zero_padding(node: fx.Node) -> list[tuple[int, int]] | None:
    """Zeros a pad node adds before and after each dimension; None if it is none, crops, or adds something else."""
    if not is_call(node, aten.pad.default) or argument(node, "mode") != "constant" or argument(node, "value"):
        return None
    amounts, rank = argument(node, "pad"), len(shape_of(node))
    if min(amounts) < 0:
        return None
    pairs = {rank - 1 - i // 2: (amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)}
    return [pairs.get(d, (0, 0)) for d in range(rank)]
