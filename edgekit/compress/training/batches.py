"""The batches of a training: their order and their augmentation follow from the seed and the step alone.

So a training that was interrupted goes on with the very batches it would have had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.compress.training.losses import Batch
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph

AUGMENTATIONS: dict[str, str] = {
    "flip": "half of the images mirrored, left to right",
    "shift": "images moved by up to an eighth of their size, edges mirrored",
    "mixup": "random pairs of samples blended (Zhang et al. 2018)",
}
CHANNELS = (1, 3, 4)
"""Of images, by which the layout of an input is told."""

REACH = 8
"""Images are shifted by up to their size divided by this."""

_PRIME = 1_000_003


@dataclass(frozen=True)
class Data:
    """Samples as tensors.

    Attributes:
        inputs: One tensor an input, samples first.
        labels: Class indices, or whatever the user's own loss takes, or None.
    """

    inputs: list[Tensor]
    labels: Tensor | None

    @classmethod
    def of(cls, samples: Samples, graph: Graph) -> Data:
        """Samples that fit the graph's inputs."""
        labels = None if samples.labels is None else torch.from_numpy(samples.labels)
        if labels is not None:
            labels = labels.float() if labels.is_floating_point() else labels.long()
        return cls([torch.from_numpy(samples.inputs[spec.name]) for spec in graph.inputs], labels)

    def __len__(self) -> int:
        return len(self.inputs[0])

    @property
    def indices(self) -> Tensor | None:
        """The labels, if they can be class indices."""
        return self.labels if self.labels is not None and self.labels.dim() == 1 and not self.labels.is_floating_point() else None

    def rows(self, which: Tensor | slice) -> Data:
        """Some of the samples."""
        return Data([t[which] for t in self.inputs], None if self.labels is None else self.labels[which])

    def parted(self, share: float) -> tuple[Data, Data]:
        """The samples without a random share of them, and that share: at least one sample each.

        Raises:
            DataError: There is one sample only.
        """
        if len(self) < 2:
            raise DataError("one sample cannot be parted into training and validation data", accepted="held_out = 0, or more samples")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        count = min(max(round(share * len(self)), 1), len(self) - 1)
        return self.rows(order[count:].sort()[0]), self.rows(order[:count].sort()[0])

    def batch(self, rows: Tensor | slice, classes: int | None) -> Batch:
        """A batch of some of the samples, labels as probabilities of so many classes."""
        some = self.rows(rows)
        found = some.indices if classes is not None else None
        hot = None if found is None else torch.nn.functional.one_hot(found, classes).float()  # type: ignore[arg-type]
        return Batch(some.inputs, hot, some.labels)


def rows_of(step: int, size: int, samples: int, seed: int) -> Tensor:
    """Which samples a step takes: each epoch goes through all in a new order, less what does not fill a batch."""
    epoch, index = divmod(step, samples // size)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed * _PRIME + epoch))
    return order[index * size : (index + 1) * size]


def check_augmentations(names: Sequence[str], graph: Graph) -> None:
    """Refuse to flip what is no image and to blend what is no number.

    Raises:
        UsageError: Naming the input.
    """
    for spec in graph.inputs:
        if {"flip", "shift"} & set(names) and (len(spec.shape) != 4 or _layout(spec.shape) is None):
            raise UsageError(f"input {spec.name!r} of shape {list(spec.shape)} is no image", accepted="images of 1, 3 or 4 channels; mixup")
        if "mixup" in names and not spec.dtype.startswith("float"):
            raise UsageError(f"input {spec.name!r} holds {spec.dtype}, which cannot be blended", accepted="float inputs")


def augmented(batch: Batch, names: Sequence[str], step: int, seed: int) -> Batch:
    """The batch, flipped, shifted and blended as the names say, at random."""
    random = torch.Generator().manual_seed(seed * _PRIME - step - 1)
    inputs, labels = batch.inputs, batch.labels
    if "flip" in names or "shift" in names:
        inputs = [_moved(x, names, random) for x in inputs]
    if "mixup" in names:
        share, other = torch.rand(len(inputs[0]), generator=random), torch.randperm(len(inputs[0]), generator=random)
        inputs = [_blended(x, share, other) for x in inputs]
        labels = None if labels is None else _blended(labels, share, other)
    return Batch(inputs, labels, batch.given)


def _layout(shape: Sequence[int]) -> tuple[int, int] | None:
    """Axes of height and width."""
    return (2, 3) if shape[1] in CHANNELS else (1, 2) if shape[3] in CHANNELS else None


def _moved(images: Tensor, names: Sequence[str], random: torch.Generator) -> Tensor:
    axes = _layout(images.shape)
    assert axes is not None
    planes = images.movedim(axes, (1, 2))
    count, height, width = planes.shape[:3]
    rows, columns = (torch.arange(size).expand(count, size) for size in (height, width))
    if "shift" in names:
        rows, columns = _shifted(rows, random), _shifted(columns, random)
    if "flip" in names:
        mirrored = torch.rand(count, 1, generator=random) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    sample = torch.arange(count)
    moved = planes[sample[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.movedim((1, 2), axes)


def _shifted(indices: Tensor, random: torch.Generator) -> Tensor:
    """Indices moved by a random number a sample, mirrored at both ends."""
    count, size = indices.shape
    reach = size // REACH
    moved = (indices + torch.randint(-reach, reach + 1, (count, 1), generator=random)).abs()
    return size - 1 - (size - 1 - moved).abs()


def _blended(values: Tensor, share: Tensor, other: Tensor) -> Tensor:
    weight = share.reshape(-1, *[1] * (values.dim() - 1))
    return values * weight + values[other] * (1 - weight)
