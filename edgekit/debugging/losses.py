"""What each layer of a graph loses, and what that does to the outputs: alone, and after all layers before it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgekit.canonicalize.vocabulary import DECIDING
from edgekit.compress.quantize.calibrate import batches, by_sample
from edgekit.data import Samples
from edgekit.debugging.switches import RESULT, Board, Layer, Values
from edgekit.graph import Graph
from edgekit.progress import report

SAMPLES = 64
"""Samples that layers are measured on, at most."""
FEWEST = 8
WORK = 1 << 36
"""Elements of activations to be computed in all, roughly: a large model is measured on fewer samples, but on `FEWEST`."""
ALIVE = 1 << 25
"""Elements of activations kept at once."""
HUGE = 1e30
"""Stand-ins for infinity are no signal."""


def decibels(ratio: float) -> str:
    """A signal to noise ratio in words: ``32.1 dB``, or that there is no difference."""
    return "exact" if ratio == math.inf else f"{ratio:.1f} dB"


@dataclass(frozen=True)
class Nearness:
    """How near a value is to what it should be.

    Attributes:
        sqnr_db: Signal to quantization noise ratio, 10 log10(sum of squares / sum of squared differences), over all samples and
            elements; infinite where there is no difference. Of several outputs, from the mean of noise over signal.
        cosine: Mean over the samples of the cosine between both.
    """

    sqnr_db: float
    cosine: float

    def __str__(self) -> str:
        return decibels(self.sqnr_db)

    @property
    def noise(self) -> float:
        """Noise over signal, a ratio of powers."""
        return 0.0 if self.sqnr_db == math.inf else 10 ** (-self.sqnr_db / 10)


class Sums:
    """What a `Nearness` is made of, summed over batches, for one value or several."""

    def __init__(self) -> None:
        self._powers: dict[int, tuple[float, float]] = {}
        self._cosines, self._count = 0.0, 0

    def add(self, wanted: Sequence[Tensor], got: Sequence[Tensor], count: int) -> None:
        """Count `count` samples of each value."""
        for i, (exact, given) in enumerate(zip(wanted, got, strict=True)):
            a, b = (by_sample(t.contiguous(), count).double() for t in (exact, given))
            usable = a.isfinite() & b.isfinite() & (a.abs() < HUGE) & (b.abs() < HUGE)
            a, b = a.where(usable, 0.0), b.where(usable, 0.0)
            signal, noise = self._powers.get(i, (0.0, 0.0))
            self._powers[i] = signal + float(a.square().sum()), noise + float((a - b).square().sum())
            both_zero = ~a.any(1) & ~b.any(1)
            self._cosines += float(torch.cosine_similarity(a, b, eps=1e-300).where(~both_zero, 1.0).sum())
            self._count += len(a)

    @property
    def nearness(self) -> Nearness:
        """Of everything so far."""
        ratios = [noise / signal if signal else (math.inf if noise else 0.0) for signal, noise in self._powers.values()]
        mean = sum(ratios) / max(len(ratios), 1)
        sqnr = math.inf if mean == 0 else -math.inf if mean == math.inf else -10 * math.log10(mean)
        return Nearness(sqnr, min(1.0, self._cosines / self._count) if self._count else 1.0)


@dataclass(frozen=True)
class Loss:
    """What one layer loses.

    Attributes:
        layer: Which.
        own: Its result against the exact one, all before it exact.
        here: Its result against the exact one, all before it as they are in the file.
        alone: The outputs, where it alone is as in the file.
        cumulative: The outputs, where it and all before it are as in the file, and all behind it exact.
    """

    layer: Layer
    own: Nearness
    here: Nearness
    alone: Nearness
    cumulative: Nearness


@dataclass(frozen=True)
class Losses:
    """What all layers lose.

    Attributes:
        layers: In execution order.
        outputs: The outputs, where everything is as in the file.
        samples: How many were measured on.
        board: The switches, for a look at single values.
        values: What every node gives for the first samples, exactly.
        count: How many samples those are.
    """

    layers: tuple[Loss, ...]
    outputs: Nearness
    samples: int
    board: Board
    values: Values
    count: int

    def alone(self, switches: Collection[str]) -> Nearness:
        """The outputs for the first samples, where these switches alone are on."""
        total = Sums()
        given = self.board.thrown(self.values, switches, switches)
        total.add(_picked(self.values, self.board.scores), _picked(given, self.board.scores), self.count)
        return total.nearness


def measure(exact: Graph, final: Graph, samples: Samples) -> Losses:
    """Throw each layer's switches alone, then all of them in execution order.

    Args:
        exact: Before the first step that loses something.
        final: After the last.
        samples: Some or all of these are used; see `WORK`.

    Raises:
        DataError: The samples do not fit the graph.
    """
    some, batch = _affordable(final, samples)
    state: _Measuring | None = None
    with torch.inference_mode():
        for run, inputs, count in batches(final, some, batch):
            if state is None:
                state = _Measuring(Board(exact, run, DECIDING))
            state.add(inputs, count, len(some))
    assert state is not None
    return state.losses()


class _Measuring:
    """Sums over batches."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._live: dict[str, Layer] = {}
        self._sums: dict[str, tuple[Sums, Sums, Sums, Sums]] = {}
        self._outputs = Sums()
        self._seen, self._first, self._first_count = 0, dict[str, object](), 0

    def add(self, inputs: Sequence[Tensor], count: int, total: int) -> None:
        """Measure a batch."""
        exact = self._board.values(inputs, ())
        if not self._first:
            self._live = _live(self._board, inputs)
            self._sums = {node: (Sums(), Sums(), Sums(), Sums()) for node in self._live}
            self._first, self._first_count = dict(exact), count
        walked, on = exact, set[str]()
        scores = _picked(exact, self._board.scores)
        for number, layer in enumerate(self._board.layers):
            report("switching layers", self._seen * len(self._board.layers) + number, total * len(self._board.layers))
            thrown = {*layer.switches, *layer.corrections}
            on |= thrown
            walked = self._board.thrown(walked, thrown, on)
            if (live := self._live.get(layer.node)) is None:
                continue
            own, here, alone, cumulative = self._sums[layer.node]
            own_names = {*live.switches, *live.corrections}
            only = self._board.thrown(exact, own_names, own_names)
            own.add([exact[layer.result]], [only[layer.result]], count)
            here.add([exact[layer.result]], [walked[layer.result]], count)
            alone.add(scores, _picked(only, self._board.scores), count)
            cumulative.add(scores, _picked(walked, self._board.scores), count)
        self._outputs.add(scores, _picked(walked, self._board.scores), count)
        self._seen += count

    def losses(self) -> Losses:
        """What was found."""
        rows = tuple(Loss(layer, *(s.nearness for s in self._sums[node])) for node, layer in self._live.items())
        return Losses(rows, self._outputs.nearness, self._seen, self._board, self._first, self._first_count)


def _live(board: Board, inputs: Sequence[Tensor]) -> dict[str, Layer]:
    """The layers that lose something, by their node, each without the switches that lose nothing.

    An operator that only moves or compares rounded values rounds them to the grid that they are on.
    """
    everything = {name for layer in board.layers for name in (*layer.switches, *layer.corrections)}
    values = board.values(inputs, everything)

    def loses(name: str, role: str) -> bool:
        before = values[board.rounding(name).all_input_nodes[0].name] if role == RESULT else board.constant(name)
        return not torch.equal(values[name], before)

    kept = {}
    for layer in board.layers:
        switches = {name: role for name, role in layer.switches.items() if loses(name, role)}
        if switches:
            kept[layer.node] = replace(layer, switches=switches)
    return kept


def _picked(values: Mapping[str, object], names: Sequence[str]) -> list[Tensor]:
    return [value for name in names if isinstance(value := values[name], Tensor)]


def _affordable(graph: Graph, samples: Samples) -> tuple[Samples, int]:
    """Samples at even distances, as many as `WORK` allows, and how many to run at once."""
    elements = max(1, sum(n.meta["val"].numel() for n in graph.nodes if n.op == "call_function" and isinstance(n.meta["val"], Tensor)))
    runs = sum(n.op == "call_function" for n in graph.nodes)
    wanted = min(len(samples), SAMPLES, max(FEWEST, WORK // (elements * runs)))
    return samples.spread(wanted), max(1, min(wanted, ALIVE // elements))
