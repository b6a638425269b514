"""Boot and registration (OCPP 1.6 §4.2; errata 3.22, 3.35; OCPP-J §5.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.ocpp16.bench import Bench

NOW = "2026-01-01T00:00:00Z"


def conf(status: str, interval: Any = 30) -> dict[str, Any]:
    """BootNotification.conf."""
    return {"status": status, "currentTime": NOW, "interval": interval}


def answer_boots(bench: Bench, *answers: Any) -> None:
    """Answer BootNotifications with these in turn, then go on with the last."""
    left = list(answers)
    bench.csms.answers["BootNotification"] = lambda payload: left.pop(0) if len(left) > 1 else left[0]


def registration(status: str, interval: Any = 30, **options: Any) -> Bench:
    """A station that was answered once."""
    bench = Bench(**options)
    answer_boots(bench, conf(status, interval))
    bench.connect()
    return bench


class TestFirstOfAll:
    def test_nothing_but_boot_before_an_answer(self) -> None:
        bench = Bench(
            behaviour={"transactions_before_accepted": True}, ocpp={"AllowOfflineTxForUnknownId": "true"}
        )
        answer_boots(bench, None)
        bench.charge()
        bench.connect()
        bench.advance(29)
        bench.swipe("TAG")
        bench.plug_out()
        bench.advance(300)
        assert set(bench.actions()) == {"BootNotification"}
        assert bench.cp.outbox.queued >= 2

    def test_no_call_is_answered_before_that(self) -> None:
        bench = Bench()
        answer_boots(bench, None)
        bench.connect()
        assert bench.call("GetConfiguration", {}) is None
        assert bench.call("Foo", {}) is None

    def test_the_payload_is_what_the_plate_says(self) -> None:
        bench = registration("Accepted")
        assert bench.sent("BootNotification") == [
            {"chargePointVendor": "Example", "chargePointModel": "Wallbox"}
        ]


class TestRetry:
    """After no usable answer: 60 s, or the last interval above 0, from the sending of the one that failed."""

    @pytest.mark.parametrize(
        ("outcome", "lasts_s"),
        [("InternalError", 0), (None, 30), ({"status": "Perhaps"}, 0), ([], 0), (conf("Accepted", "300"), 0)],
        ids=["CALLERROR", "silence", "unknown status", "no object", "interval in quotes"],
    )
    def test_each_60_s(self, outcome: Any, lasts_s: int) -> None:
        bench = Bench()
        answer_boots(bench, outcome)
        bench.connect()
        bench.advance(200)
        assert bench.times("BootNotification") == [0, 60, 120, 180]
        answer_boots(bench, conf("Accepted"))
        bench.advance(60)
        assert bench.times("BootNotification") == [0, 60, 120, 180, 240]
        assert bench.statuses() == ["Available"]

    def test_or_as_announced_last(self) -> None:
        bench = Bench(ocpp={"MessageTimeout": "5"})
        answer_boots(bench, conf("Pending", 20), None, "InternalError", conf("Rejected", 0), None)
        bench.connect()
        bench.advance(200)
        assert bench.times("BootNotification") == [0, 20, 40, 60, 120, 140, 160, 180, 200]

    def test_a_message_timeout_longer_than_the_wait(self) -> None:
        bench = Bench(ocpp={"MessageTimeout": "100"})
        answer_boots(bench, None)
        bench.connect()
        bench.advance(250)
        assert bench.times("BootNotification") == [0, 100, 200]

    def test_a_lost_link_is_no_attempt(self) -> None:
        bench = Bench()
        answer_boots(bench, None)
        for _ in range(3):
            bench.connect()
            bench.advance(10)
            bench.disconnect()
        bench.connect()
        assert bench.times("BootNotification") == [0, 10, 20, 30]

    def test_an_answer_of_the_connection_before_does_not_count(self) -> None:
        bench = Bench()
        answer_boots(bench, None)
        bench.connect()
        first = bench.csms.frames[-1][1][1]
        bench.disconnect()
        bench.connect()
        bench.csms.say([3, first, conf("Accepted")])
        bench.advance(0)
        assert bench.cp.boot.registration == "Unregistered"


class TestWaits:
    """Pending and Rejected: the interval is the wait for the next BootNotification and nothing else."""

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    @pytest.mark.parametrize("interval", [1, 30, 3600])
    def test_exactly_the_interval(self, status: str, interval: int) -> None:
        bench = registration(status, interval)
        bench.advance(interval * 3)
        assert bench.times("BootNotification") == [0, interval, interval * 2, interval * 3]
        assert bench.cp.configuration.heartbeat_interval_s == 300

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    @pytest.mark.parametrize("interval", [0, -1, -(2**70)])
    def test_without_one_60_s_growing_to_300(self, status: str, interval: int) -> None:
        bench = registration(status, interval)
        bench.advance(1500)
        assert bench.times("BootNotification") == [0, 60, 180, 420, 720, 1020, 1320]

    def test_the_growth_begins_anew_after_an_interval(self) -> None:
        bench = Bench()
        answer_boots(bench, conf("Pending", 0), conf("Pending", 0), conf("Rejected", 10), conf("Pending", 0))
        bench.connect()
        bench.advance(400)
        assert bench.times("BootNotification") == [0, 60, 180, 190, 250, 370]

    @pytest.mark.parametrize("interval", [2**31, 10**30, 10**400])
    @pytest.mark.parametrize("status", ["Pending", "Accepted"])
    def test_an_interval_beyond_reason_breaks_nothing(self, status: str, interval: int) -> None:
        bench = registration(status, interval)
        bench.advance(86_400)
        assert bench.times("BootNotification") == [0]
        assert bench.cp.boot.registration == status
        assert bench.errors == []

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    def test_it_holds_over_a_new_connection(self, status: str) -> None:
        bench = registration(status, 100)
        bench.advance(30)
        bench.disconnect()
        bench.advance(30)
        bench.connect()
        bench.advance(39)
        assert bench.times("BootNotification") == [0]
        bench.advance(1)
        assert bench.times("BootNotification") == [0, 100]
        bench.disconnect()
        bench.advance(500)
        bench.connect()
        assert bench.times("BootNotification") == [0, 100, 600]

    def test_it_holds_from_the_sending_not_from_the_answer(self) -> None:
        bench = Bench()
        answer_boots(bench, None)
        bench.connect()
        bench.advance(20)
        bench.csms.say([3, bench.csms.frames[-1][1][1], conf("Pending", 50)])
        bench.advance(30)
        assert bench.times("BootNotification") == [0, 50]


class TestPending:
    def test_answers_everything_and_begins_nothing(self) -> None:
        bench = registration("Pending", 1000)
        assert (
            bench.call("GetConfiguration", {"key": ["HeartbeatInterval"]})["configurationKey"][0]["value"]
            == "300"
        )
        change = {"key": "HeartbeatInterval", "value": "10"}
        assert bench.call("ChangeConfiguration", change) == {"status": "Accepted"}
        assert bench.call("ClearCache", {}) == {"status": "Accepted"}
        assert bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}) == {
            "status": "Accepted"
        }
        assert bench.call("DataTransfer", {"vendorId": "V"}) == {"status": "UnknownVendorId"}
        assert bench.call("Foo", {}) == "NotImplemented"
        bench.plug_in()
        bench.advance(900)
        assert bench.actions() == ["BootNotification"]

    def test_remote_start_and_stop_are_rejected(self) -> None:
        bench = registration("Pending", 1000, behaviour={"transactions_before_accepted": True})
        bench.plug_in()
        assert bench.call("RemoteStartTransaction", {"idTag": "T", "connectorId": 1}) == {
            "status": "Rejected"
        }
        assert bench.call("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Rejected"}

    def test_queued_messages_wait_and_go_after_the_statuses_on_acceptance(self) -> None:
        bench = registration(
            "Pending",
            50,
            behaviour={"transactions_before_accepted": True},
            ocpp={"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "0"},
        )
        bench.charge()
        bench.swipe("TAG")
        assert bench.actions() == ["BootNotification"]
        answer_boots(bench, conf("Accepted"))
        bench.advance(50)
        assert bench.actions() == [
            "BootNotification",
            "BootNotification",
            "StatusNotification",
            "StatusNotification",
            "StartTransaction",
            "StopTransaction",
        ]

    def test_no_heartbeat(self) -> None:
        bench = registration("Pending", 10_000, ocpp={"HeartbeatInterval": "10"})
        bench.advance(5000)
        assert bench.sent("Heartbeat") == []


class TestRejected:
    def test_is_silent_and_begins_nothing(self) -> None:
        bench = registration("Rejected", 1000)
        for action in ("GetConfiguration", "ClearCache", "Foo", "Heartbeat", "TriggerMessage"):
            assert bench.call(action, {}) is None
        assert bench.call("Reset", {"type": "Nonsense"}) is None
        bench.plug_in()
        bench.swipe("TAG")
        bench.advance(900)
        assert bench.actions() == ["BootNotification"]

    def test_until_it_is_accepted(self) -> None:
        bench = Bench()
        answer_boots(bench, conf("Rejected", 10), conf("Pending", 10), conf("Accepted", 60))
        bench.connect()
        assert bench.call("ClearCache", {}) is None
        bench.advance(10)
        assert bench.call("ClearCache", {}) == {"status": "Accepted"}
        assert bench.sent("StatusNotification") == []
        bench.advance(10)
        assert bench.statuses(0) == bench.statuses(1) == ["Available"]
        bench.advance(300)
        assert bench.times("BootNotification") == [0, 10, 20]
        assert len(bench.sent("Heartbeat")) == 5


class TestAccepted:
    @pytest.mark.parametrize("connectors", [1, 3])
    def test_connector_0_and_every_connector_is_reported(self, connectors: int) -> None:
        bench = Bench(connectors)
        bench.plug_in(connectors)
        bench.connect()
        sent = bench.sent("StatusNotification")
        assert [(s["connectorId"], s["status"], s["errorCode"]) for s in sent] == [
            *((n, "Available", "NoError") for n in range(connectors)),
            (connectors, "Preparing", "NoError"),
        ]

    @pytest.mark.parametrize(
        ("interval", "expected"), [(10, 10), (86_400, 86_400), (0, 300), (-5, 300), (2**40, 2**31 - 1)]
    )
    def test_the_interval_becomes_heartbeat_interval(self, interval: int, expected: int) -> None:
        bench = registration("Accepted", interval)
        asked = bench.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert asked["configurationKey"][0]["value"] == str(expected)
        bench.restart()
        assert bench.cp.configuration.heartbeat_interval_s == expected

    def test_only_this_answer_changes_it(self) -> None:
        bench = Bench()
        answer_boots(bench, conf("Pending", 11), conf("Rejected", 12), conf("Accepted", 13))
        bench.connect()
        seen = []
        for seconds in (11, 12, 1):
            seen.append(bench.cp.configuration.heartbeat_interval_s)
            bench.advance(seconds)
        seen.append(bench.cp.configuration.heartbeat_interval_s)
        assert seen == [300, 300, 13, 13]

    def test_every_boot_is_announced_before_anything_else(self) -> None:
        bench = Bench()
        bench.connect()
        bench.charge()
        for _ in range(2):
            bench.restart()
            before = len(bench.actions())
            bench.connect()
            assert bench.actions()[before : before + 3] == [
                "BootNotification",
                "StatusNotification",
                "StatusNotification",
            ]


class TestReconnection:
    """OCPP-J §5.4: who was accepted since power-up does not boot again."""

    def test_no_boot_and_only_what_changed(self) -> None:
        bench = Bench(3)
        bench.connect()
        bench.disconnect()
        bench.advance(100)
        bench.plug_in(2)
        before = len(bench.csms.frames)
        bench.connect()
        sent = [frame for way, frame in bench.csms.frames[before:] if way == "tx"]
        assert [(f[2], f[3]["connectorId"], f[3]["status"]) for f in sent] == [
            ("StatusNotification", 2, "Preparing")
        ]

    def test_never_a_replay_of_what_was_between(self) -> None:
        bench = Bench(ocpp={"AllowOfflineTxForUnknownId": "true"})
        bench.connect()
        bench.disconnect()
        bench.charge()
        bench.swipe("TAG")
        bench.advance(10)
        bench.plug_out()
        bench.connect()
        assert bench.statuses() == ["Available"]

    def test_the_timestamp_is_that_of_the_change(self) -> None:
        bench = Bench()
        bench.connect()
        bench.disconnect()
        bench.advance(100)
        bench.plug_in()
        bench.advance(50)
        bench.connect()
        assert bench.sent("StatusNotification")[-1]["timestamp"] == "2026-01-01T00:01:40.000Z"

    def test_statuses_go_before_the_queue_even_a_long_one(self) -> None:
        bench = Bench(2, ocpp={"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "10"})
        bench.connect()
        bench.disconnect()
        bench.charge("ONE", 1)
        bench.charge("TWO", 2)
        bench.advance(100)
        before = len(bench.actions())
        bench.connect()
        sent = bench.actions()[before:]
        assert sent[:3] == ["StatusNotification", "StatusNotification", "StartTransaction"]
        assert set(sent[3:]) == {"StartTransaction", "MeterValues"}

    def test_a_status_lost_on_the_way_is_told_again(self) -> None:
        bench = Bench()
        bench.connect()
        bench.csms.answers["StatusNotification"] = lambda payload: None
        bench.plug_in()
        bench.plug_out()
        bench.disconnect()
        del bench.csms.answers["StatusNotification"]
        bench.connect()
        # Preparing was on its way when the link broke: who knows whether it arrived
        assert bench.statuses() == ["Available", "Preparing", "Available"]
        bench.disconnect()
        bench.connect()
        assert bench.statuses() == ["Available", "Preparing", "Available"]

    def test_a_station_never_accepted_starts_from_the_beginning(self) -> None:
        bench = Bench()
        answer_boots(bench, None)
        bench.connect()
        bench.disconnect()
        answer_boots(bench, conf("Accepted"))
        bench.connect()
        assert bench.times("BootNotification") == [0, 0]


class TestAskedAgain:
    """A BootNotification somebody triggers."""

    def trigger(self, bench: Bench) -> None:
        with bench.cp.turn:
            bench.cp.boot.boot_now()
        bench.advance(0)

    def test_while_pending_goes_at_once_and_restarts_the_wait(self) -> None:
        bench = registration("Pending", 100)
        bench.advance(40)
        self.trigger(bench)
        bench.advance(99)
        assert bench.times("BootNotification") == [0, 40]
        bench.advance(1)
        assert bench.times("BootNotification") == [0, 40, 140]

    def test_one_that_waits_for_the_line_will_do(self) -> None:
        bench = registration("Pending", 100)
        answer_boots(bench, None)
        self.trigger(bench)
        self.trigger(bench)
        bench.advance(20)
        assert bench.times("BootNotification") == [0, 0]
        bench.advance(30)

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    def test_an_acceptance_can_be_withdrawn_and_transactions_go_on(self, status: str) -> None:
        bench = Bench(ocpp={"MeterValueSampleInterval": "60"})
        bench.connect()
        bench.charge()
        answer_boots(bench, conf(status, 500), conf("Accepted", 300))
        self.trigger(bench)
        before = len(bench.actions())
        bench.advance(400)
        bench.swipe("TAG")
        bench.advance(90)
        assert bench.actions()[before:] == []
        assert bench.cp.outbox.queued > 5
        assert bench.evses[0].closed is False
        bench.advance(10)
        sent = bench.actions()[before:]
        assert sent[:3] == ["BootNotification", "StatusNotification", "StatusNotification"]
        assert sent[-1] == "StopTransaction"
        assert bench.cp.outbox.queued == 0

    def test_what_waited_for_the_line_is_not_said_then(self) -> None:
        bench = Bench()
        bench.connect()
        answer_boots(bench, None)
        self.trigger(bench)
        bench.plug_in()
        bench.swipe("TAG")
        bench.csms.say([3, bench.csms.frames[-1][1][1], conf("Pending", 60)])
        bench.advance(10)
        assert bench.statuses() == ["Available"]
        assert bench.sent("Authorize") == []
        answer_boots(bench, conf("Accepted"))
        bench.advance(50)
        assert bench.statuses() == ["Available", "Preparing"]

    def test_no_answer_leaves_the_station_accepted_and_beating(self) -> None:
        bench = Bench()
        bench.connect()
        answer_boots(bench, None)
        self.trigger(bench)
        bench.advance(1000)
        assert bench.cp.boot.registration == "Accepted"
        assert bench.times("BootNotification") == [0, *range(0, 1001, 60)]
        answer_boots(bench, conf("Accepted"))
        bench.advance(1000)
        assert len(bench.sent("Heartbeat")) > 20


class TestBeforeTheFirstAcceptance:
    def test_nobody_charges(self) -> None:
        bench = Bench(ocpp={"AllowOfflineTxForUnknownId": "true"})
        bench.charge()
        assert bench.cp.connectors[1].transaction is None
        answer_boots(bench, conf("Rejected"))
        bench.connect()
        bench.swipe("TAG")
        assert bench.cp.connectors[1].transaction is None

    def test_unless_the_operator_allows_it(self) -> None:
        bench = Bench(
            ocpp={"AllowOfflineTxForUnknownId": "true"}, behaviour={"transactions_before_accepted": True}
        )
        bench.charge()
        assert bench.evses[0].closed
        bench.connect()
        assert len(bench.sent("StartTransaction")) == 1

    def test_once_accepted_is_accepted_for_ever(self) -> None:
        bench = Bench(ocpp={"AllowOfflineTxForUnknownId": "true"})
        bench.connect()
        bench.restart()
        bench.charge()
        assert bench.evses[0].closed
