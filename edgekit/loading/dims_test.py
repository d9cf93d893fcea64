import pytest

from edgekit.errors import LoadError
from edgekit.loading.dims import check_names, static_shape


def shape(declared, dims=None, batch=1, example=None):
    return static_shape("audio", 0, declared, dims=dims, batch=batch, example=example)


def test_the_batch_has_a_default_and_other_dimensions_do_not():
    assert shape((None, 16, 3)) == (1, 16, 3)
    assert shape((None, 16), batch=4) == (4, 16)
    with pytest.raises(LoadError) as caught:
        shape((None, None, 3))
    assert "dimension 1 of input 'audio'" in str(caught.value)
    assert "--dim audio:1=100" in str(caught.value)


@pytest.mark.parametrize("key", ["audio", 0, "0"])
def test_sizes_are_given_by_name_or_position(key):
    assert shape((None, None, 3), {key: {1: 100}}) == (1, 100, 3)
    assert shape((None, None, 3), {key: {-2: 100}}) == (1, 100, 3)
    assert shape((None, None), {key: {0: 2, 1: 7}}) == (2, 7)


def test_an_example_fixes_what_dims_leaves_open():
    assert shape((None, None), example=(8, 50)) == (1, 50)
    assert shape((None, None), {0: {1: 60}}, example=(8, 50)) == (1, 60)


@pytest.mark.parametrize("size", [0, -1, "wide", True, 1.5])
def test_a_size_is_a_positive_integer(size):
    with pytest.raises(LoadError, match="given the size"):
        shape((None, None), {"audio": {1: size}})


def test_a_range_is_refused_because_artifacts_are_static():
    with pytest.raises(LoadError, match=r"range 16\.\.128"):
        shape((None, None), {"audio": {1: (16, 128)}})


def test_a_size_that_contradicts_the_model_is_refused():
    with pytest.raises(LoadError, match="is 16 in the model"):
        shape((None, 16), {"audio": {1: 32}})


def test_an_unknown_input_is_refused():
    check_names(["audio"], {"audio": {1: 2}, 0: {1: 2}})
    with pytest.raises(LoadError, match="no input 'video'"):
        check_names(["audio"], {"video": {1: 2}})
    with pytest.raises(LoadError):
        check_names(["audio"], {1: {1: 2}})
