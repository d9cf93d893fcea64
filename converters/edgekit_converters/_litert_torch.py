"""The vendor's own way to TFLite: litert-torch, then ai-edge-quantizer. Runs in a worker process, behind ``--emitter vendor``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

RECIPES = {
    "float32": None,
    "w8a8": "static_wi8_ai8",
    "w8a16": "static_wi8_ai16",
    "w8ad8": "dynamic_wi8_afp32",
    "w8": "weight_only_wi8_afp32",
}
"""Scheme to the recipe of ai-edge-quantizer that is nearest to it."""


def convert(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Convert ``arguments["program"]``, a ``.pt2``, to ``arguments["model"]``.

    `arrays` holds calibration samples by input name, of shape (samples, *input shape without batch).
    """
    import litert_torch  # noqa: PLC0415 - takes seconds, and is seldom there
    import torch  # noqa: PLC0415

    program = torch.export.load(arguments["program"])
    inputs, outputs, model = arguments["inputs"], arguments["outputs"], arguments["model"]
    examples = {spec["name"]: torch.zeros(spec["shape"], dtype=getattr(torch, spec["dtype"])) for spec in inputs}
    named = _named(program.module(), list(examples), outputs)
    litert_torch.convert(named, sample_kwargs=examples).export(model)
    recipe = RECIPES[arguments["scheme"]]
    if recipe is not None:
        _quantize(model, recipe, arrays)
    return {}, {}


def _quantize(model: str, recipe: str, arrays: Mapping[str, np.ndarray]) -> None:
    from ai_edge_quantizer import quantizer  # noqa: PLC0415
    from ai_edge_quantizer import recipe as recipes  # noqa: PLC0415

    work = quantizer.Quantizer(model)
    work.load_quantization_recipe(getattr(recipes, recipe)())
    count = len(next(iter(arrays.values()))) if arrays else 0
    samples = [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)]
    statistics = work.calibrate({"serving_default": samples}) if recipe.startswith("static") else None
    work.quantize(statistics).export_model(model, overwrite=True)


def _named(inner: Any, inputs: list[str], outputs: list[str]) -> Any:
    """`inner` with the user's names as keywords and in a dict, which litert-torch writes into the signature."""
    import torch  # noqa: PLC0415

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, **given: torch.Tensor) -> dict[str, torch.Tensor]:
            return dict(zip(outputs, self.inner(*(given[name] for name in inputs)), strict=True))

    return Named()
