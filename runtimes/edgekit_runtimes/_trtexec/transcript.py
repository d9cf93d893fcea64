"""What ``trtexec`` prints and exports, read as data from a device that nobody vouches for.

The formats are those of TensorRT 8.6 to 10: the log's summary, ``--exportTimes`` and ``--exportProfile``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import ConversionError, DeviceUnavailable, InvalidMeasurement

LARGEST = 64 << 20
"""Bytes of a log or an export that are read at most."""

_LINE = re.compile(r"^(?:\[[^\]]*\] \[(?P<level>[VIWEF])\] ?)?(?P<text>.*)$")
_VERSION = re.compile(r"TensorRT[. ]v(\d+)")
_STATISTIC = re.compile(r"(min|max|mean|median|percentile\((\d+(?:\.\d+)?)%\)) = ([^ ,]+) ms")
_NUMBER = r"([0-9.eE+-]+)"


@dataclass(frozen=True)
class Spread:
    """How a time is distributed, in milliseconds.

    Attributes:
        low: Smallest.
        high: Largest.
        mean: Mean.
        median: Median.
        percentiles: By percent.
    """

    low: float
    high: float
    mean: float
    median: float
    percentiles: Mapping[float, float]


@dataclass(frozen=True)
class Transcript:
    """A log of ``trtexec``.

    Attributes:
        tensorrt: Version (``10.3.0``).
        gpu: The selected device, or None where the log does not say.
        compute_capability: Its, or None.
        multiprocessors: Its, or None.
        times: By trtexec's own titles: ``Latency``, ``GPU Compute Time``, ``Enqueue Time``, ``H2D Latency``, ``D2H Latency``.
        throughput: Inferences a second, or None.
        build_seconds: What building took, or None.
        warnings: Its own, such as that times are unstable.
    """

    tensorrt: str
    gpu: str | None
    compute_capability: str | None
    multiprocessors: int | None
    times: Mapping[str, Spread]
    throughput: float | None
    build_seconds: float | None
    warnings: tuple[str, ...]

    def latency(self) -> Spread:
        """From the inputs' copy to the outputs' copy.

        Raises:
            InvalidMeasurement: Nothing was timed.
        """
        if "Latency" not in self.times:
            raise InvalidMeasurement(
                "trtexec timed nothing: its log has no performance summary", next_step="run it without --skipInference"
            )
        return self.times["Latency"]


@dataclass(frozen=True)
class LayerTime:
    """A layer of an engine: what TensorRT fused is one layer, named after all its nodes.

    Attributes:
        name: TensorRT's.
        mean_ms: A run.
        median_ms: A run, or None in exports that lack it.
        share: Of the whole, 0 to 1.
    """

    name: str
    mean_ms: float
    median_ms: float | None
    share: float

    def modules(self, paths: Mapping[str, str]) -> tuple[str, ...]:
        """The user's modules whose nodes are in this layer.

        Args:
            paths: Module path by node name, as the artifact's model has them.
        """
        found = (module for node, module in paths.items() if re.search(rf"(?<![\w/.]){re.escape(node)}(?![\w/.])", self.name))
        return tuple(dict.fromkeys(found))


def read_log(text: str) -> Transcript:
    """Read a log.

    Raises:
        ConversionError: trtexec says that it failed; the error is its own last one.
        InvalidMeasurement: It is no log of trtexec, or ends before trtexec did.
    """
    lines = list(_lines(text[:LARGEST]))
    if not any("TensorRT.trtexec" in line for _, line in lines):
        raise InvalidMeasurement("this is no log of trtexec", accepted="all that trtexec prints, its first and its last line too")
    if any(line.startswith("&&&& FAILED") for _, line in lines):
        raise _failure(lines)
    if not any(line.startswith("&&&& PASSED") for _, line in lines):
        raise InvalidMeasurement("the log of trtexec ends before trtexec did", next_step="run it again; was the device switched off?")
    plain = "\n".join(line for _, line in lines)
    return Transcript(
        tensorrt=_version(plain),
        gpu=_word(r"^Selected Device: (.+)$", plain),
        compute_capability=_word(r"^Compute Capability: ([0-9.]+)$", plain),
        multiprocessors=None if (count := _word(r"^SMs: ([0-9]{1,5})$", plain)) is None else int(count),
        times=dict(_times(lines)),
        throughput=_quantity(rf"^Throughput: {_NUMBER} qps$", plain),
        build_seconds=_quantity(rf"^Engine built in {_NUMBER} sec\.?$", plain),
        warnings=tuple(line.strip("* ") for level, line in lines if level == "W"),
    )


def read_times(text: str) -> tuple[float, ...]:
    """Latencies of an export of ``--exportTimes``, in milliseconds and in order.

    Raises:
        InvalidMeasurement: It is no such export.
    """
    rows = _rows(text, "--exportTimes")
    return tuple(_positive(row, "latencyMs", "--exportTimes") for row in rows)


def read_profile(text: str) -> tuple[LayerTime, ...]:
    """Layers of an export of ``--exportProfile``, in the engine's order.

    Raises:
        InvalidMeasurement: It is no such export.
    """
    rows = [row for row in _rows(text, "--exportProfile") if "name" in row]
    means = [_positive(row, "averageMs", "--exportProfile") for row in rows]
    total = sum(means) or 1.0
    return tuple(
        LayerTime(str(row["name"]), mean, _positive(row, "medianMs", "--exportProfile") if "medianMs" in row else None, mean / total)
        for row, mean in zip(rows, means, strict=True)
    )


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Level and text of each line."""
    for line in text.splitlines():
        match = _LINE.match(line.rstrip())
        assert match is not None
        yield match["level"] or "", match["text"].strip()


def _failure(lines: list[tuple[str, str]]) -> ConversionError | DeviceUnavailable:
    errors = [line for level, line in lines if level in ("E", "F") and line]
    said = next((e for e in errors if "Error Code" in e or "ERROR" in e), errors[0] if errors else "it does not say why")
    if re.search(r"no CUDA-capable device|CUDA initialization failure|Cannot find any CUDA", " ".join(errors)):
        return DeviceUnavailable(f"trtexec finds no GPU: {said[:300]}", next_step="run it on the device, as a user who may use its GPU")
    return ConversionError(f"trtexec failed: {said[:300]}", next_step="edgekit explain model.onnx lists what TensorRT refuses")


def _version(text: str) -> str:
    """``10.3.0`` of ``v100300`` or, before version 10, ``8.6.1`` of ``v8601``."""
    written = _word(r"^TensorRT version: (\d+\.\d+\.\d+)", text)
    if written is not None:
        return written
    match = _VERSION.search(text)
    number = int(match[1][:9]) if match else 0
    major, rest = divmod(number, 10_000 if number >= 100_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _times(lines: list[tuple[str, str]]) -> Iterator[tuple[str, Spread]]:
    for _, line in lines:
        title, _, rest = line.partition(": ")
        found = {name: _finite(value) for name, _, value in _STATISTIC.findall(rest)}
        if {"min", "max", "mean", "median"} <= set(found):
            percentiles = {float(percent): _finite(value) for _, percent, value in _STATISTIC.findall(rest) if percent}
            yield title, Spread(found["min"], found["max"], found["mean"], found["median"], percentiles)


def _word(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None


def _quantity(pattern: str, text: str) -> float | None:
    word = _word(pattern, text)
    return None if word is None else _finite(word)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise InvalidMeasurement(f"trtexec's log has a time of {text[:30]!r}", accepted="a number of milliseconds")
    return value


def _rows(text: str, option: str) -> list[dict[str, Any]]:
    try:
        data = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        raise InvalidMeasurement(f"this is no export of trtexec {option}", accepted="a JSON list of objects")
    return data


def _positive(row: Mapping[str, Any], key: str, option: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise InvalidMeasurement(f"an entry of trtexec {option} has {key} {str(value)[:30]!r}", accepted="a number of milliseconds")
    return float(value)
