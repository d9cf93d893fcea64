"""Recognise repeated rows and columns of an image as a resize.

Given: an image whose rows and then columns are each repeated by ``reshape``, ``expand``, ``reshape``, as Keras'
    UpSampling2D and ``repeat_interleave`` write it.
Result: ``upsample_nearest2d``, between permutes if the image is channels-last.
"""

from __future__ import annotations

from torch import fx

from edgekit.canonicalize.rewriting import calls, only_user, permuted, sweep
from edgekit.graph import aten, call, is_call, shape_of, substitute

Shape = tuple[int, ...]


def recognise_resizes(graph: fx.Graph) -> None:
    """Replace pairs of repeats by resizes."""
    for node in calls(graph, {aten.reshape.default}):
        chain = _chain(node)
        if chain is None or len(shape_of(chain[0])) != 4:
            continue
        x = chain[0]
        if _repeats_pixels(chain, rows=1):
            image = permuted(node, x, (0, 3, 1, 2))
            resized = call(node, aten.upsample_nearest2d.vec, image, list(shape_of(node)[1:3]), None)
            substitute(node, permuted(node, resized, (0, 2, 3, 1)))
        elif _repeats_pixels(chain, rows=2):
            substitute(node, call(node, aten.upsample_nearest2d.vec, x, list(shape_of(node)[2:]), None))
    sweep(graph)


def _chain(node: fx.Node) -> list[fx.Node] | None:
    """Operand and the five moves that end in `node`, if each but the last has one reader."""
    chain = [node]
    for target in (aten.expand.default, aten.reshape.default, aten.expand.default, aten.reshape.default):
        inner = chain[-1].args[0]
        if not is_call(inner, target) or only_user(inner) is None:  # type: ignore[arg-type]
            return None
        chain.append(inner)  # type: ignore[arg-type]
    x = chain[-1].args[0]
    assert isinstance(x, fx.Node)
    return [x, *chain[::-1]]


def _repeats_pixels(chain: list[fx.Node], rows: int) -> bool:
    """Whether the chain repeats along `rows` and then along the dimension after it."""
    x, split_rows, more_rows, split_columns, more_columns, result = (shape_of(n) for n in chain)
    tall = _with(x, rows, x[rows] * more_rows[rows + 1])
    wide = _with(tall, rows + 1, x[rows + 1] * more_columns[rows + 2]) if len(more_columns) > rows + 2 else ()
    return (
        split_rows == _inserted(x, rows, 1)
        and more_rows == _inserted(x, rows, more_rows[rows + 1])
        and split_columns == _inserted(tall, rows + 1, 1)
        and more_columns == _inserted(tall, rows + 1, more_columns[rows + 2])
        and result == wide
    )


def _with(shape: Shape, dim: int, size: int) -> Shape:
    return (*shape[:dim], size, *shape[dim + 1 :])


def _inserted(shape: Shape, after: int, size: int) -> Shape:
    return (*shape[: after + 1], size, *shape[after + 1 :])
