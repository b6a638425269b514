"""Transfers that only take time."""

from __future__ import annotations

from collections.abc import Callable

from chargepoint.domain.outside import Transfer, TransferFailed
from chargepoint.transfer.address import parse
from hal.api import Clock

_BYTES_PER_S = 2**20


class SimulatedTransfers:
    """Every transfer that a real server might take succeeds, and no network and no file is touched.

    A download takes `takes_s` of the station's time; an upload 1 s, and 1 s more for each MiB.
    """

    __slots__ = ("_clock", "_takes_s")

    def __init__(self, clock: Clock, takes_s: float = 5.0) -> None:
        self._clock = clock
        self._takes_s = takes_s

    def download(
        self, url: str, name: str, done: Callable[[str], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        return self._pretend(url, self._takes_s, lambda: done(name), failed)

    def upload(
        self, url: str, content: bytes, done: Callable[[], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        return self._pretend(url, 1.0 + len(content) / _BYTES_PER_S, done, failed)

    def discard(self, name: str) -> None: ...

    def close(self) -> None: ...

    def _pretend(
        self, url: str, takes_s: float, done: Callable[[], None], failed: Callable[[TransferFailed], None]
    ) -> Transfer:
        now = self._clock.now()
        try:
            parse(url)
        except TransferFailed as failure:
            error = failure
            return self._clock.call_at(now, lambda: failed(error))
        return self._clock.call_at(now + takes_s, done)
