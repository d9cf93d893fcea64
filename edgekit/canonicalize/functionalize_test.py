"""In-place calls become functional, or PyTorch does it, or the model is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.canonicalize import inlined
from edgekit.canonicalize.functionalize import functionalize
from edgekit.canonicalize.lift import lift
from edgekit.canonicalize.spelling_test import Fn
from edgekit.errors import LoadError
from edgekit.testing.proving import prove


def program(model, *inputs):
    with torch.no_grad():
        return torch.export.export(model, inputs, strict=False)


def test_in_place_on_temporaries_is_renamed():
    conv = nn.Conv2d(3, 4, 1)
    exported = program(Fn(lambda x: F.relu_(conv(x)).mul_(2).add_(1), conv=conv), torch.randn(1, 3, 4, 4))
    module = lift(exported)
    assert functionalize(module.graph) == []
    assert not any(getattr(n.target, "_schema", None) and n.target._schema.is_mutable for n in module.graph.nodes)


def test_readers_before_the_write_keep_the_old_value():
    def forward(x):
        y = x * 2
        z = y + 1
        y.relu_()
        return y + z

    prove(Fn(forward), torch.randn(3, 4))


def test_writes_through_views_go_the_long_way():
    def forward(x):
        y = x * 2
        y[:, 0] = 5.0
        y.view(-1)[3:5].mul_(3)
        return y

    assert functionalize(lift(program(Fn(forward), torch.randn(3, 4))).graph)
    prove(Fn(forward), torch.randn(3, 4))


def test_a_view_read_after_the_write_is_seen():
    def forward(x):
        y = x * 2
        flat = y.reshape(-1)
        y.relu_()
        return flat + 1

    prove(Fn(forward), torch.randn(3, 4))


def test_writing_to_an_input_is_refused():
    with pytest.raises(LoadError, match="writes to its own input"):
        inlined(program(Fn(lambda x: x.add_(1)), torch.randn(2)))


def test_writing_to_a_buffer_is_refused():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen.add_(1)
            return x + self.seen

    with pytest.raises(LoadError, match="writes to its own buffer"):
        inlined(program(Counter(), torch.randn(2)))


def test_no_grad_and_autocast_regions_are_inlined():
    linear = nn.Linear(4, 4)

    def forward(x):
        with torch.no_grad():
            y = linear(x)
            z = y.relu()
        return y + z

    prove(Fn(forward, linear=linear), torch.randn(2, 4))


def test_sizes_that_depend_on_data_are_refused():
    with pytest.raises(LoadError, match="depend on the data"):
        inlined(program(Fn(lambda x: x[x > 0] * 2), torch.randn(5)))
