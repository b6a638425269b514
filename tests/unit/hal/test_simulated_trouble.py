"""Several things wrong with one simulated contactor: each has its effect and is mended alone."""

from __future__ import annotations

import pytest

from hal.api import NOTHING, EvseInfo, Fault, Limit, PilotState
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.trouble.contactor import NOT_CLOSING, WELDED, ContactorTrouble, Contradiction
from hal.simulated.trouble.maker import Troublemaker
from hal.simulated.vehicle import load_vehicle

COMPACT = load_vehicle("compact")


class Bench:
    """A connector with a vehicle at it, and what breaks it."""

    def __init__(self, *broken: ContactorTrouble) -> None:
        self.clock = SteppedClock(1_800_000_000.0)
        self.evse = SimulatedEvse(EvseInfo(), self.clock)
        self.maker = Troublemaker(self.evse)
        for how in broken:
            self.maker.break_contactor(how)
        self.evse.plug_in(COMPACT, 30.0)

    def starts(self) -> Bench:
        """There is an offer, and the vehicle has just asked for energy."""
        self.evse.permit(Limit(16.0))
        self.clock.advance(COMPACT.wake_s)
        return self

    def waits(self, seconds: float) -> Bench:
        """Time passes."""
        self.clock.advance(seconds)
        return self

    def contacts(self) -> list[tuple[bool, bool]]:
        """Whether the mirror contact shows them closed, and whether energy flows, over the next 0.2 s."""
        seen = []
        for _ in range(20):
            self.clock.advance(0.01)
            seen.append((self.evse.closed, self.evse.reading().power_w > 0))
        return seen

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What the station has noticed."""
        return self.evse.faults


def test_contacts_that_bounce_unseen_interrupt_the_current_and_nobody_sees_them_close() -> None:
    bench = Bench("bounces", "unseen").starts()
    seen = bench.contacts()
    assert not any(closed for closed, _ in seen)
    assert {flows for _, flows in seen[:9]} == {True, False}
    assert all(flows for _, flows in seen[11:])
    assert bench.waits(5.0).faults == (NOT_CLOSING,)


def test_a_weld_that_nobody_sees_is_noticed_once_the_mirror_contact_is_mended() -> None:
    bench = Bench("unseen", "welded")
    assert (bench.evse.closed, bench.faults) == (False, ())
    bench.maker.mend_contactor("unseen")
    assert (bench.evse.closed, bench.faults) == (True, (WELDED,))
    bench.maker.mend_contactor("welded")
    assert (bench.evse.closed, bench.faults) == (False, ())


def test_bouncing_contacts_that_weld_bounce_again_once_they_are_free() -> None:
    bench = Bench("bounces").starts().waits(60.0)
    bench.maker.break_contactor("welded")
    bench.evse.permit(NOTHING)
    assert (bench.evse.closed, bench.faults) == (True, (WELDED,))
    bench.maker.mend_contactor("welded")
    assert (bench.evse.closed, bench.faults) == (False, ())
    bench.starts()
    assert {closed for closed, _ in bench.contacts()[:9]} == {True, False}
    assert bench.evse.closed


def test_welded_contacts_do_not_bounce() -> None:
    bench = Bench("bounces").starts()
    assert not bench.evse.closed
    bench.maker.break_contactor("welded")
    assert all(closed and flows for closed, flows in bench.contacts())


def test_contacts_that_do_not_close_do_not_bounce() -> None:
    bench = Bench("bounces", "not_closing").starts()
    assert not any(closed or flows for closed, flows in bench.contacts())
    assert bench.waits(5.0).faults == (NOT_CLOSING,)


@pytest.mark.parametrize(
    ("first", "last"), [("not_closing", "unseen"), ("unseen", "not_closing")], ids=lambda how: how
)
def test_a_fault_with_two_causes_is_gone_with_the_last(
    first: ContactorTrouble, last: ContactorTrouble
) -> None:
    bench = Bench("not_closing", "unseen").starts().waits(6.0)
    bench.maker.mend_contactor(first)
    assert NOT_CLOSING in bench.faults
    bench.maker.mend_contactor(last)
    assert not bench.faults
    assert bench.waits(60.0).evse.closed


def test_what_breaks_later_leaves_noticed_what_was_noticed() -> None:
    bench = Bench("not_closing").starts().waits(6.0)
    bench.maker.break_contactor("bounces")
    assert bench.faults == (NOT_CLOSING,)
    bench.maker.mend_contactor("bounces")
    assert bench.faults == (NOT_CLOSING,)


@pytest.mark.parametrize(
    ("present", "wanted"), [("welded", "not_closing"), ("not_closing", "welded")], ids=lambda how: how
)
def test_what_contradicts_is_refused_by_both_names_and_changes_nothing(
    present: ContactorTrouble, wanted: ContactorTrouble
) -> None:
    bench, other = Bench(), Bench()
    for each in (bench, other):
        each.starts().waits(1.0).maker.break_contactor(present)
        each.waits(600.0)
    with pytest.raises(Contradiction) as refused:
        bench.maker.break_contactor(wanted)
    assert (refused.value.wanted, refused.value.present) == (wanted, present)
    assert present in str(refused.value)
    assert wanted in str(refused.value)
    assert bench.evse.soc_percent == pytest.approx(other.evse.soc_percent)
    for each in (bench, other):
        each.waits(3600.0)
        each.maker.mend_contactor(present)
        each.waits(3600.0)
    assert bench.evse.register_wh == pytest.approx(other.evse.register_wh)
    bench.maker.break_contactor(wanted)


def test_the_same_twice_is_mended_once() -> None:
    bench = Bench("welded", "welded")
    bench.maker.mend_contactor("welded")
    assert (bench.evse.closed, bench.faults) == (False, ())


class Heard:
    """A listener that counts."""

    def __init__(self) -> None:
        self.times = 0

    def evse_changed(self) -> None:
        self.times += 1


def test_what_happens_by_itself_at_the_moment_of_a_refusal_is_reported() -> None:
    """The vehicle is due to ask just when somebody wants what cannot be."""
    bench, heard = Bench("not_closing"), Heard()
    refused = []

    def contradict() -> None:
        try:
            bench.maker.break_contactor("welded")
        except Contradiction as error:
            refused.append(error)

    bench.clock.call_at(bench.clock.now() + COMPACT.wake_s, contradict)
    bench.evse.permit(Limit(16.0))
    bench.evse.listener = heard
    bench.clock.advance(COMPACT.wake_s)
    assert len(refused) == 1
    assert bench.evse.pilot is PilotState.C
    assert heard.times == 1
