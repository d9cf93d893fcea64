"""Which steps are taken for a budget: the earliest that suffice, less those that the last one makes needless."""

from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.channels.selection import CLOSE, Step, taken, within


def model(sizes):
    """Steps in this order, (group, size) each, and what is left of the sizes when some are gone."""
    steps = [Step((number,), float(number), group) for number, (group, _) in enumerate(sizes)]
    total = sum(size for _, size in sizes)
    return steps, lambda gone: total - sum(sizes[channel][1] for channel in gone)


def test_the_first_that_suffice_go():
    steps, cost = model([(0, 10), (1, 10), (2, 10), (3, 10)])
    assert taken(within(steps, cost, 20)) == {0, 1}


def test_what_a_large_last_step_makes_needless_stays():
    steps, cost = model([(0, 10), (1, 10), (2, 10), (3, 60), (4, 10)])
    assert taken(within(steps, cost, 35)) == {0, 3}


def test_steps_of_a_group_go_one_after_the_other():
    steps, cost = model([(0, 10), (0, 60), (4, 30)])
    assert taken(within(steps, cost, 40)) == {0, 1}


def test_near_enough_is_left_alone():
    steps, cost = model([(0, 1), (1, 1000), (2, 999)])
    assert taken(within(steps, cost, 1000)) == {0, 1}


def test_a_budget_out_of_reach():
    steps, cost = model([(0, 1)])
    assert within(steps, cost, -1) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), min_size=1, max_size=20), st.floats(0, 1))
def test_the_budget_holds_and_is_used(sizes, share):
    steps, cost = model(sizes)
    budget = share * cost(frozenset())
    gone = within(steps, cost, budget)
    left = cost(taken(gone))
    assert left <= budget
    last = {step.group: step for step in gone}  # of each group, the one that could come back
    assert left >= CLOSE * budget or all(cost(taken(gone) - set(step.channels)) > budget for step in last.values())
    for step in gone:
        assert all(earlier in gone for earlier in steps if earlier.group == step.group and earlier.rank < step.rank)
