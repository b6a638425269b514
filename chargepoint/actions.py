"""The verbs a person or a script has at a station: one list, used by every interface."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from chargepoint.domain.ending import EMERGENCY_STOP
from chargepoint.domain.offer import because, offered_w
from chargepoint.ocpp16.firmware_management.job import presentable
from chargepoint.ocpp16.schema import CSMS_TO_CP
from chargepoint.ocpp16.status import KINDS, error_code
from chargepoint.ocpp16.times import format_time
from chargepoint.rpc.frames import ERROR_CODES
from chargepoint.station import Station
from hal.api import NOTHING, DeviceError, Evse, Fault
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle, vehicle_from
from hal.site import FedSiteMeter, SimulatedSiteMeter

CALLERROR_CODES = frozenset(ERROR_CODES.values())
"""What `override` may answer instead of a result, in the wire's spelling."""

FIRMWARE_STEPS = ("download", "signature", "install")
"""Where `firmware_outcome` can make an update fail."""

NOMINAL_V = 230.0
"""Turns a power fed for the whole site into a current."""

Reply = dict[str, Any]


class ActionError(Exception):
    """A verb that cannot be done; `code` is one of the control protocol's errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of a verb."""

    kind: type | tuple[type, ...]
    required: bool = False
    minimum: float | None = None
    length: int | None = None


NUMBER = (int, float)
CONNECTOR = Field(int, required=True)

VERBS: dict[str, dict[str, Field]] = {
    "plug_in": {"connector": CONNECTOR, "ev": Field((str, dict))},
    "plug_out": {"connector": CONNECTOR},
    "ev": {
        "connector": CONNECTOR,
        "draws": Field(bool),
        "max_current_a": Field(NUMBER, minimum=0),
        "phases": Field(int, minimum=1),
        "max_power_w": Field(NUMBER, minimum=0),
        "soc_percent": Field(NUMBER, minimum=0),
        "battery_wh": Field(NUMBER, minimum=0),
    },
    "swipe": {"id_tag": Field(str, required=True, length=20), "connector": Field(int)},
    "fault": {
        "connector": CONNECTOR,
        "error_code": Field(str, required=True),
        "vendor_error_code": Field(str, length=50),
        "info": Field(str, length=50),
        "blocking": Field(bool),
    },
    "clear_fault": {"connector": CONNECTOR},
    "emergency_stop": {"connector": Field(int), "pressed": Field(bool, required=True)},
    "power": {"on": Field(bool, required=True)},
    "reboot": {},
    "security_event": {"type": Field(str, required=True, length=50), "tech_info": Field(str, length=255)},
    "lock": {"connector": CONNECTOR, "broken": Field(bool, required=True)},
    "meter": {
        "connector": CONNECTOR,
        "energy_wh": Field(NUMBER, minimum=0),
        "voltage_v": Field(NUMBER, minimum=0),
    },
    "site": {"current_a": Field((list, *NUMBER)), "power_w": Field(NUMBER), "silent": Field(bool)},
    "network": {"online": Field(bool, required=True)},
    "data_transfer": {
        "vendor_id": Field(str, required=True, length=255),
        "message_id": Field(str, length=50),
        "data": Field(str),
    },
    "availability": {"connector": CONNECTOR, "operative": Field(bool, required=True)},
    "config": {"key": Field(str, required=True), "value": Field((str, int, bool), required=True)},
    "advance": {"seconds": Field(NUMBER, required=True, minimum=0)},
    "status": {},
    "shutdown": {},
    "override": {
        "action": Field(str, required=True),
        "status": Field((str, type(None))),
        "error": Field((str, type(None))),
    },
    "firmware_outcome": {"fail": Field((str, type(None))), "version": Field((str, type(None)), length=50)},
}
"""Verb -> its arguments (docs/control.md)."""


def verb_of(command: Mapping[str, Any]) -> str:
    """What is to be done. Raises `ActionError`."""
    name = command.get("cmd")
    if not isinstance(name, str) or name not in VERBS:
        raise ActionError("unknown_command", f"there is no command {name!r}; there are {', '.join(VERBS)}")
    return name


class Actions:
    """What can be done to one station.

    `shutdown` is only checked here: whoever owns the process ends it after the reply.
    """

    def __init__(self, station: Station, default_vehicle: Vehicle) -> None:
        self._station = station
        self._vehicle = default_vehicle

    def perform(self, command: Mapping[str, Any]) -> Reply | Awaitable[Reply]:
        """Do one command; the reply's fields besides `ok`. Raises `ActionError`."""
        name = verb_of(command)
        if "cp" in command and command["cp"] != self._station.identity:
            raise ActionError("unknown_cp", f"there is no station {command['cp']!r} here")
        arguments = _checked(name, command)
        try:
            reply: Reply | Awaitable[Reply] | None = getattr(self, f"_{name}")(**arguments)
        except DeviceError as error:
            raise ActionError("bad_state", str(error)) from error
        except ValueError as error:
            raise ActionError("bad_argument", str(error)) from error
        return {} if reply is None else reply

    # --- the vehicle --------------------------------------------------------------------------------

    def _plug_in(self, connector: int, ev: str | dict[str, Any] | None = None) -> None:
        evse = self._simulated(connector)
        if ev is None:
            evse.plug_in(self._vehicle)
        else:
            evse.plug_in(vehicle_from({"kind": ev} if isinstance(ev, str) else ev))

    def _plug_out(self, connector: int) -> None:
        self._simulated(connector).plug_out()

    def _ev(self, connector: int, **changes: Any) -> None:
        if not changes:
            raise ActionError("bad_argument", "ev: say what changes, for example draws")
        self._simulated(connector).adjust(**changes)

    # --- the person ---------------------------------------------------------------------------------

    def _swipe(self, id_tag: str, connector: int | None = None) -> None:
        if not id_tag:
            raise ActionError("bad_argument", "id_tag: is empty")
        if connector is not None:
            self._evse(connector)
        self._station.tag_presented(id_tag, connector)

    def _emergency_stop(self, pressed: bool, connector: int | None = None) -> None:
        evses = range(1, len(self._station.evses) + 1) if not connector else (connector,)
        for n in evses:
            evse = self._simulated(n)
            if pressed:
                evse.inject(EMERGENCY_STOP)
            else:
                evse.clear(EMERGENCY_STOP.kind)

    def _availability(self, connector: int, operative: bool) -> None:
        if connector:
            self._evse(connector)
        self._awake()
        with self._station.charge_point.turn:
            self._station.charge_point.operations.change_availability(connector, operative)

    # --- the station --------------------------------------------------------------------------------

    def _fault(
        self,
        connector: int,
        error_code: str,
        vendor_error_code: str = "",
        info: str = "",
        blocking: bool = True,
    ) -> None:
        if error_code not in KINDS:
            raise ActionError(
                "bad_argument", f"error_code: {error_code!r} is none of {', '.join(sorted(KINDS))}"
            )
        fault = Fault(KINDS[error_code], blocking, info, vendor_error_code)
        if connector:
            self._simulated(connector).inject(fault)
        elif fault not in self._station.faults:
            self._station.set_faults((*self._station.faults, fault))

    def _clear_fault(self, connector: int) -> None:
        if connector:
            self._simulated(connector).clear()
        else:
            self._station.set_faults(())

    def _lock(self, connector: int, broken: bool) -> None:
        self._simulated(connector).break_lock(broken)

    def _meter(self, connector: int, energy_wh: float | None = None, voltage_v: float | None = None) -> None:
        if energy_wh is None and voltage_v is None:
            raise ActionError("bad_argument", "meter: say energy_wh or voltage_v")
        evse = self._simulated(connector)
        if energy_wh is not None:
            evse.set_register(float(energy_wh))
        if voltage_v is not None:
            evse.set_supply(float(voltage_v))

    def _site(
        self,
        current_a: list[float] | float | None = None,
        power_w: float | None = None,
        silent: bool | None = None,
    ) -> None:
        site = self._station.site
        if site is None:
            raise ActionError("bad_state", "the configuration has no site")
        if (current_a is None) == (power_w is None) and (silent is None or power_w is not None):
            raise ActionError("bad_argument", "site: say either current_a or power_w, or silent")
        if power_w is not None:
            current_a = power_w / (NOMINAL_V * site.limit.settings.phases)
        if isinstance(site.meter, SimulatedSiteMeter):
            if current_a is not None:
                site.meter.set_house(current_a)
            if silent is not None:
                site.meter.silent = silent
        elif not isinstance(site.meter, FedSiteMeter):
            raise ActionError("bad_state", "the site meter is real hardware: it shows what is true")
        elif current_a is None or silent is not None:
            raise ActionError("bad_argument", "site: a fed meter is told current_a or power_w")
        else:
            site.meter.feed(current_a)

    def _power(self, on: bool) -> None:
        self._station.power(on)

    def _reboot(self) -> None:
        if not self._station.restart("Reboot"):
            raise ActionError("bad_state", "the station is down or going down already")

    def _network(self, online: bool) -> None:
        self._station.link.cut(not online)

    def _security_event(self, type: str, tech_info: str | None = None) -> None:
        if not type:
            raise ActionError("bad_argument", "type: is empty")
        self._awake()
        with self._station.charge_point.turn:
            self._station.charge_point.security_events.report(type, tech_info or "")

    def _firmware_outcome(self, **changes: str | None) -> None:
        if not changes:
            raise ActionError("bad_argument", "firmware_outcome: say fail or version; null takes back")
        fail, version = changes.get("fail"), changes.get("version")
        if fail is not None and fail not in FIRMWARE_STEPS:
            raise ActionError("bad_argument", f"fail: {fail!r} is none of {', '.join(FIRMWARE_STEPS)}")
        if version is not None and (not version or presentable(version) != version):
            raise ActionError("bad_argument", f"version: {version!r} is no text for a BootNotification")
        for name, value in changes.items():
            setattr(self._station.outside.firmware_outcome, name, value)

    def _config(self, key: str, value: str | int | bool) -> None:
        self._awake()
        text = str(value).lower() if isinstance(value, bool) else str(value)
        with self._station.charge_point.turn:
            problem = self._station.charge_point.configuration.set_service(key, text)
        if problem is not None:
            raise ActionError("bad_argument", f"{key}: {problem}")

    def _data_transfer(self, vendor_id: str, message_id: str | None = None, data: str | None = None) -> None:
        self._awake()
        charge_point = self._station.charge_point
        if not charge_point.session.online or not charge_point.accepted:
            raise ActionError("bad_state", "the station is not connected, or not accepted yet")
        payload = {"vendorId": vendor_id, "messageId": message_id, "data": data}
        with charge_point.turn:
            charge_point.outbox.send(
                "DataTransfer",
                {name: text for name, text in payload.items() if text is not None},
                lambda answer: None,
                lambda error: charge_point.complain(f"DataTransfer was not answered: {error}"),
            )

    def _override(self, action: str, status: str | None = None, error: str | None = None) -> None:
        overrides = self._station.overrides
        if action not in CSMS_TO_CP:
            raise ActionError("bad_argument", f"action: {action!r} is nothing a central system asks for")
        if status is not None and error is not None:
            raise ActionError("bad_argument", "override: give status or error, not both")
        if error is not None and error not in CALLERROR_CODES:
            raise ActionError(
                "bad_argument", f"error: {error!r} is none of {', '.join(sorted(CALLERROR_CODES))}"
            )
        if status is not None:
            overrides[action] = {"status": status}
        elif error is not None:
            overrides[action] = {"error": error}
        else:
            overrides.pop(action, None)
        self._station.charge_point.overrides = overrides or None

    # --- the script ---------------------------------------------------------------------------------

    def _advance(self, seconds: float) -> Awaitable[Reply]:
        clock = self._station.clock
        if not isinstance(clock, SteppedClock):
            raise ActionError("bad_state", "advance needs --clock stepped")
        return self._run(clock, float(seconds))

    async def _run(self, clock: SteppedClock, seconds: float) -> Reply:
        lost_s = await clock.run_until(clock.now() + seconds)
        return {"held_s": round(lost_s, 3)}

    def _status(self) -> Reply:
        station = self._station
        charge_point = station.charge_point
        site = {} if station.site is None else {"site": station.site.status()}
        return {
            "online": station.link.online,
            "registration": charge_point.boot.registration.value,
            "now": format_time(charge_point.time.utc()),
            "queued": charge_point.outbox.queued,
            "connectors": [self._connector_status(n) for n in range(1, len(station.evses) + 1)],
            **site,
        }

    def _connector_status(self, n: int) -> Reply:
        charge_point = self._station.charge_point
        report = charge_point.statuses.current(n)
        connector = charge_point.connectors[n]
        reading = connector.reading()
        transaction = connector.transaction
        limit = NOTHING if self._station.silent else connector.permitted()
        return {
            "connector": n,
            "status": report.status.value,
            "error_code": error_code(report.fault),
            "plugged": connector.evse.plugged or connector.connected,
            "transaction_id": transaction.csms_id if transaction is not None else None,
            "id_tag": transaction.id_tag if transaction is not None else None,
            "reservation_id": connector.shared.reservations.shown(connector),
            "meter_wh": None if reading is None else round(reading.energy_wh, 3),
            "power_w": None if reading is None else round(reading.power_w, 1),
            "offered_a": round(limit.current_a, 3),
            "offered_w": offered_w(connector, limit),
            "because": because(connector),
            "soc_percent": None if reading is None else reading.soc_percent,
        }

    def _shutdown(self) -> None: ...

    # --- what they need -----------------------------------------------------------------------------

    def _awake(self) -> None:
        if self._station.silent:
            raise ActionError("bad_state", "the station is restarting or without power")

    def _evse(self, connector: int) -> Evse:
        if not 1 <= connector <= len(self._station.evses):
            raise ActionError("bad_connector", f"there is no connector {connector}")
        return self._station.evses[connector - 1]

    def _simulated(self, connector: int) -> SimulatedEvse:
        evse = self._evse(connector)
        if not isinstance(evse, SimulatedEvse):
            raise ActionError("bad_state", f"connector {connector} is real hardware: do it there")
        return evse


def _checked(name: str, command: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a command, each of the right kind. Raises `ActionError`."""
    fields = VERBS[name]
    arguments = {key: value for key, value in command.items() if key not in ("cmd", "id", "cp")}
    for key in arguments:
        if key not in fields:
            raise ActionError(
                "bad_argument", f"{name}: there is no {key!r}; there are {', '.join(fields) or 'none'}"
            )
    for key, field in fields.items():
        if key not in arguments:
            if field.required:
                raise ActionError("bad_argument", f"{name}: {key} is missing")
            continue
        _check(f"{name}: {key}", arguments[key], field)
    return arguments


def _check(what: str, value: Any, field: Field) -> None:
    kinds = field.kind if isinstance(field.kind, tuple) else (field.kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ActionError("bad_argument", f"{what} is not {' or '.join(kind.__name__ for kind in kinds)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ActionError("bad_argument", f"{what} is not a finite number")
    if field.minimum is not None and isinstance(value, int | float) and value < field.minimum:
        raise ActionError("bad_argument", f"{what} is below {field.minimum:g}")
    if field.length is not None and isinstance(value, str) and len(value) > field.length:
        raise ActionError("bad_argument", f"{what} has more than {field.length} characters")
