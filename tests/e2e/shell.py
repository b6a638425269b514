"""The command as a user types it: programs with a bounded life, and servers that greet them badly."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.integration.nursery import Forked

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""Real seconds after which a test gives up: a busy machine stands still for some of that."""

COMMAND = (sys.executable, "-m", "chargepoint")


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child: this source tree is what it imports."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **changes}


def chargepoint(
    *arguments: str, cwd: Path, stdin: str = "", timeout_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    """Run `chargepoint` to its end; it never ends with a traceback."""
    done = subprocess.run(
        (*COMMAND, *arguments),
        cwd=cwd,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def forked(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`chargepoint`, in a process that need not read the code."""
    with tempfile.TemporaryFile("w+") as said:
        process = Forked(arguments, environment(), cwd, said)
        output, _ = process.communicate(stdin, PATIENCE_S)
        said.seek(0)
        errors = said.read()
    assert "Traceback" not in output + errors, errors
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def put_on_path(folder: Path) -> str:
    """A PATH on which `chargepoint` and `python` are ours."""
    folder.mkdir(exist_ok=True)
    for name, words in (("chargepoint", COMMAND), ("python", COMMAND[:1])):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


class Program:
    """A running `chargepoint` whose output is read line by line; killed when the test leaves it.

    `fresh`: in an interpreter that has to read the code, as a user's.
    """

    def __init__(self, *arguments: str, cwd: Path, fresh: bool = True) -> None:
        self._errors = (cwd / "stderr.txt").open("w+")
        self.process: subprocess.Popen[str] | Forked
        if fresh:
            self.process = subprocess.Popen(
                (*COMMAND, *arguments),
                cwd=cwd,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        else:
            self.process = Forked(arguments, environment(), cwd, self._errors)
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, part: str) -> str:
        """Read on to the next line that contains `part`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if part in line:
                return self.lines[-1]
        raise AssertionError(f"it ended without {part!r}: {self.lines} {self.errors}")

    def signal(self, *numbers: int) -> None:
        """Send signals, one right after the other."""
        for number in numbers:
            self.process.send_signal(number)

    def press_ctrl_c_until_it_ends(self) -> None:
        """As somebody does who has no patience left."""
        while self.process.poll() is None:
            self.signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def end(self) -> int:
        """Read the rest and return the exit code; it never ends with a traceback."""
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        self.lines += rest.splitlines()
        assert "Traceback" not in self.errors, self.errors
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return Path(self._errors.name).read_text()


@dataclass(slots=True)
class Greeter:
    """A TCP server on a free port that answers one request of whoever comes, hangs up, and counts."""

    answer: Callable[[bytes], bytes]
    visits: int = 0
    _socket: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def serve(self) -> None:
        """Greet until closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    request = connection.recv(65536)
                    self.visits += 1
                    connection.sendall(self.answer(request))

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def greeter(answer: Callable[[bytes], bytes]) -> Iterator[Greeter]:
    """A `Greeter` that serves while the test runs."""
    server = Greeter(answer)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def refusing_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def having(lines: Sequence[str], part: str) -> list[str]:
    """The lines that contain `part`."""
    return [line for line in lines if part in line]
