"""The live view: it fits every terminal, says what is the simulator's own, and its keys do what they say."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from chargepoint.cli.fleet_lines import Lines
from chargepoint.cli.fleet_past import Past
from chargepoint.cli.fleet_picture import Course, Picture, many, milliseconds, power
from chargepoint.cli.fleet_steering import Steering, next_version
from chargepoint.cli.fleet_view import FleetView
from chargepoint.config import StationConfig
from chargepoint.fleet.events import FleetEvent, parse
from chargepoint.fleet.measures.snapshot import Happened, Simulator, Snapshot
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.measures.trouble import Trouble
from chargepoint.fleet.plan.plan import Group, Plan

SIZES = [(80, 24), (200, 60), (40, 12), (10, 5), (1, 1), (120, 31), (300, 100)]
REASON = "the event loop is 240 ms late, 99% of a core in use: fewer stations or more processes"

ACTIONS = (
    "MeterValues",
    "Heartbeat",
    "StatusNotification",
    "BootNotification",
    "Authorize",
    "StartTransaction",
    "StopTransaction",
    "SignedFirmwareStatusNotification",
    "DiagnosticsStatusNotification",
    "DataTransfer",
    "SecurityEventNotification",
    "SignCertificate",
)


class FakeFleet:
    """Notes what it is told."""

    def __init__(self, count: int = 10_000, urls: tuple[str, ...] = (), **station: Any) -> None:
        config = StationConfig.model_validate({"storage": None, "station": station})
        group = Group("g", count, "CP{n}", config, urls=urls)
        self.plan = Plan((group,), 7, 50.0)
        self.planned = count
        self.held = False
        self.ramp_per_s: float | None = None
        self.ramp_behind_s = 0.0
        self.told: list[str] = []
        self.trouble: list[Trouble] = []

    def troubles(self) -> list[Trouble]:
        return self.trouble

    def perform(self, event: FleetEvent) -> None:
        self.told.append(event.text)

    def add(self, count: int) -> None:
        self.told.append(f"add {count}")

    def remove(self, count: int) -> None:
        self.told.append(f"remove {count}")

    def hold(self, held: bool) -> None:
        self.held = held
        self.told.append(f"hold {held}")

    def ramp_at(self, per_s: float) -> None:
        self.told.append(f"ramp {per_s:g}")


def ten_thousand(at_s: float, reason: str | None = None, bottleneck_s: float = 0.0) -> Snapshot:
    """A busy moment of a large fleet that went badly in every way."""
    statistics = Statistics()
    for n, action in enumerate(ACTIONS):
        for call in range(int(at_s) * (20 - n)):
            statistics.called(action)
            statistics.answered(action, 0.02 + n * 1.5, 0.02, ("Timeout" if call % 9 == 0 else None))
    snapshot = statistics.snapshot(planned=10_000, started=9_999, queued=123_456, station_s=at_s)
    for figures in snapshot.actions.values():
        figures.sent *= 100_000
        figures.failed *= 100_000
    snapshot.at_s, snapshot.connected, snapshot.booted, snapshot.charging = at_s, 9_998, 9_990, 7_654
    snapshot.power_w, snapshot.sent_per_s, snapshot.received_per_s = 123.4e6, 12_345.6, 1_234.5
    snapshot.reconnects, snapshot.lost_transactions, snapshot.released_holds = 123_456, 17, 3
    for kind in ("refused", "timeout", "unauthorized", "\x1b]0;owned\x07", "tls_certificate"):
        snapshot.connect_failures[kind] = 1_234_567
    snapshot.simulators = [Simulator(0, 0.99, 2**30, 0.24, 1.0, reason, bottleneck_s)]
    return snapshot


def past_of(*snapshots: Snapshot) -> Past:
    past = Past()
    for snapshot in snapshots:
        past.add(snapshot)
    return past


def drawn(past: Past, width: int = 80, height: int = 24, course: Course | None = None) -> list[Text]:
    keys = [("b", "blackout", "all go dark"), ("q", "quit", "end")]
    return Picture(width, height).lines(past, course or Course(keys=keys, notes=["0:00:01  blackout"] * 40))


def text(lines: Sequence[Text]) -> str:
    return "\n".join(line.plain for line in lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("reason", [None, REASON])
@pytest.mark.parametrize("help", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_it_fits(width: int, height: int, reason: str | None, help: bool, plain: bool) -> None:
    course = Course(
        for_s=7200,
        ramp_per_s=50.0,
        ramp_behind_s=71.0,
        held=True,
        troubles=["17 of 9999 stations cannot connect (refused): " + "\x1b[2J\U0001f600" * 60],
        notes=["0:00:01  blackout"] * 40,
        keys=Steering(FakeFleet(), lambda: None).words(),
        help=help,
    )
    past = past_of(*(ten_thousand(at_s, reason) for at_s in range(0, 21, 4)))
    lines = Picture(width, height, plain=plain).lines(past, course)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    assert not any(character in text(lines) for character in "\x1b\x07\n\r") or height > 1
    assert "\x1b" not in text(lines)
    if plain and not help:
        assert "━" not in text(lines)


def test_a_small_terminal_shows_what_counts() -> None:
    shown = text(
        drawn(past_of(ten_thousand(0), ten_thousand(10)), course=Course(for_s=60.0, ramp_per_s=50.0))
    )
    for part in ("9,998", "9,990", "7,654", "123.4 MW", "12,346/s", "123,456", "99%", "1,024 MiB", "240 ms"):
        assert part in shown, part
    for part in ("started 9,999 of 10,000", "50/s", "0:00:50 left", "MeterValues", "Timeout", "refused"):
        assert part in shown, part


def test_no_kind_of_message_is_dropped_in_silence() -> None:
    past = past_of(ten_thousand(0), ten_thousand(10))
    small, large = text(drawn(past, 80, 24)), text(drawn(past, 200, 60))
    assert all(action in large for action in ACTIONS)
    listed = sum(action[:15] in small for action in ACTIONS)
    assert listed < len(ACTIONS)
    assert f"and {len(ACTIONS) - listed} other kinds" in small
    assert "\nall " in small


def test_keys_are_always_the_last_line() -> None:
    past = past_of(ten_thousand(5))
    for width, height in SIZES[:3]:
        keys = Steering(FakeFleet(urls=("ws://a", "ws://b")), lambda: None).words()
        last = drawn(past, width, height, Course(keys=keys))[-1].plain
        shown = [word[0] for word in last.split() if len(word) == 1]
        assert shown == [*"bnrsfu+-pq?"], last


def test_latencies_are_marked_while_the_simulator_is_the_bottleneck() -> None:
    good = text(drawn(past_of(ten_thousand(0), ten_thousand(5))))
    assert "The simulator keeps up" in good
    assert "~" not in good
    bad = drawn(past_of(ten_thousand(0), ten_thousand(5, REASON, 1.0)))
    assert "THE SIMULATOR IS THE BOTTLENECK: the event loop is 240 ms late" in text(bad)
    (row,) = [line.plain for line in bad if line.plain.startswith("MeterValues")]
    assert row.count("~") == 5


def test_the_mark_stays_as_long_as_the_figures_hold_such_a_time() -> None:
    past = past_of(ten_thousand(0), ten_thousand(5, REASON, 2.0), ten_thousand(9, None, 2.0))
    (row,) = [line.plain for line in drawn(past) if line.plain.startswith("MeterValues")]
    assert row.count("~") == 5
    assert "for 0:00:02 it did not" in text(drawn(past))
    for at_s in (12, 16, 20, 24):
        past.add(ten_thousand(at_s, None, 2.0))
    (row,) = [line.plain for line in drawn(past) if line.plain.startswith("MeterValues")]
    assert row.count("~") == 2, "the last seconds are sound, the whole run is not"


def test_a_stepped_fleet_claims_nothing_about_its_lateness() -> None:
    snapshot = ten_thousand(5)
    snapshot.simulators = [Simulator()]
    shown = text(drawn(past_of(snapshot)))
    assert "keeps up" not in shown
    assert "a stepped clock has none" in shown
    assert "loop late" not in shown


def test_a_fleet_whose_processes_have_not_begun_claims_nothing_about_them() -> None:
    shown = text(drawn(past_of(Snapshot(at_s=5.0, planned=200))))
    assert "are being started" in shown
    assert "keeps up" not in shown
    assert "stepped" not in shown


def test_the_last_seconds_are_not_the_whole_run() -> None:
    statistics = Statistics()

    def moment(at_s: float, took_s: float, count: int) -> Snapshot:
        for _ in range(count):
            statistics.called("Heartbeat")
            statistics.answered("Heartbeat", took_s, took_s, None)
        snapshot = statistics.snapshot()
        snapshot.at_s = at_s
        return snapshot

    past = past_of(moment(1, 2.0, 100), moment(11, 0.1, 10), moment(12, 0.1, 10))
    lately = past.lately(past.now.actions["Heartbeat"], "Heartbeat")
    assert lately.per_s == pytest.approx(20 / 11)
    assert lately.waited.count == 20
    assert lately.waited.percentile(99) == pytest.approx(0.1, rel=0.03)
    (row,) = [line.plain.split() for line in drawn(past) if line.plain.startswith("Heartbeat")]
    assert row[-2:] == ["2000", "2000"] or float(row[-2]) == pytest.approx(2000, rel=0.03)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (many(999_999), "999999"),
        (many(1_234_567), "1.23M"),
        (many(123_456_789), "123M"),
        (milliseconds(0.00123), "1.2"),
        (milliseconds(0.5), "500"),
        (milliseconds(9.9), "9900"),
        (milliseconds(123.0), "123 s"),
        (power(123_456.0), "123 kW"),
        (power(31.2e6), "31.2 MW"),
    ],
)
def test_figures_are_short(shown: str, expected: str) -> None:
    assert shown == expected
    assert len(shown) <= 7


def test_lines_tell_each_event_once_at_once() -> None:
    told: list[str] = []
    lines = Lines(FakeFleet(), told.append, every_s=60.0)
    for at_s in (1.0, 2.0, 3.0, 4.0):
        snapshot = Snapshot(at_s=at_s)
        snapshot.events = [Happened(1.5, 1.5, "blackout"), Happened(2.5, 2.5, "return")][: int(at_s) - 1]
        lines(snapshot)
    assert [line for line in told if "started" not in line] == ["0:00:01  blackout", "0:00:02  return"]


def test_a_trouble_is_told_when_it_begins_and_when_it_has_spread() -> None:
    fleet, told = FakeFleet(), list[str]()
    lines = Lines(fleet, told.append, every_s=0)
    for at_s, count in enumerate((1, 2, 60, 60, 0, 60)):
        trouble = Trouble("refused", count, 60, "nothing listens")
        fleet.trouble = [trouble] if count else []
        lines(Snapshot(at_s=float(at_s)))
    assert [line.split()[0] for line in told if "cannot" in line] == ["1", "60", "60"]


def test_lines_tell_an_event_with_the_time_of_the_stations_where_that_is_another() -> None:
    told: list[str] = []
    snapshot = Snapshot(at_s=2.0, station_s=7200.0)
    snapshot.events = [Happened(1.5, 3600.0, "blackout")]
    Lines(FakeFleet(), told.append)(snapshot)
    assert told[0] == "0:00:01  station time +1:00:00  blackout"
    assert told[1].startswith("0:00:02  station time +2:00:00  0/0 started")


def test_the_view_logs_events_and_notes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    view = FleetView(FakeFleet(), console, Lines(FakeFleet(), print))
    view._take_terminal()
    snapshot = ten_thousand(3)
    snapshot.events = [Happened(2.0, 2.0, "surge x3 for 10m")]
    view(snapshot)
    view.note("CP1 is left out: no disk")
    shown = text(view.picture(100, 30).renderables)  # type: ignore[arg-type]  # a group of lines
    view.settle()
    assert "0:00:02  surge x3 for 10m" in shown
    assert "0:00:03  CP1 is left out: no disk" in shown


# --- keys ---------------------------------------------------------------------------------------------


def pressed(fleet: FakeFleet, keys: str) -> list[str]:
    steering = Steering(fleet, lambda: fleet.told.append("end"))
    for key in keys:
        steering.press(key)
    return fleet.told


def test_every_key_does_what_it_says() -> None:
    assert pressed(FakeFleet(600), "bbnnrsq") == [
        "blackout",
        "return",
        "network-out",
        "return",
        "rolling-restart 10/s",
        "surge x3 for 10m",
        "end",
    ]
    assert pressed(FakeFleet(30, firmware_version="2.1.9"), "uUr") == [
        "firmware 2.1.10 1/s",
        "firmware 2.1.11 1/s",
        "rolling-restart 1/s",
    ]
    assert pressed(FakeFleet(), "pp") == ["hold True", "hold False"]
    assert pressed(FakeFleet(), "xyz\t7") == []


def test_each_group_gets_its_own_next_version() -> None:
    fleet = FakeFleet(30, firmware_version="2.1.9")
    others = StationConfig.model_validate({"storage": None, "station": {"firmware_version": "v7"}})
    group = Group("at work", 600, "W{n}", others)
    fleet.plan = Plan((*fleet.plan.groups, group), 7, 50.0)
    told = pressed(fleet, "uu")
    assert told == [
        "firmware 2.1.10 1/s group=g",
        'firmware v8 10/s group="at work"',
        "firmware 2.1.11 1/s group=g",
        'firmware v9 10/s group="at work"',
    ]
    assert [parse(text).group for text in told[:2]] == ["g", "at work"]


def test_return_gives_back_all_that_was_taken() -> None:
    assert pressed(FakeFleet(), "bnbb") == ["blackout", "network-out", "return", "blackout"]


def test_more_and_fewer_are_the_ramp_first_and_stations_later() -> None:
    fleet = FakeFleet(10_000)
    assert pressed(fleet, "+-") == ["add 100", "remove 100"]
    assert pressed(FakeFleet(30), "=-") == ["add 3", "remove 3"]
    assert pressed(FakeFleet(1), "-+") == ["add 1"]
    fleet = FakeFleet()
    fleet.ramp_per_s = 50.0
    assert pressed(fleet, "+-") == ["ramp 100", "ramp 25"]


def test_fail_over_goes_round_several_central_systems() -> None:
    assert pressed(FakeFleet(urls=("ws://a", "ws://b", "ws://a")), "ff") == [
        "failover ws://b",
        "failover ws://a",
    ]
    assert pressed(FakeFleet(urls=("ws://a",)), "f") == []


@pytest.mark.parametrize(
    ("version", "following"),
    [("1.0.9", "1.0.10"), ("v7-beta", "v8-beta"), ("abc", "abc.1"), ("R4-2024b", "R4-2025b")],
)
def test_the_next_version(version: str, following: str) -> None:
    assert next_version(version) == following


def test_a_version_with_spaces_can_be_rolled_out() -> None:
    assert pressed(FakeFleet(60, firmware_version="3.1 build 7"), "u") == ["firmware 3.1-build-8 1/s"]
