"""`edgekit devices`: what a model can be measured on, what is missing for that, and what we left there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_device
from edgekit.cli.tables import label_table, table
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.devices import DeviceState, Machine


@command("devices")
@click.argument("action", type=click.Choice(["list", "show", "clean"]), default="list")
@click.argument("names", nargs=-1, metavar="[DEVICE]...", shell_complete=complete_device)
def devices(terminal: Terminal, action: str, names: tuple[str, ...]) -> int:
    """List devices that are attached or can be emulated, with what is missing; show one's facts; remove what edgekit left there.

    DEVICE is a name as the list shows it, and as --on takes it: host, adb, adb:SERIAL, ssh:[USER@]HOST[:PORT], serial:DEVICE[@BAUD],
    qemu:CPU. The list contacts nothing on the network. Without a DEVICE, clean empties the cache of every Android device attached.

    \b
      edgekit devices
      edgekit devices show ssh:pi@board
      edgekit devices clean adb:0A171JECB12345
    """
    if action == "list":
        return _list(terminal, names)
    if action == "show":
        return _show(terminal, names)
    return _clean(terminal, names)


def _list(terminal: Terminal, names: tuple[str, ...]) -> int:
    from edgekit.devices import find

    found = [device for device in find() if not names or any(device.address.startswith(name) for name in names)]
    if terminal.as_json:
        terminal.emit("edgekit.devices/1", {"devices": [device.to_json() for device in found]})
        return 0
    from rich.text import Text

    signs = {True: Text("ok", "green"), False: Text("–", "yellow")}
    terminal.show(table(("", "device", "what it is"), ((signs[device.ready], device.address, device.description) for device in found)))
    steps = dict.fromkeys((device.missing, device.next_step) for device in found if not device.ready)
    if steps:
        terminal.show("")
    for missing, step in steps:
        lacking = ", ".join(device.address for device in found if (device.missing, device.next_step) == (missing, step))
        terminal.show(f"{lacking}: {missing}" + (f"\n  next: {step}" if step else ""))
    return 0


def _show(terminal: Terminal, names: tuple[str, ...]) -> int:
    from edgekit.devices import opened
    from edgekit.errors import UsageError

    if not names:
        raise UsageError("no device was named", next_step="edgekit devices lists them")
    shown = []
    for name in names:
        with opened(name) as device:
            shown.append((str(device.address), device.machine(), device.state()))
    if terminal.as_json:
        facts = [{"address": a, "machine": machine.to_json(), "state": state.to_json()} for a, machine, state in shown]
        terminal.emit("edgekit.device/1", {"devices": facts})
        return 0

    for address, machine, state in shown:
        terminal.show(label_table([("device", address), *_machine_rows(machine), *_state_rows(state)]))
    return 0


def _machine_rows(machine: Machine) -> list[tuple[str, str]]:
    cores = f"{machine.cores} cores" + (f", up to {', '.join(map(str, machine.clocks_mhz))} MHz" if machine.clocks_mhz else "")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    rows = {
        "model": machine.model,
        "chip": machine.soc,
        "processor": f"{machine.cpu} ({machine.architecture}), {cores}",
        "memory": size(machine.memory_bytes) if machine.memory_bytes else None,
        "system": machine.system,
        "emulated by": machine.emulator,
        "installed": versions,
    }
    return [(label, text) for label, text in rows.items() if text]


def _state_rows(state: DeviceState) -> list[tuple[str, str]]:
    battery = (
        f"{state.battery_percent:.0f} %, {'discharging' if state.on_battery else 'powered'}" if state.battery_percent is not None else None
    )
    clock = f"{state.clock_mhz:.0f} MHz" if state.clock_mhz else None
    rows = {
        "clock": ", ".join(filter(None, (clock, f"governor {state.governor}" if state.governor else None))),
        "temperature": f"{state.temperature_c:.0f} °C" if state.temperature_c is not None else None,
        "battery": battery,
        "load": f"{state.load:.2f}" if state.load is not None else None,
    }
    told = [(label, text) for label, text in rows.items() if text]
    return told or [("state", "it tells none")]


def _clean(terminal: Terminal, names: tuple[str, ...]) -> int:
    from edgekit.devices import find, opened
    from edgekit.errors import EdgekitError

    wanted = names or tuple(d.address for d in find() if d.ready and not d.emulated and d.address.startswith("adb:"))
    results: list[dict[str, Any]] = []
    for name in wanted:
        try:
            with opened(name) as device:
                results.append({"address": name, "freed_bytes": device.clean() if hasattr(device, "clean") else 0, "error": None})
        except EdgekitError as error:
            results.append({"address": name, "freed_bytes": 0, "error": error})
    _tell_cleaned(terminal, results)
    return max((r["error"].exit_code for r in results if r["error"]), default=0)


def _tell_cleaned(terminal: Terminal, results: list[dict[str, Any]]) -> None:
    if terminal.as_json:
        terminal.emit("edgekit.cleaned/1", {"devices": [{**r, "error": r["error"] and r["error"].message} for r in results]})
        return
    for result in results:
        said = f"not cleaned: {result['error']}" if result["error"] else f"{size(result['freed_bytes'])} removed"
        terminal.show(f"{result['address']}: {said}")
    if not results:
        terminal.show("no Android device is attached; name others, for example: edgekit devices clean ssh:pi@board")
