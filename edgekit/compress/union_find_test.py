from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.union_find import UnionFind

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


@given(PAIRS)
def test_members_are_together_exactly_if_joins_connect_them(pairs):
    sets = UnionFind[int]()
    groups = {n: {n} for n in range(10)}
    for a, b in pairs:
        sets.join(a, b)
        groups[a] |= groups[b]
        for member in groups[a]:
            groups[member] = groups[a]
    seen = [n for n in range(10) if n in sets]
    assert all((sets.find(a) == sets.find(b)) == (b in groups[a]) for a in seen for b in seen)
    assert sorted(map(sorted, sets.sets())) == sorted({tuple(sorted(groups[n])): sorted(groups[n]) for n in seen}.values())


def test_the_first_of_a_join_represents_the_set():
    sets = UnionFind[str]()
    sets.join("b", "a")
    assert sets.find("a") == "b" and sets.sets() == [["b", "a"]]
