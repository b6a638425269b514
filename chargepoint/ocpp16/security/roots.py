"""Root certificates: the central system installs, lists and deletes them.

Whitepaper "Improved security for OCPP 1.6-J", edition 3: M03 to M05.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocpp.v16 import call, call_result
from ocpp.v16.enums import CertificateStatus, DeleteCertificateStatus, GetInstalledCertificateStatus

from chargepoint.domain.outside import Certificate, CertificateError, HashData
from chargepoint.ocpp16.security.host import Host, kept, require_usable
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM
from chargepoint.rpc.session import Later


class RootCertificates:
    """The handlers of InstallCertificate, GetInstalledCertificateIds and DeleteCertificate."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def on_install_certificate(
        self, request: call.InstallCertificate
    ) -> call_result.InstallCertificate | Later:
        """Add a root certificate (M05); the same again changes nothing."""
        use, vault = str(request.certificate_type), self._host.vault
        try:
            root = self._root(request.certificate)
            replacing = self._replaces(use, root)
        except CertificateError as error:
            if use == CENTRAL_SYSTEM:
                self._host.security_events.report("InvalidCentralSystemCertificate", str(error))
            return call_result.InstallCertificate(status=CertificateStatus.rejected)
        current = vault.current(use)
        if root in current:
            return call_result.InstallCertificate(status=CertificateStatus.accepted)
        staying = vault.count() - (len(current) if replacing else 0)
        if staying >= self._host.configuration.integer("CertificateStoreMaxLength"):
            return call_result.InstallCertificate(status=CertificateStatus.rejected)
        return kept(
            self._host,
            vault.install(use, root, replacing),
            call_result.InstallCertificate(status=CertificateStatus.accepted),
            call_result.InstallCertificate(status=CertificateStatus.failed),
            changed=use == CENTRAL_SYSTEM,
        )

    def _root(self, pem: str) -> Certificate:
        """The one certificate in a text; raises `CertificateError` if it is of no use as a root."""
        root, *more = self._host.outside.key_store.chain(pem)
        if more:
            raise CertificateError("more than one certificate; a root is installed alone")
        require_usable(root, self._host.time.utc())
        if root.issuer == root.subject and not self._host.outside.key_store.signed_by(root, root):
            raise CertificateError(f"{root.subject} did not sign itself")
        if self._host.compatibility.require_ca_certificates and not root.authority:
            raise CertificateError(f"{root.subject} is no certificate authority")
        return root

    def _replaces(self, use: str, root: Certificate) -> bool:
        """AdditionalRootCertificateCheck: the new root takes the place of the one that signed it.

        Raises `CertificateError` if none did; the first of all needs no signature.
        """
        current = self._host.vault.current(use)
        additional = self._host.configuration.boolean("AdditionalRootCertificateCheck")
        if use != CENTRAL_SYSTEM or not additional or not current or root in current:
            return False
        if not any(self._host.outside.key_store.signed_by(root, old) for old in current):
            raise CertificateError(f"{root.subject} is not signed by the installed root certificate")
        return True

    def on_get_installed_certificate_ids(
        self, request: call.GetInstalledCertificateIds
    ) -> call_result.GetInstalledCertificateIds:
        """Name every root of one use (M03)."""
        vault = self._host.vault
        names = [vault.hash_data(root, "SHA256") for root in vault.roots(str(request.certificate_type))]
        if not names:
            return call_result.GetInstalledCertificateIds(status=GetInstalledCertificateStatus.not_found)
        return call_result.GetInstalledCertificateIds(
            status=GetInstalledCertificateStatus.accepted, certificate_hash_data=[*map(_to_wire, names)]
        )

    def on_delete_certificate(self, request: call.DeleteCertificate) -> call_result.DeleteCertificate | Later:
        """Remove a root (M04), unless the present connection stands on it.

        A certificate of the station's own is there, but cannot be deleted so.
        """
        vault, name = self._host.vault, _from_wire(request.certificate_hash_data)
        meant = vault.named(name)
        if not meant:
            failed = vault.names_own(name)
            status = DeleteCertificateStatus.failed if failed else DeleteCertificateStatus.not_found
            return call_result.DeleteCertificate(status=status)
        if any(use == CENTRAL_SYSTEM and root.fingerprint == vault.in_use for use, root in meant):
            return call_result.DeleteCertificate(status=DeleteCertificateStatus.failed)
        return kept(
            self._host,
            vault.delete(meant),
            call_result.DeleteCertificate(status=DeleteCertificateStatus.accepted),
            call_result.DeleteCertificate(status=DeleteCertificateStatus.failed),
            changed=any(use == CENTRAL_SYSTEM for use, _ in meant),
        )


def _to_wire(name: HashData) -> dict[str, str]:
    return {
        "hash_algorithm": name.algorithm,
        "issuer_name_hash": name.issuer_name_hash,
        "issuer_key_hash": name.issuer_key_hash,
        "serial_number": name.serial_number,
    }


def _from_wire(data: Mapping[str, Any]) -> HashData:
    """As others write it: in capitals, with leading zeros."""
    return HashData(
        data["hash_algorithm"],
        data["issuer_name_hash"].lower(),
        data["issuer_key_hash"].lower(),
        data["serial_number"].lower().lstrip("0") or "0",
    )
