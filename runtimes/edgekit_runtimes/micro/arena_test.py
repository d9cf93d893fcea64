from hypothesis import given
from hypothesis import strategies as st

from edgekit_runtimes.micro.arena import ALIGNMENT, Tenant, placed

TENANTS = st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=20).map(
    lambda rows: [Tenant(i, size, min(a, b), max(a, b)) for i, (size, a, b) in enumerate(rows)]
)


@given(TENANTS)
def test_what_is_needed_together_does_not_overlap(tenants):
    offsets, total = placed(tenants)
    assert set(offsets) == {t.name for t in tenants} and total % ALIGNMENT == 0
    for a in tenants:
        assert offsets[a.name] % ALIGNMENT == 0 and offsets[a.name] + a.size <= total
        for b in tenants:
            if a.name < b.name and a.meets(b):
                assert offsets[a.name] + a.size <= offsets[b.name] or offsets[b.name] + b.size <= offsets[a.name]


@given(TENANTS)
def test_no_smaller_than_what_one_step_needs_nor_larger_than_all(tenants):
    _, total = placed(tenants)
    steps = range(13)
    assert total >= max(sum(t.size for t in tenants if t.first <= step <= t.last) for step in steps)
    assert total <= sum(-(-t.size // ALIGNMENT) * ALIGNMENT for t in tenants)


def test_a_chain_takes_turns():
    offsets, total = placed([Tenant(i, 1000, i, i + 1) for i in range(6)])
    assert total == 2016 and offsets[0] == offsets[2] == offsets[4]
