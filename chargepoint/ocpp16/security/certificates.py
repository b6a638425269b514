"""The station's own certificate: asked for, issued by the central system, and renewed in time.

Whitepaper "Improved security for OCPP 1.6-J", edition 3: A02 and A03.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ocpp.v16 import call, call_result
from ocpp.v16.enums import CertificateSignedStatus

from chargepoint.domain.outside import Certificate, CertificateError
from chargepoint.domain.time import Moment
from chargepoint.ocpp16.security.host import Host, kept, require_usable
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM, MONTH_S
from chargepoint.rpc.session import LINK_LOST, NOT_SENT, TIMEOUT, CallFailed, Later
from hal.api import Timer

DAY_S = 86_400.0

ABOUT_S = 0.1
"""A timer may come this much before its moment."""


class Certificates:
    """The handler of CertificateSigned, the request before it, and the renewal.

    `plate` is the payload of BootNotification, for the serial number in requests. A timer exists only on a
    station that has a certificate.
    """

    __slots__ = ("_daily", "_host", "_identity", "_plate", "_unnamed", "_valid")

    def __init__(self, host: Host, plate: Mapping[str, str], identity: str) -> None:
        self._host = host
        self._plate = plate
        self._identity = identity
        self._daily: Timer | None = None
        self._valid: Moment | None = None  # when the next own certificate becomes valid
        self._unnamed = False  # it was told that CpoName is missing

    def start(self) -> None:
        """Look after the certificates the station has."""
        self._watch()

    def close(self) -> None:
        """Forget the timers."""
        if self._daily is not None:
            self._daily.cancel()
            self._daily = None
        if self._valid is not None:
            self._valid.cancel()
            self._valid = None

    # --- the station's own certificate --------------------------------------------------------------

    def sign(self) -> bool:
        """Ask for a certificate for a new key (A02); False without CpoName, or with one that is no name.

        A key that already waits for its certificate is given up, unless its request still waits for the line.
        """
        organisation = (self._host.configuration.text("CpoName") or "").strip()
        if not organisation:
            return False
        if self._host.outbox.waits("SignCertificate"):
            return True
        try:
            key_pem, request = self._host.outside.key_store.new_key(self._common_name(), organisation)
        except CertificateError as error:
            self._host.complain(str(error))
            return False
        self._host.vault.expect(key_pem)
        self._host.outbox.send(
            "SignCertificate",
            {"csr": request},
            partial(self._sign_answered, key_pem),
            partial(self._sign_failed, key_pem),
            unregistered=True,
        )
        return True

    def _common_name(self) -> str:
        """The serial number of the station, or what comes nearest (A00.FR.511)."""
        serial_numbers = (
            self._plate.get("chargePointSerialNumber"),
            self._plate.get("chargeBoxSerialNumber"),
        )
        return next(filter(None, serial_numbers), self._identity)

    def _sign_answered(self, key_pem: str, answer: dict[str, Any]) -> None:
        """Accepted: the certificate comes when it comes, and may have come already."""
        vault = self._host.vault
        if vault.pending != key_pem:
            return
        if answer["status"] == "Accepted":
            vault.expect(key_pem, promised=True)
        else:
            vault.expect_nothing()
            self._host.complain("the central system will not issue a certificate to this station")

    def _sign_failed(self, key_pem: str, error: CallFailed) -> None:
        """Without any answer the request may have arrived, and a certificate may still come."""
        if error.code in (TIMEOUT, LINK_LOST) or self._host.vault.pending != key_pem:
            return
        self._host.vault.expect_nothing()
        if error.code != NOT_SENT:
            self._host.complain(f"the request for a certificate failed: {error}"[:500])

    def on_certificate_signed(self, request: call.CertificateSigned) -> call_result.CertificateSigned | Later:
        """Take the certificate that was asked for (A02)."""
        key_pem = self._host.vault.pending
        try:
            chain = self._issued(request.certificate_chain, key_pem)
        except CertificateError as error:
            self._host.security_events.report("InvalidChargePointCertificate", str(error))
            return call_result.CertificateSigned(status=CertificateSignedStatus.rejected)
        assert key_pem is not None
        return kept(
            self._host,
            self._host.vault.accept(chain, key_pem),
            call_result.CertificateSigned(status=CertificateSignedStatus.accepted),
            call_result.CertificateSigned(status=CertificateSignedStatus.rejected),
            changed=chain[0].not_before <= self._host.time.utc(),
            then=self._watch,
        )

    def _issued(self, text: str, key_pem: str | None) -> list[Certificate]:
        """The chain in a text, leaf first; raises `CertificateError` if it is not what was asked for.

        One that is not valid yet is taken for later.
        """
        longest = self._host.configuration.integer("CertificateSignedMaxChainSize")
        if len(text) > longest:
            raise CertificateError(f"the chain has {len(text)} characters, {longest} are allowed")
        if key_pem is None:
            raise CertificateError("no certificate was asked for")
        key_store = self._host.outside.key_store
        chain = key_store.chain(text)
        if not key_store.belongs(chain[0], key_pem):
            raise CertificateError(f"{chain[0].subject} is not for the key of the last request")
        now = self._host.time.utc()
        for certificate in chain:
            require_usable(certificate, now)
        roots = [root for root in self._host.vault.roots(CENTRAL_SYSTEM) if root.not_after > now]
        if not key_store.chained(chain, roots):
            raise CertificateError(f"{chain[0].subject} does not lead to an installed root certificate")
        return chain

    # --- renewal ------------------------------------------------------------------------------------

    def registered(self) -> None:
        """The central system accepted this station: what is due may be asked for."""
        if self._daily is not None:  # there is a certificate
            self._renew()

    def _watch(self) -> None:
        """Set the timers for the certificates there are."""
        if self._valid is not None:
            self._valid.cancel()
            self._valid = None
        if self._host.vault.newest() is None:
            return
        if self._daily is None:
            self._daily = self._host.time.after(DAY_S, self._day_passed)
        at = self._host.vault.next_at()
        if at is not None:
            self._valid = self._host.time.at_utc(at + ABOUT_S, self._became_valid)

    def _became_valid(self) -> None:
        with self._host.turn:
            self._valid = None
            self._watch()
            self._host.vault.changed()

    def _day_passed(self) -> None:
        with self._host.turn:
            self._daily = self._host.time.after(DAY_S, self._day_passed)
            self._host.vault.tidy()
            self._renew()

    def _renew(self) -> None:
        """Ask for a new certificate a month before the own one expires (A03).

        Once the central system has promised one it is waited for.
        """
        vault = self._host.vault
        newest = vault.newest()
        if newest is None or newest.not_after - self._host.time.utc() > MONTH_S:
            return
        if vault.promised or not self._host.accepted:
            return
        if not self.sign() and not self._unnamed:
            self._unnamed = True
            self._host.complain(
                "the certificate of this station expires soon and no new one can be asked for: set CpoName"
            )
