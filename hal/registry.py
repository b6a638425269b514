"""The drivers by name: opens a connector or a card reader from its settings.

A driver's modules are imported when it is opened, so no installation needs the libraries of hardware it does
not have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hal.api import Clock, Evse, TagReader
from hal.connector_spec import ConnectorSpec, Settings
from hal.serial.settings import SerialSettings
from hal.whitelist import Whitelist

if TYPE_CHECKING:
    from hal.device import TokenReader
    from hal.site import SiteMeter, SiteSpec


def driver_names() -> tuple[str, ...]:
    """The drivers of connectors, in alphabetical order."""
    return tuple(sorted(_EVSES))


def real_driver_names() -> tuple[str, ...]:
    """Those of them that come with the package and drive hardware."""
    return _REAL


def meter_names() -> tuple[str, ...]:
    """The drivers of connectors' meters, in alphabetical order."""
    from hal.modbus.meter import meter_names

    return tuple(sorted({*_METERS_OF_SIMULATED, "controller", *meter_names()}))


def open_evse(spec: ConnectorSpec, clock: Clock) -> Evse:
    """The connector that `spec` describes. Raises `ValueError` for unknown drivers or settings."""
    return prepare_evse(spec, clock)()


def prepare_evse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    """What opens the connector: all settings are looked at, no device is. Raises `ValueError`."""
    return _EVSES[_driver("evse", spec.evse, _EVSES)](spec, clock)


def reader_names() -> tuple[str, ...]:
    """The drivers of card readers, in alphabetical order."""
    return tuple(sorted(_READERS))


def open_reader(settings: Settings, clock: Clock) -> TagReader:
    """The card reader that `settings` describe. Raises `ValueError` for unknown drivers or settings."""
    return prepare_reader(settings)()


def prepare_reader(settings: Settings) -> Callable[[], TagReader]:
    """What opens the card reader: all settings are looked at, no device is. Raises `ValueError`."""
    return _READERS[_driver("reader", settings, _READERS)](settings)


def site_meter_names() -> tuple[str, ...]:
    """The drivers of a site's meter, in alphabetical order."""
    from hal.modbus.meter import meter_names

    return tuple(sorted({*_SITE_METERS, *meter_names()}))


def open_site_meter(spec: SiteSpec, clock: Clock) -> SiteMeter:
    """The meter of a site. Raises `ValueError` for unknown drivers or settings."""
    return _SITE_METERS.get(_driver("meter", spec.meter, site_meter_names()), _polled_site_meter)(spec, clock)


def _simulated_site_meter(spec: SiteSpec, clock: Clock) -> SiteMeter:
    from hal.site import SimulatedSiteMeter

    load = dict(spec.meter)
    base_load_a = load.pop("base_load_a", 0.0)
    _refuse_others("meter", load)
    try:
        return SimulatedSiteMeter(spec, clock, base_load_a)
    except ValueError as error:
        raise ValueError(f"meter: base_load_a: {error}") from None


def _fed_site_meter(spec: SiteSpec, clock: Clock) -> SiteMeter:
    from hal.site import FedSiteMeter

    _refuse_others("meter", spec.meter)
    return FedSiteMeter(clock, spec.phases)


def _polled_site_meter(spec: SiteSpec, clock: Clock) -> SiteMeter:
    from hal.modbus.meter import open_meter
    from hal.site import PolledSiteMeter

    return PolledSiteMeter(open_meter(spec.meter, clock), clock, spec.phases, spec.poll_s)


def _simulated_evse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.simulated.evse import SimulatedEvse

    _refuse_others("evse", spec.evse)
    if spec.meter.get("driver") not in _METERS_OF_SIMULATED:
        return _metered_evse(spec, clock)
    _refuse_others("meter", spec.meter)
    return lambda: SimulatedEvse(spec.info, clock, energy_wh=spec.energy_wh)


def _metered_evse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.metered import MeteredEvse
    from hal.modbus.meter import open_meter

    meter = open_meter(spec.meter, clock, known=spec.known)
    return lambda: MeteredEvse(spec.info, clock, meter)


def _evse_wb(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.polled_drivers import prepare_evse_wb

    return prepare_evse_wb(spec, clock)


def _phoenix(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.polled_drivers import prepare_phoenix

    return prepare_phoenix(spec, clock)


def _openevse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.polled_drivers import prepare_openevse

    return prepare_openevse(spec, clock)


def _relay(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    from hal.gpio.connector import prepare_relay

    return prepare_relay(spec, clock)


def _simulated_reader(settings: Settings) -> Callable[[], TagReader]:
    from hal.simulated.reader import SimulatedReader

    own = SerialSettings("reader", settings)
    whitelist, others = _whitelist(own)
    own.finish()
    return lambda: SimulatedReader(whitelist, others=others)


def _rdm6300(settings: Settings) -> Callable[[], TagReader]:
    from hal.serial.rdm6300 import Rdm6300

    own = SerialSettings("reader", settings)
    return _attended(Rdm6300(own.text("port", _SERIAL_PORT)), own)


def _pn532(settings: Settings) -> Callable[[], TagReader]:
    from hal.serial.pn532 import Pn532

    own = SerialSettings("reader", settings)
    port = own.text("port", _SERIAL_PORT)
    return _attended(Pn532(port, random_ids=own.choice("random_ids", "ignore", "accept") == "accept"), own)


def _keyboard(settings: Settings) -> Callable[[], TagReader]:
    from hal.serial.keyboard import FORMATS, KeyboardReader

    own = SerialSettings("reader", settings)
    port = own.text("port", "the keyboard (ls /dev/input/by-id)")
    return _attended(KeyboardReader(port, own.choice("format", *FORMATS)), own)


def _attended(reader: TokenReader, own: SerialSettings) -> Callable[[], TagReader]:
    from hal.reading import AttendedReader

    whitelist, others = _whitelist(own)
    own.finish()
    return lambda: AttendedReader(reader, whitelist=whitelist, others=others)


def _whitelist(own: SerialSettings) -> tuple[Whitelist | None, bool]:
    """The list of a reader, and whether cards that are not on it are handed on."""
    path = own.optional_text("whitelist", "a file with one identifier per line is wanted")
    if path is None:
        return None, True
    others = own.choice("others", "ask", "ignore") == "ask"
    try:
        return Whitelist(Path(path)), others
    except ValueError as error:
        raise ValueError(f"reader: {error}") from None


_EVSES: Mapping[str, Callable[[ConnectorSpec, Clock], Callable[[], Evse]]] = {
    "evse-wb": _evse_wb,
    "openevse": _openevse,
    "phoenix": _phoenix,
    "relay": _relay,
    "simulated": _simulated_evse,
}
_REAL = ("evse-wb", "openevse", "phoenix", "relay")
_READERS: Mapping[str, Callable[[Settings], Callable[[], TagReader]]] = {
    "simulated": _simulated_reader,
    "keyboard": _keyboard,
    "pn532": _pn532,
    "rdm6300": _rdm6300,
}
_SERIAL_PORT = "the serial port (ls /dev/serial/by-id)"
_SITE_METERS: Mapping[str, Callable[[SiteSpec, Clock], SiteMeter]] = {
    "simulated": _simulated_site_meter,
    "fed": _fed_site_meter,
}
_METERS_OF_SIMULATED = ("simulated",)


def _driver(part: str, settings: Settings, known: Collection[str]) -> str:
    driver = settings.get("driver")
    if isinstance(driver, str) and driver in known:
        return driver
    found = f"no {part} driver {driver!r} here" if "driver" in settings else "missing"
    raise ValueError(f"{part}: driver: {found}; there are {', '.join(sorted(known))}")


def _refuse_others(part: str, settings: Settings) -> None:
    """The simulated parts have no settings besides the driver's name."""
    for key in settings:
        if key != "driver":
            raise ValueError(f"{part}: {key}: unknown; driver {settings['driver']!r} has no such setting")
