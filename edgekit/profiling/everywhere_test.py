"""Profiling on devices that misbehave: what they gave is kept, what went wrong is said, the others' results are not lost."""

import threading

import numpy as np
import pytest

from edgekit.counting import CountedRun, InstructionCount
from edgekit.devices import Address, DeviceState
from edgekit.errors import DeviceFailed, DeviceFull, DeviceLost, DeviceUnavailable, UsageError
from edgekit.profiling import CountedProfile, Profile, compare, profile
from edgekit.profiling.everywhere import profile_each
from edgekit.testing.scripted_device import MACHINE, ScriptedDevice, ScriptedEngine, scripted
from edgekit.testing.scripted_runtime import launch, noisy

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    """Scripted launches take no time: our own clock is a script too, ten seconds for each look."""
    from edgekit.profiling import measuring

    ticks = iter(range(0, 10**6, 10))
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: float(next(ticks)))


def good(seed):
    return launch(noisy(100_000, seed))


UP = (DeviceState(at=1.0), DeviceState(at=50.0))


def device(place="board", states=UP):
    return ScriptedDevice(Address("ssh", place), states)


def test_a_device_is_measured_like_this_machine(model_file):
    board = device()
    with scripted({"board": board}):
        found = profile(model_file, runtime=ScriptedEngine([good(i) for i in range(5)]), on="ssh:board")
    assert isinstance(found, Profile) and found.valid and not found.partial
    assert found.machine == MACHINE and found.runner.on == "ssh:board" and board.closed >= 1
    assert Profile.from_json(found.to_json()).machine == MACHINE


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (DeviceLost("the connection was lost"), "lost"),
        (DeviceFailed("the runner crashed: SIGSEGV"), "failed"),
        (DeviceFailed("the runner hung"), "failed"),
        (DeviceFull("the storage is full"), "lost"),
    ],
)
def test_what_a_device_gave_before_it_failed_is_kept_and_marked(model_file, fault, code):
    board = device()
    with scripted({"board": board}):
        found = profile(model_file, runtime=ScriptedEngine([good(0), good(1), fault]), on="ssh:board")
    assert len(found.launches) == 2 and found.partial and not found.valid
    assert found.validity.reasons[0].code == code and found.validity.reasons[0].text == fault.message
    assert board.asked == 1, "a device that failed is not asked for its state"
    assert board.closed >= 1


@pytest.mark.parametrize("fault", [DeviceLost("gone"), DeviceFailed("crashed"), DeviceFull("full")])
def test_without_a_finished_launch_the_fault_is_an_error(model_file, fault):
    with scripted({"board": device()}), pytest.raises(type(fault)) as caught:
        profile(model_file, runtime=ScriptedEngine([fault]), on="ssh:board")
    assert caught.value.exit_code == 4


def test_a_device_lost_while_operators_are_timed_keeps_its_latency(model_file):
    class Lost(ScriptedEngine):
        def trace(self, request, inputs, seconds):
            raise DeviceLost("gone")

    with scripted({"board": device()}):
        found = profile(model_file, runtime=Lost([good(i) for i in range(5)]), on="ssh:board")
    assert len(found.launches) == 5 and found.validity.reasons[0].code == "lost" and not found.valid


@pytest.mark.parametrize("sustained", [None, 5])
def test_a_device_lost_after_its_launches_keeps_them(model_file, sustained):
    """When its state is asked for at the end, or in the long run after it."""
    states = (DeviceState(at=1.0), DeviceState(at=50.0) if sustained else DeviceLost("unplugged"))
    with scripted({"board": device(states=states)}):
        engine = ScriptedEngine([*(good(i) for i in range(5)), DeviceLost("unplugged")])
        found = profile(model_file, runtime=engine, on="ssh:board", sustained=sustained)
    assert len(found.launches) == 5 and found.validity.reasons[0].code == "lost" and found.sustained is None


def test_a_reboot_between_launches_is_noticed(model_file):
    board = device(states=(DeviceState(at=5000.0), DeviceState(at=12.0)))
    with scripted({"board": board}):
        found = profile(model_file, runtime=ScriptedEngine([good(i) for i in range(5)]), on="ssh:board")
    assert [f.code for f in found.validity.reasons] == ["rebooted"]


def test_a_clock_that_jumps_ahead_is_noticed(model_file):
    jumped = launch(np.full(400, 10**9))  # 400 seconds, told after 10
    with scripted({"board": device()}):
        found = profile(model_file, runtime=ScriptedEngine([good(0), jumped]), on="ssh:board")
    assert len(found.launches) == 1 and "clock jumped" in found.validity.reasons[0].text


def test_a_clock_that_jumps_back_is_noticed(model_file):
    jumped = launch(np.array([100_000] * 300 + [-5, 0]))
    with scripted({"board": device()}):
        found = profile(model_file, runtime=ScriptedEngine([jumped] * 5), on="ssh:board")
    assert "clock-jump" in [f.code for f in found.validity.reasons]


class Counting(ScriptedEngine):
    """Counts instead of timing."""

    measure = property()  # type: ignore[assignment]

    def count(self, request, inputs, invokes):
        return CountedRun(tuple(InstructionCount(1000 + i * self.drift) for i in range(invokes)), "scripted")

    drift = 0


def test_an_emulator_counts(model_file):
    with scripted({"board": device()}):
        found = profile(model_file, runtime=Counting(), on="ssh:board")
    assert isinstance(found, CountedProfile) and found.counts.run.total == 1000 and found.valid


def test_counts_that_differ_are_not_trusted(model_file):
    engine = Counting()
    engine.drift = 1
    with scripted({"board": device()}):
        assert not profile(model_file, runtime=engine, on="ssh:board").valid


def test_an_emulator_has_no_times_to_compare(model_file):
    with scripted({"board": device()}), pytest.raises(UsageError, match="emulated: nothing there has a time"):
        compare(model_file, model_file, runtime=Counting(), on="ssh:board")


def test_one_lost_device_does_not_lose_the_others(model_file):
    engine = ScriptedEngine(
        [good(0)] * 20,
        by_device={
            "ssh:good": ScriptedEngine([good(i) for i in range(5)]),
            "ssh:lossy": ScriptedEngine([good(0), DeviceLost("unplugged")]),
            "ssh:bad": ScriptedEngine([DeviceFailed("wrong architecture")]),
        },
    )
    known = {name: device(name) for name in ("good", "lossy", "bad")} | {"away": DeviceUnavailable("nobody answers")}
    with scripted(known):
        names = ["ssh:good", "ssh:lossy", "ssh:bad", "ssh:away", "host"]
        results = {m.on: m for m in profile_each(model_file, names, runtime=engine)}
    assert set(results) == set(names)
    assert results["ssh:good"].profile.valid and results["host"].profile.valid
    assert len(results["ssh:lossy"].profile.launches) == 1 and not results["ssh:lossy"].profile.valid
    assert isinstance(results["ssh:bad"].error, DeviceFailed) and isinstance(results["ssh:away"].error, DeviceUnavailable)
    document = results["ssh:away"].to_json()
    assert document["profile"] is None and document["error"]["type"] == "DeviceUnavailable"


def test_this_machine_is_measured_before_others_disturb_it(model_file):
    order = []

    class Noting(ScriptedEngine):
        def measure(self, request, pace, inputs):
            order.append(threading.current_thread().name)
            return good(0)

    with scripted({"board": device()}):
        list(profile_each(model_file, ["ssh:board", "host"], runtime=Noting(), launches=2))
    assert order == ["MainThread"] * 2 + ["edgekit ssh:board"] * 2


def test_a_defect_of_ours_on_one_device_does_not_lose_the_others(model_file):
    class Broken(ScriptedEngine):
        def measure(self, request, pace, inputs):
            raise ZeroDivisionError("oops")

    engine = ScriptedEngine([good(0)] * 5, by_device={"ssh:b": Broken()})
    with scripted({"a": device("a"), "b": device("b")}):
        results = {m.on: m for m in profile_each(model_file, ["ssh:a", "ssh:b"], runtime=engine)}
    assert results["ssh:a"].profile.valid and "ZeroDivisionError" in results["ssh:b"].error.message


@pytest.mark.parametrize("names", [[], ["host", "local"], ["ssh:a", "ssh:a"], ["moon"], ["qemu"]], ids=str)
def test_impossible_lists_are_refused(model_file, names):
    with pytest.raises(UsageError):
        list(profile_each(model_file, names))


def test_an_interrupt_ends_all_and_keeps_what_was_measured(model_file, monkeypatch):
    from edgekit.profiling import everywhere

    begun, released = threading.Event(), threading.Event()

    class Endless(ScriptedEngine):
        def measure(self, request, pace, inputs):
            if self.asked:
                begun.set()
                assert released.wait(60)
                raise DeviceLost("let go")
            self.asked.append((request, pace, inputs))
            return good(0)

    class Interrupted(everywhere.queue.Queue):
        interrupts = 1

        def get(self):
            if self.interrupts:
                assert begun.wait(60)
                self.interrupts -= 1
                raise KeyboardInterrupt
            return super().get()

    monkeypatch.setattr(everywhere.queue, "Queue", Interrupted)
    board = device()
    board.on_close = released.set
    with scripted({"board": board}):
        (result,) = profile_each(model_file, ["ssh:board"], runtime=Endless())
    assert len(result.profile.launches) == 1 and [f.code for f in result.profile.validity.reasons] == ["partial"]
