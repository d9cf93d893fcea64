import pytest
import torch

from edgekit import ops


@pytest.mark.parametrize(("shape", "block"), [((1, 3, 4, 5), 1), ((1, 4, 1, 1), 2), ((2, 12, 3, 2), 2)])
def test_depth_to_space_returns_no_view_of_its_input(shape, block):
    x = torch.randn(shape)
    assert ops.depth_to_space(x, block).untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_depth_to_space_passes_gradients_back():
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: ops.depth_to_space(value, 2), x)
