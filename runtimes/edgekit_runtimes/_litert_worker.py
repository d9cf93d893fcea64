"""What the LiteRT runtime does inside its worker process; no torch, no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import DataError
from edgekit_runtimes._litert_session import Port, Session

Arrays = Mapping[str, np.ndarray]


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run every sample, one batch of the model at a time."""
    session = Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
    samples = _count(session.inputs, arrays)
    session.fit({p.name: _wanted(p, arrays[p.name]) for p in session.inputs})
    batch = _batch(session.inputs, arrays)
    rows: dict[str, list[np.ndarray]] = {p.name: [] for p in session.outputs}
    for start in range(0, samples, batch):
        session.reset()
        for port in session.inputs:
            session.feed(port.name, _slice(arrays[port.name], start, port, batch))
        session.invoke()
        for name, value in session.fetch().items():
            rows[name].append(value)
    return {}, {p.name: _stacked(rows[p.name], p, batch)[:samples] for p in session.outputs}


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Load and allocate; say what is in the file and what would run where."""
    session = Session(Path(arguments["model"]), arguments["delegate"], arguments["threads"])
    return describe(session), {}


def describe(session: Session) -> dict[str, Any]:
    """Inputs, outputs, operators and who runs each."""
    nodes = session.interpreter._get_ops_details()
    delegated = _delegated(nodes)
    ops = [_op(session, node, delegated) for node in nodes if node["op_name"] != "DELEGATE"]
    return {"inputs": [p.to_json() for p in session.inputs], "outputs": [p.to_json() for p in session.outputs], "ops": ops}


def _op(session: Session, node: dict[str, Any], delegated: set[int]) -> dict[str, Any]:
    tensors = [_tensor(session, i) for i in node["outputs"] if i >= 0]
    return {
        "index": node["index"],
        "name": node["op_name"],
        "outputs": [t["name"] for t in tensors],
        "shapes": [list(map(int, t["shape"])) for t in tensors],
        "dtypes": [np.dtype(t["dtype"]).name for t in tensors],
        "delegated": node["index"] in delegated,
    }


def _tensor(session: Session, index: int) -> dict[str, Any]:
    details: dict[str, Any] = session.interpreter._get_tensor_details(int(index), 0)
    return details


def _delegated(nodes: list[dict[str, Any]]) -> set[int]:
    """Indices of the nodes that a delegate replaced.

    LiteRT keeps them in its list and appends one DELEGATE node a partition, whose inputs and outputs are the
    partition's own. Walking back from its outputs to its inputs finds the members.
    """
    maker = {int(t): n for n in nodes if n["op_name"] != "DELEGATE" for t in n["outputs"]}
    members: set[int] = set()
    for node in (n for n in nodes if n["op_name"] == "DELEGATE"):
        border, open_tensors = set(map(int, node["inputs"])), list(map(int, node["outputs"]))
        while open_tensors:
            tensor = open_tensors.pop()
            made_by = maker.get(tensor)
            if tensor in border or made_by is None or made_by["index"] in members:
                continue
            members.add(made_by["index"])
            open_tensors.extend(map(int, made_by["inputs"]))
    return members


def _count(ports: tuple[Port, ...], arrays: Arrays) -> int:
    expected, got = {p.name for p in ports}, set(arrays)
    if expected != got:
        raise DataError(f"the model's inputs were given as {sorted(got)}", accepted=sorted(expected))
    counts = {len(a) for a in arrays.values()}
    if len(counts) != 1:
        raise DataError(f"inputs have different numbers of samples: { {k: len(a) for k, a in arrays.items()} }")
    for port in ports:
        if arrays[port.name].dtype != port.dtype:
            raise DataError(f"input {port.name!r} is {arrays[port.name].dtype}", accepted=port.dtype.name)
    return counts.pop()


def _wanted(port: Port, array: np.ndarray) -> tuple[int, ...]:
    """The shape to give an input so that one sample fits, within what the file leaves open."""
    sample = array.shape[1:]
    if sample == port.shape:
        return port.shape
    shape = (1 if port.flexible[:1] == (True,) else port.shape[0], *sample) if port.shape else (1, *sample)
    fits = len(shape) == len(port.shape) and all(a == b or free for a, b, free in zip(shape, port.shape, port.flexible, strict=True))
    if not fits:
        raise DataError(
            f"a sample of input {port.name!r} has shape {list(sample)}", accepted=f"{list(port.shape[1:])} (the model's without its batch)"
        )
    return shape


def _batch(ports: tuple[Port, ...], arrays: Arrays) -> int:
    """Samples the model takes at once."""
    sizes = {p.shape[0] for p in ports if arrays[p.name].shape[1:] != p.shape}
    if len(sizes) > 1:
        raise DataError(f"the model's inputs disagree on the batch size: { {p.name: list(p.shape) for p in ports} }")
    return sizes.pop() if sizes else 1


def _slice(array: np.ndarray, start: int, port: Port, batch: int) -> np.ndarray:
    """Samples `start` to `start + batch`, the last one repeated to fill the batch."""
    if array.shape[1:] == port.shape:
        return np.ascontiguousarray(array[start])
    rows = array[start : start + batch]
    missing = batch - len(rows)
    return np.ascontiguousarray(np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows)


def _stacked(values: list[np.ndarray], port: Port, batch: int) -> np.ndarray:
    if not values:
        return np.zeros((0, *port.shape[1:]), port.dtype)
    by_row = values[0].ndim > 0 and values[0].shape[0] == batch
    return np.concatenate(values) if by_row else np.stack(values)
