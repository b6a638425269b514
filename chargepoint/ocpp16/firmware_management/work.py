"""What is under way outside for an update: one wait, transfer, check or installation at a time."""

from __future__ import annotations

from collections.abc import Callable

from chargepoint.domain.outside import Transfer, TransferFailed
from chargepoint.ocpp16.firmware_management.host import Host
from chargepoint.ocpp16.firmware_management.job import Job

PRETENDED_S = 1.0
"""How long something takes that is not done in earnest."""


class Work:
    """Begins what takes time; every callback comes in a turn of its own, and not after `stop`."""

    __slots__ = ("_holding", "_host", "_under_way")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way: Transfer | None = None
        self._holding = False  # station time waits for it

    @property
    def under_way(self) -> bool:
        """Something will call back."""
        return self._under_way is not None

    def wait_until(self, at: float, then: Callable[[], None]) -> None:
        """Wait for a moment in UTC; one that has passed comes at once."""
        self._under_way = self._host.time.at_utc(at, lambda: self._back(then))

    def wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Wait for so long, whatever happens to UTC."""
        self._under_way = self._host.time.after(seconds, lambda: self._back(then))

    def download(
        self, job: Job, done: Callable[[str], None], failed: Callable[[TransferFailed], None]
    ) -> None:
        """Fetch the file, if its protocol is one of SupportedFileTransferProtocols."""
        scheme = job.location.partition(":")[0][:10]
        if self._told_to_fail("download"):
            told = TransferFailed("broken", "a script wants it so")
            self.wait(PRETENDED_S, lambda: failed(told))
        elif scheme.upper() not in self._host.configuration.words("SupportedFileTransferProtocols"):
            unsupported = TransferFailed("unsupported", f"{scheme} is none of SupportedFileTransferProtocols")
            self.wait(0, lambda: failed(unsupported))
        else:
            self._under_way = self._host.outside.transfers.download(
                job.location,
                job.name,
                lambda path: self._back(lambda: done(path)),
                lambda error: self._back(lambda: failed(error)),
            )

    def verify(self, job: Job, done: Callable[[bool], None]) -> None:
        """Check the signature over the file; no station time passes meanwhile."""
        if self._told_to_fail("signature"):
            self.wait(PRETENDED_S, lambda: done(False))
            return
        if job.path == job.name:  # the download was only pretended: there is nothing to check
            self.wait(PRETENDED_S, lambda: done(True))
            return
        self._hold(True)
        key_store = self._host.outside.key_store
        self._under_way = key_store.verify_file(
            job.path,
            job.signature,
            key_store.chain(job.certificate)[0],
            self._host.compatibility.firmware_signature_algorithms,
            lambda genuine: self._back(lambda: done(genuine)),
        )

    def install(
        self, job: Job, version: str, done: Callable[[str], None], failed: Callable[[str], None]
    ) -> None:
        """Put the file in place."""
        if self._told_to_fail("install"):
            self.wait(PRETENDED_S, lambda: failed("a script wants it so"))
            return
        self._under_way = self._host.outside.installer.install(
            job.path,
            version,
            lambda present: self._back(lambda: done(present)),
            lambda problem: self._back(lambda: failed(problem)),
        )

    def _told_to_fail(self, step: str) -> bool:
        return self._host.outside.firmware_outcome.fail == step

    def _back(self, then: Callable[[], None]) -> None:
        with self._host.turn:
            self._ended()
            then()

    def stop(self) -> None:
        """Nothing calls back any more."""
        if self._under_way is not None:
            self._under_way.cancel()
            self._ended()

    def _ended(self) -> None:
        self._under_way = None
        self._hold(False)

    def _hold(self, holding: bool) -> None:
        clock = self._host.time.clock
        if holding and not self._holding:
            clock.hold()
        elif self._holding and not holding:
            clock.release()
        self._holding = holding
