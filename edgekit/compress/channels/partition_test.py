import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.channels.partition import FIXED, Partition


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_united_labels_have_one_root_and_others_do_not(count, pairs):
    partition = Partition()
    labels = partition.fresh(count)
    assert labels.tolist() == list(range(1, count + 1))
    sets = [{i} for i in range(count)]
    for a, b in ((a % count, b % count) for a, b in pairs):
        partition.unite(labels[[a]], labels[[b]])
        joined = sets[a] | sets[b]
        for i in joined:
            sets[i] = joined
    roots = partition.roots()[labels]
    assert roots.tolist() == [1 + min(sets[i]) for i in range(count)] == partition.of(labels).tolist()
    assert partition.roots()[FIXED] == FIXED


def test_arrays_are_united_pair_by_pair():
    partition = Partition()
    a, b = partition.fresh(3), partition.fresh(3)
    partition.unite(a, b)
    assert np.array_equal(partition.of(b), a)
