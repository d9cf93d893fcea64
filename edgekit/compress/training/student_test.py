"""A graph that trains computes what the graph does, before and after."""

import pytest
import torch
from torch import nn

import edgekit
from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.compress.training.answers import ROUNDED, Network
from edgekit.compress.training.grids import LearnedGrid
from edgekit.compress.training.parameters import parameters
from edgekit.compress.training.student import Student
from edgekit.conversion.lowering import lower
from edgekit.errors import UsageError
from edgekit.graph import aten, constant_value, grid_of
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import RULES, data, quantized, small_net, weights
from edgekit.testing.reference import REFERENCE
from edgekit.testing.training import classifier, stripes


def close(student: Student, graph, inputs, tolerance: float = 1e-4) -> None:
    """Whether the student, and the graph made of it, answer as the graph does."""
    network = Network(graph, inputs)
    with torch.no_grad():
        wanted = network(inputs).scores
        found = student.eval()(inputs).scores
        folded = Network(student.to_graph(), inputs)(inputs).scores
    for expected, *others in zip(wanted, found, folded, strict=True):
        for other in others:
            error = float((other - expected).double().square().mean().sqrt())
            assert error <= tolerance * max(float(expected.double().square().mean().sqrt()), 1e-3)


KINDS = [
    "kws_dscnn", "cifar_resnet20", "bert", "gru_classifier", "bilstm_classifier", "unet", "audio1d", "detector", "keras_lstm",
    "keras_two_headed",
]  # fmt: skip
"""Of the reference set, one of each kind of network: all of it trains, and takes minutes."""


@pytest.mark.parametrize("name", KINDS)
def test_reference_models_train(name):
    model = REFERENCE[name]()
    graph = edgekit.load(model.model, model.example_inputs)
    inputs = list(model.inputs(3, 4))
    student = Student(graph, inputs, batch_norm=True)
    close(student, graph, inputs)
    student.train()
    scores = student(inputs).scores
    sum(s.square().mean() for s in scores).backward()
    moved = [p.grad is not None and bool(p.grad.isfinite().all()) for p in student.learned.parameters()]
    assert all(moved)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("target", ["litert", "coreml"])
def test_lowered_pruned_and_clustered_graphs_train(batch_norm, target):
    rules = load_rules(target)
    graph = Prune(sparsity=0.5)(classifier(), Context(rules))
    graph = Cluster(bits=2)(lower(graph, rules), Context(rules))
    inputs = [torch.from_numpy(stripes(8).inputs["x0"])]
    close(Student(graph, inputs, batch_norm=batch_norm), graph, inputs, 1e-6)


def test_normalization_learns_from_batches_and_folds_exactly():
    graph, inputs = classifier(), [torch.from_numpy(stripes(64).inputs["x0"]) * 3 + 1]
    student = Student(graph, inputs, batch_norm=True)
    assert len(student._norms) == 2 and sum(isinstance(m, nn.Module) for m in student.learned.values()) == 6
    student.train()
    for _ in range(3):
        student(inputs)
    with torch.no_grad():
        for parameter in student.learned.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        trained = student.eval()(inputs).scores[0]
        torch.testing.assert_close(Network(student.to_graph(), inputs)(inputs).scores[0], trained, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(trained, Network(graph, inputs)(inputs).scores[0], atol=0.1)


def test_rounded_graphs_are_not_normalized():
    inputs = [torch.from_numpy(stripes(8).inputs["x0"])]
    student = Student(quantized(classifier(), stripes(16)), inputs, batch_norm=True, scales=RULES)
    assert not student._norms and student._grids


def test_learned_grids_round_as_the_graph_does():
    graph = quantized(small_net(), data((3, 8, 8)))
    inputs = [torch.from_numpy(data((3, 8, 8), count=4).inputs["x0"])]
    student = Student(graph, inputs, scales=RULES)
    close(student, graph, inputs, ROUNDED)
    assert [grid_of(n) for n in student.to_graph().nodes] == [grid_of(n) for n in graph.nodes]


def test_values_of_one_grid_keep_one_grid():
    """Both operands of a concatenation and its result share a grid, as kernels want it."""

    def net(x0, w1, w2):
        joined = aten.cat.default([aten.linear.default(x0, w1, None), aten.linear.default(x0, w2, None)], 1)
        return aten.linear.default(joined, w1, None)

    graph = quantized(graph_of(net, [torch.zeros(1, 8)], w1=weights(4, 8), w2=weights(4, 8, seed=1)), data((8,)))
    inputs = [torch.from_numpy(data((8,), count=4).inputs["x0"])]
    student = Student(graph, inputs, scales=RULES)
    with torch.no_grad():
        for index, parameter in enumerate(dict.fromkeys(g.exponent for g in student._grids.values())):
            parameter.fill_(0.1 * (index + 1))
    grids = [grid_of(n) for n in graph.nodes if grid_of(n)]
    changed = [grid_of(n) for n in student.to_graph().nodes if grid_of(n)]
    for a, b in zip(grids, changed, strict=True):
        for c, d in zip(grids, changed, strict=True):
            assert (a == c) == (b == d)
    assert grids != changed


def test_the_gradient_of_a_scale_is_that_of_lsq():
    """Esser et al. 2020, equation 3."""
    grid = LearnedGrid(torch.tensor(0.5), torch.tensor(0), (-4, 3), None, 1)
    x = torch.tensor([0.6, -9.0, 9.0])
    for index, expected in enumerate((round(1.2) - 1.2, -4.0, 3.0)):
        grid.exponent.grad = None
        grid(x)[index].backward()
        assert float(grid.exponent.grad) == pytest.approx(0.5 * expected / 3**0.5)


def test_parameters_are_what_operators_take_as_such():
    def net(x0, w, mask):
        return aten.mul.Tensor(aten.linear.default(x0, w, None), mask)

    graph = graph_of(net, [torch.zeros(1, 4)], w=weights(4, 4), mask=torch.ones(4))
    assert [p.target for p in parameters(graph)] == ["w"]
    names_of = {p.target: p.regularised for p in parameters(classifier())}
    assert names_of == {"w1": True, "b1": False, "w2": True, "b2": False, "w3": True, "b3": False}


def test_shared_weights_train_once():
    def net(x0, w):
        return aten.linear.default(aten.linear.default(x0, w, None), w, None)

    graph = graph_of(net, [torch.zeros(1, 4)], w=weights(4, 4))
    student = Student(graph, [torch.ones(2, 4)])
    student([torch.ones(2, 4)]).scores[0].sum().backward()
    assert len(list(student.learned.parameters())) == 1
    with torch.no_grad():
        next(student.learned.parameters()).mul_(2)
    torch.testing.assert_close(student.to_graph()(torch.ones(1, 4))[0], 4 * graph(torch.ones(1, 4))[0])


def test_a_graph_of_a_fixed_batch_runs_in_parts():
    """It mixes its samples, so it takes two at a time and no others."""

    def net(x0, w):
        y = aten.linear.default(x0, w, None)
        return aten.add.Tensor(y, aten.mean.dim(y, [0], True))

    graph = graph_of(net, [torch.zeros(2, 4)], w=weights(4, 4))
    inputs = [torch.randn(5, 4)]
    found = Network(graph, inputs)(inputs).scores[0]
    expected = torch.cat([graph(inputs[0][:2])[0], graph(inputs[0][2:4])[0], graph(inputs[0][[4, 0]])[0][:1]])
    torch.testing.assert_close(found, expected)


def test_nothing_to_train():
    graph = graph_of(aten.relu.default, [torch.zeros(1, 4)])
    with pytest.raises(UsageError, match="no weights"):
        Student(graph, [torch.zeros(2, 4)])


def test_constants_of_the_graph_are_not_shared():
    graph = classifier()
    student = Student(graph, [torch.from_numpy(stripes(8).inputs["x0"])])
    before = {p.target: p.value.clone() for p in parameters(graph)}
    with torch.no_grad():
        for parameter in student.learned.parameters():
            parameter.add_(1)
    assert all(torch.equal(p.value, before[p.target]) for p in parameters(graph))
    assert constant_value(parameters(graph)[0].node) is not None
