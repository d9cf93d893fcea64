"""A small classification task for tests of training, and networks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgekit.data import Samples
from edgekit.graph import Graph, aten
from edgekit.recipe import Context
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import RULES, conv, weights

CLASSES = 4
IMAGE = torch.zeros(1, 3, 8, 8)


def stripes(count: int = 96, seed: int = 0) -> Samples:
    """Noisy images of 4 classes: each has a bright row or column in one half; labelled."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    images = random.normal(size=(count, 3, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        line = 1 + 4 * (label % 2) + random.integers(0, 2)
        image[:, line, :] += 2.0 * (label < 2)
        image[:, :, line] += 2.0 * (label >= 2)
    return Samples({"x0": images}, labels.astype(np.int64))


def classifier(*, softmax: bool = False, seed: int = 0) -> Graph:
    """Conv - relu - conv - add - relu - reshape - linear, of module paths ``net``; 4 classes."""

    def net(x0: Any, **k: Any) -> Any:
        a = aten.relu.default(conv(x0, k["w1"], k["b1"], stride=2))
        b = aten.relu.default(aten.add.Tensor(a, conv(a, k["w2"], k["b2"])))
        z = aten.linear.default(aten.reshape.default(b, [1, 128]), k["w3"], k["b3"])
        return aten.softmax.int(z, 1) if softmax else z

    constants = {
        "w1": weights(8, 3, 3, 3, seed=seed),
        "b1": weights(8, seed=seed + 1),
        "w2": weights(8, 8, 3, 3, seed=seed + 2),
        "b2": weights(8, seed=seed + 3),
        "w3": weights(CLASSES, 128, seed=seed + 4),
        "b3": weights(CLASSES, seed=seed + 5),
    }
    return graph_of(net, [IMAGE], "net", **constants)


def regression(*, seed: int = 0) -> Graph:
    """Linear - tanh - linear, from 6 to 6."""

    def net(x0: Any, **k: Any) -> Any:
        return aten.linear.default(aten.tanh.default(aten.linear.default(x0, k["w1"], k["b1"])), k["w2"], None)

    constants = {"w1": weights(5, 6, seed=seed), "b1": weights(5, seed=seed), "w2": weights(6, 5, seed=seed + 1)}
    return graph_of(net, [torch.zeros(1, 6)], "net", **constants)


def context(training: Samples | None = None, **given: Any) -> Context:
    """A context with training data: `stripes` unless others are given."""
    return Context(RULES, training=stripes() if training is None else training, **given)
