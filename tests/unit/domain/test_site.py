"""The site limit: what a building's grid connection leaves for charging, shared with the house (no norm)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.site import Draw, SiteLimit, SiteSettings
from chargepoint.site import settings_of
from hal.api import EvseInfo, FaultKind
from tests.unit.domain.building import Building

AC = EvseInfo()
AC_1P = EvseInfo(phases=1)
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0, tethered=True, lockable=False)
FORTY = SiteSettings(limit_a=40.0)


def draw(*current_a: float) -> Draw:
    return Draw(current_a, current_a)


class Readings:
    """A limit and one reading of its meter each second."""

    def __init__(self, **settings: Any) -> None:
        self.limit = SiteLimit(SiteSettings(**{"limit_a": 40.0, "phases": 1} | settings), since=0.0)
        self.now = 0.0

    def show(self, current_a: float, seconds: int = 1, own: Draw | None = None) -> list[float]:
        """What is left after each of these seconds."""
        left = []
        for _ in range(seconds):
            self.now += 1.0
            self.limit.read(self.now, [current_a], [own or draw(0.0)])
            left.append(self.limit.left_a)
        return left


class TestLess:
    def test_the_first_reading_counts_at_once(self) -> None:
        assert Readings().show(10) == [30]

    def test_an_excess_counts_when_two_seconds_agree(self) -> None:
        readings = Readings()
        readings.show(0, 20)
        assert readings.show(15, 3) == [40, 25, 25]

    def test_a_single_spike_does_not(self) -> None:
        readings = Readings()
        readings.show(0, 20)
        assert [*readings.show(39), *readings.show(0, 5)] == [40] * 6

    def test_of_two_readings_the_milder_counts(self) -> None:
        readings = Readings()
        readings.show(0, 20)
        assert [*readings.show(39), *readings.show(20), *readings.show(38), *readings.show(38)] == [
            40,
            20,
            20,
            2,
        ]

    def test_a_short_reaction_leaves_no_time_for_doubt(self) -> None:
        readings = Readings(reaction_s=3.0)
        readings.show(0, 20)
        assert readings.show(15) == [25]

    def test_a_meter_that_is_told_seldom_counts_at_once(self) -> None:
        readings = Readings()
        readings.show(0, 20)
        readings.now += 9
        assert readings.show(15) == [25]

    def test_what_the_connectors_draw_is_not_the_house(self) -> None:
        assert Readings().show(26, own=draw(16.0)) == [30]

    def test_a_draw_that_nobody_measured_takes_nothing_away_and_gives_nothing_back(self) -> None:
        readings = Readings()
        readings.show(10, 20)
        unknown = Draw((0.0,), (16.0,))
        assert readings.show(26, 20, own=unknown)[-1] == 30
        assert readings.show(36, 3, own=unknown)[-1] == 20
        assert readings.show(20, 30, own=unknown)[-1] == 20

    def test_an_excess_nobody_can_be_blamed_for_is_taken_from_each(self) -> None:
        limit = SiteLimit(SiteSettings(limit_a=40.0, reaction_s=3.0), since=0.0)
        astray = Draw((10.0,) * 3, (10.0,) * 3, astray=True)
        limit.read(1.0, [20.0, 30.0, 30.0], [astray, draw(10.0, 10.0, 10.0)])
        assert limit.left_a == 30
        limit.read(2.0, [20.0, 43.0, 30.0], [astray, draw(10.0, 10.0, 10.0), draw(0.0, 0.0, 0.0)])
        assert limit.left_a == 14
        limit.read(3.0, [20.0, 43.0, 30.0], [astray])
        assert limit.left_a == 7

    @pytest.mark.parametrize(("shown_a", "left_a"), [(45, 0), (40, 0), (39.96, 0), (-30, 40), (0.04, 39.9)])
    def test_bounds(self, shown_a: float, left_a: float) -> None:
        assert Readings().show(shown_a) == [left_a]

    def test_a_reserve_is_never_used(self) -> None:
        readings = Readings(reserve_a=5.0)
        assert readings.show(10) == [25]
        assert readings.limit.maxima(1)[0].because == "site limit (25 A of 35 A left)"

    def test_the_same_reading_again_changes_nothing(self) -> None:
        readings = Readings()
        readings.show(0)
        assert not readings.limit.read(1.0, [30.0], [draw(0.0)])
        assert readings.limit.left_a == 40


class TestMore:
    def test_only_what_was_left_all_the_time_and_by_steps(self) -> None:
        readings = Readings()
        readings.show(30)
        left = readings.show(0, 40)
        assert left[:9] == [10] * 9
        assert left[9:19] == [20] * 10
        assert left[19:29] == [30] * 10
        assert left[29:] == [40] * 11

    def test_a_kettle_that_comes_back_keeps_it_low(self) -> None:
        readings = Readings()
        readings.show(0)
        left = []
        for _ in range(20):
            left += readings.show(10, 4) + readings.show(0, 4)
        assert set(left[4:]) == {30}

    def test_a_ripple_is_not_followed(self) -> None:
        readings = Readings()
        readings.show(20)
        left = []
        for n in range(300):
            left += readings.show(20.4 if n % 2 else 19.6)
        assert len(set(left)) <= 2

    def test_a_reduction_starts_the_wait_anew(self) -> None:
        readings = Readings()
        readings.show(30)
        readings.show(0, 8)
        readings.show(32, 3)
        assert readings.show(0, 9) == [8] * 9


class TestSilence:
    def test_before_the_first_reading_the_safe_value_counts(self) -> None:
        limit = SiteLimit(FORTY, since=0.0)
        assert (limit.left_a, limit.safe, limit.fault) == (6, True, None)
        assert limit.maxima(1)[0].because == "site meter not read yet (6 A for all)"

    def test_a_silent_meter_is_lost_after_its_time_and_once(self) -> None:
        readings = Readings()
        readings.show(0)
        limit = readings.limit
        assert limit.lost_at == 16
        assert not limit.look(15.9)
        assert limit.left_a == 40
        assert limit.look(16.0)
        assert not limit.look(17.0)
        assert (limit.left_a, limit.maxima(1)[0].because) == (6, "site meter silent (6 A for all)")
        assert limit.fault is not None
        assert (limit.fault.kind, limit.fault.blocking) == (FaultKind.METER, False)

    def test_it_comes_back_at_the_safe_value_and_rises_from_there(self) -> None:
        readings = Readings()
        readings.show(0, 5)
        readings.limit.look(100.0)
        readings.now = 100.0
        left = readings.show(0, 25)
        assert (left[0], left[9], left[-1]) == (6, 6, 26)
        assert readings.limit.fault is None

    def test_it_comes_back_lower_where_the_house_leaves_less(self) -> None:
        readings = Readings()
        readings.show(0, 5)
        readings.limit.look(100.0)
        readings.now = 100.0
        assert readings.show(37) == [3]


class TestRules:
    RULES = ((1, 30.0), (2, 20.0), (4, 12.0))

    @pytest.mark.parametrize(("busy", "limit_a"), [(0, 40), (1, 30), (2, 20), (3, 20), (4, 12), (9, 12)])
    def test_the_rule_for_the_most_that_are_busy_counts(self, busy: int, limit_a: float) -> None:
        settings = SiteSettings(limit_a=40.0, rules=self.RULES)
        assert settings.configured(busy).value == limit_a
        limit = SiteLimit(settings, since=0.0)
        limit.read(1.0, [0.0] * 3, [])
        assert min(maximum.value for maximum in limit.maxima(busy)) == limit_a

    def test_a_rule_above_the_limit_changes_nothing(self) -> None:
        assert SiteSettings(limit_a=40.0, rules=((1, 63.0),)).configured(1).value == 40

    def test_connectors_share_it(self) -> None:
        building = Building(SiteSettings(limit_a=40.0, rules=((2, 20.0),)), AC, AC)
        building.arrive(1)
        assert building.offers() == [32, 0]
        building.arrive(2)
        assert building.offers() == [10, 10]
        assert building.because(2) == "site rule for 2 busy (20 A) shared by 2"


class TestShares:
    """House and vehicles at the same grid connection, the whole way to the hardware."""

    def test_what_the_house_leaves_is_shared(self) -> None:
        building = Building(FORTY, AC, AC)
        building.house(10, wait_s=20)
        building.arrive(1)
        assert building.offers() == [30, 0]
        assert building.because(1) == "site limit (30 A of 40 A left)"
        building.arrive(2)
        assert building.offers() == [15, 15]
        assert building.because(2) == "site limit (30 A of 40 A left) shared by 2"
        assert max(building.flows()) <= 40.05

    def test_who_came_last_pauses_when_there_is_not_enough_for_all(self) -> None:
        building = Building(FORTY, AC, AC, AC)
        building.arrive(1, 2, 3)
        assert building.offers() == [13.3, 13.3, 13.3]
        building.house(25, wait_s=5)
        assert building.offers() == [7.5, 7.5, 0]
        assert building.because(3) == "site limit (15 A of 40 A left): nothing left"
        assert building.statuses(3)[-1] == "SuspendedEVSE"
        building.house(35, wait_s=5)
        assert building.offers() == [0, 0, 0]
        building.house(0, wait_s=60)
        assert building.offers() == [13.3, 13.3, 13.3]
        assert building.statuses(3)[-1] == "Charging"

    def test_offline_it_works_the_same(self) -> None:
        building = Building(FORTY, AC, AC)
        building.arrive(1, 2)
        building.disconnect()
        building.house(24, wait_s=5)
        assert building.offers() == [8, 8]
        building.meter.silent = True
        building.advance(20)
        assert building.offers() == [6, 0]

    def test_a_maximum_of_the_central_system_counts_beside_it(self) -> None:
        building = Building(FORTY, AC, AC)
        building.arrive(1, 2)
        profile = {
            "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "ChargePointMaxProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 18}],
            },
        }  # fmt: skip
        building.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})
        assert building.offers() == [9, 9]
        assert building.because(1) == "ChargePointMaxProfile 1 shared by 2"
        building.house(26, wait_s=5)
        assert building.offers() == [7, 7]
        assert building.because(1) == "site limit (14 A of 40 A left) shared by 2"

    def test_direct_current_counts_as_the_grid_sees_it(self) -> None:
        building = Building(FORTY, AC, DC)
        building.arrive(1, 2)
        assert building.offers() == [20, 20]
        building.house(20, wait_s=10)
        assert building.offers() == [10, 10]

    def test_a_latecomer_waits_until_the_others_have_followed(self) -> None:
        building = Building(SiteSettings(limit_a=20.0), AC, AC)
        building.arrive(1)
        building.slow[0].lag_s = 3.0
        building.plug_in(2)
        building.swipe("TAG2", 2)
        assert building.offers() == [10, 0]
        assert building.because(2) == "site limit (20 A of 20 A left): until others draw less"
        building.advance(4)
        assert building.offers() == [10, 10]

    def test_a_connector_whose_meter_is_silent_keeps_what_it_has(self) -> None:
        building = Building(FORTY, AC, AC)
        building.house(10, wait_s=20)
        building.arrive(1)
        first = building.slow[0]
        first.polled = first.reading()  # and from now on nothing new
        seen = set()
        for _ in range(120):
            building.advance(1)
            seen.add(building.offers()[0])
        assert seen == {30.0}


class TestLines:
    """Single-phase connectors on lines of their own; the lines of others are not known."""

    TOLD = SiteSettings(limit_a=20.0, lines={1: (0,), 2: (1,)})

    def test_each_line_for_itself(self) -> None:
        building = Building(self.TOLD, AC_1P, AC_1P, truth={1: (0,), 2: (1,)})
        building.house(12, 3, 0, wait_s=20)
        building.arrive(1, 2, vehicle="city")
        assert building.offers() == [8, 17]
        assert building.because(1) == "site limit (8 A of 20 A left on L1)"
        building.house(16, 3, 0, wait_s=5)
        assert building.offers() == [0, 17]

    def test_what_one_line_denies_goes_to_another(self) -> None:
        building = Building(self.TOLD, AC_1P, AC_1P, AC, truth={1: (0,), 2: (1,)})
        building.house(6, 0, 0, wait_s=20)
        building.arrive(1, 2, vehicle="city")
        building.arrive(3)
        assert building.offers() == [7, 13, 7]

    def test_where_nothing_is_known_the_fullest_line_decides(self) -> None:
        building = Building(SiteSettings(limit_a=20.0), AC_1P, AC_1P, truth={1: (0,), 2: (1,)})
        building.house(12, 0, 0, wait_s=20)
        building.arrive(1, 2, vehicle="city")
        assert building.offers() == [8, 0]
        building.house(4, 0, 0, wait_s=60)
        assert building.offers() == [10, 10]

    def test_a_vehicle_on_one_line_of_three_does_not_make_it_swing(self) -> None:
        building = Building(SiteSettings(limit_a=25.0), AC, truth={1: (1, 2, 0)})
        building.arrive(1, vehicle="city")
        building.slow[0].adjust(phases=1)
        building.advance(30)
        seen = set()
        for _ in range(60):
            building.advance(1)
            seen.add(building.offers()[0])
        assert seen == {25.0}

    @pytest.mark.parametrize(
        ("rotations", "lines"),
        [
            (("0.RST", "1.Unknown", "2.NotApplicable"), None),
            (("1.RST", "2.STR"), {1: (0, 1, 2), 2: (1,)}),
            (("1.TSR", "3.RST"), {1: (2, 1, 0)}),
        ],
    )
    def test_the_wiring_is_read_from_the_configuration(
        self, rotations: tuple[str, ...], lines: dict[int, tuple[int, ...]] | None
    ) -> None:
        from chargepoint.config.site import SiteConfig

        assert settings_of(SiteConfig(limit_a=40.0), (AC, AC_1P, DC), rotations).lines == lines


class TestLostMeter:
    def test_it_is_told_once_and_recovers_by_itself(self) -> None:
        building = Building(FORTY, AC, AC)
        building.arrive(1, 2)
        building.meter.silent = True
        building.meter.problem = "no answer"
        building.advance(14)
        assert building.offers() == [20, 20]
        building.advance(2)
        assert building.offers() == [6, 0]
        assert building.because(1) == "site meter silent (6 A for all)"
        building.advance(100)
        told = [e["message"] for e in building.events if e["event"] == "error"]
        assert told == [
            "the site meter has been silent for 15 s (no answer): until it answers all connectors share 6 A"
        ]
        codes = [p["errorCode"] for p in building.sent("StatusNotification") if p["connectorId"] == 0]
        assert codes == ["NoError", "PowerMeterFailure"]
        assert building.sent("StatusNotification")[-1]["status"] != "Faulted"
        building.meter.silent = False
        building.advance(60)
        assert building.offers() == [20, 20]
        codes = [p["errorCode"] for p in building.sent("StatusNotification") if p["connectorId"] == 0]
        assert codes == ["NoError", "PowerMeterFailure", "NoError"]

    def test_a_meter_that_never_answers(self) -> None:
        building = Building(FORTY, AC)
        building.meter.silent = True
        building.restart()  # whatever it said at first
        assert building.site is not None
        building.advance(20)
        building.connect()
        building.arrive(1)
        assert building.offers() == [6]

    def test_a_restart_of_the_software_does_not_forget_it(self) -> None:
        building = Building(FORTY, AC)
        building.house(10, wait_s=20)
        building.restart()
        building.connect()
        building.arrive(1)
        assert building.offers() == [30]


class TestCompositeSchedule:
    """The configured limit counts as one more ChargePointMaxProfile, not the momentary share (§5.7)."""

    def reported(self, building: Building, connector: int, unit: str = "A") -> list[tuple[int, float]]:
        answer = building.call(
            "GetCompositeSchedule", {"connectorId": connector, "duration": 600, "chargingRateUnit": unit}
        )
        periods = answer["chargingSchedule"]["chargingSchedulePeriod"]
        return [(period["startPeriod"], period["limit"]) for period in periods]

    def test_the_limit_and_not_what_is_left(self) -> None:
        building = Building(SiteSettings(limit_a=25.0, reserve_a=5.0), AC, AC)
        building.house(12, wait_s=20)
        building.arrive(1)
        assert building.offers() == [8, 0]
        assert self.reported(building, 1) == [(0, 20)]
        assert self.reported(building, 0) == [(0, 20)]
        assert self.reported(building, 1, "W") == [(0, 13_800)]

    def test_rules_count_with_the_connector_asked_for_busy(self) -> None:
        building = Building(SiteSettings(limit_a=40.0, rules=((1, 30.0), (2, 16.0))), AC, AC)
        assert self.reported(building, 1) == [(0, 30)]
        assert self.reported(building, 0) == [(0, 16)]
        building.arrive(1)
        assert self.reported(building, 1) == [(0, 30)]
        assert self.reported(building, 2) == [(0, 16)]
