import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit_runtimes._coreml.dtypes import BITS, NUMPY, of_blob, of_message, unpack


def packed(values, bits):
    """By the definition: element i holds the bits from i * bits on, lowest first."""
    number = sum((int(v) & ((1 << bits) - 1)) << (i * bits) for i, v in enumerate(values))
    return np.frombuffer(number.to_bytes(-(-len(values) * bits // 8), "little"), np.uint8)


@pytest.mark.parametrize("dtype", [name for name, bits in BITS.items() if bits < 8])
@given(data=st.data())
def test_unpacking_undoes_packing(dtype, data):
    low, high = (-8, 7) if dtype == "int4" else (0, (1 << BITS[dtype]) - 1)
    values = data.draw(st.lists(st.integers(low, high), max_size=40))
    got = unpack(packed(values, BITS[dtype]), dtype, len(values))
    assert got.tolist() == values
    assert got.dtype == NUMPY[dtype]


@pytest.mark.parametrize("dtype", ["fp16", "fp32", "int8", "uint8", "int32", "uint16"])
def test_whole_bytes_are_taken_as_they_are(dtype):
    values = np.arange(5).astype(NUMPY[dtype])
    np.testing.assert_array_equal(unpack(np.frombuffer(values.tobytes() + b"rest", np.uint8), dtype, 5), values)


@pytest.mark.parametrize(("dtype", "count"), [("uint3", 9), ("fp16", 2), ("uint8", 10**15), ("fp32", 10**30)])
def test_too_few_bytes_are_told(dtype, count):
    with pytest.raises(ValueError, match="need"):
        unpack(np.zeros(3, np.uint8), dtype, count)


def test_unknown_types_are_told():
    for name in (of_message, of_blob):
        with pytest.raises(ValueError, match="known are"):
            name(999)
