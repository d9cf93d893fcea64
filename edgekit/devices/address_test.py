import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices import Address, SshPlace
from edgekit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address", "transport"),
    [
        ("host", Address("host"), "host"),
        ("local", Address("host"), "host"),
        ("adb", Address("adb"), "adb"),
        ("adb:127.0.0.1:5555", Address("adb", "127.0.0.1:5555"), "adb"),
        ("ssh:pi@board:2222", Address("ssh", "pi@board:2222"), "ssh"),
        ("serial:/dev/ttyACM0", Address("serial", "/dev/ttyACM0"), "serial"),
        ("serial:COM3@921600", Address("serial", "COM3@921600"), "serial"),
        ("qemu:cortex-a76", Address("qemu", "cortex-a76"), "qemu_user"),
        ("qemu:cortex-m4", Address("qemu", "cortex-m4"), "qemu_system"),
    ],
)
def test_names_of_devices(text, address, transport):
    assert Address.parse(text) == address
    assert address.transport == transport
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "moon", "ssh", "ssh:", "qemu", "serial:", "host:x", "adb:", "adb:-s", "ssh:-oProxyCommand=x", "adb:a b", "qemu:$(x)", "ADB"],
)
def test_what_names_no_device(text):
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert caught.value.accepted


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("board", SshPlace("board")),
        ("pi@board", SshPlace("board", "pi")),
        ("pi@10.0.0.7:22", SshPlace("10.0.0.7", "pi", 22)),
        ("[::1]:2222", SshPlace("::1", None, 2222)),
        ("a.b+c@[fe80::1%eth0]", SshPlace("fe80::1%eth0", "a.b+c")),
    ],
)
def test_places_to_log_in(text, place):
    assert SshPlace.parse(text) == place


@pytest.mark.parametrize("text", ["", "@board", "pi@", "board:0", "board:70000", "board:x", "::1", "-x", "pi@-x", "a/b", "pi@@b"])
def test_what_is_no_place_to_log_in(text):
    with pytest.raises(UsageError):
        SshPlace.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = Address.parse(text)
    except UsageError:
        return
    assert Address.parse(str(address)) == address and " " not in address.place
