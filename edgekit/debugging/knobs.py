"""The knobs of a recipe that win back accuracy, the cheapest for the device first.

A knob gives other recipes to try, all made from the best one so far. The first ones cost the device nothing; the last ones cost it
speed or bytes, so they are turned for the worst layers only, for one, two, four and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgekit.debugging.diagnosis import LayerLoss
from edgekit.debugging.switches import WEIGHT
from edgekit.ordering import CORRECTIONS, QUANTIZERS
from edgekit.recipe import PASSES, Pass, Recipe, pass_class
from edgekit.schemes import Scheme, parse_scheme
from edgekit.targets import Rules

ON_GRIDS = ("cluster", *QUANTIZERS)
CALIBRATIONS = ("mse", "percentile", "sensitivity", "entropy", "minmax", "moving_average")
"""Those that serve most models first."""
FLOAT = "float32"
NORMALIZATIONS = ("layer_norm", "rms_norm")
"""What ``smooth`` works on, where the target has it."""
NARROW, EIGHT = 4, 8
"""Bits."""


@dataclass(frozen=True)
class State:
    """What a knob is turned on.

    Attributes:
        recipe: The best so far.
        rules: Of the target's format.
        ops: Base names of the float model's operators.
        ranked: Gives the layers of what the recipe makes, the worst first; that takes a while.
    """

    recipe: Recipe
    rules: Rules
    ops: frozenset[str]
    ranked: Callable[[], Sequence[LayerLoss]]

    @property
    def quantizer(self) -> Any:
        """The pass that puts values on grids."""
        return next(p for p in self.recipe.passes if p.name in QUANTIZERS)

    @property
    def scheme(self) -> Scheme:
        """Of all modules without an override."""
        return parse_scheme(self.quantizer.scheme)

    def having(self, *names: str) -> bool:
        """Whether the recipe has one of these passes."""
        return any(p.name in names for p in self.recipe.passes)

    def with_quantizer(self, **options: Any) -> Recipe:
        """The recipe with other options of its quantizer."""
        changed = replace(self.quantizer, **options)
        return replace(self.recipe, passes=tuple(changed if p.name in QUANTIZERS else p for p in self.recipe.passes))


Options = Iterator[tuple[str, Recipe]]


@dataclass(frozen=True)
class Knob:
    """Something about a recipe that can be turned.

    Attributes:
        name: As findings name it.
        cost: What it costs, in words.
        tier: Knobs of a lower tier cost less, and are turned before.
        options: What to try, each with what it is in words.
    """

    name: str
    cost: str
    tier: int
    options: Callable[[State], Options]


def _calibration(state: State) -> Options:
    current = state.quantizer.calibration
    for method in CALIBRATIONS if state.scheme.static else ():
        if method != current:
            yield f"calibration {method} instead of {current}", state.with_quantizer(calibration=method)


def _equalize(state: State) -> Options:
    if not state.scheme.static or state.having("cluster"):
        return
    own = next((p for p in state.recipe.passes if p.name == "equalize"), None)
    for strength in (0.5, 0.75):
        if own is None:
            yield f"channels equalized, strength {strength}", _before_grids(state.recipe, _pass("equalize", strength=strength))
        elif strength != getattr(own, "strength", None):
            changed = tuple(_pass("equalize", strength=strength) if p is own else p for p in state.recipe.passes)
            yield f"channels equalized, strength {strength}", replace(state.recipe, passes=changed)
    if state.ops & set(NORMALIZATIONS) - set(state.rules.lower) and not state.having("smooth"):
        yield "channels behind normalizations smoothed", _before_grids(state.recipe, _pass("smooth"))


def _bias_correction(state: State) -> Options:
    if not state.having(*CORRECTIONS):
        yield "biases corrected", _behind_grids(state.recipe, _pass("bias_correction"))


def _adaround(state: State) -> Options:
    if "adaround" in PASSES and not state.having("adaround"):
        yield "weights rounded up or down by what layers give", _behind_grids(state.recipe, _pass("adaround"))


def _eight_bits(state: State) -> Options:
    """8-bit weights in place of narrower ones."""
    if state.scheme.weight_bits == NARROW:
        wider = "w8" if not state.scheme.static else f"w8a{state.scheme.activation_bits}"
        yield from _for_the_worst(state, [dict.fromkeys(_modules(r, True), wider) for r in state.ranked() if _is_weight(r)])


def _sixteen_bits(state: State) -> Options:
    """16-bit activations in place of 8-bit ones; with them, weights have 8 bits."""
    if state.scheme.static and state.scheme.activation_bits == EIGHT and 2 * EIGHT in state.rules.activations:
        yield from _for_the_worst(state, [dict.fromkeys(_modules(r, False), "w8a16") for r in state.ranked() if not _is_weight(r)])


def _float(state: State) -> Options:
    yield from _for_the_worst(state, [dict.fromkeys(_modules(r, _is_weight(r)), FLOAT) for r in state.ranked()])


KNOBS: tuple[Knob, ...] = (
    Knob("calibration", "nothing", 0, _calibration),
    Knob("equalize", "nothing", 0, _equalize),
    Knob("bias_correction", "nothing", 0, _bias_correction),
    Knob("adaround", "minutes of conversion, nothing on the device", 1, _adaround),
    Knob("int8", "bytes of the worst layers", 2, _eight_bits),
    Knob("int16", "time in the worst layers", 3, _sixteen_bits),
    Knob("float", "time and bytes of the worst layers", 4, _float),
)


def in_order(named: Sequence[str]) -> list[Knob]:
    """The knobs, the cheapest first; of those that cost alike, the ones that a finding names."""
    return sorted(KNOBS, key=lambda knob: (knob.tier, knob.name not in named))


def _for_the_worst(state: State, raised: Sequence[dict[str, str]]) -> Options:
    """Raise the worst layer, the two worst, four and so on."""
    raised = [r for r in raised if r]
    counts = sorted({*(2**i for i in range(len(raised).bit_length())), len(raised)})
    tried: set[tuple[tuple[str, str], ...]] = set()
    for count in counts if raised else ():
        overrides = {path: scheme for layer in raised[:count] for path, scheme in layer.items()}
        # An override of a parent holds for its children too, and the last match wins: parents go first.
        ordered = dict(sorted(overrides.items(), key=lambda item: (item[0].count("."), item[0])))
        merged = {**{k: v for k, v in state.quantizer.overrides.items() if k not in ordered}, **ordered}
        if (key := tuple(merged.items())) not in tried:
            tried.add(key)
            yield _told(ordered), state.with_quantizer(overrides=merged)


def _is_weight(layer: LayerLoss) -> bool:
    if layer.finding is not None:
        return layer.finding.tensor == WEIGHT
    return set(layer.loss.layer.switches.values()) == {WEIGHT}


def _modules(layer: LayerLoss, alone: bool) -> list[str]:
    """The layer's module; with those that read its result, unless `alone`: a value is wide where both sides are."""
    found = layer.loss.layer
    paths = [found.module, *(() if alone else found.readers)]
    return [path for path in dict.fromkeys(paths) if path]


def _before_grids(recipe: Recipe, step: Pass) -> Recipe:
    place = next(i for i, p in enumerate(recipe.passes) if p.name in ON_GRIDS)
    return replace(recipe, passes=(*recipe.passes[:place], step, *recipe.passes[place:]))


def _behind_grids(recipe: Recipe, step: Pass) -> Recipe:
    """The recipe with a correction right behind its quantizer, in place of others."""
    kept = tuple(p for p in recipe.passes if p.name not in CORRECTIONS)
    place = next(i for i, p in enumerate(kept) if p.name in QUANTIZERS) + 1
    return replace(recipe, passes=(*kept[:place], step, *kept[place:]))


def _pass(name: str, **options: Any) -> Pass:
    return pass_class(name)(**options)  # type: ignore[no-any-return]


def _told(overrides: dict[str, str]) -> str:
    """``layer1 and layer2 as w8a16``."""
    by_scheme: dict[str, list[str]] = {}
    for path, scheme in overrides.items():
        by_scheme.setdefault(scheme, []).append(path)
    return "; ".join(f"{', '.join(paths)} as {scheme}" for scheme, paths in by_scheme.items())
