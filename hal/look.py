"""Looks at devices by reading only: who they say they are, and what they show now.

The drivers are those that charge, on lines that swallow whatever they want to write: nothing is switched,
set or reset, so a look may be taken at any time at which the port is free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from hal.api import Clock, DeviceError, Fault, PilotState
from hal.connector_spec import ConnectorSpec, Settings
from hal.device import Capability, EnergyMeter, EvseController, MeterSnapshot, TokenReader
from hal.modbus.bus import Bus, Place, SerialLine, bus_at, take_place
from hal.modbus.meter import ModbusMeter, open_meter
from hal.patience import answer
from hal.serial.rapi import Answer, Rapi
from hal.serial.settings import SerialSettings

__all__ = ["Look", "Onlooker", "connector_onlookers", "described", "meter_onlooker", "reader_onlooker"]

_OPENS_WITHIN_S = 8.0
_ANSWERS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one device shows; None: it cannot, or does not know."""

    pilot: PilotState | None = None
    offered_a: float | None = None  # 0: paused
    closed: bool | None = None
    faults: tuple[Fault, ...] = ()
    meter: MeterSnapshot | None = None
    card: str | None = None  # the last one since the reader was opened


class Device(Protocol):
    """One device to look at, behind its driver."""

    async def open(self) -> str:
        """Find it; what it says about itself. Raises `DeviceError`."""

    async def look(self) -> Look:
        """Ask it now. Raises `DeviceError`."""

    async def close(self) -> None:
        """Let go of it, as it was found."""


class Onlooker:
    """One device of a configuration: `part` says which ("evse", "meter", "reader"), `where` how to reach it.

    `problem` is why it could not be looked at last, empty if it could.
    """

    def __init__(self, part: str, driver: str, where: str, device: Device) -> None:
        self.part = part
        self.driver = driver
        self.where = where
        self.problem = ""
        self.identity = ""
        self._device = device
        self._is_open = False

    async def find(self) -> bool:
        """Open it if that has not been done; False, with `problem`, if it is not there."""
        if not self._is_open:
            try:
                self.identity = await answer(self._device.open(), _OPENS_WITHIN_S)
            except DeviceError as error:
                self.problem = str(error) or type(error).__name__
                return False
            self._is_open, self.problem = True, ""
        return True

    async def look(self) -> Look | None:
        """What it shows now; None, with `problem`, if it does not answer."""
        if not await self.find():
            return None
        try:
            found = await answer(self._device.look(), _ANSWERS_WITHIN_S)
        except DeviceError as error:
            self.problem = str(error) or type(error).__name__
            return None
        self.problem = ""
        return found

    async def close(self) -> None:
        """Let go of it; idempotent, never raises."""
        self._is_open = False
        with suppress(DeviceError):
            await answer(self._device.close(), _ANSWERS_WITHIN_S)


def connector_onlookers(spec: ConnectorSpec, clock: Clock) -> list[Onlooker]:
    """The devices of one connector, nothing for simulated ones. Raises `ValueError` for wrong settings."""
    driver = spec.evse["driver"]
    found: list[Onlooker] = []
    if driver == "openevse":
        found = _openevse(spec, clock)
    elif driver != "simulated":
        found = [_relay(spec, clock) if driver == "relay" else _modbus_controller(spec, clock)]
    if len(found) < 2 and spec.meter["driver"] not in ("none", "simulated"):
        found.append(meter_onlooker(spec.meter, clock))
    return found


def meter_onlooker(settings: Settings, clock: Clock, part: str = "meter") -> Onlooker:
    """A meter on a bus. Raises `ValueError` for wrong settings."""
    meter = open_meter(settings, clock, part=part)
    return Onlooker(part, settings["driver"], f"{described(meter.place)}, unit {meter.unit}", _Meter(meter))


def reader_onlooker(settings: Settings) -> Onlooker | None:
    """A card reader, None for a simulated one. Raises `ValueError` for wrong settings."""
    from hal.serial.keyboard import FORMATS, KeyboardReader
    from hal.serial.pn532 import Pn532
    from hal.serial.rdm6300 import Rdm6300

    driver = settings["driver"]
    if driver == "simulated":
        return None
    own = SerialSettings("reader", settings)
    port = own.text("port", "where the reader is (ls /dev/serial/by-id /dev/input/by-id)")
    reader: TokenReader
    if driver == "keyboard":
        reader = KeyboardReader(port, own.choice("format", *FORMATS))
    else:
        reader = Pn532(port) if driver == "pn532" else Rdm6300(port)
    return Onlooker("reader", driver, port, _Reader(reader))


def described(place: Place) -> str:
    """A place with how it is spoken there."""
    if isinstance(place, SerialLine):
        return f"{place}, {place.baudrate} baud, 8{place.parity}{place.stopbits}"
    return str(place)


# --- controllers on a bus -------------------------------------------------------------------------------


class _ReadingBus:
    """A bus for a driver that must not write: what it writes goes nowhere and is reported as done."""

    def __init__(self, bus: Bus) -> None:
        self.read = bus.read
        self.read_bits = bus.read_bits
        self.release = bus.release

    async def write(self, unit: int, address: int, values: list[int], *, verify: bool = True) -> None: ...

    async def write_coil(self, unit: int, address: int, value: bool, *, verify: bool = True) -> None: ...


def _modbus_controller(spec: ConnectorSpec, clock: Clock) -> Onlooker:
    from hal.modbus.evse_wb import GAP_S, EvseWb
    from hal.modbus.phoenix import Phoenix
    from hal.polled_drivers import refuse_rest, take_polling

    driver = spec.evse["driver"]
    settings, _ = take_polling(spec)
    settings.pop("boot_current_a", None)
    if driver == "evse-wb" and "port" in settings:
        settings.setdefault("gap_s", GAP_S)
    place, unit = take_place("evse", settings)
    refuse_rest(spec, settings)
    try:
        bus = cast(Bus, _ReadingBus(bus_at(place)))
    except ValueError as error:
        raise ValueError(f"evse: port: {error}") from None
    controller: EvseController = (EvseWb if driver == "evse-wb" else Phoenix)(bus, unit, clock)
    return Onlooker(
        "evse", driver, f"{described(place)}, unit {unit}", _Controller(controller, controller.close)
    )


class _Controller:
    """A controller whose driver cannot write; `close` leaves it as it is."""

    def __init__(self, controller: EvseController, close: Callable[[], Awaitable[None]]) -> None:
        self._controller = controller
        self._close = close

    async def open(self) -> str:
        await self._controller.open()
        info = self._controller.info
        able = sorted(
            str(capability.name).lower().replace("_", " ")
            for capability in Capability
            if capability in info.capabilities
        )
        return ", ".join(
            text
            for text in (
                f"{info.vendor} {info.model}" if info.vendor != info.model else info.model,
                info.firmware_version and f"firmware {info.firmware_version}",
                info.serial_number and f"serial number {info.serial_number}",
                f"{info.min_current_a:g} to {info.max_current_a:g} A",
                able and "with " + ", ".join(able),
            )
            if text
        )

    async def look(self) -> Look:
        status = await self._controller.status()
        return Look(status.pilot, status.offered_a, status.closed, status.faults)

    async def close(self) -> None:
        await self._close()


# --- OpenEVSE -------------------------------------------------------------------------------------------


class _ReadingRapi(Rapi):
    """Asks only; supervision is asked for where it would be set."""

    async def ask(self, body: str) -> Answer:
        if body.startswith("G"):
            return await super().ask(body)
        if body.startswith("SY"):
            return Answer(bool((await super().ask("SY")).words), ())
        return Answer(True, ())


def _openevse(spec: ConnectorSpec, clock: Clock) -> list[Onlooker]:
    from hal.polled_drivers import take_polling
    from hal.serial.openevse import OpenEvse
    from hal.serial.openevse_meter import OpenEvseMeter

    settings, _ = take_polling(spec)
    own = SerialSettings("evse", {"driver": "openevse", **settings})
    port = own.text("port", "the serial port (ls /dev/serial/by-id)")
    timeout_s = own.number("timeout_s", 0.4, 0.05, 0.5)
    own.whole("supervision_s", 30, 5, 65)
    own.finish()
    rapi = _ReadingRapi(port, timeout_s=timeout_s)
    controller = OpenEvse(rapi, clock)

    async def close() -> None:
        rapi.close()  # not by the driver, which waits for a contactor that nobody told to open

    evse = Onlooker("evse", "openevse", port, _Controller(controller, close))
    if spec.meter["driver"] != "controller":
        return [evse]
    meter = _Meter(OpenEvseMeter(rapi, controller, clock))
    return [evse, Onlooker("meter", "controller", port, meter)]


# --- meters, readers, contacts --------------------------------------------------------------------------


class _Meter:
    def __init__(self, meter: EnergyMeter) -> None:
        self._meter = meter

    async def open(self) -> str:
        await self._meter.open()
        if not isinstance(self._meter, ModbusMeter):
            return "the controller's own"
        number = self._meter.identification
        title = self._meter.registers.title
        return title if number is None else f"{title}, identification {number}"

    async def look(self) -> Look:
        snapshot = await self._meter.read()
        return Look(faults=snapshot.faults, meter=snapshot)

    async def close(self) -> None:
        await self._meter.close()


class _Reader:
    """A card reader; its cards are noted as they come."""

    def __init__(self, reader: TokenReader) -> None:
        self._reader = reader
        self._listening: asyncio.Task[None] | None = None
        self._card: str | None = None

    async def open(self) -> str:
        await self._reader.open()
        self._listening = asyncio.get_running_loop().create_task(self._listen())
        return "listening for cards"

    async def look(self) -> Look:
        if self._listening is not None and self._listening.done():
            self._listening.result()
        return Look(card=self._card)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))
        await self._reader.close()

    async def _listen(self) -> None:
        async for uid in self._reader.tokens():
            self._card = uid


def _relay(spec: ConnectorSpec, clock: Clock) -> Onlooker:
    from hal.gpio.connector import relay_of

    relay_of(spec, clock)  # it knows its settings best; the pin that drives the coil is not touched
    return Onlooker("evse", "relay", f"GPIO {spec.evse['pin']}", _Contacts(spec.evse))


class _Contacts:
    """The inputs beside a relay; what drives its coil is left alone, so what is offered is not known."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._taken: dict[str, Any] = {}

    async def open(self) -> str:
        from hal.gpio.pins import take_contact

        pins = {key: int(self._settings[key]) for key in _CONTACTS if self._settings.get(key) is not None}
        for key, pin in pins.items():
            self._taken[key] = take_contact(pin)
        named = ", ".join(f"{key.removesuffix('_pin')} at GPIO {pin}" for key, pin in pins.items())
        return named or "no contacts to look at; the coil's pin is not touched"

    async def look(self) -> Look:
        shut = {key: bool(contact.value) for key, contact in self._taken.items()}
        closed = shut.get("feedback_pin")
        if closed is not None and str(self._settings.get("feedback", "nc")) == "nc":
            closed = not closed
        absent = shut.get("vehicle_pin") is False
        pilot = PilotState.A if absent else PilotState.C if shut.get("request_pin") else PilotState.B
        known = "vehicle_pin" in shut or "request_pin" in shut
        return Look(pilot if known else None, closed=closed)

    async def close(self) -> None:
        for contact in self._taken.values():
            contact.close()
        self._taken.clear()


_CONTACTS = ("feedback_pin", "vehicle_pin", "request_pin", "rcd_pin")
