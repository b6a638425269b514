"""Power cuts and a store that fails (OCPP 1.6 §3.7, §4.8): persist first, then act."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chargepoint.domain.running import Claim
from chargepoint.errors import StoreError
from chargepoint.ocpp16.times import parse_time
from chargepoint.store import MemoryStore
from tests.unit.ocpp16.bench import START, Answer, Bench

STARTING = {"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "60"}


class Disk(MemoryStore):
    """A store that outlives power cuts, and cannot be written while it is `full`."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def commit(self) -> None:
        if self.full and self._undo:
            raise StoreError("the disk is full")
        super().commit()


def on_disk(**options: Any) -> Bench:
    """A connected station with a disk."""
    ocpp = {**STARTING, **options.pop("ocpp", {})}
    bench = Bench(ocpp=ocpp, store=Disk(), **options)
    bench.connect()
    return bench


def tell(bench: Bench, action: str) -> list[str]:
    """The payloads of all CALLs of an action, as text."""
    return [json.dumps(payload, sort_keys=True) for payload in bench.sent(action)]


def power_cut(bench: Bench, for_s: float = 50.0) -> None:
    """Off, on, and connected again."""
    bench.disconnect()
    bench.restart()
    bench.advance(for_s)
    bench.connect()


def disk(bench: Bench) -> Disk:
    """Its disk."""
    assert isinstance(bench.store, Disk)
    return bench.store


class TestBetweenTwoMoments:
    """The power goes at each point of a session, case by case."""

    def test_before_anything_is_stored_there_is_no_transaction(self) -> None:
        bench = on_disk(ocpp={"AllowOfflineTxForUnknownId": "false"})
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        power_cut(bench)
        bench.advance(1000)
        assert bench.sent("StartTransaction") == bench.sent("StopTransaction") == []
        assert bench.statuses()[-1] == "Preparing"

    def test_stored_and_not_sent(self) -> None:
        bench = on_disk()
        bench.disconnect()
        bench.charge()
        begun = bench.cp.connectors[1].transaction
        assert begun is not None
        power_cut(bench)
        assert parse_time(bench.sent("StartTransaction")[0]["timestamp"]) == begun.started_at
        assert bench.actions()[-2:] == ["StartTransaction", "StopTransaction"]
        assert bench.sent("StopTransaction")[0]["reason"] == "PowerLoss"
        assert bench.sent("StopTransaction")[0]["transactionId"] == 1

    def test_sent_and_not_answered(self) -> None:
        bench = on_disk()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.charge()
        del bench.csms.answers["StartTransaction"]
        power_cut(bench)
        first, second = tell(bench, "StartTransaction")
        assert first == second
        assert bench.sent("StopTransaction")[0]["transactionId"] == 1

    def test_answered(self) -> None:
        bench = on_disk()
        bench.charge()
        power_cut(bench)
        assert len(bench.sent("StartTransaction")) == 1
        stop = bench.sent("StopTransaction")[0]
        assert (stop["transactionId"], stop["reason"]) == (1, "PowerLoss")
        assert "idTag" not in stop
        assert bench.statuses()[-1] == "Finishing"
        bench.plug_out()
        assert bench.statuses()[-1] == "Available"

    def test_refused_so_often_that_it_was_given_up(self) -> None:
        bench = on_disk(ocpp={"TransactionMessageAttempts": "1"})
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        power_cut(bench)
        assert len(bench.sent("StartTransaction")) == 1
        assert bench.sent("StopTransaction")[0]["transactionId"] == -1

    def test_attempts_go_on_being_counted(self) -> None:
        bench = on_disk()
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        bench.advance(61)
        assert len(bench.sent("StartTransaction")) == 2
        power_cut(bench)
        assert len(bench.sent("StartTransaction")) == 3
        bench.advance(1000)
        assert len(bench.sent("StartTransaction")) == 3
        assert bench.sent("StopTransaction")[0]["transactionId"] == -1

    def test_the_stop_stored_and_not_sent(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.disconnect()
        bench.swipe("TAG")
        bench.advance(30)
        ended = bench.clock.now() - 30
        power_cut(bench)
        stop = bench.sent("StopTransaction")[0]
        assert (stop["reason"], stop["idTag"]) == ("Local", "TAG")
        assert parse_time(stop["timestamp"]) == pytest.approx(ended, abs=0.001)

    def test_the_stop_sent_and_not_answered(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.csms.answers["StopTransaction"] = lambda payload: None
        bench.swipe("TAG")
        bench.advance(5)
        del bench.csms.answers["StopTransaction"]
        power_cut(bench)
        first, second = tell(bench, "StopTransaction")
        assert first == second

    def test_after_everything(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.swipe("TAG")
        power_cut(bench)
        power_cut(bench)
        assert len(bench.sent("StartTransaction")) == len(bench.sent("StopTransaction")) == 1


class TestTheEnd:
    """StopTransaction(PowerLoss): the moment of what was kept last, and the register after the boot."""

    def test_its_moment_is_at_most_a_minute_old(self) -> None:
        bench = on_disk(ocpp={"MeterValueSampleInterval": "0"})
        bench.charge()
        for seconds in (0, 37, 500):
            bench.advance(seconds)
        cut = bench.clock.now()
        power_cut(bench, for_s=10_000)
        at = parse_time(bench.sent("StopTransaction")[0]["timestamp"])
        assert cut - 60 <= at <= cut

    def test_what_flowed_is_in_the_register(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.advance(1000)
        bench.evses[0].set_register(123_456.7)
        power_cut(bench)
        assert bench.sent("StopTransaction")[0]["meterStop"] == 123_456

    @pytest.mark.parametrize("after_wh", [0.0, 12.0])
    def test_a_register_that_went_back_is_not_believed(self, after_wh: float) -> None:
        bench = on_disk()
        bench.evses[0].set_register(5000.0)
        bench.charge()
        bench.advance(600)
        kept = bench.sent("MeterValues")[-1]["meterValue"][0]["sampledValue"][0]["value"]
        bench.evses[0].set_register(after_wh)
        power_cut(bench)
        assert bench.sent("StopTransaction")[0]["meterStop"] >= float(kept) - 1

    def test_transaction_data_survives(self) -> None:
        bench = on_disk(ocpp={"StopTxnSampledData": "Energy.Active.Import.Register"})
        bench.charge()
        bench.advance(200)
        power_cut(bench)
        data = bench.sent("StopTransaction")[0]["transactionData"]
        contexts = [value["sampledValue"][0]["context"] for value in data]
        assert contexts == ["Transaction.Begin", *["Sample.Periodic"] * 3, "Transaction.End"]

    def test_it_goes_only_after_acceptance(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Pending",
            "currentTime": "2026-01-01T00:00:00Z",
            "interval": 100,
        }
        power_cut(bench)
        bench.advance(50)
        assert bench.sent("StopTransaction") == []
        del bench.csms.answers["BootNotification"]
        bench.advance(50)
        assert len(bench.sent("StopTransaction")) == 1

    def test_a_second_cut_before_that_changes_nothing(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.advance(100)
        bench.disconnect()
        bench.restart()
        bench.advance(1000)
        once = [document for _, document in bench.store.items("record")]
        bench.restart()
        assert [document for _, document in bench.store.items("record")] == once
        bench.connect()
        assert len(bench.sent("StopTransaction")) == 1

    def test_several_connectors(self) -> None:
        bench = on_disk(connectors=3)
        for n in (1, 2, 3):
            bench.charge(f"TAG{n}", n)
        bench.advance(100)
        power_cut(bench)
        assert sorted(stop["transactionId"] for stop in bench.sent("StopTransaction")) == [1, 2, 3]
        bench.advance(1000)
        assert bench.cp.outbox.queued == 0

    def test_a_station_that_lost_a_connector_ends_its_transaction_too(self) -> None:
        bench = on_disk(connectors=2, behaviour={"resume_tx_after_power_loss": True})
        bench.charge("ONE", 1)
        bench.charge("TWO", 2)
        kept = bench.cp.connectors[2].transaction
        bench.disconnect()
        bench.evses.pop()
        bench.evses[0].set_register(1e6)
        bench.restart()
        bench.connect()
        stop = bench.sent("StopTransaction")
        assert kept is not None
        assert [(s["transactionId"], s["reason"]) for s in stop] == [(2, "PowerLoss")]
        assert stop[0]["meterStop"] < 1e5
        bench.advance(10)
        assert bench.statuses()[-1] == "Charging"


class TestResuming:
    """The operator may choose that a transaction goes on."""

    def test_it_goes_on_and_ends_once(self) -> None:
        bench = on_disk(behaviour={"resume_tx_after_power_loss": True})
        bench.charge()
        bench.advance(100)
        power_cut(bench)
        bench.advance(100)
        assert bench.statuses()[-1] == "Charging"
        bench.swipe("TAG")
        assert [stop["reason"] for stop in bench.sent("StopTransaction")] == ["Local"]
        assert len(bench.sent("StartTransaction")) == 1

    def test_not_without_its_cable(self) -> None:
        bench = on_disk(behaviour={"resume_tx_after_power_loss": True})
        bench.charge()
        bench.disconnect()
        bench.cp.close()
        bench.evses[0].plug_out()
        bench.make()
        bench.connect()
        assert [stop["reason"] for stop in bench.sent("StopTransaction")] == ["PowerLoss"]
        assert bench.statuses()[-1] == "Available"


class Cutter:
    """A central system that falls silent with the k-th CALL, whether it still heard it or not."""

    def __init__(self, bench: Bench, silent_from: int) -> None:
        self.bench = bench
        self.left = silent_from
        self.numbers: list[int] = []  # of transactions, as far as the station was told
        for action in (
            "BootNotification",
            "StatusNotification",
            "Authorize",
            "MeterValues",
            "StopTransaction",
        ):
            bench.csms.answers[action] = self.wrapped(self.usual(action))
        bench.csms.answers["StartTransaction"] = self.wrapped(self.start)

    @property
    def silent(self) -> bool:
        return self.left <= 0

    def wrapped(self, answer: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def counted(payload: dict[str, Any]) -> Answer:
            self.left -= 1
            return None if self.silent else answer(payload)

        return counted

    def usual(self, action: str) -> Callable[[dict[str, Any]], Answer]:
        return lambda payload: self.bench.csms.usual(action)(payload)

    def start(self, payload: dict[str, Any]) -> Answer:
        self.numbers.append(100 + len(self.numbers))
        return {"transactionId": self.numbers[-1], "idTagInfo": {"status": "Accepted"}}

    def listen(self) -> None:
        self.left = 10**9


def session(bench: Bench) -> Iterator[None]:
    """A charging session, in small steps."""
    bench.connect()
    yield
    bench.plug_in()
    yield
    bench.swipe("TAG")
    for _ in range(200):
        yield
        bench.advance(1)
    bench.swipe("TAG")
    for _ in range(12):
        yield
        bench.advance(1)
    bench.plug_out()
    yield


@pytest.mark.parametrize("k", range(1, 17))
@pytest.mark.parametrize("data", ["", "Energy.Active.Import.Register"], ids=["", "with transactionData"])
def test_a_cut_at_any_message(k: int, data: str) -> None:
    """Nothing is lost, nothing is told in two ways, and everything is told in order."""
    bench = Bench(ocpp={**STARTING, "StopTxnSampledData": data}, store=Disk())
    cutter = Cutter(bench, k)
    for _ in session(bench):
        if cutter.silent:
            break
    cutter.listen()
    bench.disconnect()
    running = bench.cp.connectors[1].transaction is not None
    bench.restart()
    bench.advance(50)
    bench.connect()
    bench.advance(1000)
    assert bench.cp.outbox.queued == 0
    assert bench.errors == []
    starts, stops = tell(bench, "StartTransaction"), tell(bench, "StopTransaction")
    assert len(set(starts)) == len(set(stops)) == (1 if starts else 0)
    assert len(starts) <= 2
    assert len(stops) <= 2
    for value in (*bench.sent("MeterValues"), *bench.sent("StopTransaction")):
        assert value["transactionId"] == cutter.numbers[-1]
    if stops:
        reason = bench.sent("StopTransaction")[0]["reason"]
        assert reason == ("PowerLoss" if running else "Local")
    readings = [parse_time(value["meterValue"][0]["timestamp"]) for value in bench.sent("MeterValues")]
    assert readings == sorted(readings)
    begun = [parse_time(start["timestamp"]) for start in bench.sent("StartTransaction")]
    assert sorted(set(readings)) == [begun[0] + 60 * n for n in range(1, len(set(readings)) + 1)]


def test_the_cuts_above_reach_every_kind_of_message() -> None:
    bench = Bench(ocpp=STARTING, store=Disk())
    for _ in session(bench):
        pass
    assert len(bench.actions()) >= 12
    assert bench.actions()[-3:] == ["StopTransaction", "StatusNotification", "StatusNotification"]


class TestAPastLife:
    """What the software of before was waiting for is nothing to the one that runs now."""

    def test_an_authorize_in_flight_starts_nothing(self) -> None:
        bench = on_disk()
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        bench.restart()
        bench.advance(100)
        assert bench.cp.connectors[1].transaction is None
        assert list(bench.store.items("transaction")) == []
        assert not bench.evses[0].closed

    def test_an_answer_to_it_is_not_heard(self) -> None:
        bench = on_disk()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.charge()
        old = bench.csms.frames[-1][1][1]
        del bench.csms.answers["StartTransaction"]
        power_cut(bench)
        answered = bench.sent("StopTransaction")[0]["transactionId"]
        bench.csms.say([3, old, {"transactionId": 77, "idTagInfo": {"status": "Accepted"}}])
        bench.advance(100)
        assert answered == 1
        assert len(bench.sent("StopTransaction")) == 1

    def test_an_unlock_that_was_being_watched_lets_nothing_go(self) -> None:
        bench = on_disk()
        bench.charge()
        bench.evses[0].break_lock(True)
        bench.csms.say([2, "u", "UnlockConnector", {"connectorId": 1}])
        bench.advance(0.2)
        bench.restart()
        before = list(bench.store.items("connector"))
        bench.advance(100)
        assert list(bench.store.items("connector")) == before
        assert [frame for way, frame in bench.csms.frames if way == "tx" and frame[1] == "u"] in (
            [],
            [[3, "u", {"status": "UnlockFailed"}]],
        )

    def test_whatever_still_reaches_it_has_no_effect(self) -> None:
        bench = on_disk()
        bench.plug_in()
        old = bench.cp
        bench.disconnect()
        bench.restart()
        before = list(bench.store.items("record"))
        with old.turn:
            old.connectors[1].claimed(Claim("TAG"))
            old.link_up(bench.csms)
        bench.connect()
        bench.advance(100)
        assert bench.sent("StartTransaction") == []
        assert bench.evses[0].offered.zero
        assert list(bench.store.items("record")) == before

    def test_a_queue_of_cards_is_forgotten(self) -> None:
        bench = on_disk(connectors=2)
        bench.csms.answers["Authorize"] = lambda payload: None
        for n in (1, 2):
            bench.plug_in(n)
            bench.swipe(f"TAG{n}", n)
        bench.restart()
        bench.connect()
        bench.advance(100)
        assert [request["idTag"] for request in bench.sent("Authorize")] == ["TAG1"]


class TestAFullDisk:
    """A start that cannot be stored does not happen; a stop opens the contactor and is stored again later."""

    def swipe(self, bench: Bench) -> None:
        """A card, whatever the disk says to it."""
        with bench.cp.turn:
            bench.cp.connectors.reception.tag_presented("TAG", None)
        bench.clock.advance(0)

    def mend(self, bench: Bench) -> None:
        """The disk can be written again."""
        assert {type(error) for error in bench.errors} == {StoreError}
        bench.errors.clear()
        disk(bench).full = False

    def test_no_start(self) -> None:
        bench = on_disk()
        bench.plug_in()
        disk(bench).full = True
        before = len(bench.actions())
        self.swipe(bench)
        bench.clock.advance(100)
        assert not bench.evses[0].closed
        assert bench.evses[0].offered.zero
        assert bench.actions()[before:] == ["Authorize"]
        assert bench.statuses() == ["Available", "Preparing"]
        assert [e["message"] for e in bench.events if e["event"] == "error"] == [
            "a transaction could not be stored and did not start"
        ]
        self.mend(bench)
        bench.advance(100)
        assert bench.sent("StartTransaction") == []
        assert list(bench.store.items("record")) == list(bench.store.items("transaction")) == []
        bench.swipe("TAG")
        assert len(bench.sent("StartTransaction")) == 1
        assert bench.evses[0].offered.current_a > 0

    def test_not_even_after_a_power_cut(self) -> None:
        bench = on_disk()
        bench.plug_in()
        disk(bench).full = True
        self.swipe(bench)
        self.mend(bench)
        power_cut(bench)
        bench.advance(100)
        assert bench.sent("StartTransaction") == bench.sent("StopTransaction") == []

    def test_a_stop_is_delivered_when_it_could_be_stored(self) -> None:
        bench = on_disk()
        bench.charge()
        disk(bench).full = True
        before = len(bench.actions())
        ended = bench.clock.now()
        self.swipe(bench)
        bench.clock.advance(25)
        assert not bench.evses[0].closed
        assert "StopTransaction" not in bench.actions()[before:]
        assert bench.statuses()[-1] == "Finishing"
        self.mend(bench)
        bench.advance(10)
        stop = bench.sent("StopTransaction")[0]
        assert stop["reason"] == "Local"
        assert parse_time(stop["timestamp"]) == pytest.approx(ended, abs=0.001)
        assert bench.cp.outbox.queued == 0

    def test_a_running_session_goes_on(self) -> None:
        bench = on_disk()
        bench.charge()
        begun = parse_time(bench.sent("StartTransaction")[0]["timestamp"]) - START
        disk(bench).full = True
        bench.clock.advance(300)
        assert bench.evses[0].closed
        assert bench.statuses()[-1] == "Charging"
        assert bench.errors
        assert bench.sent("MeterValues") == []
        self.mend(bench)
        bench.advance(20)
        stamps = [
            parse_time(v["meterValue"][0]["timestamp"]) - START - begun for v in bench.sent("MeterValues")
        ]
        assert stamps == [60, 120, 180, 240, 300]
        bench.swipe("TAG")
        assert len(bench.sent("StopTransaction")) == 1

    def test_only_the_start_is_undone_not_the_session_beside_it(self) -> None:
        bench = on_disk(connectors=2)
        bench.charge("ONE", 1)
        bench.plug_in(2)
        disk(bench).full = True
        with bench.cp.turn:
            bench.cp.connectors.reception.tag_presented("TWO", 2)
        bench.clock.advance(30)
        assert bench.evses[0].closed
        assert not bench.evses[1].closed
        self.mend(bench)
        bench.advance(60)
        assert len(bench.sent("StartTransaction")) == 1

    def test_calls_of_theirs_are_answered_all_the_same(self) -> None:
        bench = on_disk()
        disk(bench).full = True
        bench.csms.say([2, "a", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "77"}])
        bench.clock.advance(1)
        assert bench.csms.frames[-1] == ("tx", [3, "a", {"status": "Accepted"}])
        self.mend(bench)
        bench.advance(20)
        power_cut(bench)
        assert bench.call("ClearCache", {}) == {"status": "Accepted"}

    def test_it_tries_again_each_ten_seconds(self) -> None:
        bench = on_disk()
        bench.charge()
        disk(bench).full = True
        self.swipe(bench)
        failures = []
        for _ in range(35):
            bench.clock.advance(1)
            failures.append(len(bench.errors))
        assert failures[-1] <= 6
        self.mend(bench)
        bench.advance(10)
        assert len(bench.sent("StopTransaction")) == 1
