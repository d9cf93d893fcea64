import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError, DeviceFailed
from edgekit_runtimes.native import tensorfile

ARRAYS = st.sampled_from(sorted(tensorfile.ELEMENTS.values())).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=1, max_dims=8, min_side=0, max_side=3))
)
FILES = st.dictionaries(st.text(max_size=12), ARRAYS, max_size=4)


@given(FILES)
def test_what_is_written_is_read(arrays):
    read = tensorfile.decode(tensorfile.encode(arrays))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


@given(FILES.filter(bool), st.data())
def test_a_cut_file_is_refused(arrays, data):
    content = tensorfile.encode(arrays)
    with pytest.raises(DeviceFailed):
        tensorfile.decode(content[: data.draw(st.integers(0, len(content) - 1))])


@settings(max_examples=300)
@given(FILES, st.data())
def test_a_changed_file_is_refused_or_read_and_nothing_else(arrays, data):
    content = bytearray(tensorfile.encode(arrays))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DeviceFailed):
        assert all(isinstance(v, np.ndarray) for v in tensorfile.decode(bytes(content)).values())


@given(st.binary(max_size=200))
def test_noise_is_refused(content):
    with pytest.raises(DeviceFailed):
        tensorfile.decode(b"EKT1\xff" + content)


def test_a_length_that_would_fill_memory_is_refused():
    huge = b"EKT1" + (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"x" + (9).to_bytes(4, "little") + (1).to_bytes(4, "little")
    with pytest.raises(DeviceFailed, match="bytes"):
        tensorfile.decode(huge + (2**60).to_bytes(8, "little") * 2)


@pytest.mark.parametrize("array", [np.zeros(2, "U3"), np.float32(1), np.zeros((1,) * 9, "f4")], ids=["text", "rank 0", "rank 9"])
def test_what_no_model_takes_is_refused(array):
    with pytest.raises(DataError):
        tensorfile.encode({"x": np.asarray(array)})
