from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.budget import Choice, ladder, least, within

losses = st.floats(0, 100, allow_nan=False)
options = st.lists(st.tuples(st.sampled_from([1, 2, 4, 6, 8]), losses), min_size=1, max_size=5, unique_by=lambda o: o[0])
choices = st.dictionaries(
    st.sampled_from("abcd"), options.map(lambda o: [*(Choice(bits, 10 * bits, loss) for bits, loss in o), Choice(16, 160, 0.0)]), min_size=1
)


def _loss(rung, found):
    return sum(next(c.loss for c in found[name] if c.option == option) for name, option in rung.items())


@given(choices)
def test_each_rung_is_larger_and_better_than_the_one_before(found):
    rungs = ladder(found)
    sizes = [sum(rung.values()) for rung in rungs]
    lost = [_loss(rung, found) for rung in rungs]
    assert sizes == sorted(set(sizes)) and lost == sorted(lost, reverse=True)
    assert lost[-1] == 0


def test_bits_go_where_they_save_most():
    found = {
        "robust": [Choice(2, 200, 1.0), Choice(4, 400, 0.5), Choice(16, 1600, 0.0)],
        "fragile": [Choice(2, 200, 100.0), Choice(4, 400, 10.0), Choice(16, 1600, 0.0)],
    }
    assert within(ladder(found), lambda rung: 100 * sum(rung.values()), 600) == {"robust": 2, "fragile": 4}
    assert within(ladder(found), lambda rung: 100 * sum(rung.values()), 300) is None


def test_the_smallest_good_rung_is_found():
    rungs = [{"a": bits} for bits in range(20)]
    for wanted in range(20):
        assert least(rungs, lambda rung, wanted=wanted: rung["a"] >= wanted) == {"a": wanted}
    assert least(rungs, lambda _: False) is None
