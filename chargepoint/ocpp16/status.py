"""The status of a connector as a function of its facts, and which status may follow which (OCPP 1.6 §4.9)."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from hal.api import Fault, FaultKind, PilotState


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

_ON_THE_WAY = (_F, _P, _A, _V, _E, _C, _R, _U)
"""Statuses that may be passed through, the most telling first; a fault is never made up."""


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
    """What a connector's facts mean (our checklist 3.1)."""
    if connector.faulted:
        return Status.FAULTED
    if connector.transaction is not None:
        return _while_charging(connector)
    if not connector.operative:
        return Status.UNAVAILABLE
    if connector.finishing is not None:
        return Status.FINISHING
    if connector.preparing:
        return Status.PREPARING
    return Status.AVAILABLE


def _while_charging(connector: Connector) -> Status:
    transaction = connector.transaction
    assert transaction is not None
    if connector.withheld:
        return Status.SUSPENDED_EVSE
    if connector.evse.closed:
        return Status.CHARGING
    if connector.invited and connector.evse.pilot is not PilotState.A:
        return Status.SUSPENDED_EVSE if connector.withheld_before else Status.PREPARING
    if not transaction.running and connector.evse.pilot in (PilotState.C, PilotState.D):
        return Status.CHARGING  # it is ending; what comes next is Finishing, not a suspension
    return Status.SUSPENDED_EV


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
    FaultKind.INTERNAL: "InternalError",
    FaultKind.OTHER: "OtherError",
}
"""Kind of fault -> ChargePointErrorCode (OCPP 1.6 §7.6)."""

VENDOR_CODES = {FaultKind.COMMUNICATION: "EvseCommunication"}

KINDS = {code: kind for kind, code in reversed(CODES.items())} | {
    "InternalError": FaultKind.INTERNAL,
    "PowerSwitchFailure": FaultKind.WELDED,
    "LocalListConflict": FaultKind.OTHER,
}
"""ChargePointErrorCode -> kind of fault."""


def gravest(faults: tuple[Fault, ...]) -> Fault | None:
    """The fault to report: the first that prevents charging, else the first warning."""
    return next((fault for fault in faults if fault.blocking), faults[0] if faults else None)


def error_code(fault: Fault | None) -> str:
    """ChargePointErrorCode of a fault; NoError without one."""
    return "NoError" if fault is None else CODES[fault.kind]
