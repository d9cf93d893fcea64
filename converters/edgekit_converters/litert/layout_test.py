import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit_converters.litert.layout import Layout


def logical(layout: Layout, storage: np.ndarray) -> np.ndarray:
    """The logical tensor that `layout` says lies in the flat `storage`."""
    axes = [a for dim in layout.dims for a in dim]
    return storage.reshape(layout.axes).transpose(axes).reshape(layout.shape)


@st.composite
def chains(draw):
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4))
    order = draw(st.permutations(range(len(shape))))
    return tuple(shape), tuple(order), draw(st.lists(st.integers(0, 10**9), max_size=6))


def factored(size: int, seed: int) -> tuple[int, ...]:
    rng, shape = np.random.default_rng(seed), []
    while size > 1 and len(shape) < 5:
        divisor = int(rng.choice([d for d in range(1, size + 1) if size % d == 0]))
        shape.append(divisor)
        size //= divisor
    return (*shape, size)


@given(chains())
@settings(max_examples=300)
def test_views_agree_with_numpy(chain):
    shape, order, steps = chain
    array = np.arange(math.prod(shape)).reshape(shape)
    storage = array.transpose(order).ravel()
    layout = Layout.stored(shape, order)
    for seed in steps:
        if seed % 2:
            dims = np.random.default_rng(seed).permutation(array.ndim).tolist()
            array, layout = array.transpose(dims), layout.permute(dims)
        else:
            target = factored(array.size, seed)
            view = layout.reshape(target)
            if view is None:
                continue
            array, layout = array.reshape(target), view
        np.testing.assert_array_equal(logical(layout, storage), array)
        np.testing.assert_array_equal(logical(layout.simplified(), storage), array)
        found = layout.order()
        if found is not None:
            np.testing.assert_array_equal(array.transpose(found).ravel(), storage)


def test_contiguous_storage_reshapes_to_anything():
    assert Layout.stored((6, 4)).reshape((4, 6)) == Layout((4, 6), ((0,), (1,)))


def test_channels_last_flattens_its_plane_without_moving():
    layout = Layout.stored((2, 8, 5, 7), (0, 2, 3, 1)).reshape((2, 8, 35))
    assert layout == Layout((2, 35, 8), ((0,), (2,), (1,)))
    assert layout.order() == (0, 2, 1)


def test_a_reshape_across_storage_order_is_refused():
    assert Layout.stored((6, 4), (1, 0)).reshape((4, 6)) is None


def test_ones_follow_the_stored_shape():
    layout = Layout.stored((1, 8, 1, 1), (0, 2, 3, 1))
    assert layout.order((1, 1, 1, 8)) == (0, 2, 3, 1)
    assert layout.order((1, 8, 1, 1)) == (0, 1, 2, 3)
    assert layout.order((1, 8)) == (0, 2, 3, 1)
