import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import LoadError
from edgekit.loading.examples import Call, as_call, flatten, rebatch, resize, tensor, tensors
from edgekit.tensors import TensorSpec


def forward(x, mask=None, *, scale=1.0): ...


def takes_a_dict(batch): ...


X = torch.ones(4, 3)


def test_examples_are_positional_named_or_the_only_argument():
    assert as_call(forward, (X,)) == Call((X,), {})
    assert as_call(forward, X).args[0] is X
    assert as_call(forward, {"x": X, "scale": 2.0}).kwargs == {"x": X, "scale": 2.0}
    assert as_call(takes_a_dict, {"image": X}).args == ({"image": X},)


def test_arguments_that_do_not_fit_are_refused_with_the_signature():
    with pytest.raises(LoadError, match=r"forward\(x, mask=None"):
        as_call(forward, (X, X, X))


def test_floats_become_float32_and_integers_stay():
    assert tensor(np.zeros((2, 2))).dtype == torch.float32
    assert tensor(torch.zeros(2, dtype=torch.bfloat16)).dtype == torch.float32
    assert tensor(np.zeros(2, np.int64)).dtype == torch.int64
    assert tensor(3) == 3


def test_a_spec_stands_for_random_data():
    drawn = tensor(TensorSpec("x", (1, 3, 8, 8), "float32"))
    assert drawn.shape == (1, 3, 8, 8) and float(drawn.std()) > 0
    assert tensor(TensorSpec("ids", (1, 4), "int64")).tolist() == [[0, 0, 0, 0]]


def test_a_batch_is_cut_and_noted():
    call, notes = rebatch(Call((torch.arange(12.0).reshape(4, 3), torch.arange(4)), {"deep": [torch.ones(4, 2)]}), 1)
    assert [tuple(t.shape) for t in (*call.args, call.kwargs["deep"][0])] == [(1, 3), (1,), (1, 2)]
    assert notes == ("batch dimension fixed at 1 (the example inputs had 4)",)


def test_a_batch_is_repeated_when_it_is_too_small():
    call, _ = rebatch(Call((torch.tensor([[1.0], [2.0]]),), {}), 3)
    assert call.args[0].flatten().tolist() == [1, 2, 1]


def test_inputs_without_a_common_first_dimension_have_no_batch():
    call = Call((torch.ones(4, 3), torch.ones(5, 3)), {})
    assert rebatch(call, 1) == (call, ())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_resized_tensors_hold_values_of_the_original(shape, data):
    wanted = data.draw(st.lists(st.integers(1, 6), min_size=len(shape), max_size=len(shape)))
    source = torch.arange(float(np.prod(shape))).reshape(shape)
    result = resize(source, wanted)
    assert list(result.shape) == wanted
    assert set(result.flatten().tolist()) <= set(source.flatten().tolist())


def test_flat_calls_rebuild_the_structure():
    call = tensors(Call((X,), {"mask": {"a": X, "b": [X]}, "scale": 2.0}))
    flat = flatten(forward, call)
    assert flat.names == ("x", "mask.a", "mask.b.0")
    assert flat.notes == ("argument 'scale' fixed at 2.0",)
    fresh = [torch.full((4, 3), float(i)) for i in range(3)]
    seen = flat.calling(lambda x, mask, scale: (float(x[0, 0]), float(mask["a"][0, 0]), float(mask["b"][0][0, 0]), scale))(*fresh)
    assert seen == (0.0, 1.0, 2.0, 2.0)


def test_variable_arguments_are_numbered():
    assert flatten(lambda *parts: None, tensors(Call((X, X), {}))).names == ("parts_0", "parts_1")


def test_what_can_be_neither_traced_nor_frozen_is_refused():
    with pytest.raises(LoadError, match="'mask' is a object"):
        flatten(forward, Call((X, object()), {}))
    with pytest.raises(LoadError, match="no tensor"):
        flatten(forward, Call((1.0,), {}))
