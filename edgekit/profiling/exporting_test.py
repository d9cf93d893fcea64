import csv
import io
import json

import pytest

from edgekit.errors import UsageError
from edgekit.profiling import profile
from edgekit.profiling.exporting import COLUMNS, to_csv, to_trace
from edgekit.testing.counted import counted_profile
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def found(model_file):
    return profile(model_file, runtime=ScriptedRuntime([launch(noisy(1e5, s)) for s in range(6)]), sustained=5)


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_every_sample_and_operator(found):
    table = read(to_csv(found))
    assert tuple(table[0]) == COLUMNS
    samples = [row for row in table if row["record"] == "sample"]
    assert len(samples) == found.latency.samples
    assert [int(r["value"]) for r in samples if r["index"] == "2"] == found.launches[2].timings.samples_ns.tolist()
    assert [(r["name"], float(r["value"])) for r in table if r["record"] == "op"] == [("CONV_2D", 60.0), ("SOFTMAX", 20.0)]
    figures = {r["name"]: (float(r["value"]), r["unit"]) for r in table if r["record"] == "figure"}
    assert figures["median_ms"] == (found.latency.median_ms, "ms") and figures["model_bytes"][1] == "B"
    assert sum(r["record"] == "window" for r in table) == len(found.sustained.curve)


def test_csv_of_counts_has_no_time():
    table = read(to_csv(counted_profile()))
    assert {row["quantity"] for row in table} == {"memory", "instructions"}
    assert [r["value"] for r in table if r["record"] == "count" and r["name"] == "load"] == ["250000"] * 3


def test_a_name_with_commas_and_quotes_stays_one_cell(found):
    from dataclasses import replace

    rows = (replace(found.ops.rows[0], module='a,"b"\nc'), *found.ops.rows[1:])
    table = read(to_csv(replace(found, ops=replace(found.ops, rows=rows))))
    assert next(r for r in table if r["record"] == "op")["module"] == 'a,"b"\nc'


def test_the_trace_is_a_timeline_of_operators(found):
    events = json.loads(to_trace(found))["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert [(e["name"], e["ts"], e["dur"]) for e in spans] == [("CONV_2D", 0.0, 60.0), ("SOFTMAX", 60.0, 20.0)]
    assert spans[0]["cat"] == "xnnpack" and spans[1]["cat"] == "cpu" and spans[0]["args"]["kernel"] == "IGEMM"
    assert {e["ph"] for e in events} == {"M", "X", "C"}
    assert any("mean of 100 runs" in e["args"]["name"] for e in events if e["ph"] == "M")
    assert [e["args"]["latency (ms)"] for e in events if e["ph"] == "C"] == [w.median_ms for w in found.sustained.curve]


def test_no_timeline_of_what_has_no_times(model_file):
    with pytest.raises(UsageError, match="no times"):
        to_trace(counted_profile())
    bare = profile(model_file, runtime=ScriptedRuntime([launch(noisy(1e5, s)) for s in range(5)], ops=()))
    with pytest.raises(UsageError, match="no per-operator times"):
        to_trace(bare)
