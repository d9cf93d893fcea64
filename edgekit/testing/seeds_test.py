"""What the project's `conftest.py` promises of every test."""

import random

import numpy as np
import pytest
import torch
from hypothesis import settings


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_draws_what_it_would_draw_alone(turn):
    assert random.random() == random.Random(0).random()
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))


def test_no_example_has_a_time_limit():
    assert settings.default.deadline is None
