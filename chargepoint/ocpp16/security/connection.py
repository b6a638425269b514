"""How the station proves who it is, and how that changes without locking it out (whitepaper A01, A05)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, Protocol

from chargepoint.domain.ports import Document, Store
from chargepoint.domain.time import StationTime
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM, Identification, Vault

KIND = "connection_security"
PROVEN, CANDIDATE = "proven", "candidate"
"""The kind and keys of its documents: what works and differs from the factory's, and what is tried."""

KEY, PROFILE = "AuthorizationKey", "SecurityProfile"
"""The configuration keys with rules of their own."""

FAILURES = 3
"""So often new settings fail before the old ones are tried again."""

GRACES = 10
"""For so many times the fall-back time a refused key takes turns with the one before."""

CHANGED = "ReconfigurationOfSecurityParameters"
FAILURE_EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "tls_version": "InvalidTLSVersion",
        "tls_cipher": "InvalidTLSCipherSuite",
        "tls_certificate": "InvalidCentralSystemCertificate",
        "client_certificate": "FailedToAuthenticateAtCentralSystem",
        "unauthorized": "FailedToAuthenticateAtCentralSystem",
    }
)
"""Which security event a failed attempt is (A00.FR.309, A00.FR.315, A00.FR.322)."""

UNREACHABLE = ("name", "refused", "timeout")
"""Failures that say nothing of certificates and passwords."""

Encoding = Literal["auto", "hex", "literal"]

_HEX = re.compile("(?:[0-9A-Fa-f]{2}){16,20}")
_DIGITS = re.compile("(?:[0-9A-Fa-f]{2})+")
_LITERAL = re.compile("[ -~]{16,40}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A security profile, and the AuthorizationKey of profiles 1 and 2 as it was written."""

    profile: int = 0
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Factory:
    """What stations made alike start with, and how long new settings are tried at least."""

    credentials: Credentials = Credentials()
    encoding: Encoding = "auto"
    fallback_s: float = 60.0


class Host(Protocol):
    """What it needs of its station."""

    @property
    def vault(self) -> Vault:
        """Roots and certificates."""

    @property
    def security_events(self) -> SecurityEvents:
        """Who hears of failures and changes."""

    @property
    def time(self) -> StationTime:
        """How long something is tried."""

    @property
    def online(self) -> bool:
        """There is a link."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""


@dataclass(slots=True)
class _Trial:
    """How new settings fare."""

    since: float
    failures: int = 0
    old_until: float | None = None  # the grace time of the key before, once the new one was refused often
    on_old: bool = False  # the next attempt is made with the old key


class ConnectionSecurity:
    """The two keys' owner: candidate and proven credentials, and the certificate that is shown.

    A change is a candidate until a BootNotification or Heartbeat was answered over it. A higher profile is
    given up after `FAILURES` failed attempts and the fall-back time, whichever is later; a refused key takes
    turns with the one before for a while, and whichever works stays. `due` asks for a new connection as soon
    as everything that was said is on the wire; `credentials` are those of the next attempt.
    """

    __slots__ = ("_factory", "_host", "_identity", "_own", "_store", "_told", "_trial", "due")

    def __init__(self, host: Host, identity: str, store: Store, factory: Factory) -> None:
        self._host = host
        self._identity = identity
        self._store = store
        self._factory = factory
        self._told: set[str] | None = None  # failures of the present series that were told
        self._own = 0  # which of the own certificates is shown, the newest being 0
        self._trial: _Trial | None = None
        self.due = False
        if store.get(KIND, CANDIDATE) is not None:
            self._trial = _Trial(host.time.clock.now())

    # --- what is in force ---------------------------------------------------------------------------

    @property
    def proven(self) -> Credentials:
        """What worked last, or what the factory says."""
        document = self._store.get(KIND, PROVEN)
        return replace(self._factory.credentials, **document) if document else self._factory.credentials

    @property
    def credentials(self) -> Credentials:
        """What the next attempt is made with."""
        on_old = self._trial is not None and self._trial.on_old
        return self.proven if on_old else self._newest

    @property
    def _newest(self) -> Credentials:
        document = self._store.get(KIND, CANDIDATE)
        return Credentials(document["profile"], document["key"]) if document else self.proven

    @property
    def on_trial(self) -> bool:
        """What is in force has yet to prove itself."""
        return self._trial is not None

    def identification(self) -> Identification | None:
        """The own certificate to show; an older valid one while the newest is refused."""
        found = self._host.vault.identifications()
        return found[self._own % len(found)] if found else None

    # --- the keys -----------------------------------------------------------------------------------

    def text(self, name: str) -> str | None:
        """The value to report; the key is never shown."""
        return str(self._newest.profile) if name == PROFILE else None

    def change(self, name: str, text: str) -> bool:
        """The central system changes one of the keys; False: it is refused, and nothing has changed."""
        if self._trial is not None and self._host.online and not self.due:
            self._works()  # who gives orders over this connection has accepted it
        now = self._newest
        if name == KEY:
            if not self._is_key(text):
                return False
            if now.profile in (1, 2):
                self._try(Credentials(now.profile, text))
            else:
                self._keep(replace(now, key=text))
        else:
            if not text.isascii() or not text.isdigit() or not self._may_rise(now, text):
                return False
            self._try(Credentials(int(text), now.key))
        self._host.security_events.report(CHANGED, name)
        return True

    def set_service(self, name: str, text: str) -> str | None:
        """Local service changes one of the keys, a lower profile included; what is wrong with it, if so."""
        now = self._newest
        if name == KEY:
            if not text or (self._factory.encoding == "hex" and not _DIGITS.fullmatch(text)):
                return "must be a password of one character or more, in the configured encoding"
            new = replace(now, key=text)
        else:
            if text not in ("0", "1", "2", "3"):
                return "must be 0, 1, 2 or 3"
            new = replace(now, profile=int(text))
            if new.profile in (1, 2) and new.key is None:
                return "needs an AuthorizationKey; set that first"
        self._store.delete(KIND, CANDIDATE)
        self._trial = None
        self._keep(new)
        self.due = True
        self._host.security_events.report(CHANGED, name)
        return None

    def _is_key(self, text: str) -> bool:
        """16 to 20 bytes as hexadecimal digits, or 16 to 40 printable characters (A01)."""
        return bool((_HEX if self._factory.encoding == "hex" else _LITERAL).fullmatch(text))

    def _may_rise(self, now: Credentials, text: str) -> bool:
        """The table of A05: never down, and only to what the station has the means for."""
        profile, vault = int(text), self._host.vault
        if not now.profile < profile <= 3:
            return False
        if profile in (1, 2) and (now.key is None or ":" in self._identity):  # RFC 7617: it ends the name
            return False
        if profile >= 2 and not vault.current(CENTRAL_SYSTEM):
            return False
        return profile < 3 or vault.own() is not None

    def certificates_changed(self) -> None:
        """Others are installed: a connection that uses them is made anew."""
        self._own = 0
        self._host.security_events.report(CHANGED, "certificates")
        if self._newest.profile >= 2:
            self.due = True

    # --- how connections fare -----------------------------------------------------------------------

    def answered(self) -> None:
        """A BootNotification or Heartbeat was answered: what this connection was made with works."""
        if not self.due:
            self._told = None
            self._works()
            if self.credentials.profile >= 2:
                self._host.vault.proven()

    def failed(self, kind: str, why: str) -> None:
        """An attempt failed, or a connection on trial ended without an answer; the next one is planned."""
        event = FAILURE_EVENTS.get(kind)
        if event is not None and event not in (self._told or ()):
            self._told = {event} | (self._told or set())
            self._host.security_events.report(event, why)
        if self.credentials.profile == 3 and kind not in UNREACHABLE:
            self._own += 1
        if self._trial is None:
            return
        if self._newest.profile == self.proven.profile:
            self._key_failed(self._trial, kind)
        else:
            self._profile_failed(self._trial)

    def _profile_failed(self, trial: _Trial) -> None:
        trial.failures += 1
        waited_s = self._host.time.clock.now() - trial.since
        if trial.failures < FAILURES or waited_s < self._factory.fallback_s:
            return
        given_up, back = self._newest.profile, self.proven.profile
        self._drop_candidate()
        what = f"security profile {given_up} does not work: back to {back}"
        self._host.security_events.report(CHANGED, what)
        self._host.complain(what)

    def _key_failed(self, trial: _Trial, kind: str) -> None:
        """Only a refusal says that the central system may not have the new key."""
        if kind in UNREACHABLE:
            return
        trial.failures += 1
        now = self._host.time.clock.now()
        if trial.failures >= FAILURES and trial.old_until is None:
            trial.old_until = now + GRACES * self._factory.fallback_s
        trial.on_old = trial.old_until is not None and now < trial.old_until and not trial.on_old

    def _works(self) -> None:
        if self._trial is None:
            return
        if self._trial.on_old:
            what = "the central system takes the old AuthorizationKey only: it stays in force"
            self._host.complain(what)
            self._host.security_events.report(CHANGED, what)
        else:
            self._keep(self._newest)
        self._drop_candidate()

    # --- the store ----------------------------------------------------------------------------------

    def _try(self, candidate: Credentials) -> None:
        self._store.put(KIND, CANDIDATE, {"profile": candidate.profile, "key": candidate.key})
        self._trial = _Trial(self._host.time.clock.now())
        self.due = True

    def _drop_candidate(self) -> None:
        self._store.delete(KIND, CANDIDATE)
        self._trial = None

    def _keep(self, credentials: Credentials) -> None:
        """Store what differs: the rest follows the configuration file."""
        before = self.proven
        changed: Document = {}
        if credentials.profile != before.profile:
            changed["profile"] = credentials.profile
        if credentials.key != before.key:
            changed["key"] = credentials.key
        if changed:
            self._store.put(KIND, PROVEN, (self._store.get(KIND, PROVEN) or {}) | changed)
