"""Tells systemd how the station does (sd_notify(3)), and lets it live as long as its hardware answers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Protocol, runtime_checkable

from hal.api import Evse, Fault

__all__ = ["Notifier", "Status", "Watchdog"]

FEEDS_IN_TIME = 3
"""systemd is told three times in the time after which it would act."""


class Notifier:
    """The socket of the service manager; what it does not take is lost, as everything told to it may be."""

    __slots__ = ("_address", "_socket", "watchdog_s")

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier | None:
        """The one this process was given, None without one; programs that it starts do not inherit it."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        mine = usec.isdigit() and int(usec) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if mine else None)

    def tell(self, *assignments: str) -> None:
        """Say "READY=1" and the like."""
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError:
            return

    def close(self) -> None:
        """Say nothing more; idempotent."""
        self._socket.close()


@runtime_checkable
class _Fed(Protocol):
    """A connector of real hardware, which calls `fed` after each successful round with it."""

    fed: Callable[[], None]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong."""


class Watchdog:
    """Feeds systemd's watchdog while every real device goes on answering.

    Each of them must have answered since the last feed, so one that falls silent starves it: systemd then
    starts everything anew, once. One that has not answered since the start must be a fault that prevents
    charging instead: nothing was ever permitted there, and another start would not change that. Where nobody
    has answered, and where all hardware is simulated, the event loop's turns feed it. Make it inside the
    running loop.
    """

    def __init__(self, tell: Callable[[str], None], watchdog_s: float, evses: Sequence[Evse]) -> None:
        self._tell = tell
        self._every_s = watchdog_s / FEEDS_IN_TIME
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fed_at = self._loop.time()
        self._real = [evse for evse in evses if isinstance(evse, _Fed)]
        self._never = set(range(len(self._real)))
        self._answered: set[int] = set()
        self._closed = False
        for n, evse in enumerate(self._real):
            evse.fed = lambda n=n: self._answers(n)  # type: ignore[misc]  # mypy infers no lambda with a default
        self._turn()

    def close(self) -> None:
        """Feed no more; idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _answers(self, n: int) -> None:
        self._never.discard(n)
        self._answered.add(n)
        everyone = len(self._answered) + len(self._never) == len(self._real)
        if everyone and self._loop.time() - self._fed_at >= self._every_s:
            self._feed()

    def _turn(self) -> None:
        self._timer = self._loop.call_later(self._every_s, self._turn)
        if len(self._never) == len(self._real):
            self._feed()

    def _feed(self) -> None:
        if not self._closed and all(_is_out(self._real[n]) for n in self._never):
            self._answered.clear()
            self._fed_at = self._loop.time()
            self._tell("WATCHDOG=1")


def _is_out(evse: _Fed) -> bool:
    return any(fault.blocking for fault in evse.faults)


class Status:
    """One line on what the station is doing, for `systemctl status`; told when it changes."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._link = "connecting"
        self._connectors: dict[int, str] = {}

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the station."""
        if event == "connection":
            self._link = "connected" if fields["online"] else f"not connected: {fields.get('reason', '')}"
        elif event == "status":
            self._connectors[fields["connector"]] = fields["status"]
        else:
            return
        self._tell("STATUS=" + self.text.replace("\n", " "))

    @property
    def text(self) -> str:
        """For a person."""
        known = sorted(self._connectors.items())
        return "; ".join((self._link, *(f"connector {n} {status}" for n, status in known if n)))
