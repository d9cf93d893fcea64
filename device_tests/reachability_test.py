"""The device answers, and says what it is."""

from edgekit.devices import DeviceState, Machine


def test_it_says_what_it_is(device):
    machine = device.machine()
    assert machine.architecture != "unknown" and machine.cpu != "unknown" and machine.threads >= 1
    assert Machine.from_json(machine.to_json()) == machine


def test_it_says_how_it_is(device):
    first, second = device.state(), device.state()
    assert isinstance(first, DeviceState) and second.at >= first.at


def test_programs_run(files):
    awkward = ["a b", "'", "$HOME", "", "ü", "--", "\\", "*"]
    done = files.run(["printf", "%s|", *awkward])
    assert done.stdout.decode() == "".join(f"{word}|" for word in awkward) and done.exit_code == 0
    assert files.run(["sh", "-c", "exit 42"]).exit_code == 42
