"""The cryptography of the security extension: certificates, requests for them and signatures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from chargepoint.domain.outside import Certificate, CertificateError, HashAlgorithm, HashData, Transfer

RSA_BITS, EC_BITS = 2048, 224
"""The least a key may have (whitepaper, A00)."""

STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

MOST_SERIAL_DIGITS = 40
"""20 octets (RFC 5280 §4.1.2.2), and what CertificateHashData has room for."""

_UNUSABLE = (
    ValueError,
    TypeError,
    OverflowError,  # a moment no float can tell
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""Everything that reading a foreign certificate may raise; parts of it are only read when asked for."""

_PRIVATE_KEY = re.compile(r"-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_HASHES: dict[HashAlgorithm, str] = {"SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class X509KeyStore:
    """`chargepoint.domain.outside.KeyStore` by the `cryptography` package."""

    __slots__ = ()

    def chain(self, pem: str) -> list[Certificate]:
        return list(_chain(pem))

    def hash_data(
        self, certificate: Certificate, issuer: Certificate | None, algorithm: HashAlgorithm
    ) -> HashData:
        name, _ = _issuer_and_key(certificate)
        _, key = _issuer_and_key(issuer or certificate)
        digest = partial(hashlib.new, _HASHES[algorithm])
        return HashData(
            algorithm, digest(name).hexdigest(), digest(key).hexdigest(), certificate.serial_number
        )

    def signed_by(self, certificate: Certificate, issuer: Certificate) -> bool:
        return certificate.issuer == issuer.subject and _signed(_loaded(certificate), _loaded(issuer))

    def chained(self, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> bool:
        between = list(chain[1:])
        reached = list(chain[:1])
        while reached:
            one = reached.pop()
            if any(one.fingerprint == root.fingerprint or self.signed_by(one, root) for root in roots):
                return True
            issuers = [other for other in between if other.authority and self.signed_by(one, other)]
            between = [other for other in between if other not in issuers]
            reached += issuers
        return False

    def new_key(self, common_name: str, organisation: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            subject = x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                    x509.NameAttribute(NameOID.COMMON_NAME, common_name),
                ]
            )
            request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        except ValueError as error:
            raise CertificateError(
                f"no certificate can be asked for {common_name!r} of {organisation!r}: {error}"
            ) from None
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key_pem.decode(), request.public_bytes(serialization.Encoding.PEM).decode()

    def belongs(self, certificate: Certificate, key_pem: str) -> bool:
        found = _PRIVATE_KEY.search(key_pem)
        if found is None:
            return False
        try:
            key = serialization.load_pem_private_key(found[0].encode(), None)
            return key.public_key() == _loaded(certificate).public_key()
        except _UNUSABLE:
            return False

    def verify_file(
        self,
        path: str,
        signature: str,
        certificate: Certificate,
        algorithms: Sequence[str],
        done: Callable[[bool], None],
    ) -> Transfer:
        key = _loaded(certificate).public_key()
        check = partial(_file_signed, path, signature, key, tuple(algorithms))
        verification = Verification(done)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            verification.tell(check())
        else:
            future = loop.run_in_executor(None, check)
            future.add_done_callback(lambda future: verification.tell(future.result()))
        return verification


class Verification:
    """A signature check under way; the file is read to its end even if nobody waits any more."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[bool], None]) -> None:
        self._done: Callable[[bool], None] | None = done

    def tell(self, right: bool) -> None:
        """The outcome."""
        if self._done is not None:
            self._done(right)

    def cancel(self) -> None:
        """Nobody wants to know."""
        self._done = None


KEY_STORE = X509KeyStore()
"""The one of all stations."""


# --- reading ----------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _chain(pem: str) -> tuple[Certificate, ...]:
    """Remembered, because thousands of stations may have the same roots."""
    with warnings.catch_warnings():
        # A serial number that is not positive breaks RFC 5280, but old roots have it.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            return tuple(map(_read, x509.load_pem_x509_certificates(pem.encode())))
        except _UNUSABLE as error:
            raise CertificateError(f"not a certificate in PEM form: {error}"[:200]) from None


def _read(found: x509.Certificate) -> Certificate:
    serial_number = f"{found.serial_number:x}"
    if len(serial_number) > MOST_SERIAL_DIGITS:
        raise ValueError("its serial number is longer than 20 octets")
    return Certificate(
        pem=found.public_bytes(serialization.Encoding.PEM).decode(),
        subject=found.subject.rfc4514_string(),
        common_name=_first(found.subject, NameOID.COMMON_NAME),
        organisation=_first(found.subject, NameOID.ORGANIZATION_NAME),
        issuer=found.issuer.rfc4514_string(),
        serial_number=serial_number,
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
        authority=_authority(found),
        strong=_strong(found),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )


def _first(name: x509.Name, attribute: x509.ObjectIdentifier) -> str | None:
    values = [one.value for one in name.get_attributes_for_oid(attribute)]
    return values[0] if values and isinstance(values[0], str) else None


def _authority(found: x509.Certificate) -> bool:
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _strong(found: x509.Certificate) -> bool:
    key = found.public_key()
    long = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= EC_BITS
    )
    return long and isinstance(found.signature_hash_algorithm, STRONG_HASHES)


def _loaded(certificate: Certificate) -> x509.Certificate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificate(certificate.pem.encode())


def _issuer_and_key(certificate: Certificate) -> tuple[bytes, bytes]:
    """The DER of the issuer's name, and the bits of the subject's key, both as they are written.

    They are taken from the bytes, because the hashes are over these and not over another way to write them.
    """
    fields = _parts(_loaded(certificate).tbs_certificate_bytes)
    if fields[0][0] == 0xA0:  # the version, which a certificate of version 1 does not have
        del fields[0]
    _, _, issuer, _, _, key, *_ = fields
    bits = _parts(key)[1]
    header = len(bits) - _length(bits)[1]
    return issuer, bits[header + 1 :]  # without the count of unused bits


def _parts(der: bytes) -> list[bytes]:
    """What a DER sequence consists of, each part with its tag and length."""
    start, length = _length(der)
    parts = []
    while start < len(der):
        head, length = _length(der[start:])
        parts.append(der[start : start + head + length])
        start += head + length
    return parts


def _length(der: bytes) -> tuple[int, int]:
    """How long the head of a DER value is, and how long its content."""
    if der[1] < 0x80:
        return 2, der[1]
    octets = der[1] & 0x7F
    return 2 + octets, int.from_bytes(der[2 : 2 + octets], "big")


# --- signatures -------------------------------------------------------------------------------------


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    signature, content = certificate.signature, certificate.tbs_certificate_bytes
    try:
        key = issuer.public_key()
        how, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and isinstance(how, padding.PSS | padding.PKCS1v15) and digest:
            key.verify(signature, content, how, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(signature, content, how)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and how is None:
            key.verify(signature, content)
        else:
            return False
    except (InvalidSignature, *_UNUSABLE):
        return False
    return True


def _file_signed(path: str, signature: str, key: object, algorithms: tuple[str, ...]) -> bool:
    try:
        given = base64.b64decode("".join(signature.split()), validate=True)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except (OSError, *_UNUSABLE):
        return False
    return any(_digest_signed(key, given, digest, algorithm) for algorithm in algorithms)


def _digest_signed(key: object, signature: bytes, digest: bytes, algorithm: str) -> bool:
    over = utils.Prehashed(hashes.SHA256())
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm == "rsa_pss":
            key.verify(signature, digest, pss, over)
        elif isinstance(key, rsa.RSAPublicKey) and algorithm == "rsa_pkcs1v15":
            key.verify(signature, digest, padding.PKCS1v15(), over)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "ecdsa":
            key.verify(signature, digest, ec.ECDSA(over))
        else:
            return False
    except (InvalidSignature, *_UNUSABLE):
        return False
    return True
