"""The live view on a real terminal: keys steer the fleet, and whatever ends it, the terminal is as it was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.shell import COMMAND, PATIENCE_S, Program, chargepoint, environment, refusing_port

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOME = "\x1b[H"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
FLEET = """\
seed: 3
ramp: 500/s
csms: {reconnect: {min_s: 0.1, jitter_s: 0, max_s: 0.2}}
groups:
  - {name: a, count: 20, behaviour: idle}
"""


class Terminal:
    """A pseudo-terminal with `chargepoint fleet run` in it, in the foreground of a session of its own."""

    def __init__(self, *arguments: str, cwd: Path, columns: int = 100, lines: int = 30, **env: str) -> None:
        (cwd / "fleet.yaml").write_text(FLEET)
        self._master, self._slave = pty.openpty()
        self.resize(columns, lines)
        self._as_it_was = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            ("setsid", "--ctty", "--wait", *COMMAND, "fleet", "run", *arguments),
            cwd=cwd,
            env=environment(TERM="xterm-256color", **env),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        self.text = ""

    def close(self) -> None:
        """Whatever still runs there is gone."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def as_it_was(self) -> bool:
        """Its modes are those from before."""
        return termios.tcgetattr(self._slave) == self._as_it_was

    @property
    def given_back(self) -> bool:
        """It shows its cursor and what was there before."""
        return self.text.rfind(SHOW_CURSOR) > self.text.rfind(HIDE_CURSOR) >= 0 and (
            self.text.rfind(LEAVE_SCREEN) > self.text.rfind(ENTER_SCREEN) >= 0
        )

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, pattern: str) -> str:
        """Read on until a whole picture, or what follows the last one, has it."""
        seen = len(self.text)
        while not re.search(pattern, ESCAPES.sub("", self.text[seen:])):
            assert self.read(), f"it ended without {pattern!r}: {self.text[seen:]}"
        return self.picture

    @property
    def picture(self) -> str:
        """The last one, without colours."""
        return ESCAPES.sub("", self.text.rpartition(HOME)[2]).replace("\r", "")

    def end(self) -> int:
        """Read the rest; the exit code."""
        while self.process.poll() is None:
            self.read()
        while self.read(0.0):
            pass
        assert "Traceback" not in self.text
        return self.process.returncode

    def read(self, patience_s: float = PATIENCE_S) -> bool:
        """Read what comes within that time; False if nothing does."""
        ends_at = time.monotonic() + patience_s
        while True:
            ready, _, _ = select.select([self._master], [], [], min(0.1, patience_s))
            if ready:
                self.text += os.read(self._master, 65536).decode(errors="replace")
                return True
            if self.process.poll() is not None or time.monotonic() > ends_at:
                return False


@contextlib.contextmanager
def terminal(*arguments: str, cwd: Path, columns: int = 100, lines: int = 30) -> Iterator[Terminal]:
    """A terminal that is closed when the test leaves it."""
    one = Terminal(*arguments, cwd=cwd, columns=columns, lines=lines)
    try:
        yield one
    finally:
        one.close()


def test_keys_steer_the_fleet_and_q_ends_it_in_good_order(tmp_path: Path) -> None:
    with terminal("fleet.yaml", cwd=tmp_path, columns=80, lines=24) as screen:
        screen.until(r"booted +20\b")
        assert not screen.as_it_was, "single keys are read without an echo"
        screen.type("b")
        screen.until(r"connected +0\b")
        screen.until("b power")
        screen.type("b")
        screen.until(r"booted +20\b")
        screen.type("n")
        screen.until(r"connected +0\b")
        screen.type("n")
        screen.until(r"booted +20\b")
        screen.type("+")
        screen.until(r"started 22 of 22")
        screen.type("-")
        screen.until(r"started 20 of 20")
        screen.type("p")
        screen.until("NEW ARRIVALS HELD")
        screen.type("psru?")
        picture = screen.until("back to the figures")
        assert "three times as many drivers" in picture
        screen.type("?\x1b[A")
        picture = screen.until(r"firmware 1\.0\.1 1/s")
        assert max(map(len, picture.splitlines())) <= 80
        assert picture.count("\n") <= 24
        screen.type("q")
        assert screen.end() == 0
        assert screen.as_it_was
        assert screen.given_back
        said = ESCAPES.sub("", screen.text.rpartition(LEAVE_SCREEN)[2])
    assert "ending in good order" in said
    for event in (
        "blackout",
        "return",
        "network-out",
        "2 more stations",
        "surge x3 for 10m",
        "rolling-restart 1/s",
    ):
        assert re.search(rf"0:00:\d\d  {event}", said), event
    assert re.search(r"(20|22) accepted by the central system", said)


def test_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    with terminal("--count=1", "--csms", f"ws://127.0.0.1:{refusing_port()}", cwd=tmp_path) as screen:
        screen.until("1 of 1 stations cannot connect")
        screen.type("\x03")
        assert screen.end() == 1, "nobody was accepted"
        assert "ending in good order" in screen.text
        assert screen.given_back
        assert screen.as_it_was


def test_so_it_is_when_ctrl_c_is_pressed_again_before_the_end(tmp_path: Path) -> None:
    """The central system hangs, and does not take what is to be delivered."""
    with Program("csms", "--port=0", "--json", "--quiet", cwd=tmp_path) as csms:
        url = json.loads(csms.until('"ready"'))["url"]
        with terminal("--count=1", "--clock=x60", "--csms", url, cwd=tmp_path) as screen:
            screen.until(r"charging +1\b")
            csms.signal(signal.SIGSTOP)
            screen.type("\x03")
            screen.until("ending in good order")
            assert screen.given_back
            assert screen.as_it_was
            while screen.process.poll() is None:
                screen.type("\x03")
                screen.read(0.15)
            assert screen.end() == 130
            assert screen.as_it_was


def test_it_follows_the_size_of_the_terminal_and_steps_aside(tmp_path: Path) -> None:
    with terminal("fleet.yaml", cwd=tmp_path, columns=200, lines=60) as screen:
        wide = screen.until(r"booted +20\b.*\n(.*\n)+.*help")
        assert 160 <= max(map(len, wide.splitlines())) <= 200
        screen.resize(60, 20)
        screen.until("help")
        screen.until("help")
        assert max(map(len, screen.picture.splitlines())) <= 60
        child = screen.process.pid  # setsid has become the command
        screen.type("\x1a")
        while "T" not in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]:
            screen.read(0.05)
        while screen.read(0.0):
            pass
        assert screen.as_it_was
        assert screen.given_back
        os.kill(child, signal.SIGCONT)
        screen.until("help")
        assert not screen.given_back
        screen.type("q")
        assert screen.end() == 0
        assert screen.as_it_was


def test_plain_lines_on_a_terminal_when_asked_for(tmp_path: Path) -> None:
    with terminal("fleet.yaml", "--plain", "--for=1s", cwd=tmp_path) as screen:
        assert screen.end() == 0
        assert "\x1b" not in screen.text
        assert "20/20 started" in screen.text
        assert screen.as_it_was


def test_metrics_are_served_while_it_runs(tmp_path: Path) -> None:
    with terminal("fleet.yaml", "--plain", "--metrics=0", cwd=tmp_path) as screen:
        screen.until(r"metrics: http://127\.0\.0\.1:\d+/metrics")
        screen.until("20 booted")
        found = re.search(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", screen.text)
        assert found
        with urllib.request.urlopen(found[1], timeout=10) as answer:
            text = answer.read().decode()
        assert 'chargepoint_fleet_stations{state="booted"} 20.0' in text
        assert 'action="BootNotification",kind="waited"' in text
        screen.type("\x03")
        assert screen.end() == 0


def test_metrics_that_cannot_be_served_are_one_line(tmp_path: Path) -> None:
    done = chargepoint("fleet", "run", "--metrics", "203.0.113.1:9100", cwd=tmp_path)
    assert done.returncode == 2
    assert "--metrics 203.0.113.1:9100: cannot listen there: " in done.stderr
    done = chargepoint("fleet", "run", "--metrics", "nine", cwd=tmp_path)
    assert done.returncode == 2
    assert "'nine' is no address: write 9100" in done.stderr
