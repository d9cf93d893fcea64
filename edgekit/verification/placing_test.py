import dataclasses

import numpy as np
import pytest

from edgekit import schemas
from edgekit.conversion.running import runtime_on
from edgekit.devices import Address
from edgekit.devices.host import machine
from edgekit.errors import UsageError
from edgekit.verification.placing import Elsewhere, Place, held_against_here, placed


def place(**changes):
    return Place(None, "qemu:cortex-a53", dataclasses.replace(machine(), cpu="cortex-a53", **changes))


def held(here, there, **changes):
    return held_against_here(place(**changes), {"y": np.array(here, "f4")}, {"y": np.array(there, "f4")})


def test_equal_answers_are_said_to_be_equal():
    found = held([[1, 2], [3, np.nan]], [[1, 2], [3, np.nan]], emulator="qemu 7.2")
    assert (found.values, found.differing, found.max_abs) == (4, 0, 0)
    assert str(found) == "on qemu:cortex-a53 (emulated by qemu 7.2) all 4 output values equal this machine's, bit for bit"


def test_each_difference_counts():
    found = held([1, 2, 3, 4], [1, 2.5, 3, 3])
    assert (found.differing, found.max_abs) == (2, 1)
    assert str(found) == "on qemu:cortex-a53 (cortex-a53) 2 of 4 output values differ from this machine's, by at most 1"


def test_a_value_that_is_no_number_on_one_side_differs_without_bound():
    assert held([1, 2], [1, np.nan]).max_abs == np.inf


def test_this_machine_is_nowhere_else():
    with placed("fake", None, "host") as found:
        assert found.runtime.name == "fake" and found.machine is None


@dataclasses.dataclass
class Engine:
    name: str
    reason: str | None = None
    formats: tuple[str, ...] = ("f",)

    def refusal(self, machine):
        return self.reason

    def on(self, device):
        return self


class Device:
    address = Address("ssh", "board")

    def machine(self):
        return machine()


def test_the_runtime_asked_for_is_taken_if_it_can_run_there():
    engine = Engine("one")
    assert runtime_on(Device(), "f", engine) is engine


def test_one_that_cannot_run_there_says_why():
    with pytest.raises(UsageError, match=r"runtime 'one' does not run 'f' files on ssh:board \(one: too old\)"):
        runtime_on(Device(), "f", Engine("one", "too old"))
    with pytest.raises(UsageError, match="one: it does nothing of use"):
        runtime_on(Device(), "f", Engine("one"), useless=lambda there: "it does nothing of use")
    with pytest.raises(UsageError, match="on ssh:board\n"):
        runtime_on(Device(), "other", Engine("one"))


def test_the_verdict_holds_it_and_is_valid():
    from edgekit.verification.verdict import Gates, Verdict, judge

    elsewhere = Elsewhere("qemu:cortex-a53", "cortex-a53", "qemu 7.2", 4, 1, float("inf"))
    verdict = Verdict("0" * 64, "native", "xnnpack", 1, "golden", (), None, judge(Gates(), (), None), (), elsewhere)
    document = verdict.to_json()
    schemas.validate(document, "verdict-1", "it")
    assert document["elsewhere"] == {**vars(elsewhere), "max_abs": None}
