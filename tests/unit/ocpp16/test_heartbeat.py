"""Heartbeats (OCPP 1.6 §4.6, §9.1.10): exactly the interval after our last CALL."""

from __future__ import annotations

import pytest

from chargepoint.ocpp16.times import format_time
from tests.unit.ocpp16.bench import Bench


def beating(interval_s: int, **options: object) -> Bench:
    """A station that was told this interval."""
    bench = Bench(**options)  # type: ignore[arg-type]  # the options of a bench, passed on
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Accepted",
        "currentTime": format_time(bench.clock.now()),
        "interval": interval_s,
    }
    bench.connect()
    return bench


def change(bench: Bench, seconds: int) -> None:
    """ChangeConfiguration of HeartbeatInterval."""
    answer = bench.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": str(seconds)})
    assert answer == {"status": "Accepted"}


@pytest.mark.parametrize("interval_s", [1, 7, 300, 86_400])
def test_on_an_idle_line_exactly_the_interval(interval_s: int) -> None:
    bench = beating(interval_s)
    bench.advance(interval_s * 5)
    assert bench.times("Heartbeat") == [interval_s * n for n in range(1, 6)]


def test_every_call_of_ours_starts_the_wait_anew() -> None:
    bench = beating(100, ocpp={"MeterValueSampleInterval": "0"})
    bench.advance(60)
    bench.plug_in()
    bench.advance(90)
    bench.swipe("TAG")
    bench.advance(150)
    last = bench.times("StatusNotification")[-1]
    assert 150 < last < 160
    assert bench.times("Heartbeat") == [last + 100]


def test_calls_of_theirs_and_our_answers_do_not() -> None:
    bench = beating(100)
    for _ in range(5):
        bench.advance(25)
        bench.call("ClearCache", {})
    assert bench.times("Heartbeat") == [100]


def test_none_while_the_line_is_busy_anyway() -> None:
    bench = beating(100, ocpp={"MeterValueSampleInterval": "60"})
    bench.charge()
    bench.advance(3600)
    assert bench.sent("Heartbeat") == []


@pytest.mark.parametrize(
    ("seconds", "beats"),
    [(30, [40, 70, 100]), (60, [60, 120]), (100, [100]), (10, [40, 50, 60, 70, 80, 90, 100, 110, 120])],
    ids=["overdue at once", "still to come", "unchanged", "short"],
)
def test_a_new_interval_counts_from_the_last_call(seconds: int, beats: list[int]) -> None:
    bench = beating(100)
    bench.advance(40)
    change(bench, seconds)
    bench.advance(80)
    assert bench.times("Heartbeat") == beats


def test_interval_0_means_once_a_day() -> None:
    bench = beating(100)
    change(bench, 0)
    bench.advance(3 * 86_400)
    assert bench.times("Heartbeat") == [86_400, 2 * 86_400, 3 * 86_400]


def test_a_new_connection_starts_the_wait_anew_and_nothing_is_made_up_for() -> None:
    bench = beating(100)
    bench.advance(99)
    bench.disconnect()
    bench.advance(1000)
    bench.connect()
    assert bench.sent("Heartbeat") == []
    bench.advance(250)
    assert bench.times("Heartbeat") == [1199, 1299]


def test_a_change_while_offline_waits_for_the_connection() -> None:
    bench = beating(100)
    bench.disconnect()
    with bench.cp.turn:
        bench.cp.configuration.set_service("HeartbeatInterval", "10")
    bench.advance(100)
    bench.connect()
    bench.advance(10)
    assert bench.times("Heartbeat") == [110]


@pytest.mark.parametrize("outcome", ["InternalError", None], ids=["CALLERROR", "silence"])
def test_one_without_an_answer_is_dropped(outcome: str | None) -> None:
    bench = beating(100)
    bench.csms.answers["Heartbeat"] = lambda payload: outcome
    bench.advance(350)
    assert bench.times("Heartbeat") == [100, 200, 300]


def test_a_deaf_central_system_finds_no_backlog() -> None:
    bench = beating(5)
    bench.csms.answers["Heartbeat"] = lambda payload: None
    bench.advance(600)
    assert bench.times("Heartbeat") == list(range(5, 600, 30))
    del bench.csms.answers["Heartbeat"]
    bench.advance(65)
    assert bench.times("Heartbeat")[20:] == list(range(605, 666, 5))
