"""The order within a turn, and what becomes of it when something fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargepoint.errors import StoreError
from chargepoint.store import MemoryStore
from hal.api import EvseInfo, Limit
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.unit.ocpp16.bench import Bench, MemoryCsms


class Diary(MemoryStore):
    """Writes down what happens in which order; keeps nothing while `full`."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("disk full")
        if self._undo:
            self.lines.append("commit")
        super().commit()

    def since(self) -> list[str]:
        """What was written since the last look."""
        lines, self.lines = self.lines, []
        return lines


class DiaryEvse(SimulatedEvse):
    """Writes down what is permitted."""

    __slots__ = ("diary",)

    def __init__(self, info: EvseInfo, clock: SteppedClock, diary: Diary) -> None:
        self.diary = diary
        super().__init__(info, clock)

    def permit(self, limit: Limit) -> None:
        self.diary.lines.append(f"permit {limit.current_a:g}")
        super().permit(limit)


class DiaryCsms(MemoryCsms):
    """Writes down what the station says."""

    diary: Diary

    def send(self, data: bytes | str) -> None:
        frame = json.loads(data)
        self.diary.lines.append(frame[2] if frame[0] == 2 else "conf")
        super().send(data)


class DiaryBench(Bench):
    """A bench that keeps a diary."""

    def __init__(self, connectors: int = 1, **options: Any) -> None:
        self.diary = Diary()
        super().__init__(connectors, store=self.diary, **options)
        csms = DiaryCsms(self.clock)
        csms.diary = self.diary
        self.csms = csms
        self.connect()
        self.diary.since()

    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        return DiaryEvse(info, self.clock, self.diary)

    def limit(self, amperes: float) -> Any:
        """A new limit for all transactions of connector 1."""
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amperes}]}
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }
        return self.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})


# --- order ------------------------------------------------------------------------------------------


def test_a_start_is_stored_then_energised_then_told() -> None:
    bench = DiaryBench()
    bench.plug_in()
    bench.diary.since()
    bench.swipe("TAG")
    lines = bench.diary.since()
    assert lines.index("commit") < lines.index("permit 32") < lines.index("StartTransaction")


def test_less_flows_before_it_is_stored_and_more_after() -> None:
    bench = DiaryBench()
    bench.charge()
    bench.diary.since()
    bench.limit(10)
    assert bench.diary.since() == ["permit 10", "commit", "conf"]
    bench.limit(16)
    assert bench.diary.since() == ["commit", "permit 16", "conf"]


def test_a_stop_withdraws_stores_answers_and_tells() -> None:
    bench = DiaryBench()
    bench.charge()
    bench.diary.since()
    bench.call("RemoteStopTransaction", {"transactionId": 1})
    lines = bench.diary.since()
    assert lines[0] == "permit 0"
    assert [line for line in lines if line != "commit"] == [
        "permit 0",
        "conf",
        "StopTransaction",
        "StatusNotification",
    ]
    assert lines.index("commit") < lines.index("conf")


# --- a store that keeps nothing ----------------------------------------------------------------------


def step(bench: DiaryBench, seconds: float) -> None:
    """Let time pass although errors were reported."""
    bench.clock.advance(seconds)


def test_a_start_that_cannot_be_stored_does_not_happen() -> None:
    bench = DiaryBench()
    bench.plug_in()
    bench.diary.full = True
    with bench.cp.turn:
        bench.cp.connectors.reception.tag_presented("TAG", 1)
    step(bench, 5)
    assert {type(error) for error in bench.errors} == {StoreError}
    assert not bench.evses[0].closed
    assert not bench.evses[0].locked
    assert bench.local_status() == "Preparing"
    assert not [event for event in bench.events if event.get("phase") == "confirmed"]
    bench.diary.full = False
    bench.errors.clear()
    bench.advance(60)
    assert bench.sent("StartTransaction") == []
    bench.swipe("TAG")
    bench.advance(10)
    assert bench.local_status() == "Charging"


def test_what_starts_without_a_card_starts_when_it_can_be_stored() -> None:
    bench = DiaryBench(behaviour={"free_charging_id_tag": "FREE"})
    bench.diary.full = True
    bench.evses[0].plug_in(load_vehicle("compact"))
    step(bench, 35)
    assert not bench.evses[0].closed
    assert bench.sent("StartTransaction") == []
    bench.diary.full = False
    bench.errors.clear()
    bench.advance(20)
    assert bench.evses[0].closed
    assert len(bench.sent("StartTransaction")) == 1


def test_a_stop_that_cannot_be_stored_opens_the_contactor_and_is_stored_later() -> None:
    bench = DiaryBench()
    bench.charge()
    bench.diary.full = True
    bench.diary.since()
    with bench.cp.turn:
        bench.cp.connectors.reception.tag_presented("TAG", 1)
    assert not bench.evses[0].closed
    step(bench, 35)
    assert bench.sent("StopTransaction") == []
    assert len(bench.errors) >= 3, "it is tried again each ten seconds"
    bench.diary.full = False
    bench.errors.clear()
    bench.advance(10)
    assert [(p["reason"], p["idTag"]) for p in bench.sent("StopTransaction")] == [("Local", "TAG")]
    assert bench.statuses()[-1] == "Finishing"


# --- something breaks --------------------------------------------------------------------------------


class Broken(Exception):
    """A mistake of ours."""


def test_a_mistake_ends_with_its_turn_and_switches_off_what_nothing_accounts_for() -> None:
    bench = DiaryBench(2)
    bench.charge("ANN", 1)
    bench.diary.since()
    with bench.cp.turn:
        raise Broken
    assert [type(error) for error in bench.errors] == [Broken]
    assert bench.evses[0].closed, "a stored transaction goes on"
    bench.errors.clear()
    bench.charge("BOB", 2)
    assert bench.local_status(2) == "Charging"


def test_a_mistake_within_a_start_leaves_no_energy() -> None:
    bench = DiaryBench()
    bench.plug_in()
    bench.cp.connectors.listener = Interrupter(bench.cp)
    with bench.cp.turn:
        bench.cp.connectors.reception.tag_presented("TAG", 1)
    step(bench, 10)
    assert Broken in [type(error) for error in bench.errors]
    assert not bench.evses[0].closed
    bench.errors.clear()


class Interrupter:
    """Hears of everything in place of the charge point, and fails at the start of a transaction."""

    def __init__(self, listener: Any) -> None:
        self._listener = listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def transaction_started(self, *args: object) -> None:
        """domain.connectors.ConnectorListener."""
        raise Broken


def test_a_turn_within_a_turn_joins_it() -> None:
    bench = DiaryBench()
    bench.charge()
    bench.diary.since()
    with bench.cp.turn:
        with bench.cp.turn:
            bench.cp.connectors[1].stop_asked("Local")
        assert bench.diary.since() == []
    assert bench.diary.since()[0] == "permit 0"


def test_a_mistake_in_an_inner_turn_ends_the_outer_one() -> None:
    bench = DiaryBench()
    with bench.cp.turn:
        with bench.cp.turn:
            raise Broken
        pytest.fail("the rest of the outer turn is skipped")
    assert [type(error) for error in bench.errors] == [Broken]
    bench.errors.clear()


def test_an_interrupt_is_not_swallowed() -> None:
    bench = DiaryBench()
    with pytest.raises(KeyboardInterrupt), bench.cp.turn:
        raise KeyboardInterrupt
    bench.plug_in()
    assert bench.local_status() == "Preparing"


def test_facts_change_in_turns_only() -> None:
    bench = DiaryBench()
    with pytest.raises(AssertionError):
        bench.cp.connectors[1].claim_dropped()
