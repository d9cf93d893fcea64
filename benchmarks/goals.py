"""The figures edgekit is held to, by model."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.results import OURS, Goal, Ratio, Results
from benchmarks.startup import medians

FLOAT_ACCURACY = {"ic_resnet8": 0.881, "cifar_resnet20": 0.915, "cifar_resnet56": 0.926}
"""Of the float models on the same 1000 images."""
IC_RESNET8_OPS = {"CONV_2D": 9, "ADD": 3, "AVERAGE_POOL_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1, "RESHAPE": 1}
MIB = 2**20


def goals(results: Results) -> list[Goal]:
    """All goals whose figures were measured."""
    return [*_accuracy(results), *_nearness(results), *_files(results), *_latency(results), *_conversion(results), *_startup(results)]


def _accuracy(results: Results) -> Iterator[Goal]:
    for model, least in (("ic_resnet8", 0.878), ("cifar_resnet20", 0.915), ("cifar_resnet56", FLOAT_ACCURACY["cifar_resnet56"] - 0.003)):
        file = results.found(model, OURS).file
        if file is not None and file.accuracy is not None:
            yield Goal(f"{model} accuracy", f"{file.accuracy:.3f}", f"≥ {least:.3f}", file.accuracy >= least - 1e-9)


def _nearness(results: Results) -> Iterator[Goal]:
    """Accuracy on 1000 images cannot tell int8 files apart; how near their outputs are to the float model's can."""
    for model in FLOAT_ACCURACY:
        found = {e.tool: e.file.sqnr_db for e in results.entries if e.model == model and e.file and e.file.sqnr_db is not None}
        ours = found.pop(OURS, None)
        if ours is not None and found:
            peer, best = max(found.items(), key=lambda item: item[1])
            yield Goal(f"{model} SQNR, dB, against the float model", f"{ours:.1f}", f"≥ {best:.1f} ({peer})", ours >= best)


def _files(results: Results) -> Iterator[Goal]:
    for model in FLOAT_ACCURACY:
        file = results.found(model, OURS).file
        if file is None:
            continue
        yield Goal(f"{model} float operators", str(file.float_ops), "0", file.float_ops == 0)
        if model == "ic_resnet8":
            yield Goal("ic_resnet8 bytes", f"{file.bytes:,}", "≤ 92,500", file.bytes <= 92_500)
            fits = all(count <= IC_RESNET8_OPS.get(op, 0) for op, count in file.ops.items())
            yield Goal(
                "ic_resnet8 operators", ", ".join(f"{n} {op}" for op, n in sorted(file.ops.items())), "its 15 and at most 1 RESHAPE", fits
            )
        else:
            transposes = file.ops.get("TRANSPOSE", 0)
            yield Goal(f"{model} TRANSPOSE", str(transposes), "≤ 1", transposes <= 1)


def _latency(results: Results) -> Iterator[Goal]:
    for model, ratios in results.latency.items():
        worst = max(ratios.items(), key=lambda item: item[1].value, default=None)
        if worst is not None:
            peer, ratio = worst
            yield Goal(f"{model} latency / best peer ({peer})", str(ratio), "≤ 1.00", ratio.value <= 1.0)


def _conversion(results: Results) -> Iterator[Goal]:
    ours, theirs = (results.found("mobilenet_v2", tool) for tool in (OURS, "tfliteconverter"))
    if not ours.costs or len(ours.costs) != len(theirs.costs):
        return
    time = Ratio.of_pairs([c.seconds for c in ours.costs], [c.seconds for c in theirs.costs])
    peak = Ratio.of_pairs([c.peak_bytes for c in ours.costs], [c.peak_bytes for c in theirs.costs])
    yield Goal("mobilenet_v2 conversion time / tfliteconverter", str(time), "≤ 0.70", time.value <= 0.7)
    yield Goal("mobilenet_v2 conversion memory / tfliteconverter", str(peak), "≤ 1.00", peak.value <= 1.0)


def _startup(results: Results) -> Iterator[Goal]:
    limits = {"import edgekit": 0.1, "edgekit --help": 0.3}
    for name, seconds in medians(results.startup).items():
        if name in limits:
            yield Goal(name, f"{seconds:.3f} s", f"≤ {limits[name]} s", seconds <= limits[name])
