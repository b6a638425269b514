"""What goes wrong at a connector or a station, and what it does to a transaction (OCPP 1.6 §4.9, §7.6)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.ending import EMERGENCY_STOP
from hal.api import EvseInfo, Fault, FaultKind
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.supervision import OFFERS_MORE
from tests.unit.ocpp16.bench import Bench

HOT = Fault(FaultKind.OVER_TEMPERATURE, info="contactor at 90 C", vendor_code="T1")


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def last(bench: Bench, connector: int = 1) -> dict[str, Any]:
    bench.advance(0)
    said: dict[str, Any] = [p for p in bench.sent("StatusNotification") if p["connectorId"] == connector][-1]
    return said


def reasons(bench: Bench) -> list[str]:
    bench.advance(0)
    return [payload["reason"] for payload in bench.sent("StopTransaction")]


def set_station_faults(bench: Bench, *faults: Fault) -> None:
    with bench.cp.turn as turn:
        bench.cp.connectors.faults = faults
        bench.cp.statuses.refresh(0)
        turn.settle_all()


# --- what is said -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.GROUND, "GroundFailure"),
        (FaultKind.OVER_TEMPERATURE, "HighTemperature"),
        (FaultKind.OVER_CURRENT, "OverCurrentFailure"),
        (FaultKind.OVER_VOLTAGE, "OverVoltage"),
        (FaultKind.UNDER_VOLTAGE, "UnderVoltage"),
        (FaultKind.METER, "PowerMeterFailure"),
        (FaultKind.WELDED, "PowerSwitchFailure"),
        (FaultKind.NOT_CLOSING, "PowerSwitchFailure"),
        (FaultKind.READER, "ReaderFailure"),
        (FaultKind.RESET, "ResetFailure"),
        (FaultKind.LIST_CONFLICT, "LocalListConflict"),
        (FaultKind.WEAK_SIGNAL, "WeakSignal"),
        (FaultKind.LOCK, "ConnectorLockFailure"),
        (FaultKind.INTERNAL, "InternalError"),
        (FaultKind.COMMUNICATION, "InternalError"),
        (FaultKind.OTHER, "OtherError"),
    ],
)
def test_every_fault_has_its_code(kind: FaultKind, code: str) -> None:
    bench = ready()
    bench.evses[0].inject(Fault(kind))
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Faulted", code)
    bench.evses[0].clear()
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Available", "NoError")


def test_a_fault_is_told_in_full() -> None:
    bench = ready()
    bench.evses[0].inject(HOT)
    said = last(bench)
    assert (said["info"], said["vendorErrorCode"]) == ("contactor at 90 C", "T1")
    assert said["timestamp"] == "2026-01-01T00:00:00.000Z"


def test_a_warning_comes_and_goes_without_a_fault() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].inject(Fault(FaultKind.WEAK_SIGNAL, blocking=False))
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Charging", "WeakSignal")
    assert bench.evses[0].closed
    bench.evses[0].clear()
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Charging", "NoError")


def test_the_gravest_is_told_first_and_the_rest_after_it() -> None:
    bench = ready()
    bench.evses[0].inject(Fault(FaultKind.WEAK_SIGNAL, blocking=False))
    bench.evses[0].inject(HOT)
    assert last(bench)["errorCode"] == "HighTemperature"
    bench.evses[0].inject(Fault(FaultKind.GROUND))
    assert last(bench)["errorCode"] == "HighTemperature"
    bench.evses[0].clear(FaultKind.OVER_TEMPERATURE)
    assert last(bench)["errorCode"] == "GroundFailure"
    bench.evses[0].clear(FaultKind.GROUND)
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Available", "WeakSignal")


# --- trouble with a vehicle's pilot is no fault of the station ---------------------------------------


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "warning"])
@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("plugged", "Preparing"),
        ("suspended", "SuspendedEV"),
        ("withheld", "SuspendedEVSE"),
        ("finishing", "Finishing"),
    ],
)
def test_pilot_trouble_with_a_vehicle_is_a_warning(state: str, status: str, blocking: bool) -> None:
    bench = ready(ocpp={"StopTransactionOnInvalidId": "false"})
    if state == "withheld":
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": 1,
            "idTagInfo": {"status": "Invalid"},
        }
    bench.plug_in(soc_percent=100.0 if state == "suspended" else None)
    if state != "plugged":
        bench.swipe("TAG")
        bench.advance(10)
    if state == "finishing":
        bench.swipe("TAG")
    bench.evses[0].inject(Fault(FaultKind.PILOT, blocking))
    said = last(bench)
    assert said["errorCode"] == "EVCommunicationError"
    assert said["status"] == ("SuspendedEVSE" if state == "suspended" and blocking else status)
    bench.evses[0].clear()
    assert last(bench)["errorCode"] == "NoError"


def test_pilot_trouble_stops_the_energy_but_is_no_fault() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].inject(Fault(FaultKind.PILOT))
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("SuspendedEVSE", "EVCommunicationError")
    assert bench.evses[0].offered.zero
    bench.advance(60)
    assert reasons(bench) == ["Other"]
    bench.swipe("TAG")
    assert last(bench)["status"] == "Finishing"


def test_a_pilot_warning_is_not_told_while_energy_flows() -> None:
    bench = ready()
    bench.charge()
    said = len(bench.sent("StatusNotification"))
    bench.evses[0].inject(Fault(FaultKind.PILOT, blocking=False))
    bench.advance(0)
    assert len(bench.sent("StatusNotification")) == said
    bench.evses[0].adjust(draws=False)
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("SuspendedEV", "EVCommunicationError")


def test_a_pilot_that_fails_without_a_vehicle_is_the_station_s_own() -> None:
    bench = ready()
    bench.evses[0].inject(Fault(FaultKind.PILOT))
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Faulted", "InternalError")
    assert last(bench)["vendorErrorCode"] == "ControlPilot"


def test_a_pilot_without_voltage_offers_nothing() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].set_supply(0.0)
    assert last(bench)["status"] == "SuspendedEVSE"
    bench.evses[0].set_supply(230.0)
    bench.advance(10)
    assert last(bench)["status"] == "Charging"
    assert reasons(bench) == []


# --- a transaction and a fault ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_s", "kind", "ends_at_s"),
    [
        pytest.param(60, FaultKind.OVER_TEMPERATURE, 60, id="after-a-minute"),
        pytest.param(5, FaultKind.METER, 5, id="after-some-seconds"),
        pytest.param(0, FaultKind.OVER_TEMPERATURE, 0, id="at-once"),
        pytest.param(None, FaultKind.OVER_TEMPERATURE, None, id="never"),
        pytest.param(None, FaultKind.GROUND, 0, id="ground"),
        pytest.param(None, FaultKind.OVER_CURRENT, 0, id="over-current"),
        pytest.param(60, FaultKind.WELDED, 0, id="welded"),
        pytest.param(60, FaultKind.NOT_CLOSING, 0, id="not-closing"),
    ],
)
def test_how_long_it_waits(after_s: float | None, kind: FaultKind, ends_at_s: float | None) -> None:
    bench = ready(behaviour={"fault_stops_transaction_after_s": after_s})
    bench.charge()
    bench.evses[0].inject(Fault(kind))
    assert bench.evses[0].offered.zero
    assert last(bench)["status"] == "Faulted"
    if ends_at_s:
        bench.advance(ends_at_s - 0.1)
        assert reasons(bench) == []
        bench.advance(0.1)
    assert reasons(bench) == ([] if ends_at_s is None else ["Other"])
    bench.advance(10_000)
    assert len(reasons(bench)) == (ends_at_s is not None)
    assert last(bench)["status"] == "Faulted"
    bench.evses[0].clear()
    bench.advance(10)
    assert last(bench)["status"] == ("Charging" if ends_at_s is None else "Finishing")


def test_a_transaction_goes_on_when_the_fault_is_over_in_time() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].inject(HOT)
    bench.advance(59)
    bench.evses[0].clear()
    bench.advance(10)
    assert bench.statuses()[-4:] == ["Charging", "Faulted", "SuspendedEVSE", "Charging"]
    bench.evses[0].inject(HOT)
    bench.advance(59)
    assert reasons(bench) == [], "the next fault has a window of its own"


def test_a_transaction_stopped_by_card_during_a_fault_ends_once() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].inject(HOT)
    bench.swipe("TAG")
    bench.advance(300)
    assert reasons(bench) == ["Local"]
    assert last(bench)["status"] == "Faulted"


@pytest.mark.parametrize("emergency", [0, 1], ids=["charging", "faulted-before"])
def test_the_emergency_stop_ends_it_at_once(emergency: int) -> None:
    bench = ready()
    bench.charge()
    if emergency:
        bench.evses[0].inject(HOT)
    bench.evses[0].inject(EMERGENCY_STOP)
    assert reasons(bench) == ["EmergencyStop"]
    assert last(bench)["status"] == "Faulted"
    bench.evses[0].clear()
    assert last(bench)["status"] == "Finishing"


def test_the_emergency_stop_is_told_when_nothing_runs() -> None:
    bench = ready()
    bench.evses[0].inject(EMERGENCY_STOP)
    said = last(bench)
    assert (said["status"], said["errorCode"], said["vendorErrorCode"]) == (
        "Faulted",
        "OtherError",
        "EmergencyStop",
    )


@pytest.mark.parametrize("fault", [HOT, OFFERS_MORE], ids=lambda fault: fault.vendor_code)
def test_a_vehicle_that_leaves_during_a_fault_ends_it_at_once(fault: Fault) -> None:
    bench = ready(info=EvseInfo(tethered=True, lockable=False))
    bench.charge()
    bench.evses[0].inject(fault)
    bench.plug_out()
    assert reasons(bench) == ["EVDisconnected"]
    assert last(bench)["status"] == "Faulted"
    bench.evses[0].clear()
    assert last(bench)["status"] == "Available"


# --- a faulted connector starts nothing (T:TC_041) ---------------------------------------------------


@pytest.mark.parametrize("where", ["connector", "station"])
def test_what_is_faulted_starts_nothing_and_asks_nobody(where: str) -> None:
    bench = ready()
    if where == "station":
        set_station_faults(bench, HOT)
    else:
        bench.evses[0].inject(HOT)
    bench.plug_in()
    bench.swipe("TAG")
    bench.advance(10)
    assert bench.sent("Authorize") == bench.sent("StartTransaction") == []
    assert last(bench, 0)["status"] == ("Faulted" if where == "station" else "Available")
    assert last(bench, 1)["status"] == ("Faulted" if where == "connector" else "Preparing")
    set_station_faults(bench)
    bench.evses[0].clear()
    bench.swipe("TAG")
    bench.advance(10)
    assert last(bench)["status"] == "Charging"


def test_a_station_warning_blocks_nothing() -> None:
    bench = ready()
    set_station_faults(bench, Fault(FaultKind.WEAK_SIGNAL, blocking=False))
    assert (last(bench, 0)["status"], last(bench, 0)["errorCode"]) == ("Available", "WeakSignal")
    bench.charge()
    assert last(bench)["status"] == "Charging"


def test_a_fault_leaves_the_time_to_authorise_afterwards() -> None:
    bench = ready(2)
    bench.plug_in()
    bench.advance(100)
    bench.evses[0].inject(HOT)
    bench.advance(100)
    bench.evses[0].clear()
    assert last(bench)["status"] == "Preparing", "it was not Preparing for as long as that"
    bench.advance(119)
    assert last(bench)["status"] == "Preparing"
    bench.advance(1)
    assert last(bench)["status"] == "Finishing"


# --- the lock ---------------------------------------------------------------------------------------


def test_a_lock_that_does_not_lock_starts_nothing() -> None:
    bench = ready()
    bench.evses[0].break_lock(True)
    bench.plug_in()
    assert last(bench)["status"] == "Preparing"
    bench.swipe("TAG")
    bench.advance(10)
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Faulted", "ConnectorLockFailure")
    assert bench.sent("StartTransaction") == []
    bench.evses[0].break_lock(False)
    bench.advance(10)
    assert last(bench)["status"] == "Preparing", "the card must be presented again"
    bench.swipe("TAG")
    bench.advance(10)
    assert last(bench)["status"] == "Charging"


def test_a_lock_that_does_not_open_is_a_fault_until_it_does() -> None:
    bench = ready()
    bench.charge()
    bench.evses[0].break_lock(True)
    assert last(bench)["status"] == "Charging"
    bench.swipe("TAG")
    assert reasons(bench) == ["Local"]
    assert (last(bench)["status"], last(bench)["errorCode"]) == ("Faulted", "ConnectorLockFailure")
    bench.evses[0].break_lock(False)
    assert not bench.evses[0].locked
    assert last(bench)["status"] == "Finishing"


class WeldedEvse(SimulatedEvse):
    """Once welded, its contactor stays closed; it remembers what the lock was told since."""

    __slots__ = ("welded", "wished")

    def __init__(self, info: EvseInfo, clock: SteppedClock) -> None:
        self.welded = False
        self.wished: list[bool] = []
        super().__init__(info, clock)

    @property
    def closed(self) -> bool:
        return self.welded or super().closed

    def lock(self, wanted: bool) -> None:
        self.wished.append(wanted)
        super().lock(wanted)

    def weld(self) -> None:
        """The contacts stick from now on."""
        self.welded = True
        self.wished.clear()
        self.inject(Fault(FaultKind.WELDED))


class WeldedBench(Bench):
    """One socket whose contactor may weld."""

    def evse(self, connector: int, info: EvseInfo) -> WeldedEvse:
        self.socket = WeldedEvse(info, self.clock)
        return self.socket


def test_a_welded_contactor_keeps_the_plug() -> None:
    bench = WeldedBench()
    bench.connect()
    bench.charge()
    bench.socket.weld()
    bench.advance(60)
    assert reasons(bench) == ["Other"]
    assert bench.call("UnlockConnector", {"connectorId": 1}) is None
    bench.advance(5)
    answers = [frame[2] for way, frame in bench.csms.frames if way == "tx" and frame[0] == 3]
    assert answers[-1] == {"status": "UnlockFailed"}
    assert bench.socket.wished == []
