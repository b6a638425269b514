"""A stand of emulated devices around one vehicle: a controller, meters and card readers, and what breaks.

All Modbus devices share one line, or one TCP port; every other device has a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hal.api import Clock, DeviceError, EvseInfo
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter, MeterFault
from hal.emulators.modbus import KINDS, EmulatedUnit, ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.emulators.pn532 import Pn532Emulator, Pn532Faults
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator, RapiFaults
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.modbus.register_map import load_map, map_names
from hal.simulated.vehicle import vehicle_from

__all__ = ["Device", "Refused", "Stand", "device_names", "parse_device"]

CONTROLLERS = ("evse-wb", "openevse", "phoenix")
READERS = ("pn532", "rdm6300")

_OUTLET_FAULTS = ("failed", "ventilated", "stubborn", "greedy", "eager", "welded")
_AT_THE_CONTROLLER = ("reboot", "button")  # it loses what is not stored; somebody sets it to 6 A
_FOR_EVER = 10**9  # of faults that are counted down
_WITHOUT_CONTROLLER_A = 32.0
_CARD_HELD_S = 1.0


class Refused(Exception):
    """A command that makes no sense here; the text says why."""

    code = "bad_argument"


@dataclass(frozen=True, slots=True)
class Device:
    """One device to emulate; `unit` matters on Modbus."""

    name: str
    unit: int

    @property
    def speaks_modbus(self) -> bool:
        """It shares the line of the others that do."""
        return self.name not in READERS and self.name != "openevse"


def device_names() -> tuple[str, ...]:
    """Everything that can be emulated, in alphabetical order."""
    return tuple(sorted((*CONTROLLERS, *READERS, *map_names())))


def parse_device(text: str) -> Device:
    """ "sdm630" or, with its unit, "sdm630:2". Raises `ValueError`."""
    name, colon, unit = text.partition(":")
    if name not in device_names():
        raise ValueError(f"no device {name!r} to emulate; there are {', '.join(device_names())}")
    if colon and (not unit.isdigit() or not 1 <= int(unit) <= 247):
        raise ValueError(f"{text}: {unit!r}: a unit from 1 to 247 is wanted")
    device = Device(name, int(unit or 1))
    if colon and not device.speaks_modbus:
        raise ValueError(f"{text}: only Modbus devices have units")
    return device


class Stand:
    """The devices, inside a running loop, from `open_serial` or `open_tcp` to `close`.

    Raises `ValueError` for devices that do not go together.
    """

    def __init__(self, devices: Sequence[Device], clock: Clock, *, energy_wh: float = 0.0) -> None:
        _check(devices)
        self.devices = tuple(devices)
        self.outlet = Outlet(EvseInfo(phases=_phases(devices)), clock, energy_wh=energy_wh)
        self.settings: dict[Device, dict[str, Any]] = {}  # how to reach each, as a configuration says it
        self._clock = clock
        self._lines: list[PtyBus] = []
        self._meters: list[EmulatedMeter] = []
        self._controller: EvseWbEmulator | PhoenixEmulator | RapiEmulator | None = None
        self._present: list[Callable[[str], None]] = []
        self._serial: list[RapiFaults | Pn532Faults] = []
        units: list[EmulatedUnit] = []
        for device in devices:
            if device.speaks_modbus:
                units.append(self._unit(device))
        self._modbus = ModbusEmulator(units)
        if not any(device.name in CONTROLLERS for device in devices):
            self.outlet.signal(_WITHOUT_CONTROLLER_A)

    async def open_serial(self, baud: int | None = None) -> None:
        """Make pseudo terminals; with `baud` bytes take their time."""
        shared = [device for device in self.devices if device.speaks_modbus]
        if shared:
            line = self._line(baud)
            await self._modbus.serve_serial(line)
            for device in shared:
                self.settings[device] = {"port": line.names[0], "unit": device.unit}
                if device.name not in CONTROLLERS and load_map(device.name).serial.get("parity", "N") != "N":
                    self.settings[device]["parity"] = "N"  # pseudo terminals know no other
        for device in self.devices:
            if not device.speaks_modbus:
                line = self._line(baud)
                self._attach(device, line)
                self.settings[device] = {"port": line.names[0]}

    async def open_tcp(self, port: int = 0) -> None:
        """Listen on the loopback interface, at a free port for 0."""
        host, port = await self._modbus.serve_tcp("127.0.0.1", port)
        for device in self.devices:
            self.settings[device] = {"host": host, "tcp_port": port, "unit": device.unit}

    async def close(self) -> None:
        """Take everything away; idempotent."""
        if isinstance(self._controller, RapiEmulator):
            self._controller.close()
        await self._modbus.close()
        for line in self._lines:
            line.close()
        self._lines.clear()

    # --- what a person does to it -------------------------------------------------------------------

    def plug_in(self, vehicle: str = "compact", soc_percent: float | None = None) -> None:
        """A vehicle arrives. Raises `Refused`."""
        try:
            self.outlet.evse.plug_in(vehicle_from({"kind": vehicle}), soc_percent)
        except (DeviceError, ValueError) as error:
            raise Refused(str(error)) from None

    def plug_out(self) -> None:
        """It leaves. Raises `Refused`."""
        try:
            self.outlet.evse.plug_out()
        except DeviceError as error:
            raise Refused(str(error)) from None

    def card(self, uid: str) -> None:
        """A card is held before every reader, and taken away. Raises `Refused`."""
        if not self._present:
            raise Refused(f"no card reader is emulated; there are {', '.join(READERS)}")
        for present in self._present:
            present(uid.upper())

    def faults(self) -> tuple[str, ...]:
        """What can break on these devices."""
        names = list(_OUTLET_FAULTS)
        if any(device.speaks_modbus for device in self.devices):
            names += ["vanish", *KINDS]
        if self._meters:
            names += [fault.value for fault in MeterFault]
        names += self._serial_faults()
        if self._controller is not None:
            names += ["deaf", *_AT_THE_CONTROLLER]
        return tuple(dict.fromkeys(names))

    async def fault(self, name: str, on: bool = True) -> None:
        """Break something, or mend it. Raises `Refused`."""
        if name not in self.faults():
            raise Refused(f"no fault {name!r} here; there are {', '.join(self.faults())}")
        if name == "vanish":
            await (self._modbus.vanish() if on else self._modbus.come_back())
        elif name in _OUTLET_FAULTS:
            setattr(self.outlet, name, on)
        elif name == "deaf" and isinstance(self._controller, EvseWbEmulator | PhoenixEmulator):
            self._controller.deaf = on
        elif name in _AT_THE_CONTROLLER and self._controller is not None:
            if on:
                self._controller.reboot() if name == "reboot" else self._controller.turn(6.0)
        elif name in self._serial_faults():
            for faults in self._serial:
                if hasattr(faults, name):
                    setattr(faults, name, on if isinstance(getattr(faults, name), bool) else _FOR_EVER * on)
        elif name in KINDS:
            self._modbus.faults.set(name, float(on))
        else:
            for meter in self._meters:
                (meter.inject if on else meter.mend)(MeterFault(name))

    def status(self) -> Mapping[str, Any]:
        """How things are at the outlet."""
        outlet, reading = self.outlet, self.outlet.reading()
        vehicle = outlet.evse.vehicle
        return {
            "vehicle": None if vehicle is None else vehicle.name,
            "pilot": outlet.pilot.value,
            "offered_a": outlet.offered_a,
            "closed": outlet.closed,
            "power_w": round(reading.power_w, 1),
            "energy_wh": round(reading.energy_wh, 3),
            "requests": self._modbus.requests,
        }

    def _serial_faults(self) -> list[str]:
        """The switches and counters of devices that do not speak Modbus."""
        own = [field for faults in self._serial for field in fields(faults)]
        return [field.name for field in own if field.type in ("bool", "int")]

    def _unit(self, device: Device) -> EmulatedUnit:
        if device.name in CONTROLLERS:
            kind = EvseWbEmulator if device.name == "evse-wb" else PhoenixEmulator
            self._controller = controller = kind(self.outlet, device.unit)
            return controller
        meter = EmulatedMeter(load_map(device.name), self.outlet.reading, device.unit)
        self._meters.append(meter)
        return meter

    def _attach(self, device: Device, line: PtyBus) -> None:
        if device.name == "openevse":
            self._controller = openevse = RapiEmulator(line, self.outlet, self._clock)
            self._serial.append(openevse.faults)
        elif device.name == "rdm6300":
            rdm6300 = Rdm6300Emulator(line)
            self._present.append(lambda uid: rdm6300.present(_hex(uid, 10)))
        else:
            pn532 = Pn532Emulator(line)
            self._serial.append(pn532.faults)
            self._present.append(lambda uid: self._hold(pn532, _hex(uid, 8, 14, 20)))

    def _hold(self, reader: Pn532Emulator, uid: str) -> None:
        reader.card = uid

        def take_away() -> None:
            reader.card = None if reader.card == uid else reader.card

        self._clock.call_at(self._clock.now() + _CARD_HELD_S, take_away)

    def _line(self, baud: int | None) -> PtyBus:
        line = PtyBus(1, baud=baud)
        self._lines.append(line)
        return line


def _phases(devices: Sequence[Device]) -> int:
    """One where a meter of the stand sees only one, else three."""
    maps = [load_map(device.name) for device in devices if device.name in map_names()]
    alone = [one for one in maps if one.point("voltage_l1") and not one.point("voltage_l2")]
    return 1 if alone else 3


def _check(devices: Sequence[Device]) -> None:
    units = [device.unit for device in devices if device.speaks_modbus]
    if len(set(units)) < len(units):
        raise ValueError("two devices on one line need units of their own, such as evse-wb:1 sdm630:2")
    if sum(device.name in CONTROLLERS for device in devices) > 1:
        raise ValueError("there is one vehicle, so there is one controller at most; run a second emulate")
    names = [device.name for device in devices if not device.speaks_modbus]
    if len(set(names)) < len(names):
        raise ValueError(f"{names[0]} is there twice; one is enough")


def _hex(uid: str, *lengths: int) -> str:
    if len(uid) not in lengths or set(uid) - set("0123456789ABCDEF"):
        digits = " or ".join(str(length) for length in lengths)
        raise Refused(f"card {uid}: {digits} hexadecimal digits are wanted")
    return uid
