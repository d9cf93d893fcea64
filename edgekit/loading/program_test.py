import pytest
import torch
from torch import nn
from torch.export import Dim

from edgekit.errors import LoadError
from edgekit.graph import is_call
from edgekit.loading import export


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU())

    def forward(self, audio, gain=None):
        x = self.body(audio)
        return {"mean": x.mean(2), "all": x if gain is None else x * gain}


AUDIO = torch.randn(2, 3, 20)


def dynamic(dims):
    return torch.export.export(Net().eval(), (AUDIO,), dynamic_shapes={"audio": dims}, strict=False)


def dynamic_batch():
    return dynamic({0: Dim("batch")})


def dynamic_time():
    return dynamic({2: Dim("time")})


def test_a_static_program_keeps_names_paths_and_answers():
    model = Net().eval()
    program = torch.export.export(model, (AUDIO, None), strict=False)
    exported = export(program)
    assert [(i.name, i.shape) for i in exported.inputs] == [("audio", (2, 3, 20))]
    assert [o.name for o in exported.outputs] == ["mean", "all"]
    paths = {str(n.target): n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)}
    assert paths["aten.conv1d.default"] == "body.0" and paths["aten.relu.default"] == "body.1"
    for got, want in zip(exported.program.module()(AUDIO), model(AUDIO).values(), strict=True):
        torch.testing.assert_close(got, want)


def test_a_dynamic_batch_is_fixed_at_one_and_noted():
    exported = export(dynamic_batch())
    assert exported.inputs[0].shape == (1, 3, 20)
    assert "batch dimension fixed at 1" in exported.notes
    assert all(type(s) is int for n in exported.program.graph.nodes if is_call(n) for s in n.meta["val"].shape)


def test_every_other_dynamic_dimension_needs_a_size():
    with pytest.raises(LoadError, match="--dim audio:2=100"):
        export(dynamic_time())
    assert export(dynamic_time(), dims={"audio": {2: 31}}).outputs[1].shape == (2, 4, 31)
    assert export(dynamic_time(), (torch.ones(2, 3, 17),)).outputs[1].shape == (2, 4, 17)


def test_a_file_is_read_and_named(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(dynamic_batch(), path)
    exported = export(path)
    assert exported.source.name == "net.pt2" and exported.inputs[0].name == "audio"
    assert exported.source.digest == export(str(path)).source.digest


def test_a_truncated_file_is_one_clear_error(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(dynamic_batch(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(LoadError, match=r"not a whole \.pt2"):
        export(path)
