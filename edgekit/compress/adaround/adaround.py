"""AdaRound: rounds each weight up or down so that layers keep giving what they gave in float.

Nagel, Amjad, van Baalen, Louizos and Blankevoort 2020, "Up or down? Adaptive rounding for post-training quantization",
sections 3.2 (the relaxation) and 3.3 (layer by layer, with what the quantized layers before really deliver).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.errors import UsageError


@dataclass(frozen=True)
class AdaRound:
    """Chooses for each integer weight whether it is rounded up or down, layer by layer on calibration data.

    Goes after ``quantize``, in the place of ``bias_correction``: it corrects biases itself, against what the float model gives.

    Given: a graph whose weights are rounded to integer grids.
    Result: the same graph and grids, with float weights moved onto the chosen integers, and with corrected biases. Pruned weights stay
    zero; clustered weights, embeddings, transposed convolutions and weights that several layers share stay as they were.

    Attributes:
        iterations: Gradient steps for each layer; 0 leaves roundings as they are and corrects biases only.
        modules: Module path globs of the layers to round anew; all if empty.
        seed: Of the order in which samples are drawn.
    """

    name: ClassVar[str] = "adaround"

    iterations: int = 1000
    modules: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative number of steps.

        Raises:
            UsageError: Naming what it got and what it takes.
        """
        if self.iterations < 0:
            raise UsageError(f"adaround iterations is {self.iterations}", accepted="0 or more gradient steps a layer")
