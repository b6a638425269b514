"""When a board's contactor may close and must open (IEC 61851-1, annex A): stories, tables, and a search."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.api import FaultKind, PilotState
from hal.board_rules import BoardRules, Orders
from hal.device import PilotSample
from hal.pilot import duty_percent, has_diode, state_of

VOLTS = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0, "F": -12.0}


class Bench:
    """Rules with hardware that obeys: the signal is on the line, the mirror contact follows."""

    def __init__(self, kind: type[BoardRules] = BoardRules, **options: Any) -> None:
        self.now = 1000.0
        self.rules = kind(self.now, **options)
        self.vehicle = "A"
        self.diode = True
        self.obeys: bool | None = True  # the contactor; None: no mirror contact
        self.contacts = False
        self.history: list[Orders] = []

    def sample(self) -> PilotSample:
        orders, high_v = self.rules.orders, VOLTS[self.vehicle]
        if orders.refuse:
            return PilotSample(-12.0, -12.0)
        if orders.duty_percent is None:
            return PilotSample(high_v, high_v)
        return PilotSample(high_v, -12.0 if self.diode else -high_v)

    def run(self, seconds: float, step_s: float = 0.02) -> BoardRules:
        for _ in range(round(seconds / step_s)):
            self.now += step_s
            self.rules.sampled(self.sample(), self.now)
            if self.obeys:
                self.contacts = self.rules.orders.closed
            self.rules.fed_back(None if self.obeys is None else self.contacts, self.now)
            self.history.append(self.rules.orders)
        return self.rules

    def permit(self, current_a: float) -> None:
        self.rules.permit(current_a, self.now)

    def charge(self, current_a: float = 16.0) -> BoardRules:
        self.run(11.0)
        self.vehicle = "B"
        self.permit(current_a)
        self.run(1.0)
        self.vehicle = "C"
        rules = self.run(1.0)
        assert rules.orders == Orders(duty_percent(current_a), closed=True)
        return rules

    def kinds(self) -> list[FaultKind]:
        return [fault.kind for fault in self.rules.faults]


def test_a_vehicle_gets_signal_then_current() -> None:
    bench = Bench()
    rules = bench.run(11.0)
    assert rules.pilot is PilotState.A
    bench.permit(16.0)
    assert bench.run(1.0).orders == Orders(), "no signal without a vehicle"
    bench.vehicle = "B"
    assert bench.run(1.0).orders == Orders(duty_percent(16.0))
    bench.vehicle = "C"
    assert not bench.run(0.48).orders.closed, "slow in"
    assert bench.run(0.06).orders.closed


@pytest.mark.parametrize("leaves", ["A", "B", "E", "F", "D"])
def test_leaving_c_opens_in_the_measurement_that_shows_it(leaves: str) -> None:
    bench = Bench()
    rules = bench.charge()
    bench.vehicle = leaves
    rules.sampled(bench.sample(), bench.now + 0.01)
    assert not rules.orders.closed


def test_a_voltage_between_two_states_opens_after_half_a_second() -> None:
    bench = Bench()
    rules = bench.charge()
    for tick in range(40):
        rules.sampled(PilotSample(7.5, -12.0), bench.now + tick * 0.01)
    assert rules.orders.closed
    for tick in range(40, 60):
        rules.sampled(PilotSample(7.5, -12.0), bench.now + tick * 0.01)
    assert not rules.orders.closed
    assert bench.kinds() == [FaultKind.PILOT]


def test_a_stop_takes_the_signal_and_waits_six_seconds_for_the_vehicle() -> None:
    bench = Bench()
    rules = bench.charge()
    bench.permit(0.0)
    assert rules.orders == Orders(None, closed=True)
    assert bench.run(5.9).orders.closed
    assert not bench.run(0.2).orders.closed


def test_a_vehicle_that_stops_drawing_opens_before() -> None:
    bench = Bench()
    rules = bench.charge()
    bench.permit(0.0)
    bench.vehicle = "B"
    assert not bench.run(0.02).orders.closed
    assert rules.faults == ()


def test_an_offer_during_the_stop_waits_for_the_contactor() -> None:
    bench = Bench()
    bench.charge()
    bench.permit(0.0)
    bench.permit(16.0)
    assert bench.run(1.0).orders == Orders(None, closed=True)
    bench.vehicle = "B"
    assert bench.run(1.0).orders == Orders(duty_percent(16.0))


def test_the_contactor_rests_between_two_closings() -> None:
    bench = Bench()
    bench.charge()
    bench.vehicle = "B"
    bench.run(0.1)
    bench.vehicle = "C"
    assert not bench.run(9.8).orders.closed
    assert bench.run(0.4).orders.closed


def test_a_board_that_just_started_rests_too() -> None:
    bench = Bench()
    bench.vehicle = "C"
    bench.permit(16.0)
    assert not bench.run(9.9).orders.closed
    assert bench.run(0.3).orders.closed


def test_chatter_closes_no_sooner_than_each_ten_seconds() -> None:
    bench = Bench()
    bench.charge()
    bench.history.clear()
    for n in range(300):
        bench.vehicle = "CB"[n % 2]
        bench.run(0.6 if n % 2 == 0 else 0.1)
    closings = sum(
        after.closed and not before.closed
        for before, after in zip(bench.history, bench.history[1:], strict=False)
    )
    assert 1 <= closings <= 300 * 0.35 / 10.0 + 1


def test_less_is_at_once_and_more_waits_five_seconds() -> None:
    bench = Bench()
    rules = bench.charge()
    bench.run(6.0)
    bench.permit(8.0)
    assert rules.offer_a == 8.0
    bench.permit(12.0)
    assert bench.run(4.9).offer_a == 8.0
    assert bench.run(0.3).offer_a == 12.0
    assert rules.orders.closed


def test_less_than_six_amperes_is_nothing() -> None:
    bench = Bench()
    bench.charge()
    bench.permit(5.9)
    assert bench.rules.orders.duty_percent is None


@pytest.mark.parametrize("ventilated", [False, True])
def test_state_d_charges_only_where_there_is_ventilation(ventilated: bool) -> None:
    bench = Bench(ventilated=ventilated)
    bench.run(11.0)
    bench.permit(16.0)
    bench.vehicle = "B"
    bench.run(1.0)
    bench.vehicle = "D"
    assert bench.run(2.0).orders.closed is ventilated
    assert bench.kinds() == ([] if ventilated else [FaultKind.PILOT])
    bench.vehicle = "B"
    bench.run(1.0)
    assert bench.kinds() == ([] if ventilated else [FaultKind.PILOT]), "it would ask again"
    bench.vehicle = "A"
    bench.run(1.0)
    assert bench.kinds() == []


def test_without_its_diode_a_vehicle_is_none() -> None:
    bench = Bench()
    bench.run(11.0)
    bench.permit(16.0)
    bench.diode = False
    bench.vehicle = "B"
    bench.run(0.3)
    bench.vehicle = "C"
    bench.run(3.0)
    assert not any(orders.closed for orders in bench.history)
    assert [fault.vendor_code for fault in bench.rules.faults] == ["diode"]
    bench.vehicle, bench.diode = "A", True
    bench.run(1.0)
    assert bench.rules.faults == ()


def test_a_diode_that_fails_while_charging_opens() -> None:
    bench = Bench()
    bench.charge()
    bench.diode = False
    assert not bench.run(0.6).orders.closed


@pytest.mark.parametrize("state", ["E", "F"])
def test_a_shorted_pilot_is_a_fault(state: str) -> None:
    bench = Bench()
    bench.run(1.0)
    bench.vehicle = state
    bench.run(0.5)
    assert bench.kinds() == [FaultKind.PILOT]


def test_a_contactor_that_does_not_close_is_a_fault_until_the_vehicle_is_gone() -> None:
    bench = Bench()
    bench.run(11.0)
    bench.obeys = False
    bench.vehicle = "B"
    bench.permit(16.0)
    bench.run(1.0)
    bench.vehicle = "C"
    bench.run(0.6)
    assert bench.rules.orders.closed
    bench.run(0.6)
    assert bench.kinds() == [FaultKind.NOT_CLOSING]
    assert not bench.rules.orders.closed
    bench.run(60.0)
    assert bench.kinds() == [FaultKind.NOT_CLOSING]
    assert bench.rules.orders == Orders(), "no new try on this vehicle"
    bench.vehicle = "A"
    bench.run(0.1)
    assert bench.rules.faults == ()


def test_a_contactor_that_drops_out_by_itself_is_told_to_stay_open() -> None:
    bench = Bench()
    bench.charge()
    bench.obeys = bench.contacts = False
    bench.run(0.6)
    assert bench.kinds() == [FaultKind.NOT_CLOSING]
    assert not bench.rules.orders.closed


def test_a_welded_contactor_keeps_the_pilot_at_f() -> None:
    bench = Bench()
    bench.charge()
    bench.obeys = False
    bench.vehicle = "B"
    bench.run(0.6)
    assert bench.kinds() == [FaultKind.WELDED]
    assert bench.rules.orders == Orders(refuse=True)
    assert bench.rules.closed
    assert bench.rules.pilot is PilotState.F
    assert not bench.rules.confirmed_open
    bench.contacts = False
    bench.run(1.0)
    assert bench.kinds() == [FaultKind.WELDED], "until the vehicle is gone"
    bench.vehicle = "A"
    bench.run(1.0)
    assert bench.rules.faults == ()


def test_a_contactor_found_closed_at_the_start_is_welded() -> None:
    bench = Bench()
    bench.obeys, bench.contacts = False, True
    bench.run(1.0)
    assert bench.kinds() == [FaultKind.WELDED]


def test_without_a_mirror_contact_current_through_an_open_contactor_is_one_that_welded() -> None:
    bench = Bench()
    bench.obeys = None
    bench.charge()
    bench.vehicle = "B"
    bench.run(1.0)
    bench.rules.measured(5.0, bench.now)
    assert bench.rules.faults == (), "meters average"
    bench.run(3.0)
    bench.rules.measured(5.0, bench.now)
    assert bench.kinds() == [FaultKind.WELDED]


def test_too_much_current_for_seven_seconds_ends_it() -> None:
    bench = Bench()
    bench.charge(10.0)
    for _ in range(6):
        bench.rules.measured(11.6, bench.now)
        bench.run(1.0)
    assert bench.rules.orders.closed
    for _ in range(2):
        bench.run(1.0)
        bench.rules.measured(11.6, bench.now)
    assert not bench.rules.orders.closed
    assert bench.rules.orders.refuse
    assert bench.kinds() == [FaultKind.OVER_CURRENT]
    assert not bench.run(0.4).orders.refuse, "state F for 300 ms, then a steady pilot"


def test_a_lower_offer_gives_the_vehicle_its_time() -> None:
    bench = Bench()
    bench.charge(16.0)
    bench.permit(6.0)
    for _ in range(5):
        bench.run(1.0)
        bench.rules.measured(16.0, bench.now)
    for _ in range(20):
        bench.run(1.0)
        bench.rules.measured(6.0, bench.now)
    assert bench.rules.orders.closed


def test_a_trip_opens_and_needs_reset_and_unplugging() -> None:
    bench = Bench()
    bench.charge()
    bench.rules.tripped(True, bench.now)
    assert not bench.rules.orders.closed
    bench.rules.tripped(False, bench.now)
    bench.run(30.0)
    assert bench.kinds() == [FaultKind.GROUND]
    bench.vehicle = "A"
    bench.run(0.1)
    assert bench.rules.faults == ()


def test_a_pilot_that_is_not_measured_opens_then_faults() -> None:
    bench = Bench()
    rules = bench.charge()
    rules.tick(bench.now + 0.99)
    assert rules.orders.closed
    rules.tick(bench.now + 1.0)
    assert rules.orders == Orders()
    rules.fed_back(False, bench.now + 1.1)
    rules.tick(bench.now + 3.0)
    assert bench.kinds() == [FaultKind.COMMUNICATION]
    bench.now += 3.0
    bench.run(0.1)
    assert rules.faults == ()


def test_what_was_seen_before_a_gap_counts_for_nothing() -> None:
    bench = Bench()
    bench.run(11.0)
    bench.vehicle = "B"
    bench.permit(16.0)
    bench.run(1.0)
    bench.vehicle = "C"
    bench.run(0.3)
    bench.now += 2.0
    assert not bench.run(0.48).orders.closed
    assert bench.run(0.1).orders.closed


def test_a_sleeping_vehicle_is_woken_once() -> None:
    bench = Bench()
    bench.run(11.0)
    bench.vehicle = "B"
    bench.permit(16.0)
    bench.run(29.0)
    assert not any(orders.refuse for orders in bench.history)
    bench.run(2.0)
    assert bench.rules.orders.refuse
    assert bench.rules.pilot is PilotState.B, "it is our own doing"
    bench.run(4.0)
    assert bench.rules.orders == Orders()
    bench.run(3.0)
    assert bench.rules.orders == Orders(duty_percent(16.0))
    bench.history.clear()
    bench.run(120.0)
    assert not any(orders.refuse for orders in bench.history)


def test_a_vehicle_that_charged_before_is_not_woken() -> None:
    bench = Bench()
    bench.charge()
    bench.vehicle = "B"
    bench.history.clear()
    bench.run(60.0)
    assert not any(orders.refuse for orders in bench.history)


def test_a_broken_part_opens_and_comes_back() -> None:
    bench = Bench()
    rules = bench.charge()
    rules.broke("coil", "no answer", bench.now)
    assert not rules.orders.closed
    rules.works("coil", bench.now)
    assert bench.run(15.0).orders.closed


def test_shut_down_is_for_good() -> None:
    bench = Bench()
    bench.charge()
    bench.rules.shut_down(bench.now)
    bench.permit(16.0)
    assert bench.run(60.0).orders == Orders()


# Whatever is measured and wished, in whatever order.

_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("vehicle"), st.sampled_from("ABCCCCD")),
        st.tuples(st.just("volts"), st.sampled_from([12.0, 9.0, 7.5, 6.0, 6.0, 3.0, 0.0, -12.0])),
        st.tuples(st.just("permit"), st.sampled_from([0.0, 5.9, 6.0, 16.0, 16.0, 63.0])),
        st.tuples(st.just("current"), st.sampled_from([0.0, 6.0, 17.0, 40.0])),
        st.tuples(st.just("diode"), st.booleans()),
        st.tuples(st.just("obeys"), st.sampled_from([True, True, True, False, None])),
        st.tuples(st.just("contacts"), st.booleans()),
        st.tuples(st.just("trip"), st.booleans()),
        st.tuples(st.just("part"), st.booleans()),
        st.tuples(st.just("silence"), st.sampled_from([0.5, 1.5, 4.0])),
        st.tuples(st.just("run"), st.sampled_from([0.1, 0.6, 2.0, 11.0, 11.0, 40.0])),
    ),
    max_size=25,
)


class Judge:
    """Follows the orders and objects to what no station may do."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.opened_at = bench.now
        self.asked_since: float | None = None
        self.off_since: float | None = None
        self.sampled_at = bench.now
        self.wish_a = 0.0
        self.sample = PilotSample(12.0, 12.0)
        self.before = bench.rules.orders

    def sampled(self, sample: PilotSample) -> None:
        bench, state = self.bench, state_of(sample)
        self.sample, self.sampled_at = sample, bench.now
        if state is not PilotState.C:
            self.asked_since = None
        elif self.asked_since is None:
            self.asked_since = bench.now
        bench.rules.sampled(sample, bench.now)
        if state is not None and state is not PilotState.C:
            assert not bench.rules.orders.closed, "open in the measurement that leaves C"
        self.look()

    def look(self) -> None:
        rules, now, orders = self.bench.rules, self.bench.now, self.bench.rules.orders
        if orders.closed:
            assert not rules.faults, "never closed with a fault"
            assert now - self.sampled_at < 1.0, "never closed blindly"
            if orders.duty_percent is None:
                self.off_since = now if self.off_since is None else self.off_since
                assert now - self.off_since < 6.0 + 1.0, "no longer than 6 s without a signal"
        if not orders.closed or orders.duty_percent is not None:
            self.off_since = None
        if orders.closed and not self.before.closed:
            assert orders.duty_percent is not None, "only with a signal"
            assert self.asked_since is not None, "only in C"
            assert now - self.asked_since >= 0.5 - 1e-9, "only after 500 ms of C"
            assert has_diode(self.sample), "only with a diode"
            assert now - self.opened_at >= 10.0 - 1e-9, "only after its rest"
        if self.before.closed and not orders.closed:
            self.opened_at = now
        if orders.duty_percent is not None:
            assert not orders.refuse
            assert orders.duty_percent <= (duty_percent(self.wish_a) or 0.0) + 1e-9, "never more than wished"
        self.before = orders


def play(events: list[tuple[str, Any]], kind: type[BoardRules] = BoardRules) -> bool:
    """Play them under the judge's eyes; True if the contactor closed at least once."""
    bench = Bench(kind)
    judge = Judge(bench)
    rules, ever = bench.rules, False
    for name, value in [("run", 11.0), *events]:
        if name == "vehicle":
            bench.vehicle = value
        elif name == "volts":
            judge.sampled(PilotSample(value, -12.0))
        elif name == "permit":
            judge.wish_a = value
            bench.permit(value)
        elif name == "current":
            rules.measured(value, bench.now)
        elif name == "diode":
            bench.diode = value
        elif name == "obeys":
            bench.obeys = value
        elif name == "contacts":
            bench.contacts = value
        elif name == "trip":
            rules.tripped(value, bench.now)
        elif name == "part":
            rules.works("coil", bench.now) if value else rules.broke("coil", "dead", bench.now)
        elif name == "silence":
            bench.now += value
            rules.tick(bench.now)
        else:
            for _ in range(round(value / 0.1)):
                bench.now += 0.1
                judge.sampled(bench.sample())
                if bench.obeys:
                    bench.contacts = rules.orders.closed
                rules.fed_back(None if bench.obeys is None else bench.contacts, bench.now)
                judge.look()
                ever = ever or rules.orders.closed
        judge.look()
    return ever


@pytest.mark.search
@settings(max_examples=150, deadline=None)
@given(_EVENTS)
def test_no_order_of_events_breaks_an_interlock(events: list[tuple[str, Any]]) -> None:
    play(events)
    play([*CHARGES, *events])


CHARGES: list[tuple[str, Any]] = [
    ("permit", 16.0),
    ("vehicle", "B"),
    ("run", 2.0),
    ("vehicle", "C"),
    ("run", 2.0),
]


def test_the_judge_sees_a_charge() -> None:
    assert play(CHARGES)


class Eager(BoardRules):
    def may_close(self, now: float) -> str | None:
        why = super().may_close(now)
        return None if why == "the contactor rests" else why


class Blind(BoardRules):
    def _look_for_diode(self, sample: PilotSample, now: float) -> None:
        self._diode_seen = True


class Hasty(BoardRules):
    def may_close(self, now: float) -> str | None:
        why = super().may_close(now)
        brief = why in ("the vehicle does not ask", "the vehicle asks too briefly")
        return None if brief and self._filter.asking_since is not None else why


class Stubborn(BoardRules):
    def drops(self, sample: PilotSample) -> bool:
        return False


class Patient(BoardRules):
    def must_open(self, now: float) -> str | None:
        why = super().must_open(now)
        return None if why == "the vehicle did not stop" else why


class Fearless(BoardRules):
    @property
    def _blocked(self) -> bool:
        return False


class Sleeping(BoardRules):
    def must_open(self, now: float) -> str | None:
        why = super().must_open(now)
        return None if why == "the pilot is not measured" else why


class Generous(BoardRules):
    def permit(self, current_a: float, now: float) -> None:
        super().permit(max(current_a, 6.0), now)


_AGAIN: list[tuple[str, Any]] = [("vehicle", "B"), ("run", 0.6), ("vehicle", "C"), ("run", 2.0)]


@pytest.mark.parametrize(
    ("saboteur", "events"),
    [
        (Eager, [*CHARGES, *_AGAIN]),
        (Blind, [("diode", False), *CHARGES]),
        (Hasty, CHARGES),
        (Stubborn, [*CHARGES, ("vehicle", "B"), ("run", 0.1)]),
        (Patient, [*CHARGES, ("permit", 0.0), ("run", 11.0)]),
        (Fearless, [*CHARGES, ("trip", True), ("run", 2.0)]),
        (Sleeping, [*CHARGES, ("silence", 1.5)]),
        (Generous, [("permit", 0.0), ("vehicle", "B"), ("run", 2.0)]),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else "",
)
def test_the_judge_catches_rules_without_an_interlock(
    saboteur: type[BoardRules], events: list[tuple[str, Any]]
) -> None:
    play(events)
    with pytest.raises(AssertionError):
        play(events, saboteur)
