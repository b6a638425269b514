"""One upload, from its request until the central system knows how it ended (OCPP 1.6 §5.9; N01)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from chargepoint.domain.outside import Outside, Transfer, TransferFailed
from chargepoint.domain.ports import Document
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import INVALID_ANSWER, CallFailed
from hal.api import Timer

KIND = "upload"
"""Under this kind the store keeps uploads, one of diagnostics and one of a log at most."""

MOST_UNSAID = 20
UPLOADING, UPLOADED, IDLE = "Uploading", "Uploaded", "Idle"
UNKNOWN_TO_THEM = ("NotImplemented", "NotSupported")
POINTLESS = ("malformed", "unsupported")
"""Failures that another attempt would meet again."""

Said = tuple[str, int | None]
"""A status, and the number of the request it is about."""


class Host(Protocol):
    """What an upload needs of its station."""

    @property
    def accepted(self) -> bool:
        """The central system accepted this station."""

    @property
    def outbox(self) -> Outbox:
        """The way to it."""

    @property
    def turn(self) -> Turn:
        """Store and time."""

    @property
    def configuration(self) -> Configuration:
        """The protocols in use."""

    @property
    def outside(self) -> Outside:
        """Who carries the file."""

    def notify(self, event: str, **fields: Any) -> None:
        """Tell whoever watches this station."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be uploaded where, and how far that has come; moments are UTC."""

    location: str  # a directory
    name: str
    attempts: int  # that are left, the present one included
    retry_interval_s: int
    since: float | None
    until: float | None
    log_type: str | None = None  # of GetLog
    request_id: int | None = None
    status: str = UPLOADING
    over: bool = False
    unsaid: tuple[Said, ...] = ()  # statuses the central system has still to be told

    def document(self) -> Document:
        """What the store keeps."""
        return asdict(self)

    @classmethod
    def recalled(cls, document: Document) -> Job:
        """The job of a document."""
        unsaid = tuple((status, request_id) for status, request_id in document["unsaid"])
        return cls(**{**document, "unsaid": unsaid})


@dataclass(frozen=True, slots=True)
class Wording:
    """How one of the two kinds of uploads speaks; `failures` other than `failed` by their kind."""

    key: str
    action: str
    failed: str
    failures: dict[str, str]


DIAGNOSTICS = Wording("diagnostics", "DiagnosticsStatusNotification", "UploadFailed", {})
LOG = Wording(
    "log",
    "LogStatusNotification",
    "UploadFailure",
    {
        "malformed": "BadMessage",
        "permission": "PermissionDenied",
        "unsupported": "NotSupportedOperation",
    },
)


class Upload:
    """Makes the file, sends it as often as it takes, and tells each step; survives a power cut.

    An attempt that a power cut ended is made again, at the next acceptance.
    """

    __slots__ = ("_content", "_host", "_refused_once", "_saying", "_timer", "_transfer", "job", "wording")

    def __init__(self, host: Host, wording: Wording, content: Callable[[Job], bytes]) -> None:
        self._host = host
        self._content = content
        self.wording = wording
        document = host.turn.store.get(KIND, wording.key)
        self.job = None if document is None else Job.recalled(document)
        self._transfer: Transfer | None = None
        self._timer: Timer | None = None
        self._saying: Said | None = None  # on its way to the central system
        self._refused_once = False  # it came back already

    @property
    def running(self) -> bool:
        """The file is not there yet, and not given up either."""
        return self.job is not None and not self.job.over

    def begin(self, job: Job) -> None:
        """Take a job on; one that runs is called off, and only what became of it so far is still told."""
        unsaid = () if self.job is None else self.job.unsaid
        self.close()
        self._keep(replace(job, unsaid=unsaid))
        self._attempt(again=False)

    def resume(self) -> None:
        """The central system accepted this station: go on with what was interrupted."""
        self.say()
        if self.running and self._transfer is None and self._timer is None:
            self._attempt(again=True)

    # --- the file -----------------------------------------------------------------------------------

    def _attempt(self, *, again: bool) -> None:
        """Send the file; `again`: the attempt was announced already."""
        job = self.job
        assert job is not None
        url = target(job.location, job.name)
        if url is None:
            self._failed(TransferFailed("malformed", "the location is no URL of a directory"))
        elif not self._speaks(urlsplit(url).scheme):
            self._failed(TransferFailed("unsupported", f"{urlsplit(url).scheme} is not in use here"))
        else:
            if not again or job.status != UPLOADING:
                self._tell(job, UPLOADING)
            content = self._content(job)
            self._transfer = self._host.outside.transfers.upload(url, content, self._done, self._failed)

    def _speaks(self, scheme: str) -> bool:
        """The scheme is among SupportedFileTransferProtocols (errata 3.90)."""
        return scheme.upper() in self._host.configuration.words("SupportedFileTransferProtocols")

    def _done(self) -> None:
        self._transfer = None
        with self._host.turn:
            assert self.job is not None
            self._tell(replace(self.job, over=True), UPLOADED)

    def _failed(self, error: TransferFailed) -> None:
        self._transfer = None
        with self._host.turn:
            assert self.job is not None
            left = 0 if error.kind in POINTLESS else self.job.attempts - 1
            self._host.complain(f"{self.job.name} was not uploaded: {error}"[:500])
            job = replace(self.job, attempts=left, over=left <= 0)
            self._tell(job, self.wording.failures.get(error.kind, self.wording.failed))
            if left > 0:
                self._timer = self._host.turn.time.after(job.retry_interval_s, self._again)

    def _again(self) -> None:
        self._timer = None
        with self._host.turn:
            self._attempt(again=False)

    def close(self) -> None:
        """Leave it as it is: nothing comes of it before the next start."""
        if self._transfer is not None:
            self._transfer.cancel()
            self._transfer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what is told -------------------------------------------------------------------------------

    def _tell(self, job: Job, status: str) -> None:
        unsaid = (*job.unsaid, (status, job.request_id))[-MOST_UNSAID:]
        self._keep(replace(job, status=status, unsaid=unsaid))
        self._host.notify("upload", status=status, file_name=job.name)
        self.say()

    def _keep(self, job: Job) -> None:
        """Remember the job until the central system knows its end."""
        store = self._host.turn.store
        if job.over and not job.unsaid:
            self.job = None
            store.delete(KIND, self.wording.key)
        else:
            self.job = job
            store.put(KIND, self.wording.key, job.document())

    def say(self) -> None:
        """Hand over the oldest status, if it may go now."""
        host = self._host
        if self.job is None or not self.job.unsaid or self._saying is not None:
            return
        if not host.accepted or not host.outbox.online:
            return
        said = self._saying = self.job.unsaid[0]
        host.outbox.send(
            self.wording.action,
            payload(*said),
            lambda answer: self._said(said),
            lambda error: self._unsaid(said, error),
        )

    def _said(self, said: Said) -> None:
        self._saying = None
        self._refused_once = False
        if self.job is not None and self.job.unsaid[:1] == (said,):
            self._keep(replace(self.job, unsaid=self.job.unsaid[1:]))
        self.say()

    def _unsaid(self, said: Said, error: CallFailed) -> None:
        """Lost with the link: over the next one. Refused: once more, and the outcome at the next link too."""
        if error.code in (INVALID_ANSWER, *UNKNOWN_TO_THEM):
            self._said(said)
            return
        self._saying = None
        if not error.delivered:
            return
        job = self.job
        outcome = job is not None and job.over and job.unsaid == (said,)
        self._refused_once = not self._refused_once
        if self._refused_once:
            self.say()
        elif not outcome:
            self._said(said)

    def triggered(self) -> bool:
        """The present status at once, accepted or not; the same that waits for the line will do."""
        job = self.job if self.running else None
        status = payload(IDLE, None) if job is None else payload(job.status, job.request_id)
        if not self._host.outbox.waits(self.wording.action, status):
            self._host.outbox.send(
                self.wording.action, status, lambda answer: None, lambda error: None, unregistered=True
            )
        return True


def payload(status: str, request_id: int | None) -> Document:
    """DiagnosticsStatusNotification.req or LogStatusNotification.req."""
    return {"status": status} if request_id is None else {"status": status, "requestId": request_id}


def target(location: str, name: str) -> str | None:
    """The URL of a file in the directory `location`; None if that is no URL.

    A query, where upload servers carry their tokens, stays behind the path.
    """
    try:
        parts = urlsplit(location.strip())
        if not parts.scheme or not parts.hostname or parts.port == 0:
            return None
    except ValueError:
        return None
    path = f"{parts.path.removesuffix('/')}/{quote(name, safe='')}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
