"""Preset recipes: functions with speakable names, whose first line is what ``edgekit recipes`` prints.

``load_recipe("int8")`` gives a preset, ``load_recipe("w4b64")`` the plain recipe of any scheme of the grammar in `edgekit.schemes`,
``load_recipe("mine.toml")`` the user's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit import documents
from edgekit.errors import UsageError
from edgekit.ordering import check_order
from edgekit.recipe import Pass, Recipe, pass_class
from edgekit.schemes import SCHEMES, parse_scheme
from edgekit.wording import suggestion


def int8() -> Recipe:
    """Static int8: weights and activations int8, int32 bias; smallest and fastest on CPUs, DSPs, NPUs and microcontrollers.

    Activations are asymmetric, in ranges of least squared error; weights symmetric with a scale for each output channel
    (Jacob et al. 2018). Channels are equalized before, biases corrected after. Wants 100 to 500 typical samples;
    typically within half a point of float for convolutional networks.
    """
    return Recipe("int8", (_pass("equalize"), _quantize("w8a8"), _pass("bias_correction")))


def int8_symmetric() -> Recipe:
    """Static int8 with zero point 0 everywhere, for the same scales on phones, Jetsons and microcontrollers.

    A bit less exact than int8 where activations are one-sided, as behind a relu: half of the integers are then not used.
    """
    return Recipe("int8_symmetric", (_pass("equalize"), _pass("quantize", scheme="w8a8", symmetric=True), _pass("bias_correction")))


def int16x8() -> Recipe:
    """Static int16 activations with int8 weights: nearly float accuracy at int8's size, on CPUs and microcontrollers.

    For models that lose too much as int8: transformers, recurrent networks, regression. Slower than int8.
    """
    return Recipe("int16x8", (_quantize("w8a16"), _pass("bias_correction")), input_dtype="int16", output_dtype="int16")


def int8x4() -> Recipe:
    """Static int8 activations with int4 weights: half of int8's size, for LiteRT's own kernels; integers chosen layer by layer.

    A scale for each output channel; roundings by what layers give (AdaRound, Nagel et al. 2020), on 100 to 500 typical samples. XNNPACK
    takes no int4 convolutions, so they run slower than int8 ones.
    """
    return Recipe("int8x4", (_pass("equalize"), _quantize("w4a8"), _pass("adaround")))


def int8_mixed() -> Recipe:
    """Static int8, with int16 activations or float in the modules that change more than 1 % of a classifier's answers.

    Which they are is measured: roundings one at a time, then whole candidates on the last third of the calibration samples.
    """
    return Recipe("int8_mixed", (_pass("equalize"), _pass("mixed_precision", min_agreement=0.99), _pass("bias_correction")))


def dynamic_int8() -> Recipe:
    """Dynamic range: int8 weights, activations rounded at run time; needs no calibration data, floats in and out."""
    return _float_edges("dynamic_int8", _quantize("w8ad8"))


def weight_int8() -> Recipe:
    """Weight-only int8: a quarter of the size, float arithmetic; needs no calibration data."""
    return _float_edges("weight_int8", _quantize("w8"))


def weight_int4() -> Recipe:
    """Weight-only int4 in blocks of 32: linear layers an eighth of their size, float arithmetic; other layers int8."""
    return _float_edges("weight_int4", _quantize("w4b32"))


def fp16() -> Recipe:
    """Half precision weights: half of the size, float arithmetic, practically lossless."""
    return _float_edges("fp16", _quantize("fp16"))


def float32() -> Recipe:
    """As trained: converted, nothing rounded; the reference for the others."""
    return _float_edges("float32")


def palettize8() -> Recipe:
    """Tables of 256 values for each weight, 8-bit indices: practically lossless; needs no calibration data. iOS 16."""
    return _palettes("palettize8", bits=8)


def palettize6() -> Recipe:
    """Tables of 64 values, 6-bit indices: a fifth of the size, practically lossless; needs no calibration data. iOS 16."""
    return _palettes("palettize6", bits=6, correction="sums")


def palettize4() -> Recipe:
    """Tables of 16 values, 4-bit indices: an eighth of the size; layers are corrected on calibration data. iOS 16."""
    return _palettes("palettize4", bits=4, **_CORRECTED)


def palettize4_grouped() -> Recipe:
    """Tables of 16 values for each 4 output channels: an eighth of the size; needs no calibration data. iOS 18."""
    return _palettes("palettize4_grouped", bits=4, channels=4, correction="sums")


def palettize3() -> Recipe:
    """Tables of 8 values, 3-bit indices: a tenth of the size; layers are corrected on calibration data. iOS 18."""
    return _palettes("palettize3", bits=3, **_CORRECTED)


def palettize2() -> Recipe:
    """Tables of 4 values, 2-bit indices: a sixteenth of the size; layers are corrected on calibration data. iOS 16."""
    return _palettes("palettize2", bits=2, **_CORRECTED)


def palettize_mixed4() -> Recipe:
    """2 to 8 bits a weight, 4 on average, more where outputs react more; corrected on calibration data. iOS 16."""
    return _palettes("palettize_mixed4", bits="auto", average_bits=4.0, **_CORRECTED)


def sparse50_palettize4() -> Recipe:
    """Half of the weights zero, 4-bit indices for the others; layers are fitted on calibration data. iOS 18."""
    return _float_edges("sparse50_palettize4", _pass("prune", sparsity=0.5), _pass("cluster", bits=4, **_CORRECTED))


def sparse50_int8() -> Recipe:
    """Half of the weights zero, the others fitted on calibration data, int8 with float arithmetic. iOS 18."""
    return _float_edges("sparse50_int8", _pass("prune", sparsity=0.5), _quantize("w8"), _pass("bias_correction"))


def sparse24_int8() -> Recipe:
    """2 of 4 neighbouring weights zero, for sparse tensor cores, trained back on training data, then static int8.

    The pattern that Ampere's and later GPUs compute twice as fast (Mishra et al. 2021); elsewhere a smaller download, and no faster.
    """
    prune = _pass("prune", pattern="2:4")
    return Recipe("sparse24_int8", (prune, _pass("fine_tune"), _pass("equalize"), _quantize("w8a8"), _pass("bias_correction")))


_CORRECTED: dict[str, Any] = {"method": "sensitivity", "correction": "layers"}

PRESETS: dict[str, Callable[[], Recipe]] = {
    f.__name__: f
    for f in (
        int8, int8_symmetric, int8_mixed, int16x8, int8x4, dynamic_int8, weight_int8, weight_int4, fp16, float32,
        palettize8, palettize6, palettize4, palettize4_grouped, palettize3, palettize2, palettize_mixed4,
        sparse50_palettize4, sparse50_int8, sparse24_int8,
    )
}  # fmt: skip
"""Preset name to the function that makes it."""


def recipe_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(PRESETS)


def summary(name: str) -> str:
    """A preset's first line of documentation."""
    return (inspect.getdoc(PRESETS[name]) or "").partition("\n")[0]


def load_recipe(which: str | Path | Recipe) -> Recipe:
    """A recipe by preset name, by scheme name, or from a file.

    Args:
        which: ``int8``, ``w4b64``, a path that ends in ``.toml``; a `Recipe` is returned as it is.

    Raises:
        UsageError: No preset and no scheme of that name, no readable recipe file, or an order of passes that cannot work.
    """
    recipe = which if isinstance(which, Recipe) else _found(which)
    check_order(recipe.passes, recipe.name)
    return recipe


def _found(which: str | Path) -> Recipe:
    name = str(which)
    if name.endswith(".toml"):
        return _from_file(Path(which))
    if name in PRESETS:
        return PRESETS[name]()
    try:
        static = parse_scheme(name).static
    except UsageError:
        raise UsageError(
            f"unknown recipe {name!r}" + suggestion(name, PRESETS),
            accepted=[*PRESETS, *(s for s in SCHEMES if s not in PRESETS), "a path to your own .toml"],
            next_step="edgekit recipes",
        ) from None
    step = _quantize(name)
    return Recipe(name, (step,)) if static else _float_edges(name, step)


def _quantize(scheme: str) -> Pass:
    return _pass("quantize", scheme=scheme)


def _pass(name: str, **options: Any) -> Pass:
    return pass_class(name)(**options)  # type: ignore[no-any-return]


def _palettes(name: str, **options: Any) -> Recipe:
    return _float_edges(name, _pass("cluster", **options))


def _float_edges(name: str, *passes: Pass) -> Recipe:
    return Recipe(name, passes, input_dtype="float32", output_dtype="float32")


def _from_file(path: Path) -> Recipe:
    return Recipe.from_toml(documents.read_text(path, accepted="a TOML file"), str(path))
