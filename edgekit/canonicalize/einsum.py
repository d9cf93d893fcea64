"""Write ``einsum`` as permutes, reshapes and one matrix product.

Given: ``einsum("bqhd,bkhd->bhqk", q, k)``.
Result: ``matmul(permute(q), permute(k))`` with the shared output indices as batch, and reshapes where an index group
    has none or several indices. Equations with an ellipsis, a repeated index within an operand or more than two
    operands are left whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import fx

from edgekit.canonicalize.rewriting import apply_rules, permuted, reshaped
from edgekit.graph import aten, call, shape_of

Operand = tuple[fx.Node, str]
Groups = tuple[list[str], list[str], list[str], list[str]]


def einsum(graph: fx.Graph) -> None:
    """Write out two-operand equations."""
    apply_rules(graph, {aten.einsum.default: _einsum})


def _einsum(node: fx.Node) -> fx.Node | None:
    equation: str = str(node.args[0]).replace(" ", "")
    operands: list[fx.Node] = node.args[1]  # type: ignore[assignment]
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    if not arrow or "." in equation or len(terms) != 2 or any(len(set(t)) != len(t) for t in terms):
        return None
    a, b = operands
    left, right = terms
    a, left = _sum_out(node, a, left, right + output)
    b, right = _sum_out(node, b, right, left + output)
    sizes = {**dict(zip(left, shape_of(a), strict=True)), **dict(zip(right, shape_of(b), strict=True))}
    batch = [i for i in output if i in left and i in right]
    rows = [i for i in output if i in left and i not in right]
    columns = [i for i in output if i in right and i not in left]
    inner = [i for i in left if i in right and i not in output]
    order = [*batch, *rows, *columns]
    result = reshaped(node, _multiplied(node, (a, left), (b, right), (batch, rows, inner, columns), sizes), [sizes[i] for i in order])
    return permuted(node, result, [order.index(i) for i in output])


def _multiplied(node: fx.Node, a: Operand, b: Operand, groups: Groups, sizes: dict[str, int]) -> fx.Node:
    """The matrix product over index groups. Rows stay apart where there is no batch, so that a dense layer is one `linear`."""
    batch, rows, inner, columns = groups
    shape = [sizes[i] for i in batch]
    m, k, n = (prod(sizes[i] for i in group) for group in (rows, inner, columns))
    apart = [sizes[i] for i in rows] if rows and not batch else [m]
    x = _arranged(node, *a, [*batch, *rows, *inner], [*shape, *apart, k])
    y = _arranged(node, *b, [*batch, *inner, *columns], [*shape, k, n])
    return call(node, aten.matmul.default, x, y)


def _sum_out(node: fx.Node, x: fx.Node, term: str, needed: str) -> tuple[fx.Node, str]:
    """Sum over the indices that occur nowhere else."""
    dims = [d for d, i in enumerate(term) if i not in needed]
    kept = "".join(i for i in term if i in needed)
    return (call(node, aten.sum.dim_IntList, x, dims, False), kept) if dims else (x, term)


def _arranged(node: fx.Node, x: fx.Node, term: str, order: Sequence[str], shape: Sequence[int]) -> fx.Node:
    return reshaped(node, permuted(node, x, [term.index(i) for i in order]), shape)
