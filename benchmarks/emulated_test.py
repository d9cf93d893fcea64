import pytest

from benchmarks.agreement import _interval
from benchmarks.emulated import kept, table


def row(**changes):
    made = {
        "model": "net",
        "cpu": "cortex-a76",
        "values": 10,
        "differing": 0,
        "farthest": 0,
        "counts": [100],
        "runs": {"idle": 2, "busy": 2},
    }
    made |= {"int8": {"total": 100, "classes": {"dot_product": 40}}, "float32": {"total": 250, "classes": {"dot_product": 0}}}
    return made | changes


def test_a_row_that_keeps_all_promises():
    assert kept(row())
    assert table([row()])[-1] == "| net | cortex-a76 | equal | 100 | 0.40 | 4 |"


@pytest.mark.parametrize(
    "broken",
    [{"differing": 1, "farthest": 1}, {"counts": [100, 101]}, {"float32": {"total": 190, "classes": {}}}],
    ids=["answers", "counts", "half"],
)
def test_each_broken_promise_is_seen(broken):
    assert not kept(row(**broken))


def test_half_is_promised_only_where_there_are_dot_products():
    assert kept(row(int8={"total": 200, "classes": {"dot_product": 0}}))


def test_what_differs_is_told_in_the_table():
    assert "| 1 of 10 off by ≤ 1 |" in table([row(differing=1, farthest=1)])[-1]
    assert table([row(counts=[1, 2])])[-1].endswith("| no |")


def test_the_interval_of_ratios_holds_their_median():
    low, high = _interval([0.9, 0.98, 0.99, 1.0, 1.3])
    assert 0.9 <= low <= 0.99 <= high <= 1.3
