"""Installing firmware by a program of the host: real processes, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import uvloop

from chargepoint.installer import CommandInstaller
from hal.clock import SteppedClock
from tests.integration.file_servers import Loop, play
from tests.integration.link_rig import PATIENCE_S

BOTH_LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


class Bay:
    """An installer and how its work ended."""

    def __init__(self, *command: str, timeout_s: float = PATIENCE_S) -> None:
        self.clock = SteppedClock()
        self.installer = CommandInstaller(self.clock, command, timeout_s)

    async def install(self, version: str = "2.0") -> str:
        """The version there is now, or "failed: " and why."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.installer.install(
            "/firmware/a b.bin", version, ended.set_result, lambda why: ended.set_result(f"failed: {why}")
        )
        assert not ended.done()
        assert self.clock.held
        outcome = await asyncio.wait_for(ended, PATIENCE_S)
        assert not self.clock.held
        return outcome


def shell(script: str, timeout_s: float = PATIENCE_S) -> Bay:
    """An installer that runs this script."""
    return Bay("/bin/sh", "-c", script, timeout_s=timeout_s)


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("true", "2.0", id="as-asked"),
        pytest.param("echo working; echo version=3.1", "3.1", id="told"),
        pytest.param("echo version=3.1; echo working", "2.0", id="not-the-last-line"),
        pytest.param("printf 'version= 3.1 \\n\\n'", "3.1", id="blanks"),
        pytest.param("echo version=", "2.0", id="empty"),
        pytest.param("printf 'version=%060d' 7", "0" * 50, id="cut-to-50"),
        pytest.param("echo version=9 >&2", "2.0", id="stderr-does-not-count"),
        pytest.param("read word; echo version=$word.", ".", id="no-input"),
        pytest.param(
            "echo version=$CHARGEPOINT_FIRMWARE_FILE:$CHARGEPOINT_FIRMWARE_VERSION",
            "/firmware/a b.bin:2.0",
            id="environment",
        ),
        pytest.param(
            "exit 3",
            "failed: the installation failed with exit code 3, without a word on stderr",
            id="status",
        ),
        pytest.param(
            "echo one >&2; echo two >&2; echo out; exit 1",
            "failed: the installation failed with exit code 1: two",
            id="words",
        ),
        pytest.param(
            "printf %0300d 1 >&2; exit 1",
            f"failed: the installation failed with exit code 1: {'0' * 200}",
            id="many-words",
        ),
        pytest.param(
            "kill -TERM $$",
            "failed: the installation was killed by signal 15, without a word on stderr",
            id="signal",
        ),
    ],
)
def test_how_it_ends(script: str, expected: str, new_loop: Loop) -> None:
    async def story() -> None:
        assert await shell(script).install() == expected

    play(story(), new_loop)


def test_arguments_are_replaced_once_and_no_shell_sees_them() -> None:
    async def story() -> None:
        script = "import sys; print('version=' + '|'.join(sys.argv[1:]))"
        bay = Bay(sys.executable, "-c", script, "{file}", "x{version}x", "{other}")
        assert await bay.install("{file};$(id)") == "/firmware/a b.bin|x{file};$(id)x|{other}"

    play(story())


@pytest.mark.parametrize("program", ["/nowhere/at-all", "/etc/passwd", "/tmp"])
def test_a_program_that_cannot_be_run(program: str) -> None:
    async def story() -> None:
        outcome = await Bay(program).install()
        assert outcome.startswith(f"failed: {program} cannot be run (")
        assert "firmware.command" in outcome

    play(story())


def test_endless_output_takes_little_memory() -> None:
    async def story() -> None:
        assert await shell("yes | head -c 30000000; echo; echo version=4").install() == "4"

    play(story())


def test_what_stays_behind_is_not_waited_for(tmp_path: Path) -> None:
    """A restart in a minute, say; it keeps the pipe open."""
    bell = pipe(tmp_path)

    async def story() -> None:
        assert await shell(f"cat {bell} & echo version=5").install() == "5"
        Path(bell).write_text("the end")

    play(story())


@BOTH_LOOPS
@pytest.mark.parametrize("how", ["timeout", "cancel", "close"])
def test_it_is_killed_with_all_it_started(how: str, new_loop: Loop, tmp_path: Path) -> None:
    """The grandchild holds one end of a pipe, whose other end says when it is gone."""
    alive = pipe(tmp_path)
    script = f"(exec 3>{alive}; echo up >&3; exec tail -f /dev/null) & exec tail -f /dev/null"

    async def story() -> None:
        called: list[str] = []
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await watch(alive, running, gone)
        bay = shell(script, timeout_s=0.5 if how == "timeout" else PATIENCE_S)
        if how == "timeout":
            outcome = await bay.install()
            assert "did not end within 0.5 s and was killed" in outcome
        else:
            work = bay.installer.install("f", "1", called.append, called.append)
            await running
            (work.cancel if how == "cancel" else bay.installer.close)()
            assert not bay.clock.held
        await asyncio.wait_for(gone, PATIENCE_S)
        assert called == []

    play(story(), new_loop)


def pipe(folder: Path) -> str:
    """A named pipe."""
    path = folder / "pipe"
    os.mkfifo(path)
    return str(path)


async def watch(path: str, began: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
    """Tell when a first writer of a named pipe wrote and when the last one is gone."""

    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            began.set_result(None)

        def connection_lost(self, exc: Exception | None) -> None:
            ended.set_result(None)

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    await asyncio.get_running_loop().connect_read_pipe(Reader, os.fdopen(descriptor, "rb", 0))
