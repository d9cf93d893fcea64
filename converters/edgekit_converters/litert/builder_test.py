from dataclasses import replace

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.tensors import Grid
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.builder import Builder, pack_int4
from edgekit_converters.litert.testing import write
from edgekit_converters.litert.versions import version


def parsed(model: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(model)


def sample_graph():
    torch.manual_seed(0)

    def function(x0, w, b, v):
        return aten.relu.default(aten.linear.default(aten.linear.default(x0, w, b), v))

    return graph_of(function, [torch.randn(2, 5)], w=torch.randn(7, 5), b=torch.randn(7), v=torch.randn(3, 7))


def test_every_buffer_is_aligned_to_16_bytes():
    _, model = write(sample_graph())
    root = schema.Model.GetRootAs(model, 0)
    seen = 0
    for i in range(root.BuffersLength()):
        buffer = root.Buffers(i)
        if buffer.DataLength():
            seen += 1
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0
    assert seen >= 3


def test_equal_graphs_give_equal_bytes():
    assert write(sample_graph())[1] == write(sample_graph())[1]


def test_equal_constants_are_stored_once():
    w = torch.randn(64, 64)

    def function(x0, w, v):
        return aten.linear.default(aten.linear.default(x0, w), v)

    _, model = write(graph_of(function, [torch.randn(1, 64)], w=w, v=w.clone()))
    assert len(model) < 2 * w.numel() * 4
    (graph,) = parsed(model).subgraphs
    assert len({tuple(op.inputs)[1] for op in graph.operators}) == 1


def test_a_grid_is_written_once_however_many_tensors_lie_on_it():
    def size(count: int) -> int:
        builder = Builder()
        grid = Grid("int8", (0.5,) * 1000, (0,) * 1000, axis=0)
        tensors = [builder.tensor((1000, 1), "int8", grid) for _ in range(count)]
        return len(builder.serialize({f"x{i}": t for i, t in enumerate(tensors)}, {}, "", {}))

    assert size(1) > 12_000  # a scale and a 64-bit zero for each of 1000 channels
    assert size(5) - size(1) < 1_000


def test_shared_grids_read_back_as_each_tensor_s_own():
    builder = Builder()
    first = Grid("int8", (0.5, 0.25), (0, 0), axis=0)
    grids = [first, replace(first, axis=1), replace(first, dtype="int32", scale=(2.0, 3.0))]
    tensors = [builder.tensor((2, 2), g.dtype, g) for g in grids * 2]
    model = parsed(bytes(builder.serialize({f"x{i}": t for i, t in enumerate(tensors)}, {}, "", {})))
    found = [t.quantization for t in model.subgraphs[0].tensors]
    assert [tuple(q.scale) for q in found] == [g.scale for g in grids * 2]
    assert [tuple(q.zeroPoint) for q in found] == [g.zero_point for g in grids * 2]
    assert [q.quantizedDimension for q in found] == [g.axis for g in grids * 2]


def test_what_no_output_needs_is_dropped():
    builder = Builder()
    x, y, z = (builder.tensor((1, 4), "float32") for _ in range(3))
    builder.operator(schema.BuiltinOperator.RELU, [x], [y])
    builder.operator(schema.BuiltinOperator.TANH, [x], [z])
    (graph,) = parsed(bytes(builder.serialize({"x": x}, {"y": y}, "", {}))).subgraphs
    assert (len(graph.operators), len(graph.tensors)) == (1, 2)


def test_only_the_edges_have_names():
    _, model = write(sample_graph())
    (graph,) = parsed(model).subgraphs
    assert [t.name for t in graph.tensors if t.name] == [b"x0", b"y0"]


def test_operator_codes_are_not_repeated():
    model = parsed(write(sample_graph())[1])
    codes = [(c.builtinCode, c.version) for c in model.operatorCodes]
    assert len(codes) == len(set(codes)) == 1


@given(st.lists(st.integers(-8, 7), max_size=33))
def test_int4_packing_reads_back(numbers):
    packed = pack_int4(np.array(numbers, np.int8))
    assert packed.size == (len(numbers) + 1) // 2
    halves = np.stack([packed & 0xF, packed >> 4], 1).reshape(-1)[: len(numbers)].astype(np.int8)
    assert np.where(halves > 7, halves - 16, halves).tolist() == numbers


@pytest.mark.parametrize(
    ("op", "dtypes", "expected"),
    [
        ("CONV_2D", ("float32", "float32"), 1),
        ("CONV_2D", ("int8", "int8", "int32"), 3),
        ("FULLY_CONNECTED", ("float32", "int8"), 9),
        ("BROADCAST_TO", ("float32", "int32"), 2),
        ("ADD", ("int16", "int16"), 3),
    ],
)
def test_versions(op, dtypes, expected):
    assert version(op, dtypes) == expected
