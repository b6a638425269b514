"""The status of a connector as a function of its facts, and which status may follow which (OCPP 1.6 §4.9)."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import lru_cache

from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from hal.api import Fault, FaultKind


class Status(StrEnum):
    """ChargePointStatus (OCPP 1.6 §7.7)."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


_A, _P, _C, _V, _E, _F, _R, _U, _X = Status

LEGAL: dict[Status, frozenset[Status]] = {
    _A: frozenset({_P, _C, _V, _E, _R, _U, _X}),
    _P: frozenset({_A, _C, _V, _E, _F, _X}),
    _C: frozenset({_A, _V, _E, _F, _U, _X}),
    _V: frozenset({_A, _C, _E, _F, _U, _X}),
    _E: frozenset({_A, _C, _V, _F, _U, _X}),
    _F: frozenset({_A, _P, _U, _X}),
    _R: frozenset({_A, _P, _U, _X}),
    _U: frozenset({_A, _P, _C, _V, _E, _X}),
    _X: frozenset({_A, _P, _C, _V, _E, _F, _R, _U}),
}
"""Which status may follow which on a connector (OCPP 1.6 §4.9 with errata 3.20)."""

_ON_THE_WAY = (_P, _A, _F, _V, _E, _C, _U)
"""Statuses that may be passed through, the first choice first; a fault or a reservation is never made up."""


@lru_cache(maxsize=128)
def path(last: Status, now: Status) -> tuple[Status, ...]:
    """The statuses to report after `last` to arrive at `now` by legal steps; empty if nothing changed."""
    if last == now:
        return ()
    ways: list[tuple[Status, ...]] = [(last,)]
    while True:  # every status can be reached from every other in three steps
        longer: list[tuple[Status, ...]] = []
        for way in ways:
            if now in LEGAL[way[-1]]:
                return (*way[1:], now)
            longer.extend((*way, step) for step in _ON_THE_WAY if step in LEGAL[way[-1]] and step not in way)
        ways = longer


def status_of(connector: Connector) -> Status:
    """What a connector's facts mean (OCPP 1.6 §4.9, §7.7)."""
    if connector.faulted:
        return Status.FAULTED
    if connector.transaction is not None:
        return _while_charging(connector)
    if not connector.operative or connector.kept_off:
        return Status.UNAVAILABLE
    if connector.finishing is not None:
        return Status.FINISHING
    if not connector.idle:
        return Status.PREPARING
    return Status.RESERVED if connector.reserved else Status.AVAILABLE


def _while_charging(connector: Connector) -> Status:
    """A new offer leaves the status as it was until the vehicle has reacted, or had the time to."""
    if connector.withheld:
        return Status.SUSPENDED_EVSE
    if connector.evse.closed:
        return Status.CHARGING
    if connector.invited:
        return Status.PREPARING if connector.starting else Status.SUSPENDED_EVSE
    return Status.SUSPENDED_EVSE if connector.ending else Status.SUSPENDED_EV


def status_of_station(connectors: Connectors) -> Status:
    """Connector 0 knows three statuses only, whatever the others have (OCPP 1.6 §4.9)."""
    if connectors.faulted:
        return Status.FAULTED
    return Status.AVAILABLE if connectors.operative else Status.UNAVAILABLE


CODES = {
    FaultKind.COMMUNICATION: "InternalError",
    FaultKind.GROUND: "GroundFailure",
    FaultKind.OVER_CURRENT: "OverCurrentFailure",
    FaultKind.OVER_VOLTAGE: "OverVoltage",
    FaultKind.UNDER_VOLTAGE: "UnderVoltage",
    FaultKind.OVER_TEMPERATURE: "HighTemperature",
    FaultKind.WELDED: "PowerSwitchFailure",
    FaultKind.NOT_CLOSING: "PowerSwitchFailure",
    FaultKind.LOCK: "ConnectorLockFailure",
    FaultKind.PILOT: "EVCommunicationError",
    FaultKind.METER: "PowerMeterFailure",
    FaultKind.READER: "ReaderFailure",
    FaultKind.WEAK_SIGNAL: "WeakSignal",
    FaultKind.RESET: "ResetFailure",
    FaultKind.LIST_CONFLICT: "LocalListConflict",
    FaultKind.INTERNAL: "InternalError",
    FaultKind.OTHER: "OtherError",
}
"""Kind of fault -> ChargePointErrorCode (OCPP 1.6 §7.6)."""

VENDOR_CODES = {FaultKind.COMMUNICATION: "EvseCommunication"}

KINDS = {code: kind for kind, code in reversed(CODES.items())} | {
    "InternalError": FaultKind.INTERNAL,
    "PowerSwitchFailure": FaultKind.WELDED,
}
"""ChargePointErrorCode -> kind of fault."""


_WITH_VEHICLE = frozenset({_P, _V, _E, _F})
"""With these statuses alone EVCommunicationError may be reported (OCPP 1.6 §7.6)."""


def gravest(faults: tuple[Fault, ...], status: Status) -> Fault | None:
    """The fault to report with a status: the first that prevents charging, else the first warning.

    A pilot in trouble without a vehicle is the station's own failure; while energy flows it is nothing.
    """
    if not faults:
        return None
    if status not in _WITH_VEHICLE:
        faults = tuple(fault for fault in map(_without_vehicle, faults) if fault is not None)
    return next((fault for fault in faults if fault.blocking), faults[0] if faults else None)


def _without_vehicle(fault: Fault) -> Fault | None:
    if fault.kind is not FaultKind.PILOT:
        return fault
    vendor_code = fault.vendor_code or "ControlPilot"
    return replace(fault, kind=FaultKind.INTERNAL, vendor_code=vendor_code) if fault.blocking else None


def error_code(fault: Fault | None) -> str:
    """ChargePointErrorCode of a fault; NoError without one."""
    return "NoError" if fault is None else CODES[fault.kind]
