"""What drivers there are, for a person: what each speaks to, what it needs and how it is configured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hal import registry
from hal.modbus.meter import OWN_MAP
from hal.modbus.register_map import load_map, map_names

__all__ = ["PARTS", "DriverNote", "notes"]

Part = Literal["evse", "meter", "reader", "site"]

PARTS: tuple[Part, ...] = ("evse", "meter", "reader", "site")
"""The parts of a station a driver can be for, in the order of the configuration."""

_BUS = "RS-485 or Modbus TCP"
_PORT = "/dev/serial/by-id/..."
_PI = "pip install 'chargepoint[pi]', apt install python3-lgpio"


@dataclass(frozen=True, slots=True)
class DriverNote:
    """One driver of one part; `needs` is empty where the installed program is enough."""

    part: Part
    name: str
    about: str
    connection: str
    needs: str
    example: str


_WRITTEN = (
    DriverNote(
        "evse", "simulated", "a connector in software, with a vehicle", "none", "", "{driver: simulated}"
    ),
    DriverNote(
        "evse",
        "evse-wb",
        "EVSE-WB, EVSE DIN and SimpleEVSE controllers",
        _BUS,
        "",
        f"{{driver: evse-wb, port: {_PORT}, unit: 1}}",
    ),
    DriverNote(
        "evse",
        "phoenix",
        "Phoenix Contact EV Charge Control Basic",
        _BUS,
        "",
        f"{{driver: phoenix, port: {_PORT}, unit: 1}}",
    ),
    DriverNote(
        "evse",
        "openevse",
        "OpenEVSE controller (RAPI)",
        "serial, 115200 baud",
        "",
        f"{{driver: openevse, port: {_PORT}}}",
    ),
    DriverNote(
        "evse",
        "relay",
        "a contactor at a GPIO pin, beside hardware that makes the pilot",
        "GPIO",
        _PI,
        "{driver: relay, pin: 17, feedback_pin: 27}",
    ),
    DriverNote(
        "meter", "simulated", "a meter in software, measuring nothing", "none", "", "{driver: simulated}"
    ),
    DriverNote(
        "meter", "controller", "the meter inside an OpenEVSE", "its controller's", "", "{driver: controller}"
    ),
    DriverNote(
        "meter",
        OWN_MAP,
        "any meter, by a register map of your own",
        _BUS,
        "",
        f"{{driver: modbus, map: ./my.yaml, port: {_PORT}, unit: 2}}",
    ),
    DriverNote("reader", "simulated", "cards shown by commands", "none", "", "{driver: simulated}"),
    DriverNote(
        "reader",
        "rdm6300",
        "125 kHz cards (EM4100)",
        "serial, 9600 baud",
        "",
        f"{{driver: rdm6300, port: {_PORT}}}",
    ),
    DriverNote(
        "reader",
        "pn532",
        "13.56 MHz cards (ISO 14443 A)",
        "serial, 115200 baud",
        "",
        f"{{driver: pn532, port: {_PORT}}}",
    ),
    DriverNote(
        "reader",
        "keyboard",
        "USB readers that type the card's number",
        "USB",
        "apt install python3-evdev",
        "{driver: keyboard, port: /dev/input/by-id/...}",
    ),
    DriverNote(
        "site", "simulated", "a house with a load", "none", "", "{driver: simulated, base_load_a: 10}"
    ),
    DriverNote("site", "fed", "currents that a program tells over control", "none", "", "{driver: fed}"),
)


def notes() -> tuple[DriverNote, ...]:
    """Every driver that can be named in a configuration, part by part, alphabetically within one."""
    known = {(note.part, note.name): note for note in _WRITTEN}
    known |= {("meter", note.name): note for note in _maps("meter")}
    known |= {("site", note.name): note for note in _maps("site")}
    known["site", OWN_MAP] = _as_site(known["meter", OWN_MAP])
    return tuple(sorted(known.values(), key=lambda note: (PARTS.index(note.part), note.name)))


def names() -> dict[Part, tuple[str, ...]]:
    """What the registry knows, part by part."""
    return {
        "evse": registry.driver_names(),
        "meter": registry.meter_names(),
        "reader": registry.reader_names(),
        "site": registry.site_meter_names(),
    }


def _maps(part: Part) -> list[DriverNote]:
    return [
        DriverNote(part, name, load_map(name).title, _BUS, "", f"{{driver: {name}, port: {_PORT}, unit: 2}}")
        for name in map_names()
    ]


def _as_site(note: DriverNote) -> DriverNote:
    return DriverNote("site", note.name, note.about, note.connection, note.needs, note.example)
