"""edgekit's firmware on emulated boards: what it computes, what it counts, and what it refuses."""

import subprocess

import numpy as np
import pytest

from edgekit import plugins
from edgekit.devices import opened
from edgekit.errors import DataError, DeviceFailed, DeviceUnavailable, UsageError
from edgekit.plugins import RunRequest
from edgekit.profiling import profile
from edgekit_runtimes.micro.boards import BOARDS, FOLDER
from edgekit_runtimes.transports.qemu_system import CHOICE, TRANSPORT


def expected(small, samples):
    return plugins.load("runtimes", "tflite_micro").run(RunRequest(small.model_file), samples)


def engine_on(device):
    return plugins.load("runtimes", "micro").on(device)


@pytest.mark.slow
@pytest.mark.parametrize("cpu", BOARDS)
def test_outputs_are_those_of_tflite_micro_bit_for_bit(emulator, small, samples, cpu):
    with opened(f"qemu:{cpu}") as board:
        got = engine_on(board).run(RunRequest(small.model_file), samples)
    for name, value in expected(small, samples).items():
        np.testing.assert_array_equal(got[name], value)


@pytest.mark.slow
def test_counts_are_the_same_each_time_and_in_both_emulators(emulator, small, monkeypatch):
    found = []
    for which in ("qemu", "qemu", "unicorn"):
        monkeypatch.setenv(CHOICE, which)
        found.append(profile(small, on="qemu:cortex-m4"))
    assert all(f.valid and f.counts.deterministic for f in found)
    assert found[0].counts.run == found[1].counts.run == found[2].counts.run
    assert [row.instructions for row in found[0].ops.rows] == [row.instructions for row in found[2].ops.rows]
    assert "unicorn" in found[2].counts.source and "qemu-system-arm" in found[0].counts.source


@pytest.mark.slow
def test_a_profile_has_operators_with_the_users_modules_and_no_time(emulator, small):
    found = profile(small, on="qemu:cortex-m4", estimate="nrf52840")
    rows = {row.module: row for row in found.ops.rows}
    assert rows["wide"].instructions > rows["pointwise"].instructions > 0
    assert sum(row.instructions for row in found.ops.rows) <= found.counts.run.total
    assert found.counts.run.classes["multiply"] > 0 and found.memory.arena_bytes > 0
    assert found.to_json()["latency"] is None and found.basis == "counted"
    assert found.estimate.device == "nrf52840" and found.estimate.low_ms < found.estimate.milliseconds < found.estimate.high_ms
    without = {row.module: row for row in profile(small, on="qemu:cortex-m3").ops.rows}
    assert without["wide"].instructions > rows["wide"].instructions, "no DSP instructions there"


@pytest.mark.slow
def test_what_the_firmware_refuses(emulator, small, samples):
    with opened("qemu:cortex-m4") as board:
        assert b"core=cortex-m4" in board.exchange(b"i")
        assert board.exchange(b"r\x01abc") == b"eno model is loaded"
        assert board.exchange(b"lnonsense") == b"enot a plan for this firmware"
        assert board.exchange(b"?") == b"eno such command"
        assert board.exchange(b"") == b"eno such command"
        engine = engine_on(board)
        engine.run(RunRequest(small.model_file), samples)
        assert board.exchange(b"r\x01abc") == b"ethe inputs are not the model's"
        with pytest.raises(DataError):
            engine.run(RunRequest(small.model_file), {"other": samples[small.manifest.inputs[0].name]})
        with pytest.raises(DataError):
            engine.run(RunRequest(small.model_file), {k: v.astype("f4") for k, v in samples.items()})


IMAGE = """
static void semihosted(int operation, int argument) {
  register int r0 __asm("r0") = operation;
  register int r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
extern unsigned stack_top;
void reset(void) {
  volatile int sum = 0;
  for (int k = 0; k < RUNS; k++) {
    __asm volatile("mov r11, r11" ::: "memory");
    for (int i = 0; i < 100; i++) sum += i;
    __asm volatile("mov r12, r12" ::: "memory");
  }
  semihosted(0x18, CODE);
  for (;;) {}
}
__attribute__((section(".vectors"), used)) void *const vectors[2] = {&stack_top, reset};
"""


def image(folder, runs=3, code=0x20026):
    """A user's own program for a Cortex-M4."""
    (folder / "image.c").write_text(IMAGE)
    symbols = "--defsym=CODE_AT=0,--defsym=CODE_BYTES=0x10000,--defsym=RAM_AT=0x20000000,--defsym=RAM_BYTES=0x10000"
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O1", "-nostdlib", "-ffreestanding", f"-DRUNS={runs}", f"-DCODE={code}"]
    path = folder / "image.elf"
    subprocess.run([*command, f"-Wl,{symbols}", "-T", str(FOLDER / "board.ld"), str(folder / "image.c"), "-o", str(path)], check=True)
    return path


@pytest.mark.slow
def test_a_users_own_image_is_counted_between_its_marks(emulator, tmp_path):
    found = profile(image(tmp_path), on="qemu:cortex-m4")
    assert len(found.counts.invokes) == 3 and found.counts.deterministic
    assert found.counts.run.classes["load"] == found.counts.run.classes["store"] == found.counts.run.classes["branch"] == 100
    with pytest.raises(DeviceFailed, match="marks nothing"):
        profile(image(tmp_path, runs=0), on="qemu:cortex-m4")
    with pytest.raises(DeviceFailed, match="ended with code 1"):
        profile(image(tmp_path, code=0x20023), on="qemu:cortex-m4")


def test_boards_are_listed_with_what_is_missing():
    found = {entry.address: entry for entry in TRANSPORT.find()}
    assert set(found) == {f"qemu:{cpu}" for cpu in BOARDS}
    assert all(entry.emulated and (entry.ready or entry.next_step) for entry in found.values())


def test_nonsense_is_refused(monkeypatch, small):
    with pytest.raises(UsageError, match="no emulated microcontroller"), opened("qemu:cortex-m99"):
        pass
    monkeypatch.setenv(CHOICE, "simavr")
    with pytest.raises(UsageError, match="simavr"), opened("qemu:cortex-m4"):
        pass
    monkeypatch.setenv(CHOICE, "unicorn")
    with pytest.raises(DeviceUnavailable, match="no cortex-m55"), opened("qemu:cortex-m55"):
        pass
    with pytest.raises(UsageError, match="microcontrollers only"):
        plugins.load("runtimes", "micro").run(RunRequest(small.model_file), {small.manifest.inputs[0].name: np.zeros((1, 3, 16, 16), "i1")})
