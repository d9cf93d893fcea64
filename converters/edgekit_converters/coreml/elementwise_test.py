import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml.testing import calling, check, normal

X, Y = normal(2, 3, 4), normal(3, 1, seed=1)
BINARY = {
    "add": aten.add.Tensor, "sub": aten.sub.Tensor, "mul": aten.mul.Tensor, "div": aten.div.Tensor,
    "maximum": aten.maximum.default, "minimum": aten.minimum.default,
}  # fmt: skip
UNARY = {
    "abs": aten.abs.default, "exp": aten.exp.default, "sin": aten.sin.default, "cos": aten.cos.default,
    "floor": aten.floor.default, "round": aten.round.default, "neg": aten.neg.default,
}  # fmt: skip
POSITIVE = {"sqrt": aten.sqrt.default, "rsqrt": aten.rsqrt.default, "log": aten.log.default}


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, compute):
    check(graph_of(BINARY[name], [X, Y]), X, Y, compute=compute)
    check(graph_of(lambda x, c: BINARY[name](c, x), [Y], c=X), Y, compute=compute)


@pytest.mark.parametrize("name", ["add", "mul", "maximum"])
def test_of_integers(name):
    x = torch.arange(6, dtype=torch.int32).reshape(2, 3)
    check(graph_of(calling(BINARY[name]), [x], other=torch.tensor([2, 0, 5])), x)


def test_operands_meet_in_the_dtype_of_the_result():
    x, n = normal(2, 3), torch.tensor([[1, 2, 3]], dtype=torch.int32)
    check(graph_of(aten.mul.Tensor, [x, n]), x, n, compute="float16")


@pytest.mark.parametrize("compute", ["float32", "float16"])
@pytest.mark.parametrize("name", [*UNARY, *POSITIVE])
def test_unary(name, compute):
    x = X if name in UNARY else X.abs() + 0.1
    check(graph_of({**UNARY, **POSITIVE}[name], [x]), x, compute=compute)


@pytest.mark.parametrize("exponent, kind", [(2.0, "mul"), (0.5, "sqrt"), (-0.5, "rsqrt"), (3.0, "pow")])
def test_powers(exponent, kind):
    x = X.abs() + 0.1
    written = check(graph_of(calling(aten.pow.Tensor_Tensor), [x], exponent=torch.tensor(exponent)), x)
    assert kind in written.kinds


def test_a_constant_that_several_read_is_written_once():
    def function(x, c):
        return aten.add.Tensor(aten.mul.Tensor(x, c), c)

    written = check(graph_of(function, [X], c=normal(4, seed=2)), X)
    assert [w.name for w in written.emitted.weights] == ["c"]


def test_small_and_huge_numbers_of_half_precision():
    x = torch.zeros(1, 4)

    def function(x0, tiny, huge):
        return aten.mul.Tensor(aten.rsqrt.default(aten.add.Tensor(x0, tiny)), tiny), aten.softmax.int(aten.add.Tensor(x0, huge), -1)

    graph = graph_of(function, [x], tiny=torch.tensor(1e-12), huge=torch.tensor([0.0, -1e9, -1e9, 0.0]))
    from edgekit_converters.coreml.testing import encoding, write

    outputs = write(graph, [x], encoding(compute="float16")).outputs
    assert all(torch.isfinite(torch.from_numpy(v)).all() for v in outputs.values())
    assert outputs["y1"].tolist() == [[0.5, 0.0, 0.0, 0.5]]
