"""Security events: told to the central system until it has them, and kept in the security log (A04)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, Protocol

from chargepoint.domain.connectors import Connectors
from chargepoint.domain.ports import Document, Store
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.security.log import SecurityLog
from chargepoint.ocpp16.times import format_time
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import INVALID_ANSWER, TIMEOUT, CallFailed
from hal.api import Timer

KIND = "security_event"
"""Under this kind the store keeps events that wait for delivery, by ascending number."""

MOST_WAITING = 1_000
KIND_LENGTH, TECH_INFO_LENGTH = 50, 255
LONGEST_WAIT_S = 3_600.0

UNKNOWN_TO_THEM = ("NotImplemented", "NotSupported")
"""What a central system without the security extension answers."""


class Rule(NamedTuple):
    """What the whitepaper says about an event; `sent`: its notification is required although not critical."""

    critical: bool
    sent: bool = False


EVENTS: Mapping[str, Rule] = MappingProxyType(
    {
        "FirmwareUpdated": Rule(critical=True),
        "FailedToAuthenticateAtCentralSystem": Rule(critical=False),
        "CentralSystemFailedToAuthenticate": Rule(critical=False),
        "SettingSystemTime": Rule(critical=True),
        "StartupOfTheDevice": Rule(critical=True),
        "ResetOrReboot": Rule(critical=True),
        "SecurityLogWasCleared": Rule(critical=True),
        "ReconfigurationOfSecurityParameters": Rule(critical=False),
        "MemoryExhaustion": Rule(critical=True),
        "InvalidMessages": Rule(critical=False),
        "AttemptedReplayAttacks": Rule(critical=False),
        "TamperDetectionActivated": Rule(critical=True),
        "InvalidFirmwareSignature": Rule(critical=False, sent=True),  # L01.FR.03
        "InvalidFirmwareSigningCertificate": Rule(critical=False, sent=True),  # L01.FR.02
        "InvalidCentralSystemCertificate": Rule(critical=False, sent=True),  # A00.FR.309
        "InvalidChargePointCertificate": Rule(critical=False, sent=True),  # A02.FR.07
        "InvalidTLSVersion": Rule(critical=False),
        "InvalidTLSCipherSuite": Rule(critical=False),
    }
)
"""Every event of the whitepaper's list, in its spelling."""

VENDORS_OWN = Rule(critical=False, sent=True)
"""An event that is not on the list: whoever thought of it wants it heard."""

SELDOM_S: Mapping[str, float] = MappingProxyType({"InvalidMessages": 600.0, "SettingSystemTime": 3_600.0})
"""Events that would come in floods: reported at once, then gathered for so many seconds."""


class Policy(Protocol):
    """What the operator decided."""

    @property
    def security_events(self) -> str:
        """`required`: what the whitepaper asks for is told; `all`: every event."""


class Host(Protocol):
    """What the events need of their station."""

    @property
    def accepted(self) -> bool:
        """The central system accepted this station."""

    @property
    def outbox(self) -> Outbox:
        """The way to it."""

    @property
    def turn(self) -> Turn:
        """Store and time."""

    @property
    def connectors(self) -> Connectors:
        """They know whether the station is going down."""

    @property
    def configuration(self) -> Configuration:
        """How often and whether to tell."""

    @property
    def compatibility(self) -> Policy:
        """Which events to tell."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""


@dataclass(frozen=True, slots=True)
class Event:
    """One that waits for delivery."""

    seq: int
    kind: str
    at: float
    tech_info: str

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.seq:09d}"

    @property
    def critical(self) -> bool:
        """It goes only where nothing else is left to go."""
        return EVENTS.get(self.kind, VENDORS_OWN).critical

    def document(self) -> Document:
        """What the store keeps."""
        return {"type": self.kind, "at": self.at, "tech_info": self.tech_info}

    def payload(self) -> Document:
        """SecurityEventNotification.req."""
        payload: Document = {"type": self.kind, "timestamp": format_time(self.at)}
        return payload | {"techInfo": self.tech_info} if self.tech_info else payload


@dataclass(slots=True)
class Gathered:
    """What came of one kind since it was reported last."""

    timer: Timer
    count: int = 0
    tech_info: str = ""


class SecurityEvents:
    """What happened, what of it waits for the central system, and its delivery: in order, one at a time.

    Delivery goes behind statuses and transaction records and never holds them up. `start` is the number of
    this start of the station.
    """

    __slots__ = (
        "_gathered",
        "_host",
        "_recalled",
        "_resting",
        "_sending",
        "_seq",
        "_timer",
        "_tries",
        "_waiting",
        "log",
    )

    def __init__(self, host: Host, store: Store, start: int) -> None:
        self._host = host
        self.log = SecurityLog(store, start)
        waiting = [
            Event(int(key), document["type"], document["at"], document["tech_info"])
            for key, document in store.items(KIND)
        ]
        self._waiting: list[Event] | None = waiting or None
        self._recalled = self._seq = waiting[-1].seq if waiting else 0  # the newest from before this start
        self._sending: Event | None = None
        self._tries = 0  # how often the next one failed
        self._timer: Timer | None = None  # until it is tried again
        self._resting = False  # nothing is tried again before the next boot
        self._gathered: dict[str, Gathered] | None = None

    @property
    def waiting(self) -> int:
        """How many the central system has still to be told."""
        return len(self._waiting or ())

    # --- what happens -------------------------------------------------------------------------------

    def report(self, kind: str, tech_info: str = "") -> None:
        """Something happened that security has an interest in; call it inside a turn.

        `kind` is one of the list of the whitepaper in its spelling, or a vendor's own (50 characters);
        `tech_info` is cut to 255 and never holds a secret.
        """
        if self._is_gathered(kind, tech_info):
            return
        at = self._host.turn.time.utc()
        kind, tech_info = kind[:KIND_LENGTH], tech_info[:TECH_INFO_LENGTH]
        self.log.append(at, kind, tech_info)
        if self._told_of(kind):
            self._keep(kind, at, tech_info)
            self.pump()

    def started(self) -> None:
        """The software of the station begins; the reason is known if it ended in good order."""
        last = self.log.newest
        why = f"after {last[2]}" if last is not None and last[1] == "ResetOrReboot" and last[2] else ""
        self.report("StartupOfTheDevice", why)

    def store_recovered(self) -> None:
        """The store was found damaged; call it before `started`."""
        if not self.log.whole:
            self.report("SecurityLogWasCleared", "the store was damaged, entries are lost")

    def time_corrected(self, by_s: float, first: bool) -> None:
        """UTC has moved; `first`: all that happened since this start was told in a guessed time."""
        if first:
            self.log.shift(by_s)
            for event in [e for e in self._waiting or () if e.seq > self._recalled]:
                self._replace(event, replace(event, at=event.at + by_s))
        self.report("SettingSystemTime", f"by {by_s:+.1f} s")

    def _told_of(self, kind: str) -> bool:
        rule = EVENTS.get(kind, VENDORS_OWN)
        wanted = rule.critical or rule.sent or self._host.compatibility.security_events == "all"
        return wanted and not self._host.configuration.security_events_disabled

    def _is_gathered(self, kind: str, tech_info: str) -> bool:
        """True if this one only counts, for a report later on."""
        seldom_s = SELDOM_S.get(kind)
        if seldom_s is None:
            return False
        if self._gathered is None:
            self._gathered = {}
        gathered = self._gathered.get(kind)
        if gathered is None:
            timer = self._host.turn.time.after(seldom_s, lambda: self._gathered_enough(kind))
            self._gathered[kind] = Gathered(timer)
            return False
        gathered.count += 1
        gathered.tech_info = tech_info
        return True

    def _gathered_enough(self, kind: str) -> None:
        assert self._gathered is not None
        gathered = self._gathered.pop(kind)
        if gathered.count:
            with self._host.turn:
                self.report(kind, f"{gathered.count} more, the last one: {gathered.tech_info}")

    # --- what waits ---------------------------------------------------------------------------------

    def _keep(self, kind: str, at: float, tech_info: str) -> None:
        if self.waiting >= MOST_WAITING:
            self._make_room()
        self._seq += 1
        event = Event(self._seq, kind, at, tech_info)
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(event)
        self._host.turn.store.put(KIND, event.key, event.document())

    def _make_room(self) -> None:
        """Leave out a tenth, the oldest of those that are not critical first, and report that too."""
        assert self._waiting is not None
        candidates = sorted(
            (event for event in self._waiting if event is not self._sending),
            key=lambda event: (event.critical, event.seq),
        )
        dropped = candidates[: MOST_WAITING // 10]
        for event in dropped:
            self._remove(event)
        message = f"too many security events wait: {len(dropped)} were left out"
        self._host.complain(message)
        self.report("MemoryExhaustion", message)

    def _remove(self, event: Event) -> None:
        left = [waiting for waiting in self._waiting or () if waiting.seq != event.seq]
        self._waiting = left or None
        self._host.turn.store.delete(KIND, event.key)

    def _replace(self, event: Event, by: Event) -> None:
        assert self._waiting is not None
        self._waiting[self._waiting.index(event)] = by
        self._host.turn.store.put(KIND, by.key, by.document())

    # --- delivery -----------------------------------------------------------------------------------

    def registered(self) -> None:
        """The central system accepted a BootNotification: it may know security events now."""
        self._resting = False
        self.link_up()

    def link_up(self) -> None:
        """A new connection: what waited for its next attempt goes at once."""
        self._forget_timer()
        self._tries = 0
        self.pump()

    def pump(self) -> None:
        """Hand over the next event if it may go now."""
        host = self._host
        if self._waiting is None or self._sending or self._resting or self._timer:
            return
        if not (host.accepted and host.outbox.online) or host.connectors.going_down:
            return
        if host.configuration.security_events_disabled:
            return
        event = self._sending = self._waiting[0]
        host.outbox.send(
            "SecurityEventNotification",
            event.payload(),
            lambda answer: self._delivered(event),
            lambda error: self._refused(event, error),
            patient=True,
        )

    def _delivered(self, event: Event) -> None:
        self._sending = None
        self._tries = 0
        self._remove(event)
        self.pump()

    def _refused(self, event: Event, error: CallFailed) -> None:
        """What did not reach the other side waits for the next connection, the rest for its turn."""
        if error.code == INVALID_ANSWER:  # it answered, and its answer has no content that matters
            self._delivered(event)
            return
        self._sending = None
        if not error.delivered:
            return
        self._tries += 1
        if error.code in UNKNOWN_TO_THEM:
            self._resting = True
        elif error.code != TIMEOUT and self._tries >= max(self._host.configuration.attempts, 1):
            self._resting = True
            self._host.complain(f"security events wait for the next boot: {error}"[:500])
        else:
            wait_s = float(self._host.configuration.retry_interval_s)
            if error.code == TIMEOUT:  # the line belongs to others for as long as this one took it
                wait_s = max(wait_s, self._host.configuration.message_timeout_s)
            wait_s = min(wait_s * self._tries, LONGEST_WAIT_S)
            self._timer = self._host.turn.time.after(wait_s, self._again)

    def _again(self) -> None:
        self._timer = None
        with self._host.turn:
            self.pump()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Cancel the timers."""
        self._forget_timer()
        for gathered in (self._gathered or {}).values():
            gathered.timer.cancel()
