"""Transaction-related messages on their way (OCPP 1.6 §3.7, §4.8; errata 3.18)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.times import parse_time
from tests.unit.ocpp16.bench import START, Bench

RELATED = ("StartTransaction", "MeterValues", "StopTransaction")


def online(**options: Any) -> Bench:
    """A connected station that also charges unknown cards without a link."""
    ocpp = {"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "60", **options.pop("ocpp", {})}
    bench = Bench(ocpp=ocpp, **options)
    bench.connect()
    return bench


def story(bench: Bench) -> list[tuple[str, float]]:
    """Every transaction-related message with the moment it tells, in the order of sending."""
    told: list[tuple[str, float]] = []
    for way, frame in bench.csms.frames:
        if way == "tx" and frame[0] == 2 and frame[2] in RELATED:
            payload = frame[3]
            text = payload["timestamp"] if "timestamp" in payload else payload["meterValue"][0]["timestamp"]
            told.append((frame[2], parse_time(text) - START))
    return told


class TestOffline:
    def test_a_whole_transaction_is_delivered_later_in_its_own_time(self) -> None:
        bench = online()
        bench.disconnect()
        bench.advance(1000)
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(150)
        bench.swipe("TAG")
        bench.advance(5000)
        bench.connect()
        assert story(bench) == [
            ("StartTransaction", 1000),
            ("MeterValues", 1060),
            ("MeterValues", 1120),
            ("StopTransaction", 1150),
        ]
        assert {p["transactionId"] for a in RELATED[1:] for p in bench.sent(a)} == {1}
        assert bench.cp.outbox.queued == 0

    def test_missed_readings_arrive_complete_and_before_newer_ones(self) -> None:
        bench = online()
        bench.charge()
        begun = story(bench)[0][1]
        bench.advance(100)
        bench.disconnect()
        bench.advance(600)
        bench.connect()
        bench.advance(120)
        values = [at - begun for action, at in story(bench) if action == "MeterValues"]
        assert values == [60.0 * n for n in range(1, len(values) + 1)]
        assert len(values) == 13

    def test_one_line_for_all_connectors(self) -> None:
        bench = online(connectors=3)
        bench.disconnect()
        for n in (2, 1, 3):
            bench.charge(f"TAG{n}", n)
            bench.advance(17)
        for n in (3, 2, 1):
            bench.advance(100)
            bench.swipe(f"TAG{n}", n)
        bench.advance(10)
        bench.connect()
        moments = [at for _, at in story(bench)]
        assert moments == sorted(moments)
        assert len(moments) > 8
        ids = {s["connectorId"]: i + 1 for i, s in enumerate(bench.sent("StartTransaction"))}
        assert list(ids) == [2, 1, 3]
        assert all(v["transactionId"] == ids[v["connectorId"]] for v in bench.sent("MeterValues"))
        assert [s["transactionId"] for s in bench.sent("StopTransaction")] == [ids[3], ids[2], ids[1]]

    def test_a_new_message_waits_until_the_queue_is_empty(self) -> None:
        bench = online()
        bench.disconnect()
        bench.charge()
        bench.advance(300)
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.connect()
        bench.advance(20)
        bench.swipe("TAG")
        bench.advance(5)
        assert [action for action, _ in story(bench)] == ["StartTransaction"]
        bench.csms.say(
            [3, bench.csms.frames[-1][1][1], {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}]
        )
        bench.advance(0)
        told = story(bench)
        assert [action for action, _ in told] == ["StartTransaction", *["MeterValues"] * 5, "StopTransaction"]
        assert told == sorted(told, key=lambda message: message[1])

    def test_other_messages_may_overtake(self) -> None:
        bench = online()
        bench.disconnect()
        bench.charge()
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.connect()
        bench.advance(1)
        bench.plug_out()
        assert bench.statuses()[-1] != "Preparing"
        assert [action for action, _ in story(bench)] == ["StartTransaction"]
        assert bench.call("ClearCache", {}) == {"status": "Accepted"}

    def test_the_stop_goes_before_the_status_that_follows_from_it(self) -> None:
        bench = online(ocpp={"MeterValueSampleInterval": "0"})
        bench.charge()
        before = len(bench.actions())
        bench.swipe("TAG")
        assert bench.actions()[before:] == ["StopTransaction", "StatusNotification"]

    def test_a_link_that_breaks_over_and_over_loses_and_repeats_nothing_that_was_answered(self) -> None:
        bench = online()
        bench.disconnect()
        bench.charge()
        bench.advance(600)
        bench.swipe("TAG")
        answered: list[str] = []

        def every_third(payload: dict[str, Any]) -> dict[str, Any] | None:
            answered.append("asked")
            return {} if len(answered) % 3 == 0 else None

        bench.csms.answers["MeterValues"] = every_third
        while bench.cp.outbox.queued:
            bench.connect()
            bench.advance(1)
            bench.disconnect()
        readings = [at for action, at in story(bench) if action == "MeterValues"]
        assert [readings.count(at) for at in sorted(set(readings))] == [3] * 10
        assert readings == sorted(readings)
        assert len(bench.sent("StopTransaction")) == 1


NUMBERS = [1, 0, -1, -2147483648, 2**31 - 1, 2**63]


class TestTheNumber:
    @pytest.mark.parametrize("number", NUMBERS)
    def test_is_whatever_the_central_system_says(self, number: int) -> None:
        bench = online()
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": number,
            "idTagInfo": {"status": "Accepted"},
        }
        bench.charge()
        bench.advance(60)
        assert bench.call("RemoteStopTransaction", {"transactionId": number}) == {"status": "Accepted"}
        assert bench.sent("MeterValues")[0]["transactionId"] == number
        assert bench.sent("StopTransaction")[0]["transactionId"] == number

    def test_may_be_the_same_for_two(self) -> None:
        bench = online(connectors=2)
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": 7,
            "idTagInfo": {"status": "Accepted"},
        }
        bench.charge("ONE", 1)
        bench.charge("TWO", 2)
        bench.swipe("TWO", 2)
        assert bench.statuses(2)[-1] == "Finishing"
        assert bench.statuses(1)[-1] == "Charging"
        bench.swipe("ONE", 1)
        assert [s["idTag"] for s in bench.sent("StopTransaction")] == ["TWO", "ONE"]

    def test_is_not_known_before_the_answer(self) -> None:
        bench = online()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.charge()
        for number in (-1, 0, 1):
            answer = bench.call("RemoteStopTransaction", {"transactionId": number})
            assert answer == {"status": "Rejected"}
        bench.advance(20)
        bench.csms.answers.clear()


class TestRetries:
    def bench(self, attempts: int = 3, interval: int = 60) -> Bench:
        return online(
            ocpp={
                "TransactionMessageAttempts": str(attempts),
                "TransactionMessageRetryInterval": str(interval),
                "MeterValueSampleInterval": "0",
            }
        )

    @pytest.mark.parametrize(
        ("attempts", "interval", "expected"),
        [
            (3, 60, [0, 60, 180]),
            (2, 5, [0, 5]),
            (5, 1, [0, 1, 3, 6, 10]),
            (3, 0, [0, 0, 0]),
            (1, 60, [0]),
            (0, 60, [0]),
        ],
    )
    def test_refused_each_time(self, attempts: int, interval: int, expected: list[int]) -> None:
        bench = self.bench(attempts, interval)
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(1000)
        assert bench.times("StartTransaction") == expected
        assert len({repr(payload) for payload in bench.sent("StartTransaction")}) == 1

    def test_silence_on_a_living_link_counts_and_the_wait_follows_it(self) -> None:
        bench = self.bench()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(1000)
        assert bench.times("StartTransaction") == [0, 90, 240]

    def test_a_lost_link_does_not(self) -> None:
        bench = self.bench(attempts=1)
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        for _ in range(5):
            bench.disconnect()
            bench.advance(10)
            bench.connect()
        assert len(bench.sent("StartTransaction")) == 6
        bench.disconnect()
        del bench.csms.answers["StartTransaction"]
        bench.connect()
        bench.swipe("TAG")
        assert bench.sent("StopTransaction")[0]["transactionId"] == 1

    def test_statuses_and_heartbeats_go_on_meanwhile(self) -> None:
        bench = self.bench(interval=1000)
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        bench.swipe("TAG")
        bench.plug_out()
        bench.advance(900)
        assert bench.statuses()[-1] == "Available"
        assert len(bench.sent("Heartbeat")) >= 2
        assert bench.sent("StopTransaction") == []

    def test_given_up_the_rest_goes_under_minus_one(self) -> None:
        bench = online(ocpp={"MeterValueSampleInterval": "100", "TransactionMessageRetryInterval": "10"})
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(250)
        bench.swipe("TAG")
        assert [action for action, _ in story(bench)] == [
            *["StartTransaction"] * 3,
            *["MeterValues"] * 2,
            "StopTransaction",
        ]
        assert {p["transactionId"] for a in RELATED[1:] for p in bench.sent(a)} == {-1}
        assert [event["message"] for event in bench.events if event["event"] == "error"]
        bench.plug_out()
        del bench.csms.answers["StartTransaction"]
        bench.charge("NEXT")
        bench.swipe("NEXT")
        assert bench.sent("StopTransaction")[-1]["transactionId"] == 1

    def test_the_number_that_comes_too_late_is_used_from_then_on(self) -> None:
        bench = online(ocpp={"MeterValueSampleInterval": "100", "TransactionMessageAttempts": "1"})
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        start = bench.csms.frames[-1][1][1]
        bench.advance(110)
        assert bench.sent("MeterValues")[-1]["transactionId"] == -1
        bench.csms.say([3, start, {"transactionId": 8, "idTagInfo": {"status": "Accepted"}}])
        bench.advance(100)
        assert bench.sent("MeterValues")[-1]["transactionId"] == 8
        assert bench.call("RemoteStopTransaction", {"transactionId": 8}) == {"status": "Accepted"}

    @pytest.mark.parametrize("seconds", [40, 95, 130], ids=["waiting", "second in flight", "waiting again"])
    def test_a_late_answer_to_an_earlier_attempt_counts(self, seconds: int) -> None:
        bench = self.bench()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.plug_in()
        bench.swipe("TAG")
        start = bench.csms.frames[-1][1][1]
        bench.advance(seconds)
        sent = len(bench.sent("StartTransaction"))
        bench.csms.say([3, start, {"transactionId": 8, "idTagInfo": {"status": "Accepted"}}])
        bench.advance(1000)
        assert len(bench.sent("StartTransaction")) == sent
        bench.swipe("TAG")
        assert bench.sent("StopTransaction")[0]["transactionId"] == 8

    def test_a_late_answer_that_refuses_the_card_counts_too(self) -> None:
        bench = self.bench()
        bench.csms.answers["StartTransaction"] = lambda payload: None
        bench.charge()
        start = next(f for way, f in bench.csms.frames if way == "tx" and f[2] == "StartTransaction")[1]
        bench.advance(40)
        bench.csms.say([3, start, {"transactionId": 8, "idTagInfo": {"status": "Blocked"}}])
        bench.advance(20)
        assert bench.sent("StopTransaction")[0]["reason"] == "DeAuthorized"

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("TransactionMessageRetryInterval", 20, [0, 20, 60]),
            ("TransactionMessageRetryInterval", 5, [0, 10, 20]),
            ("TransactionMessageRetryInterval", 0, [0, 10, 10]),
            ("TransactionMessageRetryInterval", 100, [0, 100, 300]),
            ("TransactionMessageAttempts", 2, [0, 60]),
            ("TransactionMessageAttempts", 1, [0]),
            ("TransactionMessageAttempts", 4, [0, 60, 180, 360]),
        ],
    )
    def test_new_values_reach_the_message_that_waits(self, key: str, value: int, expected: list[int]) -> None:
        bench = self.bench()
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(10)
        assert bench.call("ChangeConfiguration", {"key": key, "value": str(value)}) == {"status": "Accepted"}
        bench.advance(1000)
        assert bench.times("StartTransaction") == expected
        bench.swipe("TAG")
        assert bench.sent("StopTransaction")[0]["transactionId"] == -1

    @pytest.mark.parametrize("action", ["MeterValues", "StopTransaction"])
    def test_each_of_the_others_is_given_up_alone(self, action: str) -> None:
        bench = online(
            ocpp={
                "MeterValueSampleInterval": "100",
                "TransactionMessageAttempts": "2",
                "TransactionMessageRetryInterval": "7",
            }
        )
        bench.csms.answers[action] = lambda payload: "InternalError"
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(150)
        bench.swipe("TAG")
        bench.advance(100)
        assert len(bench.sent("MeterValues")) == (2 if action == "MeterValues" else 1)
        assert len(bench.sent("StopTransaction")) == (2 if action == "StopTransaction" else 1)
        assert bench.cp.outbox.queued == 0
        bench.plug_out()
        bench.charge("NEXT")
        assert len(bench.sent("StartTransaction")) == 2


def test_delivered_transactions_leave_nothing_in_memory() -> None:
    bench = online(ocpp={"MeterValueSampleInterval": "0"})
    for n in range(30):
        if n == 10:
            bench.csms.answers["StopTransaction"] = lambda payload: "InternalError"
        bench.charge()
        bench.swipe("TAG")
        bench.plug_out()
        bench.advance(400)
    assert bench.cp.outbox.queued == 0
    assert list(bench.store.items("transaction")) == []
    assert list(bench.store.items("record")) == []
