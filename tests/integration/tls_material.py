"""Certificates for tests: an authority made on the spot, and what it issues."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, as PEM files."""

    cert: str
    key: str


class Authority:
    """A root that issues certificates into `folder`."""

    def __init__(self, folder: Path, name: str = "Test Root") -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serial = 1000
        root = _builder(self._name, self._name, self._key, days=(-1, 3650), serial=1)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.ca = _write(
            folder / f"{name.replace(' ', '-')}.pem", _pem(root.sign(self._key, hashes.SHA256()))
        )

    def issue(
        self,
        common_name: str,
        names: tuple[str, ...] = (),
        days: tuple[int, int] = (-1, 365),
        rsa_key: bool = False,
        key_password: bytes | None = None,
    ) -> Issued:
        """A certificate for `common_name` and the alternative `names`, valid from and until `days` from now.

        It has neither key identifiers nor key usage, as many that central systems use.
        """
        self._serial += 1
        key: PrivateKey = (
            rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
        )
        builder = _builder(_name(common_name), self._name, key, days, self._serial)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if key_password is not None:
            encryption = serialization.BestAvailableEncryption(key_password)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=encryption
        )
        stem = f"{self._serial}"
        return Issued(
            _write(self._folder / f"{stem}.cert.pem", _pem(certificate)),
            _write(self._folder / f"{stem}.key.pem", pem),
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, days: tuple[int, int], serial: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)
