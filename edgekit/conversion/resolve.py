"""What a conversion was asked for, with the target's defaults filled in and everything refused that no target has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

from edgekit.conversion.batches import checked_batches
from edgekit.conversion.concessions import checked_kinds
from edgekit.conversion.images import Picture
from edgekit.conversion.lessons import Lessons
from edgekit.conversion.vendor import vendor_scheme
from edgekit.errors import UsageError
from edgekit.plugins import Encoding
from edgekit.preprocess import Preprocess
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.schemes import Scheme
from edgekit.targets import Target, load_target

OTHER_BATCHES = "--batch for one, or for TFLite files --dim INPUT:0=1..8"


@dataclass(frozen=True)
class Request:
    """What `convert` was asked for, resolved.

    Attributes:
        target: The device class, at the version of its platform asked for.
        recipe: What to do to the model.
        encoding: How to write it.
        emitter: ``edgekit``, or ``vendor``.
        accept: Kinds of concession that are acceptable; None for all.
        preprocess: Of all inputs, or by input name; of what is left to do outside of the file.
        images: Inputs the file takes as pictures; True until the model is loaded for all that can be.
        pictures: Those inputs, once the model is loaded.
        lessons: What passes that train learn from, once the data are read.
    """

    target: Target
    recipe: Recipe
    encoding: Encoding
    emitter: str
    accept: tuple[str, ...] | None
    preprocess: Preprocess | Mapping[str, Preprocess] | None
    images: bool | tuple[str, ...] = False
    pictures: tuple[Picture, ...] = ()
    lessons: Lessons = field(default_factory=Lessons)

    def with_pictures(self, found: tuple[Picture, ...], inputs: Sequence[str]) -> Request:
        """The same once it is known which inputs are pictures: what is left of their preprocessing, and their colours in the file."""
        declared = self.preprocess
        steps = dict(declared) if isinstance(declared, Mapping) else {} if declared is None else dict.fromkeys(inputs, declared)
        encoding = replace(self.encoding, images={p.name: p.colour for p in found})
        return replace(self, encoding=encoding, preprocess={**steps, **{p.name: p.outside for p in found}}, pictures=found)


class FileOptions(TypedDict, total=False):
    """How `edgekit.convert` writes the file, and what it may concede.

    Attributes:
        labels: Class labels to embed.
        description: Text to embed.
        author: Who made the model, to embed.
        licence: Under which terms it may be used, to embed.
        version: The model's own version, to embed.
        input_dtype: Dtype of the file's float inputs; None for the recipe's or the target's.
        output_dtype: The same for outputs.
        images: Inputs that the file takes as pictures, by name, or True for all that can be: `preprocess` moves into the file.
        compute: ``float16`` or ``float32`` for float operators; None for the target's.
        versions: Oldest version of the device's system to run on, by platform: ``{"ios": "17"}``; None for the target's.
        batches: The smallest, the usual and the largest batch, for a file that takes any between (jetson).
        emitter: ``edgekit``, or ``vendor`` for the vendor's own converter.
        accept: Kinds of concession to accept (see `edgekit.conversion.concessions.KINDS`); None accepts all and lists them.
    """

    labels: Sequence[str] | None
    description: str | None
    author: str | None
    licence: str | None
    version: str | None
    input_dtype: str | None
    output_dtype: str | None
    images: bool | Sequence[str]
    compute: str | None
    versions: Mapping[str, str] | None
    batches: Sequence[int] | None
    emitter: str
    accept: Sequence[str] | None


def resolve(
    target: str | Path | Target,
    recipe: str | Path | Recipe | None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None,
    *,
    labels: Sequence[str] | None = None,
    description: str | None = None,
    author: str | None = None,
    licence: str | None = None,
    version: str | None = None,
    input_dtype: str | None = None,
    output_dtype: str | None = None,
    images: bool | Sequence[str] = False,
    compute: str | None = None,
    versions: Mapping[str, str] | None = None,
    batches: Sequence[int] | None = None,
    emitter: str = "edgekit",
    accept: Sequence[str] | None = None,
) -> Request:
    """Arguments as of `edgekit.convert` and `FileOptions`.

    Raises:
        UsageError: A name or a combination that does not exist.
    """
    if emitter not in ("edgekit", "vendor"):
        raise UsageError(f"unknown emitter {emitter!r}", accepted=["edgekit", "vendor"])
    device = at_versions(target if isinstance(target, Target) else load_target(target), versions or {})
    chosen = load_recipe(recipe if recipe is not None else device.recipe)
    _check_dynamic(chosen.schemes, device)
    _check_width(chosen.schemes, device)
    integer = any(s.static for s in chosen.schemes)
    encoding = Encoding(
        labels=tuple(labels) if labels is not None else None,
        description=description,
        author=author,
        licence=licence,
        version=version,
        batches=None if batches is None else checked_batches(batches),
        input_dtype=input_dtype or chosen.input_dtype or (device.input_dtype if integer else "float32"),
        output_dtype=output_dtype or chosen.output_dtype or (device.output_dtype if integer else "float32"),
        compute=_compute(device, compute),
        platform=device.platform,
    )
    if batches is not None and not device.open_batch:
        raise UsageError(f"target {device.name!r} has files of one batch only", accepted="targets such as jetson", next_step=OTHER_BATCHES)
    if emitter == "vendor":
        vendor_scheme(chosen, device.format, encoding)
    if images and not device.images:
        raise UsageError(
            f"target {device.name!r} takes no pictures as inputs", accepted="targets such as ios", next_step="leave out --images"
        )
    kinds = None if accept is None else checked_kinds(accept)
    return Request(device, chosen, encoding, emitter, kinds, preprocess, images if isinstance(images, bool) else tuple(images))


def at_versions(target: Target, versions: Mapping[str, str]) -> Target:
    """The target at the version given for its platform.

    Args:
        target: The device class.
        versions: By a platform's option (``ios``), the oldest version to run on.

    Raises:
        UsageError: The target has no such platform, or that no such version.
    """
    for option, version in versions.items():
        if target.platform is None or target.platform.option != option:
            raise UsageError(f"target {target.name!r} has no versions of {option!r}", next_step=f"leave out --{option}")
        target = target.at(str(version))
    return target


def _compute(target: Target, asked: str | None) -> str:
    if asked is not None and asked not in target.compute:
        raise UsageError(f"target {target.name!r} does not compute in {asked}", accepted=target.compute, next_step="leave out --compute")
    return asked or target.compute[0]


def _check_dynamic(schemes: Sequence[Scheme], target: Target) -> None:
    if not target.rules.dynamic and (dynamic := next((s for s in schemes if s.dynamic), None)):
        raise UsageError(
            f"scheme {dynamic.name!r} rounds activations at run time, and target {target.name!r} has no kernels that do",
            accepted=["w8a8 (calibrated)", "w8 (float activations)"],
            next_step="--recipe int8, or --recipe weight_int8",
        )


def _check_width(schemes: Sequence[Scheme], target: Target) -> None:
    widths = target.rules.activations
    if odd := next((s for s in schemes if s.static and s.activation_bits not in widths), None):
        raise UsageError(
            f"scheme {odd.name!r} rounds activations to int{odd.activation_bits}, and target {target.name!r} has no such kernels",
            accepted=[f"int{bits} activations" for bits in widths] or "schemes with float activations",
            next_step="--recipe int8" if widths else "--recipe weight_int8",
        )
