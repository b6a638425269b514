"""What works outside the core and reports back: transfers, the installer, cryptography, the station's log.

Slow work happens behind these promises and off the loop; every callback comes later, on the loop and outside
a turn, so whoever is called opens one. Real work holds the station's clock while it is under way (the key
store's caller sees to that itself).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


class TransferFailed(Exception):
    """A file did not get through; the message is one sentence with cause and remedy, without any secret.

    `kind` is one of unsupported (the scheme or the URL), permission (401, 403, 530, a read-only directory),
    not_found, refused (no connection, no such host), timeout, broken (cut on the way; the next attempt
    resumes), server (5xx), disk (no room, or not writable here).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Transfer(Protocol):
    """A download or an upload under way."""

    def cancel(self) -> None:
        """Give it up: no callback comes any more. What was downloaded so far stays for a later attempt."""


class Transfers(Protocol):
    """Carries files from and to servers; one attempt each, retries are the caller's."""

    def download(
        self, url: str, name: str, done: Callable[[str], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        """Fetch a file; `done` gets its path, or just `name` if that was only pretended.

        `name` is the caller's own name for it, safe as a file name: a second attempt under the same name,
        also after a restart, resumes where the first one broke.
        """

    def upload(
        self, url: str, content: bytes, done: Callable[[], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        """Put a file where `url` says, its name included."""

    def discard(self, name: str) -> None:
        """Remove what was downloaded under that name; nothing there is fine."""

    def close(self) -> None:
        """Give up everything under way, without a callback; idempotent."""


class Installer(Protocol):
    """Puts downloaded firmware in place."""

    @property
    def blocks_charging(self) -> bool:
        """Connectors cannot be used while it works."""

    def install(
        self, path: str, version: str, installed: Callable[[str], None], failed: Callable[[str], None]
    ) -> Transfer:
        """Install the file; `installed` gets the version there is from now on, `failed` a sentence.

        `version` is what the file's name says; an installer that knows better tells.
        """

    def close(self) -> None:
        """Give up everything under way, without a callback; idempotent."""


class CertificateError(Exception):
    """What was given is no certificate, key or signature that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate as far as the protocol cares; moments are seconds since the epoch, UTC.

    `pem` is this certificate alone, whatever text it was found in.
    """

    pem: str = field(repr=False)
    subject: str  # RFC 4514
    common_name: str | None
    organisation: str | None
    issuer: str
    serial_number: str  # lower-case hexadecimal without leading zeros
    not_before: float
    not_after: float
    authority: bool  # the CA flag of the basic constraints
    strong: bool  # RSA from 2048 bits or EC from 224, signed over SHA-256 or better (whitepaper, A00)
    fingerprint: str  # SHA-256 of its DER form, lower-case hexadecimal: tells any two apart


HashAlgorithm = Literal["SHA256", "SHA384", "SHA512"]


@dataclass(frozen=True, slots=True)
class HashData:
    """CertificateHashData as RFC 6960 counts it, in lower-case hexadecimal."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class KeyStore(Protocol):
    """The cryptography of the security extension; keeps nothing itself, so all stations share one.

    What must last lies in the station's `Store`, whose file nobody else may read.
    """

    def chain(self, pem: str) -> list[Certificate]:
        """The certificates of a PEM text in its order, at least one. Raises `CertificateError`."""

    def hash_data(
        self, certificate: Certificate, issuer: Certificate | None, algorithm: HashAlgorithm
    ) -> HashData:
        """Name a certificate; without its issuer at hand, its own key stands for the issuer's."""

    def signed_by(self, certificate: Certificate, issuer: Certificate) -> bool:
        """The issuer's key made the signature on the certificate, and their names fit."""

    def chained(self, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> bool:
        """The first of `chain` leads by signatures, over the rest of it in any order, to one of `roots`.

        A root that is itself the first one counts.
        """

    def new_key(self, common_name: str, organisation: str) -> tuple[str, str]:
        """A new private key and a certificate signing request for it (PKCS#10), both PEM.

        Raises `CertificateError` for a common name no certificate can bear (empty, over 64 octets).
        """

    def belongs(self, certificate: Certificate, key_pem: str) -> bool:
        """The private key is the certificate's; no, if it cannot be read or has a password."""

    def verify_file(
        self,
        path: str,
        signature: str,
        certificate: Certificate,
        algorithms: Sequence[str],
        done: Callable[[bool], None],
    ) -> Transfer:
        """Whether the base64 `signature` over the whole file (SHA-256) was made with the certificate's key.

        `algorithms` out of rsa_pss, rsa_pkcs1v15 and ecdsa are accepted. A signature or a file that cannot
        be read is wrong. The one key store of all stations has no clock: the caller holds the station's
        until `done`, or until it cancels. Where no event loop runs, `done` comes before this returns.
        """


class LogSource(Protocol):
    """What a station can say about its recent past."""

    def diagnostics(self, since: float | None, until: float | None) -> bytes:
        """State, configuration and the log between two moments (UTC), without any secret."""


@dataclass(slots=True)
class FirmwareOutcome:
    """What a person wants the next firmware update to come to (the verb `firmware_outcome`).

    `fail` is download, signature, install or None; `version` None: what the file's name says.
    """

    fail: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything of this kind that one station has."""

    transfers: Transfers
    installer: Installer
    key_store: KeyStore
    log_source: LogSource
    firmware_outcome: FirmwareOutcome
