"""What a person can do at the simulated connector, and what the vehicle does by itself (IEC 61851-1)."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest

from hal.api import NOTHING, DeviceError, EvseInfo, Fault, FaultKind, Limit, PilotState, Unsupported
from hal.clock import SteppedClock
from hal.simulated.evse import LOCK_FAULT, AlreadyPlugged, NotPlugged, SimulatedEvse
from hal.simulated.vehicle import load_vehicle, vehicle_from

A, B, C, E = PilotState.A, PilotState.B, PilotState.C, PilotState.E
COMPACT = load_vehicle("compact")
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=100_000.0, tethered=True)


class Bench:
    """A connector, its time and a count of its reports."""

    def __init__(self, info: EvseInfo | None = None) -> None:
        self.clock = SteppedClock(1_800_000_000.0)
        self.evse = SimulatedEvse(info or EvseInfo(), self.clock)
        self.evse.listener = self
        self.reports = 0

    def evse_changed(self) -> None:
        self.reports += 1

    def charging(self, current_a: float = 16.0, soc_percent: float = 30.0, **changes: Any) -> Bench:
        self.evse.plug_in(vehicle_from(changes), soc_percent)
        self.evse.permit(Limit(current_a))
        self.clock.advance(15.0)
        assert self.evse.closed
        return self

    @property
    def state(self) -> tuple[PilotState, bool, bool]:
        return self.evse.pilot, self.evse.plugged, self.evse.closed

    @property
    def current_a(self) -> float:
        return max(self.evse.reading().current_a)


class TestVehicle:
    def test_it_asks_for_energy_wake_s_after_an_offer(self) -> None:
        bench = Bench()
        bench.evse.plug_in(COMPACT)
        bench.clock.advance(100.0)
        bench.evse.permit(Limit(16.0))
        bench.clock.advance(COMPACT.wake_s - 0.1)
        assert bench.state == (B, True, False)
        bench.clock.advance(0.1)
        assert bench.state == (C, True, True)

    def test_an_offer_withdrawn_before_it_woke_starts_over(self) -> None:
        bench = Bench()
        bench.evse.plug_in(COMPACT)
        for current_a in (16.0, 0.0, 16.0):
            bench.evse.permit(Limit(current_a))
            bench.clock.advance(COMPACT.wake_s - 0.5)
        assert bench.state == (B, True, False)

    def test_a_raised_offer_is_followed_late_and_a_reduced_one_at_once(self) -> None:
        bench = Bench().charging(8.0, react_s=3)
        bench.evse.permit(Limit(12.0))
        bench.clock.advance(2.9)
        assert bench.current_a == pytest.approx(8.0)
        bench.clock.advance(0.1)
        assert bench.current_a == pytest.approx(12.0)
        bench.evse.permit(Limit(7.0))
        assert bench.current_a == pytest.approx(7.0)

    def test_offers_raised_every_second_do_not_put_it_off_for_ever(self) -> None:
        bench = Bench().charging(6.0, react_s=3)
        for current_a in (7.0, 8.0, 9.0, 10.0):
            bench.evse.permit(Limit(current_a))
            bench.clock.advance(1.0)
        assert bench.current_a == pytest.approx(9.0)

    def test_a_raise_taken_back_in_time_never_happened(self) -> None:
        bench = Bench().charging(8.0, react_s=3)
        bench.evse.permit(Limit(12.0))
        bench.clock.advance(1.0)
        bench.evse.permit(Limit(8.0))
        bench.clock.advance(10.0)
        assert bench.current_a == pytest.approx(8.0)

    def test_following_an_offer_is_no_news(self) -> None:
        bench = Bench().charging(8.0)
        reports = bench.reports
        bench.evse.permit(Limit(12.0))
        bench.clock.advance(60.0)
        assert bench.reports == reports

    def test_it_may_refuse_what_others_take(self) -> None:
        bench = Bench()
        bench.evse.plug_in(vehicle_from({"minimum_current_a": 8}))
        bench.evse.permit(Limit(7.9))
        bench.clock.advance(60.0)
        assert bench.state == (B, True, False)
        bench.evse.permit(Limit(8.0))
        bench.clock.advance(60.0)
        assert bench.state == (C, True, True)

    def test_when_full_it_stops_and_asks_again_only_some_percent_below(self) -> None:
        bench = Bench().charging(16.0, 79.9, target_percent=80)
        reports = bench.reports
        bench.clock.advance(3600.0)
        assert bench.state == (B, True, False)
        assert bench.reports == reports + 1
        assert bench.evse.soc_percent == 80.0
        for soc, expected in ((77.5, B), (76.9, C), (79.0, C)):
            bench.evse.adjust(soc_percent=soc)
            bench.clock.advance(10.0)
            assert bench.evse.pilot is expected

    def test_after_a_new_plug_in_it_fills_the_last_percent(self) -> None:
        bench = Bench().charging(16.0, 79.9, target_percent=80)
        bench.clock.advance(3600.0)
        bench.evse.plug_out()
        bench.charging(16.0, 79.0, target_percent=80)

    def test_a_full_one_never_asks(self) -> None:
        bench = Bench()
        bench.evse.permit(Limit(16.0))
        bench.evse.plug_in(COMPACT, 100.0)
        bench.clock.advance(3600.0)
        assert bench.state == (B, True, False)

    def test_it_suspends_and_wakes(self) -> None:
        bench = Bench().charging()
        bench.evse.adjust(draws=False)
        assert bench.state == (B, True, False)
        bench.clock.advance(3600.0)
        assert bench.state == (B, True, False)
        bench.evse.adjust(draws=True)
        bench.clock.advance(COMPACT.wake_s)
        assert bench.state == (C, True, True)

    def test_it_can_be_made_another_kind_of_consumer(self) -> None:
        bench = Bench().charging(32.0)
        bench.evse.adjust(phases=1)
        assert bench.evse.reading().current_a[1:] == (0.0, 0.0)
        bench.evse.adjust(phases=3, max_current_a=9.0)
        assert bench.current_a == pytest.approx(9.0)
        bench.evse.adjust(max_power_w=3000.0)
        assert bench.evse.reading().power_w == pytest.approx(3000.0)
        bench.evse.adjust(max_power_w=0.0)
        bench.clock.advance(3600.0)
        assert (bench.state, bench.evse.reading().power_w) == ((C, True, True), 0.0)
        bench.evse.adjust(battery_wh=10_000.0)
        assert bench.evse.vehicle is not None
        assert bench.evse.vehicle.battery_wh == 10_000.0

    @pytest.mark.parametrize(
        "change",
        [{"soc_percent": 101}, {"phases": 4}, {"max_current_a": -1}, {"max_power_w": -1}, {"battery_wh": 0}],
        ids=lambda change: next(iter(change)),
    )
    def test_an_impossible_change_is_refused_and_changes_nothing(self, change: dict[str, Any]) -> None:
        bench = Bench().charging()
        before = bench.evse.reading()
        with pytest.raises(ValueError, match=next(iter(change)).replace("phases", "ac_phases")):
            bench.evse.adjust(draws=False, **change)
        assert bench.evse.closed
        assert bench.evse.reading() == before


class TestPlug:
    def test_plugging_twice_is_refused(self) -> None:
        bench = Bench().charging()
        with pytest.raises(AlreadyPlugged, match="plugged in already: compact"):
            bench.evse.plug_in(COMPACT)

    def test_without_a_vehicle_there_is_nothing_to_pull_or_change(self) -> None:
        bench = Bench()
        with pytest.raises(NotPlugged):
            bench.evse.plug_out()
        with pytest.raises(NotPlugged):
            bench.evse.adjust(draws=False)
        assert issubclass(NotPlugged, DeviceError)
        assert bench.evse.soc_percent is None
        assert bench.evse.vehicle is None

    def test_pulling_the_plug_opens_the_contactor_within_the_call(self) -> None:
        bench = Bench().charging()
        at_once: list[tuple[PilotState, bool, bool]] = []
        bench.evse_changed = lambda: at_once.append(bench.state)  # type: ignore[method-assign]  # it listens in
        bench.evse.plug_out()
        assert at_once == [(A, False, False)]

    def test_withdrawing_opens_the_contactor_within_the_call(self) -> None:
        bench = Bench().charging()
        reports = bench.reports
        bench.evse.permit(NOTHING)
        assert bench.state == (B, True, False)
        assert bench.reports == reports + 1

    def test_a_locked_cable_stays_in_the_socket_until_unlocked(self) -> None:
        bench = Bench().charging()
        bench.evse.lock(True)
        bench.evse.plug_out()
        assert bench.state == (A, True, False)
        bench.evse.lock(False)
        assert bench.state == (A, False, False)

    def test_a_vehicle_can_be_plugged_into_the_cable_that_stayed(self) -> None:
        bench = Bench().charging()
        bench.evse.lock(True)
        bench.evse.plug_out()
        bench.evse.plug_in(COMPACT)
        assert bench.state[:2] == (B, True)

    def test_unlocking_leaves_a_plugged_vehicle_plugged(self) -> None:
        bench = Bench()
        bench.evse.plug_in(COMPACT)
        bench.evse.lock(True)
        bench.evse.lock(False)
        assert bench.state == (B, True, False)

    def test_a_tethered_cable_leaves_with_the_vehicle(self) -> None:
        bench = Bench(EvseInfo(tethered=True)).charging()
        bench.evse.lock(True)
        bench.evse.plug_out()
        assert bench.state == (A, False, False)

    def test_an_empty_socket_has_nothing_to_lock(self) -> None:
        bench = Bench()
        bench.evse.lock(True)
        assert not bench.evse.locked


class TestFaults:
    def test_a_broken_lock_stays_open_and_keeps_the_contactor_open(self) -> None:
        bench = Bench()
        bench.evse.break_lock(True)
        bench.evse.plug_in(COMPACT)
        assert not bench.evse.faults, "nothing is noticed before it should move"
        bench.evse.lock(True)
        bench.evse.lock(True)
        bench.evse.permit(Limit(16.0))
        bench.clock.advance(60.0)
        assert not bench.evse.locked
        assert not bench.evse.closed
        assert bench.evse.faults == (LOCK_FAULT,)

    def test_a_lock_broken_while_shut_stays_shut_until_repaired(self) -> None:
        bench = Bench()
        bench.evse.plug_in(COMPACT)
        bench.evse.lock(True)
        bench.evse.break_lock(True)
        bench.evse.lock(False)
        assert bench.evse.locked
        assert list(bench.evse.faults) == [LOCK_FAULT]
        bench.evse.break_lock(False)
        assert bench.evse.locked
        assert list(bench.evse.faults) == []
        bench.evse.lock(False)
        assert not bench.evse.locked

    def test_a_blocking_fault_opens_and_charging_goes_on_when_it_is_gone(self) -> None:
        bench = Bench().charging()
        bench.evse.inject(Fault(FaultKind.GROUND))
        assert bench.state == (B, True, False)
        bench.clock.advance(600.0)
        bench.evse.clear(FaultKind.GROUND)
        bench.clock.advance(10.0)
        assert bench.state == (C, True, True)

    def test_a_warning_is_reported_and_charging_goes_on(self) -> None:
        bench = Bench().charging()
        reports = bench.reports
        warning = Fault(FaultKind.OTHER, blocking=False, info="fan slow")
        bench.evse.inject(warning)
        bench.evse.inject(warning)
        assert bench.evse.closed
        assert bench.evse.faults == (warning,)
        assert bench.reports == reports + 1

    def test_faults_are_cleared_by_kind_or_all_at_once(self) -> None:
        bench = Bench()
        kinds = (FaultKind.METER, FaultKind.READER, FaultKind.OTHER)
        for kind in kinds:
            bench.evse.inject(Fault(kind))
        bench.evse.clear(FaultKind.READER)
        assert [fault.kind for fault in bench.evse.faults] == [FaultKind.METER, FaultKind.OTHER]
        bench.evse.clear()
        assert bench.evse.faults == ()

    @pytest.mark.parametrize("voltage_v", [0.0, 130.0], ids=["none", "brown-out"])
    def test_without_supply_there_is_no_pilot_and_no_current(self, voltage_v: float) -> None:
        bench = Bench().charging()
        bench.evse.set_supply(voltage_v)
        assert bench.state == (E, True, False)
        register_wh = bench.evse.reading().energy_wh
        bench.clock.advance(3600.0)
        assert bench.evse.reading().energy_wh == register_wh
        assert bench.evse.reading().voltage_v == (voltage_v,) * 3
        bench.evse.set_supply(230.0)
        bench.clock.advance(10.0)
        assert bench.state == (C, True, True)

    def test_a_lower_supply_means_less_power_at_the_same_current(self) -> None:
        bench = Bench().charging(10.0)
        before = bench.evse.reading().power_w
        bench.evse.set_supply(207.0)
        assert bench.evse.reading().power_w == pytest.approx(0.9 * before, rel=0.01)
        assert bench.current_a == pytest.approx(10.0)

    @pytest.mark.parametrize("energy_wh", [0.0, 1e9], ids=["lost its memory", "jumped"])
    def test_a_register_can_be_set_and_goes_on_from_there(self, energy_wh: float) -> None:
        bench = Bench().charging()
        bench.clock.advance(600.0)
        bench.evse.set_register(energy_wh)
        assert bench.evse.reading().energy_wh == energy_wh
        bench.clock.advance(3600.0)
        assert bench.evse.reading().energy_wh == pytest.approx(energy_wh + 10_650.0, rel=0.01)


class TestDirectCurrent:
    def test_cable_check_and_precharge_come_before_energy(self) -> None:
        bench = Bench(DC)
        bench.evse.plug_in(COMPACT)
        bench.evse.permit(Limit(200.0, 100_000.0))
        bench.clock.advance(5.0)
        assert bench.state == (B, True, False)
        assert bench.evse.reading().voltage_v == (0.0,)
        bench.clock.advance(5.0)
        assert bench.state == (C, True, True)

    def test_the_output_climbs(self) -> None:
        bench = Bench(DC)
        bench.evse.plug_in(COMPACT)
        bench.evse.permit(Limit(200.0, 100_000.0))
        bench.clock.advance(9.0)
        currents = []
        for _ in range(20):
            currents.append(bench.current_a)
            bench.clock.advance(1.0)
        assert currents[:3] == pytest.approx([0.0, 15.0, 30.0], rel=0.01)
        assert currents[-1] == pytest.approx(200.0)
        assert [round(amps, 6) for amps in currents] == sorted(round(amps, 6) for amps in currents)

    @pytest.mark.parametrize(
        ("limit", "power_w"),
        [
            (Limit(50.0), 50.0 * 350.0 * 0.954),
            (Limit(50.0, 10_000.0), 10_000.0),
            (Limit(3.0, 50_000.0), 3.0 * 350.0 * 0.954),
            (Limit(200.0, 99_000.0), 200.0 * 350.0 * 0.954),
        ],
        ids=["amperes alone", "watts smaller", "below 6 A", "amperes smaller"],
    )
    def test_the_smaller_of_amperes_and_watts_applies(self, limit: Limit, power_w: float) -> None:
        bench = Bench(DC)
        bench.evse.plug_in(COMPACT)
        bench.evse.permit(limit)
        bench.clock.advance(30.0)
        assert bench.evse.reading().power_w == pytest.approx(power_w, rel=0.01)

    def test_the_vehicle_can_ask_for_less(self) -> None:
        bench = Bench(DC).charging(100.0)
        bench.evse.adjust(max_current_a=20.0)
        assert bench.current_a == pytest.approx(20.0)
        bench.evse.adjust(max_power_w=5000.0)
        assert bench.evse.reading().power_w == pytest.approx(5000.0)

    def test_a_reading_has_one_voltage_and_one_current_and_tells_the_charge(self) -> None:
        reading = Bench(DC).charging(100.0).evse.reading()
        assert (len(reading.voltage_v), len(reading.current_a), reading.power_phase_w) == (1, 1, ())
        assert reading.power_factor is None
        assert reading.soc_percent == pytest.approx(30.0, abs=0.5)

    def test_a_vehicle_without_inlet_cannot_be_plugged_in(self) -> None:
        bench = Bench(DC)
        with pytest.raises(Unsupported, match="plug-in-hybrid has no inlet"):
            bench.evse.plug_in(load_vehicle("plug-in-hybrid"))
        assert bench.state == (A, False, False)


class TestCost:
    def test_a_month_of_charging_costs_a_handful_of_timers(self) -> None:
        bench = Bench()
        fired = 0

        def count() -> int:
            nonlocal fired
            while (due := bench.clock.next_at()) is not None:
                bench.clock.advance(due - bench.clock.now())
                fired += 1
                assert fired < 100, "it ticks"
            return fired

        bench.evse.plug_in(COMPACT, 0.0)
        bench.evse.permit(Limit(6.0))
        assert count() == 2, "it wakes and is full"

    def test_there_is_never_more_than_one_timer(self) -> None:
        bench = Bench().charging()
        for current_a in (10.0, 12.0, 0.0, 16.0, 14.0, 20.0):
            bench.evse.permit(Limit(current_a))
            live = [entry for _, _, entry in bench.clock._timers._heap if entry.action is not None]
            assert len(live) <= 1

    def test_an_idle_connector_takes_less_than_a_kilobyte(self) -> None:
        clock, info = SteppedClock(1_800_000_000.0), EvseInfo()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            kept = [SimulatedEvse(info, clock) for _ in range(200)]
            used = tracemalloc.get_traced_memory()[0] - before - sys.getsizeof(kept)
        finally:
            tracemalloc.stop()
        assert used / len(kept) < 1024

    def test_the_vehicle_is_gone_with_the_plug(self) -> None:
        bench = Bench().charging()
        bench.evse.plug_out()
        assert bench.evse._car is None
        assert bench.clock.next_at() is None
