"""Telling an ``.mnn`` file the grid of every tensor that the graph rounds.

MNN's converter describes the tensors around convolutions only. The rest is added to the file it wrote: a flatbuffer's references
point forward, so a longer table of descriptions goes to the end of the file and the root's reference is turned to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import flatbuffers
from flatbuffers import encode, number_types

from edgekit.tensors import Grid
from edgekit_converters.mnn.flat import Table
from edgekit_converters.mnn.schema import INT8, Description, Net, Scaling

_ALIGNMENT = 16


def described(content: bytes, grids: Mapping[str, Grid]) -> bytes:
    """The file with a description for each of `grids`, beside those it has.

    Args:
        content: A file that describes at least one tensor.
        grids: Per-tensor grids by the name of the file's tensor; names it lacks are left out.
    """
    net = Table.root(content)
    place = net.place(Net.TENSOR_DESCRIPTIONS)
    numbers = {name: i for i, name in enumerate(net.texts(Net.TENSOR_NAMES))}
    wanted = written(net) | {numbers[name]: grid for name, grid in grids.items() if name in numbers}
    if not place or not wanted:
        return content
    result = bytearray(content) + bytes(-len(content) % _ALIGNMENT)
    table = _table(wanted)
    vector = Table.root(table).place(0)
    target = len(result) + vector + encode.Get(number_types.UOffsetTFlags.packer_type, table, vector)
    encode.Write(number_types.UOffsetTFlags.packer_type, result, place, target - place)
    return bytes(result + table)


def written(net: Table) -> dict[int, Grid]:
    """The grids a file describes, by the number of the tensor."""
    found = {}
    for description in net.tables(Net.TENSOR_DESCRIPTIONS):
        grid = description.table(Description.GRID)
        if grid is not None:
            scale, zero = (float(grid.scalar(f, number_types.Float32Flags)) for f in (Scaling.SCALE, Scaling.ZERO))
            found[description.integer(Description.INDEX)] = Grid("int8", (scale,), (int(zero),))
    return found


def _table(grids: Mapping[int, Grid]) -> bytes:
    """A buffer whose root has the descriptions as its only field."""
    builder = flatbuffers.Builder(256)
    descriptions = [_description(builder, index, grid) for index, grid in sorted(grids.items())]
    builder.StartVector(4, len(descriptions), 4)
    for description in reversed(descriptions):
        builder.PrependUOffsetTRelative(description)
    vector = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _description(builder: flatbuffers.Builder, index: int, grid: Grid) -> int:
    builder.StartObject(len(Scaling))
    builder.PrependFloat32Slot(Scaling.SCALE, grid.scale[0], 0.0)
    builder.PrependFloat32Slot(Scaling.ZERO, float(grid.zero_point[0]), 0.0)
    builder.PrependFloat32Slot(Scaling.MIN, -128.0, 0.0)
    builder.PrependFloat32Slot(Scaling.MAX, 127.0, 0.0)
    builder.PrependInt32Slot(Scaling.TYPE, INT8, 0)
    info = builder.EndObject()
    builder.StartObject(5)
    builder.PrependInt32Slot(Description.INDEX, index, -1)
    builder.PrependUOffsetTRelativeSlot(Description.GRID, info, 0)
    return int(builder.EndObject())
