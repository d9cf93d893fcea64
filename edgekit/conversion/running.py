"""Running a graph, and a written file, on the same samples: floats in, floats out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import plugins
from edgekit.errors import DataError, UsageError
from edgekit.plugins import RunRequest, Runtime
from edgekit.progress import track
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from edgekit.devices import Device
    from edgekit.graph import Graph

Arrays = Mapping[str, np.ndarray]
BATCH = 32
"""Samples at once for a graph that takes any batch."""


def runtime_for(model_format: str, name: str | None = None) -> Runtime:
    """The runtime called `name`, else the first that executes a format (that of the format's own name comes first).

    Raises:
        UsageError: There is none, or it does not execute the format.
    """
    known = plugins.names("runtimes")
    for candidate in [name] if name else sorted(known, key=lambda other: other != model_format):
        runtime: Runtime = plugins.load("runtimes", candidate)
        if model_format in runtime.formats:
            return runtime
    raise UsageError(f"{f'{name} does not execute' if name else 'no runtime executes'} format {model_format!r}", accepted=known)


def runtime_on(
    device: Device, model_format: str, chosen: Runtime | str | None = None, *, useless: Callable[[Runtime], str | None] = lambda there: None
) -> Runtime:
    """The runtime asked for, or the first by name that executes a format on a device, there.

    Args:
        device: Where.
        model_format: Of the file.
        chosen: The runtime or its name.
        useless: Why one that can run there will not do, or None if it will.

    Raises:
        UsageError: None can; it says why each cannot.
    """
    given: Any = plugins.load("runtimes", chosen) if isinstance(chosen, str) else chosen
    known: list[Any] = [given] if given is not None else [plugins.load("runtimes", name) for name in plugins.names("runtimes")]
    refusals: dict[str, str] = {}
    for engine in (r for r in known if hasattr(r, "on") and model_format in r.formats):
        if (reason := engine.refusal(device.machine())) is None:
            try:
                there: Runtime = engine.on(device)
                reason = useless(there)
            except UsageError as error:  # it has to try to know
                reason = error.message
            if reason is None:
                return there
        refusals[engine.name] = reason
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
    asked = f"runtime {given.name!r} does not run" if given is not None else "no runtime runs"
    raise UsageError(
        f"{asked} {model_format!r} files on {device.address}" + (f" ({reasons})" if reasons else ""),
        next_step="docs/devices.md says which runtime runs where",
    )


def run_file(
    runtime: Runtime, request: RunRequest, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec], samples: Arrays
) -> dict[str, np.ndarray]:
    """Run a model file on real-valued samples.

    Args:
        runtime: Executes the file's format.
        request: The file and how to run it.
        inputs: As the file has them; integer inputs are rounded to their grid.
        outputs: As the file has them; integer outputs come back as real values.
        samples: By input name, arrays of shape (samples, *input shape without batch).

    Returns:
        By output name, arrays of shape (samples, *output shape without batch).

    Raises:
        DataError: The samples are not the model's inputs.
    """
    given = runtime.run(request, {s.name: encoded(s, samples) for s in inputs})
    return {s.name: s.grid.to_reals(given[s.name]) if s.grid else given[s.name] for s in outputs}


def encoded(spec: TensorSpec, samples: Arrays) -> np.ndarray:
    """One input's samples in the dtype the file takes.

    Raises:
        DataError: They are missing, of another shape, or not values of that dtype.
    """
    if spec.name not in samples:
        raise DataError(f"there is no data for input {spec.name!r}", accepted=sorted(samples))
    values = samples[spec.name]
    if values.shape[1:] != spec.shape[1:]:
        raise DataError(f"the data for input {spec.name!r} has shape {list(values.shape[1:])} a sample", accepted=str(list(spec.shape[1:])))
    if spec.grid is not None:
        return spec.grid.to_integers(values)
    cast = values.astype(spec.dtype)
    if cast.dtype.kind in "iub" and not np.array_equal(cast, values):
        raise DataError(f"the data for input {spec.name!r} are not {spec.dtype} values", accepted=f"whole numbers that {spec.dtype} holds")
    return cast


def run_graph(
    graph: Graph, samples: Arrays, title: str = "running the float model", run: Callable[..., Any] | None = None
) -> dict[str, np.ndarray]:
    """Run a graph on samples, one batch of the model at a time.

    Args:
        graph: Its inputs' first dimension is the batch; -1 for one that takes any.
        samples: By input name, arrays of shape (samples, *input shape without batch).
        title: What progress calls it.
        run: Runs the graph's module in its place, on the same inputs.

    Returns:
        By output name, arrays of shape (samples, *output shape without batch).
    """
    import torch  # noqa: PLC0415 - only where a graph is at hand

    count, batch = len(next(iter(samples.values()))), graph.inputs[0].shape[0] if graph.inputs[0].shape else 1
    batch = BATCH if batch == -1 else batch
    arrays = {s.name: torch.from_numpy(encoded(s, samples)) for s in graph.inputs}
    rows: dict[str, list[np.ndarray]] = {s.name: [] for s in graph.outputs}
    for start in track(title, range(0, count, batch)):
        index = torch.arange(start, start + batch).clamp_max(count - 1)
        with torch.no_grad():
            results = (run or graph)(*(arrays[s.name][index] for s in graph.inputs))
        for spec, result in zip(graph.outputs, results, strict=True):
            rows[spec.name].append(result.numpy())
    return {s.name: _stacked(rows[s.name], s, batch)[:count] for s in graph.outputs}


def _stacked(values: list[np.ndarray], spec: TensorSpec, batch: int) -> np.ndarray:
    by_row = spec.shape[:1] in ((batch,), (-1,))
    return np.concatenate(values) if by_row else np.stack(values)


def request(model: Path, delegate: str = "xnnpack", timeout: float = 600.0) -> RunRequest:
    """One thread, so that results do not depend on the machine."""
    return RunRequest(model, 1, delegate, {"timeout": timeout})
