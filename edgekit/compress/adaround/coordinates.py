"""The integers of one layer by coordinate descent: what AdaRound minimizes, without a relaxation, and more than up or down.

With the inputs' second moments H and the weight W* that, applied to them, fits the float outputs best (ridge regression towards the
float weight), the error of an integer weight Q is tr((Q - W*) H (Q - W*)ᵀ). Each element in turn takes the grid value that is best with all
others fixed (QuantEase, Behdin et al. 2023, section 3); no step raises the error. Activations behind the layer are not
seen, and an element may move by several steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.compress.adaround.layer import Layer
from edgekit.compress.cluster.fitting import Target, descend

SWEEPS = 8
"""Rounds over all columns, at most; most layers settle sooner."""


def by_coordinates(layer: Layer, ridge: float) -> Tensor:
    """The rounded weight of least error.

    Args:
        layer: The problem.
        ridge: What a change of the float weight costs, in shares of the mean squared input.

    Returns:
        Shape (groups, rows, columns); every element is an integer times its step.
    """
    inputs, outputs = (x - x.mean(1, keepdim=True) for x in (layer.inputs, layer.outputs))
    count, dtype = inputs.shape[1], torch.float64
    products, squares = (outputs.mT @ inputs).to(dtype) / count, (inputs.mT @ inputs).to(dtype) / count
    target = Target.fitted(layer.weight.to(dtype), products, squares, layer.kept, ridge)
    steps, weight = layer.steps.expand_as(layer.weight), layer.nearest()

    def nearest(values: Tensor, column: int) -> Tensor:
        step = steps[:, :, column]
        return (values / step).round().clamp(*layer.limits) * step

    for _ in range(SWEEPS):
        before, weight = weight, descend(target, weight, nearest)
        if torch.equal(before, weight):
            break
    return weight
