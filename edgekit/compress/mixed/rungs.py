"""Which modules get more bits first: a ladder of assignments, from all as asked for to all that would help raised.

A rounding of an activation goes only where the kernel that writes the value and all kernels that read it have more bits, so modules are
raised together, by the value between them; the rounding of a weight goes where its layer computes in float. Each step takes what
saves most loss for its cost (the measure of HAWQ-V3, Yao et al. 2021, section 3.3, with losses measured instead of a Hessian's).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import fx

from edgekit.compress.costs import macs_of
from edgekit.compress.roundings import is_rounding, unrounded
from edgekit.graph import Graph, is_call, module_path
from edgekit.schemes import Scheme, parse_scheme

Rung = dict[str, str]
"""Module path to the scheme it is raised to."""

NEGLIGIBLE = 1e-4
"""Roundings below this share of all losses are nobody's reason to be raised."""


@dataclass(frozen=True)
class Rounding:
    """One rounding, and what it takes to be rid of it.

    Attributes:
        loss: What the outputs lose by it.
        modules: Paths of the modules whose kernels it is between; of the layer, for a weight.
        weight: Whether a weight is rounded.
    """

    loss: float
    modules: frozenset[str]
    weight: bool

    def gone(self, widths: Mapping[str, Scheme]) -> bool:
        """Whether modules raised so far leave (nearly) nothing of it."""
        schemes = [widths.get(path) for path in self.modules]
        if self.weight:
            return all(s is not None and s.weight_bits >= 16 for s in schemes)
        return all(s is not None and s.activation_bits != 8 for s in schemes)


def roundings(graph: Graph, losses: Mapping[str, float], fixed: Collection[str]) -> list[Rounding]:
    """The roundings of a quantized graph that lose something, and that have none of the `fixed` modules to do with."""
    found = []
    for node in graph.nodes:
        if losses.get(node.name, 0.0) > 0:
            weight = unrounded(node).op == "get_attr"
            readers = {module_path(n) for n in _readers(node)}
            writers = set() if weight else {module_path(n) for n in _writers(unrounded(node))}
            if not (readers | writers) & set(fixed):
                found.append(Rounding(losses[node.name], frozenset(readers | writers), weight))
    return found


def kernel_modules(graph: Graph) -> set[str]:
    """Module paths of a quantized graph's kernels; an activation that a kernel absorbs goes where the kernel goes."""
    return {module_path(n) for n in graph.nodes if is_call(n) and not is_rounding(n) and not _absorbed(n)}


def edge_modules(graph: Graph) -> set[str]:
    """Module paths of the kernels that read the graph's inputs or write its outputs: their width is that of the edge."""
    inputs = [reader for n in graph.nodes if n.op == "placeholder" for reader in _readers(n)]
    outputs = [writer for n in graph.nodes if n.op == "output" for value in n.all_input_nodes for writer in _writers(unrounded(value))]
    return {module_path(n) for n in (*inputs, *outputs)}


def ladder(graph: Graph, found: Sequence[Rounding], fallbacks: Sequence[str]) -> list[Rung]:
    """Assignments from none raised to all.

    Args:
        graph: Quantized.
        found: Its roundings.
        fallbacks: Schemes, the cheapest first.
    """
    least = NEGLIGIBLE * sum(r.loss for r in found)
    work = _work(graph)
    rungs: list[Rung] = [{}]
    while True:
        moves = [(gain, move) for move in _moves(found, rungs[-1], fallbacks, least) for gain in [_gain(found, rungs[-1], move, work)]]
        if not moves:
            everything = {path: fallbacks[-1] for r in found for path in r.modules}
            return rungs if everything == rungs[-1] else [*rungs, everything]
        _, best = max(moves, key=lambda m: (m[0], sorted(m[1].items())))
        rungs.append({**rungs[-1], **best})


def _moves(found: Sequence[Rounding], rung: Rung, fallbacks: Sequence[str], least: float) -> Iterator[Rung]:
    """For each rounding that is still there, the modules to raise, once for each scheme that removes it."""
    widths = _widths(rung)
    for rounding in found:
        if rounding.loss < least or rounding.gone(widths):
            continue
        for scheme in fallbacks:
            move = {p: scheme for p in rounding.modules if not Rounding(0.0, frozenset((p,)), rounding.weight).gone(widths)}
            if rounding.gone({**widths, **_widths(move)}):
                yield move
                break


def _gain(found: Sequence[Rounding], rung: Rung, move: Rung, work: Mapping[str, int]) -> float:
    """Loss saved for the work that moves to wider numbers."""
    before, after = _widths(rung), _widths({**rung, **move})
    saved = sum(r.loss for r in found if r.gone(after) and not r.gone(before))
    return saved / sum(work.get(path, 1) * (_cost(after[path]) - _cost(before.get(path))) for path in move)


def _cost(scheme: Scheme | None) -> int:
    """Bytes of an activation, as a measure of what arithmetic with it costs."""
    return 1 if scheme is None or scheme.activation_bits == 8 else 2 if scheme.activation_bits == 16 else 4


def _widths(rung: Rung) -> dict[str, Scheme]:
    return {path: parse_scheme(name) for path, name in rung.items()}


def _work(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates and elements of results by module."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if is_call(node) and not is_rounding(node) and hasattr(node.meta.get("val"), "numel"):
            found[module_path(node)] = found.get(module_path(node), 0) + macs_of(node) + node.meta["val"].numel()
    return found


def _readers(node: fx.Node) -> Iterator[fx.Node]:
    """Calls that read a value, rounded again or not."""
    for user in node.users:
        if is_rounding(user):
            yield from _readers(user)
        elif is_call(user):
            yield user


def _writers(node: fx.Node) -> Iterator[fx.Node]:
    """The call whose kernel gives a value: of an activation that a kernel absorbs, the kernel's; it decides the width of both."""
    if is_call(node) and not _absorbed(node):
        yield node
    for operand in _absorbed(node):
        yield from _writers(operand)


def _absorbed(node: fx.Node) -> list[fx.Node]:
    """The calls whose results a call reads as they are: kernels round what they give, so this one is part of theirs."""
    return [n for n in node.all_input_nodes if n.op == "call_function" and not is_rounding(n)]
