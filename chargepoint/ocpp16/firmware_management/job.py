"""A firmware update as it is remembered: what was asked for, how far it has come, what it brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from chargepoint.domain.ports import Document, Store

KIND = "firmware"
"""Under this kind the store keeps the newest update, what is still to be told of it, and the version."""

JOB, VERSION = "job", "version"

MOST = 2**31 - 1
DEFAULT_RETRIES, DEFAULT_RETRY_INTERVAL_S = 3, 60
VERSION_LENGTH = 50


class Step(StrEnum):
    """How far an update has come: after a power cut it goes on from here."""

    SCHEDULED = "scheduled"  # until the file may be fetched
    DOWNLOADING = "downloading"
    RETRYING = "retrying"  # an attempt failed, and the next one is not due yet
    VERIFYING = "verifying"  # the file is here, and its signature is being checked
    PLANNED = "planned"  # until it may be installed
    CLEARING = "clearing"  # until nobody uses a connector
    INSTALLING = "installing"
    RESTARTING = "restarting"  # in place; told after the restart
    LEAVING = "leaving"  # in place and told; the restart is still due
    ENDED = "ended"


FINAL = frozenset({Step.INSTALLING, Step.RESTARTING, Step.LEAVING})
"""From here on an update cannot be called off."""


@dataclass(slots=True)
class Job:
    """One update; moments are UTC. `request_id`, `certificate` and `signature` make it a signed one."""

    serial: int
    location: str
    retrieve_at: float
    attempts: int  # that are left
    retry_interval_s: int
    install_at: float | None = None
    request_id: int | None = None
    certificate: str = ""
    signature: str = ""
    step: Step = Step.SCHEDULED
    status: str | None = None  # what became true last
    path: str = ""  # of the downloaded file
    installations: int = 0  # that were begun

    @property
    def name(self) -> str:
        """The file's name for the transfer: never the same for two updates, always for one."""
        return f"firmware-{self.serial}"

    @property
    def signed(self) -> bool:
        """Its file must prove where it comes from."""
        return self.request_id is not None

    @property
    def ended(self) -> bool:
        """Nothing more comes of it."""
        return self.step is Step.ENDED

    def document(self) -> Document:
        """What the store keeps."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"step": self.step.value}

    @classmethod
    def recalled(cls, document: Document) -> Job:
        """The update of a document."""
        return cls(**{**document, "step": Step(document["step"])})


def attempts(retries: int | None) -> int:
    """How often a file is asked for at most; `retries` come after the first time (errata 3.50)."""
    return 1 + (DEFAULT_RETRIES if retries is None else min(max(retries, 0), MOST))


def retry_interval_s(seconds: int | None) -> int:
    """The wait before a retry: at least a second, so that nothing runs in circles."""
    return DEFAULT_RETRY_INTERVAL_S if seconds is None else min(max(seconds, 1), MOST)


def file_version(location: str) -> str:
    """The version a file's name stands for: without its extension, cut to 50; "" if it has no name.

    An extension begins with a letter, so `fw-2.1` keeps its last digit.
    """
    try:
        name = unquote(urlsplit(location).path).rpartition("/")[2]
    except ValueError:
        return ""
    name, extension = _apart(name)
    if extension in ("gz", "xz", "bz2", "zst") and name.lower().endswith(".tar"):
        name, _ = _apart(name)
    return presentable(name)


def _apart(name: str) -> tuple[str, str]:
    stem, _, extension = name.rpartition(".")
    apart = bool(stem) and extension.isalnum() and extension[0].isalpha()
    return (stem, extension.lower()) if apart else (name, "")


def presentable(version: str) -> str:
    """A version as BootNotification can carry it: printable ASCII, at most 50 characters."""
    return "".join(c for c in version if c.isascii() and c.isprintable()).strip()[:VERSION_LENGTH].strip()


def in_place(store: Store, plate: dict[str, str]) -> dict[str, str]:
    """The boot payload with the firmware that was installed since the station left the factory.

    A factory that says something else than at that time has the last word.
    """
    known = store.get(KIND, VERSION)
    if known is None or known["factory"] != plate.get("firmwareVersion"):
        return plate
    return {**plate, "firmwareVersion": known["version"]}


def forget_replaced(store: Store, plate: dict[str, str]) -> None:
    """Where the factory has had the last word, what was installed before does not come back."""
    known = store.get(KIND, VERSION)
    if known is not None and known["factory"] != plate.get("firmwareVersion"):
        store.delete(KIND, VERSION)


def put_in_place(store: Store, version: str, plate: Mapping[str, str]) -> None:
    """Remember what was installed; `plate` is the factory's payload."""
    store.put(KIND, VERSION, {"version": version, "factory": plate.get("firmwareVersion")})
