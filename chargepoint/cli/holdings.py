"""What a store holds besides charging: reservations, local list, certificates, jobs, security events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.domain.local_list import KIND as LISTED
from chargepoint.domain.local_list import VERSION as LIST_VERSION
from chargepoint.domain.outside import Certificate, CertificateError
from chargepoint.domain.ports import Document
from chargepoint.domain.reservations import KIND as RESERVATION
from chargepoint.domain.reservations import Reservation
from chargepoint.ocpp16.firmware_management import job, upload
from chargepoint.ocpp16.security import connection, events, log, provided, vault

T = TypeVar("T")

KINDS = frozenset(
    {
        RESERVATION,
        LISTED,
        LIST_VERSION,
        provided.ROOT,
        provided.OWN,
        vault.PENDING,
        connection.KIND,
        provided.IMPORTED,
        job.KIND,
        upload.KIND,
        events.KIND,
        log.KIND,
    }
)
"""The kinds of documents that are read here."""


class Reading(Protocol):
    """Reads documents one by one, so that a bad one hides no other."""

    def each(self, kind: str, read: Callable[[str, Document], T], only: str | None = None) -> Iterator[T]:
        """What `read` makes of each document of a kind."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the local authorization list."""

    id_tag: str
    status: str
    parent: str | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class LocalList:
    """The local authorization list; version 0 is none."""

    version: int
    entries: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate: `use` is central system, manufacturer or own, the last of which has a private key.

    One that was `replaced` is kept until its successor has worked.
    """

    use: str
    subject: str
    issuer: str
    serial_number: str
    fingerprint: str
    not_before_at: float
    not_after_at: float
    replaced: bool


@dataclass(frozen=True, slots=True)
class Certificates:
    """All of them; `requested`: a private key waits for its certificate."""

    held: tuple[Held, ...]
    requested: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a link is made with in place of the configuration; its AuthorizationKey is not shown.

    `profile` None: the configuration's. `on_trial`: no answer came over such a link yet.
    """

    on_trial: bool
    profile: int | None
    key_changed: bool


@dataclass(frozen=True, slots=True)
class Task:
    """A firmware update or an upload, over or under way; its URL, which may hold a password, is not shown."""

    what: str
    step: str
    request_id: int | None
    attempts_left: int


@dataclass(frozen=True, slots=True)
class Security:
    """Security events that the central system has not got yet, and the entries of the security log."""

    waiting: int
    logged: int
    last_kind: str | None
    last_at: float | None


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything of this module."""

    reservations: tuple[Reservation, ...]
    local_list: LocalList
    certificates: Certificates
    connection: tuple[Credentials, ...]
    tasks: tuple[Task, ...]
    security: Security


def hold(reading: Reading) -> Holdings:
    """Read it all."""
    return Holdings(
        reservations=tuple(reading.each(RESERVATION, lambda key, document: Reservation(**document))),
        local_list=_local_list(reading),
        certificates=Certificates(
            held=(*reading.each(provided.ROOT, _root), *reading.each(provided.OWN, _own)),
            requested=any(reading.each(vault.PENDING, lambda key, document: bool(document["key"]))),
        ),
        connection=tuple(reading.each(connection.KIND, _credentials)),
        tasks=(
            *reading.each(job.KIND, _update, only=job.JOB),
            *reading.each(upload.KIND, _upload),
        ),
        security=_security(reading),
    )


def _local_list(reading: Reading) -> LocalList:
    version = next(reading.each(LIST_VERSION, lambda key, document: int(document["version"])), 0)
    return LocalList(version, tuple(reading.each(LISTED, _listed)))


def _listed(key: str, document: Document) -> Listed:
    info = IdTagInfo.from_document(document)
    return Listed(key, info.status, info.parent, info.expiry_at)


def _root(key: str, document: Document) -> Held:
    use = "central system" if document["use"] == vault.CENTRAL_SYSTEM else "manufacturer"
    return _held(use, document["pem"], bool(document.get("fallback")))


def _own(key: str, document: Document) -> Held:
    return _held("own", document["chain"], False)


def _held(use: str, pem: str, replaced: bool) -> Held:
    certificate = _leaf(pem)
    return Held(
        use,
        certificate.subject,
        certificate.issuer,
        certificate.serial_number,
        certificate.fingerprint,
        certificate.not_before,
        certificate.not_after,
        replaced,
    )


def _credentials(key: str, document: Document) -> Credentials:
    profile, changed = document.get("profile"), document.get("key") is not None
    return Credentials(key == connection.CANDIDATE, None if profile is None else int(profile), changed)


def _leaf(pem: str) -> Certificate:
    from chargepoint.certificates import KEY_STORE  # only a store with certificates pays for cryptography

    try:
        return KEY_STORE.chain(pem)[0]
    except CertificateError as error:
        raise ValueError(str(error)) from error


def _update(key: str, document: Document) -> Task:
    update = job.Job.recalled(document)
    what = "signed firmware update" if update.signed else "firmware update"
    step = update.status if update.ended and update.status else update.step.value
    return Task(what, step, update.request_id, update.attempts)


def _upload(key: str, document: Document) -> Task:
    found = upload.Job.recalled(document)
    what = "diagnostics" if found.log_type is None else found.log_type
    return Task(f"upload of {what}", found.status, found.request_id, 0 if found.over else found.attempts)


def _security(reading: Reading) -> Security:
    logged: list[tuple[float, str]] = []
    for block in reading.each(log.KIND, lambda key, document: document["entries"]):
        logged += [(float(at), str(kind)) for at, kind, _ in block]
    last_at, last_kind = logged[-1] if logged else (None, None)
    waiting = sum(1 for _ in reading.each(events.KIND, lambda key, document: document["type"]))
    return Security(waiting, len(logged), last_kind, last_at)
