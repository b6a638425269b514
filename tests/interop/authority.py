"""An authority in memory, valid at the time the stations of these tests live in."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

SINCE, UNTIL = datetime(2025, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


class Authority:
    """A root with a key; what it certifies is returned as PEM."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._certified(self._name, self._key.public_key(), authority=True)

    def _certified(self, subject: x509.Name, key: CertificatePublicKeyTypes, authority: bool = False) -> str:
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(SINCE)
            .not_valid_after(UNTIL)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def answer(self, csr: str) -> str:
        """The certificate a signing request asks for."""
        request = x509.load_pem_x509_csr(csr.encode())
        return self._certified(request.subject, request.public_key())

    def sign(self, content: bytes) -> tuple[str, str]:
        """A signing certificate and its signature of some firmware, in base64."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Firmware")])
        signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
        return self._certified(name, key.public_key()), base64.b64encode(signature).decode()
