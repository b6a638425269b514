"""What every connector promises (`hal.api.Evse`), over every driver; IEC 61851-1 and hal.api name the rules.

The checks are plain functions over a bench, so that the last test can run them against connectors that break
a promise each: a check that lets its saboteur pass checks nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from hal.api import NOTHING, Evse, EvseInfo, Limit, MeterReading, MeterUnavailable, PilotState
from hal.clock import SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.registry import driver_names, open_evse
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.contract.hal.boards import OnBoard, board, relay
from tests.contract.hal.emulated import Emulated, evse_wb, phoenix
from tests.contract.hal.emulated_openevse import EmulatedOpenEvse

REACTS_S = 30.0  # what every vehicle needs at most to ask for energy and follow an offer


def _at_once() -> None: ...


@dataclass(slots=True)
class Bench:
    """A connector, its time, and what a person does at it; `asks` (bool) lets the vehicle draw or suspend.

    `soon` is what a driver behind a bus may take to notice what was done, or to do what it was told.
    """

    evse: Evse
    now: Callable[[], float]
    advance: Callable[[float], None]
    plug_in: Callable[[], None]
    plug_out: Callable[[], None]
    asks: Callable[[bool], None]
    soon: Callable[[], None] = _at_once
    close: Callable[[], None] = _at_once
    reacts_s: float = REACTS_S
    long_s: float = 3600.0
    samples: int = 600
    looks: int = 20
    reports: list[tuple[PilotState, bool, bool, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.evse.listener = self

    def evse_changed(self) -> None:
        self.reports.append(self.seen())

    def seen(self) -> tuple[PilotState, bool, bool, bool]:
        return self.evse.pilot, self.evse.plugged, self.evse.closed, self.evse.locked

    @property
    def offer(self) -> Limit:
        return Limit(100.0, 40_000.0) if self.evse.info.current == "dc" else Limit(10.0)

    def charge(self) -> MeterReading:
        """Plug in, offer, wait for current."""
        self.plug_in()
        self.evse.permit(self.offer)
        self.advance(self.reacts_s)
        return self.reading()

    def reading(self) -> MeterReading:
        """One the driver trusts: a meter may have to be asked again."""
        for _ in range(60):
            with contextlib.suppress(MeterUnavailable):
                return self.evse.reading()
            self.advance(1.0)
        return self.evse.reading()


def simulated(info: EvseInfo, kind: type[SimulatedEvse] | None = None) -> Bench:
    clock = SteppedClock(1_800_000_000.0)
    settings = {"driver": "simulated"}
    evse = open_evse(ConnectorSpec(info, settings, settings, 5000.0), clock)
    if kind is not None:
        evse = kind(info, clock, energy_wh=5000.0)
    assert isinstance(evse, SimulatedEvse)
    return Bench(
        evse,
        clock.now,
        clock.advance,
        lambda: evse.plug_in(load_vehicle("compact")),
        evse.plug_out,
        lambda draws: evse.adjust(draws=draws),
    )


def emulated(rig: Emulated) -> Bench:
    """A driver with real bytes between it and an emulated device; each second of time costs some frames."""
    car = rig.outlet.evse
    return Bench(
        rig.evse,
        rig.clock.now,
        rig.advance,
        lambda: car.plug_in(load_vehicle("compact")),
        car.plug_out,
        lambda draws: car.adjust(draws=draws),
        soon=rig.soon,
        close=rig.close,
        reacts_s=12.0,
        long_s=60.0,
        samples=30,
        looks=6,
    )


def on_board(rig: OnBoard) -> Bench:
    """A connector without a controller; everything is emulated in this process, so its clock jumps."""
    return Bench(
        rig.evse,
        rig.clock.now,
        rig.advance,
        rig.plug_in,
        rig.outlet.plug_out,
        rig.asks,
        soon=rig.soon,
        close=rig.close,
        long_s=120.0,
        samples=60,
    )


AC_1P = EvseInfo(phases=1)
AC_3P = EvseInfo(phases=3, max_current_a=16.0)
AC_TETHERED = EvseInfo(tethered=True)
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0, tethered=True, start_grace_s=20.0)
AC_13A = EvseInfo(phases=3, max_current_a=13.0)  # less than car, cable and emulated controller can
AC_13A_1P = EvseInfo(phases=1, max_current_a=13.0)

BENCHES: dict[str, Callable[[], Bench]] = {
    "simulated/ac-1-phase": lambda: simulated(AC_1P),
    "simulated/ac-3-phase": lambda: simulated(AC_3P),
    "simulated/ac-tethered": lambda: simulated(AC_TETHERED),
    "simulated/dc": lambda: simulated(DC),
    "evse-wb/serial": lambda: emulated(evse_wb(AC_13A, "serial")),
    "evse-wb/tcp": lambda: emulated(evse_wb(AC_13A, "tcp")),
    "phoenix/serial": lambda: emulated(phoenix(AC_13A, "serial")),
    "phoenix/tcp": lambda: emulated(phoenix(AC_13A, "tcp")),
    "relay/socket-board": lambda: on_board(board(AC_13A)),
    "relay/tethered-board": lambda: on_board(board(AC_TETHERED)),
    "relay/pins": lambda: on_board(relay(AC_13A)),
    "openevse/own-meter": lambda: emulated(EmulatedOpenEvse(AC_13A_1P)),
}


def starts_with_nothing(bench: Bench) -> None:
    assert bench.seen() == (PilotState.A, False, False, False)
    assert bench.evse.faults == ()
    assert bench.evse.reading().power_w == 0


def an_offer_without_a_vehicle_energises_nothing(bench: Bench) -> None:
    bench.evse.permit(bench.offer)
    bench.advance(bench.reacts_s)
    assert bench.seen() == (PilotState.A, False, False, False)


def a_vehicle_without_an_offer_gets_nothing(bench: Bench) -> None:
    bench.plug_in()
    bench.advance(bench.long_s)
    assert bench.seen() == (PilotState.B, True, False, False)
    assert bench.evse.reading().energy_wh == 5000.0


def a_vehicle_with_an_offer_charges(bench: Bench) -> None:
    reading = bench.charge()
    assert bench.seen() == (PilotState.C, True, True, False)
    assert reading.power_w > 1000.0


def an_offer_made_before_the_plug_counts(bench: Bench) -> None:
    bench.evse.permit(bench.offer)
    bench.plug_in()
    bench.advance(bench.reacts_s)
    assert bench.evse.closed


def no_phase_draws_more_than_offered(bench: Bench) -> None:
    bench.charge()
    lower = 40.0 if bench.evse.info.current == "dc" else 7.0
    for current_a in (bench.offer.current_a, lower, bench.offer.current_a):
        bench.evse.permit(Limit(current_a, bench.offer.power_w))
        bench.soon()
        for _ in range(bench.looks):
            reading = bench.evse.reading()
            assert max(reading.current_a) <= current_a * 1.0001
            assert bench.offer.power_w is None or reading.power_w <= bench.offer.power_w * 1.0001
            bench.advance(1.0)
    assert max(bench.evse.reading().current_a) > lower * 1.1, "a raised offer is followed"


def no_more_flows_than_the_hardware_can(bench: Bench) -> None:
    bench.plug_in()
    bench.evse.permit(Limit(500.0, 500_000.0))
    bench.advance(bench.reacts_s)
    reading, info = bench.evse.reading(), bench.evse.info
    assert 0 < max(reading.current_a) <= info.max_current_a * 1.0001
    assert info.max_power_w is None or reading.power_w <= info.max_power_w * 1.0001


def less_than_6_a_is_nothing_for_ac_only(bench: Bench) -> None:
    """IEC 61851-1, table A.8: an AC pilot announces 6 A at least; a DC outlet has no such floor."""
    bench.plug_in()
    bench.evse.permit(Limit(5.9, 4000.0))
    bench.advance(bench.reacts_s)
    assert bench.evse.closed is (bench.evse.info.current == "dc")


def withdrawing_opens(bench: Bench) -> None:
    bench.charge()
    bench.evse.permit(NOTHING)
    bench.soon()
    assert not bench.evse.closed
    at_once = bench.evse.reading()
    bench.advance(bench.long_s)
    assert at_once.power_w == bench.evse.reading().power_w == 0
    assert at_once.energy_wh == bench.evse.reading().energy_wh


def a_dc_offer_of_no_power_is_nothing(bench: Bench) -> None:
    bench.charge()
    bench.evse.permit(Limit(bench.offer.current_a, 0.0))
    bench.soon()
    assert not bench.evse.closed


def unplugging_opens(bench: Bench) -> None:
    bench.charge()
    bench.plug_out()
    bench.soon()
    assert bench.seen() == (PilotState.A, False, False, False)
    assert bench.evse.reading().power_w == 0


def a_suspended_vehicle_opens_and_one_that_wakes_charges(bench: Bench) -> None:
    bench.charge()
    bench.asks(False)
    bench.advance(bench.reacts_s)
    assert bench.seen()[:3] == (PilotState.B, True, False)
    bench.asks(True)
    bench.advance(bench.reacts_s)
    assert bench.seen()[:3] == (PilotState.C, True, True)


def the_register_only_rises_and_is_the_integral_of_power(bench: Bench) -> None:
    bench.charge()
    readings = []
    for _ in range(bench.samples):
        readings.append(bench.reading())
        bench.advance(1.0)
    for before, after in pairwise(readings):
        assert after.energy_wh >= before.energy_wh
    mean_w = sum(reading.power_w for reading in readings[:-1]) / (len(readings) - 1)
    seconds = readings[-1].time - readings[0].time
    assert readings[-1].energy_wh - readings[0].energy_wh == pytest.approx(
        mean_w * seconds / 3600.0, rel=0.01
    )


def a_reading_says_when_and_agrees_with_itself(bench: Bench) -> None:
    reading = bench.charge()
    assert reading == bench.evse.reading()
    assert reading.time == pytest.approx(bench.now(), abs=5.0)
    expected = 1 if bench.evse.info.current == "dc" else bench.evse.info.phases
    assert len(reading.current_a) == len(reading.voltage_v) == expected
    factor = 1.0 if reading.power_factor is None else reading.power_factor
    by_parts = sum(v * a for v, a in zip(reading.voltage_v, reading.current_a, strict=True)) * factor
    assert by_parts == pytest.approx(reading.power_w, rel=0.02)


def a_plug_can_be_locked_where_there_is_a_lock(bench: Bench) -> None:
    bench.plug_in()
    bench.soon()
    bench.evse.lock(True)
    bench.soon()
    assert bench.evse.locked is (bench.evse.info.lockable and not bench.evse.info.tethered)
    bench.evse.lock(False)
    bench.soon()
    assert not bench.evse.locked


def the_lock_stays_while_the_contactor_is_closed(bench: Bench) -> None:
    bench.plug_in()
    bench.soon()
    bench.evse.lock(True)
    bench.soon()
    locked = bench.evse.locked
    bench.evse.permit(bench.offer)
    bench.advance(bench.reacts_s)
    bench.evse.lock(False)
    bench.soon()
    assert bench.evse.closed
    assert bench.evse.locked is locked


def every_change_is_reported_with_the_new_state_in_place(bench: Bench) -> None:
    bench.charge()
    assert bench.reports[-1] == bench.seen() == (PilotState.C, True, True, False)
    bench.evse.permit(NOTHING)
    bench.soon()
    assert bench.reports[-1] == bench.seen()
    assert not bench.reports[-1][2]
    bench.plug_out()
    bench.soon()
    assert bench.reports[-1] == bench.seen() == (PilotState.A, False, False, False)


def the_same_offer_again_changes_nothing(bench: Bench) -> None:
    bench.charge()
    before, reports = bench.evse.reading(), len(bench.reports)
    for _ in range(5):
        bench.evse.permit(bench.offer)
    assert bench.evse.reading() == before
    bench.soon()
    assert len(bench.reports) == reports


def closing_opens_for_good(bench: Bench) -> None:
    bench.charge()
    bench.evse.close()
    bench.evse.close()
    bench.evse.permit(bench.offer)
    bench.advance(bench.reacts_s)
    assert not bench.evse.closed


CHECKS: tuple[Callable[[Bench], None], ...] = (
    starts_with_nothing,
    an_offer_without_a_vehicle_energises_nothing,
    a_vehicle_without_an_offer_gets_nothing,
    a_vehicle_with_an_offer_charges,
    an_offer_made_before_the_plug_counts,
    no_phase_draws_more_than_offered,
    no_more_flows_than_the_hardware_can,
    less_than_6_a_is_nothing_for_ac_only,
    withdrawing_opens,
    a_dc_offer_of_no_power_is_nothing,
    unplugging_opens,
    a_suspended_vehicle_opens_and_one_that_wakes_charges,
    the_register_only_rises_and_is_the_integral_of_power,
    a_reading_says_when_and_agrees_with_itself,
    a_plug_can_be_locked_where_there_is_a_lock,
    the_lock_stays_while_the_contactor_is_closed,
    every_change_is_reported_with_the_new_state_in_place,
    the_same_offer_again_changes_nothing,
    closing_opens_for_good,
)


def bench_parameters() -> list[Any]:
    """Each bench; those at emulated devices take longest, so each driver is met in one way of two."""
    real, also = ("evse-wb/", "phoenix/", "openevse/", "relay/"), ("evse-wb/tcp", "phoenix/serial")
    return [
        pytest.param(
            name,
            marks=[
                *([pytest.mark.emulated] if name.startswith(real) else []),
                *([pytest.mark.campaign] if name in also else []),
            ],
        )
        for name in BENCHES
    ]


@pytest.mark.parametrize("name", bench_parameters())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_promise(check: Callable[[Bench], None], name: str) -> None:
    bench = BENCHES[name]()
    try:
        check(bench)
    finally:
        bench.close()


def test_every_driver_has_a_bench() -> None:
    assert {name.split("/")[0] for name in BENCHES} == set(driver_names())


class WeldedContactor(SimulatedEvse):
    """Once closed it says so for ever."""

    @property
    def closed(self) -> bool:
        return super().closed or self.reading().energy_wh > 5000.0


class DeafToReductions(SimulatedEvse):
    def permit(self, limit: Limit) -> None:
        super().permit(limit if limit.zero else Limit(max(limit.current_a, 10.0), limit.power_w))


class RegisterOfAnotherCar(SimulatedEvse):
    def reading(self) -> MeterReading:
        true = super().reading()
        energy_wh = true.energy_wh * 0.9 + 500.0
        return MeterReading(true.time, energy_wh, true.power_w, true.current_a, true.voltage_v)


class SilentHardware(SimulatedEvse):
    def plug_out(self) -> None:
        self.listener = None
        super().plug_out()


class LockThatLetsGo(SimulatedEvse):
    @property
    def locked(self) -> bool:
        return super().locked and not self.closed


class OneReportTooMany(SimulatedEvse):
    def permit(self, limit: Limit) -> None:
        super().permit(limit)
        if self.listener is not None:
            self.listener.evse_changed()


class NeverShut(SimulatedEvse):
    def close(self) -> None:
        self.permit(NOTHING)


@pytest.mark.parametrize(
    ("saboteur", "check"),
    [
        (WeldedContactor, withdrawing_opens),
        (WeldedContactor, unplugging_opens),
        (WeldedContactor, closing_opens_for_good),
        (DeafToReductions, no_phase_draws_more_than_offered),
        (DeafToReductions, less_than_6_a_is_nothing_for_ac_only),
        (RegisterOfAnotherCar, the_register_only_rises_and_is_the_integral_of_power),
        (SilentHardware, every_change_is_reported_with_the_new_state_in_place),
        (LockThatLetsGo, the_lock_stays_while_the_contactor_is_closed),
        (OneReportTooMany, the_same_offer_again_changes_nothing),
        (NeverShut, closing_opens_for_good),
    ],
    ids=lambda part: part.__name__,
)
def test_a_broken_promise_is_noticed(saboteur: type[SimulatedEvse], check: Callable[[Bench], None]) -> None:
    with pytest.raises(AssertionError):
        check(simulated(AC_3P, saboteur))
