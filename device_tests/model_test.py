"""A model answers there as it does here, and what is measured can be believed or says why not."""

import numpy as np
import pytest

import edgekit
from edgekit.conversion.running import encoded, request, runtime_for, runtime_on
from edgekit.errors import UsageError
from edgekit.profiling import CountedProfile, Profile


@pytest.fixture(scope="session")
def measured(device, artifact):
    """A profile made there."""
    return edgekit.profile(artifact, on=device, launches=3, quick=True)


def test_golden_vectors(device, artifact):
    manifest = artifact.manifest
    inputs, _ = artifact.golden()
    given = {spec.name: encoded(spec, inputs) for spec in manifest.inputs}
    there = runtime_on(device, manifest.format).run(request(artifact.model_file), given)
    here = runtime_for(manifest.format).run(request(artifact.model_file), given)
    for spec in manifest.outputs:
        if spec.dtype.startswith(("int", "uint")):
            np.testing.assert_array_equal(there[spec.name], here[spec.name])
        else:
            np.testing.assert_allclose(there[spec.name], here[spec.name], rtol=1e-4, atol=1e-5)


def test_latency(measured, device):
    if isinstance(measured, CountedProfile):
        assert device.machine().emulator, "only emulators count"
        assert measured.counts.deterministic and measured.counts.run.total > 1000
        return
    latency = measured.latency
    assert 0 < latency.min_ms <= latency.median_ms and latency.low_ms <= latency.median_ms <= latency.high_ms
    assert len(measured.launches) == 3 and all((launch.timings.samples_ns > 0).all() for launch in measured.launches)
    assert measured.valid or measured.validity.reasons, "what cannot be believed says why"
    print("; ".join(f.text for f in measured.validity.reasons) or "trusted")


def test_memory(measured, device):
    memory = measured.memory
    assert memory.model_bytes > 0
    if isinstance(measured, Profile) and memory.peak_rss_bytes is not None:
        assert memory.added_rss_bytes >= 0
        assert memory.peak_rss_bytes < device.machine().memory_bytes


def test_the_record_comes_back(measured):
    again = type(measured).from_json(measured.to_json())
    assert again.to_json() == measured.to_json()


def test_an_engine_that_cannot_run_there_is_refused(device, artifact):
    with pytest.raises(UsageError):
        runtime_on(device, artifact.manifest.format, "onnxruntime")
