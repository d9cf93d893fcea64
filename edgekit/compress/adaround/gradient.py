"""Up or down, for all weights of one layer, by gradient descent on a relaxation.

A weight W on a grid of step s becomes ``s * (floor(W / s) + h(V))`` with the rectified sigmoid h, which reaches 0 and 1
(Nagel et al. 2020, "Up or down?", equations 21 to 25). Minimized is the squared error of the layer's outputs, behind its activation
where it has one, plus a term that drives every h(V) to an end; the exponent of that term falls on the way, so that
roundings are free at first and decided one by one. The layer's bias follows in each step: the mean output is always the wanted one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgekit.compress.adaround.layer import Layer

STRETCH = (-0.1, 1.1)
"""Ends of the stretched sigmoid before it is cut to 0 to 1 (ζ and γ)."""

BETAS = (20.0, 2.0)
"""Exponent of the regularizer when it sets in and at the end."""

FREE = 0.2
"""Share of the steps without regularizer."""

PUSH = 0.05
"""Weight of the regularizer, in shares of the error of rounding to nearest."""

RATE = 1e-2
BATCH = 512
"""Positions behind one gradient step."""


def by_gradient(layer: Layer, iterations: int, seed: int) -> Tensor:
    """The rounded weight after so many gradient steps; rounding to nearest where that loses less.

    Args:
        layer: The problem.
        iterations: Steps.
        seed: Of the order of positions.

    Returns:
        Shape (groups, rows, columns); every element is an integer times its step.
    """
    share, nearest = layer.share(), layer.nearest()
    centre = (layer.inputs.mean(1, keepdim=True), layer.outputs.mean(1, keepdim=True))
    norm = _error(layer, nearest, centre, slice(None))
    if not float(norm) > 0 or iterations == 0:
        return nearest
    with torch.enable_grad():
        found = _descend(layer, share, centre, float(norm), iterations=iterations, seed=seed)
    chosen = layer.rounded(found)
    return chosen if float(_error(layer, chosen, centre, slice(None))) < float(norm) else nearest


def _descend(layer: Layer, share: Tensor, centre: tuple[Tensor, Tensor], norm: float, *, iterations: int, seed: int) -> Tensor:
    low, high = STRETCH
    relaxed: Tensor = torch.special.logit((share - low) / (high - low)).requires_grad_()
    optimizer = torch.optim.Adam([relaxed], lr=RATE)
    random = torch.Generator().manual_seed(seed)
    count = layer.inputs.shape[1]
    for step in range(iterations):
        up = (relaxed.sigmoid() * (high - low) + low).clamp(0, 1)
        positions = torch.randint(0, count, (min(BATCH, count),), generator=random)
        loss = _error(layer, layer.rounded(up), centre, positions) / norm
        if step >= FREE * iterations:
            exponent = _exponent((step / iterations - FREE) / (1 - FREE))
            loss = loss + PUSH * (1 - (2 * up - 1).abs().pow(exponent)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (relaxed.detach() > 0).float()


def _exponent(progress: float) -> float:
    """Falls along half a cosine."""
    first, last = BETAS
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * progress))


def _error(layer: Layer, weight: Tensor, centre: tuple[Tensor, Tensor], positions: Tensor | slice) -> Tensor:
    """Mean squared error of the outputs at some positions, with the bias that gives the wanted means."""
    mean_in, mean_out = centre
    given = (layer.inputs[:, positions] - mean_in) @ weight.mT + mean_out
    wanted = layer.outputs[:, positions]
    if layer.activation is not None:
        given, wanted = layer.activation(given), layer.activation(wanted)
    return (given - wanted).square().mean()
