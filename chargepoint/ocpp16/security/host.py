"""What the handlers of certificates have in common: their station, and when they may answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from chargepoint.domain.outside import Certificate, CertificateError, Outside
from chargepoint.domain.time import StationTime
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.security.vault import Undo, Vault
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import Later


class Host(Protocol):
    """What certificates need of their station."""

    @property
    def vault(self) -> Vault:
        """Where they lie."""

    @property
    def outside(self) -> Outside:
        """Its key store."""

    @property
    def security_events(self) -> SecurityEvents:
        """What is told of bad ones."""

    @property
    def outbox(self) -> Outbox:
        """The way to the central system."""

    @property
    def turn(self) -> Turn:
        """What a handler does is stored at its end."""

    @property
    def time(self) -> StationTime:
        """What is valid now."""

    @property
    def configuration(self) -> Configuration:
        """The limits, and the name of the operator."""

    @property
    def compatibility(self) -> Compatibility:
        """The operator's choices."""

    @property
    def accepted(self) -> bool:
        """The central system accepted this station."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""


def require_usable(certificate: Certificate, now: float) -> None:
    """Raise `CertificateError` for what has expired or is weak (whitepaper A00); not valid yet is fine."""
    if certificate.not_after <= now:
        raise CertificateError(f"{certificate.subject} has expired")
    if not certificate.strong:
        raise CertificateError(f"{certificate.subject} has a weak key or signature")


def kept(
    host: Host, undo: Undo, kept: Any, lost: Any, *, changed: bool, then: Callable[[], None] | None = None
) -> Later:
    """Answer once it is known whether the store could keep a change; if not, it never was.

    `then` is called if it could; `changed` says that a new connection should be made behind the answer.
    """
    later, turn = Later(), host.turn

    def answer() -> None:
        if not turn.stored:
            undo()
            later.answer(lost)
            return
        later.answer(kept)
        if then is not None:
            then()
        if changed:  # the connection may end by this: not before the answer is gone
            turn.answer(lambda: host.vault.changed())

    turn.answer(answer)
    return later
