import pytest
import torch
from torch import nn

from edgekit.errors import LoadError
from edgekit.graph import is_call
from edgekit.loading.lean import Folding
from edgekit.loading.trace import trace


def targets(call, *inputs, mode=None, root=None):
    program = trace(root or nn.Module(), call, inputs, mode).program
    return [str(n.target) for n in program.graph.nodes if is_call(n)], program


X = torch.randn(2, 3)


def test_gradient_and_autocast_regions_leave_no_trace():
    def call(x):
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            y = x + 1
        with torch.autocast("cpu", torch.bfloat16):
            return y @ y.T

    found, program = targets(call, X)
    assert "wrap_with" not in str(found)
    torch.testing.assert_close(program.module()(X)[0], (X + 1) @ (X + 1).T)


def test_casts_to_the_same_dtype_and_device_are_dropped_and_others_kept():
    def call(x):
        same = x.to(torch.float32).to("cpu").to(x).to(dtype=torch.float32).to("cpu", torch.float32)
        return same + 1, same.to(torch.int32)

    casts = [target for target in targets(call, X)[0] if target.startswith("aten.to.")]
    assert casts == ["aten.to.dtype"]


def test_what_depends_on_weights_alone_is_computed_at_once():
    weight = torch.randn(4, 3)
    found, program = targets(lambda x: x @ (weight.T * 2).contiguous() + weight.sum(1), X, mode=Folding([weight]))
    assert found == ["aten.matmul.default", "aten.add.Tensor"]
    torch.testing.assert_close(program.module()(X)[0], X @ (weight.T * 2) + weight.sum(1))


def test_weights_are_not_overwritten_by_tracing():
    counter = torch.zeros(1)

    def call(x):
        counter.add_(1)
        return x + counter

    with pytest.raises(LoadError, match="keeps no state"):
        targets(call, X, mode=Folding([counter]))
    assert float(counter) == 0


def test_temporaries_may_be_written_to():
    weight = torch.ones(3)
    found, program = targets(lambda x: x * weight.add(1).sqrt_(), X, mode=Folding([weight]))
    assert found == ["aten.mul.Tensor"]
    torch.testing.assert_close(program.module()(X)[0], X * 2**0.5)
    assert weight.tolist() == [1, 1, 1]


def test_random_numbers_are_not_frozen():
    weight = torch.ones(3)
    found, _ = targets(lambda x: x + torch.rand_like(weight), X, mode=Folding([weight]))
    assert "aten.rand_like.default" in found
