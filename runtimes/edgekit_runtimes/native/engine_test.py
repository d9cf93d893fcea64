"""The runner on this machine, held against the Python runtime; and what becomes of whatever a device may answer."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from edgekit import plugins
from edgekit.devices import Address, Completed, opened
from edgekit.devices.host import machine
from edgekit.errors import ConversionError, DataError, DeviceFailed, DeviceFull, DeviceUnavailable, LoadError, UsageError
from edgekit.plugins import RunRequest
from edgekit.timing import Launch, Pace, median_half_width
from edgekit_runtimes import _debian
from edgekit_runtimes.native import process, tensorfile
from edgekit_runtimes.native.engine import Native, TimedNative

pytestmark = pytest.mark.skipif(_debian.find("gcc") is None, reason="gcc is missing: make setup-emulators")
QUICK = Pace(min_samples=64, min_seconds=0.02, max_seconds=0.2, warmup_seconds=0.05, precision=0.05)


@pytest.fixture(scope="module")
def native():
    return plugins.load("runtimes", "native")


@pytest.fixture(scope="module")
def litert():
    return plugins.load("runtimes", "litert")


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@pytest.mark.parametrize("recipe", ["int8", "float32"])
def test_outputs_are_those_of_the_python_runtime(native, models, inputs, recipe, delegate):
    request = RunRequest(models[recipe], delegate=delegate)
    given = inputs(request.model, 3)
    wanted, got = plugins.load("runtimes", "litert").run(request, given), native.run(request, given)
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)
        assert got[name].dtype == value.dtype


def test_a_launch_is_measured_as_the_pace_says(native, models, inputs):
    given = {name: value[0] for name, value in inputs(models["int8"]).items()}
    launch = native.measure(RunRequest(models["int8"]), QUICK, given)
    timings = launch.timings
    assert isinstance(launch, Launch) and len(timings.samples_ns) >= QUICK.min_samples and (timings.samples_ns > 0).all()
    assert timings.precise == (median_half_width(timings.samples_ns) <= QUICK.precision)
    assert len(timings.warmup_ns) >= 1 and 0 < timings.overhead_ns < np.median(timings.samples_ns)
    assert timings.readings.shape[1] == 4 and timings.readings[-1, 0] == len(timings.samples_ns)
    assert (np.diff(timings.readings[:, 1]) >= 0).all()
    assert 0 < launch.baseline_rss_bytes < launch.peak_rss_bytes
    assert launch.cold_load_ms > 0 and launch.warm_load_ms > 0 and launch.first_run_ms > 0


def test_a_pace_of_few_samples_ends_at_them(native, models, inputs):
    given = {name: value[0] for name, value in inputs(models["int8"]).items()}
    pace = replace(QUICK, max_samples=100, min_seconds=60, max_seconds=60, precision=0)
    assert len(native.measure(RunRequest(models["int8"]), pace, given).timings.samples_ns) == 100


def test_operators_are_those_of_the_file(native, litert, models, inputs):
    given = {name: value[0] for name, value in inputs(models["int8"]).items()}
    trace = native.trace(RunRequest(models["int8"]), given, 0.02)
    assert trace.reason is None and trace.runs >= 3
    assert [op.name for op in trace.ops] == [op["name"] for op in litert.inspect(RunRequest(models["int8"]))["ops"]]


def test_a_profile_of_the_native_engine_says_so(models):
    from edgekit.profiling import profile

    found = profile(models["int8"], runtime="native", quick=True, launches=1)
    assert found.runner.runtime == "native" and "native runner" in found.runner.version


@dataclass
class FakeDevice:
    """Answers what the test says; keeps what was run."""

    done: Completed | None = None
    out: bytes = tensorfile.encode({})
    system: str = "Linux"
    architecture: str = machine().architecture
    emulator: str | None = None
    address: Address = field(default_factory=lambda: Address("fake"))

    def machine(self):
        return replace(machine(), system=self.system, architecture=self.architecture, emulator=self.emulator)

    def push(self, file, *, executable=False):
        return f"/cache/{file.name}"

    @contextmanager
    def scratch(self):
        yield "/scratch"

    def put(self, file, path):
        assert path == "/scratch/in" and tensorfile.decode(file.read_bytes())

    def run(self, argv, *, folder=None, environment=None, timeout=60.0):
        self.argv, self.timeout = argv, timeout
        return self.done

    def pull(self, path, file, *, limit=0):
        file.write_bytes(self.out)


def refused(kind, **more):
    error = {"kind": kind, "message": "it is so", "accepted": "", **more}
    return Completed(("runner",), process.REFUSED, json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (refused("load"), (LoadError, "cannot read")),
        (refused("data", message="input 'x' has element type 9", accepted="element type 1"), (DataError, "int8")),
        (refused("prepare"), (ConversionError, "it is so")),
        (refused("run"), (ConversionError, "it is so")),
        (refused("full"), (DeviceFull, "it is so")),
        (refused("library"), (DeviceFailed, "it is so")),
        (Completed((), 139, b"", b"boom"), (DeviceFailed, r"crashed on .*SIGSEGV \(boom\)")),
        (Completed((), 134, b""), (DeviceFailed, "SIGABRT")),
        (Completed((), 1, b"", b"/lib/libc.so.6: version `GLIBC_2.34' not found"), (DeviceUnavailable, "C library is older")),
        (Completed((), 0, b""), (DeviceFailed, "garbage")),
        (Completed((), 0, b"hello"), (DeviceFailed, "garbage")),
        (Completed((), 0, b"[1]"), (DeviceFailed, "garbage")),
        (Completed((), 0, b"{}"), (DeviceFailed, "garbage")),
        (Completed((), 3, b'{"error": 1}'), (DeviceFailed, "garbage")),
        (Completed((), 3, b'{"error": {"kind": "load"}}'), (DeviceFailed, "garbage")),
    ],
)
@pytest.mark.parametrize("method", ["run", "measure", "trace"])
def test_what_goes_wrong_on_a_device_is_told(models, done, expected, method):
    error, said = expected
    engine = TimedNative(device=FakeDevice(done))
    request, x = RunRequest(models["int8"]), {"x": np.zeros((1, 3), "f4")}
    calls = {
        "run": lambda: engine.run(request, x),
        "measure": lambda: engine.measure(request, QUICK, {"x": x["x"][0]}),
        "trace": lambda: engine.trace(request, {"x": x["x"][0]}, 0.1),
    }
    with pytest.raises(error, match=said):
        calls[method]()


def test_a_damaged_answer_is_refused(native, models):
    good = {"cold_load_ms": 1, "warm_load_ms": 1, "first_run_ms": 1, "cache_dropped": True, "baseline_rss_bytes": -1, "peak_rss_bytes": -1}
    good |= {"overhead_ns": 20, "cpu_share": 1, "stable": True, "precise": True}
    ns = np.ones(3, np.int64)
    arrays = {"warmup_ns": ns, "samples_ns": ns, "readings": np.zeros((1, 4))}
    device = FakeDevice(Completed((), 0, json.dumps(good).encode()), tensorfile.encode(arrays))
    engine = TimedNative(device=device)
    launch = engine.measure(RunRequest(models["int8"]), QUICK, {"x": np.zeros(3, "f4")})
    assert launch.peak_rss_bytes is None and list(launch.timings.samples_ns) == [1, 1, 1]
    for damage in ({"samples_ns": ns[:0]}, {"samples_ns": np.ones(3, "f8")}, {"samples_ns": ns[None]}, {"readings": np.zeros(3)}):
        device.out = tensorfile.encode(arrays | damage)
        with pytest.raises(DeviceFailed, match="garbage"):
            engine.measure(RunRequest(models["int8"]), QUICK, {"x": np.zeros(3, "f4")})


def test_the_pace_and_the_kernels_reach_the_runner(native, models):
    device = FakeDevice(refused("run"))
    with pytest.raises(ConversionError):
        TimedNative(device=device).measure(RunRequest(models["int8"], 2, "none", {"timeout": 7}), QUICK, {"x": np.zeros(3, "f4")})
    settings = dict(word.split("=") for word in device.argv[6:])
    assert settings == {"threads": "2", "kernels": "builtin", **{key: str(value) for key, value in QUICK.to_json().items()}}
    assert device.argv[1] == "time" and device.timeout == 7


@pytest.mark.parametrize(
    ("change", "said"), [({"architecture": "riscv64"}, "riscv64"), ({"system": "Android 14"}, "EDGEKIT_BENCHMARK_MODEL")], ids=str
)
def test_machines_it_cannot_run_on_are_refused(native, change, said):
    with pytest.raises(UsageError, match=said):
        native.on(FakeDevice(**change))


def test_on_an_emulator_nothing_is_timed(native):
    there = native.on(FakeDevice(system="Android 14", emulator="qemu"))
    assert type(there) is Native and not hasattr(there, "measure") and not hasattr(there, "count")
    assert hasattr(native.on(FakeDevice()), "measure")


@pytest.mark.parametrize("request_", [RunRequest("m", delegate="reference"), RunRequest("m", 0)], ids=["delegate", "threads"])
def test_requests_it_does_not_know_are_refused(native, request_, models):
    with pytest.raises(UsageError):
        native.run(replace(request_, model=models["int8"]), {})


def test_the_runner_names_what_it_does_not_know(native, models, tmp_path):
    with opened("host") as here:
        runner, library = process.program(machine().architecture), process.library(machine().architecture)
        (tmp_path / "in").write_bytes(tensorfile.encode({}))
        for words, said in (
            (["sing"], b"unknown mode: sing"),
            (["run", "tempo=3"], b"unknown setting: tempo=3"),
            (["run", "x"], b"no key=value"),
        ):
            done = here.run([str(runner), words[0], str(library), str(models["int8"]), "in", "out", *words[1:]], folder=str(tmp_path))
            assert done.exit_code == process.REFUSED and said in done.stdout
        done = here.run([str(runner), "run", "/no/lib.so", str(models["int8"]), "in", "out"], folder=str(tmp_path))
        assert b"cannot load LiteRT" in done.stdout


def remembering(path):
    """A file whose RNN operator keeps its state from run to run."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    def tensor(shape, buffer, variable=False):
        made = schema.TensorT()
        made.shape, made.buffer, made.isVariable, made.name = shape, buffer, variable, f"t{buffer}".encode()
        return made

    rng = np.random.default_rng(0)
    constants = [rng.standard_normal(shape).astype("f4") for shape in ((3, 4), (3, 3), (3,))]
    model, graph, op, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [code], []
    for content in (b"", b"", *(c.tobytes() for c in constants), b"", b""):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8) if content else None
        model.buffers.append(buffer)
    shapes = ([1, 4], [3, 4], [3, 3], [3], [1, 3], [1, 3])
    graph.tensors = [tensor(shape, number + 1, number == 4) for number, shape in enumerate(shapes)]
    graph.inputs, graph.outputs, graph.operators = [0], [5], [op]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RNN
    op.inputs, op.outputs, op.builtinOptionsType, op.builtinOptions = (
        [0, 1, 2, 3, 4],
        [5],
        schema.BuiltinOptions.RNNOptions,
        schema.RNNOptionsT(),
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def test_a_model_with_memory_is_refused_with_the_reason(native, tmp_path):
    with pytest.raises(LoadError, match="Variable tensors"):
        native.run(RunRequest(remembering(tmp_path / "rnn.tflite")), {"t1": np.zeros((1, 4), "f4")})
