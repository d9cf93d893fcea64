"""The whole way with LiteRT and processes; nothing here asserts how long anything takes."""

import json
import signal
import subprocess
import sys
import textwrap

import jsonschema
import psutil
import pytest

from edgekit import schemas
from edgekit.errors import LoadError, UsageError
from edgekit.profiling import compare, profile
from edgekit.testing.data import data_file
from edgekit.testing.processes import ended

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def model():
    return data_file("ref_kws_dscnn_int8.tflite")


def test_a_real_profile_is_complete(model):
    found = profile(model, quick=True)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.validate(document, schemas.schema("profile-1"))
    assert not found.partial and len(found.launches) == 3
    assert found.latency.low_ms <= found.latency.median_ms <= found.latency.high_ms
    assert found.memory.model_bytes == model.stat().st_size
    assert [row.name for row in found.ops.rows][-1] == "SOFTMAX"
    assert sum(row.share or 0 for row in found.ops.rows) == pytest.approx(1)
    assert found.runner.version.startswith("ai-edge-litert")


def test_a_real_comparison_tells_fast_from_slow(model):
    small = data_file("ref_ad01_int8.tflite")  # a tenth of the work and less: no neighbour makes up for that
    found = compare(small, model, quick=True, rounds=4)
    assert found.verdict == "slower" and found.ratio.value > 1.5


def test_a_file_that_is_no_model(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(LoadError, match=r"cannot read x\.tflite"):
        profile(path)


def test_a_format_nobody_runs(tmp_path):
    path = tmp_path / "x.weights"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"execute.* format 'weights'"):
        profile(path)


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(model):
    code = f"""
        import json
        from edgekit.profiling import profile
        from edgekit.progress import listening
        with listening(lambda title, done, total: print(done, flush=True)):
            found = profile({str(model)!r}, launches=200)
        print(json.dumps({{"partial": found.partial, "launches": len(found.launches), "valid": found.valid}}))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "2":
            break
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    said = json.loads(output.splitlines()[-1])
    assert said["partial"] and not said["valid"] and 2 <= said["launches"] < 200, "a busy machine may send the signal a launch later"
    assert all(ended(child.pid) for child in children)
