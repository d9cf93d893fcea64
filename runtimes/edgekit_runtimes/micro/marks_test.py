import pytest

from edgekit.errors import DeviceFailed
from edgekit_runtimes.micro.marks import Kind, read, runs

LINE = "{} {} 0 0 0 0 0 0\n"


def lines(*pairs):
    return "".join(LINE.format(int(kind), total) for kind, total in pairs)


def test_runs_and_their_operators():
    text = lines((Kind.BEGIN, 100), (Kind.OP, 130), (Kind.OP, 170), (Kind.END, 175), (Kind.BEGIN, 200), (Kind.END, 275))
    (first, ops), (second, none) = runs(read(text))
    assert first.total == second.total == 75 and [op.total for op in ops] == [30, 40] and none == ()


@pytest.mark.parametrize("text", ["x", "9 1 2 3", "0 a"])
def test_garbage(text):
    with pytest.raises(DeviceFailed, match="garbage"):
        read(text)


@pytest.mark.parametrize("pairs", [[(Kind.END, 1)], [(Kind.OP, 1)], [(Kind.BEGIN, 1)], [(Kind.BEGIN, 1), (Kind.END, 2), (Kind.OP, 3)]])
def test_marks_that_do_not_pair(pairs):
    with pytest.raises(DeviceFailed, match="marks"):
        runs(read(lines(*pairs)))
