import math

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.verification.parity import compare


def one(reference, got):
    (parity,) = compare({"y": np.asarray(reference, np.float32)}, {"y": np.asarray(got, np.float32)})
    return parity


def test_equal_outputs():
    got = one([[1, 2], [3, 4]], [[1, 2], [3, 4]])
    assert (got.max_abs, got.rmse, got.sqnr_db, got.cosine, got.agreement) == (0, 0, math.inf, pytest.approx(1), 1)


def test_figures_by_hand():
    got = one([[3, 4], [0, 2]], [[3, 3], [1, 2]])
    assert got.max_abs == 1
    assert got.rmse == pytest.approx(math.sqrt(2 / 4))
    assert got.sqnr_db == pytest.approx(10 * math.log10(29 / 2))
    assert got.cosine == pytest.approx((21 / (5 * math.sqrt(18)) + 2 / math.sqrt(5)) / 2)
    assert got.agreement == 0.5


def test_zero_outputs():
    assert one([[0, 0]], [[0, 0]]).cosine == 1
    assert one([[0, 0]], [[0, 1]]).cosine == 0
    assert one([[0, 0]], [[0, 1]]).sqnr_db == -math.inf


def test_broken_numbers_are_counted_and_never_agree():
    got = one([[1, 2], [2, 1], [np.nan, 1]], [[1, np.nan], [np.inf, 1], [np.nan, 1]])
    assert got.non_finite == 2
    assert math.isfinite(got.rmse)
    assert got.agreement == pytest.approx(2 / 3)


@pytest.mark.parametrize(("shape", "scored"), [((4, 10), True), ((4, 1, 1, 10), True), ((4, 1), False), ((4,), False), ((4, 2, 3), False)])
def test_agreement_is_for_score_vectors(shape, scored):
    x = np.random.default_rng(0).normal(size=shape)
    assert (one(x, x).agreement is not None) == scored


def test_other_names_or_shapes_are_refused():
    with pytest.raises(DataError, match="outputs are"):
        compare({"a": np.ones(1)}, {"b": np.ones(1)})
    with pytest.raises(DataError, match="shape"):
        one([[1, 2]], [[1]])
