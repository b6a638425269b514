"""The smart-charging oracle against figures worked out by hand, and against a station that shares badly."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from math import hypot, sqrt
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chargepoint.config.wording import keys_of
from chargepoint.domain import limiter
from chargepoint.domain.limits import Maximum
from chargepoint.domain.sharing import Share, Wish, allocate
from chargepoint.errors import ConfigError
from hal.api import EvseInfo, Limit
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import vehicle_from
from scenarios.condition import SiteWanted
from scenarios.junit import junit
from scenarios.model import parse
from scenarios.oracle import NUMBERS, Measured, Oracle, jain
from scenarios.runner import RunOptions, run
from scenarios.site import Load, SiteEntry
from scenarios.telling import line
from scenarios.verdict import Outcome, Verdict

START = 1_772_409_600.0  # 2026-03-02T00:00:00Z
NEVER_WAITS = {"wake_s": 0.0, "react_s": 0.0, "battery_wh": 1_000_000, "soc_percent": 10.0}


class Rig:
    """A site with connectors on a stepped clock, and nobody between them and the test."""

    def __init__(self, connectors: int = 1, phases: int = 3, rotation: Any = None, **site: Any) -> None:
        self.clock = SteppedClock(START)
        entry = SiteEntry.model_validate({**site, "rotation": rotation or {}})
        limit = entry.limit_over_time(Path(), START, entry.limit.always)  # type: ignore[arg-type]  # the entry has a limit
        self.oracle = Oracle(entry, limit, entry.load_w(Path(), START), START)
        self.evses = [SimulatedEvse(EvseInfo(phases=phases), self.clock) for _ in range(connectors)]
        for n, evse in enumerate(self.evses, 1):
            self.oracle.add(f"CP{n:03}", 1, evse)

    def plug(self, n: int = 1, offered_a: float = 32.0, **vehicle: Any) -> None:
        """A car comes and charges at once."""
        evse = self.evses[n - 1]
        evse.permit(Limit(offered_a))
        evse.plug_in(vehicle_from({"kind": "city", **NEVER_WAITS, **vehicle}))

    def numbers(self, at_s: float) -> dict[str, Any]:
        """The figures so long after the beginning."""
        self.clock.advance(START + at_s - self.clock.now())
        return self.oracle.numbers(self.clock.now())

    def measured(self, at_s: float) -> Measured:
        self.clock.advance(START + at_s - self.clock.now())
        return self.oracle.measured(self.clock.now())


def rows(**values: float) -> list[dict[str, Any]]:
    """`_30s=4000`: so many watts from then on."""
    return [{"time": time.strip("_"), "watts": value} for time, value in values.items()]


def entry_rows(*values: tuple[str, float], unit: str = "watts") -> list[dict[str, Any]]:
    return [{"time": time, unit: value} for time, value in values]


# --- excess ---------------------------------------------------------------------------------------------


def test_what_is_over_is_integrated_between_the_changes() -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=5000.0, _1600s=2000.0))
    rig.plug(ac_max_power_w=6900)
    numbers = rig.numbers(2000)
    assert numbers["over_seconds"] == pytest.approx(600, abs=1e-5)
    assert numbers["over_wh"] == pytest.approx(1900 * 600 / 3600, abs=1e-4)
    assert numbers["max_over_w"] == pytest.approx(1900)
    assert numbers["max_over_a"] is None
    assert numbers["delivered_wh"] == pytest.approx(6900 * 2000 / 3600)


@pytest.mark.parametrize("looks", [(2000.0,), (1.0, 1000.0, 1000.5, 1599.999, 1600.0, 1777.7, 2000.0)])
def test_looking_changes_nothing(looks: tuple[float, ...]) -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=5000.0, _1600s=2000.0))
    rig.plug(ac_max_power_w=6900)
    for at_s in looks:
        numbers = rig.numbers(at_s)
    assert numbers["over_wh"] == pytest.approx(1900 * 600 / 3600, abs=1e-4)
    assert numbers["over_seconds"] == pytest.approx(600, abs=1e-5)


def test_exactly_the_limit_is_not_over_it() -> None:
    rig = Rig(limit_a=32, phases=1, load=entry_rows(("0s", 16), unit="amps"))
    rig.plug(offered_a=16)
    assert rig.numbers(3600)["over_seconds"] == 0
    assert rig.numbers(3600)["draw_a"] == pytest.approx(16)


def test_amperes_count_on_each_phase() -> None:
    """Two cars of one phase, both on L1: 2 x 16 A + 10 A at a breaker of 40 A."""
    rig = Rig(connectors=2, phases=1, limit_a=40, load=entry_rows(("0s", 10), unit="amps"))
    rig.plug(1, offered_a=16, ac_max_current_1p_a=16)
    rig.plug(2, offered_a=16, ac_max_current_1p_a=16)
    numbers = rig.numbers(1800)
    assert numbers["max_over_a"] == pytest.approx(2)
    assert numbers["over_wh"] == pytest.approx(2 * 230 * 0.5)
    assert numbers["over_seconds"] == pytest.approx(1800)


def test_on_phases_of_their_own_the_same_cars_are_within_it() -> None:
    rig = Rig(2, 1, {"CP002": "STR"}, limit_a=40, load=entry_rows(("0s", 10), unit="amps"))
    rig.plug(1, offered_a=16)
    rig.plug(2, offered_a=16)
    numbers = rig.numbers(1800)
    assert (numbers["over_seconds"], numbers["draw_a"]) == (0, pytest.approx(16))


def test_a_draw_that_tapers_is_over_by_what_the_meter_counted() -> None:
    """At a limit of next to nothing all energy is excess, through ramp, curve and tail."""
    rig = Rig(limit_w=1)
    rig.plug(battery_wh=20_000, soc_percent=60)
    numbers = rig.numbers(5 * 3600)
    assert rig.evses[0].soc_percent == 100
    assert numbers["over_wh"] == pytest.approx(
        rig.evses[0].register_wh - numbers["over_seconds"] / 3600, abs=1e-3
    )
    assert numbers["delivered_wh"] == pytest.approx(rig.evses[0].register_wh, abs=1e-5)


def test_a_taper_leaves_the_limit_when_the_meter_shows_it() -> None:
    rig = Rig(limit_w=9000)
    rig.plug(battery_wh=20_000, soc_percent=60)
    over_s = rig.numbers(5 * 3600)["over_seconds"]
    alone = Rig(limit_w=9000)
    alone.plug(battery_wh=20_000, soc_percent=60)
    alone.clock.advance(over_s)
    assert alone.evses[0].reading().power_w == pytest.approx(9000, abs=0.01)


# --- reactions ------------------------------------------------------------------------------------------


def test_the_reaction_ends_when_an_offer_is_lowered() -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=5000.0))
    rig.plug(ac_max_power_w=6900)
    assert rig.numbers(1007)["reaction_s"] == 7, "as long as nothing happens it goes on"
    assert rig.numbers(1007)["unanswered"] == 1
    rig.evses[0].permit(Limit(6))
    numbers = rig.numbers(2000)
    assert (numbers["reaction_s"], numbers["unanswered"]) == (7, 0)
    assert numbers["over_seconds"] == pytest.approx(7, abs=1e-5)
    assert numbers["over_wh"] == pytest.approx(1900 * 7 / 3600, abs=1e-4)


def test_what_is_over_is_measured_against_the_limit_in_force() -> None:
    rig = Rig(limit_w=rows(_0s=10_000.0, _1000s=5000.0, _1600s=10_000.0), load=rows(_0s=0.0))
    rig.plug(ac_max_power_w=6900)
    assert rig.numbers(999)["over_seconds"] == 0
    within = rig.numbers(1010)
    assert (within["limit_w"], within["free_w"], within["reaction_s"]) == (5000, 5000, 10)
    numbers = rig.numbers(2000)
    assert numbers["over_seconds"] == pytest.approx(600, abs=1e-5)
    assert numbers["over_wh"] == pytest.approx(1900 * 600 / 3600, abs=1e-4)
    assert numbers["max_over_w"] == pytest.approx(1900)
    assert (numbers["reaction_s"], numbers["unanswered"]) == (600, 1), "it went up again by itself"
    measured = rig.measured(2000)
    assert measured.limit == "its limit of 5000 to 10000 W"
    assert measured.over == [(START + 1000, START + 1600)]
    assert measured.series()["limit"] == [
        (START, 10_000), (START + 1000, 10_000), (START + 1000, 5000), (START + 1600, 5000),
        (START + 1600, 10_000), (START + 2000, 10_000),
    ]  # fmt: skip


def test_the_reaction_to_a_lower_limit_ends_when_an_offer_is_lowered() -> None:
    rig = Rig(limit_a=entry_rows(("0s", 20.0), ("1000s", 10.0), unit="amps"))
    rig.plug(offered_a=16.0)
    rig.clock.advance(1004)
    rig.evses[0].permit(Limit(8))
    numbers = rig.numbers(2000)
    assert (numbers["reaction_s"], numbers["unanswered"]) == (4, 0)
    assert numbers["over_seconds"] == pytest.approx(4, abs=1e-5)


def test_a_higher_limit_with_a_higher_load_asks_for_no_reaction() -> None:
    limit, load = rows(_0s=10_000.0, _1000s=12_000.0), rows(_0s=2000.0, _1000s=4000.0)
    rig = Rig(limit_w=limit, load=load)
    rig.plug(ac_max_power_w=6900)
    numbers = rig.numbers(2000)
    assert (numbers["reaction_s"], numbers["over_seconds"]) == (0, 0)


def test_a_load_that_falls_by_itself_answers_nothing() -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=5000.0, _1060s=2000.0))
    rig.plug(ac_max_power_w=6900)
    numbers = rig.numbers(5000)
    assert (numbers["reaction_s"], numbers["unanswered"]) == (60, 1)


def test_a_rise_within_the_limit_asks_for_no_reaction() -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=3000.0))
    rig.plug(ac_max_power_w=6900)
    assert rig.numbers(5000)["reaction_s"] == 0


def test_a_car_that_leaves_is_no_reaction_of_anybody() -> None:
    rig = Rig(limit_w=10_000, load=rows(_0s=2000.0, _1000s=5000.0))
    rig.plug(ac_max_power_w=6900)
    rig.numbers(1030)
    rig.evses[0].plug_out()
    numbers = rig.numbers(2000)
    assert (numbers["reaction_s"], numbers["unanswered"]) == (30, 1)


# --- cars -----------------------------------------------------------------------------------------------


def test_a_car_is_asked_for_what_it_would_have_taken_in_its_stay() -> None:
    rig = Rig(limit_w=50_000, connectors=2)
    rig.plug(1, ac_max_power_w=6900)
    rig.plug(2, offered_a=6, ac_max_power_w=6900, ac_max_current_a=32)
    numbers = rig.numbers(3600)
    first, second = rig.measured(3600).cars
    assert [first.asked_wh, first.delivered_wh] == pytest.approx([6900, 6900])
    assert second.asked_wh == pytest.approx(6900)
    assert second.delivered_wh == pytest.approx(rig.evses[1].register_wh)
    share = second.delivered_wh / 6900
    assert numbers["fairness"] == pytest.approx((1 + share) ** 2 / (2 * (1 + share**2)))


def test_each_stay_is_a_car_of_its_own() -> None:
    rig = Rig(limit_w=50_000)
    rig.plug(ac_max_power_w=6900)
    rig.clock.advance(3600)
    rig.evses[0].plug_out()
    rig.clock.advance(600)
    rig.plug(ac_max_power_w=3450)
    cars = rig.measured(3600 + 600 + 7200).cars
    assert [car.plugged_at - START for car in cars] == [0, 4200]
    assert [car.delivered_wh for car in cars] == pytest.approx([6900, 6900])
    assert [car.left_at for car in cars] == [START + 3600, None]


def test_a_full_car_asks_for_nothing() -> None:
    rig = Rig(limit_w=50_000)
    rig.plug(soc_percent=100)
    numbers = rig.numbers(3600)
    assert (numbers["asked_wh"], numbers["delivered_wh"], numbers["fairness"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("shares", "index"),
    [([1, 1, 1], 1), ([1, 0, 0, 0], 0.25), ([1, 0.5], 0.9), ([], 1), ([0, 0], 1)],
)
def test_jains_index(shares: list[float], index: float) -> None:
    assert jain(shares) == pytest.approx(index)


# --- load -----------------------------------------------------------------------------------------------


def test_times_of_day_come_back_every_day_and_follow_the_zone() -> None:
    load = Load.of([("06:00", 1.0), ("22:00", 2.0)], START, "Europe/Berlin")
    assert load.value(START) == 2
    assert load.next_change(START) == START + 5 * 3600
    assert load.value(START + 5 * 3600) == 1
    summer = START + 27 * 86_400  # 2026-03-29, when the clocks there go forward
    assert load.next_change(summer) == summer + 4 * 3600


def test_times_since_the_beginning_and_moments_do_not_come_back() -> None:
    for times in (("0s", "1h"), ("2026-03-02T00:00:00Z", "2026-03-02T01:00:00Z")):
        load = Load.of(zip(times, (1.0, 2.0), strict=True), START, "UTC")
        assert [load.value(START + at) for at in (0, 3599, 3600, 90_000)] == [1, 1, 2, 2]
        assert load.next_change(START + 3600) is None


def test_rows_that_change_nothing_are_no_changes() -> None:
    daily = Load.of([("00:00", 1.0), ("06:00", 2.0), ("07:00", 2.0), ("22:00", 1.0)], START, "UTC")
    changes = [START + 1]
    for _ in range(3):
        changes.append(daily.next_change(changes[-1]) or 0)
    assert [(at - START) / 3600 for at in changes[1:]] == [6, 22, 30]
    assert Load.of([("00:00", 5.0)], START, "UTC").next_change(START) is None


# --- in a scenario --------------------------------------------------------------------------------------

STORY = """\
title: Two connectors and an oven
start: 2026-03-02T11:00:00Z
stations: [{station: {connectors: [{}, {}], ocpp: {MeterValueSampleInterval: 0}}}]
site:
  limit_a: 40
  load: oven.csv
steps:
  - csms:
      call: SetChargingProfile
      payload:
        connectorId: 0
        csChargingProfiles:
          chargingProfileId: 1
          stackLevel: 0
          chargingProfilePurpose: ChargePointMaxProfile
          chargingProfileKind: Absolute
          chargingSchedule: {startSchedule: "{now}", chargingRateUnit: A, chargingSchedulePeriod: [
            {startPeriod: 0, limit: "{site.free_a}"}, {startPeriod: 3600, limit: 20}]}
      expect: {status: Accepted}
  - repeat:
      times: 2
      steps:
        - plug_in: {connector: "{n}", ev: {kind: city, soc_percent: 5}}
        - swipe: {id_tag: "TAG{n}", connector: "{n}"}
  - wait: 90m
  - expect: {site: {that: "over_seconds < 30 and fairness > 0.8", reaction_s: "< 30"}}
"""
FOLLOWING = "{startPeriod: 3590, limit: 24}"
OVEN = "time,watts\n00:00,2070\n12:00,13800\n13:00,2070\n"  # 3 A, 20 A


def play(text: str, folder: Path) -> Outcome:
    (folder / "oven.csv").write_text(OVEN)
    return asyncio.run(run(parse(text, "story.yaml", folder), RunOptions()))


def test_a_story_is_measured_and_its_figures_are_told_everywhere(tmp_path: Path) -> None:
    outcome = play(STORY, tmp_path)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert outcome.site is not None
    assert outcome.numbers["site.over_seconds"] == 0
    assert outcome.numbers["site.fairness"] == pytest.approx(1, abs=1e-6)
    assert "site: never over 40 A" in line(outcome)
    told = ET.fromstring(junit([outcome])).iter("property")
    assert "site.over_wh" in {one.get("name") for one in told}
    series = outcome.site.series()
    assert set(series) == {"limit", "load", "total", "CP001"}
    assert {value for _, value in series["limit"]} == {40}
    assert [(at - outcome.began_at, value) for at, value in series["load"]] == [
        (0, 3), (3600, 3), (3600, 20), (5400, 20)
    ]  # fmt: skip
    assert max(value for _, value in series["total"]) == pytest.approx(40)


@pytest.mark.parametrize("in_place", [False, True], ids=["csv", "rows"])
def test_a_limit_that_follows_the_day(in_place: bool, tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("time,amps\n00:00,40\n12:00,24\n13:00,40\n")
    limit = "[{time: 00:00, amps: 40}, {time: '12:00', amps: 24}, {time: '13:00', amps: 40}]"
    told = STORY.replace("limit_a: 40", f"limit_a: {limit if in_place else 'grid.csv'}")
    told = told.replace("  load: oven.csv\n", "").replace("{startPeriod: 3600, limit: 20}", FOLLOWING)
    outcome = play(told, tmp_path)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert "site: never over its limit of 24 to 40 A" in line(outcome)
    missed = play(told.replace(FOLLOWING, "{startPeriod: 86000, limit: 6}"), tmp_path)
    assert missed.verdict is Verdict.FAIL
    assert missed.numbers["site.over_seconds"] == pytest.approx(1800, abs=20)
    assert missed.numbers["site.max_over_a"] == pytest.approx(16, abs=1e-3)


def test_a_station_that_ignores_the_sum_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connector takes 32 A, later 20 A: 3 A + 64 A, then 20 A + 40 A at a breaker of 40 A."""

    def alone(wishes: Sequence[Wish], maxima: Sequence[Maximum]) -> dict[int, Share]:
        return {key: share for wish in wishes for key, share in allocate([wish], maxima).items()}

    monkeypatch.setattr(limiter, "allocate", alone)
    outcome = play(STORY, tmp_path)
    assert outcome.verdict is Verdict.FAIL
    assert "over_seconds is" in outcome.why
    assert outcome.numbers["site.over_seconds"] > 5000
    assert outcome.numbers["site.max_over_a"] > 20


def test_a_rise_of_the_load_wakes_who_waits_for_it_at_that_moment(tmp_path: Path) -> None:
    text = STORY.partition("steps:")[0] + (
        'steps:\n  - wait: {site: {that: "load_a > 10"}, within: 12h}\n'
        '  - set: {late: "= of_day(now) - 12 * 3600"}\n  - expect: {that: "late == 0"}\n'
    )
    outcome = play(text, tmp_path)
    assert outcome.verdict is Verdict.PASS, outcome.why


def test_a_story_without_a_site_cannot_ask_for_it(tmp_path: Path) -> None:
    outcome = play("title: No site\nsteps: [{expect: {site: {over_seconds: 0}}}]\n", tmp_path)
    assert (outcome.verdict, "no `site`" in outcome.why) == (Verdict.ERROR, True)


def test_a_story_that_names_an_unknown_figure_hears_the_nearest(tmp_path: Path) -> None:
    text = STORY.partition("steps:")[0] + 'steps: [{expect: {site: {that: "over_second < 3"}}}]\n'
    outcome = play(text, tmp_path)
    assert outcome.verdict is Verdict.ERROR
    assert "did you mean over_seconds" in outcome.why


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{limit_a: '{breaker}'}", "the limit must be a number above 0 (is much)"),
        ("{limit_a: 3, stations: [CP7]}", "there is no station CP7"),
    ],
)
def test_what_shows_only_when_it_runs_is_an_error(written: str, says: str, tmp_path: Path) -> None:
    outcome = play(
        f"title: T\nvariables: {{breaker: much}}\nsite: {written}\nsteps: [{{wait: 1s}}]\n", tmp_path
    )
    assert outcome.verdict is Verdict.ERROR
    assert says in outcome.why


# --- the page ----

PAGE = (Path(__file__).parents[3] / "docs" / "oracle.md").read_text(encoding="utf-8")


def test_the_page_names_every_key_and_every_figure() -> None:
    cells = "".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE))
    named = set(re.findall(r"`(\w+)`", cells))
    assert named == {*keys_of(SiteEntry), *keys_of(SiteWanted)} - {"that"}
    assert set(NUMBERS) <= named


def test_the_example_of_the_page_says_what_the_page_says(tmp_path: Path) -> None:
    """2 x 16 A and 20 A at 40 A: 12 A over on the fullest phase, for an hour."""
    (example, *_) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    outcome = play(example, tmp_path)
    assert outcome.verdict is Verdict.FAIL
    told = line(outcome).splitlines()[-1].strip()
    assert told.partition("2 cars")[0].strip() in PAGE, told
    assert outcome.numbers["site.over_seconds"] == pytest.approx(3600, abs=1e-4)
    assert outcome.numbers["site.max_over_a"] == pytest.approx(12, abs=1e-3)


# --- every figure of a run against a reckoning by hand ----------------------------------------------------

OHM = (0.15, 0.17, 0.14)  # of the supply of L1..L3
WAKES_S = 2.0  # a car begins so long after the offer
REACTS_S = 1.0  # and follows a raised one so much later

BY_HAND = """\
title: Two cars and an oven, by hand
start: 2026-03-02T11:00:00Z
stations: [{station: {connectors: [{}, {}], ocpp: {MeterValueSampleInterval: 0}}}]
site:
  limit_a: 40
  load: [{time: 0s, amps: 3}, {time: 10m, amps: 20}, {time: 40m, amps: 3}]
steps:
  - repeat:
      times: 2
      steps:
        - plug_in: {connector: "{n}", ev: {kind: compact, soc_percent: 5, battery_wh: 500000}}
        - swipe: {id_tag: "TAG{n}", connector: "{n}"}
  - wait: {until: "{moment(began_s + 1800)}"}
  - csms:
      call: SetChargingProfile
      payload:
        connectorId: 2
        csChargingProfiles:
          chargingProfileId: 1
          stackLevel: 0
          chargingProfilePurpose: TxDefaultProfile
          chargingProfileKind: Absolute
          chargingSchedule:
            {startSchedule: "{moment(began_s)}", duration: 3000, chargingRateUnit: A,
             chargingSchedulePeriod: [{startPeriod: 0, limit: 0}]}
      expect: {status: Accepted}
  - wait: {until: "{moment(began_s + 3600)}"}
"""


def currents_a(fullest_a: float) -> list[float]:
    """Of L1..L3: the same apparent power on each, and L2, with most resistance before it, takes most."""
    apparent_va = fullest_a * (230 - OHM[1] * fullest_a)
    return [(230 - sqrt(230**2 - 4 * ohm * apparent_va)) / (2 * ohm) for ohm in OHM]


def power_w(fullest_a: float) -> float:
    """Three times U x I x power factor."""
    apparent_va = fullest_a * (230 - OHM[1] * fullest_a)
    return 3 * 0.99 * apparent_va**2 / hypot(apparent_va, 612)


def test_every_figure_of_a_run_is_the_one_reckoned_by_hand(tmp_path: Path) -> None:
    """20 min at 2 x 16 + 20 A before 40 A, until the second car pauses from 30 to 50 minutes.

    Each phase is over by itself: at 16 A on the fullest the two others carry a little less. So it is not
    12 A x 3 x 230 V x 20 min = 2760 Wh, but 2751; and not both cars' 16 A from the first second on.
    """
    outcome = play(BY_HAND, tmp_path)
    assert outcome.verdict is Verdict.PASS, outcome.why
    found = {name.removeprefix("site."): value for name, value in outcome.numbers.items()}

    phases_a = [2 * current_a + 20 - 40 for current_a in currents_a(16)]
    over_w = 230 * sum(phases_a)
    assert found["max_over_a"] == pytest.approx(12, abs=1e-6)
    assert found["max_over_w"] == pytest.approx(over_w, abs=1e-3)
    assert found["over_seconds"] == pytest.approx(1200, abs=1e-4)
    assert found["over_wh"] == pytest.approx(over_w / 3, abs=1e-3)
    assert found["over_wh"] == pytest.approx(2751.3, abs=0.05)
    assert found["reaction_s"] == pytest.approx(1200, abs=1e-4)
    assert found["unanswered"] == 0

    alone_wh = power_w(16) * (3600 - WAKES_S) / 3600
    paused_wh = power_w(16) * (1200 + WAKES_S) / 3600  # it wakes anew after the pause
    assert found["asked_wh"] == pytest.approx(2 * alone_wh, abs=0.01)
    assert found["delivered_wh"] == pytest.approx(2 * alone_wh - paused_wh, abs=0.01)
    share = (alone_wh - paused_wh) / alone_wh
    assert found["fairness"] == pytest.approx((1 + share) ** 2 / (2 * (1 + share**2)), abs=1e-6)


def test_a_raised_offer_is_followed_later_and_a_lowered_one_at_once(tmp_path: Path) -> None:
    """The 1 s of the car is no reaction of the central system, but it is energy that is not drawn."""
    rig = Rig(limit_w=1)
    rig.evses[0].permit(Limit(10.0))
    rig.evses[0].plug_in(vehicle_from({"kind": "compact", "battery_wh": 1_000_000, "soc_percent": 10.0}))
    rig.clock.advance(600)
    rig.evses[0].permit(Limit(16.0))
    rig.clock.advance(600)
    rig.evses[0].permit(Limit(10.0))
    low_w, high_w = power_w(10), power_w(16)
    expected_ws = low_w * (600 - WAKES_S + REACTS_S + 600) + high_w * (600 - REACTS_S)
    numbers = rig.numbers(1800)
    assert numbers["delivered_wh"] == pytest.approx(expected_ws / 3600, abs=1e-3)
    assert numbers["over_wh"] == pytest.approx((expected_ws - (1800 - WAKES_S)) / 3600, abs=1e-3)
    assert numbers["over_seconds"] == pytest.approx(1800 - WAKES_S, abs=1e-4)


# --- mistakes -------------------------------------------------------------------------------------------


def _csv(text: str) -> Callable[[Path], str]:
    def site(folder: Path) -> str:
        (folder / "bad.csv").write_text(text)
        return "{limit_a: 63, load: bad.csv}"

    return site


@pytest.mark.parametrize(
    ("site", "says"),
    [
        ("{limit_a: 63, limit_w: 9000}", "site: has one limit"),
        ("{phases: 3}", "site: has one limit"),
        ("{limit_a: -3}", "site.limit_a: must be above 0"),
        ("{limit_a: none.csv}", "none.csv cannot be read (No such file"),
        ("{limit_a: {always: 3, file: none.csv}}", "site.limit_a"),
        ("{limit_a: []}", "site.limit_a: is a number, or a file or rows with times"),
        ("{limit_a: [{time: 05:00, watts: 3}]}", "site.limit_a: counts in amps; row 1 (05:00) does not"),
        ("{limit_w: [{time: 05:00, watts: 3}, {time: 06:00, watts: -3}]}", "must not be below 0 (row 2"),
        ("{limit_a: [{time: 06:00, amps: 3}, {time: 05:00, amps: 1}]}", "back in time at row 2"),
        ("{limit_a: 63, load: none.csv}", "none.csv cannot be read (No such file"),
        ("{limit_a: 63, laod: x.csv}", "site.laod: is not a known key; did you mean load?"),
        ("{limit_a: 63, load: [{time: 25:00, watts: 3}]}", "site.load.rows[0].time: is no time"),
        ("{limit_a: 63, load: [{time: 05:00}]}", "site.load.rows[0]: says how much in one way"),
        ("{limit_a: 63, load: [{time: 05:00, watts: 1}, {time: 04:00, watts: 1}]}", "back in time at row 2"),
        ("{limit_a: 63, load: [{time: 05:00, watts: 1}, {time: 6h, watts: 1}]}", "mixes kinds of times"),
        ("{limit_a: 63, zone: Europe/Berlni}", "did you mean Europe/Berlin"),
        ("{limit_a: 63, rotation: {CP001: RRT}}", "site.rotation.CP001: is no rotation"),
        (_csv("06:00,3\n"), "bad.csv:1: the first line names the columns"),
        (_csv("time,watts\n06:00,much\n07:00\n08:00,3\n"), "bad.csv:2: is no time and number"),
        (_csv("time,watts\n06:00,much\n07:00\n08:00,3\n"), "bad.csv:3: is no time and number"),
        (_csv("time,amps\n"), "has no rows"),
    ],
)  # fmt: skip
def test_mistakes_are_told(site: str | Callable[[Path], str], says: str, tmp_path: Path) -> None:
    written = site if isinstance(site, str) else site(tmp_path)
    with pytest.raises(ConfigError) as raised:
        parse(f"title: Bad\nsite: {written}\nsteps: [{{wait: 1s}}]\n", "story.yaml", tmp_path)
    assert says in "\n".join(raised.value.problems)
