import pytest

from edgekit.errors import LoadError
from edgekit.loading.dims import check_names, open_sizes, static_shape
from edgekit.tensors import TensorSpec


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


def test_a_range_is_traced_at_its_typical_size():
    assert shape((None, None), {"audio": {1: (16, 128)}}) == (1, 128)
    assert shape((None, None), {"audio": {1: (16, 128)}}, example=(1, 50)) == (1, 50)
    assert shape((None, None), {"audio": {1: (16, 64, 128)}}, example=(1, 50)) == (1, 64)


def test_a_range_of_a_declared_size_is_refused():
    with pytest.raises(LoadError, match="is 16 in the model, and a range"):
        shape((None, 16), {"audio": {1: (8, 16)}})


@pytest.mark.parametrize("given", [(5,), (4, 2), (0, 4), (2, 3, 10, 4), (2, 8, 4), ("a", "b"), (2, 4, 8, 0)])
def test_what_is_no_range_is_refused(given):
    with pytest.raises(LoadError, match=r"dimension 1 of input 'audio'"):
        shape((None, None), {"audio": {1: given}})


def test_open_sizes_of_several_inputs_go_together():
    ids, mask = TensorSpec("ids", (1, 64), "int32"), TensorSpec("mask", (1, 64), "int32")
    (found,) = open_sizes((ids, mask), {"ids": {1: (16, 64)}, "1": {-1: (16, 64, 64, 1)}})
    assert found.places == (("ids", 1), ("mask", 1))
    two = open_sizes((ids, mask), {"ids": {1: (16, 64)}, "mask": {1: (8, 64)}})
    assert [o.places for o in two] == [(("ids", 1),), (("mask", 1),)]


def test_two_sizes_above_one_are_needed_to_learn_from():
    batch = TensorSpec("x", (2, 64), "float32")
    assert open_sizes((batch,), {"x": {0: (1, 2, 4)}})[0].range.ends == (2, 4)
    with pytest.raises(LoadError, match=r"has the range 1\.\.2, typically"):
        open_sizes((batch,), {"x": {0: (1, 2)}})


def test_a_size_that_contradicts_the_model_is_refused():
    with pytest.raises(LoadError, match="is 16 in the model"):
        shape((None, 16), {"audio": {1: 32}})


def test_an_unknown_input_is_refused():
    check_names(["audio"], {"audio": {1: 2}, 0: {1: 2}})
    with pytest.raises(LoadError, match="no input 'video'"):
        check_names(["audio"], {"video": {1: 2}})
    with pytest.raises(LoadError):
        check_names(["audio"], {1: {1: 2}})
