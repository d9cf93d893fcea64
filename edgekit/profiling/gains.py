"""`measure_gains`: what pruning gained, on the files themselves, with both models launched in turns."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact
from edgekit.errors import UsageError
from edgekit.gains import Gains, Size, Timing
from edgekit.profiling.comparing import Comparison, compare
from edgekit.profiling.subject import engine, subject

_PIECE = 1 << 20


def measure_gains(pruned: str | Path | Artifact, unpruned: str | Path | Artifact, **options: Any) -> Artifact:
    """Measure a pruned model against the unpruned one, and write what was gained into its manifest.

    Args:
        pruned: An artifact whose recipe prunes, or its folder.
        unpruned: The same model without pruning, as ``edgekit.convert(..., unpruned=FOLDER)`` makes it beside the other.
        **options: As of `edgekit.compare`: ``on``, ``runtime``, ``threads``, ``quick``, ``rounds``, ….

    Returns:
        The pruned artifact; ``Gains.from_json(artifact.manifest.gains)`` is the record. Where nothing here can time the format, the record
        says why, and its flag ``no_measured_gain`` is set.

    Raises:
        UsageError: One is no artifact, they are of different models or formats, or the recipe of `pruned` does not prune.
        DeviceUnavailable: A device that was asked for cannot be reached.
    """
    after, before = (a if isinstance(a, Artifact) else Artifact.load(a) for a in (pruned, unpruned))
    found = _record(after, before)
    timing, reason = _timed(before, after, options)
    return after.with_gains(found.measured(_with_files(found.before, before), _with_files(found.after, after), timing, reason))


def _record(after: Artifact, before: Artifact) -> Gains:
    gains = after.manifest.gains
    if gains is None:
        raise UsageError(f"the recipe of {after.path} prunes nothing", accepted="an artifact made by a recipe that prunes")
    for what in ("source", "format"):
        if getattr(after.manifest, what) != getattr(before.manifest, what):
            raise UsageError(f"{after.path} and {before.path} differ in {what}", accepted="one model, converted with and without pruning")
    return Gains.from_json(gains)


def _timed(before: Artifact, after: Artifact, options: dict[str, Any]) -> tuple[Timing | None, str | None]:
    """Both launched in turns. That nothing on this machine can time the format is no error, but a reason."""
    if options.get("runtime") is None and options.get("on", "host") == "host":
        try:
            engine(None, subject(after))
        except UsageError as error:
            return None, error.message
    return _timing(compare(before, after, **options)), None


def _timing(found: Comparison) -> Timing:
    return Timing(
        before_ms=found.a.latency.median_ms,
        after_ms=found.b.latency.median_ms,
        ratio=found.ratio.value,
        low=found.ratio.low,
        high=found.ratio.high,
        verdict=found.verdict,
        rounds=len(found.order),
        runtime=found.b.runner.runtime,
        on=found.b.runner.on,
        doubts=tuple(f.text for f in found.validity.reasons),
    )


def _with_files(size: Size, artifact: Artifact) -> Size:
    return Size(size.macs, size.parameters, size.zeros, artifact.model_bytes, _zipped(artifact.model_file))


def _zipped(model: Path) -> int:
    """Bytes of a model's files, deflated."""
    files = [model] if model.is_file() else sorted(p for p in model.rglob("*") if p.is_file())
    return sum(_deflated(file) for file in files)


def _deflated(path: Path) -> int:
    packer, size = zlib.compressobj(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            size += len(packer.compress(piece))
    return size + len(packer.flush())
