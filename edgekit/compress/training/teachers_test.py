import pytest
import torch

from edgekit.compress.training import FineTune
from edgekit.compress.training.answers import Network
from edgekit.compress.training.teachers import teacher_of
from edgekit.errors import DataError, UsageError
from edgekit.graph import constant_value
from edgekit.testing.training import classifier, context, stripes

X = torch.from_numpy(stripes(6).inputs["x0"])


def test_graphs_and_callables_teach_the_same():
    graph = classifier(softmax=True)
    called = teacher_of(lambda x: torch.cat([graph(row[None])[0] for row in x]), [X], [])
    scores = [teacher([X]).scores[0].log_softmax(1) for teacher in (called, teacher_of(graph, [X], []))]
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-5)


def test_logits_of_a_callable_stay():
    found = teacher_of(lambda x: {"logits": 3 * x[:, 0, 0], "other": x.sum((1, 2, 3))}, [X], [])([X]).scores
    assert torch.equal(found[0], 3 * X[:, 0, 0]) and len(found) == 2


def test_a_callable_without_answers():
    with pytest.raises(DataError, match="no tensors"):
        teacher_of(lambda x: None, [X], [])([X])


def test_a_module_of_torch_teaches():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4)).eval()
    tuned = FineTune(epochs=2)(classifier(), context(teacher=module))
    assert "accuracy" in tuned.notes[-1]
    assert all(p.grad is None for p in module.parameters())


def test_features_are_the_last_values_of_modules():
    graph = classifier()
    for node in graph.nodes:
        node.meta["module_path"] = "stem.act" if "relu" in node.name else "stem"
    found = Network(graph, [X], ["stem.act", "stem"])([X])
    assert found.features[0].shape == (6, 8, 4, 4) and torch.equal(found.features[1], found.scores[0])
    with pytest.raises(UsageError, match=r"stem\.act"):
        Network(graph, [X], ["stem.atc"])


def test_a_teacher_is_not_trained():
    teacher = classifier(seed=5)
    before = [constant_value(n).clone() for n in teacher.nodes if n.op == "get_attr"]
    FineTune(epochs=1)(classifier(), context(teacher=teacher))
    assert all(torch.equal(a, constant_value(n)) for a, n in zip(before, (n for n in teacher.nodes if n.op == "get_attr"), strict=True))
