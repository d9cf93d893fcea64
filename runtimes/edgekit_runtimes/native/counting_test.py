"""Counting: how marks are put together, and that emulated boards answer bit for bit and take the same instructions each time."""

import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

from edgekit import plugins
from edgekit.errors import DeviceFailed, UsageError
from edgekit.plugins import RunRequest
from edgekit.testing.data import data_file
from edgekit_runtimes._litert_capi import ProfilerMissing
from edgekit_runtimes.native import marks
from edgekit_runtimes.native.counting import Event, intervals, invokes
from edgekit_runtimes.native.marks import CLASSES, Kind, Mark
from edgekit_runtimes.native.process import Job

BASE = 1_000_000_000


def operator(start, end, index=0, name="SOFTMAX"):
    return Event(2, index, BASE + 1000 * start, 1000 * (end - start), name)


def kernel(index, name="Convolution"):
    return Event(8, index, 0, 1000, name)


def found(events, ticks):
    return [(e.name, span) for e, span in intervals(events, ticks)]


def test_an_event_ran_between_the_marks_it_tells():
    assert found([operator(0, 1), operator(2, 3, 1, "ADD")], 4) == [("SOFTMAX", (0, 1)), ("ADD", (2, 3))]


def test_a_delegates_kernels_ran_between_the_marks_nobody_claims():
    run = Event(1, 0, BASE, 1000 * 9, "Invoke")
    events = [run, kernel(0, "a"), kernel(1, "b"), operator(4, 5), kernel(0, "c"), kernel(1, "d")]
    assert found(events, 10) == [("a", (1, 2)), ("b", (2, 3)), ("SOFTMAX", (4, 5)), ("c", (6, 7)), ("d", (7, 8))]


@pytest.mark.parametrize(
    ("events", "ticks"),
    [
        ([kernel(0)], 1),
        ([kernel(0)], 3),
        ([], 1),
        ([operator(0, 1)], 3),
        ([operator(0, 4)], 2),
        ([kernel(1)], 2),
        ([operator(1, 2), kernel(0)], 4),
    ],
    ids=["too few", "too many", "nobody's", "left over", "beyond the end", "starts in the middle", "torn apart"],
)
def test_what_does_not_fit_together_is_not_believed(events, ticks):
    with pytest.raises(ProfilerMissing):
        intervals(events, ticks)


def mark(kind, total, processors=1):
    return Mark(kind, processors, (total, *[0] * len(CLASSES)))


def test_runs_lie_between_beginning_and_end():
    marks_ = [mark(Kind.BEGIN, 10), mark(Kind.END, 15), mark(Kind.BEGIN, 17), mark(Kind.END, 22)]
    assert [count.total for count in invokes(marks_)] == [5, 5]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [mark(Kind.BEGIN, 1)],
        [mark(Kind.END, 1), mark(Kind.BEGIN, 2)],
        [mark(Kind.BEGIN, 1), mark(Kind.TICK, 2), mark(Kind.END, 3)],
        [mark(Kind.BEGIN, 1), mark(Kind.END, 2, processors=2)],
    ],
)
def test_missing_marks_and_threads_are_refused(bad):
    with pytest.raises(DeviceFailed):
        invokes(bad)


@pytest.mark.parametrize("text", ["x", "0 1 2", "7 1 2 3 4 5 6 7", "0 1 1 2 3 4 5 6\n1 1 9", "0 1 -"])
def test_a_damaged_record_of_marks_is_refused(text):
    with pytest.raises(DeviceFailed):
        marks.read(text)


# ---- on emulated boards


ASSEMBLY = """
    .global _start
_start:
    mov x0, #0xed9e; mov x1, #0; mov x8, #173; svc #0   // begin
    adr x9, data                                        // 100 rounds: 2 loads (1 SIMD), 1 store, 1 SIMD, 1 dot product, 1 branch, 1 other
    mov x10, #100
1:  ldr x11, [x9]
    ldr q0, [x9]
    stp x11, x11, [sp, #-16]
    add v1.4s, v2.4s, v3.4s
    {dot}
    subs x10, x10, #1
    b.ne 1b
    mov x0, #0xed9e; mov x1, #1; mov x8, #173; svc #0   // end
    mov x0, #0; mov x8, #93; svc #0
    .align 4
data: .quad 1, 2
"""


@pytest.mark.parametrize(("cpu", "dot"), [("cortex-a53", ""), ("cortex-a76", "sdot v4.4s, v5.16b, v6.16b")])
def test_a_program_counted_by_hand(board, tmp_path, cpu, dot):
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    device = board(cpu)
    (tmp_path / "loop.S").write_text(ASSEMBLY.format(dot=dot))
    flags = ["-nostdlib", "-static", "-march=armv8.2-a+dotprod"]
    subprocess.run([compiler, *flags, str(tmp_path / "loop.S"), "-o", str(tmp_path / "loop")], check=True)
    with device.scratch() as folder:
        done, (begin, end) = device.count([device.push(tmp_path / "loop", executable=True)], folder=folder, timeout=60)
    count, dots = begin.to(end), 100 * bool(dot)
    assert done.exit_code == 0 and begin.kind is Kind.BEGIN and end.kind is Kind.END
    assert count.total == 2 + 600 + dots + 4  # the mark that ends the count takes 4 itself
    assert count.classes == {"load": 200, "store": 100, "branch": 100 + 1, "simd": 200 + dots, "dot_product": dots}


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_int8_answers_are_those_of_this_machine_bit_for_bit(board, models, inputs, cpu):
    request = RunRequest(models["int8"])
    given = inputs(request.model, 16)
    wanted = plugins.load("runtimes", "litert").run(request, given)
    got = plugins.load("runtimes", "native").on(board(cpu)).run(request, given)
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)


@pytest.mark.slow
def test_counts_are_the_same_wherever_the_files_lie(board, models, inputs, tmp_path):
    native = plugins.load("runtimes", "native").on(board("cortex-a76"))
    given = {name: value[0] for name, value in inputs(models["int8"]).items()}
    found = set()
    for name in ("m", "a-model-whose-name-is-long-" + "x" * 60):
        (tmp_path / name).mkdir()
        copy = shutil.copy(models["int8"], tmp_path / name / "model.tflite")
        found |= {(c.total, *c.classes.items()) for c in native.count(RunRequest(copy), given, 3).invokes}
    assert len(found) == 1


@pytest.mark.slow
def test_operators_are_counted_and_add_up(board, models, inputs):
    request = RunRequest(models["int8"])
    native = plugins.load("runtimes", "native").on(board("cortex-a76"))
    counted = native.count(request, {name: value[0] for name, value in inputs(models["int8"]).items()}, 2)
    assert counted.ops_reason is None and "cortex-a76" in counted.source and "7.2" in counted.source
    assert [op.name for op in counted.ops] == [op["name"] for op in native.inspect(request)["ops"]]
    run = counted.invokes[0]
    assert 0.85 * run.total < sum(op.instructions for op in counted.ops) < run.total
    assert run.classes["dot_product"] > 0 and set(run.classes) == set(CLASSES)


@pytest.mark.slow
def test_int8_takes_at_most_half_the_instructions_of_float_where_there_are_dot_products(board, models, inputs):
    native = plugins.load("runtimes", "native").on(board("cortex-a76"))
    totals = {}
    for recipe, model in models.items():
        given = {name: value[0] for name, value in inputs(model).items()}
        totals[recipe] = native.count(RunRequest(model), given, 1).invokes[0].total
    assert totals["int8"] <= 0.5 * totals["float32"]


@pytest.mark.parametrize(("threads", "invokes_"), [(2, 1), (1, 0)])
def test_threads_and_no_runs_are_refused(board, models, threads, invokes_):
    native = plugins.load("runtimes", "native").on(board("cortex-a53"))
    with pytest.raises(UsageError):
        native.count(RunRequest(models["int8"], threads), {"x": np.zeros(1, "f4")}, invokes_)


@pytest.mark.parametrize("damage", [b"", b"no model", bytes(1000), struct.pack("<I4sI", 16, b"TFL3", 2**31)])
def test_a_hostile_model_harms_nobody(board, tmp_path, damage):
    from edgekit.errors import EdgekitError

    path = tmp_path / "bad.tflite"
    path.write_bytes(damage)
    with pytest.raises(EdgekitError, match=r"bad\.tflite"):
        plugins.load("runtimes", "native").on(board("cortex-a53")).run(RunRequest(path), {"x": np.zeros((1, 3), "f4")})


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
@pytest.mark.parametrize("name", ["ic_resnet8", "kws_dscnn", "ad01", "sww"])
def test_real_models_answer_alike_and_count_alike_with_the_host_busy(board, inputs, cpu, name):
    """More models and runs: python -m benchmarks.emulated."""
    request = RunRequest(data_file(f"ref_{name}_int8.tflite"))
    given, device = inputs(request.model, 8), board(cpu)
    wanted = plugins.load("runtimes", "litert").run(request, given)
    native = plugins.load("runtimes", "native").on(device)
    for output, value in native.run(request, given).items():
        np.testing.assert_array_equal(value, wanted[output])
    one = {key: value[:1] for key, value in given.items()}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        try:
            found = [invokes(native._execute(Job("count", request, {"runs": 2}), one).marks) for _ in range(2)]
        finally:
            spinning.kill()
    assert len({count.total for run in found for count in run}) == 1
