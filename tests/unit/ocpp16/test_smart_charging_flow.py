"""Smart charging as a station lives it, from profile to pilot: OCPP 1.6 §3.13, §5.4, §5.7, §5.11, §5.16.

Several connectors under one maximum are in `tests/unit/domain/test_limiter.py`, the answers in
`test_smart_charging.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.domain.limits import round_down
from chargepoint.domain.offer import because
from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.store import MemoryStore
from hal.api import EvseInfo, Fault, FaultKind, Limit, Timer
from hal.clock import SteppedClock
from tests.unit.ocpp16.bench import START, Bench

MAXIMUM, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
HOUR_S, DAY_S = 3600, 86_400
AC_1P = EvseInfo(phases=1)
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0, tethered=True, lockable=False)

Steps = Sequence[tuple[int, float]]
"""(startPeriod, limit)."""


def profile(purpose: str, steps: Steps | float, **more: Any) -> dict[str, Any]:
    """A profile as on the wire, Relative and in A unless `more` says otherwise; `start` in seconds."""
    periods = steps if isinstance(steps, Sequence) else [(0, steps)]
    schedule: dict[str, Any] = {
        "chargingRateUnit": more.pop("unit", "A"),
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit, **more.get("period", {})} for at, limit in periods
        ],
    }
    more.pop("period", None)
    if "start" in more:
        schedule["startSchedule"] = format_time(START + more.pop("start"))
        more.setdefault("kind", "Absolute")
    if "duration" in more:
        schedule["duration"] = more.pop("duration")
    for name in ("validFrom", "validTo"):
        if name in more:
            more[name] = format_time(START + more[name])
    if "recurrency" in more:
        more["recurrencyKind"] = more.pop("recurrency")
        more["kind"] = "Recurring"
    return {
        "chargingProfileId": more.pop("id", 1),
        "stackLevel": more.pop("stack", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop("kind", "Relative"),
        "chargingSchedule": schedule,
        **more,
    }


def install(bench: Bench, connector: int, wanted: dict[str, Any]) -> None:
    answer = bench.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": wanted})
    assert answer == {"status": "Accepted"}


def station(info: EvseInfo | None = None, connectors: int = 1, **more: Any) -> Bench:
    bench = Bench(connectors, info, **more)
    bench.connect()
    return bench


def offered(bench: Bench) -> float:
    return bench.evses[0].offered.current_a


def over_time(bench: Bench, moments: Sequence[int]) -> list[float]:
    """What is offered at each of `moments`, in seconds since the bench's start."""
    found = []
    for moment in moments:
        bench.advance(START + moment - bench.clock.now())
        found.append(offered(bench))
    return found


def limits(bench: Bench) -> list[tuple[float, str]]:
    return [(event["offered_a"], event["because"]) for event in bench.events if event["event"] == "limit"]


def tell_time(bench: Bench, ahead_s: float) -> None:
    """The central system's clock is `ahead_s` ahead of the hardware's, and the next Heartbeat says so."""
    bench.csms.answers["Heartbeat"] = lambda payload: {
        "currentTime": format_time(bench.clock.now() + ahead_s)
    }
    with bench.cp.turn:
        bench.cp.boot.heartbeat()
    bench.advance(0)


class DurableStore(MemoryStore):
    """A store that counts as one that survives a power cut."""

    durable = True


class TestFromTheProfileToThePilot:
    def test_limit_event_and_measured_current_at_once(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 1, profile(TX, 10))
        assert offered(bench) == 10
        assert max(bench.evses[0].reading().current_a) <= 10
        assert limits(bench)[-1] == (10, "TxProfile 1 (stack 0)")

    def test_below_six_amperes_is_suspended_and_back(self) -> None:
        bench = station()
        bench.charge()
        for limit in (5.9, 0, 6):
            install(bench, 1, profile(TX, limit))
            bench.advance(20)
        assert offered(bench) == 6
        assert bench.statuses()[-3:] == ["Charging", "SuspendedEVSE", "Charging"]
        assert [n for n, because in limits(bench) if because.startswith("TxProfile")] == [0, 6]

    def test_the_answer_goes_out_before_what_it_causes(self) -> None:
        bench = station()
        bench.charge()
        before = len(bench.csms.frames)
        install(bench, 1, profile(TX, 0))
        frames = [(way, frame[0], frame[2]) for way, frame in bench.csms.frames[before:]]
        assert frames[1] == ("tx", 3, {"status": "Accepted"})
        assert frames[2][2] == "StatusNotification"

    def test_cleared_at_once(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 0, profile(DEFAULT, 16))
        install(bench, 1, profile(TX, 10, id=2))
        assert bench.call("ClearChargingProfile", {"chargingProfilePurpose": TX}) == {"status": "Accepted"}
        assert offered(bench) == 16
        assert bench.call("ClearChargingProfile", {}) == {"status": "Accepted"}
        assert offered(bench) == 32
        assert limits(bench)[-1] == (32, "hardware")

    def test_offline_what_is_installed_stays_in_force(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 0, profile(DEFAULT, [(0, 16), (600, 8)]))
        bench.disconnect()
        assert over_time(bench, [599, 600]) == [16, 8]
        bench.swipe("TAG", 1)
        bench.advance(20)
        bench.plug_out()
        bench.advance(20)
        assert not any(event["event"] == "error" for event in bench.events)

    def test_a_default_applies_to_a_running_transaction_and_its_end_frees_it(self) -> None:
        """T:TC_082, errata 3.8."""
        bench = station()
        bench.charge()
        install(bench, 0, profile(DEFAULT, 13))
        assert offered(bench) == 13
        bench.call("ClearChargingProfile", {"id": 1})
        assert offered(bench) == 32

    def test_one_connectors_default_takes_the_place_of_everybodys_on_its_level(self) -> None:
        bench = station(connectors=2)
        install(bench, 0, profile(DEFAULT, 10, id=1))
        install(bench, 0, profile(DEFAULT, 8, id=2, stack=1, validFrom=1000))
        install(bench, 2, profile(DEFAULT, 20, id=3))
        bench.charge(connector=1)
        bench.charge("TAG2", 2)
        assert [evse.offered.current_a for evse in bench.evses] == [10, 20]
        bench.advance(1000)
        assert [evse.offered.current_a for evse in bench.evses] == [8, 8]


# Charging begins at 100 s; what is offered at each moment.
KINDS: dict[str, tuple[list[tuple[int, dict[str, Any]]], dict[int, float]]] = {
    "relative": ([(1, profile(DEFAULT, [(0, 10), (50, 8)]))], {149: 10, 150: 8, 9999: 8}),
    "relative-with-duration": ([(1, profile(DEFAULT, 10, duration=60))], {159: 10, 160: 32}),
    "absolute": (
        [(1, profile(DEFAULT, [(0, 10), (100, 12)], start=60, duration=200))],
        {110: 10, 159: 10, 160: 12, 259: 12, 260: 32},
    ),
    "absolute-without-start": (
        [(1, profile(DEFAULT, [(0, 10), (50, 8)], kind="Absolute"))], {149: 10, 150: 8}
    ),
    "absolute-to-come": ([(1, profile(DEFAULT, 10, start=500))], {499: 32, 500: 10}),
    "daily": (
        [(1, profile(DEFAULT, [(0, 10), (200, 0)], recurrency="Daily", start=-DAY_S + 300, duration=400))],
        {299: 32, 300: 10, 500: 0, 699: 0, 700: 32, DAY_S + 299: 32, DAY_S + 300: 10, DAY_S + 700: 32},
    ),
    "weekly": (
        [(1, profile(DEFAULT, 10, recurrency="Weekly", start=-6 * DAY_S, duration=HOUR_S))],
        {110: 32, DAY_S: 10, DAY_S + HOUR_S: 32, 8 * DAY_S - 1: 32, 8 * DAY_S: 10},
    ),
    "valid-from-and-to": (
        [(1, profile(DEFAULT, 10, validFrom=200, validTo=300))], {199: 32, 200: 10, 299: 10, 300: 32}
    ),
    "lower-level-while-the-higher-is-over": (
        [
            (1, profile(DEFAULT, [(0, 6), (50, 5), (100, 8), (200, 10)], id=1, duration=400)),
            (1, profile(DEFAULT, [(0, 7), (100, 9)], id=2, stack=1, duration=150)),
        ],
        {110: 7, 199: 7, 200: 9, 249: 9, 250: 8, 300: 10, 499: 10, 500: 32},
    ),
    "maximum-absolute": ([(0, profile(MAXIMUM, [(0, 10), (400, 20)], start=0))], {399: 10, 400: 20}),
    "maximum-relative-from-its-installation": (
        [(0, profile(MAXIMUM, [(0, 10), (400, 20)]))], {399: 10, 400: 20}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("installed", "expected"), KINDS.values(), ids=KINDS)
def test_kinds_of_schedules_by_themselves(
    installed: list[tuple[int, dict[str, Any]]], expected: dict[int, float]
) -> None:
    """Nothing but time passes."""
    bench = station(ocpp={"MeterValueSampleInterval": "0"})
    for connector, wanted in installed:
        install(bench, connector, wanted)
    bench.advance(100)
    bench.charge()
    bench.evses[0].adjust(battery_wh=2_000_000)
    assert over_time(bench, list(expected)) == list(expected.values())


def test_three_purposes_worked_example() -> None:
    """T:TC_066: what GetCompositeSchedule says is what is then offered."""
    bench = station()
    bench.plug_in()
    bench.swipe("TAG", 1)
    install(bench, 0, profile(MAXIMUM, 10, id=1, start=0))
    install(bench, 0, profile(
        DEFAULT, [(0, 6), (60, 10), (120, 8), (180, 25), (260, 8)], id=2, duration=300, start=0
    ))  # fmt: skip
    install(bench, 1, profile(
        TX, [(0, 8), (50, 11), (140, 16), (200, 6), (240, 12)], id=3, duration=260, start=0
    ))  # fmt: skip
    schedule = bench.call("GetCompositeSchedule", {"connectorId": 1, "duration": 400})["chargingSchedule"]
    steps = {period["startPeriod"]: period["limit"] for period in schedule["chargingSchedulePeriod"]}
    assert steps == {0: 8, 50: 10, 200: 6, 240: 10, 260: 8, 300: 10}
    assert over_time(bench, list(steps)) == list(steps.values())
    assert [because for _, because in limits(bench)][-6:] == [
        "TxProfile 3 (stack 0)",
        "ChargePointMaxProfile 1",
        "TxProfile 3 (stack 0)",
        "ChargePointMaxProfile 1",
        "TxDefaultProfile 2 (stack 0)",
        "ChargePointMaxProfile 1",
    ]


class TestUnits:
    @pytest.mark.parametrize(
        ("info", "wanted", "limit"),
        [
            (EvseInfo(), profile(TX, 11_000, unit="W"), Limit(11_000 / 690)),
            (EvseInfo(), profile(TX, 4_000, unit="W"), Limit(0)),
            (AC_1P, profile(TX, 3_680, unit="W", period={"numberPhases": 1}), Limit(16)),
            (AC_1P, profile(TX, 11_040, unit="W"), Limit(16)),
            (DC, profile(TX, 20_000, unit="W"), Limit(200, 20_000)),
            (DC, profile(TX, 80_000, unit="W"), Limit(200, 50_000)),
            (DC, profile(TX, 60), Limit(60, 50_000)),
            (DC, profile(TX, 3), Limit(3, 50_000)),
        ],
        ids=["watts", "watts-below-6-a", "watts-on-one-phase", "watts-for-three-on-one", "dc-watts",
             "dc-above-hardware", "dc-amperes", "dc-knows-no-floor"],
    )  # fmt: skip
    def test_own_profile(self, info: EvseInfo, wanted: dict[str, Any], limit: Limit) -> None:
        bench = station(info)
        bench.charge()
        install(bench, 1, wanted)
        assert bench.evses[0].offered == limit

    @pytest.mark.parametrize(
        ("info", "wanted", "offered_w"),
        [
            (EvseInfo(), profile(TX, 11_000, unit="W"), 11_000),
            (EvseInfo(), profile(TX, 10), 6_900),
            (AC_1P, profile(TX, 11_040, unit="W"), 3_680),
            (DC, profile(TX, 20_000, unit="W"), 20_000),
        ],
        ids=["watts", "amperes", "watts-for-three-on-one", "dc"],
    )
    def test_the_power_that_is_told(self, info: EvseInfo, wanted: dict[str, Any], offered_w: float) -> None:
        bench = station(info)
        bench.charge()
        install(bench, 1, wanted)
        assert [event for event in bench.events if event["event"] == "limit"][-1]["offered_w"] == offered_w

    def test_a_maximum_below_a_profile_in_watts_is_told_as_what_it_leaves(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 1, profile(TX, 11_040, unit="W"))
        install(bench, 0, profile(MAXIMUM, 10, id=2, start=0))
        told = [event for event in bench.events if event["event"] == "limit"][-1]
        assert (told["offered_a"], told["offered_w"], told["because"]) == (
            10,
            6900,
            "ChargePointMaxProfile 2",
        )

    def test_a_maximum_in_watts_at_a_dc_outlet_says_so(self) -> None:
        bench = station(DC)
        bench.charge()
        install(bench, 0, profile(MAXIMUM, 15_000, unit="W", start=0))
        assert bench.evses[0].offered == Limit(200, 15_000)
        assert limits(bench)[-1][1] == "ChargePointMaxProfile 1"


class TestWhy:
    """The station can always say why it offers what it offers."""

    def reason(self, bench: Bench) -> str:
        return because(bench.cp.connectors[1])

    def test_through_a_whole_session(self) -> None:
        bench = station()
        found = [self.reason(bench)]
        bench.charge()
        found.append(self.reason(bench))
        install(bench, 1, profile(TX, 10, stack=3))
        found.append(self.reason(bench))
        install(bench, 0, profile(MAXIMUM, 8, id=2, start=0))
        found.append(self.reason(bench))
        bench.evses[0].inject(Fault(FaultKind.OVER_TEMPERATURE))
        found.append(self.reason(bench))
        bench.evses[0].clear()
        found.append(self.reason(bench))
        bench.swipe("TAG", 1)
        bench.advance(20)
        found.append(self.reason(bench))
        assert found == [
            "no transaction",
            "hardware",
            "TxProfile 1 (stack 3)",
            "ChargePointMaxProfile 2",
            "fault",
            "ChargePointMaxProfile 2",
            "no transaction",
        ]
        told = [because for _, because in limits(bench)]
        assert [because for because in told if not because.startswith("stopping")] == found[1:]

    def test_a_refused_identifier(self) -> None:
        bench = station(ocpp={"StopTransactionOnInvalidId": "false"})
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": 1,
            "idTagInfo": {"status": "Blocked"},
        }
        bench.charge()
        assert bench.statuses()[-1] == "SuspendedEVSE"
        assert limits(bench)[-1] == (0, "the central system refused the identifier")
        install(bench, 1, profile(TX, 16))
        assert offered(bench) == 0


class TestTransactions:
    def test_their_profiles_end_with_them(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 1, profile(TX, 10))
        bench.swipe("TAG", 1)
        bench.advance(20)
        assert not bench.cp.connectors.limiter.book.all
        bench.plug_out()
        bench.charge()
        assert offered(bench) == 32

    def test_profiles_survive_a_power_cut_but_not_those_of_a_transaction_it_ended(self) -> None:
        bench = station(store=DurableStore())
        bench.charge()
        install(bench, 1, profile(TX, 10, id=1))
        install(bench, 1, profile(DEFAULT, 12, id=2))
        install(bench, 0, profile(MAXIMUM, 20, id=3))
        bench.restart()
        bench.connect()
        assert sorted(installed.id for installed in bench.cp.connectors.limiter.book) == [2, 3]
        bench.plug_out()
        bench.charge()
        assert offered(bench) == 12

    def test_those_of_a_transaction_that_goes_on_stay_with_their_origin(self) -> None:
        bench = station(store=DurableStore(), behaviour={"resume_tx_after_power_loss": True})
        bench.charge()
        install(bench, 1, profile(TX, [(0, 10), (600, 20)]))
        bench.advance(290)
        bench.restart()
        bench.connect()
        assert over_time(bench, [310, 599, 600]) == [10, 10, 20]

    def test_a_remote_start_brings_its_own(self) -> None:
        bench = station()
        wanted = profile(TX, [(0, 9), (100, 15)], id=7)
        request = {"connectorId": 1, "idTag": "TAG", "chargingProfile": wanted}
        assert bench.call("RemoteStartTransaction", request) == {"status": "Accepted"}
        assert not bench.cp.connectors.limiter.book.all
        bench.advance(30)
        bench.plug_in()
        bench.advance(10)
        assert over_time(bench, [129, 130]) == [9, 15]
        assert limits(bench)[-1] == (15, "TxProfile 7 (stack 0)")
        install(bench, 1, profile(TX, 11, id=8))
        assert offered(bench) == 11
        assert [installed.id for installed in bench.cp.connectors.limiter.book] == [8]

    def test_a_remote_start_that_comes_to_nothing_leaves_nothing(self) -> None:
        bench = station(ocpp={"ConnectionTimeOut": "60"})
        request = {"connectorId": 1, "idTag": "TAG", "chargingProfile": profile(TX, 9)}
        bench.call("RemoteStartTransaction", request)
        bench.advance(61)
        bench.charge("OTHER")
        assert offered(bench) == 32
        assert not bench.cp.connectors.limiter.book.all


class TestTime:
    """Corrections of the station's UTC (§4.6) move what counts from a date and nothing else."""

    @pytest.mark.parametrize("ahead_s", [2 * HOUR_S, -2 * HOUR_S], ids=["forward", "back"])
    def test_relative_schedules_go_on(self, ahead_s: int) -> None:
        bench = station()
        bench.charge()
        install(bench, 1, profile(TX, [(0, 10), (600, 20)]))
        bench.advance(90)
        tell_time(bench, ahead_s)
        schedule = bench.call("GetCompositeSchedule", {"connectorId": 1, "duration": 1000})
        assert [p["startPeriod"] for p in schedule["chargingSchedule"]["chargingSchedulePeriod"]] == [0, 500]
        assert over_time(bench, [100, 599, 600]) == [10, 10, 20]

    @pytest.mark.parametrize(
        ("ahead_s", "expected"),
        [(0, [32, 32, 10, 16]), (500, [32, 10, 16, 16]), (-400, [32, 32, 32, 10])],
        ids=["right", "forward", "back"],
    )
    def test_absolute_schedules_follow(self, ahead_s: int, expected: list[float]) -> None:
        bench = station()
        bench.charge()
        install(bench, 0, profile(DEFAULT, [(0, 10), (300, 16)], start=600))
        bench.advance(90)
        before = offered(bench)
        tell_time(bench, ahead_s)
        assert [before, *over_time(bench, [100, 650, 1050])] == expected

    def test_a_maximum_follows_too(self) -> None:
        bench = station()
        bench.charge()
        install(bench, 0, profile(MAXIMUM, [(0, 10), (300, 16)], start=600))
        tell_time(bench, 500)
        assert over_time(bench, [99, 100, 399, 400]) == [32, 10, 10, 16]


# --- GetCompositeSchedule tells the truth -------------------------------------------------------------------

AMPERES = st.sampled_from([0.0, 4.0, 6.0, 6.1, 9.5, 16.0, 20.2, 32.0, 40.0])
WATTS = st.sampled_from([0.0, 3000.0, 4140.0, 7360.0, 11_000.0, 22_080.0, 30_000.0])
DURATIONS = st.sampled_from([None, 60, 300, 1000, DAY_S])


@st.composite
def profiles(draw: Callable[..., Any]) -> tuple[int, dict[str, Any]]:
    purpose = draw(st.sampled_from([MAXIMUM, DEFAULT, DEFAULT, TX, TX]))
    unit = draw(st.sampled_from(["A", "A", "W"]))
    starts = [0, *sorted(draw(st.sets(st.integers(1, 1500), max_size=3)))]
    steps = [(start, draw(AMPERES if unit == "A" else WATTS)) for start in starts]
    more: dict[str, Any] = {"unit": unit, "stack": draw(st.integers(0, 2))}
    if (duration := draw(DURATIONS)) is not None:
        more["duration"] = duration
    kind = draw(st.sampled_from(["Relative", "Absolute", "Daily", "Weekly"]))
    if kind != "Relative":
        more["start"] = draw(st.integers(-1000, 1500))
    if kind in ("Daily", "Weekly"):
        more["recurrency"] = kind
    if draw(st.booleans()):
        more["validFrom"] = draw(st.integers(-500, 1000))
        if draw(st.booleans()):
            more["validTo"] = more["validFrom"] + draw(st.integers(1, 2000))
    connector = 0 if purpose == MAXIMUM else 1 if purpose == TX else draw(st.sampled_from([0, 1]))
    return connector, profile(purpose, steps, **more)


INFOS = st.sampled_from([EvseInfo(), AC_1P, DC])


def enforced_a(bench: Bench) -> float:
    """What is offered in amperes, at the nominal output voltage where watts decide."""
    limit, info = bench.evses[0].offered, bench.evses[0].info
    if info.current == "ac" or limit.power_w is None or info.max_power_w is None:
        return limit.current_a
    return min(limit.current_a, limit.power_w * info.max_current_a / info.max_power_w)


@pytest.mark.search
@given(st.lists(profiles(), min_size=1, max_size=5), st.integers(0, 900), INFOS)
def test_a_composite_schedule_is_what_is_offered_as_time_passes(
    installed: list[tuple[int, dict[str, Any]]], wait_s: int, info: EvseInfo
) -> None:
    """At each boundary, and just before the next, for one connector that shares with nobody."""
    bench = station(info, ocpp={"MaxChargingProfilesInstalled": "20", "MeterValueSampleInterval": "0"})
    bench.charge()
    for n, (connector, wanted) in enumerate(installed):
        install(bench, connector, {**wanted, "chargingProfileId": n})
    bench.advance(wait_s)
    request = {"connectorId": 1, "duration": 3000, "chargingRateUnit": "A"}
    answer = bench.call("GetCompositeSchedule", request)
    start = parse_time(answer["scheduleStart"]) - START
    periods = answer["chargingSchedule"]["chargingSchedulePeriod"]
    assert periods[0]["startPeriod"] == 0
    ends = [*(period["startPeriod"] for period in periods[1:]), 3000]
    for period, end in zip(periods, ends, strict=True):
        expected = period["limit"] if period["limit"] >= 6 or info is DC else 0
        for moment in (period["startPeriod"], end - 1):
            bench.advance(START + start + moment - bench.clock.now())
            assert round_down(enforced_a(bench)) == expected


# --- a month ------------------------------------------------------------------------------------------------


class CountingClock(SteppedClock):
    """Knows how many timers have fired."""

    fired = 0

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        def counted() -> None:
            self.fired += 1
            action()

        return super().call_at(when, counted)


class LongBench(Bench):
    clock_type = CountingClock


@pytest.mark.parametrize(("charging", "a_day"), [(False, 4), (True, 12)], ids=["idle", "charging"])
def test_a_month_of_weekly_profiles_needs_few_timers(charging: bool, a_day: int) -> None:
    """Boundaries are waited for, not polled: 7 profiles of 6 periods each day of the week."""
    bench = LongBench(ocpp={"HeartbeatInterval": "86400", "MeterValueSampleInterval": "0"})
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Accepted", "currentTime": format_time(bench.clock.now()), "interval": DAY_S
    }  # fmt: skip
    bench.connect()
    for day in range(7):
        steps = [(4 * HOUR_S * n, 6.0 + n) for n in range(6)]
        weekly = profile(
            DEFAULT, steps, id=day, stack=day, recurrency="Weekly", start=(day - 7) * DAY_S, duration=DAY_S
        )
        install(bench, 0, weekly)
    if charging:
        bench.charge()
    clock = bench.clock
    assert isinstance(clock, CountingClock)
    before = clock.fired
    seen = set()
    for _ in range(30 * 6):
        bench.advance(4 * HOUR_S)
        seen.add(offered(bench))
    assert seen == ({6.0 + n for n in range(6)} if charging else {0.0})
    assert (clock.fired - before) / 30 <= a_day
