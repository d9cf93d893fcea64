import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.packing.bits import BitReader, BitWriter, Damaged

FIELDS = st.lists(st.integers(0, 32).flatmap(lambda width: st.tuples(st.integers(0, (1 << width) - 1), st.just(width))), max_size=200)


@given(FIELDS)
def test_fields_come_back(fields):
    writer = BitWriter()
    for value, width in fields:
        writer.put(value, width)
    data = writer.to_bytes()
    assert writer.bits == sum(width for _, width in fields)
    assert len(data) == (writer.bits + 7) // 8
    reader = BitReader(data)
    assert [reader.take(width) for _, width in fields] == [value for value, _ in fields]
    assert reader.left < 8


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1), st.integers(0, 31))
def test_golomb_codes_come_back(numbers, order):
    writer = BitWriter()
    writer.put_golomb(np.array(numbers), np.array(order))
    reader = BitReader(writer.to_bytes())
    assert [reader.take_golomb(order) for _ in numbers] == numbers


def test_many_positions_are_read_as_one_by_one():
    data = np.random.default_rng(0).bytes(50)
    for begin in (0, 3, 301):
        reader = BitReader(data)
        reader.skip(begin)
        heads, inside = reader.ahead(64, 40)
        assert inside == min(64, 400 - begin)
        assert len(heads) == inside + 40
        for i in range(inside - 32):
            one = BitReader(data)
            one.skip(begin + i)
            assert one.take(32) == int(heads[i])
        assert not heads[400 - begin :].any()


def test_nothing_is_read_behind_the_end():
    reader = BitReader(b"\x00")
    with pytest.raises(Damaged, match="the middle of a code"):
        reader.take(9)
    with pytest.raises(Damaged):
        reader.take_golomb(0)
    with pytest.raises(Damaged, match="too large"):
        BitReader(bytes(8)).take_golomb(0)
