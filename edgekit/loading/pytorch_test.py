from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import LoadError
from edgekit.graph import is_call
from edgekit.loading import export
from edgekit.tensors import TensorSpec


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
        self.head = nn.Linear(4, 2)

    def forward(self, image, offset=None, double=False):
        x = self.head(self.body(image).mean((2, 3)))
        x = 2 * x if double else x
        return x if offset is None else x + offset


IMAGE = torch.randn(1, 3, 8, 8)


def run(exported, *inputs):
    with torch.no_grad():
        return exported.program.module()(*inputs)


def test_names_are_the_parameters_of_forward():
    exported = export(Net(), (IMAGE, torch.ones(1, 2)))
    assert exported.inputs == (TensorSpec("image", (1, 3, 8, 8), "float32"), TensorSpec("offset", (1, 2), "float32"))
    assert exported.outputs == (TensorSpec("output", (1, 2), "float32"),)
    assert exported.source.framework == "pytorch" and exported.source.name == "Net"


def test_optional_arguments_that_are_none_vanish_and_scalars_are_noted():
    exported = export(Net(), {"image": IMAGE, "offset": None, "double": True})
    assert [i.name for i in exported.inputs] == ["image"]
    assert "argument 'double' fixed at True" in exported.notes
    model = Net().eval()
    assert not [n for n in exported.program.graph.nodes if n.op == "placeholder" and n.meta.get("val") is None]
    exported = export(model, {"image": IMAGE, "double": True})
    torch.testing.assert_close(run(exported, IMAGE)[0], model(IMAGE, double=True))


def test_named_inputs_may_come_in_any_order():
    model = Net().eval()
    exported = export(model, {"offset": torch.ones(1, 2), "image": IMAGE})
    assert [i.name for i in exported.inputs] == ["image", "offset"]
    torch.testing.assert_close(run(exported, IMAGE, torch.ones(1, 2))[0], model(IMAGE, torch.ones(1, 2)))


def test_every_node_knows_the_users_module():
    exported = export(Net(), IMAGE)
    paths = {str(n.target): n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)}
    assert (
        paths["aten.conv2d.default"] == "body.0" and paths["aten.batch_norm.default"] == "body.1" and paths["aten.linear.default"] == "head"
    )
    assert paths["aten.mean.dim"] == ""
    assert all("module_path" in n.meta for n in exported.program.graph.nodes)
    weights = {n.name: n.meta["module_path"] for n in exported.program.graph.nodes if n.op == "placeholder"}
    assert weights["p_body_0_weight"] == "body.0" and weights["image" if "image" in weights else "tensors_0"] == ""


def test_an_fx_module_is_traced_like_any_other():
    model = torch.fx.symbolic_trace(Net().eval(), concrete_args={"offset": None, "double": False})
    exported = export(model, (IMAGE,))
    torch.testing.assert_close(run(exported, IMAGE)[0], model(IMAGE))
    assert "body.0" in {n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)}


def test_a_module_called_twice_has_one_path():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.act(x) - 1)

    exported = export(Twice(), torch.ones(1, 2))
    assert [n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)] == ["act", "", "act"]


def test_the_model_is_exported_in_eval_mode_and_left_in_its_own():
    model = Net().train()
    model.head.eval()
    exported = export(model, IMAGE)
    assert model.training and model.body[3].training and not model.head.training
    torch.testing.assert_close(run(exported, IMAGE)[0], model.eval()(IMAGE))
    assert "num_batches_tracked" not in str([n.target for n in exported.program.graph.nodes if is_call(n)])


def test_the_batch_is_one_unless_asked_for():
    batch = torch.randn(8, 3, 8, 8)
    one, four = export(Net(), batch), export(Net(), batch, batch=4)
    assert one.inputs[0].shape == (1, 3, 8, 8) and one.outputs[0].shape == (1, 2)
    assert "batch dimension fixed at 1 (the example inputs had 8)" in one.notes
    assert four.outputs[0].shape == (4, 2)


def test_arrays_and_specs_serve_as_examples():
    by_array = export(Net(), np.zeros((1, 3, 8, 8)))
    by_spec = export(Net(), (TensorSpec("image", (1, 3, 8, 8), "float32"),))
    assert by_array.inputs == by_spec.inputs


def test_nested_inputs_and_outputs_are_flat_and_named():
    @dataclass
    class Boxes:
        xy: torch.Tensor
        score: torch.Tensor | None = None

    class Nested(nn.Module):
        def forward(self, features, anchors):
            return {"fine": Boxes(features["p3"] + anchors[0]), "coarse": (features["p4"], anchors[1] * 2)}

    example = ({"p3": torch.ones(1, 2), "p4": torch.ones(1, 3)}, [torch.ones(1, 2), torch.ones(1, 4)])
    exported = export(Nested(), example)
    assert [i.name for i in exported.inputs] == ["features.p3", "features.p4", "anchors_0", "anchors_1"]
    assert [o.name for o in exported.outputs] == ["fine.xy", "coarse_0", "coarse_1"]
    flat = (torch.randn(1, 2), torch.randn(1, 3), torch.randn(1, 2), torch.randn(1, 4))
    for got, want in zip(run(exported, *flat), (flat[0] + flat[2], flat[1], flat[3] * 2), strict=True):
        torch.testing.assert_close(got, want)


def test_the_same_tensor_given_twice_is_two_inputs():
    class Sum(nn.Module):
        def forward(self, left, right):
            return left + 2 * right

    x = torch.ones(1, 2)
    exported = export(Sum(), (x, x))
    assert [i.name for i in exported.inputs] == ["left", "right"]
    torch.testing.assert_close(run(exported, x, 3 * x)[0], 7 * x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_traced_in_float32_and_noted(dtype):
    model = Net().to(dtype)
    exported = export(model, IMAGE.to(dtype))
    assert exported.inputs[0].dtype == exported.outputs[0].dtype == "float32"
    assert any("converted to float32" in note for note in exported.notes)
    assert model.head.weight.dtype == dtype


def test_wrappers_are_seen_through():
    assert export(nn.DataParallel(Net()), IMAGE).source.name == "Net"
    assert export(torch.compile(Net()), IMAGE).source.name == "Net"


def test_a_module_without_examples_is_refused_with_the_way_out():
    with pytest.raises(LoadError, match="example_inputs="):
        export(Net())


def test_a_model_that_fails_on_its_example_says_where():
    with pytest.raises(LoadError, match=r"fails on example inputs of shape \[1, 5, 8, 8\]") as caught:
        export(Net(), torch.ones(1, 5, 8, 8))
    assert caught.value.module == "body.0"


def test_dims_must_agree_with_the_example():
    export(Net(), IMAGE, dims={"image": {2: 8}})
    with pytest.raises(LoadError, match="is 8 in the model, and 16"):
        export(Net(), IMAGE, dims={"image": {2: 16}})
    with pytest.raises(LoadError, match="no input 'audio'"):
        export(Net(), IMAGE, dims={"audio": {2: 16}})


def test_torchscript_and_empty_weights_are_refused():
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(LoadError, match="TorchScript"):
        export(scripted, torch.ones(1, 2))
    with torch.device("meta"):
        empty = nn.Linear(2, 2)
    with pytest.raises(LoadError, match="meta device"):
        export(empty, torch.ones(1, 2))


@pytest.mark.parametrize("model", [None, 3, object(), len])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(LoadError, match="accepted"):
        export(model, IMAGE)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_is_positive(batch):
    with pytest.raises(LoadError, match="batch size"):
        export(Net(), IMAGE, batch=batch)
