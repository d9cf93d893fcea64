import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import LoadError
from edgekit.sizes import OpenSize, Range, between, corners, range_of, shape_at, together, tried, typical

HEIGHT = OpenSize(Range(8, 16, 32, 4), (("image", 2),))
FRAMES = OpenSize(Range(1, 10, 19, 3), (("audio", 1), ("mask", 1)))


@given(st.lists(st.integers(-9, 9), min_size=4, max_size=4))
def test_a_multilinear_number_is_known_everywhere(factors):
    both = (HEIGHT, FRAMES)

    def number(sizes):
        a, b = sizes
        return factors[0] + factors[1] * a + factors[2] * b + factors[3] * a * b

    values = [number(corner) for corner in corners(both)]
    for sizes in itertools.product(range(8, 33, 4), range(1, 20, 3)):
        assert between(values, both, sizes) == number(sizes)


def test_a_number_that_is_not_whole_is_none():
    assert between([8, 9], (HEIGHT,), (20,)) is None


def test_where_a_file_is_tried():
    assert corners((FRAMES,)) == [(4,), (19,)]  # at 1, a size does not show as one
    assert tried((FRAMES,)) == [(1,), (4,), (10,), (19,)]
    assert tried((HEIGHT, FRAMES)) == [(8, 1), (12, 4), (16, 10), (8, 19), (32, 1), (32, 19)]
    assert typical((HEIGHT, FRAMES)) == (16, 10)


def test_shapes_and_manifest_form():
    assert shape_at("mask", (1, 10), (HEIGHT, FRAMES), (8, 4)) == (1, 4)
    assert OpenSize.from_json(FRAMES.to_json()) == FRAMES
    assert str(FRAMES) == "dimension 1 of input 'audio' and dimension 1 of input 'mask'"


def test_more_than_two_independent_sizes_are_refused():
    with pytest.raises(LoadError, match="3 dimensions are open"):
        together((name, axis, Range(2, 4, 8)) for name, axis in (("a", 1), ("a", 2), ("a", 3)))


def test_a_step_that_does_not_reach_the_end_is_told_with_the_sizes_that_it_reaches():
    with pytest.raises(LoadError, match=r"input 'x' was given the range 64\.\.257 in steps of 32, which misses 200 and 257") as caught:
        range_of((64, 200, 257, 32), "dimension 2 of input 'x'")
    assert caught.value.accepted == "64 plus multiples of 32"
