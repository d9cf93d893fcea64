"""The model's edges, for every converter: which integers an input or output may be asked for in."""

from __future__ import annotations

from dataclasses import replace

from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import Graph, grid_of
from edgekit.tensors import Grid, TensorSpec


def results(graph: Graph) -> list[fx.Node]:
    """The nodes behind the flat outputs, in order."""
    (output,) = [n for n in graph.nodes if n.op == "output"]
    found = output.args[0]
    return list(found) if isinstance(found, (list, tuple)) else [found]  # type: ignore[arg-type,list-item]


def grid_of_input(node: fx.Node) -> Grid | None:
    """The one grid all users of an input round it to, else None."""
    grids = {grid_of(user) for user in node.users}
    return grids.pop() if len(grids) == 1 else None


def edge_grid(grid: Grid | None, dtype: str, spec: TensorSpec, side: str) -> Grid:
    """The grid of an input or output in the dtype asked for.

    Raises:
        ConversionError: The model keeps it in float, or rounds it to other integers.
    """
    if grid is None:
        raise ConversionError(
            f"{side} {spec.name!r} was asked for as {dtype}, but the model keeps it in float",
            accepted="float32",
            next_step=f"quantize with a static scheme (w8a8), or ask for {side}_dtype float32",
        )
    if grid.dtype == dtype:
        return grid
    if (grid.dtype, dtype) == ("int8", "uint8"):
        return replace(grid, dtype="uint8", zero_point=tuple(z + 128 for z in grid.zero_point))
    accepted = ["int8", "uint8", "float32"] if grid.dtype == "int8" else [grid.dtype, "float32"]
    asked = f"{side} {spec.name!r} was asked for as {dtype}, but is quantized to {grid.dtype}"
    raise ConversionError(asked, accepted=accepted, next_step=f"choose another {side}_dtype")
