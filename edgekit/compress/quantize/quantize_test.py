import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.quantize import CALIBRATIONS, Quantize
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import aten, constant_value, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import (
    IMAGE,
    ROUNDINGS,
    RULES,
    call_of,
    calls,
    conv,
    data,
    operand_grids,
    quantized,
    result_grid,
    small_net,
    weights,
)


def test_every_value_of_an_int8_network_has_a_grid():
    graph = quantized(small_net())
    for node in graph.nodes:
        if is_call(node) and op_name(node) not in ROUNDINGS:
            floats = [n for n in node.all_input_nodes if n.meta["val"].is_floating_point()]
            rounded = [n for n in floats if grid_of(n) is not None]
            absorbed = [n for n in floats if op_name(node) == "relu"]
            biases = [n for n in floats if n.op == "get_attr"]
            assert len(rounded) + len(absorbed) + len(biases) == len(floats)
            assert all(grid_of(r) is not None or op_name(r) == "relu" for r in node.users)
    assert graph.notes == ()


def test_the_input_graph_is_left_alone():
    graph = small_net()
    before = [n.format_node() for n in graph.nodes]
    quantized(graph)
    assert [n.format_node() for n in graph.nodes] == before


def test_the_prediction_is_close_to_float():
    graph, x = small_net(), torch.from_numpy(data((3, 8, 8), seed=5).inputs["x0"][:1])
    for scheme, tolerance in {"w8a8": 0.05, "w8a16": 0.02, "w8ad8": 0.05, "w8": 0.02, "fp16": 1e-3, "w4a8": 0.3, "w4b32": 0.02}.items():
        (expected,), (found,) = graph(x), quantized(graph, scheme=scheme)(x)
        assert float((found - expected).norm() / expected.norm()) < tolerance, scheme


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_all_calibrations_work_and_are_deterministic(calibration):
    first, second = (quantized(small_net(), calibration=calibration, batch_size=size) for size in (1, 8))
    for a, b in zip(first.nodes, second.nodes, strict=True):
        ga, gb = grid_of(a), grid_of(b)
        assert (ga is None) == (gb is None)
        if ga is not None:
            np.testing.assert_allclose(ga.scale, gb.scale, rtol=1e-4)
            assert ga.zero_point == gb.zero_point or abs(ga.zero_point[0] - gb.zero_point[0]) <= 1


def test_a_producer_and_its_activation_are_rounded_once():
    graph = quantized(small_net())
    for relu in calls(graph, "relu"):
        assert op_name(relu.args[0]) in ("convolution", "add")
        grid = result_grid(relu)
        assert grid.zero_point == (-128,)


def test_weights_are_symmetric_by_output_channel():
    graph = quantized(small_net())
    for node in calls(graph, "convolution") + calls(graph, "linear"):
        grid, weight = grid_of(node.args[1]), constant_value(node.args[1].args[0])
        assert grid.axis == 0 and grid.dtype == "int8" and set(grid.zero_point) == {0}
        np.testing.assert_allclose(grid.scale, weight.flatten(1).abs().amax(1) / 127, rtol=1e-6)


def test_transposed_convolutions_have_their_channels_on_axis_1():
    def net(x0, w, b):
        return aten.convolution.default(x0, w, b, [2, 2], [0, 0], [1, 1], True, [0, 0], 1)

    graph = quantized(graph_of(net, [IMAGE], w=weights(3, 6, 2, 2), b=weights(6)))
    grid = grid_of(call_of(graph, "convolution").args[1])
    assert grid.axis == 1 and len(grid.scale) == 6


SHARED = {
    "reshape": lambda x: aten.reshape.default(x, [1, 192]),
    "permute": lambda x: aten.permute.default(x, [0, 2, 3, 1]),
    "slice": lambda x: aten.slice.Tensor(x, 2, 0, 4, 1),
    "pad": lambda x: aten.pad.default(x, [1, 1, 1, 1], "constant", 0.0),
    "expand": lambda x: aten.expand.default(x, [2, 3, 8, 8]),
    "max_pool2d": lambda x: aten.max_pool2d.default(x, [2, 2]),
    "avg_pool2d": lambda x: aten.avg_pool2d.default(x, [2, 2]),
    "upsample_nearest2d": lambda x: aten.upsample_nearest2d.vec(x, [16, 16], None),
    "upsample_bilinear2d": lambda x: aten.upsample_bilinear2d.vec(x, [16, 16], False, None),
    "amax": lambda x: aten.amax.default(x, [2, 3]),
    "repeat": lambda x: aten.repeat.default(x, [1, 2, 1, 1]),
    "flip": lambda x: aten.flip.default(x, [2]),
    "cat": lambda x: aten.cat.default([x, x], 1),
    "maximum": lambda x: aten.maximum.default(x, x),
    "clamp": lambda x: aten.clamp.default(x, -0.5, 0.5),
}


@pytest.mark.parametrize("op", SHARED)
def test_data_movement_keeps_its_grid(op):
    graph = quantized(graph_of(lambda x0, w, b: SHARED[op](aten.mul.Tensor(x0, x0)), [IMAGE], w=weights(1), b=weights(1)))
    node = call_of(graph, op)
    grids = {*operand_grids(node), result_grid(node)}
    assert len(grids) == 1


def test_concatenated_values_share_the_grid_that_holds_them_all():
    def net(x0, x1):
        return aten.cat.default([aten.mul.Tensor(x0, x0), aten.add.Tensor(x1, x1)], 1)

    graph = quantized(graph_of(net, [IMAGE, IMAGE]), data((3, 8, 8), (3, 8, 8), scale=2.0), calibration="minmax")
    (grid,) = {*operand_grids(call_of(graph, "cat")), result_grid(call_of(graph, "cat"))}
    samples = data((3, 8, 8), (3, 8, 8), scale=2.0).inputs
    low, high = min(0, 2 * samples["x1"].min()), max((samples["x0"] ** 2).max(), 2 * samples["x1"].max())
    np.testing.assert_allclose(grid.scale[0], (high - low) / 255, rtol=1e-4)
    assert graph.notes == ()


@pytest.mark.parametrize(
    ("op", "scale", "zero"), [("softmax", 1 / 256, -128), ("sigmoid", 1 / 256, -128), ("tanh", 1 / 128, 0), ("log_softmax", 1 / 16, 127)]
)
def test_grids_that_kernels_fix(op, scale, zero):
    apply = {"softmax": lambda x: aten.softmax.int(x, 1), "log_softmax": lambda x: aten.log_softmax.int(x, 1)}.get(op) or getattr(
        aten, op
    ).default
    graph = quantized(graph_of(lambda x0: apply(aten.mul.Tensor(x0, x0)), [IMAGE]))
    grid = result_grid(call_of(graph, op))
    assert (grid.scale, grid.zero_point) == ((scale,), (zero,))


def test_a_fixed_grid_goes_along_with_data_movement():
    graph = quantized(graph_of(lambda x0: aten.reshape.default(aten.softmax.int(x0, 1), [1, 192]), [IMAGE]))
    assert result_grid(call_of(graph, "reshape")).scale == (1 / 256,)
    assert graph.notes == ()
    both = graph_of(lambda x0: aten.cat.default([aten.sigmoid.default(x0), aten.softmax.int(x0, 1)], 1), [IMAGE])
    graph = quantized(both)
    assert {g.scale for g in operand_grids(call_of(graph, "cat"))} == {(1 / 256,)} and graph.notes == ()


def test_a_fixed_grid_among_others_is_requantized_and_noted():
    def net(x0):
        y = aten.sigmoid.default(x0)
        return aten.cat.default([y, aten.mul.Tensor(x0, x0)], 1), aten.mul.Tensor(y, y)

    graph = quantized(graph_of(net, [IMAGE]))
    cat = call_of(graph, "cat")
    (grid,) = {*operand_grids(cat), result_grid(cat)}
    assert grid.scale[0] > 1 / 256
    requantized = cat.args[0][0]
    assert grid_of(requantized.args[0]).scale == (1 / 256,), "the kernel's own grid stands before the other"
    assert any(n.startswith("requantized:") for n in graph.notes)
    inner = [m for m in calls(graph, "mul") if grid_of(m.args[0]).scale == (1 / 256,)]
    assert len(inner) == 1, "other readers keep the kernel's own grid"


def test_the_right_operand_of_a_matrix_product_is_symmetric():
    graph = quantized(
        graph_of(lambda x0, x1: aten.matmul.default(x0, aten.permute.default(x1, [0, 2, 1])), [torch.zeros(1, 4, 6), torch.zeros(1, 5, 6)])
    )
    left, right = operand_grids(call_of(graph, "matmul"))
    assert right.zero_point == (0,) and result_grid(call_of(graph, "permute")) == right
    assert left.zero_point != (0,)


def test_constants_have_exact_grids():
    graph = quantized(graph_of(lambda x0, c: aten.mul.Tensor(aten.add.Tensor(x0, c), c), [IMAGE], c=torch.tensor(0.3)))
    add, mul = call_of(graph, "add"), call_of(graph, "mul")
    assert add.args[1] is mul.args[1], "one constant, one grid"
    torch.testing.assert_close(add.args[1].target(torch.tensor(0.3), *add.args[1].args[1:]), torch.tensor(0.3))


def test_a_constant_in_a_shared_group_takes_the_groups_grid():
    def net(x0, c):
        return aten.maximum.default(aten.mul.Tensor(x0, x0), c), aten.add.Tensor(x0, c)

    graph = quantized(graph_of(net, [IMAGE], c=torch.tensor(0.3)))
    assert len({*operand_grids(call_of(graph, "maximum")), result_grid(call_of(graph, "maximum"))}) == 1
    assert grid_of(call_of(graph, "add").args[1]).zero_point == (-128,)


def test_the_attention_masks_minus_infinity_does_not_ruin_the_grid():
    mask = torch.zeros(1, 4, 4).masked_fill(torch.ones(4, 4).triu(1).bool(), torch.finfo(torch.float32).min)
    graph = quantized(graph_of(lambda x0, m: aten.softmax.int(aten.add.Tensor(x0, m), 2), [torch.zeros(1, 4, 4)], m=mask))
    assert result_grid(call_of(graph, "add")).scale[0] < 0.2
    (found,) = graph(torch.zeros(1, 4, 4))
    assert float(found.triu(1).max()) <= 1 / 256
    torch.testing.assert_close(found[0, 1, :2], torch.tensor([0.5, 0.5]), atol=0.01, rtol=0)


def test_operators_without_a_kernel_stay_float_and_are_listed():
    graph = quantized(graph_of(lambda x0: aten.mul.Tensor(aten.sin.default(aten.add.Tensor(x0, x0)), x0), [IMAGE], module_path="wave"))
    (note,) = graph.notes
    assert note == "float: sin (tensor 'sin_default' of module 'wave'): no int8 kernel"
    assert result_grid(call_of(graph, "sin")) is not None, "its integer reader rounds it"


def test_data_movement_between_float_operators_stays_float():
    graph = quantized(graph_of(lambda x0: aten.sin.default(aten.permute.default(aten.sin.default(x0), [0, 2, 3, 1])), [IMAGE]))
    assert grid_of(call_of(graph, "permute").args[0]) is None
    assert not [n for n in call_of(graph, "permute").users if grid_of(n)]


def test_float_edges_of_a_static_scheme_have_grids():
    graph = quantized(graph_of(aten.sin.default, [IMAGE]))
    (output,) = [n for n in graph.nodes if n.op == "output"]
    assert grid_of(output.args[0][0]) is not None and grid_of(call_of(graph, "sin").args[0]) is not None


def test_fused_bounds_saturate_with_the_grid_or_are_rounded_before():
    def relu6(x0, w, b):
        return aten.clamp.default(conv(x0, w, b), 0.0, 6.0)

    def odd(x0, w, b):
        y = aten.clamp.default(conv(x0, w, b), -0.3, 0.2)
        return aten.cat.default([y, aten.mul.Tensor(x0, x0)], 1)

    constants = {"w": weights(3, 3, 3, 3), "b": weights(3)}
    graph = quantized(graph_of(relu6, [IMAGE], **constants), data((3, 8, 8), scale=20.0))
    grid = result_grid(call_of(graph, "clamp"))
    assert is_call(call_of(graph, "clamp").args[0], aten.convolution.default)
    assert grid.zero_point == (-128,) and grid.scale[0] <= 6 / 255 * 1.0001
    graph = quantized(graph_of(odd, [IMAGE], **constants))
    clamp = call_of(graph, "clamp")
    assert grid_of(clamp.args[0]) == result_grid(clamp), "a grid wider than the bounds cannot do the clamping"


def test_a_value_read_twice_is_not_fused():
    def net(x0, w, b):
        y = conv(x0, w, b)
        return aten.relu.default(y), aten.mul.Tensor(y, y)

    graph = quantized(graph_of(net, [IMAGE], w=weights(3, 3, 3, 3), b=weights(3)))
    assert grid_of(call_of(graph, "relu").args[0]) is not None


def test_overrides_leave_modules_float():
    def net(x0, w1, b1, w2, b2):
        return conv(conv(x0, w1, b1), w2, b2)

    graph = graph_of(net, [IMAGE], w1=weights(3, 3, 3, 3), b1=weights(3), w2=weights(3, 3, 3, 3, seed=1), b2=weights(3))
    for index, node in enumerate(calls(graph, "convolution")):
        node.meta["module_path"] = f"blocks.{index}.conv"
    result = quantized(graph, overrides={"blocks.1": "float32"})
    first, second = calls(result, "convolution")
    assert grid_of(first.args[1]) is not None and grid_of(second.args[1]) is None
    assert grid_of(second.args[0]) == result_grid(first)
    assert result.notes == (), "what the user asked for is no concession"
    result = quantized(graph, overrides={"blocks.*": "float32", "*.0.conv": "w4a8"})
    first, second = calls(result, "convolution")
    assert grid_of(first.args[1]).dtype == "int4" and grid_of(second.args[1]) is None


def test_widths_mix():
    graph = graph_of(lambda x0: aten.mul.Tensor(aten.add.Tensor(x0, x0), x0), [IMAGE])
    call_of(graph, "mul").meta["module_path"] = "exact"
    result = quantized(graph, overrides={"exact": "w8a16"})
    assert {g.dtype for g in operand_grids(call_of(result, "mul"))} == {"int16"}
    assert {g.dtype for g in operand_grids(call_of(result, "add"))} == {"int8"}
    assert result_grid(call_of(result, "mul")).dtype == "int16"
    assert any(n.startswith("requantized:") for n in result.notes)


def test_an_override_of_a_layer_holds_for_the_activation_its_kernel_applies():
    def net(x0, w1, b1, w2, b2):
        return conv(aten.relu.default(conv(x0, w1, b1)), w2, b2)

    graph = graph_of(net, [IMAGE], w1=weights(3, 3, 3, 3), b1=weights(3), w2=weights(3, 3, 3, 3, seed=1), b2=weights(3))
    for node, path in zip([*calls(graph, "convolution"), call_of(graph, "relu")], ("block.a", "block.b", "block"), strict=True):
        node.meta["module_path"] = path  # a functional relu belongs to the module that calls it
    result = quantized(graph, overrides={"block.[ab]": "w8a16"})
    relu = call_of(result, "relu")
    assert is_call(relu.args[0], aten.convolution.default)
    assert result_grid(relu).dtype == "int16"
    assert grid_of(calls(result, "convolution")[1].args[0]) == result_grid(relu)
    result = quantized(graph, overrides={"block": "w8a16", "block.[ab]": "float32"})
    assert result_grid(call_of(result, "relu")).dtype == "int16", "an override of its own counts"


def test_int16_is_symmetric():
    graph = quantized(small_net(), scheme="w8a16")
    activations = [grid_of(n) for n in graph.nodes if is_call(n, aten.fake_quantize_per_tensor_affine.default)]
    assert activations and all(g.dtype == "int16" and g.zero_point == (0,) for g in activations)


def test_tied_weights_are_rounded_once():
    graph = quantized(graph_of(lambda x0, w, b: conv(conv(x0, w, b), w, b), [IMAGE], w=weights(3, 3, 3, 3), b=weights(3)))
    first, second = calls(graph, "convolution")
    assert first.args[1] is second.args[1]


def test_static_schemes_ask_for_data():
    with pytest.raises(DataError, match="calibration data"):
        Quantize()(small_net(), Context(RULES))
    with pytest.raises(DataError):
        Quantize()(small_net(), Context(RULES, Samples({"other": np.zeros((2, 3, 8, 8), np.float32)})))


@pytest.mark.parametrize(
    "options",
    [{"scheme": "w3a3"}, {"calibration": "max"}, {"percentile": 0.99}, {"momentum": 1.0}, {"batch_size": 0}, {"overrides": {"a": "w9"}}],
)
def test_options_are_checked_at_once(options):
    with pytest.raises(UsageError) as error:
        Quantize(**options)
    assert error.value.accepted


unary = st.sampled_from(["relu", "sigmoid", "tanh", "abs", "hardswish"])
moves = st.sampled_from(["permute", "pad", "slice", "max_pool2d", "cat", "maximum", "clamp"])
steps = st.lists(
    st.tuples(st.sampled_from(["conv", "add", "mul", "unary", "move", "cat"]), unary, moves, st.integers(0, 9), st.integers(0, 9)),
    max_size=8,
)


@settings(max_examples=40)
@given(steps)
def test_any_network_is_consistent(recipe):
    def net(x0, w, b):
        values = [x0]
        for kind, activation, move, i, j in recipe:
            x, y = values[i % len(values)], values[j % len(values)]
            made = {
                "conv": lambda x=x: conv(x, w, b),
                "add": lambda x=x, y=y: aten.add.Tensor(x, y),
                "mul": lambda x=x, y=y: aten.mul.Tensor(x, y),
                "unary": lambda x=x, a=activation: getattr(aten, a).default(x),
                "cat": lambda x=x, y=y: aten.slice.Tensor(aten.cat.default([x, y], 1), 1, 0, 3, 1),
                "move": lambda x=x, m=move: {
                    "permute": lambda: aten.permute.default(aten.permute.default(x, [0, 2, 3, 1]), [0, 3, 1, 2]),
                    "pad": lambda: aten.slice.Tensor(aten.pad.default(x, [0, 0, 1, 0], "constant", 0.0), 2, 0, 8, 1),
                    "slice": lambda: aten.slice.Tensor(x, 2, 0, 8, 1),
                    "max_pool2d": lambda: aten.max_pool2d.default(x, [3, 3], [1, 1], [1, 1]),
                    "cat": lambda: aten.slice.Tensor(aten.cat.default([x, x], 1), 1, 0, 3, 1),
                    "maximum": lambda: aten.maximum.default(x, x),
                    "clamp": lambda: aten.clamp.default(x, -0.7, 0.9),
                }[m](),
            }[kind]()
            values.append(made)
        return values[-1]

    graph = graph_of(net, [IMAGE], w=weights(3, 3, 3, 3), b=weights(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = quantized(graph)
    rules = RULES.activations[8]
    for node in result.nodes:
        if not is_call(node) or op_name(node) in ROUNDINGS:
            continue
        grids = {grid for reader in node.users if (grid := grid_of(reader)) is not None and grid_of(node) is None}
        if op_name(node) in rules.shared and operand_grids(node):
            assert set(operand_grids(node)) <= grids, f"{node} reads another grid than it writes"
        if op_name(node) in rules.fixed:
            assert rules.fixed[op_name(node)] in grids
    assert all(bool(v.isfinite().all()) for v in result(torch.zeros(1, 3, 8, 8)))


def test_nothing_here_reads_the_clock_or_a_random_number_without_a_seed():
    for path in Path(__file__).parent.glob("*.py"):
        if not path.name.endswith("_test.py"):
            text = path.read_text()
            assert "import time" not in text and "np.random" not in text
            assert text.count("torch.rand") == text.count("generator=torch.Generator().manual_seed(")


def test_symmetric_grids_on_request():
    graph, samples = small_net(), data((3, 8, 8))
    for symmetric in (False, True):
        rounded = Quantize("w8a8", calibration="minmax", symmetric=symmetric)(graph, Context(RULES, samples))
        grids = [grid_of(n) for n in rounded.nodes if grid_of(n) and constant_value(n.args[0]) is None]
        assert {g.zero_point for g in grids} == {(0,)} if symmetric else any(g.zero_point != (0,) for g in grids)
        assert len(grids) > 3
