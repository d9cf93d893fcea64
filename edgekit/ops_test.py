import torch

from edgekit import ops


def test_depth_to_space_passes_gradients_back():
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: ops.depth_to_space(value, 2), x)
