"""Certificates for tests: authorities of any kind, what they issue, and answers to real requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from chargepoint.certificates import KEY_STORE
from chargepoint.domain.outside import Certificate

DAY_S = 86_400.0
START = 1_767_225_600.0  # 2026-01-01T00:00:00Z, where the benches begin
SHA256 = hashes.SHA256()
SERIALS = count(0x1001)


def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(curve())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A new private key."""
    return rsa.generate_private_key(65537, bits)


def key_pem(key: Any) -> str:
    """A private key without a password."""
    return str(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


def name(common_name: str, organisation: str | None = None) -> x509.Name:
    """A subject."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


class Issuer:
    """A certificate and its key, and what they sign; a root unless `by` another issuer.

    `days` are counted from `START`. `ca` None: without basic constraints.
    """

    def __init__(
        self,
        common_name: str = "Root",
        by: Issuer | None = None,
        *,
        key: Any = None,
        days: tuple[float, float] = (-10, 3650),
        ca: bool | None = True,
        serial: int | None = None,
        digest: Any = SHA256,
        padding: Any = None,
        public_key: Any = None,
        subject: x509.Name | None = None,
    ) -> None:
        self.key: Any = ec_key() if key is None else key
        self.subject = name(common_name) if subject is None else subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(by.subject if by else self.subject)
            .public_key(self.key.public_key() if public_key is None else public_key)
            .serial_number(next(SERIALS) if serial is None else serial)
            .not_valid_before(moment(days[0]))
            .not_valid_after(moment(days[1]))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        signer = by.key if by else self.key
        options = {} if padding is None else {"rsa_padding": padding}
        signed = builder.sign(signer, digest, **options)
        self.pem = signed.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def certificate(self) -> Certificate:
        """As the key store reads it."""
        return KEY_STORE.chain(self.pem)[0]

    def answer(self, request: str, **options: Any) -> str:
        """The certificate for a request (PKCS#10), leaf only."""
        csr = x509.load_pem_x509_csr(request.encode())
        assert csr.is_signature_valid
        options = {"days": (-1, 365), "ca": None, **options}
        return Issuer("", self, public_key=csr.public_key(), subject=csr.subject, **options).pem


def moment(days: float) -> datetime:
    """So many days after the benches begin."""
    return datetime.fromtimestamp(START, UTC) + timedelta(days=days)


def bundle(issuers: Sequence[Issuer]) -> str:
    """Several certificates in one text."""
    return "".join(issuer.pem for issuer in issuers)
