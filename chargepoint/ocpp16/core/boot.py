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
DAY_S = 86_400.0

REGISTRATION = "registration"


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

    def time_corrected(self) -> None:
        """The station's UTC has moved by more than a second."""


class Boot:
    """BootNotification until accepted, then Heartbeats; the central system's time along the way."""

    __slots__ = (
        "_accepted_here",
        "_booting",
        "_configuration",
        "_due_at",
        "_identity",
        "_last_call_at",
        "_outbox",
        "_registrar",
        "_sent_at",
        "_store",
        "_time",
        "_timer",
        "_wait_s",
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
        self._accepted_here = False  # accepted on the present connection
        self._booting = False
        self._wait_s = RETRY_S
        self._due_at = 0.0  # no BootNotification before, on the station's clock
        self._sent_at = 0.0
        self._last_call_at = 0.0
        self._timer: Timer | None = None

    @property
    def accepted(self) -> bool:
        """Everything may be sent."""
        return self.registration is Registration.ACCEPTED

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
        self._cancel()

    def call_sent(self) -> None:
        """Something went out: the next Heartbeat can wait (OCPP 1.6 §4.6)."""
        self._last_call_at = self._time.clock.now()

    def boot_now(self) -> None:
        """Send BootNotification at once; a trigger asked for it."""
        self._cancel()
        self._send()

    def interval_changed(self) -> None:
        """HeartbeatInterval has a new value."""
        if self.accepted:
            self._heartbeat_later()

    def close(self) -> None:
        """Cancel the timer."""
        self._cancel()

    # --- BootNotification ---------------------------------------------------------------------------

    def _boot_when_due(self) -> None:
        self._cancel()
        if self._due_at <= self._time.clock.now():
            self._send()
        else:
            self._timer = self._time.clock.call_at(self._due_at, self._again)

    def _again(self) -> None:
        self._timer = None
        with self._outbox.turn:
            self._send()

    def _send(self) -> None:
        if self._booting:
            return
        self._booting = True
        self._sent_at = self._time.clock.now()
        self._outbox.send(
            "BootNotification", self._identity, self._answered, self._failed, unregistered=True, first=True
        )

    def _failed(self, error: CallFailed) -> None:
        """No answer, or none that makes sense: once more, an interval after the one that failed was sent."""
        self._booting = False
        if error.delivered:
            self._due_at = self._sent_at + self._wait_s
        if self._outbox.online:
            self._boot_when_due()

    def _answered(self, answer: dict[str, Any]) -> None:
        self._booting = False
        self._follow_time(answer["currentTime"], self._sent_at)
        before = self.registration
        self.registration = Registration(answer["status"])
        interval_s = int(answer["interval"])
        if self.registration is Registration.ACCEPTED:
            self._accepted_here = True
            if interval_s > 0:
                self._configuration.set_service("HeartbeatInterval", str(min(interval_s, 2**31 - 1)))
            self._store.put(REGISTRATION, "accepted", {"ever": True})
            self._heartbeat_later()
        else:
            self._wait_s = float(interval_s) if interval_s > 0 else self._own_wait_s(before)
            self._due_at = self._sent_at + self._wait_s
            self._boot_when_due()
        self._registrar.registered(self.registration, interval_s, before)

    def _own_wait_s(self, before: Registration) -> float:
        """Without an interval given: 60 s, growing to 300 s (OCPP 1.6 §4.2)."""
        return RETRY_S if before is Registration.UNREGISTERED else min(self._wait_s * 2, LONGEST_RETRY_S)

    # --- Heartbeat ----------------------------------------------------------------------------------

    def _heartbeat_later(self) -> None:
        self._cancel()
        interval_s = self._configuration.heartbeat_interval_s or DAY_S
        self._timer = self._time.clock.call_at(
            max(self._last_call_at, self._time.clock.now() - interval_s) + interval_s, self._heartbeat_due
        )

    def _heartbeat_due(self) -> None:
        """The timer is not moved by each CALL; it looks when it fires how long the line has been idle."""
        self._timer = None
        interval_s = self._configuration.heartbeat_interval_s or DAY_S
        with self._outbox.turn:
            if not self._outbox.online or not self.accepted:
                return
            if self._time.clock.now() >= self._last_call_at + interval_s - 0.001:
                self.heartbeat()
            self._heartbeat_later()

    def heartbeat(self) -> None:
        """Send a Heartbeat now."""
        sent_at = self._time.clock.now()
        self._last_call_at = sent_at
        self._outbox.send(
            "Heartbeat",
            {},
            lambda answer: self._follow_time(answer["currentTime"], sent_at),
            lambda error: None,
            unregistered=True,
        )

    def _follow_time(self, text: str, sent_at: float) -> None:
        """The central system's time, half the round trip added (OCPP 1.6 §4.6)."""
        utc = moment(text)
        if utc is not None and self._time.correct(utc + (self._time.clock.now() - sent_at) / 2):
            self._registrar.time_corrected()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
