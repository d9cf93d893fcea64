"""What several files compute layer by layer, by the user's own modules.

An artifact's values come from its file: the runtime gives the result of the last operator that the manifest attributes to a module. The
float model's is the value of the module's last node. A file may compute an activation together with the layer before it, so a value is
held against both. A recipe that equalizes gives channels other scales inside, which are undone channel by channel and said so. Where a
runtime gives no value, the row says why.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import plugins, worker
from edgekit.conversion.running import encoded, request
from edgekit.errors import EdgekitError, UsageError
from edgekit.progress import report
from edgekit.recipe import Recipe
from edgekit.verification.parity import OutputParity, compare
from edgekit.verification.verdict import numbers_for_json

if TYPE_CHECKING:
    from edgekit.artifact import Artifact
    from edgekit.graph import Graph
    from edgekit.verification.verifying import Subject

UNSCALED = 0.1
"""A channel's factor up to this far from 1 is rounding, not a recipe's."""
SAMPLES = 8
"""Samples that layers are compared on: their values are as many as the model's activations."""
ACTIVATIONS = ("relu", "clamp", "hardswish", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "prelu", "elu")
RESCALED = "channels that the recipe equalized are scaled back, each by one factor"
FUSED = "not comparable: one of the files computes the activation behind it too"
ABSENT = "not available: the file has no operator whose result is this module's"
Values = Mapping[str, np.ndarray]
"""By module path, arrays of shape (samples, ...)."""


@dataclass(frozen=True)
class LayerParity:
    """One module's result in one artifact.

    Attributes:
        module: Path of the user's module.
        artifact: The artifact's label.
        against: ``float``, or the label of the artifact it is held against.
        parity: The comparison, or None.
        reason: Why there is none, or None.
    """

    module: str
    artifact: str
    against: str
    parity: OutputParity | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row."""
        parity = None if self.parity is None else {k: v for k, v in numbers_for_json(vars(self.parity)).items() if k != "name"}
        return {**vars(self), "parity": parity}


def compare_layers(subjects: Mapping[str, Subject], graph: Graph | None, inputs: Values) -> tuple[LayerParity, ...]:
    """Compare all artifacts with the float model and with each other, module by module.

    Args:
        subjects: By label.
        graph: The float model; None where it is not at hand, which leaves the comparisons with each other.
        inputs: Samples by input name; the first `SAMPLES` are used.
    """
    few = {name: array[:SAMPLES] for name, array in inputs.items()}
    found, reasons, wanted = dict[str, dict[str, np.ndarray]](), dict[str, str](), dict[str, dict[str, list[np.ndarray]]]()
    for number, (label, subject) in enumerate(subjects.items()):
        report("running layer by layer", number, len(subjects))
        try:
            found[label] = _computed(subject, few)
        except EdgekitError as error:
            found[label], reasons[label] = {}, error.message
        wanted[label] = {} if graph is None else _wanted(graph, few, set(found[label]))
    moved = {label for label, subject in subjects.items() if _equalized(subject.artifact)}
    matches = {label: {m: _nearest(found[label][m], w, label in moved) for m, w in wanted[label].items()} for label in subjects}
    modules = dict.fromkeys(module for label in subjects for module in matches[label])
    rows = [row for label in subjects for row in _against_float(label, found[label], matches[label], reasons.get(label))]
    rows += [
        LayerParity(module, label, "float", reason=ABSENT)
        for label in subjects
        for module in modules
        if label not in reasons and module not in matches[label]
    ]
    for first, second in itertools.combinations(subjects, 2):
        rows += _against_each_other(first, second, matches)
    return tuple(rows)


def _computed(subject: Subject, inputs: Values) -> dict[str, np.ndarray]:
    """The file's values by module.

    Raises:
        UsageError: The runtime gives no intermediate results.
    """
    runtime, manifest = subject.place.runtime, subject.artifact.manifest
    read = getattr(runtime, "layers", None)
    reader = plugins.load("converters", manifest.format).reader
    if read is None or reader is None:
        raise UsageError(f"not available: {runtime.name} gives no intermediate results")
    ops = worker.run(reader, {"model": str(subject.artifact.model_file.resolve())}, timeout=120)[0]
    tensors, keys = ops["tensors"], dict[str, str]()
    if len(ops["ops"]) != len(manifest.ops):
        raise UsageError("not available: the manifest lists other operators than the file has")
    for op, emitted in zip(ops["ops"], manifest.ops, strict=True):
        if emitted.module and op["outputs"]:
            number = op["outputs"][0]
            keys[emitted.module] = op["options"].get("name") or tensors[number]["name"] or f"#{number}"
    job = request(subject.artifact.model_file, subject.delegate)
    values = read(job, {s.name: encoded(s, inputs) for s in manifest.inputs}, sorted(set(keys.values())))
    return {module: values[key] for module, key in keys.items() if key in values}


def _wanted(graph: Graph, inputs: Values, modules: set[str]) -> dict[str, list[np.ndarray]]:
    """What the float model computes for each module: its own result, and those of activations that alone read it."""
    import torch  # noqa: PLC0415 - torch is there where a graph is
    from torch import fx  # noqa: PLC0415

    from edgekit.graph import is_call, module_path, op_name  # noqa: PLC0415

    last: dict[str, fx.Node] = {module_path(n): n for n in graph.nodes if is_call(n) and module_path(n) in modules}
    chains = {module: _chain(node, lambda n: is_call(n) and op_name(n) in ACTIVATIONS) for module, node in last.items()}
    needed = {n for chain in chains.values() for n in chain}
    kept: dict[fx.Node, list[np.ndarray]] = {n: [] for n in needed}

    class Keeping(fx.Interpreter):
        """Keeps the values of the needed nodes."""

        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if n in kept and isinstance(value, torch.Tensor):
                kept[n].append(value.detach().float().numpy().copy())
            return value

    arrays = [torch.from_numpy(encoded(s, inputs)) for s in graph.inputs]
    with torch.no_grad():
        for i in range(len(arrays[0])):
            Keeping(graph.module).run(*(a[i : i + 1] for a in arrays))
    return {module: [np.concatenate(kept[n]) for n in chain if kept[n] and kept[n][0].ndim] for module, chain in chains.items()}


def _chain(node: Any, is_activation: Any) -> list[Any]:
    chain = [node]
    while len(chain[-1].users) == 1 and is_activation(reader := next(iter(chain[-1].users))) and len(chain) < 3:
        chain.append(reader)
    return chain


def _equalized(artifact: Artifact) -> bool:
    """Whether the recipe moved range between channels, so that a channel inside the file is some factor of the float model's."""
    try:
        return any(step.name == "equalize" for step in Recipe.from_toml(artifact.recipe_text).passes)
    except EdgekitError:
        return False


def _scaled_back(value: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, bool]:
    """The value with each channel (axis 1) divided by the factor it is of the float model's, and whether any factor matters."""
    axes = tuple(i for i in range(value.ndim) if i != 1)
    power = (wanted**2).sum(axis=axes, keepdims=True)
    factors = np.where(power > 0, (value * wanted).sum(axis=axes, keepdims=True) / np.where(power > 0, power, 1), 1)
    factors = np.where(factors > 0, factors, 1)
    return value / factors, bool((np.abs(factors - 1) > UNSCALED).any())


@dataclass(frozen=True)
class Match:
    """A file's value found in the float model.

    Attributes:
        value: In the float model's layout.
        candidate: Which of the float model's values it is: 0 for the module's own, then those of activations behind it.
        parity: How near it is.
        rescaled: Whether channels were scaled back.
    """

    value: np.ndarray
    candidate: int
    parity: OutputParity
    rescaled: bool


def _against_float(label: str, found: Values, matches: Mapping[str, Match | None], reason: str | None) -> list[LayerParity]:
    if reason is not None:
        return [LayerParity("", label, "float", reason=reason)]
    rows = []
    for module, match in matches.items():
        if match is None:
            why = f"not available: the file's shape {list(found[module].shape[1:])} is not the module's"
            rows.append(LayerParity(module, label, "float", reason=why))
        else:
            rows.append(LayerParity(module, label, "float", match.parity, RESCALED if match.rescaled else None))
    return rows


def _against_each_other(first: str, second: str, matches: Mapping[str, Mapping[str, Match | None]]) -> list[LayerParity]:
    """Modules that both files have."""
    rows = []
    for module, mine in matches[first].items():
        theirs = matches[second].get(module)
        if mine is None or theirs is None:
            continue
        if mine.candidate != theirs.candidate:
            rows.append(LayerParity(module, first, second, reason=FUSED))
            continue
        parity = compare({module: theirs.value}, {module: mine.value})[0]
        rows.append(LayerParity(module, first, second, parity, RESCALED if mine.rescaled or theirs.rescaled else None))
    return rows


def _nearest(value: np.ndarray, candidates: list[np.ndarray], rescaled: bool) -> Match | None:
    """The float model's value that the file's is nearest to; with `rescaled`, up to a factor for each channel."""
    best = None
    for number, wanted in enumerate(candidates):
        for laid in _layouts(value, wanted.shape):
            back, matters = _scaled_back(laid, wanted) if rescaled and laid.ndim > 1 else (laid, False)
            used = back if matters else laid
            parity = compare({"": wanted}, {"": used})[0]
            if best is None or parity.sqnr_db > best.parity.sqnr_db:
                best = Match(used, number, parity, matters)
    return best


def _layouts(value: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The value with channels where the float model has them, and last; of another shape, with the same elements in either order.

    Of as many dimensions, but other sizes, is what a file computes several neighbours of at a time, as channels that are last.
    """
    found = [value] if value.shape == shape else []
    for order in ((0, 3, 1, 2), (0, 2, 3, 1)) if value.ndim == len(shape) == 4 else ((0, 2, 1),) if value.ndim == len(shape) == 3 else ():
        if tuple(value.shape[i] for i in order) == shape:
            found.append(value.transpose(order))
    if not found and value.size == math.prod(shape):
        last = np.moveaxis(value.reshape(shape[0], *shape[2:], shape[1]), -1, 1) if len(shape) > 2 else value.reshape(shape)
        found += [last] if value.ndim == len(shape) else [value.reshape(shape), last]
    return found
