import numpy as np
import pytest

from edgekit_runtimes._coreml.blobs import BlobFile
from edgekit_runtimes._coreml.testing import coremltools

TYPES = ["fp16", "int32", "uint32", "int8", "uint8", "int16", "uint16", "int4", "uint1", "uint2", "uint3", "uint4", "uint6"]
WRITTEN = {"fp32": "float", **{name: name for name in TYPES}}
"""MIL's names to those of coremltools' writer."""
HELD = {"fp32": "f4", "fp16": "f2", "int32": "i4", "uint32": "u4", "int16": "i2", "uint16": "u2", "int8": "i1", "int4": "i1"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file by coremltools' writer with a record of each type: its path, and by type the offset and the values."""
    coremltools()
    from coremltools.libmilstoragepython import _BlobStorageWriter

    path = tmp_path_factory.mktemp("blob") / "weight.bin"
    writer, records = _BlobStorageWriter(str(path)), {}
    for dtype, name in WRITTEN.items():
        values = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1], HELD.get(dtype, "u1"))
        given = values.view(np.uint16) if dtype == "fp16" else values
        records[dtype] = getattr(writer, f"write_{name}_data")(given), values
    del writer
    return path, records


@pytest.mark.parametrize("dtype", WRITTEN)
def test_what_coremltools_writes_is_read(written, dtype):
    path, records = written
    offset, values = records[dtype]
    found, size = BlobFile(path).read(offset, dtype, len(values))
    np.testing.assert_array_equal(found, values)
    assert size >= len(values) // 8


def test_a_record_of_another_type_size_or_place_is_refused(written):
    path, records = written
    blobs, offset = BlobFile(path), records["fp32"][0]
    for place, dtype, count in ((offset, "fp16", 13), (offset, "fp32", 14), (offset + 64, "fp32", 13), (offset + 1, "fp32", 13),
                                (10**18, "fp32", 13), (0, "fp32", 13)):  # fmt: skip
        with pytest.raises(ValueError, match=r"."):
            blobs.read(place, dtype, count)


@pytest.mark.parametrize("content", [b"", b"\0" * 63, b"\1\0\0\0\7\0\0\0" + b"\0" * 120])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "weight.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weight\.bin"):
        BlobFile(path)
