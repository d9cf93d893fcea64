"""Inputs an app gives as pictures: what makes a model's input of pixels moves into the graph.

Then the file takes pixels 0…255 of shape (1, channels, height, width), and the app does nothing but hand over a picture of the
right size. Resizing, cropping and the order of colours stay outside: they are the system's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from torch import fx

    from edgekit.graph import Graph

_TO_LAST = [0, 2, 3, 1]
_TO_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True)
class Picture:
    """How one input is made of pixels.

    Attributes:
        name: Of the input.
        step: What the user declared of it.
        channels: 1 or 3.
        channels_last: Whether the model wants them last.
    """

    name: str
    step: Preprocess
    channels: int
    channels_last: bool

    @property
    def colour(self) -> str:
        """The order of colours the file takes: ``RGB``, ``BGR`` or ``GRAY``."""
        return "GRAY" if self.channels == 1 else self.step.colour

    @property
    def factor(self) -> np.ndarray:
        """What pixels are multiplied by, for each channel; float32 of shape (channels, 1, 1)."""
        return self._each(self.step.scale / np.asarray(self.step.std, np.float64))

    @property
    def shift(self) -> np.ndarray:
        """What is added after that; float32 of shape (channels, 1, 1)."""
        return self._each(-np.asarray(self.step.mean, np.float64) / np.asarray(self.step.std, np.float64))

    @property
    def outside(self) -> Preprocess:
        """What is left to do before the file."""
        return replace(self.step, scale=1.0, mean=(0.0,), std=(1.0,), layout="NCHW")

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """The pixels of model-ready samples of shape (samples, *input shape without batch)."""
        first = np.moveaxis(values, -1, -3) if self.channels_last else values
        return np.ascontiguousarray((first - self.shift) / self.factor, np.float32)

    def to_values(self, pixels: np.ndarray) -> np.ndarray:
        """Inverse of `to_pixels`."""
        first = pixels * self.factor + self.shift
        return np.ascontiguousarray(np.moveaxis(first, -3, -1) if self.channels_last else first, np.float32)

    def _each(self, values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values.reshape(-1, 1, 1), (self.channels, 1, 1)).astype(np.float32)


def pictures(
    specs: Iterable[TensorSpec], wanted: bool | Iterable[str], preprocess: Preprocess | Mapping[str, Preprocess] | None
) -> tuple[Picture, ...]:
    """The inputs to take as pictures.

    Args:
        specs: Of the model's inputs.
        wanted: Names, or True for all that can be.
        preprocess: What the user declared, for all inputs or by name.

    Raises:
        UsageError: None can be, one of those named cannot, or what was declared does not fit its channels.
    """
    known = {s.name: s for s in specs}
    names = list(known) if isinstance(wanted, bool) else list(wanted)
    if unknown := [n for n in names if n not in known]:
        raise UsageError(f"no input is called {unknown[0]!r}", accepted=list(known))
    found = [_picture(known[n], _step(preprocess, n)) for n in names if isinstance(wanted, bool) is False or _is_image(known[n])]
    if not found:
        shapes = ", ".join(f"{s.name}: {s.dtype}{list(s.shape)}" for s in known.values())
        raise UsageError(f"no input of this model is an image ({shapes})", accepted=_ACCEPTED, next_step="convert without image inputs")
    return tuple(found)


_ACCEPTED = "a real input of shape [1, 1 or 3, height, width] or [1, height, width, 1 or 3]"


def _step(preprocess: Preprocess | Mapping[str, Preprocess] | None, name: str) -> Preprocess | None:
    return preprocess.get(name) if isinstance(preprocess, Mapping) else preprocess


def _is_image(spec: TensorSpec) -> bool:
    sides = {spec.shape[1], spec.shape[3]} if len(spec.shape) == 4 else set()
    return spec.dtype.startswith("float") and spec.shape[:1] == (1,) and bool(sides & {1, 3})


def _picture(spec: TensorSpec, step: Preprocess | None) -> Picture:
    if not _is_image(spec):
        raise UsageError(f"input {spec.name!r} of {spec.dtype}{list(spec.shape)} is no image", accepted=_ACCEPTED)
    given = step or Preprocess()
    last = spec.shape[3] in (1, 3)
    if last and spec.shape[1] in (1, 3):
        last = (given.layout or given.data_layout) == "NHWC"
    channels = spec.shape[3 if last else 1]
    if (given.colour == "GRAY") != (channels == 1) and step is not None and given.colour != "RGB":
        raise UsageError(f"input {spec.name!r} has {channels} channels, but its preprocessing makes {given.colour} of pictures")
    for name in ("mean", "std"):
        if len(getattr(given, name)) not in (1, channels):
            raise UsageError(
                f"preprocess {name} has {len(getattr(given, name))} values", accepted=f"1 or {channels}, the channels of {spec.name!r}"
            )
    return Picture(spec.name, given, channels, last)


def from_pixels(graph: Graph, images: Iterable[Picture]) -> Graph:
    """The same model with inputs that take pixels."""
    from edgekit.graph import finish  # noqa: PLC0415 - torch is there where a graph is

    result = graph.copy()
    by_name = {image.name: image for image in images}
    placeholders = [n for n in result.nodes if n.op == "placeholder"]
    for node, spec in zip(placeholders, graph.inputs, strict=True):
        if spec.name in by_name:
            _prepend(node, by_name[spec.name])
    finish(result.module)
    specs = tuple(
        replace(s, shape=_channels_first(s.shape)) if s.name in by_name and by_name[s.name].channels_last else s for s in graph.inputs
    )
    return replace(result, inputs=specs)


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[d] for d in _TO_FIRST)


def _prepend(pixels: fx.Node, image: Picture) -> None:
    """Multiply and add behind a placeholder, and order dimensions as its readers expect."""
    import torch  # noqa: PLC0415

    from edgekit.graph import argument, aten, call, constant, is_call, substitute  # noqa: PLC0415

    readers = list(pixels.users)
    if image.channels_last:
        pixels.meta["val"] = pixels.meta["val"].permute(_TO_FIRST).contiguous()
    value, before = pixels, pixels.next
    for operation, number, neutral in ((aten.mul.Tensor, image.factor, 1), (aten.add.Tensor, image.shift, 0)):
        if (number != neutral).any():
            word = "scale" if neutral else "bias"
            value = call(before, operation, value, constant(before, torch.from_numpy(number), f"{pixels.name}_{word}", ""), like=pixels)
    last = None
    for reader in readers:
        if image.channels_last and is_call(reader, aten.permute.default) and [d % 4 for d in argument(reader, "dims")] == _TO_FIRST:
            substitute(reader, value)
            continue
        if image.channels_last and last is None:
            last = call(before, aten.permute.default, value, _TO_LAST, like=pixels)
        reader.replace_input_with(pixels, last or value)


def pixel_samples(samples: Samples, images: Iterable[Picture]) -> Samples:
    """Model-ready samples as the pixels they were made of."""
    changed = {image.name: image.to_pixels(samples.inputs[image.name]) for image in images}
    return replace(samples, inputs={**samples.inputs, **changed})


def value_samples(samples: Samples, images: Iterable[Picture]) -> Samples:
    """Inverse of `pixel_samples`."""
    changed = {image.name: image.to_values(samples.inputs[image.name]) for image in images}
    return replace(samples, inputs={**samples.inputs, **changed})


def random_pixels(samples: Mapping[str, np.ndarray], images: Iterable[Picture]) -> dict[str, np.ndarray]:
    """Random inputs, of whole numbers 0…255 where they stand for pictures."""
    rng = np.random.default_rng(0)
    noise = {i.name: rng.integers(0, 256, samples[i.name].shape).astype(np.float32) for i in images}
    return {**samples, **noise}
