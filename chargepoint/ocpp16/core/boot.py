"""Boot and registration: who we are, whether we are wanted, what time it is (OCPP 1.6 §4.2, §4.6)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from chargepoint.domain.ports import Store
from chargepoint.domain.time import StationTime
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.messages import moment
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import CallFailed
from hal.api import Timer

RETRY_S = 60.0
LONGEST_RETRY_S = 300.0
LONGEST_INTERVAL_S = 2**31 - 1
DAY_S = 86_400.0
CREDIBLE = range(0, 32_503_680_000)  # 1970 to 2999: what a central system says beyond is not the time

REGISTRATION = "registration"

_EVER = {"ever": True}  # one for all stations


class Registration(StrEnum):
    """Where this start of the station stands with the central system."""

    UNREGISTERED = "Unregistered"
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


class Registrar(Protocol):
    """Who lives with the outcome."""

    def registered(self, registration: Registration, interval_s: int, before: Registration) -> None:
        """The central system answered a BootNotification."""

    def boot_failed(self, error: CallFailed) -> None:
        """A BootNotification was not answered as it should be."""

    def heartbeat_answered(self) -> None:
        """The central system is there and answers."""

    def time_corrected(self, by_s: float, first: bool) -> None:
        """The station's UTC has moved by more than a second; `first`: until now it was only a guess."""


class Boot:
    """BootNotification until accepted, then Heartbeats; the central system's time along the way."""

    __slots__ = (
        "_accepted_here",
        "_boot_timer",
        "_booting",
        "_configuration",
        "_due_at",
        "_heartbeat_timer",
        "_identity",
        "_last_call_at",
        "_outbox",
        "_own_wait_s",
        "_registrar",
        "_sent_at",
        "_store",
        "_time",
        "_time_known",
        "_wait_s",
        "accepted",
        "registration",
    )

    def __init__(
        self,
        identity: dict[str, str],
        time: StationTime,
        outbox: Outbox,
        configuration: Configuration,
        store: Store,
        registrar: Registrar,
    ) -> None:
        self._identity = identity  # the payload of BootNotification.req
        self._time = time
        self._outbox = outbox
        self._configuration = configuration
        self._store = store
        self._registrar = registrar
        self.registration = Registration.UNREGISTERED
        self.accepted = False  # it is Registration.ACCEPTED: everything may be sent
        self._accepted_here = False  # accepted on the present connection
        self._booting = False
        self._wait_s = RETRY_S  # after a BootNotification without an answer
        self._own_wait_s = RETRY_S  # after one that was answered without an interval
        self._due_at = 0.0  # no BootNotification before, on the station's clock
        self._last_call_at = 0.0  # or when the newest one that waits for the line was due
        self._sent_at = 0.0  # when the CALL went out that is being answered
        self._time_known = False  # the central system said what time it is
        self._boot_timer: Timer | None = None
        self._heartbeat_timer: Timer | None = None

    @property
    def identity(self) -> dict[str, str]:
        """Who we are: the payload of BootNotification.req."""
        return self._identity

    @property
    def accepted_here(self) -> bool:
        """The BootNotification was accepted on the connection that still lasts."""
        return self._accepted_here

    # --- events -------------------------------------------------------------------------------------

    def link_up(self) -> None:
        """Connected: boot unless already accepted since power-up (OCPP-J 1.6 §5.4)."""
        self._last_call_at = self._time.clock.now()
        if self.accepted:
            self._heartbeat_later()
        else:
            self._boot_when_due()

    def link_down(self) -> None:
        """Nothing to ask until the next connection."""
        self._accepted_here = False
        self._booting = False
        self.close()

    def call_sent(self) -> None:
        """Something went out: the next Heartbeat can wait (OCPP 1.6 §4.6)."""
        self._last_call_at = self._sent_at = self._time.clock.now()

    def boot_now(self) -> None:
        """Send BootNotification at once; a trigger asked for it."""
        self._forget_boot()
        self._send()

    def interval_changed(self) -> None:
        """HeartbeatInterval has a new value."""
        if self.accepted and self._outbox.online:
            self._heartbeat_later()

    def close(self) -> None:
        """Cancel the timers."""
        self._forget_boot()
        self._forget_heartbeat()

    # --- BootNotification ---------------------------------------------------------------------------

    def _boot_when_due(self) -> None:
        self._forget_boot()
        if self._due_at <= self._time.clock.now():
            self._send()
        else:
            self._boot_timer = self._time.clock.call_at(self._due_at, self._again)

    def _again(self) -> None:
        self._boot_timer = None
        with self._outbox.turn:
            self._send()

    def _send(self) -> None:
        if self._booting:
            return
        self._booting = True
        self._last_call_at = self._time.clock.now()
        self._outbox.send(
            "BootNotification", self._identity, self._answered, self._failed, unregistered=True, first=True
        )

    def _failed(self, error: CallFailed) -> None:
        self._booting = False
        self._registrar.boot_failed(error)
        if error.delivered:
            self._due_at = self._last_call_at + self._wait_s
        if self._outbox.online:
            self._boot_when_due()

    def _answered(self, answer: dict[str, Any]) -> None:
        self._booting = False
        self._follow_time(answer["currentTime"])
        before = self.registration
        self.registration = Registration(answer["status"])
        interval_s = min(int(answer["interval"]), LONGEST_INTERVAL_S)
        self.accepted = self._accepted_here = self.registration is Registration.ACCEPTED
        if self.accepted:
            self._forget_heartbeat()
            if interval_s > 0:  # a value that is new sets the timer, too
                self._configuration.set_service("HeartbeatInterval", str(interval_s))
            self._store.put(REGISTRATION, "accepted", _EVER)
            if self._heartbeat_timer is None:
                self._heartbeat_later()
        else:
            self._forget_heartbeat()
            self._due_at = self._sent_at + self._next_wait_s(interval_s)
            self._boot_when_due()
        self._registrar.registered(self.registration, interval_s, before)

    def _next_wait_s(self, interval_s: int) -> float:
        """The interval, or without one 60 s, growing to 300 s (OCPP 1.6 §4.2)."""
        if interval_s > 0:
            self._wait_s = float(interval_s)
            self._own_wait_s = RETRY_S
            return self._wait_s
        wait_s, self._own_wait_s = self._own_wait_s, min(self._own_wait_s * 2, LONGEST_RETRY_S)
        return wait_s

    def _forget_boot(self) -> None:
        if self._boot_timer is not None:
            self._boot_timer.cancel()
            self._boot_timer = None

    # --- Heartbeat ----------------------------------------------------------------------------------

    def _heartbeat_later(self) -> None:
        self._forget_heartbeat()
        interval_s = self._configuration.heartbeat_interval_s or DAY_S
        self._heartbeat_timer = self._time.clock.call_at(
            max(self._last_call_at + interval_s, self._time.clock.now()), self._heartbeat_due
        )

    def _heartbeat_due(self) -> None:
        """The timer is not moved by each CALL; it looks when it fires how long the line has been idle."""
        self._heartbeat_timer = None
        interval_s = self._configuration.heartbeat_interval_s or DAY_S
        with self._outbox.turn:
            if self._time.clock.now() >= self._last_call_at + interval_s:
                self._last_call_at = self._time.clock.now()
                self.heartbeat()
            self._heartbeat_later()

    def _forget_heartbeat(self) -> None:
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
            self._heartbeat_timer = None

    def heartbeat(self) -> None:
        """Send a Heartbeat as soon as the line is free; one that still waits for it will do."""
        if not self._outbox.waits("Heartbeat"):
            self._outbox.send("Heartbeat", {}, self._beaten, lambda error: None, unregistered=True)

    def _beaten(self, answer: dict[str, Any]) -> None:
        self._follow_time(answer["currentTime"])
        self._registrar.heartbeat_answered()

    # --- time ---------------------------------------------------------------------------------------

    def _follow_time(self, text: str) -> None:
        """The central system's time, half the round trip added (OCPP 1.6 §4.6)."""
        utc = moment(text)
        if utc is None or int(utc) not in CREDIBLE:
            return
        before_s = self._time.offset_s
        if self._time.correct(utc + (self._time.clock.now() - self._sent_at) / 2):
            self._registrar.time_corrected(self._time.offset_s - before_s, not self._time_known)
        self._time_known = True
