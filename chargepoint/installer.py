"""Installs downloaded firmware: by a command on the host, or only in name."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

from chargepoint.domain.outside import Transfer
from chargepoint.real_work import RealWork
from hal.api import Clock

__all__ = ["CommandInstaller", "SimulatedInstaller"]

_PLACEHOLDER = re.compile(r"\{(file|version)\}")
_TAIL_BYTES = 4096
_LAST_WORDS_S = 1.0
_MOST_SHOWN = 200
_MOST_VERSION = 50  # firmwareVersion of BootNotification.req (OCPP 1.6 §6.3)


class SimulatedInstaller:
    """Takes `takes_s` of the station's time and changes nothing but the version."""

    __slots__ = ("_clock", "_takes_s", "blocks_charging")

    def __init__(self, clock: Clock, takes_s: float = 5.0, blocks_charging: bool = True) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self.blocks_charging = blocks_charging

    def install(
        self, path: str, version: str, installed: Callable[[str], None], failed: Callable[[str], None]
    ) -> Transfer:
        return self._clock.call_at(self._clock.now() + self._takes_s, lambda: installed(version))

    def close(self) -> None: ...


class InstallFailed(Exception):
    """The firmware is not in place; the message is a sentence with a remedy."""


class CommandInstaller:
    """Runs a program of the host for each installation; the station's `clock` is held meanwhile.

    In `command`, its arguments included, `{file}` and `{version}` stand for what is installed, which the
    program also finds in CHARGEPOINT_FIRMWARE_FILE and CHARGEPOINT_FIRMWARE_VERSION. Exit status 0 means
    installed; `version=...` as its last line of output names the version there is now. After `timeout_s` of
    real time, or when nobody wants it any more, it is killed with all that it started.
    """

    __slots__ = ("_clock", "_command", "_timeout_s", "_works", "blocks_charging")

    def __init__(
        self, clock: Clock, command: Sequence[str], timeout_s: float = 600.0, blocks_charging: bool = True
    ) -> None:
        self._clock = clock
        self._command = command
        self._timeout_s = timeout_s
        self._works: set[RealWork[str, InstallFailed]] | None = None  # under way
        self.blocks_charging = blocks_charging

    def install(
        self, path: str, version: str, installed: Callable[[str], None], failed: Callable[[str], None]
    ) -> Transfer:
        work = RealWork(
            self._clock, self._run(path, version), installed, lambda error: failed(str(error)), InstallFailed
        )
        works = self._works = self._works or set()
        works.add(work)
        work.task.add_done_callback(lambda _: works.discard(work))
        return work

    def close(self) -> None:
        """Give up what is under way, without a callback; idempotent."""
        for work in list(self._works or ()):
            work.cancel()

    async def _run(self, path: str, version: str) -> str:
        values = {"file": path, "version": version.replace("\0", "")}
        command = [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self._command]
        environment = os.environ | {
            f"CHARGEPOINT_FIRMWARE_{key.upper()}": text for key, text in values.items()
        }
        output, complaints = _Tail(), _Tail()
        try:
            # Pipes of our own: with asyncio's, waiting for the process means waiting for what it left behind.
            async with asyncio.timeout(self._timeout_s), output, complaints:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output.end,
                    stderr=complaints.end,
                    env=environment,
                    start_new_session=True,
                )
                output.hand_over()
                complaints.hand_over()
                try:
                    status = await process.wait()
                finally:
                    if process.returncode is None:
                        await _kill(process)
                await asyncio.wait({output.ended, complaints.ended}, timeout=_LAST_WORDS_S)
        except TimeoutError:
            raise InstallFailed(
                f"{command[0]} did not end within {self._timeout_s:g} s and was killed: mend it, or raise "
                "firmware.timeout_s"
            ) from None
        except (OSError, ValueError) as error:  # ValueError: an argument no system can hand on
            why = (isinstance(error, OSError) and error.strerror) or error
            raise InstallFailed(f"{command[0]} cannot be run ({why}): check firmware.command") from error
        if status:
            raise InstallFailed(_explained(status, complaints.last_line))
        name, equals, told = output.last_line.partition("=")
        return (told.strip() if name == "version" and equals else "")[:_MOST_VERSION] or version


class _Tail(asyncio.Protocol):
    """The reading end of a pipe that remembers only what came last."""

    def __init__(self) -> None:
        self.end = -1  # what the process writes to
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport | None = None
        self._last = b""

    async def __aenter__(self) -> None:
        reading, self.end = os.pipe()
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: self, os.fdopen(reading, "rb", 0)
        )

    async def __aexit__(self, *_: object) -> None:
        self.hand_over()
        if self._transport is not None:
            self._transport.close()

    def hand_over(self) -> None:
        """The process has its end: from now on only it keeps the pipe open."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1

    def data_received(self, data: bytes) -> None:
        """The process wrote something."""
        self._last = (self._last + data)[-_TAIL_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody writes any more."""
        if not self.ended.done():
            self.ended.set_result(None)

    @property
    def last_line(self) -> str:
        """The last line that is not blank."""
        lines = [line for line in self._last.decode(errors="replace").splitlines() if line.strip()]
        return "".join(char for char in lines[-1].strip() if char.isprintable()) if lines else ""


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    while process.returncode is None:
        with suppress(asyncio.CancelledError):  # when the loop ends meanwhile
            await process.wait()


def _explained(status: int, complaint: str) -> str:
    how = f"was killed by signal {-status}" if status < 0 else f"failed with exit code {status}"
    said = f": {complaint[:_MOST_SHOWN]}" if complaint else ", without a word on stderr"
    return f"the installation {how}{said}"
