"""Every form of a constant: what is read back is what the graph computes with, in the bytes that the form promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.constraints import Codebook, Mask
from edgekit.errors import ConversionError
from edgekit.graph import Graph, aten, constant, constrain, finish
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.palettes import pack_bits
from edgekit_converters.coreml.testing import check, encoding, normal, write

import edgekit.ops  # noqa: F401 isort:skip

X = normal(1, 16)
SIZE = (24, 16)


def linear(x, w):
    return aten.linear.default(x, w)


def constrained(weight, *constraints) -> Graph:
    graph = graph_of(linear, [X], "head", w=weight)
    (node,) = [n for n in graph.nodes if n.op == "get_attr"]
    constrain(node, *constraints)
    return graph


def table(bits, groups=1, seed=0):
    return normal(groups, 2**bits, seed=seed).half().float().sort(1).values


def palettized(bits, groups=1, axis=0, sparse=False):
    book = Codebook("w", bits, table(bits, groups), axis, sparse)
    weight = book.project(normal(*SIZE, seed=3))
    mask = Mask("w", normal(*SIZE, seed=4) > 0.3)
    return constrained(mask.project(weight), mask, book) if sparse else constrained(weight, book)


def rounded(*arguments, target=aten.fake_quantize_per_channel_affine.default, weight=None, mask=None) -> Graph:
    """A linear layer with a fake-quantized weight; tensors among `arguments` become constants."""
    weight = normal(*SIZE, seed=3) if weight is None else weight
    graph = graph_of(linear, [X], "head", w=weight)
    (node,) = [n for n in graph.nodes if n.op == "get_attr"]
    (call,) = [n for n in graph.nodes if n.op == "call_function"]
    given = [constant(call, a, "grid") if isinstance(a, torch.Tensor) else a for a in arguments]
    with graph.module.graph.inserting_before(call):
        fake = graph.module.graph.call_function(target, (node, *given))
    fake.meta = {"val": node.meta["val"], "module_path": "head"}
    call.replace_input_with(node, fake)
    if mask is not None:
        constrain(node, mask)
    finish(graph.module)
    return graph


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("ios, bits", [("16", 1), ("16", 2), ("16", 4), ("17", 6), ("16", 8), ("18", 3), ("18", 4), ("18", 8)])
def test_palettes(ios, bits, compute):
    written = check(palettized(bits), X, ios=ios, compute=compute)
    assert written.forms == ["constexpr_lut_to_dense"]
    entry = 2 if compute == "float16" else 4
    assert written.bytes <= 24 * 16 * bits / 8 + 2**bits * entry + 64 * 6


@pytest.mark.parametrize("bits, groups, axis", [(4, 3, 0), (3, 24, 0), (2, 4, 1), (1, 16, 1)])
def test_grouped_palettes(bits, groups, axis):
    check(palettized(bits, groups, axis), X, compute="float16")


@pytest.mark.parametrize("bits, groups", [(4, 1), (2, 6)])
def test_sparse_palettes(bits, groups):
    written = check(palettized(bits, groups, sparse=True), X, compute="float16")
    assert written.forms == ["constexpr_lut_to_sparse", "constexpr_sparse_to_dense"]


@pytest.mark.parametrize("ios", ["16", "18"])
def test_sparse_weights(ios):
    mask = Mask("w", normal(*SIZE, seed=4) > 0.3)
    written = check(constrained(mask.project(normal(*SIZE)), mask), X, ios=ios, compute="float16")
    assert written.forms == ["constexpr_sparse_to_dense"]
    assert written.bytes < 24 * 16 * 2 * 0.62 + 64 * 5


def test_a_mask_of_few_zeros_is_not_worth_its_bits():
    mask = Mask("w", torch.arange(24 * 16).reshape(SIZE) > 8)
    assert check(constrained(mask.project(normal(*SIZE)), mask), X, compute="float16").forms == []


SCALES, ZEROS = normal(24, seed=5).abs() * 0.01 + 0.01, torch.zeros(24, dtype=torch.int32)


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("ios, kind", [("16", "constexpr_affine_dequantize"), ("18", "constexpr_blockwise_shift_scale")])
def test_int8_per_channel(ios, kind, compute):
    written = check(rounded(SCALES, ZEROS, 0, -127, 127), X, ios=ios, compute=compute)
    assert written.forms == [kind]
    assert written.bytes < 24 * 16 + 24 * 4 + 64 * 7


@pytest.mark.parametrize("ios", ["16", "18"])
@pytest.mark.parametrize("low, high, zero", [(-128, 127, 3), (0, 255, 120)])
def test_int8_per_tensor(ios, low, high, zero):
    check(rounded(0.02, zero, low, high, target=aten.fake_quantize_per_tensor_affine.default), X, ios=ios)


def test_int8_with_zero_points_per_channel():
    zeros = torch.arange(24, dtype=torch.int32) - 12
    for ios in ("16", "18"):
        check(rounded(SCALES, zeros, 0, -128, 127), X, ios=ios)


def test_int4_blocks():
    scales = normal(24, 4, seed=5).abs().half().float() * 0.1 + 0.05
    graph = rounded(scales, 4, -7, 7, target=torch.ops.edgekit.fake_quantize_per_block.default)
    written = check(graph, X, compute="float16")
    assert written.bytes < 24 * 16 / 2 + 24 * 4 * 2 + 64 * 5


def test_int4_per_channel():
    check(rounded(SCALES * 10, ZEROS, 0, -7, 7), X, compute="float16")


def test_sparse_int8():
    mask = Mask("w", normal(*SIZE, seed=4) > 0.3)
    graph = rounded(SCALES, ZEROS, 0, -127, 127, weight=mask.project(normal(*SIZE)), mask=mask)
    written = check(graph, X, compute="float16")
    assert written.forms == ["constexpr_sparse_blockwise_shift_scale", "constexpr_sparse_to_dense"]
    assert check(graph, X, ios="17").forms == ["constexpr_affine_dequantize"]


def clustered_and_rounded(groups, bits=3, *, scales=None, sparse=False):
    """A weight of few values, then rounded to int8 with the scales that its channels share, or with others."""
    shared = (normal(groups, seed=7).abs() * 0.01 + 0.01).repeat_interleave(24 // groups) if scales is None else scales
    book = Codebook("w", bits, table(bits, groups), 0, sparse)
    mask = Mask("w", normal(*SIZE, seed=4) > 0.3)
    weight = book.project(normal(*SIZE, seed=3))
    weight, imposed = (mask.project(weight), (mask, book)) if sparse else (weight, (book,))
    graph = rounded(shared, torch.zeros(24, dtype=torch.int32), 0, -127, 127, weight=weight)
    constrain(next(n for n in graph.nodes if n.target == "w"), *imposed)
    return graph


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("groups", [1, 6])
def test_tables_of_integers(groups, compute):
    written = check(clustered_and_rounded(groups), X, compute=compute)
    assert written.forms == ["constexpr_blockwise_shift_scale", "constexpr_lut_to_dense"]
    assert written.bytes < check(rounded(SCALES, ZEROS, 0, -127, 127), X, compute=compute).bytes


def test_sparse_tables_of_integers():
    written = check(clustered_and_rounded(6, sparse=True), X, compute="float16")
    assert written.forms == ["constexpr_blockwise_shift_scale", "constexpr_lut_to_sparse", "constexpr_sparse_to_dense"]


def test_older_versions_have_one_table_of_what_the_integers_are():
    assert check(clustered_and_rounded(1, 4), X, ios="17", compute="float16").forms == ["constexpr_lut_to_dense"]


@pytest.mark.parametrize("graph, ios, why", [
    (lambda: clustered_and_rounded(6, 4), "17", "grouped palettes need a newer iOS"),
    (lambda: clustered_and_rounded(1, scales=SCALES), "18", "scales of their own"),
])  # fmt: skip
def test_tables_that_do_not_survive_rounding_are_noted(graph, ios, why):
    written = check(graph(), X, ios=ios, compute="float16")
    assert "constexpr_lut_to_dense" not in written.forms
    (note,) = written.emitted.notes
    assert note.startswith("palettes: the clustered weight of 'head' is stored as int8 without tables") and why in note


def test_half_precision_weights_of_float32_arithmetic():
    graph = rounded(target=torch.ops.edgekit.fake_half.default)
    written = check(graph, X)
    assert written.forms == ["constexpr_cast"] and written.bytes < 24 * 16 * 2 + 64 * 5


def test_int8_activations():
    graph = graph_of(lambda x: aten.fake_quantize_per_tensor_affine.default(x, 0.02, 3, -128, 127), [X])
    assert check(graph, X, ios="17").kinds == ["quantize", "dequantize"]


def test_int8_activations_in_half_precision_land_on_the_same_step_or_the_next():
    graph = graph_of(lambda x: aten.fake_quantize_per_tensor_affine.default(x, 0.02, 0, -127, 127), [X])
    written = write(graph, [X], encoding("17", "float16"))
    assert written.kinds == ["cast", "quantize", "dequantize", "cast"]
    assert np.abs(written.outputs["y0"] - graph(X)[0].numpy()).max() <= 0.0203


@pytest.mark.parametrize(
    "graph, feature",
    [
        (lambda: palettized(3), "3-bit palettes"),
        (lambda: palettized(4, 3), "grouped palettes"),
        (lambda: palettized(4, sparse=True), "sparse palettes"),
        (lambda: rounded(SCALES * 10, ZEROS, 0, -7, 7), "int4 weights"),
        (lambda: graph_of(lambda x: aten.fake_quantize_per_tensor_affine.default(x, 0.02, 3, -128, 127), [X]), "int8 activations"),
    ],
)
def test_what_older_versions_do_not_read_is_refused(graph, feature):
    with pytest.raises(ConversionError, match=f"{feature} need iOS 1[78], but the file was asked for iOS 16") as error:
        write(graph(), how=encoding("16"))
    assert "--ios 1" in str(error.value)


@given(bits=st.sampled_from([1, 2, 3, 4, 6, 8]), values=st.lists(st.integers(0, 255), max_size=50))
@settings(max_examples=50)
def test_packed_bits_come_back(bits, values):
    wanted = np.array([v % 2**bits for v in values], np.uint8)
    spread = np.unpackbits(pack_bits(wanted, bits), bitorder="little")[: bits * len(wanted)].reshape(-1, bits)
    np.testing.assert_array_equal(spread @ (1 << np.arange(bits)), wanted)
