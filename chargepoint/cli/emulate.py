"""`chargepoint emulate`: devices that are not there, on a pseudo terminal or TCP, played by commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import click

from chargepoint.cli.words import UNREAD, Printer
from chargepoint.control import answer, read_command, refusal
from chargepoint.csms.lines import MAX_LINE_BYTES, TOO_LONG, ends_by_itself, lines
from hal.clock import WallClock
from hal.emulators.stand import CONTROLLERS, Device, Refused, Stand, parse_device

__all__ = ["emulate"]

_STDIN = 0
_USES = {
    "plug_in": "plug_in [VEHICLE [SOC]]",
    "plug_out": "plug_out",
    "card": "card UID",
    "fault": "fault NAME [on|off]",
    "status": "status",
    "quit": "quit",
}


class _Devices(click.ParamType[Device]):
    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Device:
        try:
            return value if isinstance(value, Device) else parse_device(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Place(click.ParamType[int]):
    """pty is -1, tcp any free port."""

    name = "pty|tcp[:N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text == "pty":
            return -1
        found = re.fullmatch(r"tcp(?::([0-9]{1,5}))?", text)
        if found is None or int(found[1] or 0) > 65535:
            self.fail(f"{text!r}: write pty, tcp (any free port) or tcp:5020", param, ctx)
        return int(found[1] or 0)


@click.command()
@click.argument("devices", nargs=-1, required=True, type=_Devices(), metavar="DEVICE[:UNIT]...")
@click.option(
    "--port", "place", type=_Place(), default="pty", metavar="pty|tcp[:N]", help="Where to be [pty]."
)
@click.option(
    "--baud",
    type=click.IntRange(300, 1_000_000),
    metavar="N",
    help="Let bytes take as long as on such a line.",
)
@click.option(
    "--energy", "energy_wh", type=click.FloatRange(0), default=0, metavar="WH", help="Where registers begin."
)
def emulate(devices: tuple[Device, ...], place: int, baud: int | None, energy_wh: float) -> int:
    """Be devices around one outlet with a simulated vehicle, until Ctrl-C.

    DEVICE is evse-wb, phoenix, openevse, rdm6300, pn532 or any meter of `chargepoint hardware drivers`. All
    Modbus devices share one line and one vehicle. Printed is what to put into the configuration of a station.

    Commands are read from standard input, as words or as JSON Lines:

    \b
      plug_in compact 20          {"cmd": "plug_in", "vehicle": "compact", "soc_percent": 20}
      plug_out                    {"cmd": "plug_out"}
      card 0F00A1B2C3             {"cmd": "card", "uid": "0F00A1B2C3"}
      fault drop_reply on         {"cmd": "fault", "name": "drop_reply", "on": true}
      status                      {"cmd": "status"}
      quit                        {"cmd": "quit"}

    \b
    Examples:
      chargepoint emulate evse-wb:1 sdm630:2
      chargepoint emulate openevse rdm6300
      chargepoint emulate sdm120 --port tcp:5020
      chargepoint emulate phoenix:1 em340:2 --baud 9600
    """
    if place >= 0 and (others := [device.name for device in devices if not device.speaks_modbus]):
        raise click.UsageError(f"--port tcp is Modbus TCP, which {others[0]} does not speak")
    if place >= 0 and baud is not None:
        raise click.UsageError("--baud is for pseudo terminals")
    return asyncio.run(_play(devices, place, baud, energy_wh))


async def _play(devices: tuple[Device, ...], place: int, baud: int | None, energy_wh: float) -> int:
    ended = asyncio.Event()
    printer = Printer(ended.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # A job in the background of a terminal would be stopped when it reads from it; ignored, the read fails.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        stand = Stand(devices, WallClock(), energy_wh=energy_wh)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        if place < 0:
            await stand.open_serial(baud)
        else:
            await stand.open_tcp(place)
        for line in _configuration(stand):
            printer(line)
        sys.stdout.flush()
        reading = asyncio.create_task(_obey(stand, lines(_STDIN), printer, ended))
        ending = asyncio.create_task(ended.wait())
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set() and not _is_over():
            await ended.wait()
        for task in (reading, ending):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    except OSError as error:
        raise click.ClickException(
            f"cannot be there: {error.strerror or error}; choose another --port"
        ) from None
    finally:
        await stand.close()
    return UNREAD if printer.broken else 0


def _is_over() -> bool:
    """The end of its commands is the end of it, if they came from a pipe or file."""
    return ends_by_itself(_STDIN)


async def _obey(stand: Stand, commands: AsyncIterator[bytes], printer: Printer, ended: asyncio.Event) -> None:
    async for line in commands:
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            printer(f"no: {TOO_LONG}")
        elif line.lstrip().startswith(b"{"):
            printer(json.dumps(await _json(stand, line, ended)))
        else:
            printer(await _words(stand, line.decode(errors="replace").split(), ended))
        sys.stdout.flush()
        if ended.is_set():
            return


async def _json(stand: Stand, line: bytes, ended: asyncio.Event) -> dict[str, Any]:
    try:
        command = read_command(line)
    except Exception as error:
        return refusal(error)
    fields = dict(command)

    async def perform(_: dict[str, Any]) -> dict[str, Any]:
        name = fields.pop("cmd", None)
        fields.pop("id", None)
        return await _perform(stand, str(name), fields, ended)

    return await answer(perform, command)


async def _words(stand: Stand, words: Sequence[str], ended: asyncio.Event) -> str:
    name, arguments = words[0], list(words[1:])
    try:
        fields = _fields(name, arguments)
        reply = await _perform(stand, name, fields, ended)
    except Refused as error:
        return f"no: {error}"
    return "  ".join(f"{key} {value}" for key, value in reply.items()) or "done"


def _fields(name: str, words: list[str]) -> dict[str, Any]:
    """The fields that words in this order mean."""
    use = _USES.get(name)
    if use is None:
        raise Refused(f"there is no command {name!r}; there are {'; '.join(_USES.values())}")
    keys = {"plug_in": ("vehicle", "soc_percent"), "card": ("uid",), "fault": ("name", "on")}.get(name, ())
    if len(words) > len(keys):
        raise Refused(f"too many words; write {use}")
    fields: dict[str, Any] = dict(zip(keys, words, strict=False))
    if "on" in fields:
        if fields["on"] not in ("on", "off"):
            raise Refused(f"{fields['on']!r}: write on or off")
        fields["on"] = fields["on"] == "on"
    if "soc_percent" in fields:
        try:
            fields["soc_percent"] = float(fields["soc_percent"])
        except ValueError:
            raise Refused(f"{fields['soc_percent']!r} is no percentage; write {use}") from None
    return fields


async def _perform(stand: Stand, name: str, fields: dict[str, Any], ended: asyncio.Event) -> dict[str, Any]:
    """Carry out one command. Raises `Refused`."""
    kinds: dict[str, dict[str, type | tuple[type, ...]]] = {
        "plug_in": {"vehicle": str, "soc_percent": (int, float)},
        "plug_out": {},
        "card": {"uid": str},
        "fault": {"name": str, "on": bool},
        "status": {},
        "quit": {},
    }
    if name not in kinds:
        raise Refused(f"there is no command {name!r}; there are {', '.join(kinds)}")
    for key, value in fields.items():
        if key not in kinds[name] or not isinstance(value, kinds[name][key]):
            raise Refused(f"{key}: {value!r} does not belong here; {_USES[name]}")
    needed = {"card": "uid", "fault": "name"}.get(name)
    if needed is not None and needed not in fields:
        raise Refused(f"{needed} is missing; write {_USES[name]}")
    if name == "plug_in":
        stand.plug_in(**fields)
    elif name == "plug_out":
        stand.plug_out()
    elif name == "card":
        stand.card(**fields)
    elif name == "fault":
        await stand.fault(**fields)
    elif name == "status":
        return dict(stand.status())
    else:
        ended.set()
    return {}


def _configuration(stand: Stand) -> list[str]:
    """What a station's configuration says to use these devices."""
    at = {device: _flow({"driver": device.name, **stand.settings[device]}) for device in stand.devices}
    controllers = [device for device in stand.devices if device.name in CONTROLLERS]
    meters = [device for device in stand.devices if device.speaks_modbus and device not in controllers]
    readers = [device for device in stand.devices if device not in (*controllers, *meters)]
    text = ["# Put this into the configuration of a station; Ctrl-C takes the devices away."]
    if controllers or meters:
        evse = at[controllers[0]] if controllers else "{driver: simulated}"
        first = [at[device] for device in meters[:1]]
        own = ["{driver: controller}"] if controllers and controllers[0].name == "openevse" else []
        meter = first or own
        text += ["connectors:", f"  - evse: {evse}", *(f"    meter: {line}" for line in meter)]
        if not meter:
            text += [f"    # It needs a meter too: chargepoint emulate {controllers[0].name}:1 sdm630:2"]
        text += [f"    # meter: {at[device]}" for device in meters[1:]]
    if readers:
        text += ["readers:", *(f"  - {at[device]}" for device in readers)]
    return [*text, "# Commands: " + "; ".join(_USES.values())]


def _flow(settings: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in settings.items()) + "}"
