"""A lifted program is flat, private and free of duplicates; dtypes become narrow."""

import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.canonicalize.lift import lift
from edgekit.canonicalize.spelling_test import Fn
from edgekit.loading import export
from edgekit.testing.proving import CheckMeta, operators


def program(model, *inputs):
    with torch.no_grad():
        return torch.export.export(model.eval(), inputs, strict=False)


def test_tied_weights_are_one_constant():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids):
            return self.head(self.table(ids))

    module = lift(program(Tied(), torch.tensor([[1, 2]])))
    assert len([n for n in module.graph.nodes if n.op == "get_attr"]) == 1


def test_asserts_are_gone_and_inputs_come_first():
    module = lift(program(Fn(lambda x: nn.functional.one_hot(x, 4).float()), torch.tensor([1, 2])))
    assert not [n for n in module.graph.nodes if "assert" in str(n.target)]
    assert next(iter(module.graph.nodes)).op == "placeholder"


def test_nested_inputs_and_outputs_become_flat():
    model = Fn(lambda pair, scale: {"sum": (pair[0] + pair[1]) * scale, "parts": [pair[0]]})
    module = lift(program(model, (torch.ones(2), torch.ones(2)), 3))
    assert len([n for n in module.graph.nodes if n.op == "placeholder"]) == 2
    (output,) = [n for n in module.graph.nodes if n.op == "output"]
    assert len(output.args[0]) == 2


def test_integers_become_int32_and_gather_keeps_its_index():
    table = torch.randn(3, 9)

    def forward(x, ids):
        best = x.argmax(-1)
        values, places = x.topk(2)
        return best + ids, values, places, torch.gather(x, 1, ids), table.double().sum(1)[ids].float()

    graph = canonicalize(export(Fn(forward), (torch.randn(1, 9), torch.tensor([[1, 2]]))))
    assert [s.dtype for s in graph.inputs] == ["float32", "int32"]
    assert [s.dtype for s in graph.outputs] == ["int32", "float32", "int32", "float32", "float32"]
    x, ids = torch.randn(1, 9), torch.tensor([[0, 2]])
    results = CheckMeta(graph.module).run(x, ids.int())
    for got, want in zip(results, forward(x, ids), strict=True):
        torch.testing.assert_close(got, want.to(got.dtype), rtol=1e-5, atol=1e-5)
    assert operators(graph.module.graph)["gather"] == 1
    assert any("int32 instead of int64" in note for note in graph.notes)


def test_the_users_weights_are_not_copied():
    linear = nn.Linear(4, 4)
    graph = canonicalize(export(linear, (torch.randn(1, 4),)))
    pointers = {t.data_ptr() for t in graph.module.buffers()}
    assert pointers == {linear.weight.data_ptr(), linear.bias.data_ptr()}
