"""Intervals agree with published figures, with scipy, and cover as often as they say."""

import numpy as np
import pytest
from scipy.stats import binomtest

from edgekit.verification.intervals import bootstrap, paired_difference, proportion


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 7), (881, 1000), (5, 10)])
def test_wilson_agrees_with_scipy(k, n):
    expected = binomtest(k, n).proportion_ci(method="wilson")
    got = proportion(k, n)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def pairs(both, first, second, neither):
    ones = [(1, 1)] * both + [(1, 0)] * first + [(0, 1)] * second + [(0, 0)] * neither
    return np.array(ones, bool).T


# Newcombe 1998, table III, method 10
PUBLISHED = [
    ((36, 12, 2, 0), (0.0569, 0.3404)),
    ((20, 12, 2, 16), (0.0562, 0.3292)),
    ((18, 12, 2, 18), (0.0562, 0.3290)),
    ((36, 14, 0, 0), (0.1528, 0.4167)),
    ((35, 14, 0, 1), (0.1461, 0.4175)),
    ((18, 14, 0, 18), (0.1441, 0.3963)),
    ((2, 97, 1, 0), (0.8721, 0.9854)),
]


@pytest.mark.parametrize(("counts", "limits"), PUBLISHED)
def test_paired_difference_agrees_with_the_paper(counts, limits):
    got = paired_difference(*pairs(*counts))
    assert (got.low, got.high) == pytest.approx(limits, abs=6e-5)


def test_paired_difference_is_antisymmetric():
    first, second = pairs(80, 7, 3, 10)
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_pairing_narrows_the_interval():
    paired = paired_difference(*pairs(860, 12, 20, 108))
    one, other = proportion(872, 1000), proportion(880, 1000)
    unpaired = np.hypot(one.high - one.low, other.high - other.low)
    assert paired.high - paired.low < 0.5 * unpaired


def test_identical_models_differ_by_nothing():
    first, _ = pairs(9, 1, 0, 0)
    got = paired_difference(first, first)
    assert got.value == 0
    assert got.low <= 0 <= got.high


def test_paired_difference_covers():
    rng = np.random.default_rng(0)
    p = np.array([0.85, 0.04, 0.02, 0.09])
    covered = [got.low <= 0.02 <= got.high for got in (paired_difference(*pairs(*counts)) for counts in rng.multinomial(300, p, size=600))]
    assert np.mean(covered) > 0.93


def test_bootstrap_covers_the_mean_and_repeats():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(200):
        values = rng.normal(size=60)
        (got,) = bootstrap(lambda i, v=values: np.array([v[i].mean()]), 60, 300)
        hits.append(got.low <= 0 <= got.high)
    assert 0.89 < np.mean(hits) <= 1
    (again,) = bootstrap(lambda i: np.array([values[i].mean()]), 60, 300)
    assert again == got


def test_bootstrap_bears_resamples_on_which_a_metric_is_undefined():
    labels = np.array([0] * 9 + [1])
    (got,) = bootstrap(lambda i: np.array([np.nan if labels[i].sum() == 0 else 1.0]), 10, 200)
    assert (got.low, got.high) == (1.0, 1.0)
