import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.constraints import BITS, Codebook, Mask, grouped, project, ungrouped
from edgekit.errors import ConversionError
from edgekit.graph import aten, constant, constant_value, constrain, constraints_of, finish, reweigh
from edgekit.testing.graphs import graph_of

WEIGHT = torch.randn(6, 4)


def _graph(weight=WEIGHT):
    return graph_of(lambda x, w: aten.linear.default(x, w, None), [torch.randn(2, 4)], "head", w=weight)


def _weight(graph):
    return next(n for n in graph.nodes if n.op == "get_attr")


def _codebook(weight, bits, groups=1, axis=0, sparse=False):
    tables = torch.sort(torch.randn(groups, 2**bits))[0]
    return Codebook("w", bits, tables, axis, sparse)


@given(st.sampled_from(BITS), st.sampled_from([1, 2, 3, 6]), st.booleans(), st.integers(0, 2**16))
def test_a_codebook_projects_to_the_nearest_entry(bits, groups, sparse, seed):
    weight = torch.randn(6, 3, 2, generator=torch.Generator().manual_seed(seed))
    codebook = _codebook(weight, bits, groups, sparse=sparse)
    projected = codebook.project(weight)
    for rows, table, given_rows in zip(projected.reshape(groups, -1), codebook.tables, weight.reshape(groups, -1), strict=True):
        distances = (given_rows[:, None] - table).abs()
        assert torch.equal((rows - given_rows).abs(), distances.amin(1))
    assert codebook.holds(projected) and not codebook.holds(weight)
    assert codebook.assignments(projected).dtype == torch.uint8


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_groups_lie_along_the_axis(axis):
    weight = torch.randn(4, 6, 8)
    rows = grouped(weight, axis, 2)
    half = weight.narrow(axis, 0, weight.shape[axis] // 2)
    assert set(rows[0].tolist()) == set(half.flatten().tolist())
    assert torch.equal(ungrouped(rows, weight.shape, axis), weight)


def test_zero_stays_zero_under_mask_and_codebook():
    mask = Mask("w", WEIGHT > 0)
    both = (_codebook(WEIGHT, 2, sparse=True), mask)
    projected = project(both, WEIGHT)
    assert bool((projected[WEIGHT <= 0] == 0).all()) and all(c.holds(projected) for c in both)
    assert mask.sparsity == pytest.approx(float((WEIGHT <= 0).float().mean()))


def test_a_table_must_be_ascending_and_of_its_width():
    with pytest.raises(AssertionError):
        Codebook("w", 1, torch.tensor([[1.0, 0.0]]))
    with pytest.raises(AssertionError):
        Codebook("w", 2, torch.tensor([[0.0, 1.0]]))


def test_constraints_survive_copies_and_finish():
    graph = _graph(WEIGHT.relu())
    mask = Mask("w", WEIGHT > 0)
    constrain(_weight(graph), mask)
    copy = graph.copy()
    finish(copy.module)
    assert copy.constraints == graph.constraints == constraints_of(_weight(copy)) == (mask,)


def test_a_constraint_must_hold_when_it_is_recorded():
    graph = _graph()
    with pytest.raises(AssertionError):
        constrain(_weight(graph), Mask("w", WEIGHT > 0))


def test_a_rewrite_that_loses_a_constraint_is_refused():
    graph = _graph(WEIGHT.relu())
    constrain(_weight(graph), Mask("w", WEIGHT > 0))
    copy = graph.copy()
    node = _weight(copy)
    node.replace_all_uses_with(constant(node, 2 * WEIGHT, "w"))
    with pytest.raises(ConversionError, match=r"mask.*'w'"):
        finish(copy.module)
    finish(graph.module)


def test_a_mask_follows_scaling_and_reordering():
    graph = _graph(WEIGHT.relu())
    constrain(_weight(graph), Mask("w", WEIGHT > 0))
    node = _weight(graph)
    order = torch.tensor([5, 0, 1, 2, 3, 4])
    new = reweigh(node, node, lambda t: 3 * t[order], "moved")
    node.replace_all_uses_with(new)
    finish(graph.module)
    (mask,) = constraints_of(new)
    assert torch.equal(mask.kept, (WEIGHT > 0)[order]) and mask.holds(constant_value(new))


def test_a_codebook_follows_reordering_and_refuses_scaling():
    codebook = _codebook(WEIGHT, 2)
    graph = _graph(codebook.project(WEIGHT))
    constrain(_weight(graph), codebook)
    node = _weight(graph)
    with pytest.raises(ConversionError, match="codebook"):
        reweigh(node, node, lambda t: t * torch.arange(1.0, 7)[:, None], "scaled")
    new = reweigh(node, node, lambda t: t.flip(0), "flipped")
    node.replace_all_uses_with(new)
    finish(graph.module)
    assert [c.kind for c in graph.constraints] == ["codebook"]
