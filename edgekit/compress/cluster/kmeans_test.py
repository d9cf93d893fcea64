import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.cluster import kmeans as module
from edgekit.compress.cluster.kmeans import kmeans


def _error(values, centres, weights=None):
    off = (values[:, :, None] - centres[:, None, :]).double().square().amin(2)
    return (off if weights is None else off * weights).sum(1)


def _least(values, clusters, weights):
    """Over all ways to cut the sorted values."""
    order = values.argsort()
    x, w = values[order].double(), weights[order].double()
    best = float("inf")
    for cuts in itertools.combinations(range(1, len(x)), clusters - 1):
        parts = [slice(a, b) for a, b in itertools.pairwise((0, *cuts, len(x)))]
        means = [float((x[p] * w[p]).sum() / max(float(w[p].sum()), 1e-30)) for p in parts]
        best = min(best, sum(float((w[p] * (x[p] - m).square()).sum()) for p, m in zip(parts, means, strict=True)))
    return best


@settings(max_examples=60)
@given(st.integers(0, 2**16), st.integers(2, 4), st.booleans())
def test_few_values_are_clustered_at_the_optimum(seed, clusters, weighted):
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(1, 9, generator=random)
    weights = torch.rand(1, 9, generator=random) if weighted else torch.ones(1, 9)
    centres = kmeans(values, clusters, weights if weighted else None)
    assert bool((centres.diff(dim=1) >= 0).all())
    assert float(_error(values, centres, weights)) <= _least(values[0], clusters, weights[0]) * (1 + 1e-5) + 1e-12


@pytest.mark.parametrize("clusters", [4, 16])
def test_many_values_come_near_to_a_finer_search(clusters, monkeypatch):
    values = torch.from_numpy(np.random.default_rng(0).standard_t(4, (1, 20_000)).astype(np.float32))
    quick = float(_error(values, kmeans(values, clusters)))
    monkeypatch.setattr(module, "CELLS", 1500)
    assert quick <= 1.002 * float(_error(values, kmeans(values, clusters)))


def test_256_clusters_beat_restarted_lloyd():
    from sklearn.cluster import KMeans

    values = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1500)).astype(np.float32))
    theirs = KMeans(256, n_init=2, random_state=0).fit(values.T.numpy()).inertia_
    assert float(_error(values, kmeans(values, 256))) < theirs


def test_rows_are_clustered_by_themselves(monkeypatch):
    values = torch.randn(7, 40)
    apart = torch.cat([kmeans(row[None], 4) for row in values])
    assert torch.equal(kmeans(values, 4), apart)
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 1)
    assert torch.equal(kmeans(values, 4), apart)


def test_a_large_offset_costs_no_precision():
    values = torch.randn(1, 500)
    far = kmeans(values.double() * 1e-3 + 100, 8) - 100
    torch.testing.assert_close(far.float() * 1e3, kmeans(values, 8), atol=2e-2, rtol=0)


@pytest.mark.parametrize("values", [torch.zeros(2, 5), torch.tensor([[1.0, 1, 2, 2, 2]]), torch.tensor([[3.0]])])
def test_fewer_distinct_values_than_clusters_are_all_kept(values):
    centres = kmeans(values, 8)
    assert centres.shape == (len(values), 8) and float(_error(values, centres).sum()) == 0


def test_what_weighs_nothing_does_not_count():
    values = torch.tensor([[0.0, 0.0, 0.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    weights = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    centres = kmeans(values, 2, weights)
    assert centres[0].tolist() == [1.0, 2.0] and bool(centres.isfinite().all())
