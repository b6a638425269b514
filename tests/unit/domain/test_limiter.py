"""One maximum over several connectors while time passes and vehicles dawdle: OCPP 1.6 §3.13.1, §3.13.3."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.ocpp16.times import format_time
from hal.api import NOTHING, EvseInfo, Fault, FaultKind, Limit, MeterReading, Timer
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import START, Bench

AC = EvseInfo()
AC_1P = EvseInfo(phases=1)
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0, tethered=True, lockable=False)

DAY_S = 86_400.0


class CountingClock(SteppedClock):
    """Knows which timers wait and how many have fired."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(start)
        self.fired = 0
        self._asked: list[Any] = []

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        def counted() -> None:
            self.fired += 1
            action()

        timer = super().call_at(when, counted)
        self._asked.append(timer)
        return timer

    @property
    def waiting(self) -> int:
        self._asked = [timer for timer in self._asked if timer.action is not None]
        return len(self._asked)


class SlowEvse(SimulatedEvse):
    """A vehicle that goes on drawing for `lag_s` after it was told less, and a contactor as slow as that."""

    def __init__(self, info: EvseInfo, clock: SteppedClock, site: list[SlowEvse]) -> None:
        super().__init__(info, clock)
        self.lag_s = 0.0
        self.polled: MeterReading | None = None  # all that is known of a meter that is asked now and then
        self.raised: Callable[[SlowEvse], None] = lambda evse: None
        self._seen: MeterReading | None = None
        self._until = 0.0
        site.append(self)

    def permit(self, limit: Limit) -> None:
        before, offered = super().reading(), self.offered
        super().permit(limit)
        if super().reading().power_w < before.power_w and self.lag_s:
            self._seen, self._until = before, self._clock.now() + self.lag_s
            self._clock.call_at(self._until, self._report)
        if line_a(self.offered, self.info) > line_a(offered, self.info):
            self.raised(self)

    def _report(self) -> None:
        if self.listener is not None:
            self.listener.evse_changed()

    @property
    def lagging(self) -> bool:
        return self._clock.now() < self._until

    @property
    def closed(self) -> bool:
        return super().closed or self.lagging

    def reading(self) -> MeterReading:
        if self.polled is not None:
            return self.polled
        reading = super().reading()
        if self._seen is None or not self.lagging:
            return reading
        return replace(reading, current_a=self._seen.current_a, power_w=self._seen.power_w)


class Site(Bench):
    """Several connectors with vehicles that may be slow; connected."""

    clock_type = CountingClock

    def __init__(self, *infos: EvseInfo, **more: Any) -> None:
        self.slow: list[SlowEvse] = []
        super().__init__(len(infos), infos, **more)
        self.connect()

    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        return SlowEvse(info, self.clock, self.slow)

    @property
    def counting(self) -> CountingClock:
        assert isinstance(self.clock, CountingClock)
        return self.clock

    def install(self, limit: float, unit: str = "A", connector: int = 0, **more: Any) -> None:
        """A maximum at connector 0, else a default of that connector; more fields as on the wire."""
        schedule = {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": more.pop("periods", [{"startPeriod": 0, "limit": limit}]),
            "startSchedule": format_time(START),
        }
        if "duration" in more:
            schedule["duration"] = more.pop("duration")
        profile = {
            "chargingProfileId": connector,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile" if connector else "ChargePointMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
            **more,
        }
        answer = self.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": profile})
        assert answer == {"status": "Accepted"}

    def clear(self, profile_id: int = 0) -> None:
        assert self.call("ClearChargingProfile", {"id": profile_id}) == {"status": "Accepted"}

    def arrive(self, *connectors: int, wait_s: float = 20.0) -> None:
        for connector in connectors:
            self.charge(f"TAG{connector}", connector)
            self.advance(wait_s)

    def leave(self, connector: int) -> None:
        self.swipe(f"TAG{connector}", connector)

    def offers(self) -> list[float]:
        """What each connector is offered, in amperes per line of the grid connection."""
        return [round(line_a(evse.offered, evse.info), 1) for evse in self.slow]

    def because(self, connector: int) -> str:
        return str(
            [e for e in self.events if e["event"] == "limit" and e["connector"] == connector][-1]["because"]
        )


def line_a(limit: Limit, info: EvseInfo) -> float:
    if info.current == "ac":
        return limit.current_a
    return (limit.power_w or 0.0) / (info.nominal_voltage_v * 3)


class TestShares:
    def test_nothing_is_shared_without_a_maximum(self) -> None:
        site = Site(AC, AC)
        site.install(20, connector=1)
        site.arrive(1, 2)
        assert site.offers() == [20, 32]

    def test_equal_shares_and_what_one_leaves_goes_to_the_others(self) -> None:
        site = Site(AC, AC, AC)
        site.install(36)
        site.install(8, connector=2)
        site.arrive(1)
        assert site.offers() == [32, 0, 0]
        site.arrive(2, 3)
        assert site.offers() == [14, 8, 14]
        site.leave(1)
        site.advance(10)
        assert site.offers() == [0, 8, 28]
        site.clear(2)
        assert site.offers() == [0, 18, 18]

    def test_who_comes_last_is_suspended_below_the_floor_and_resumes(self) -> None:
        site = Site(AC, AC, AC)
        site.install(13)
        site.arrive(2, 3, 1)
        assert site.offers() == [0, 6.5, 6.5]
        assert [site.statuses(n)[-1] for n in (1, 2, 3)] == ["SuspendedEVSE", "Charging", "Charging"]
        assert site.because(1) == "ChargePointMaxProfile 0: nothing left"
        assert site.because(2) == "ChargePointMaxProfile 0 shared by 2"
        site.leave(2)
        site.advance(20)
        assert site.offers() == [6.5, 0, 6.5]
        assert [site.statuses(n)[-1] for n in (1, 2, 3)] == ["Charging", "Finishing", "Charging"]

    def test_direct_and_alternating_current_together(self) -> None:
        site = Site(AC, DC)
        site.install(40)
        site.arrive(1, 2)
        assert site.offers() == [20, 20]
        assert site.slow[1].offered == Limit(200, 13_800)
        assert site.because(2) == "ChargePointMaxProfile 0 shared by 2"

    def test_watts_over_all_phases(self) -> None:
        site = Site(AC_1P, AC_1P)
        site.install(7360, "W", periods=[{"startPeriod": 0, "limit": 7360, "numberPhases": 1}])
        site.arrive(1, 2)
        assert site.offers() == [16, 16]

    def test_an_advised_minimum_is_given_to_who_came_first(self) -> None:
        site = Site(AC, AC)
        site.install(18)
        site.install(32, connector=1)
        profile = {
            "chargingProfileId": 5, "stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A", "minChargingRate": 10,
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32}],
            },
        }  # fmt: skip
        site.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
        site.arrive(1, 2)
        assert site.offers() == [10, 8]

    def test_periods_of_the_maximum_pass_by_themselves(self) -> None:
        site = Site(AC, AC)
        steps = [(0, 32), (1000, 16), (2000, 10), (3000, 0), (4000, 40)]
        site.install(
            0, periods=[{"startPeriod": start, "limit": limit} for start, limit in steps], duration=5000
        )
        site.arrive(1, 2)  # to 60 s
        seen = []
        for _ in range(6):
            seen.append(site.offers())
            site.advance(1000)
        assert seen == [[16, 16], [8, 8], [10, 0], [0, 0], [20, 20], [32, 32]]
        assert site.because(1) == "hardware"

    def test_a_maximum_that_begins_later(self) -> None:
        site = Site(AC, AC)
        site.install(20, validFrom=format_time(START + 500), validTo=format_time(START + 900))
        site.arrive(1, 2)
        assert site.offers() == [32, 32]
        site.advance(439)
        assert site.offers() == [32, 32]
        site.advance(1)
        assert site.offers() == [10, 10]
        site.advance(400)
        assert site.offers() == [32, 32]

    def test_a_faulted_connector_leaves_its_share_to_the_others(self) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1, 2)
        site.slow[0].inject(Fault(FaultKind.OVER_TEMPERATURE))
        site.advance(10)
        assert site.offers() == [0, 20]
        site.slow[0].clear()
        site.advance(10)
        assert site.offers() == [10, 10]

    def test_energy_left_to_a_refused_identifier_takes_part(self) -> None:
        site = Site(AC, AC, ocpp={"MaxEnergyOnInvalidId": "2000", "StopTransactionOnInvalidId": "false"})
        site.install(20)
        site.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": 9,
            "idTagInfo": {"status": "Invalid" if payload["connectorId"] == 1 else "Accepted"},
        }
        site.arrive(1, 2)
        assert site.offers() == [10, 10]
        site.advance(3600)
        assert site.offers() == [0, 20]
        assert site.because(1) == "the central system refused the identifier"


class TestFollowing:
    """More for one only when the others draw less, or have had 6 s."""

    def test_a_latecomer_waits_until_the_others_are_seen_to_draw_less(self) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1)
        site.slow[0].lag_s = 3.0
        site.plug_in(2)
        site.swipe("TAG2", 2)
        assert site.offers() == [10, 0]
        assert site.because(2) == "ChargePointMaxProfile 0: until others draw less"
        site.advance(2.9)
        assert site.offers() == [10, 0]
        site.advance(0.1)
        assert site.offers() == [10, 10]

    def test_a_reading_from_before_does_not_show_it(self) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1)
        first = site.slow[0]
        first.adjust(max_current_a=8)
        first.polled = first.reading()
        site.advance(1)
        site.plug_in(2)
        site.swipe("TAG2", 2)
        site.advance(1)
        assert site.offers() == [10, 0]
        first.polled = None
        first.polled = first.reading()
        site.cp.connectors[1].evse_changed()
        assert site.offers() == [10, 10]

    @pytest.mark.parametrize("lag_s", [6.5, 1000.0])
    def test_but_not_for_ever(self, lag_s: float) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1)
        site.slow[0].lag_s = lag_s
        site.plug_in(2)
        site.swipe("TAG2", 2)
        site.advance(5.9)
        assert site.offers() == [10, 0]
        site.advance(0.1)
        assert site.offers() == [10, 10]

    def test_who_leaves_must_have_let_go(self) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1, 2)
        site.slow[0].lag_s = 4.0
        site.leave(1)
        assert site.offers() == [0, 10]
        site.advance(3.9)
        assert site.offers() == [0, 10]
        site.advance(0.1)
        assert site.offers() == [0, 20]

    def test_direct_current_is_measured_in_watts(self) -> None:
        site = Site(DC, AC)
        site.install(40)
        site.arrive(1)
        assert site.offers() == [40, 0]
        site.slow[0].lag_s = 5.0
        site.plug_in(2)
        site.swipe("TAG2", 2)
        assert site.offers() == [20, 0]
        site.advance(4.9)
        assert site.offers() == [20, 0]
        site.advance(0.1)
        assert site.offers() == [20, 20]

    def test_a_maximum_installed_under_load_takes_before_it_gives(self) -> None:
        site = Site(AC, AC)
        site.install(8, connector=1)
        site.arrive(1, 2)
        site.slow[1].lag_s = 5.0
        site.install(20)
        site.clear(1)
        assert site.offers() == [8, 10]
        site.slow[1].lag_s = 0.0
        site.advance(6)
        assert site.offers() == [10, 10]

    def test_without_a_maximum_nobody_waits(self) -> None:
        site = Site(AC, AC)
        site.install(20)
        site.arrive(1, 2)
        site.slow[0].lag_s = 5.0
        site.leave(1)
        site.clear(0)
        assert site.offers() == [0, 32]


class TestTimers:
    def test_none_without_a_maximum_or_without_a_transaction(self) -> None:
        site = Site(AC, AC)
        site.advance(60)  # nobody looks for the answers to the boot any more
        idle = site.counting.waiting
        site.install(20, validTo=format_time(START + 40 * DAY_S), periods=[
            {"startPeriod": 3600 * n, "limit": 20 + n} for n in range(24)
        ])  # fmt: skip
        assert site.counting.waiting == idle + 1  # midnight, to look for profiles that are over
        site.arrive(1, 2)
        site.leave(1)
        site.leave(2)
        site.plug_out(1)
        site.plug_out(2)
        site.advance(100)
        assert site.counting.waiting == idle + 1
        site.clear(0)
        site.advance(DAY_S)
        assert site.counting.waiting == idle

    def test_one_for_the_next_boundary_however_often_it_is_asked(self) -> None:
        site = Site(AC, AC)
        site.install(0, periods=[{"startPeriod": 0, "limit": 20}, {"startPeriod": 50_000, "limit": 10}])
        site.arrive(1, 2)
        before = site.counting.waiting
        for _ in range(50):
            with site.cp.turn as turn:
                turn.settle_all()
        assert site.counting.waiting == before

    def test_closing_leaves_none(self) -> None:
        site = Site(AC, AC)
        site.install(20, validTo=format_time(START + 4000))
        site.arrive(1, 2)
        site.slow[0].lag_s = 5.0
        site.leave(1)
        for evse in site.evses:
            evse.close()
        site.advance(100)
        site.cp.close()
        assert site.counting.waiting == 0


class TestPurge:
    """Expired profiles are forgotten each midnight."""

    def test_at_midnight_in_the_stations_time(self) -> None:
        site = Site(AC)
        site.install(20, validTo=format_time(START + 1000))
        site.install(16, connector=1, validTo=format_time(START + DAY_S + 1000))
        site.advance(DAY_S - 1)
        assert len(site.cp.connectors.limiter.book) == 2
        site.advance(1)
        assert [profile.id for profile in site.cp.connectors.limiter.book] == [1]
        site.advance(DAY_S)
        assert not site.cp.connectors.limiter.book.all

    def test_an_expired_one_does_not_stand_in_the_way_of_a_new_one(self) -> None:
        site = Site(AC, AC, ocpp={"MaxChargingProfilesInstalled": "1"})
        site.install(20, validTo=format_time(START + 1000))
        site.advance(1001)
        site.install(16, connector=1)
        assert [profile.id for profile in site.cp.connectors.limiter.book] == [1]

    def test_after_a_restart_once_accepted(self) -> None:
        site = Site(AC)
        site.install(20, validTo=format_time(START + 1000))
        site.disconnect()
        site.advance(2000)
        site.restart()
        assert len(site.cp.connectors.limiter.book) == 1
        site.connect()
        assert not site.cp.connectors.limiter.book.all


INFOS = st.lists(st.sampled_from([AC, AC, AC_1P, DC]), min_size=2, max_size=4)
EVENT = st.sampled_from(["arrive", "leave", "maximum", "own", "wait", "wait"])


@pytest.mark.search
@given(INFOS, st.lists(EVENT, min_size=5, max_size=25), st.integers(0, 2**32))
def test_the_sum_never_exceeds_the_maximum(infos: list[EvseInfo], events: list[str], seed: int) -> None:
    """Neither offered, at any instant, nor drawn when anything is raised, with vehicles up to 5 s slow."""
    chance = random.Random(seed)
    site = Site(*infos)
    maximum = 0.0

    def total(measured: bool) -> float:
        amounts = []
        for evse in site.slow:
            reading, offered_a = evse.reading(), line_a(evse.offered, evse.info)
            drawn_a = reading.power_w / 690 if evse.info.current == "dc" else max(reading.current_a)
            amounts.append(max(offered_a, drawn_a) if measured else offered_a)
        return sum(amounts)

    def raised(evse: SlowEvse) -> None:
        assert total(measured=True) <= maximum + 0.5 * len(site.slow) + 1e-6

    for evse in site.slow:
        evse.raised = raised
    charging: set[int] = set()
    site.install(maximum := 30.0)
    for event in events:
        connector = chance.randint(1, len(infos))
        site.slow[connector - 1].lag_s = chance.choice([0.0, 1.0, 5.0])
        if event == "arrive" and connector not in charging:
            if site.slow[connector - 1].vehicle is not None:
                site.advance(20)
                site.plug_out(connector)
                site.advance(20)
            charging.add(connector)
            site.plug_in(connector, "family")
            site.swipe(f"TAG{connector}", connector)
        elif event == "leave" and connector in charging:
            charging.remove(connector)
            site.leave(connector)
        elif event == "maximum":
            value = chance.choice([0.0, 5.0, 10.0, 13.0, 20.0, 33.3, 60.0])
            maximum = max(maximum, value)  # until those who are told less have followed
            site.install(value)
            if value < maximum:
                site.advance(6)
            maximum = value
        elif event == "own":
            site.install(chance.choice([0.0, 4.0, 7.0, 12.5, 40.0]), connector=connector)
        else:
            site.advance(chance.choice([0.1, 1.0, 3.0, 6.0, 30.0, 600.0]))
        assert total(measured=False) <= maximum + 1e-6
    site.advance(60)
    offers = site.offers()
    assert all(offer == 0 for n, offer in enumerate(offers, 1) if n not in charging)
    wanted = [
        n for n in charging if infos[n - 1] != DC and site.cp.connectors[n].entitlement().current_a >= 6
    ]
    if wanted and maximum >= 6:
        assert any(offers), "nobody is starved while there is room for one"


def test_who_is_offered_nothing_is_told_so_by_the_hardware() -> None:
    site = Site(AC, AC)
    site.install(6)
    site.arrive(1, 2)
    assert site.slow[1].offered == NOTHING
