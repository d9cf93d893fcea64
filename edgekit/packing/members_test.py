import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.packing.bits import Damaged
from edgekit.packing.container import varint
from edgekit.packing.members import Members, is_safe

PATHS = st.lists(st.text(st.characters(exclude_characters="/\\:\0", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3)


@given(st.dictionaries(PATHS.map("/".join).filter(is_safe), st.binary(max_size=50), min_size=1, max_size=8))
def test_files_come_back(files):
    plain, starts = Members(False, dict(sorted(files.items()))).encode()
    assert Members.decode(plain) == Members(False, files)
    assert starts[0] == 0
    assert all(a < b for a, b in zip(starts, [*starts[1:], len(plain)], strict=True))


def test_a_single_file_comes_back():
    plain, _ = Members(True, {"model.tflite": b"123"}).encode()
    assert Members.decode(plain) == Members(True, {"model.tflite": b"123"})


def index(*files, kind=0):
    entries = (varint(len(name)) + name + varint(size) for name, size in files)
    return bytes([kind]) + varint(len(files)) + b"".join(entries)


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "..", "", "C:\\a", "c:a", "a\\..\\b", "a\0b"])
def test_paths_that_leave_the_folder_are_refused(path):
    with pytest.raises(Damaged, match="no plain path"):
        Members.decode(index((path.encode(), 1)) + b"x")
    with pytest.raises(UsageError, match="cannot be packed"):
        Members(False, {path: b"x"}).encode()


@pytest.mark.parametrize(
    "plain",
    [
        index((b"a", 1)),  # its byte is missing
        index((b"a", 1)) + b"xy",
        index((b"a", 1), (b"a", 1)) + b"xy",
        index((b"\xff", 1)) + b"x",
        index((b"a", 1), kind=2) + b"x",
        index((b"a", 1), (b"b", 1), kind=1) + b"xy",
        index((b"a/b", 1), kind=1) + b"x",
        b"\0\x05",
        b"\0",
        b"\0\x01\x09ab",
    ],
)
def test_an_index_that_does_not_fit_is_refused(plain):
    with pytest.raises(Damaged):
        Members.decode(plain)
