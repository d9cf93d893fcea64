"""A stand-in for TensorRT's ``trtexec``, for tests: it prints what trtexec prints and computes nothing. No GPU is involved.

Every figure is invented. Its behaviour is chosen by variables: ``STANDIN_GPU``, ``STANDIN_VERSION`` (``100300``), ``STANDIN_FAULT``
(``refuse``, ``crash``, ``garbage``, ``hang``). It counts the engines it built in the file ``STANDIN_LOG``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

GPU, VERSION = os.environ.get("STANDIN_GPU", "Orin"), os.environ.get("STANDIN_VERSION", "100300")
FAULT = os.environ.get("STANDIN_FAULT", "")


def install(folder: Path) -> Path:
    """Put it into a folder as ``trtexec``; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "trtexec"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n')
    program.chmod(0o755)
    return folder


def main(arguments: list[str]) -> int:
    """Do as trtexec would."""
    options = dict(word.removeprefix("--").partition("=")[::2] for word in arguments)
    print(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{VERSION}] [b26] # trtexec {' '.join(arguments)}")
    _say(f"Selected Device: {GPU}", "Compute Capability: 8.7", "SMs: 8", f"TensorRT version: {VERSION[:2]}.{VERSION[2:4].lstrip('0')}.0")
    if FAULT == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if FAULT == "hang":
        time.sleep(3600)
    if FAULT == "garbage":
        sys.stdout.buffer.write(os.urandom(1000))
        return 0
    if "onnx" in options:
        return _build(options, arguments)
    return _infer(options, arguments)


def _build(options: dict[str, str], arguments: list[str]) -> int:
    if FAULT == "refuse":
        print("[11/22/2026-02:00:00] [E] ERROR: onnxOpImporters.cpp:1570 [6] TRT only supports symmetric quantization.")
        return _end("FAILED", arguments)
    Path(options["saveEngine"]).write_bytes(b"an engine of " + Path(options["onnx"]).read_bytes()[:64])
    if log := os.environ.get("STANDIN_LOG"):
        with Path(log).open("a") as file:
            file.write(" ".join(arguments) + "\n")
    _say("Engine built in 35.5173 sec.")
    return _end("PASSED", arguments)


def _infer(options: dict[str, str], arguments: list[str]) -> int:
    if not Path(options["loadEngine"]).read_bytes().startswith(b"an engine of "):
        return _end("FAILED", arguments)
    _say("Engine deserialized in 0.0034 sec.")
    latency = "min = 0.0598 ms, max = 0.0700 ms, mean = 0.0650 ms, median = 0.0647 ms, percentile(99%) = 0.0703 ms"
    _say("=== Performance summary ===", "Throughput: 18432.7 qps", f"Latency: {latency}", f"GPU Compute Time: {latency}")
    if "exportTimes" in options:
        rows = [{"latencyMs": 0.0647 + 0.0001 * (i % 7 - 3), "computeMs": 0.05} for i in range(500)]
        Path(options["exportTimes"]).write_text(json.dumps(rows))
    if "exportProfile" in options:
        layers = [{"name": name, "timeMs": 4.0, "averageMs": ms, "percentage": 50.0} for name, ms in (("conv1 + relu", 0.03), ("fc", 0.02))]
        Path(options["exportProfile"]).write_text(json.dumps([{"count": 1000}, *layers]))
    if "exportOutput" in options:
        given = [entry.rpartition(":")[2] for entry in options["loadInputs"].split(",")]
        total = sum(sum(Path(file).read_bytes()) for file in given)
        names = os.environ.get("STANDIN_OUTPUTS", "y:1x2").split(",")
        tensors = [{"name": n.partition(":")[0], "dimensions": n.partition(":")[2], "values": [total % 100, 1]} for n in names]
        Path(options["exportOutput"]).write_text(json.dumps(tensors))
    return _end("PASSED", arguments)


def _say(*lines: str) -> None:
    for line in lines:
        print(f"[11/22/2026-02:00:00] [I] {line}")


def _end(how: str, arguments: list[str]) -> int:
    print(f"&&&& {how} TensorRT.trtexec [TensorRT v{VERSION}] [b26] # trtexec {' '.join(arguments)}", flush=True)
    return int(how != "PASSED")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
