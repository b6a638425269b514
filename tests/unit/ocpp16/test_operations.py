"""Availability, cache, data transfer, reset and unlocking (OCPP 1.6 §5.2, §5.4, §5.6, §5.14, §5.18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargepoint.errors import StoreError
from chargepoint.store import MemoryStore
from hal.api import EvseInfo, Fault, FaultKind
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.witness import WitnessBench

TETHERED = EvseInfo(tethered=True, lockable=False)
HOT = Fault(FaultKind.OVER_TEMPERATURE)


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def availability(bench: Bench, connector: int, operative: bool) -> str:
    kind = "Operative" if operative else "Inoperative"
    return str(bench.call("ChangeAvailability", {"connectorId": connector, "type": kind})["status"])


def unlock(bench: Bench, connector: int = 1) -> str | None:
    answer = bench.call("UnlockConnector", {"connectorId": connector})
    return None if answer is None else str(answer["status"])


def reasons(bench: Bench) -> list[str]:
    return [payload["reason"] for payload in bench.sent("StopTransaction")]


def said_since(bench: Bench, n: int) -> list[str]:
    return [frame[2] if frame[0] == 2 else "conf" for way, frame in bench.csms.frames[n:] if way == "tx"]


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


# --- ChangeAvailability ----------------------------------------------------------


def available(bench: Bench) -> None:
    pass


def claimed(bench: Bench) -> None:
    bench.swipe("TAG", 1)


def plugged(bench: Bench) -> None:
    bench.plug_in()


def charging(bench: Bench) -> None:
    bench.charge()


def suspended(bench: Bench) -> None:
    bench.charge()
    bench.evses[0].adjust(draws=False)
    bench.advance(0)


def finishing(bench: Bench) -> None:
    bench.charge()
    bench.swipe("TAG", 1)


def faulted(bench: Bench) -> None:
    bench.evses[0].inject(HOT)
    bench.advance(0)


def faulted_and_plugged(bench: Bench) -> None:
    bench.plug_in()
    faulted(bench)


def faulted_while_charging(bench: Bench) -> None:
    bench.charge()
    faulted(bench)


def unavailable(bench: Bench) -> None:
    availability(bench, 1, False)


def scheduled(bench: Bench) -> None:
    bench.charge()
    assert availability(bench, 1, False) == "Scheduled"


@pytest.mark.parametrize(
    ("state", "operative", "answer", "status"),
    [
        (available, False, "Accepted", "Unavailable"),
        (available, True, "Accepted", "Available"),
        (claimed, False, "Scheduled", "Preparing"),
        (plugged, False, "Scheduled", "Preparing"),
        (charging, False, "Scheduled", "Charging"),
        (suspended, False, "Scheduled", "SuspendedEV"),
        (finishing, False, "Accepted", "Unavailable"),
        (faulted, False, "Accepted", "Faulted"),
        (faulted_and_plugged, False, "Accepted", "Faulted"),
        (faulted_while_charging, False, "Scheduled", "Faulted"),
        (unavailable, False, "Accepted", "Unavailable"),
        (unavailable, True, "Accepted", "Available"),
        (scheduled, False, "Accepted", "Charging"),
        (scheduled, True, "Accepted", "Charging"),
    ],
    ids=named,
)
def test_change_availability(
    state: Callable[[Bench], None], operative: bool, answer: str, status: str
) -> None:
    bench = ready()
    state(bench)
    before = bench.statuses()
    n = len(bench.csms.frames)
    assert availability(bench, 1, operative) == answer
    assert bench.statuses()[-1] == status
    assert said_since(bench, n) == ["conf", "StatusNotification"][: 1 + (before[-1] != status)]


@pytest.mark.parametrize("connector", [-1, 3])
def test_an_unknown_connector_is_rejected(connector: int) -> None:
    assert availability(ready(2), connector, False) == "Rejected"


@pytest.mark.parametrize(
    ("state", "story", "statuses"),
    [
        (claimed, "times out", ["Preparing", "Available", "Unavailable"]),
        (plugged, "unplugs", ["Preparing", "Available", "Unavailable"]),
        (charging, "stops and unplugs", ["Charging", "Finishing", "Unavailable"]),
        (scheduled, "stops and unplugs", ["Charging", "Finishing", "Unavailable"]),
        (faulted_while_charging, "is repaired, stops and unplugs", ["Finishing", "Unavailable"]),
    ],
    ids=named,
)
def test_what_is_scheduled_happens_when_the_use_ends(
    state: Callable[[Bench], None], story: str, statuses: list[str]
) -> None:
    bench = ready()
    state(bench)
    availability(bench, 1, False)
    if "times out" in story:
        bench.advance(120)
    if "repaired" in story:
        bench.evses[0].clear()
    if "stops" in story:
        bench.swipe("TAG", 1)
        bench.swipe("OTHER", 1)
    if "unplugs" in story:
        bench.plug_out()
    bench.advance(10)
    assert bench.statuses()[-len(statuses) :] == statuses
    assert len(bench.sent("StartTransaction")) <= 1


def test_whoever_was_authorised_before_may_still_charge() -> None:
    bench = ready()
    bench.swipe("TAG")
    assert availability(bench, 1, False) == "Scheduled"
    bench.plug_in()
    bench.advance(10)
    assert bench.statuses()[-1] == "Charging"


def test_whoever_comes_after_the_schedule_may_not() -> None:
    bench = ready()
    bench.plug_in()
    assert availability(bench, 1, False) == "Scheduled"
    bench.swipe("TAG")
    bench.advance(10)
    assert bench.sent("Authorize") == bench.sent("StartTransaction") == []


def test_a_schedule_is_cancelled() -> None:
    bench = ready()
    scheduled(bench)
    assert availability(bench, 1, True) == "Accepted"
    bench.swipe("TAG")
    bench.plug_out()
    assert bench.statuses()[-1] == "Available"


def test_everything_at_once_but_what_is_in_use() -> None:
    bench = ready(3)
    bench.charge("TAG", 2)
    n = len(bench.csms.frames)
    assert availability(bench, 0, False) == "Scheduled"
    assert said_since(bench, n) == ["conf"] + ["StatusNotification"] * 3
    assert [bench.statuses(c)[-1] for c in range(4)] == [
        "Unavailable",
        "Unavailable",
        "Charging",
        "Unavailable",
    ]
    bench.swipe("TAG")
    bench.plug_out(2)
    assert bench.statuses(2)[-2:] == ["Finishing", "Unavailable"]
    assert availability(bench, 0, True) == "Accepted"
    assert [bench.statuses(c)[-1] for c in range(4)] == ["Available"] * 4


def test_one_connector_may_be_operative_alone() -> None:
    bench = ready(2)
    assert availability(bench, 0, False) == "Accepted"
    assert availability(bench, 2, True) == "Accepted"
    assert [bench.statuses(c)[-1] for c in range(3)] == ["Unavailable", "Unavailable", "Available"]
    bench.charge("TAG", 2)
    assert bench.statuses(2)[-1] == "Charging"


@pytest.mark.parametrize("connector", [0, 1])
def test_availability_outlives_a_power_cut(connector: int) -> None:
    bench = ready(2)
    availability(bench, connector, False)
    bench.restart()
    bench.connect()
    expected = ["Unavailable"] * 3 if connector == 0 else ["Available", "Unavailable", "Available"]
    assert [bench.statuses(c)[-1] for c in range(3)] == expected
    bench.plug_in(1)
    assert bench.statuses(1)[-1] == "Unavailable"


def test_a_schedule_outlives_a_power_cut() -> None:
    bench = ready()
    scheduled(bench)
    bench.restart()
    bench.connect()
    assert reasons(bench) == ["PowerLoss"]
    assert bench.statuses()[-1] == "Finishing"
    bench.plug_out()
    assert bench.statuses()[-1] == "Unavailable"


# --- UnlockConnector -------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "connector"),
    [
        pytest.param(EvseInfo(), 0, id="connector-0"),
        pytest.param(EvseInfo(), 2, id="unknown"),
        pytest.param(EvseInfo(lockable=False), 1, id="no-lock"),
        pytest.param(TETHERED, 1, id="tethered"),
        pytest.param(EvseInfo(tethered=True, lockable=True), 1, id="tethered-whatever-else-is-said"),
    ],
)
def test_there_is_nothing_to_unlock(info: EvseInfo, connector: int) -> None:
    bench = ready(info=info)
    bench.charge()
    assert unlock(bench, connector) == "NotSupported"
    bench.advance(60)
    assert bench.statuses()[-1] == "Charging"
    assert reasons(bench) == []


def test_a_fixed_cable_may_end_the_transaction_all_the_same() -> None:
    bench = ready(info=TETHERED, compatibility={"unlock_tethered_stops_transaction": True})
    bench.charge()
    assert unlock(bench) == "NotSupported"
    assert reasons(bench) == ["UnlockCommand"]


@pytest.mark.parametrize("state", [available, plugged, finishing, faulted], ids=named)
def test_unlock_without_a_transaction(state: Callable[[Bench], None]) -> None:
    bench = ready()
    state(bench)
    before = bench.statuses()
    assert unlock(bench) == "Unlocked"
    assert bench.statuses() == before


def test_unlock_ends_a_transaction() -> None:
    bench = ready()
    bench.charge()
    n = len(bench.csms.frames)
    assert unlock(bench) == "Unlocked"
    assert said_since(bench, n) == ["conf", "StopTransaction", "StatusNotification"]
    assert reasons(bench) == ["UnlockCommand"]
    assert "idTag" not in bench.sent("StopTransaction")[0]
    assert bench.statuses()[-1] == "Finishing"
    bench.plug_out()
    assert bench.statuses()[-1] == "Available"


def test_unlock_keeps_who_has_not_plugged_in_yet() -> None:
    bench = ready()
    bench.swipe("TAG")
    assert unlock(bench) == "Unlocked"
    bench.plug_in()
    bench.advance(10)
    assert bench.statuses() == ["Available", "Preparing", "Charging"]


@pytest.mark.parametrize(
    ("state", "why"), [(available, []), (plugged, []), (charging, ["UnlockCommand"])], ids=named
)
def test_a_broken_lock_fails_to_unlock(state: Callable[[Bench], None], why: list[str]) -> None:
    bench = ready()
    state(bench)
    bench.evses[0].break_lock(True)
    assert unlock(bench) == "UnlockFailed"
    assert reasons(bench) == why
    assert bench.statuses()[-1] == "Faulted"
    bench.evses[0].break_lock(False)
    assert unlock(bench) == "Unlocked"
    assert not bench.evses[0].locked


def test_unlock_lets_a_held_cable_go() -> None:
    bench = ready(ocpp={"UnlockConnectorOnEVSideDisconnect": "false"})
    bench.charge()
    bench.plug_out()
    assert bench.evses[0].locked
    assert unlock(bench) == "Unlocked"
    assert bench.statuses()[-2:] == ["Finishing", "Available"]


def test_the_answer_waits_for_the_lock() -> None:
    bench = WitnessBench([EvseInfo()], lag_s=2.0)
    bench.connect()
    bench.plug_in()
    bench.advance(2)
    bench.swipe("TAG")
    bench.advance(20)
    assert bench.statuses()[-1] == "Charging"
    n = len(bench.csms.frames)
    assert unlock(bench) is None
    assert "conf" not in said_since(bench, n)
    bench.advance(10)
    answers = [frame[2] for way, frame in bench.csms.frames[n:] if way == "tx" and frame[0] == 3]
    assert answers == [{"status": "Unlocked"}]
    assert reasons(bench) == ["UnlockCommand"]
    assert bench.statuses()[-2:] == ["Charging", "Finishing"]


# --- Reset -----------------------------------------------------------------------


def resettable(connectors: int) -> tuple[Bench, list[float]]:
    """A station that writes down when it went down."""
    bench = ready(connectors)
    down: list[float] = []

    def restart(reason: str) -> bool:
        bench.cp.wind_down(reason, lambda: down.append(bench.clock.now()), 60.0, bench.clock)
        return True

    bench.cp.on_restart = restart
    return bench, down


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_a_reset_answers_and_stops_everything_before_it_goes_down(kind: str) -> None:
    bench, down = resettable(2)
    bench.charge("ANN", 1)
    bench.charge("BOB", 2)
    n = len(bench.csms.frames)
    assert bench.call("Reset", {"type": kind}) == {"status": "Accepted"}
    said = said_since(bench, n)
    assert said[:2] == ["conf", "StopTransaction"]
    assert sorted(said) == ["StatusNotification"] * 2 + ["StopTransaction"] * 2 + ["conf"]
    assert reasons(bench) == [f"{kind}Reset"] * 2
    assert not any("idTag" in payload for payload in bench.sent("StopTransaction"))
    assert down == [bench.clock.now()]
    bench.restart()
    bench.connect()
    assert bench.statuses(1)[-1] == bench.statuses(2)[-1] == "Finishing"
    assert len(reasons(bench)) == 2


def test_a_reset_waits_a_minute_for_the_answers_and_delivers_them_later() -> None:
    bench, down = resettable(1)
    bench.charge()
    bench.csms.answers["StopTransaction"] = lambda payload: None
    asked_at = bench.clock.now()
    assert bench.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
    assert bench.call("Reset", {"type": "Soft"}) == {"status": "Rejected"}, "it is going down already"
    bench.advance(59)
    assert down == []
    bench.advance(10)
    assert down == [asked_at + 60]
    del bench.csms.answers["StopTransaction"]
    bench.restart()
    bench.connect()
    bench.advance(1)
    assert reasons(bench)[-1] == "SoftReset"
    assert not bench.cp.outbox.queued


def test_a_reset_without_a_transaction_goes_down_at_once() -> None:
    bench, down = resettable(1)
    assert bench.call("Reset", {"type": "Hard"}) == {"status": "Accepted"}
    assert down == [bench.clock.now()]


def test_a_reset_that_is_impossible_is_rejected() -> None:
    bench = ready()
    bench.cp.on_restart = lambda reason: False
    assert bench.call("Reset", {"type": "Hard"}) == {"status": "Rejected"}


@pytest.mark.parametrize(
    ("state", "status"),
    [(plugged, "Preparing"), (finishing, "Finishing"), (unavailable, "Unavailable")],
    ids=named,
)
def test_what_a_restart_finds(state: Callable[[Bench], None], status: str) -> None:
    bench = ready()
    state(bench)
    bench.restart()
    bench.connect()
    assert bench.statuses()[-1] == status


def test_nothing_starts_while_the_station_goes_down() -> None:
    bench = ready(2, behaviour={"free_charging_id_tag": "FREE"})
    bench.charge("ANN", 1)
    bench.csms.answers["StopTransaction"] = lambda payload: None
    with bench.cp.turn:
        bench.cp.wind_down("SoftReset", lambda: None, 60.0, bench.clock)
    bench.plug_in(2)
    bench.swipe("BOB", 2)
    bench.advance(20)
    assert [p["connectorId"] for p in bench.sent("StartTransaction")] == [1]


# --- ClearCache -------------------------------------------------------------------


class FailingStore(MemoryStore):
    """Keeps nothing while `full`."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("disk full")
        super().commit()


def test_clear_cache_makes_the_next_card_ask() -> None:
    bench = ready(ocpp={"LocalPreAuthorize": "true"})
    for _ in range(2):
        bench.charge()
        bench.swipe("TAG")
        bench.plug_out()
    assert len(bench.sent("Authorize")) == 1
    assert bench.call("ClearCache", {}) == {"status": "Accepted"}
    bench.charge()
    assert len(bench.sent("Authorize")) == 2


def test_clear_cache_is_rejected_without_a_cache() -> None:
    bench = ready(ocpp={"AuthorizationCacheEnabled": "false"})
    assert bench.call("ClearCache", {}) == {"status": "Rejected"}


def test_clear_cache_is_rejected_if_it_cannot_be_kept() -> None:
    store = FailingStore()
    bench = ready(store=store)
    store.full = True
    bench.csms.say([2, "clear", "ClearCache", {}])
    bench.clock.advance(0)
    assert [type(error) for error in bench.errors] == [StoreError]
    assert ("tx", [3, "clear", {"status": "Rejected"}]) in bench.csms.frames
    bench.errors.clear()


# --- DataTransfer -----------------------------------------------------------------


def test_data_transfer_knows_vendors_and_their_messages() -> None:
    bench = ready()

    def acme(message_id: str | None, data: str | None) -> tuple[str, str | None]:
        return ("Accepted", f"{data}!") if message_id == "echo" else ("UnknownMessageId", None)

    bench.cp.operations.register_vendor("acme", acme)
    answers = [
        bench.call("DataTransfer", {"vendorId": vendor, "messageId": message, "data": "hello"})
        for vendor, message in (("acme", "echo"), ("acme", "sing"), ("other", "echo"))
    ]
    assert answers == [
        {"status": "Accepted", "data": "hello!"},
        {"status": "UnknownMessageId"},
        {"status": "UnknownVendorId"},
    ]
