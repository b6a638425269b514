"""What a board without a controller must do: a pure function of what was measured, wished and when.

Nothing here waits or touches hardware. Observations go in (`sampled`, `fed_back`, `permit` ...), `orders`
come out as levels: an order given twice does no harm. `may_close` and `must_open` hold all interlocks.
Moments are seconds on any clock that never goes back. The times are those of IEC 61851-1, annex A, where it
has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from hal.api import AC_MINIMUM_A, CONNECTED, Fault, FaultKind, PilotState
from hal.device import PilotSample
from hal.pilot import PilotFilter, duty_percent, has_diode, state_of

ASKING_S = 0.5
"""State C must last that long before the contactor closes."""

STOPPING_S = 6.0
"""A vehicle without a signal has that long to stop drawing before the contactor opens under load."""

FOLLOWS_S = 0.5
"""The mirror contact follows the coil within that, or the contactor is welded or does not close."""

REST_S = 10.0
"""The contactor rests that long between two closings, and after the start of the program."""

RAISE_S = 5.0
"""Offers rise no sooner than that after the last change; they fall at once."""

STALE_S = 1.0
"""A pilot not measured for that long keeps no contactor closed."""

SILENT_S = 3.0
"""A pilot not measured for that long is a fault."""

REFUSAL_S = 0.3
"""A fault shows the vehicle state F that long, at least, then the steady pilot."""

OVER_CURRENT_S = 7.0
"""A vehicle has 5 s to follow a lower offer; what it draws too much after that is a fault."""

WAKE_AFTER_S = 30.0
"""A vehicle that sleeps in B beside an offer for that long is woken, once an offer."""

WAKE_S = 4.0
"""The waking pulse: state F, or a steady pilot where the board has no negative supply."""

WAKE_HOLD_S = 3.0
"""After the pulse the pilot is steady for that long before the offer is signalled again."""

_UNCLEAR_S = 0.5
_LEAKS_A = 0.5  # more than that through an open contactor is none
_LEAKS_AFTER_S = 3.0  # meters average


@dataclass(frozen=True, slots=True)
class Orders:
    """What the hardware is to do now. Neither duty nor refusal: the pilot is steady at +12 V."""

    duty_percent: float | None = None
    refuse: bool = False  # state F; steady +12 V where the board cannot
    closed: bool = False


class BoardRules:
    """The facts about one board and the orders that follow from them.

    `sampled` must come every 100 ms or faster, `tick` at least each 250 ms: nothing else makes time pass.
    A latched fault stays until its cause is gone and the vehicle was unplugged.
    """

    __slots__ = (
        "_asked",
        "_broken",
        "_diode_seen",
        "_feedback",
        "_feedback_since",
        "_filter",
        "_latched",
        "_leaks",
        "_no_diode_since",
        "_offer_a",
        "_offer_began_at",
        "_offer_changed_at",
        "_opened_at",
        "_over_since",
        "_refused_until",
        "_resting_until",
        "_sampled_at",
        "_started_at",
        "_stopping_until",
        "_switched_at",
        "_tripped",
        "_ventilated",
        "_wish_a",
        "_woken",
        "orders",
        "shut",
    )

    def __init__(self, now: float, *, ventilated: bool = False) -> None:
        self.orders = Orders()
        self.shut = False
        self._ventilated = ventilated
        self._filter = PilotFilter()
        self._wish_a = 0.0
        self._offer_a = 0.0
        self._offer_began_at = self._offer_changed_at = -inf
        self._asked = False  # the vehicle was in C or D since the offer began
        self._woken = False
        self._refused_until = -inf
        self._resting_until = -inf  # the signal stays off until then
        self._stopping_until: float | None = None
        self._started_at = self._opened_at = self._switched_at = now
        self._sampled_at = -inf
        self._feedback: bool | None = None
        self._feedback_since = now
        self._diode_seen = False
        self._no_diode_since: float | None = None
        self._over_since: float | None = None
        self._tripped = self._leaks = False
        self._latched: dict[FaultKind, Fault] = {}
        self._broken: dict[str, Fault] = {}

    @property
    def pilot(self) -> PilotState:
        """The debounced state; what it was before while a fault or a waking pulse drives F."""
        return PilotState.F if self._welded else self._filter.state

    @property
    def connected(self) -> bool:
        """A vehicle is at the cable, as far as was last seen."""
        return self._filter.state in CONNECTED

    @property
    def closed(self) -> bool:
        """The mirror contact; without one what was ordered."""
        return self.orders.closed if self._feedback is None else self._feedback

    @property
    def confirmed_open(self) -> bool:
        """Ordered open and, where there is a mirror contact, seen open: a plug may be let go."""
        return not self.orders.closed and not self._feedback and FaultKind.WELDED not in self._latched

    @property
    def offer_a(self) -> float:
        """What is signalled; 0 with a steady pilot."""
        return self._offer_a

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything wrong right now."""
        return (*self._latched.values(), *self._broken.values())

    def drops(self, sample: PilotSample) -> bool:
        """True if a measurement alone forbids a closed contactor; safe to ask from any thread."""
        state = state_of(sample)
        return state is not None and not self._asks(state)

    def permit(self, current_a: float, now: float) -> None:
        """What the vehicle may draw; under 6 A is nothing (table A.8)."""
        self._wish_a = current_a if current_a >= AC_MINIMUM_A else 0.0
        self.tick(now)

    def sampled(self, sample: PilotSample, now: float) -> None:
        """The pilot was measured."""
        if now - self._sampled_at >= STALE_S:
            self._filter.measured(None, now)  # what was seen before the gap counts for nothing
        self._sampled_at = now
        self._broken.pop("silent", None)
        if self.orders.closed and self.drops(sample):
            self._open(now)
        if not self.orders.refuse:  # else it shows our own doing
            self._filter.measured(state_of(sample), now)
            self._look_for_diode(sample, now)
        self.tick(now)

    def fed_back(self, closed: bool | None, now: float) -> None:
        """The mirror contact was read; None where there is none."""
        if closed is not self._feedback:
            self._feedback, self._feedback_since = closed, now
        self.tick(now)

    def measured(self, current_a: float, now: float) -> None:
        """The highest phase current."""
        allowed_a = (self._offer_a + 0.5) * 1.1
        if self.orders.closed and self._offer_a and current_a > allowed_a:
            self._over_since = now if self._over_since is None else self._over_since
            if now - max(self._over_since, self._offer_changed_at) >= OVER_CURRENT_S:
                self._latch(
                    FaultKind.OVER_CURRENT, f"drew {current_a:.1f} A of {self._offer_a:.1f} A offered", now
                )
        else:
            self._over_since = None
        rested = not self.orders.closed and now - self._opened_at >= _LEAKS_AFTER_S
        self._leaks = rested and current_a > _LEAKS_A
        if self._leaks:
            self._latch(FaultKind.WELDED, f"{current_a:.1f} A flow through the open contactor", now)
        self.tick(now)

    def tripped(self, tripped: bool, now: float) -> None:
        """The line of the residual current detection was read."""
        self._tripped = tripped
        if tripped:
            self._latch(FaultKind.GROUND, "residual current detection tripped", now)
        self.tick(now)

    def broke(self, part: str, info: str, now: float) -> None:
        """A part of the board does not answer or does not obey."""
        kind = FaultKind.LOCK if part == "lock" else FaultKind.COMMUNICATION
        self._broken[part] = Fault(kind, info=f"{part}: {info}")
        self.tick(now)

    def works(self, part: str, now: float) -> None:
        """A part of the board does what it should again."""
        if self._broken.pop(part, None) is not None:
            self.tick(now)

    def shut_down(self, now: float) -> None:
        """Open for good, without waiting for the vehicle."""
        self.shut = True
        self.tick(now)

    def tick(self, now: float) -> None:
        """Bring faults and orders in line with what is known by now."""
        self._find_faults(now)
        if self.orders.closed and self.must_open(now) is not None:
            self._open(now)
        self._wake(now)
        self._offer(now)
        if not self.orders.closed and self.may_close(now) is None:
            self.orders = replace(self.orders, closed=True)
            self._switched_at = now

    def may_close(self, now: float) -> str | None:
        """Why the contactor may not close now, None if it may: every interlock, here and nowhere else."""
        asking_since = self._filter.asking_since
        for forbids, why in (
            (self.shut, "shut down"),
            (self._blocked, "a fault"),
            (self._offer_a < AC_MINIMUM_A, "no current is offered"),
            (self.orders.refuse, "the pilot refuses"),
            (not self._asks(self._filter.state), "the vehicle does not ask"),
            (asking_since is None or now - asking_since < ASKING_S, "the vehicle asks too briefly"),
            (not self._diode_seen, "the vehicle's diode was not seen"),
            (self._no_diode_since is not None, "the vehicle's diode is missing"),
            (now - self._sampled_at >= STALE_S, "the pilot is not measured"),
            (bool(self._feedback), "the mirror contact says closed"),
            (self._tripped, "the residual current detection tripped"),
            (now - self._opened_at < REST_S, "the contactor rests"),
        ):
            if forbids:
                return why
        return None

    def must_open(self, now: float) -> str | None:
        """Why the closed contactor must open now, None if it may stay. Leaving C opens in `sampled`."""
        for demands, why in (
            (self.shut, "shut down"),
            (self._blocked, "a fault"),
            (now - self._sampled_at >= STALE_S, "the pilot is not measured"),
            (self._stopping_until is not None and now >= self._stopping_until, "the vehicle did not stop"),
        ):
            if demands:
                return why
        return None

    @property
    def _blocked(self) -> bool:
        return bool(self._latched or self._broken)

    @property
    def _welded(self) -> bool:
        """The contactor is closed against its order, and that was said."""
        return bool(self._feedback) and FaultKind.WELDED in self._latched

    def _asks(self, state: PilotState) -> bool:
        return state is PilotState.C or (self._ventilated and state is PilotState.D)

    def _open(self, now: float) -> None:
        self.orders = replace(self.orders, closed=False)
        self._opened_at = self._switched_at = now
        self._stopping_until = self._over_since = None
        self._filter.asking_since = None

    def _look_for_diode(self, sample: PilotSample, now: float) -> None:
        """Only a running signal shows it; a moment of doubt is one not begun or a missed edge."""
        if self.orders.duty_percent is None or state_of(sample) not in CONNECTED:
            self._no_diode_since = None
        elif has_diode(sample):
            self._diode_seen, self._no_diode_since = True, None
        elif self._no_diode_since is None:
            self._no_diode_since = max(now, self._offer_began_at)
        elif now - self._no_diode_since >= _UNCLEAR_S:
            self._latch(FaultKind.PILOT, "the low side is not at -12 V: no diode or no signal", now, "diode")

    def _find_faults(self, now: float) -> None:
        self._judge_contactor(now)
        state, unclear_since = self._filter.state, self._filter.unclear_since
        if state is PilotState.D and not self._ventilated:
            self._latch(FaultKind.PILOT, "the vehicle asks for ventilation", now, "ventilation")
        self._while(
            "pilot",
            state in (PilotState.E, PilotState.F) and self._filter.settled,
            Fault(FaultKind.PILOT, info="the pilot is shorted", vendor_code="short"),
        )
        self._while(
            "voltage",
            unclear_since is not None and now - unclear_since >= _UNCLEAR_S,
            Fault(FaultKind.PILOT, info="the pilot's voltage means nothing", vendor_code="voltage"),
        )
        if now - max(self._sampled_at, self._started_at) >= SILENT_S:
            self._broken["silent"] = Fault(FaultKind.COMMUNICATION, info="board: the pilot is not measured")
        if state is PilotState.A and not (self._tripped or self._leaks or self._feedback):
            self._latched.clear()

    def _while(self, name: str, present: bool, fault: Fault) -> None:
        """A fault that is there as long as its cause."""
        if present:
            self._broken[name] = fault
        else:
            self._broken.pop(name, None)

    def _judge_contactor(self, now: float) -> None:
        """Coil and mirror contact must agree, and stay so."""
        if self._feedback is None or now - max(self._switched_at, self._feedback_since) < FOLLOWS_S:
            return
        if self.orders.closed and not self._feedback:
            self._latch(FaultKind.NOT_CLOSING, "the mirror contact says open", now)
        elif self._feedback and not self.orders.closed:
            self._latch(FaultKind.WELDED, "the mirror contact says closed", now)

    def _latch(self, kind: FaultKind, info: str, now: float, vendor_code: str = "") -> None:
        if kind not in self._latched:
            self._latched[kind] = Fault(kind, info=info, vendor_code=vendor_code)
            self._refused_until = max(self._refused_until, now + REFUSAL_S)

    def _wake(self, now: float) -> None:
        """A vehicle that was offered current and sleeps gets one pulse; one that charged before does not."""
        if not self._wish_a or not self.connected:
            self._asked = self._woken = False
        elif self._asks(self._filter.state):
            self._asked = True
        elif self._offer_a and not self._asked and not self._woken and not self.orders.closed:
            if now - self._offer_began_at < WAKE_AFTER_S:
                return
            self._woken = True
            self._refused_until = now + WAKE_S
            self._resting_until = self._refused_until + WAKE_HOLD_S

    def _offer(self, now: float) -> None:
        """What the pilot shows: less at once, more each 5 s, nothing without a vehicle or with a fault."""
        refuse = not self.shut and (self._welded or now < self._refused_until)
        silent = now - self._sampled_at >= STALE_S
        held = refuse or silent or now < self._resting_until or self._stopping_until is not None
        against_orders = bool(self._feedback) and not self.orders.closed
        held = held or self.shut or self._blocked or against_orders or not self.connected
        target_a = 0.0 if held else self._wish_a
        if not target_a:
            if self._offer_a and self.orders.closed:
                self._stopping_until = now + STOPPING_S
            self._diode_seen, self._no_diode_since = False, None
        elif not self._offer_a:
            self._offer_began_at = now
        elif target_a > self._offer_a and now - self._offer_changed_at < RAISE_S:
            target_a = self._offer_a
        if target_a != self._offer_a:
            self._offer_a, self._offer_changed_at = target_a, now
        duty = duty_percent(target_a)
        if (duty, refuse) != (self.orders.duty_percent, self.orders.refuse):
            self.orders = replace(self.orders, duty_percent=duty, refuse=refuse)
