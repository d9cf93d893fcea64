from dataclasses import replace

import pytest

from edgekit.conversion.room import NoRoom, check_room
from edgekit.targets import load_target


class Needs:
    """A runtime that wants so much arena."""

    def __init__(self, arena):
        self.arena = arena

    def inspect(self, request):
        return {"arena_bytes": self.arena}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(5000))
    return path


TARGET = replace(load_target("cortex-m4"), flash_bytes=5000, ram_bytes=2000)


def test_what_fits(model):
    check_room(TARGET, model, Needs(2000))
    check_room(TARGET, model, Needs(None))
    check_room(load_target("android"), model, Needs(10**9))


@pytest.mark.parametrize(
    "target, arena, told",
    [
        (replace(TARGET, flash_bytes=4000), 100, ("model takes 5,000 bytes, 1,000 more than cortex-m4 has flash for", "flash_bytes")),
        (TARGET, 2016, ("arena takes 2,016 bytes, 16 more than cortex-m4 has RAM for", "ram_bytes")),
    ],
)
def test_what_does_not_is_refused_with_the_numbers(model, target, arena, told):
    with pytest.raises(NoRoom) as caught:
        check_room(target, model, Needs(arena))
    assert (caught.value.memory, caught.value.room) in [("flash", 4000), ("RAM", 2000)]
    assert told[0] in str(caught.value) and told[1] in caught.value.next_step
