"""SecurityEventNotification and the security log (whitepaper A04; OCPP-J 1.6 §4.2.3)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from chargepoint.ocpp16.security import events
from chargepoint.ocpp16.security.events import EVENTS, MOST_WAITING
from chargepoint.ocpp16.security.log import BLOCK, MOST_BLOCKS, SecurityLog
from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.store import MemoryStore
from tests.unit.ocpp16.bench import START, Bench

NOTIFICATION = "SecurityEventNotification"


def station(*, connected: bool = True, **options: Any) -> Bench:
    """A station that tells its security events."""
    bench = Bench(security_events=True, **options)
    if connected:
        bench.connect()
    return bench


def report(bench: Bench, *kinds: str, tech_info: str = "") -> None:
    """Something happens, in a turn of its own each."""
    for kind in kinds:
        with bench.cp.turn:
            bench.cp.security_events.report(kind, tech_info)
    bench.advance(0)


def told(bench: Bench) -> list[str]:
    """The types of all events that were sent, repetitions included."""
    return [payload["type"] for payload in bench.sent(NOTIFICATION)]


def logged(bench: Bench) -> list[tuple[str, str]]:
    """What the security log says, without the moments."""
    return [(kind, tech_info) for _, kind, tech_info in bench.cp.security_events.log.entries()]


def answer(bench: Bench, how: dict[str, Any] | str | None) -> None:
    """How the central system answers security events from now on."""
    bench.csms.answers[NOTIFICATION] = lambda payload: how


class TestPolicy:
    def test_the_list_is_the_whitepapers(self) -> None:
        assert len(EVENTS) == 18
        assert {kind for kind, rule in EVENTS.items() if rule.critical} == {
            "FirmwareUpdated",
            "MemoryExhaustion",
            "ResetOrReboot",
            "SecurityLogWasCleared",
            "SettingSystemTime",
            "StartupOfTheDevice",
            "TamperDetectionActivated",
        }

    @pytest.mark.parametrize("kind", sorted(EVENTS))
    @pytest.mark.parametrize("policy", ["required", "all"])
    def test_what_is_told_and_what_is_only_logged(self, kind: str, policy: str) -> None:
        bench = station(compatibility={"security_events": policy})
        before = told(bench)
        report(bench, kind, tech_info="why")
        wanted = EVENTS[kind].critical or EVENTS[kind].sent or policy == "all"
        assert told(bench)[len(before) :] == ([kind] if wanted else [])
        assert logged(bench)[-1] == (kind, "why")

    def test_a_vendors_own_event_is_told(self) -> None:
        bench = station()
        report(bench, "X" * 60, tech_info="y" * 300)
        payload = bench.sent(NOTIFICATION)[-1]
        assert (payload["type"], payload["techInfo"]) == ("X" * 50, "y" * 255)

    def test_nothing_is_told_where_that_is_switched_off(self) -> None:
        bench = station(ocpp={"DisableSecurityEventNotifications": "true"})
        report(bench, "TamperDetectionActivated")
        assert told(bench) == []
        assert logged(bench) == [("StartupOfTheDevice", ""), ("TamperDetectionActivated", "")]

    def test_switched_off_and_on_again(self) -> None:
        bench = station()
        key = {"key": "DisableSecurityEventNotifications"}
        assert bench.call("ChangeConfiguration", key | {"value": "true"}) == {"status": "Accepted"}
        report(bench, "FirmwareUpdated")
        assert bench.call("ChangeConfiguration", key | {"value": "false"}) == {"status": "Accepted"}
        report(bench, "TamperDetectionActivated")
        assert told(bench) == ["StartupOfTheDevice", "TamperDetectionActivated"]
        change = ("ReconfigurationOfSecurityParameters", "DisableSecurityEventNotifications")
        assert logged(bench).count(change) == 2

    def test_without_tech_info_there_is_none(self) -> None:
        assert station().sent(NOTIFICATION) == [
            {"type": "StartupOfTheDevice", "timestamp": "2026-01-01T00:00:00.000Z"}
        ]


class TestOrder:
    def test_at_boot_statuses_go_first(self) -> None:
        assert station(connectors=2).actions() == [
            "BootNotification",
            *["StatusNotification"] * 3,
            NOTIFICATION,
        ]

    def test_transaction_records_go_before_events(self) -> None:
        bench = station()
        bench.charge()
        bench.disconnect()
        report(bench, "TamperDetectionActivated", "FirmwareUpdated")
        bench.plug_out()
        bench.advance(30)
        before = len(bench.actions())
        bench.connect()
        after = [a for a in bench.actions()[before:] if a != "StatusNotification"]
        assert after == ["StopTransaction", NOTIFICATION, NOTIFICATION]

    def test_one_at_a_time_in_order_with_the_moment_it_happened(self) -> None:
        bench = station(connected=False)
        for n in range(5):
            bench.advance(10)
            report(bench, "TamperDetectionActivated", tech_info=str(n))
        bench.advance(100)
        bench.connect()
        assert [p.get("techInfo", "") for p in bench.sent(NOTIFICATION)] == ["", *"01234"]
        moments = [parse_time(p["timestamp"]) - START for p in bench.sent(NOTIFICATION)]
        assert moments == [0, 10, 20, 30, 40, 50]

    @pytest.mark.parametrize("status", ["Pending", "Rejected"])
    def test_nothing_before_acceptance(self, status: str) -> None:
        bench = station(connected=False)
        boot = {"status": status, "interval": 30}
        bench.csms.answers["BootNotification"] = lambda payload: {
            **boot,
            "currentTime": format_time(bench.clock.now()),
        }
        bench.connect()
        report(bench, "TamperDetectionActivated")
        assert told(bench) == []
        boot["status"] = "Accepted"
        bench.advance(31)
        assert told(bench) == ["StartupOfTheDevice", "TamperDetectionActivated"]

    def test_behind_a_record_that_is_not_taken_it_does_not_wait(self) -> None:
        bench = station()
        bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
        bench.charge()
        report(bench, "TamperDetectionActivated")
        assert bench.cp.outbox.queued
        assert told(bench)[-1] == "TamperDetectionActivated"


class TestDelivery:
    def test_lost_with_the_link_it_goes_again_over_the_next(self) -> None:
        bench = station()
        answer(bench, None)
        report(bench, "TamperDetectionActivated")
        bench.disconnect()
        answer(bench, {})
        bench.connect()
        assert told(bench)[1:] == ["TamperDetectionActivated"] * 2
        bench.disconnect()
        bench.connect()
        assert len(told(bench)) == 3

    def test_silence_never_ends_the_attempts_and_holds_up_nothing_else(self) -> None:
        bench = station(ocpp={"TransactionMessageRetryInterval": "60", "HeartbeatInterval": "0"})
        answer(bench, None)
        report(bench, "TamperDetectionActivated")
        bench.charge()
        assert bench.sent("StartTransaction") == []  # the line is taken until the answer is overdue
        bench.advance(30)
        assert bench.sent("StartTransaction")
        bench.advance(4 * 3600)
        times = bench.times(NOTIFICATION)[1:]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[:3] == [90, 150, 210]
        assert max(gaps) <= 3600 + 60
        assert len(times) > 10
        answer(bench, {})
        bench.advance(3700)
        assert bench.cp.security_events.waiting == 0

    def test_in_silence_others_have_the_line_as_long(self) -> None:
        bench = station(ocpp={"TransactionMessageRetryInterval": "0", "HeartbeatInterval": "0"})
        answer(bench, None)
        report(bench, "TamperDetectionActivated")
        bench.advance(120)
        times = bench.times(NOTIFICATION)[1:]
        assert [at - times[0] for at in times] == [0, 60]

    def test_a_new_connection_ends_the_wait(self) -> None:
        bench = station()
        answer(bench, None)
        report(bench, "TamperDetectionActivated")
        bench.advance(31)
        answer(bench, {})
        bench.disconnect()
        bench.connect()
        assert bench.cp.security_events.waiting == 0

    @pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
    def test_a_plain_central_system_sees_one_per_boot(self, code: str) -> None:
        bench = station(connected=False)
        answer(bench, code)
        report(bench, *["TamperDetectionActivated"] * 10)
        bench.connect()
        bench.advance(86_400)
        bench.disconnect()
        bench.connect()
        bench.advance(86_400)
        assert told(bench) == ["StartupOfTheDevice"]
        bench.restart()
        bench.connect()
        assert told(bench) == ["StartupOfTheDevice"] * 2
        answer(bench, {})
        bench.restart()
        bench.connect()
        assert len(told(bench)) == 2 + 1 + 10 + 2

    def test_refused_it_is_tried_as_often_as_transaction_messages(self) -> None:
        bench = station()
        answer(bench, "InternalError")
        report(bench, "TamperDetectionActivated", "FirmwareUpdated")
        bench.advance(86_400)
        assert told(bench)[1:] == ["TamperDetectionActivated"] * 3
        first = bench.times(NOTIFICATION)[1]
        assert [at - first for at in bench.times(NOTIFICATION)[1:]] == [0, 60, 180]
        answer(bench, {})
        bench.restart()
        bench.connect()
        assert told(bench)[4:] == ["TamperDetectionActivated", "FirmwareUpdated", "StartupOfTheDevice"]

    def test_an_answer_with_odd_content_is_an_answer(self) -> None:
        bench = station()
        answer(bench, {"status": "Accepted"})
        report(bench, "TamperDetectionActivated")
        bench.advance(600)
        assert told(bench) == ["StartupOfTheDevice", "TamperDetectionActivated"]

    def test_transactions_never_wait_for_events(self) -> None:
        bench = station(connected=False)
        report(bench, *["TamperDetectionActivated"] * 300)
        answer(bench, "InternalError")
        bench.connect()
        bench.charge()
        assert bench.sent("StartTransaction")
        assert bench.cp.outbox.queued == 0


class TestPowerCuts:
    def test_before_it_was_sent(self) -> None:
        bench = station(connected=False)
        report(bench, "TamperDetectionActivated")
        bench.advance(60)
        bench.restart()
        bench.connect()
        assert told(bench) == ["StartupOfTheDevice", "TamperDetectionActivated", "StartupOfTheDevice"]
        moments = [parse_time(p["timestamp"]) - START for p in bench.sent(NOTIFICATION)]
        assert moments == [0, 0, 60]

    def test_sent_and_not_answered(self) -> None:
        bench = station()
        answer(bench, None)
        report(bench, "TamperDetectionActivated")
        answer(bench, {})
        bench.restart()
        bench.connect()
        assert told(bench)[1:] == ["TamperDetectionActivated"] * 2 + ["StartupOfTheDevice"]

    def test_after_the_answer(self) -> None:
        bench = station()
        report(bench, "TamperDetectionActivated")
        bench.restart()
        bench.connect()
        assert told(bench)[2:] == ["StartupOfTheDevice"]

    def test_while_it_waits_for_its_next_attempt(self) -> None:
        bench = station()
        answer(bench, "InternalError")
        report(bench, "TamperDetectionActivated")
        answer(bench, {})
        bench.restart()
        bench.connect()
        bench.advance(300)
        assert told(bench)[1:] == ["TamperDetectionActivated"] * 2 + ["StartupOfTheDevice"]

    def test_before_it_was_stored_it_never_was(self) -> None:
        bench = station(connected=False)
        bench.cp.security_events.report("TamperDetectionActivated")
        bench.restart()
        bench.connect()
        assert told(bench) == ["StartupOfTheDevice"] * 2


class TestTooMany:
    def test_of_2000_critical_events_the_newest_are_kept(self) -> None:
        bench = station(connected=False)
        for n in range(2_000):
            with bench.cp.turn:
                bench.cp.security_events.report("TamperDetectionActivated", str(n))
        assert bench.cp.security_events.waiting <= MOST_WAITING
        bench.restart()
        assert bench.cp.security_events.waiting <= MOST_WAITING
        bench.connect()
        assert bench.cp.security_events.waiting == 0
        payloads = bench.sent(NOTIFICATION)
        numbers = [int(p["techInfo"]) for p in payloads if p["type"] == "TamperDetectionActivated"]
        assert numbers == list(range(2_000 - len(numbers), 2_000))
        assert len(numbers) > MOST_WAITING * 0.85
        assert "MemoryExhaustion" in told(bench)

    def test_what_is_not_critical_goes_first(self) -> None:
        bench = station(connected=False)
        for n in range(MOST_WAITING):
            kind = "InvalidFirmwareSignature" if n % 5 == 0 else "TamperDetectionActivated"
            with bench.cp.turn:
                bench.cp.security_events.report(kind, str(n))
        bench.connect()
        payloads = bench.sent(NOTIFICATION)
        assert sum(p["type"] == "TamperDetectionActivated" for p in payloads) == MOST_WAITING * 4 // 5
        kept = [int(p["techInfo"]) for p in payloads if p["type"] == "InvalidFirmwareSignature"]
        assert kept == list(range(500, 1000, 5))
        assert told(bench).count("MemoryExhaustion") == 1

    def test_the_one_on_its_way_stays(self) -> None:
        bench = station()
        answer(bench, None)
        report(bench, "InvalidFirmwareSignature")
        for _ in range(MOST_WAITING):
            with bench.cp.turn:
                bench.cp.security_events.report("TamperDetectionActivated")
        answer(bench, {})
        bench.csms.say([3, last_call(bench), {}])
        bench.advance(0)
        assert bench.cp.security_events.waiting == 0
        assert told(bench).count("InvalidFirmwareSignature") == 1


def last_call(bench: Bench) -> str:
    return next(str(f[1]) for way, f in reversed(bench.csms.frames) if way == "tx" and f[0] == 2)


class TestGuessedTime:
    def test_what_happened_before_is_put_right(self) -> None:
        bench = station(connected=False)
        report(bench, "TamperDetectionActivated")
        bench.advance(100)
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Accepted",
            "currentTime": format_time(bench.clock.now() + 86_400),
            "interval": 300,
        }
        bench.connect()
        moments = [(p["type"], parse_time(p["timestamp"]) - START) for p in bench.sent(NOTIFICATION)]
        assert moments == [
            ("StartupOfTheDevice", 86_400),
            ("TamperDetectionActivated", 86_400),
            ("SettingSystemTime", 86_500),
        ]
        assert [at - START for at, _, _ in bench.cp.security_events.log.entries()] == [86_400, 86_400, 86_500]

    def test_what_an_earlier_start_knew_stays(self) -> None:
        bench = station(connected=False)
        report(bench, *["TamperDetectionActivated"] * BLOCK)
        bench.restart()
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Accepted",
            "currentTime": format_time(START + 3600),
            "interval": 300,
        }
        bench.connect()
        at = [parse_time(p["timestamp"]) - START for p in bench.sent(NOTIFICATION)]
        assert at == [0] * (1 + BLOCK) + [3600, 3600]
        assert [at - START for at, _, _ in bench.cp.security_events.log.entries()] == at_log(BLOCK)

    def test_a_clock_that_is_right_is_no_event(self) -> None:
        bench = station()
        bench.advance(3600)
        assert told(bench) == ["StartupOfTheDevice"]

    def test_a_central_system_whose_clock_wanders_causes_no_flood(self) -> None:
        bench = station()
        away = [0.0]

        def beat(payload: dict[str, Any]) -> dict[str, Any]:
            away[0] = 50.0 - away[0]
            return {"currentTime": format_time(bench.clock.now() + away[0])}

        bench.csms.answers["Heartbeat"] = beat
        bench.advance(86_400)
        assert 20 <= told(bench).count("SettingSystemTime") <= 25
        assert "11 more" in bench.sent(NOTIFICATION)[-1]["techInfo"]


def at_log(before: int) -> list[float]:
    return [0.0] * (1 + before) + [3600.0, 3600.0]


class TestSources:
    def test_reset_is_told_after_the_restart_together_with_the_start(self) -> None:
        bench = station()
        bench.cp.on_restart = lambda reason: wind_down(bench, reason)
        assert bench.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
        assert told(bench) == ["StartupOfTheDevice"]
        bench.restart()
        bench.connect()
        assert [(p["type"], p.get("techInfo")) for p in bench.sent(NOTIFICATION)[1:]] == [
            ("ResetOrReboot", "SoftReset"),
            ("StartupOfTheDevice", "after SoftReset"),
        ]

    def test_a_power_loss_is_no_reset(self) -> None:
        bench = station()
        wind_down(bench, "PowerLoss")
        bench.restart()
        bench.connect()
        assert told(bench) == ["StartupOfTheDevice"] * 2

    def test_invalid_messages_are_counted(self) -> None:
        bench = station(compatibility={"security_events": "all"})
        for n in range(50):
            bench.csms.deliver(b"rubbish")
            bench.call("Reset", {"type": f"odd {n}"})
        bench.csms.answers["Heartbeat"] = lambda payload: {"time": "no"}
        bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        bench.advance(599)
        assert told(bench)[1:] == ["InvalidMessages"]
        bench.advance(1)
        assert told(bench)[1:] == ["InvalidMessages"] * 2
        tech_info = bench.sent(NOTIFICATION)[-1]["techInfo"]
        assert tech_info.startswith("101 more, the last one: the answer to Heartbeat")
        del bench.csms.answers["Heartbeat"]
        bench.advance(3600)
        assert told(bench)[3:] == []

    def test_an_unknown_action_is_a_valid_message(self) -> None:
        bench = station(compatibility={"security_events": "all"})
        assert bench.call("Nonsense", {}) == "NotImplemented"
        assert bench.call("Heartbeat", {}) == "NotSupported"
        assert told(bench) == ["StartupOfTheDevice"]

    def test_a_secret_in_an_invalid_message_is_not_repeated(self) -> None:
        bench = station(compatibility={"security_events": "all"})
        secret = "correct horse battery staple " * 20
        bench.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": secret})
        assert told(bench)[-1] == "InvalidMessages"
        assert "horse" not in str(bench.sent(NOTIFICATION)) + str(logged(bench))

    def test_memory_that_runs_out(self) -> None:
        bench = station()
        bench.cp.outbox._most = bench.cp.outbox._limit = 5
        bench.disconnect()
        with bench.cp.turn:
            for _ in range(6):
                bench.cp.outbox.record("meter", None, {"connector": 1, "values": []})
        assert logged(bench)[-1][0] == "MemoryExhaustion"


def wind_down(bench: Bench, reason: str) -> bool:
    with bench.cp.turn:
        bench.cp.wind_down(reason, lambda: None, 60, bench.clock)
    return True


class TestLog:
    def test_it_rolls(self) -> None:
        store = MemoryStore()
        log = SecurityLog(store, 1)
        for n in range(5_000):
            log.append(float(n), "TamperDetectionActivated", str(n))
        numbers = [int(at) for at, _, _ in log.entries()]
        assert numbers[-1] == 4_999
        assert BLOCK * (MOST_BLOCKS - 1) < len(numbers) <= BLOCK * MOST_BLOCKS
        assert numbers == list(range(numbers[0], 5_000))

    def test_one_entry_writes_one_block(self) -> None:
        store = MemoryStore()
        log = SecurityLog(store, 1)
        for n in range(BLOCK + 3):
            log.append(float(n), "X", "")
        assert [len(block["entries"]) for _, block in store.items("security_log")] == [BLOCK, 3]

    def test_after_damage_it_knows_whether_something_is_missing(self) -> None:
        store = MemoryStore()
        assert not SecurityLog(store, 1).whole  # there was one before
        log = SecurityLog(store, 7)
        for n in range(3 * BLOCK):
            log.append(float(n), "X", "")
        assert SecurityLog(store, 8).whole
        assert not SecurityLog(store, 9).whole  # the entry of start 8 is gone
        store.delete("security_log", "00000002")
        assert not SecurityLog(store, 8).whole

    def test_the_text_is_readable_and_one_line_each(self) -> None:
        log = SecurityLog(MemoryStore(), 1)
        log.append(START, "StartupOfTheDevice", "")
        log.append(START + 60, "Own", "two\nlines")
        log.append(START + 120, "ResetOrReboot", "SoftReset")
        assert log.text("CP\n1", START + 200, None, None).decode().split("\n") == [
            "# Security log of CP 1, made 2026-01-01T00:03:20.000Z: 3 events from the beginning until now",
            "2026-01-01T00:00:00.000Z StartupOfTheDevice",
            "2026-01-01T00:01:00.000Z Own two lines",
            "2026-01-01T00:02:00.000Z ResetOrReboot SoftReset",
            "",
        ]

    @pytest.mark.parametrize(
        ("oldest", "latest", "expected"),
        [(None, None, "012"), (10, None, "12"), (None, 10, "01"), (10, 10, "1"), (11, 19, ""), (30, 0, "")],
    )
    def test_the_window_includes_its_ends(
        self, oldest: float | None, latest: float | None, expected: str
    ) -> None:
        log = SecurityLog(MemoryStore(), 1)
        for n in range(3):
            log.append(n * 10.0, f"E{n}", "")
        lines = log.text("CP", 0, oldest, latest).decode().splitlines()
        assert lines[0].startswith(f"# Security log of CP, made 1970-01-01T00:00:00.000Z: {len(expected)} ")
        assert [line[-1] for line in lines[1:]] == list(expected)

    def test_events_are_named_as_the_schema_allows(self) -> None:
        assert all(len(kind) <= events.KIND_LENGTH for kind in EVENTS)
