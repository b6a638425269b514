"""What the central system has still to be told of updates: in order, one at a time, over restarts."""

from __future__ import annotations

from typing import Any

from chargepoint.domain.ports import Store
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16.firmware_management.job import KIND, Job
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import TIMEOUT, CallFailed

UNSAID = "unsaid"
MOST_UNSAID = 50

Entry = list[Any]
"""Serial number and request id of an update, and a status of it."""


class Reports:
    """Statuses that were not delivered yet; call `send` only when what they say is stored.

    A status that comes again while the one before was not said yet takes back what lay between: who was
    away for all attempts of a download hears of its outcome.
    """

    __slots__ = ("_entries", "_outbox", "_repeated", "_sent", "_store", "_turn")

    def __init__(self, store: Store, outbox: Outbox, turn: Turn) -> None:
        self._store = store
        self._outbox = outbox
        self._turn = turn
        document = store.get(KIND, UNSAID)
        self._entries: list[Entry] | None = None if document is None else list(document["entries"])
        self._sent: Entry | None = None  # the first one, while it waits for the line or its answer
        self._repeated = False  # it was not answered once already

    @property
    def unsaid(self) -> bool:
        """There is something to send."""
        return self._entries is not None

    def note(self, job: Job, status: str) -> None:
        """Something is true that the central system wants to know."""
        entry = [job.serial, job.request_id, status]
        entries = list(self._entries or ())
        kept = 1 if self._sent is not None else 0
        if entry in entries[kept:]:
            del entries[entries.index(entry, kept) :]
        entries.append(entry)
        if len(entries) > MOST_UNSAID:
            del entries[kept]
        self._keep(entries)

    def forget(self, job: Job) -> None:
        """The update was called off: what was not said of it has no meaning any more."""
        if self._entries is not None:
            self._keep([e for e in self._entries if e is self._sent or e[0] != job.serial])

    def send(self) -> None:
        """Hand over the oldest, unless one is on its way; there must be a link, and acceptance."""
        if self._sent is None and self._entries is not None:
            entry = self._sent = self._entries[0]
            _, request_id, status = entry
            action, payload = message(status, request_id)
            self._outbox.send(action, payload, lambda answer: self._said(), self._failed)

    def triggered(self, job: Job | None) -> None:
        """Tell the status of the plain update under way, or Idle."""
        runs = job is not None and not job.signed and not job.ended
        status = job.status if job is not None and runs else None
        self._tell(*message(status or "Idle", None))

    def triggered_signed(self, job: Job | None) -> None:
        """Tell the last status of a signed update; Idle without one, and once it was installed."""
        installed = job is not None and job.ended and job.status in ("Installed", "InstallRebooting")
        if job is None or not job.signed or job.status is None or installed:
            self._tell("SignedFirmwareStatusNotification", {"status": "Idle"})
        else:
            self._tell(*message(job.status, job.request_id))

    def _tell(self, action: str, payload: dict[str, Any]) -> None:
        """At once, accepted or not; the same that waits for the line will do."""
        if not self._outbox.waits(action, payload):
            self._outbox.send(action, payload, lambda answer: None, lambda error: None, unregistered=True)

    def _said(self) -> None:
        assert self._entries is not None, "the first one was sent"
        self._sent, self._repeated = None, False
        self._keep(self._entries[1:])
        self._turn.answer(self.send)

    def _failed(self, error: CallFailed) -> None:
        """Lost with the link: it is sent again over the next. Refused: it was heard. Silence: once more."""
        if not error.delivered:
            self._sent = None
        elif error.code == TIMEOUT and not self._repeated:
            self._sent, self._repeated = None, True
            self._turn.answer(self.send)
        else:
            self._said()

    def _keep(self, entries: list[Entry]) -> None:
        self._entries = entries or None
        if entries:
            self._store.put(KIND, UNSAID, {"entries": entries})
        else:
            self._store.delete(KIND, UNSAID)


def message(status: str, request_id: int | None) -> tuple[str, dict[str, Any]]:
    """Action and payload that tell a status: of a plain update, or of the signed one of that number."""
    if request_id is None:
        return "FirmwareStatusNotification", {"status": status}
    return "SignedFirmwareStatusNotification", {"status": status, "requestId": request_id}
