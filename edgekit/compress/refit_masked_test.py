"""What is left after pruning makes up for what went: on unseen data, within the masks, and only where that breaks nothing."""

import pytest
import torch

from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.constraints import Codebook, Mask
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph, constant_value, constraints_of
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.layers import network

RULES = load_rules("litert")


def images(count: int, seed: int) -> torch.Tensor:
    """Images whose neighbouring pixels are alike, so that one weight can do another's work."""
    noise = torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 3, 1) * 3 + 0.3


CONTEXT = Context(RULES, Samples({"x0": images(64, 1).numpy()}))
UNSEEN = [x[None] for x in images(32, 2)]


def loss(graph: Graph) -> float:
    whole = network()
    return sum(float((graph(x)[0] - whole(x)[0]).square().mean()) for x in UNSEEN)


@pytest.mark.parametrize(
    "how", [{"sparsity": 0.5}, {"sparsity": 0.5, "scope": "global"}, {"pattern": "2:4"}, {"sparsity": 0.5, "pattern": "4x1"}]
)
def test_outputs_come_closer_on_unseen_data_and_zeros_stay(how):
    plain, fitted = (Prune(**how, refit=refit)(network(), CONTEXT) for refit in (False, None))
    assert loss(fitted) < 0.5 * loss(plain)
    masks = [[c for n in g.nodes if n.op == "get_attr" for c in constraints_of(n)] for g in (plain, fitted)]
    assert [torch.equal(a.kept, b.kept) for a, b in zip(*masks, strict=True)] == [True] * len(masks[0])
    for node in fitted.nodes:
        assert all(c.holds(constant_value(node)) for c in constraints_of(node))


def test_without_data_the_weights_that_are_left_stay():
    alone = Prune(0.5)(network(), Context(RULES))
    assert loss(alone) == loss(Prune(0.5, refit=False)(network(), CONTEXT))
    with pytest.raises(DataError, match="refit measures layers on data"):
        Prune(0.5, refit=True)(network(), Context(RULES))
    with pytest.raises(UsageError, match="refit_samples is 0"):
        Prune(0.5, refit_samples=0)


def test_what_was_pruned_before_stays_zero_and_nothing_pruned_is_no_change():
    first = Prune(0.3)(network(), CONTEXT)
    second = Prune(0.6)(first, CONTEXT)
    for before, after in zip(first.nodes, second.nodes, strict=True):
        for earlier, later in zip(constraints_of(before), constraints_of(after), strict=True):
            assert isinstance(earlier, Mask) and not bool((later.kept & ~earlier.kept).any())
    untouched = Prune(0.0, refit=True)(network(), CONTEXT)
    assert loss(untouched) < 1e-6 * loss(second)


def test_tables_take_the_fitted_weights():
    clustered = Cluster(bits=4)(Prune(0.5)(network(), CONTEXT), CONTEXT)
    kinds = {type(c) for n in clustered.nodes if n.op == "get_attr" for c in constraints_of(n)}
    assert kinds == {Mask, Codebook}
