import subprocess
import sys

import pytest
import torch
from torch import nn

from edgekit.loading.digest import digest
from edgekit.loading.shared_constants import share_constants
from edgekit.loading.trace import trace

_SCRIPT = """
import torch
from torch import nn
from edgekit.loading.pytorch import export_module
torch.manual_seed(0)
print(export_module(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.ones(1, 3)).source.digest)
"""


def program(model, x):
    return trace(model, model, (x,)).program


def make(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU())


@pytest.mark.parametrize("flags", [[], ["-R"]])
def test_it_is_the_same_in_every_process(flags):
    from edgekit.loading.pytorch import export_module

    here = export_module(make(), torch.ones(1, 3)).source.digest
    there = subprocess.run([sys.executable, *flags, "-c", _SCRIPT], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_it_changes_with_weights_structure_and_shape():
    x = torch.ones(1, 3)
    same = digest(program(make(), x))
    changed = make()
    with torch.no_grad():
        changed[0].bias[0] += 1
    others = [program(changed, x), program(make()[0], x), program(make(), torch.ones(2, 3))]
    assert same == digest(program(make(), 2 * x))
    assert len({same, *map(digest, others)}) == 4


def test_equal_constants_are_shared_and_written_ones_are_not():
    first, second, other = torch.ones(3), torch.ones(3), torch.zeros(3)
    traced = trace(nn.Module(), lambda x: (x + first) * second + other, (torch.ones(2, 3),)).program
    share_constants(traced)
    used = [n for n in traced.graph.nodes if n.op == "placeholder" and n.users and n.name.startswith("c_")]
    assert len(used) == 2
    torch.testing.assert_close(traced.module()(torch.ones(2, 3))[0], torch.full((2, 3), 2.0))
