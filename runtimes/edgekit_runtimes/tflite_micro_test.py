"""tflite-micro beyond what every runtime promises: memory, missing kernels, and the targets that need it."""

import warnings

import numpy as np
import pytest
import torch

import edgekit
from edgekit import plugins
from edgekit.errors import ConversionError
from edgekit.plugins import RunRequest
from edgekit.targets import load_rules, load_target, target_names


class Net(torch.nn.Module):
    """Small, with an activation to choose."""

    def __init__(self, activation):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), activation)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def converted(folder, activation, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = Net(activation).eval()
        return edgekit.convert(
            net, "cortex-m4", example_inputs=torch.randn(1, 3, 12, 12), calibration="random", out=folder / "a", **options
        )


@pytest.mark.slow
def test_an_artifact_for_a_microcontroller(tmp_path):
    artifact = converted(tmp_path, torch.nn.ReLU())
    runtime = plugins.load("runtimes", "tflite_micro")
    found = runtime.inspect(RunRequest(artifact.model_file))
    assert {s.dtype for s in (*artifact.manifest.inputs, *artifact.manifest.outputs)} == {"int8"}
    assert found["arena"]["head"] <= found["arena_bytes"] < 64_000 and found["arena_bytes"] % 16 == 0
    (spec,) = artifact.manifest.inputs
    samples = {spec.name: np.random.default_rng(0).integers(-128, 128, (4, *spec.shape[1:])).astype("i1")}
    reference = plugins.load("runtimes", "litert").run(RunRequest(artifact.model_file, delegate="reference"), samples)
    for name, value in runtime.run(RunRequest(artifact.model_file), samples).items():
        assert np.abs(value.astype(int) - reference[name]).max() <= 1


@pytest.mark.slow
def test_a_missing_kernel_is_told_with_the_users_module(tmp_path):
    with pytest.raises(ConversionError) as caught:
        converted(tmp_path, torch.nn.GELU())
    assert caught.value.op and caught.value.module == "features.1"
    assert "tflite-micro has no kernel for GELU" in str(caught.value)


def test_its_rules_are_litert_s_but_for_what_it_lacks():
    micro, litert = load_rules("tflite-micro"), load_rules("litert")
    assert micro.name == "tflite-micro" and micro.lower == litert.lower and micro.weighted == litert.weighted
    for bits in (8, 16):
        assert micro.activations[bits].kernels < litert.activations[bits].kernels
        assert "convolution" in micro.activations[bits].kernels and "repeat" not in micro.activations[bits].shared
    assert not micro.dynamic and not micro.weight_only and micro.activations[8].fixed == litert.activations[8].fixed


@pytest.mark.parametrize("name", [n for n in target_names() if n.startswith(("cortex-m", "ethos-u"))])
def test_targets(name):
    target = load_target(name)
    assert target.rules.name == "tflite-micro" and target.runtimes == ("tflite_micro",)
    assert (target.input_dtype, target.output_dtype) == ("int8", "int8")
    if name.startswith("cortex-m"):
        assert target.flash_bytes > target.ram_bytes > 0 or name == "cortex-m55"
    else:
        assert target.extra["vela"]["accelerator"].startswith(name)
