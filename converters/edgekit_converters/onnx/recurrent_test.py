import pytest
import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.loading import export
from edgekit_converters.onnx.testing import check_float


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.cell = getattr(nn, kind)(5, 4, batch_first=True, **options)

    def forward(self, x):
        sequence, last = self.cell(x)
        return (sequence, *(last if isinstance(last, tuple) else (last,)))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "num_layers": 2}],
)
def test_recurrent_layers(kind, options):
    torch.manual_seed(0)
    x = torch.randn(1, 7, 5)
    graph = canonicalize(export(Recurrent(kind, **options).eval(), (x,)))
    emitted = check_float(graph, [x])
    assert sum(op.name == kind for op in emitted.ops) == options.get("num_layers", 1)
