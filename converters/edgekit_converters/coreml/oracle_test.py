"""coremltools' own torch frontend on models where it works: both packages answer alike in the same evaluator."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.canonicalize import canonicalize
from edgekit.conversion.lowering import lower
from edgekit.loading import export
from edgekit.targets import load_target
from edgekit_converters.coreml.testing import encoding, write
from edgekit_runtimes._coreml.session import CoreMLSession

ct = pytest.importorskip("coremltools")


def convolutional():
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, 3, groups=4))
    return nn.Sequential(body, nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(-1)), (1, 3, 20, 16)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x):
        q, k, v = (t.reshape(1, 6, 4, 4).transpose(1, 2) for t in self.qkv(self.norm(x)).split(16, -1))
        heads = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + nn.functional.gelu(self.out(heads.transpose(1, 2).reshape(1, 6, 16)))


def attentive():
    return Attention(), (1, 6, 16)


def upsampling():
    return nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1), nn.LeakyReLU(), nn.Upsample(scale_factor=2, mode="bilinear")), (
        1,
        3,
        5,
        6,
    )


@pytest.mark.slow
@pytest.mark.parametrize("build", [convolutional, attentive, upsampling], ids=lambda b: b.__name__)
def test_oracle(build, tmp_path):
    torch.manual_seed(0)
    model, shape = build()
    model.eval()
    x = torch.randn(shape)
    target = load_target("ios").at("17")
    graph = lower(canonicalize(export(model, (x,))), target.rules)
    ours = next(iter(write(graph, [x], encoding("17")).outputs.values()))
    traced = torch.jit.trace(model, x)
    theirs = ct.convert(
        traced, inputs=[ct.TensorType("x", shape=shape)], outputs=[ct.TensorType("y")], compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS17, skip_model_load=True,
    )  # fmt: skip
    theirs.save(str(tmp_path / "theirs.mlpackage"))
    (other,) = CoreMLSession(tmp_path / "theirs.mlpackage").run({"x": x.numpy()}).values()
    np.testing.assert_allclose(ours, other, atol=1e-5, rtol=1e-4)
