"""What works outside the core, in memory: every transfer and installation ends when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chargepoint.certificates import KEY_STORE
from chargepoint.domain.outside import FirmwareOutcome, Outside, TransferFailed


class Work:
    """One piece of work under way; `done` and `failed` are the callbacks it was given."""

    def __init__(self, what: dict[str, Any], done: Callable[..., None], failed: Callable[..., None]) -> None:
        self.what = what
        self.done = done
        self.failed = failed
        self.cancelled = False

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.cancelled = True


class MemoryTransfers:
    """Remembers every attempt; `discarded` are the names of files that were thrown away."""

    def __init__(self) -> None:
        self.downloads: list[Work] = []
        self.uploads: list[Work] = []
        self.discarded: list[str] = []

    def download(
        self, url: str, name: str, done: Callable[[str], None], failed: Callable[[TransferFailed], None]
    ) -> Work:
        self.downloads.append(Work({"url": url, "name": name}, done, failed))
        return self.downloads[-1]

    def upload(
        self, url: str, content: bytes, done: Callable[[], None], failed: Callable[[TransferFailed], None]
    ) -> Work:
        self.uploads.append(Work({"url": url, "content": content}, done, failed))
        return self.uploads[-1]

    def discard(self, name: str) -> None:
        self.discarded.append(name)

    def close(self) -> None: ...


class MemoryInstaller:
    """Remembers every installation."""

    blocks_charging = True

    def __init__(self) -> None:
        self.installations: list[Work] = []

    def install(
        self, path: str, version: str, installed: Callable[[str], None], failed: Callable[[str], None]
    ) -> Work:
        self.installations.append(Work({"path": path, "version": version}, installed, failed))
        return self.installations[-1]

    def close(self) -> None: ...


class MemoryLog:
    """Says which moments it was asked for."""

    def diagnostics(self, since: float | None, until: float | None) -> bytes:
        return f"{since} {until}".encode()


def memory_outside() -> Outside:
    """Everything that works outside the core, under the control of a test."""
    return Outside(MemoryTransfers(), MemoryInstaller(), KEY_STORE, MemoryLog(), FirmwareOutcome())
