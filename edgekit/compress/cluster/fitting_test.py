import pytest
import torch

from edgekit.compress.cluster.fitting import Lookup, Target, fit


def _target(groups=1, rows=6, columns=20, pruned=False, seed=0):
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(groups, 200, columns, generator=random) @ torch.randn(groups, columns, columns, generator=random)
    moments = (inputs.mT @ inputs / 200).double()
    weight = torch.randn(groups, rows, columns, generator=random).double()
    kept = torch.rand(weight.shape, generator=random) > 0.5 if pruned else torch.ones(weight.shape, dtype=torch.bool)
    return Target.fitted(weight, weight @ moments, moments, kept, 1e-3)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("pruned", [False, True])
def test_lowers_the_error_and_keeps_to_tables_and_mask(groups, pruned):
    target = _target(groups, pruned=pruned)
    tables = torch.linspace(-2, 2, 8).repeat(2, 1)
    rows = torch.arange(groups * 6).reshape(groups, 6) % 2
    start = Lookup.of(tables, rows).nearest(target.weight).where(target.kept, 0.0)
    weight, fitted = fit(target, tables, rows, refit=True)
    assert target.error(weight) < (0.8 if pruned else 0.6) * target.error(start)
    assert not weight[~target.kept].signbit().any() and bool((weight[~target.kept] == 0).all())
    for index in range(2):
        kept = weight[rows == index][target.kept[rows == index]]
        assert set(kept.tolist()) <= set(fitted[index].tolist())
    assert torch.equal(fitted, fitted.half().float()) and bool((fitted.diff(dim=1) >= 0).all())


def test_fixed_tables_stay():
    target, tables = _target(), torch.linspace(-2, 2, 4)[None]
    weight, same = fit(target, tables, torch.zeros(1, 6, dtype=torch.int64), refit=False)
    assert same is tables and set(weight.flatten().tolist()) <= set(tables[0].tolist())


def test_the_target_is_the_float_weight_where_inputs_are_the_same():
    weight = torch.randn(1, 3, 5).double()
    moments = torch.eye(5).double()[None] * 2
    target = Target.fitted(weight, weight @ moments, moments, torch.ones(1, 3, 5, dtype=torch.bool), 0.1)
    torch.testing.assert_close(target.weight, weight.float())


def test_inputs_that_never_vary_leave_the_weight_alone():
    weight = torch.randn(1, 3, 5).double()
    nothing = torch.zeros(1, 5, 5).double()
    target = Target.fitted(weight, torch.zeros(1, 3, 5).double(), nothing, torch.ones(1, 3, 5, dtype=torch.bool), 0.1)
    torch.testing.assert_close(target.weight, weight.float())
    clustered, _ = fit(target, torch.linspace(-2, 2, 4)[None], torch.zeros(1, 3, dtype=torch.int64), refit=True)
    assert bool(clustered.isfinite().all())
