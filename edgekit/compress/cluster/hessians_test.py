import pytest
import torch

from edgekit.compress.cluster.hessians import ACROSS, WITHIN, Assumed, Measured


def _written_out(assumed):
    columns = assumed.kernels * assumed.taps
    kernels = torch.kron(torch.eye(assumed.kernels), torch.ones(assumed.taps, assumed.taps))
    return Measured((torch.eye(columns) + WITHIN * kernels + ACROSS * torch.ones(columns, columns)).expand(assumed.groups, -1, -1))


@pytest.mark.parametrize("assumed", [Assumed(1, 5, 9), Assumed(3, 1, 4), Assumed(1, 40, 1)], ids=["convolution", "depthwise", "linear"])
def test_what_is_assumed_is_a_matrix_that_is_never_written_out(assumed):
    exact, columns = _written_out(assumed), assumed.kernels * assumed.taps
    torch.testing.assert_close(assumed.diagonal, exact.diagonal)
    for block in (slice(None), slice(1, 4), slice(columns - 2, columns)):
        torch.testing.assert_close(assumed.among(block), exact.among(block))
        errors = torch.randn(assumed.groups, 6, columns)
        torch.testing.assert_close(assumed.times(errors, block), exact.times(errors, block))
