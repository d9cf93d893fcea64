import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.compress.prune import Prune
from edgekit.errors import UsageError
from edgekit.gains import Gains
from edgekit.profiling import measure_gains
from edgekit.profiling.presenting import gain_rows
from edgekit.recipe import Recipe
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy

pytestmark = pytest.mark.usefixtures("quiet")


class Speeds(ScriptedRuntime):
    """The pruned model takes a given share of the other's time."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def measure(self, request, pace, inputs):
        self.asked.append(request)
        return launch(noisy(1e5 * (self.share if "pruned" in request.model.parts else 1.0), len(self.asked)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gains")
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3)).eval()
    recipe = Recipe("sparse", (Prune(0.75),), "float32", "float32")
    made = edgekit.convert(
        net, "android", example_inputs=(torch.zeros(1, 3, 8, 8),), recipe=recipe, out=folder / "pruned", unpruned=folder / "whole"
    )
    return made, edgekit.Artifact.load(folder / "whole")


def measured(pair, share):
    made = measure_gains(*pair, runtime=Speeds(share))
    assert edgekit.Artifact.load(made.path).manifest == made.manifest, "the record is in the folder"
    return Gains.from_json(made.manifest.gains)


def test_faster_is_a_gain(pair):
    found = measured(pair, 0.5)
    assert found.timing.verdict == "faster" and found.timing.ratio == pytest.approx(0.5, rel=0.02) and not found.no_measured_gain
    assert (found.timing.runtime, found.timing.on) == ("scripted", "host") and found.reason is None
    assert dict(gain_rows(found))["latency here"].endswith("by scripted on this machine")


def test_zeros_without_kernels_for_them_are_a_smaller_download_and_nothing_else(pair):
    found = measured(pair, 1.0)
    assert found.timing.verdict == "no difference" and found.no_measured_gain
    assert found.before.bytes == found.after.bytes and found.after.zipped < 0.5 * found.before.zipped
    told = dict(gain_rows(found))
    assert told["zeros"].startswith("74.5%") and "smaller download" in told["zeros"]
    assert told["no measured gain"].startswith("the pruned model is no faster")


def test_slower_is_no_gain(pair):
    found = measured(pair, 1.2)
    assert found.timing.verdict == "slower" and found.no_measured_gain
    assert dict(gain_rows(found))["no measured gain"].startswith("the pruned model is slower")


def test_a_real_runtime_takes_the_time_when_none_is_named(pair):
    found = Gains.from_json(measure_gains(*pair, quick=True, rounds=3).manifest.gains)
    assert found.timing.runtime == "litert" and found.timing.rounds == 3 and found.timing.before_ms > 0


def test_what_nothing_here_can_time_has_a_reason(pair, tmp_path):
    shutil.copytree(pair[0].path, tmp_path / "pruned")
    made, whole = (replace(a, manifest=replace(a.manifest, format="coreml")) for a in pair)
    found = Gains.from_json(measure_gains(replace(made, path=tmp_path / "pruned"), whole).manifest.gains)
    assert found.timing is None and found.no_measured_gain and "coreml" in found.reason
    assert found.after.bytes and dict(gain_rows(found))["no measured gain"] == found.reason


def test_only_one_model_with_and_without_pruning_is_compared(pair, tmp_path):
    made, whole = pair
    with pytest.raises(UsageError, match="prunes nothing"):
        measure_gains(whole, made)
    other = replace(whole, manifest=replace(whole.manifest, source=replace(whole.manifest.source, digest="0" * 64)))
    with pytest.raises(UsageError, match="differ in source"):
        measure_gains(made, other)


def test_samples_do_not_decide_which_side_is_which(pair):
    assert np.isclose(measured(pair, 0.8).timing.ratio, 0.8, rtol=0.02)
