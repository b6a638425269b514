"""`chargepoint demo`, which `make run` runs: in a pipe, in a terminal, with Ctrl-C and without a reader."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.e2e.shell import COMMAND, PATIENCE_S, chargepoint, environment, having
from tests.standstills import Standstills, again_after_a_standstill

# One group: the demonstration in a pipe is played once, whatever the number of test processes.
pytestmark = pytest.mark.xdist_group("demo")

SPEEDS = (600, 600, 300, 120, 60)
LEAPS_AT_MOST_S = 120.0
"""Of the demonstration's time, in which its central system acts every few minutes."""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one demonstration prints into a pipe, as fast as the machine can without leaping over parts."""
    for speed in SPEEDS:
        with Standstills() as seen:
            done = chargepoint("demo", f"--speed={speed}", cwd=tmp_path_factory.mktemp("demo"))
        if seen.longest_s * speed < LEAPS_AT_MOST_S:
            break
    assert done.returncode == 0
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_pipe_gets_plain_lines(lines: list[str]) -> None:
    assert not any("\x1b" in line or "│" in line for line in lines)
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines[: lines.index("")])


def test_the_frames_are_told_one_line_each(lines: list[str]) -> None:
    for frame in (
        "→ BootNotification {",
        "← BootNotification answer {",
        "→ Authorize {",
        "→ StartTransaction {",
        "← RemoteStartTransaction {",
        "→ MeterValues {",
        "→ StopTransaction {",
    ):
        assert having(lines, frame), frame


def test_the_power_follows_the_profile(lines: list[str]) -> None:
    offers = [re.search(r"connector 1  offers (\d+) A", line) for line in lines]
    assert [int(offer[1]) for offer in offers if offer] == [32, 10, 6, 0, 13, 32, 0]
    states = [re.search(r"= connector 1  .*drawn ([\d.]+) A  ([\d.]+) kW", line) for line in lines]
    drawn = [(float(state[1]), float(state[2])) for state in states if state]
    seen = [drawn[0], *(new for old, new in itertools.pairwise(drawn) if new != old)]
    # A compact car on three phases takes 16 A, and what it is offered if that is less. So fast a clock may
    # skip one of these on a busy machine, not most of them.
    expected = [(16.0, 10.65), (10.0, 6.55), (6.0, 3.73), (0.0, 0.0), (13.0, 8.61), (16.0, 10.65)]
    rest = iter(expected)
    assert all(state in rest for state in seen), seen
    assert len(seen) >= 4


def test_the_summary_has_energy_duration_peak_and_bill(lines: list[str]) -> None:
    begin = lines.index("What it came to:")
    rows = [line.split() for line in lines[begin + 2 : begin + 4]]
    assert [(row[0], row[1], row[6], row[7]) for row in rows] == [
        ("1", "CARD-1", "10.65", "kW"),
        ("2", "APP-2", "3.56", "kW"),
    ]
    for row in rows:
        minutes, kwh, billed_kwh = float(row[2]), float(row[4]), float(row[8])
        assert minutes == pytest.approx(35 if row[0] == "1" else 24, abs=6)
        assert kwh > 1
        assert billed_kwh == kwh


def test_three_commands_to_try_next_are_named(lines: list[str]) -> None:
    commands = lines[lines.index("Try next:") + 2 :: 2]
    assert [command.split("chargepoint ")[1].split()[0] for command in commands] == ["run", "check", "run"]


def test_a_reader_that_goes_away_ends_it_without_a_word(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*COMMAND, "demo"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr.read() == b""


class Terminal:
    """A demonstration in a terminal of its own, 80 columns wide."""

    def __init__(self, cwd: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            (*COMMAND, "demo", "--speed=60"),
            cwd=cwd,
            env=environment(TERM="xterm-256color", COLUMNS="80"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.text = ""

    def until(self, part: str) -> None:
        """Read until `part` was shown."""
        while part not in self.text:
            if not self._read():
                raise AssertionError(f"it ended without {part!r}: {self.text}")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read the rest; the exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # everybody has closed the terminal
            return False
        self.text += chunk.decode(errors="replace")
        return bool(chunk)


@again_after_a_standstill
def test_ctrl_c_in_a_terminal_ends_it_in_good_order_within_moments(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.until("DEMO")
        terminal.until("Authorize")
        terminal.until("offers 32 A")
        pressed_at = time.monotonic()
        terminal.type("\x03")
        code = terminal.end()
    finally:
        terminal.process.kill()
    assert code == 0
    assert time.monotonic() - pressed_at < 5
    assert "Traceback" not in terminal.text
    assert terminal.text.rfind(SHOW_CURSOR) > terminal.text.rfind(HIDE_CURSOR) >= 0
    shown = [ESCAPES.sub("", line).strip("\r") for line in terminal.text.splitlines()]
    assert having(shown, "Interrupted. What it came to:")
    assert having(shown, "StopTransaction {")
    assert having(shown, "Try next:")
    assert max(map(len, shown)) <= 80
