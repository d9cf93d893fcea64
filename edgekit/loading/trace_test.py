import pytest
import torch
from torch import nn

from edgekit.errors import LoadError
from edgekit.loading.trace import trace


class Picky(nn.Module):
    def __init__(self, fail):
        super().__init__()
        self.fail = fail

    def forward(self, x):
        return self.fail(x)


def wrapped(fail):
    return nn.Sequential(nn.Identity(), nn.Sequential(Picky(fail)))


def test_a_decision_on_values_is_refused_and_the_module_named():
    model = wrapped(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(LoadError, match="decides by the values") as caught:
        trace(model, model, (torch.ones(2),))
    assert caught.value.module == "1.0"


def test_a_shape_that_depends_on_values_is_refused_and_the_module_named():
    model = wrapped(lambda x: x[x > 0])
    with pytest.raises(LoadError, match="depends on the values") as caught:
        trace(model, model, (torch.ones(2),))
    assert caught.value.module == "1.0"


def test_a_model_without_tensors_to_return_is_refused():
    model = wrapped(lambda x: {"loss": None})
    with pytest.raises(LoadError, match="returns no tensor"):
        trace(model, model, (torch.ones(2),))


def test_what_is_no_tensor_is_left_out_and_noted():
    model = wrapped(lambda x: {"y": x + 1, "count": 3})
    traced = trace(model, model, (torch.ones(2),))
    assert traced.outputs == (("y",),)
    assert traced.notes == ("output 'count' is a int: left out",)


def test_hooks_of_the_root_run_once_and_on_its_own_arguments():
    seen = []
    model = nn.Linear(2, 2)
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args)))
    trace(model, model, (torch.ones(1, 2),))
    assert seen == [1]
    assert "forward" not in model.__dict__ and len(model._forward_pre_hooks) == 1


def test_the_tracer_is_left_as_it_was():
    import gc

    flag = torch.fx.config.do_not_emit_stack_traces
    model = wrapped(lambda x: 1 / 0)
    with pytest.raises(LoadError):
        trace(model, model, (torch.ones(2),))
    assert gc.isenabled() and torch.fx.config.do_not_emit_stack_traces == flag and "forward" not in model.__dict__
