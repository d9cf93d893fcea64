from edgekit.canonicalize.opening import read

UNSEEDED = """
import torch
from torch import nn

def make():
    return nn.Conv1d(2, 3, 3), (torch.ones(1, 2, 12),)
"""


def test_a_callable_is_called_once_for_all_sizes(tmp_path):
    path = tmp_path / "unseeded_net.py"
    path.write_text(UNSEEDED)
    graph = read(f"{path}:make", dims={"input": {2: (8, 12, 16)}})
    assert graph.source.name == f"{path}:make"
    assert [(o.range.smallest, o.range.largest) for o in graph.open_sizes] == [(8, 16)]
