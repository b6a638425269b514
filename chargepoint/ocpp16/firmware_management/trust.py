"""Whose firmware is taken: the signing certificate, and firmware without any (whitepaper A00, L01)."""

from __future__ import annotations

from typing import Literal, Protocol

from chargepoint.domain.outside import Certificate, CertificateError, KeyStore
from chargepoint.ocpp16.configuration import Configuration


class Roots(Protocol):
    """Who keeps the installed root certificates."""

    def roots(self, use: str) -> list[Certificate]:
        """Those of one use."""


def signing_problem(
    pem: str, roots: list[Certificate], now: float, key_store: KeyStore, require_authority: bool
) -> str | None:
    """Why a certificate may not sign firmware; None if it may (L01.FR.02).

    It must be one of the manufacturer's roots or signed by one: nothing stands between them.
    """
    try:
        certificate = key_store.chain(pem)[0]
    except CertificateError as error:
        return str(error)
    if not certificate.strong:
        return "its key or its signature is too weak"
    if now < certificate.not_before:
        return "it is not valid yet"
    if now > certificate.not_after:
        return "it has expired"
    trusted = [root for root in roots if root.authority or not require_authority]
    if not key_store.chained([certificate], trusted):
        return "no installed ManufacturerRootCertificate stands behind it"
    return None


def unsigned_allowed(choice: Literal["by_profile", True, False], configuration: Configuration) -> bool:
    """Plain UpdateFirmware is served: by default without a security profile only (L01.FR.20)."""
    return security_profile(configuration) == 0 if choice == "by_profile" else choice


def security_profile(configuration: Configuration) -> int:
    """The security profile in force; 0 where nothing is said of it."""
    return int(configuration.get("SecurityProfile") or 0)
