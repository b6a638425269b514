"""What is counted of a station's conversation, and from when on a CALL counts as waiting."""

from __future__ import annotations

import asyncio
import csv
import io
import time

import pytest

from chargepoint.fleet.measures.request_table import write_csv
from chargepoint.fleet.measures.statistics import BROKEN, BY_CENTRAL_SYSTEM, BY_STATION, Statistics
from hal.clock import ScaledClock, SteppedClock, WallClock
from tests.unit.fleet.observed import Observed
from tests.unit.rpc.rig import Rig


def test_a_visit_in_figures() -> None:
    bench = Observed()
    bench.connect()
    bench.visit()
    snapshot = bench.statistics.snapshot(planned=1, started=1)
    assert snapshot.actions["StartTransaction"].answered == 1
    assert snapshot.actions["BootNotification"].answered == 1
    assert snapshot.sent == sum(figures.sent for figures in snapshot.actions.values())
    assert (snapshot.booted, snapshot.charging, snapshot.transactions) == (1, 0, 1)
    assert (snapshot.failed, snapshot.lost_transactions, snapshot.doubled_transactions) == (0, 0, 0)


def test_power_is_that_of_running_transactions() -> None:
    bench = Observed(connectors=2)
    bench.connect()
    bench.charge("ONE", 1)
    bench.charge("TWO", 2)
    snapshot = bench.statistics.snapshot()
    assert snapshot.charging == 2
    assert snapshot.power_w == pytest.approx(sum(e.reading().power_w for e in bench.evses), abs=0.1)
    assert snapshot.power_w > 1000
    bench.plug_out(1)
    bench.advance(10)
    assert bench.statistics.snapshot().power_w == pytest.approx(bench.evses[1].reading().power_w, abs=0.1)


def test_many_meters_are_read_in_turns() -> None:
    bench = Observed(connectors=3)
    bench.statistics.power.most_read = 1
    bench.connect()
    for connector in (1, 2, 3):
        bench.charge(f"TAG{connector}", connector)
    partly = bench.statistics.snapshot().power_w
    for _ in range(2):
        last = bench.statistics.snapshot().power_w
    assert 0 < partly < last
    assert last == pytest.approx(sum(e.reading().power_w for e in bench.evses), rel=0.01)


@pytest.mark.parametrize("code", ["InternalError", "NotSupported"])
def test_refusals_count_by_code(code: str) -> None:
    bench = Observed()
    bench.csms.answers["Authorize"] = lambda payload: code
    bench.connect()
    bench.plug_in()
    bench.swipe("TAG")
    figures = bench.statistics.snapshot().actions["Authorize"]
    assert (figures.failed, figures.errors) == (1, {code: 1})
    assert figures.answered == 1


def test_silence_counts_as_long_as_it_was_waited_for() -> None:
    bench = Observed()
    bench.connect()
    bench.answers("Heartbeat", None)
    with bench.cp.turn:
        bench.cp.boot.heartbeat()
    bench.advance(bench.cp.message_timeout_s + 1)
    figures = bench.statistics.snapshot().actions["Heartbeat"]
    assert figures.errors == {"Timeout": 1}
    assert figures.p50_s == pytest.approx(bench.cp.message_timeout_s, rel=0.03)


def test_an_answer_that_breaks_its_schema_and_one_the_link_took_along() -> None:
    bench = Observed()
    bench.connect()
    bench.answers("Heartbeat", {"currentTime": 5}, None)
    for _ in range(2):
        with bench.cp.turn:
            bench.cp.boot.heartbeat()
        bench.advance(0)
    bench.disconnect()
    figures = bench.statistics.snapshot().actions["Heartbeat"]
    assert figures.errors == {"InvalidAnswer": 1, "LinkLost": 1}
    assert (figures.failed, figures.answered, figures.waited.count) == (2, 1, 1)


def test_what_was_sent_is_answered_cut_off_or_under_way() -> None:
    bench = Observed()
    bench.connect()
    bench.answers("Heartbeat", None, "InternalError", None)
    for _ in range(2):
        with bench.cp.turn:
            bench.cp.boot.heartbeat()
        bench.advance(bench.cp.message_timeout_s + 1)
    with bench.cp.turn:
        bench.cp.boot.heartbeat()
    assert bench.statistics.snapshot().under_way == 1
    bench.cp.close()  # the mains fail
    snapshot = bench.statistics.snapshot()
    figures = snapshot.actions["Heartbeat"]
    assert figures.errors == {"Timeout": 1, "InternalError": 1, "Cut": 1}
    assert (figures.answered, figures.unanswered, figures.under_way, figures.with_result) == (2, 1, 0, 0)
    assert (figures.failed, figures.waited.count) == (3, 2)
    overall = snapshot.overall
    assert snapshot.sent == overall.sent == overall.with_result + overall.failed


def test_what_the_end_cuts_off_is_no_error() -> None:
    bench = Observed()
    bench.connect()
    bench.answers("Heartbeat", None)
    with bench.cp.turn:
        bench.cp.boot.heartbeat()
    bench.statistics.ending = True
    bench.cp.close()
    snapshot = bench.statistics.snapshot()
    assert (snapshot.failed, snapshot.under_way) == (0, 1)
    assert snapshot.overall.sent == snapshot.overall.with_result + snapshot.under_way
    file = io.StringIO()
    write_csv(snapshot, file)
    [heartbeat] = [row for row in csv.DictReader(io.StringIO(file.getvalue())) if row["Name"] == "Heartbeat"]
    assert (heartbeat["Request Count"], heartbeat["Failure Count"]) == ("0", "0")


def test_their_calls_and_our_refusals() -> None:
    bench = Observed()
    bench.connect()
    assert bench.call("ClearCache", {}) == {"status": "Accepted"}
    assert bench.call("Reset", {"type": "Never"}) == "PropertyConstraintViolation"
    bench.call("UnlockConnector", {"connectorId": 1})
    bench.advance(30)
    snapshot = bench.statistics.snapshot()
    assert snapshot.received == 3
    assert snapshot.served == {"ClearCache": 1, "Reset": 1, "UnlockConnector": 1}
    assert snapshot.refused == {"PropertyConstraintViolation": 1}


def test_a_rejected_station_is_not_booted_and_a_restarted_one_no_longer() -> None:
    bench = Observed()
    now = "2026-01-01T00:00:00Z"
    bench.answers("BootNotification", {"status": "Rejected", "currentTime": now, "interval": 60})
    bench.connect()
    assert bench.statistics.booted == 0
    bench.advance(100)
    assert bench.statistics.booted == 1
    bench.statistics.went_down("CP001")
    assert bench.statistics.booted == 0


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("closed by the central system: 1001 (going away)", BY_CENTRAL_SYSTEM),
        ("the central system closed the connection without a close frame", BY_CENTRAL_SYSTEM),
        ("closed by the station (1001)", BY_STATION),
        ("the connection broke (closed)", BROKEN),
        ("no pong within 15 s: the connection was dead", "no pong"),
    ],
)
def test_who_ended_a_link(reason: str, kind: str) -> None:
    statistics = Statistics()
    statistics.link_up("CP1")
    statistics.link_down("CP1", reason)
    statistics.connect_failed("CP1", "refused")
    statistics.link_up("CP1")
    snapshot = statistics.snapshot()
    assert snapshot.lost_links == {kind: 1}
    assert snapshot.connect_failures == {"refused": 1}
    assert (snapshot.connected, snapshot.connects, snapshot.reconnects) == (1, 2, 1)


def test_rates_cover_the_last_seconds() -> None:
    now = [100.0]
    statistics = Statistics(now=lambda: now[0])
    statistics.snapshot()
    for calls in (0, 0, 0, 0, 0, 10, 10, 10, 10, 10, 10):
        now[0] += 1.0
        for _ in range(calls):
            statistics.called("Heartbeat")
        snapshot = statistics.snapshot()
    assert snapshot.sent_per_s == pytest.approx(10.0)


class TestWaited:
    """Coordinated omission: what was late because of the central system, or of us, does not look fast."""

    def rig(self) -> tuple[Rig, Statistics]:
        rig, statistics = Rig(), Statistics()
        rig.session.observer = statistics
        return rig, statistics

    def test_a_record_behind_another_counts_from_when_it_was_made(self) -> None:
        rig, statistics = self.rig()
        rig.connect()
        rig.clock.advance(1.0)
        rig.record("slow")
        rig.record("x", kind="behind")
        rig.clock.advance(5.0)
        rig.answer({})
        rig.clock.advance(1.0)
        rig.answer({})
        figures = statistics.actions["behind"]
        assert figures.took.max_s == pytest.approx(1.0)
        assert figures.waited.max_s == pytest.approx(6.0)

    def test_an_urgent_message_too(self) -> None:
        rig, statistics = self.rig()
        rig.connect()
        rig.clock.advance(1.0)
        rig.record("slow")
        with rig.turn:
            rig.outbox.send("Heartbeat", {}, lambda answer: None, lambda error: None)
        rig.clock.advance(5.0)
        rig.answer({})
        rig.answer({})
        assert statistics.actions["Heartbeat"].waited.max_s == pytest.approx(5.0)
        assert statistics.actions["Heartbeat"].took.max_s == 0.0

    def test_what_was_made_offline_counts_from_when_it_was_sent(self) -> None:
        rig, statistics = self.rig()
        rig.record("x", kind="a")
        rig.record("y", kind="b")
        rig.clock.advance(3600.0)
        rig.connect()
        rig.clock.advance(1.0)
        rig.answer({})
        rig.clock.advance(1.0)
        rig.answer({})
        assert statistics.actions["a"].waited.max_s == pytest.approx(1.0)
        assert statistics.actions["b"].waited.max_s == pytest.approx(1.0)

    def test_the_pause_before_a_retry_is_no_latency(self) -> None:
        rig, statistics = self.rig()
        rig.connect()
        rig.clock.advance(1.0)
        rig.record("x", kind="refused")
        rig.record("y", kind="behind")
        rig.receive([4, rig.sent[-1][1], "InternalError", "", {}])
        rig.clock.advance(rig.retry_interval_s + 1)
        for _ in range(2):
            rig.clock.advance(2.0)
            rig.answer({})
        assert statistics.actions["refused"].errors == {"InternalError": 1}
        assert statistics.actions["refused"].waited.max_s == pytest.approx(3.0)
        assert statistics.actions["behind"].waited.max_s == pytest.approx(2.0)

    def test_nobody_observing_costs_no_time_to_be_asked_for(self) -> None:
        rig = Rig()
        assert rig.session.wanted_at() == 0.0


@pytest.mark.parametrize("scale", [None, 60.0], ids=["wall clock", "sped up"])
def test_a_clock_tells_how_late_its_timer_fires(scale: float | None) -> None:
    async def story() -> tuple[float, list[float], float]:
        clock = WallClock() if scale is None else ScaledClock(scale)
        told: list[float] = []
        fired = asyncio.Event()

        def look() -> None:
            told.append(clock.late_s)
            fired.set()

        before = clock.late_s
        clock.call_at(clock.now(), look)
        began = time.monotonic()
        while time.monotonic() < began + 0.03:  # the loop is kept busy
            pass
        await fired.wait()
        return before, told, clock.late_s

    before, told, after = asyncio.run(story())
    assert (before, after) == (0.0, 0.0)
    assert 0.025 < told[0] < 5.0
    assert SteppedClock().late_s == 0.0


def test_the_table_that_users_of_locust_know() -> None:
    bench = Observed()
    bench.connect()
    bench.visit()
    text = io.StringIO()
    write_csv(bench.statistics.snapshot(), text)
    head = text.getvalue().splitlines()[0]
    assert head == (
        "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,"
        "Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,"
        "99.99%,100%"
    )
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert rows[-1]["Name"] == "Aggregated"
    assert int(rows[-1]["Request Count"]) == sum(int(row["Request Count"]) for row in rows[:-1])
    assert {row["Name"] for row in rows} >= {"Authorize", "StartTransaction", "StopTransaction"}
