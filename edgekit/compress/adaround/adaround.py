"""AdaRound: rounds weights so that layers keep giving what they gave in float, not to the nearest integers.

Nagel, Amjad, van Baalen, Louizos and Blankevoort 2020, "Up or down? Adaptive rounding for post-training quantization", section 3: the
error of each layer's outputs is minimized layer by layer, with the inputs that the quantized layers before really deliver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS, POINTWISE_ACTIVATION
from edgekit.compress.adaround.coordinates import by_coordinates
from edgekit.compress.adaround.gradient import by_gradient
from edgekit.compress.adaround.layer import Activation, Layer
from edgekit.compress.cluster.moments import can_fit, positions
from edgekit.compress.cluster.reconstruction import Seen, rebias, reconstruct
from edgekit.compress.options import require_one_of, require_within
from edgekit.compress.overrides import check_modules, matches
from edgekit.compress.roundings import is_rounding, unrounded
from edgekit.constraints import Codebook, Mask
from edgekit.graph import (
    Graph,
    argument,
    constant_value,
    finish,
    grid_of,
    imposed,
    is_call,
    module_path,
    reads,
    revalue,
    shape_of,
)
from edgekit.ops import spread
from edgekit.recipe import Context

POSITIONS, ELEMENTS = 16384, 1 << 26
"""Positions of images that a layer's roundings are chosen on, about, and elements of its input there, at most."""

METHODS: dict[str, str] = {
    "coordinates": "coordinate descent over the integers, towards the weight that fits the float outputs best",
    "gradient": "the paper's: up or down by gradient descent on a relaxation, activations included; slower",
}


@dataclass(frozen=True)
class AdaRound:
    """Chooses the integers of weights layer by layer on calibration data, so that each layer gives what it gave in float.

    Goes after ``quantize``, in the place of ``bias_correction``: it corrects biases itself, against what the float model gives.

    Given: a graph whose weights are rounded to integer grids.
    Result: the same graph and grids, with float weights moved onto the chosen integers, and with corrected biases. Pruned weights stay
    zero; clustered weights, embeddings, transposed convolutions and weights that several layers share stay as they were.
    Source: Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization", section 3.

    Attributes:
        method: A key of `METHODS`.
        iterations: Gradient steps for each layer, with ``gradient``.
        ridge: How far ``coordinates`` may move weights: what a change costs, in shares of the mean squared input.
        modules: Module path globs of the layers to round anew; all if empty.
        seed: Of the order in which ``gradient`` draws samples.
    """

    name: ClassVar[str] = "adaround"

    method: str = "coordinates"
    iterations: int = 500
    ridge: float = 0.1
    modules: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse methods that do not exist and numbers that make no sense.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        require_one_of("method of adaround", self.method, METHODS)
        require_within("adaround iterations", self.iterations, self.iterations >= 1, "1 or more gradient steps a layer")
        require_within("ridge", self.ridge, self.ridge > 0, "over 0 (shares of the mean squared input)")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The graph with other roundings and biases; itself, if no weight is on an integer grid.

        Raises:
            DataError: There are no calibration data, or they do not fit the model.
            UsageError: A glob of `modules` matches no module.
        """
        check_modules(graph, self.modules, "modules of adaround")
        layers = [n for n in graph.nodes if self._rounds(n)]
        if not layers:
            return graph
        samples = context.calibration_for("AdaRound measures layers on data")
        chosen = {n.name: lambda node, seen, index=i: self._weight(node, seen, self.seed + index) for i, n in enumerate(layers)}
        found = reconstruct(graph, samples, chosen, "learning roundings")
        return _with(graph, found.weights, found.biases)

    def _rounds(self, node: fx.Node) -> bool:
        """Whether the node is a layer to be rounded anew: its own weight, on a grid, of the layers asked for."""
        if not is_call(node, *LAYERS) or grid_of(argument(node, "weight")) is None or not can_fit(node):
            return False
        weight = unrounded(argument(node, "weight"))
        asked = not self.modules or any(matches(module_path(node), glob) for glob in self.modules)
        return asked and reads(weight) == 1 and imposed(weight, Codebook) is None

    def _weight(self, node: fx.Node, seen: Seen, seed: int) -> Tensor:
        layer = _layer(node, seen)
        chosen = by_coordinates(layer, self.ridge) if self.method == "coordinates" else by_gradient(layer, self.iterations, seed)
        return chosen.reshape(shape_of(argument(node, "weight")))


def _layer(node: fx.Node, seen: Seen) -> Layer:
    rounding = argument(node, "weight")
    value: Any = constant_value(unrounded(rounding))
    mask = imposed(unrounded(rounding), Mask)
    kept = torch.ones_like(value, dtype=torch.bool) if mask is None else mask.kept
    pieces = positions(node, seen, min(POSITIONS, ELEMENTS // value[0].numel()))
    inputs, outputs = (torch.cat(part, 2).mT.contiguous() for part in zip(*pieces, strict=True))
    shape = (len(outputs), outputs.shape[2], -1)
    steps, limits = _grid(rounding, value)
    return Layer(value.reshape(shape), steps.reshape(shape), limits, kept.reshape(shape), inputs, outputs, _activation(node))


def _grid(rounding: fx.Node, weight: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The step of each element of a weight, of its shape, and the least and greatest integer."""
    grid: Any = grid_of(rounding)
    low, high = rounding.args[-2:]
    if grid.block is not None:
        scales: Any = constant_value(rounding.args[1])
        return spread(scales, weight.shape), (int(low), int(high))  # type: ignore[arg-type]
    shape = [-1 if d == grid.axis else 1 for d in range(weight.dim())]
    return torch.tensor(grid.scale).reshape(shape).expand_as(weight), (int(low), int(high))  # type: ignore[arg-type]


def _activation(node: fx.Node) -> Activation | None:
    """The activation that is all that reads a layer, rounded in between or not."""
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    while is_rounding(reader):
        assert reader is not None
        reader = next(iter(reader.users)) if len(reader.users) == 1 else None
    if reader is None or reader.target not in POINTWISE_ACTIVATION:
        return None
    target: Any = reader.target
    return lambda value: target(value, *reader.args[1:], **reader.kwargs)


def _with(graph: Graph, weights: Mapping[str, Tensor], biases: Mapping[str, Tensor]) -> Graph:
    result = graph.copy()
    for node in result.nodes:
        if node.name in weights:
            revalue(unrounded(argument(node, "weight")), weights[node.name])
            rebias(node, biases[node.name])
    finish(result.module)
    return result
