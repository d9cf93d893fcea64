"""Each rule on a file that breaks it, and on files that break none."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.tensorrt.rules import violations

SCALE, ZERO = np.float32(0.1), np.int8(0)
WEIGHT = np.arange(-54, 54).reshape(4, 3, 3, 3).astype(np.int8)


class File:
    """Writes a file node by node."""

    def __init__(self, opset=19):
        self.nodes, self.constants, self.opset = [], {}, opset

    def constant(self, value, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, op, *inputs, name=None, domain="", **attributes):
        made = f"v{len(self.nodes)}"
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(op, names, [made], name=name or f"net.block/{op}", domain=domain, **attributes))
        return made

    def q(self, x, scale=SCALE, zero=ZERO, **attributes):
        return self.node("QuantizeLinear", x, scale, zero, **attributes)

    def dq(self, x, scale=SCALE, zero=ZERO, **attributes):
        return self.node("DequantizeLinear", x, scale, zero, **attributes)

    def qdq(self, x, *grid, **attributes):
        return self.dq(self.q(x, *grid, **attributes), *grid, **attributes)

    def weight(self, stored=WEIGHT, axis=0):
        count = stored.shape[axis]
        return self.dq(stored, np.full(count, 0.1, np.float32), np.zeros(count, np.int8), axis=axis)

    def conv(self, x, bias=None, name="net.conv/Conv", **attributes):
        terms = [x, self.weight(), *([] if bias is None else [bias])]
        return self.node("Conv", *terms, name=name, pads=[1, 1, 1, 1], **attributes)

    def model(self, *outputs):
        edge = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
        results = [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["n", "c", "h", "w"]) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", [edge], results, list(self.constants.values()))
        domains = {n.domain for n in self.nodes} - {""}
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9)


def broken(file, *outputs):
    return [v.rule for v in violations(file.model(*outputs))]


def test_a_residual_block_by_the_rules_breaks_none():
    f = File()
    x = f.qdq("x")
    a = f.qdq(f.node("Relu", f.conv(x, np.zeros(4, np.float32))))
    w = np.ones((4, 4, 3, 3), np.int8)
    b = f.node("Conv", a, f.weight(w), pads=[1, 1, 1, 1])
    total = f.qdq(f.node("Relu", f.node("Add", b, a)))
    model = f.model(f.node("Conv", total, f.weight(w)))
    onnx.checker.check_model(model, full_check=True)
    assert violations(model) == ()


def test_floats_break_none():
    f = File(opset=13)
    y = f.node("Relu", f.node("Conv", "x", WEIGHT.astype(np.float32)))
    assert broken(f, y) == []


def test_asymmetric():
    f = File()
    assert broken(f, f.conv(f.qdq("x", SCALE, np.int8(3)))) == ["asymmetric"]


def test_unsigned_integers():
    f = File()
    assert "dtype" in broken(f, f.conv(f.qdq("x", SCALE, np.uint8(0))))


def test_a_missing_zero_point_means_unsigned_integers():
    f = File()
    assert "dtype" in broken(f, f.conv(f.node("DequantizeLinear", f.node("QuantizeLinear", "x", SCALE), SCALE)))


def test_per_channel_activations():
    f = File()
    grid = np.full(3, 0.1, np.float32), np.zeros(3, np.int8)
    assert set(broken(f, f.conv(f.qdq("x", *grid, axis=1)))) == {"per-channel"}


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_scales_that_are_no_steps(bad):
    f = File()
    assert set(broken(f, f.conv(f.qdq("x", np.float32(bad), ZERO)))) == {"scale"}


def test_scales_computed_at_run_time():
    f = File()
    scale = f.node("Abs", SCALE)
    y = f.node("DequantizeLinear", f.node("QuantizeLinear", "x", scale, ZERO), scale, ZERO)
    assert set(broken(f, f.conv(y))) == {"scale"}


@pytest.mark.parametrize(
    ("op", "stored", "right", "wrong", "options"),
    [
        ("Conv", WEIGHT, 0, 1, {}),
        ("ConvTranspose", WEIGHT[:3].reshape(3, 3, 3, 3)[:, :2], 0, 1, {}),
        ("Gemm", np.ones((5, 8), np.int8), 0, 1, {"transB": 1}),
        ("Gemm", np.ones((8, 5), np.int8), 1, 0, {}),
        ("MatMul", np.ones((8, 5), np.int8), 1, 0, {}),
    ],
)
def test_the_axis_of_weights(op, stored, right, wrong, options):
    for axis, found in ((right, []), (wrong, ["axis"])):
        f = File()
        y = f.node(op, f.qdq("x"), f.weight(stored, axis), **options)
        assert broken(f, y) == found
    (violation,) = violations(f.model(y))
    assert f"axis {right}" in violation.fix


def test_a_transposed_weight_is_seen_through():
    for axis, found in ((0, []), (1, ["axis"])):
        f = File()
        y = f.node("MatMul", f.qdq("x"), f.node("Transpose", f.weight(np.ones((5, 8), np.int8), axis)))
        assert broken(f, y) == found


def test_a_quantized_bias():
    f = File()
    bias = f.node("DequantizeLinear", np.zeros(4, np.int32), np.full(4, 0.01, np.float32), np.zeros(4, np.int32), axis=0)
    assert broken(f, f.conv(f.qdq("x"), bias)) == ["bias"]


def shortcut(f):
    """An int8 convolution, and a float beside it."""
    x = f.node("Relu", "x")
    return f.conv(f.qdq(x), name="net.main/Conv"), f.node("Sigmoid", f.node("Conv", x, WEIGHT.astype(np.float32), pads=[1, 1, 1, 1]))


def test_a_residual_that_is_not_rounded():
    f = File()
    main, other = shortcut(f)
    y = f.qdq(f.node("Relu", f.node("Add", other, main, name="net.add/Add")))
    (violation,) = violations(f.model(y))
    assert (violation.rule, violation.node, violation.refused) == ("residual", "net.add/Add", False)
    assert repr(other) in violation.fix


def test_a_residual_whose_sum_stays_float_may_stay_float():
    f = File()
    main, other = shortcut(f)
    assert broken(f, f.node("Relu", f.node("Add", main, other))) == []


def test_a_pair_between_a_convolution_and_its_sum():
    f = File()
    main, other = shortcut(f)
    y = f.qdq(f.node("Add", f.qdq(main), f.qdq(other), name="net.add/Add"))
    (violation,) = violations(f.model(y))
    assert violation.rule == "fusion"
    assert "net.main/Conv" in violation.wrong


def test_a_projected_shortcut_is_rounded_on_one_side():
    f = File()
    x = f.qdq("x")
    y = f.qdq(f.node("Relu", f.node("Add", f.conv(x), f.qdq(f.conv(x)))))
    assert broken(f, y) == []


def test_a_pair_between_a_convolution_and_its_activation():
    f = File()
    y = f.node("Relu", f.qdq(f.conv(f.qdq("x"))), name="net.act/Relu")
    (violation,) = violations(f.model(y))
    assert (violation.rule, violation.node) == ("fusion", "net.act/Relu")


def test_a_pool_that_reads_integers_gives_integers():
    f = File()
    pool = f.node("MaxPool", f.qdq("x"), kernel_shape=[2, 2])
    assert broken(f, pool) == ["pooling"]
    f.conv(f.qdq(pool))
    assert broken(f, pool) == []


@pytest.mark.parametrize("side", ["weights only", "input only"])
def test_half_a_kernel(side):
    f = File()
    y = f.conv("x") if side == "weights only" else f.node("Conv", f.qdq("x"), WEIGHT.astype(np.float32))
    assert broken(f, y) == [side]


def test_weights_stored_as_floats():
    f = File()
    weight = np.random.default_rng(0).standard_normal((32, 3, 3, 3)).astype(np.float32)
    grid = np.full(32, 0.1, np.float32), np.zeros(32, np.int8)
    y = f.node("Conv", f.qdq("x"), f.qdq(f.constant(weight), *grid, axis=0))
    (violation,) = violations(f.model(y))
    assert violation.rule == "float weights"
    assert f"{weight.nbytes:,} bytes" in violation.wrong


def test_constants_stored_twice():
    f = File()
    weight = np.ones((64, 3, 3, 3), np.float32)
    y = f.node("Add", f.node("Conv", "x", weight), f.node("Conv", "x", weight))
    assert broken(f, y) == ["repeated"]


def test_old_opsets():
    f = File(opset=17)
    (violation,) = violations(f.model(f.conv(f.qdq("x"))))
    assert (violation.rule, violation.refused) == ("opset", False)


def test_ranges_found_at_run_time():
    f = File()
    assert broken(f, f.node("DynamicQuantizeLinear", "x")) == ["dynamic"]


def test_integer_operators():
    f = File()
    y = f.node("QLinearConv", f.q("x"), SCALE, ZERO, WEIGHT, SCALE, ZERO, SCALE, ZERO)
    assert set(broken(f, y)) == {"integer operator", "unpaired"}


def test_operators_of_other_domains():
    f = File()
    assert broken(f, f.node("Fancy", "x", domain="my.company")) == ["domain"]


@pytest.mark.parametrize(
    ("name", "properties", "module"),
    [
        ("layer1.0.conv1/Conv", {"edgekit.module": "layer1.0.conv1"}, "layer1.0.conv1"),
        ("node_conv2d_3", {"pkg.torch.onnx.name_scopes": "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']"}, "layer1.0.conv1"),
        ("/layer1/layer1.0/conv1/Conv", {}, "layer1.0.conv1"),
        ("Conv_3", {}, ""),
        ("n", {"pkg.torch.onnx.name_scopes": "__import__('os').getcwd()"}, ""),
        ("n", {"pkg.torch.onnx.name_scopes": "[" * 5000}, ""),
    ],
)
def test_violations_name_the_users_module(name, properties, module):
    f = File()
    f.qdq("x", SCALE, np.int8(3))
    f.nodes[0].name = name
    for key, value in properties.items():
        f.nodes[0].metadata_props.add(key=key, value=value)
    assert violations(f.model("v1"))[0].module == module


def test_what_tensorrt_refuses_comes_first():
    f = File(opset=17)
    assert broken(f, f.conv(f.qdq("x", SCALE, np.int8(3)))) == ["asymmetric", "opset"]
