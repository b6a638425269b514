"""The keys with which a person steers a running fleet, and the terminal they are read from."""

from __future__ import annotations

import asyncio
import os
import re
import termios
from collections.abc import Callable
from typing import Any, Protocol

from chargepoint.cli.fleet_lines import Troubled
from chargepoint.fleet.events import FleetEvent, parse
from chargepoint.fleet.plan.plan import Plan

MOST_AT_A_PRESS = 100
"""Stations that `+` and `-` add and take away, of a large fleet; of a smaller one a tenth."""

SPREAD_S = 60.0
"""In which time all stations had their turn at what happens to one after the other."""

LEAST_RAMP_PER_S, MOST_RAMP_PER_S = 0.1, 10_000.0


class Steered(Troubled, Protocol):
    """A fleet as far as a person steers and watches it: in this process, or in several."""

    plan: Plan
    planned: int
    held: bool

    @property
    def ramp_per_s(self) -> float | None:
        """How many stations start in a second; None: all were started."""

    def perform(self, event: FleetEvent) -> None:
        """Let something happen."""

    def add(self, count: int) -> None:
        """So many more stations."""

    def remove(self, count: int) -> None:
        """So many fewer."""

    def hold(self, held: bool) -> None:
        """While it is held no new station starts and no new driver comes."""

    def ramp_at(self, per_s: float) -> None:
        """So many stations start in a second."""


class Steering:
    """What each key does; `end` is the orderly end."""

    def __init__(self, fleet: Steered, end: Callable[[], None]) -> None:
        self._fleet = fleet
        self._out: set[str] = set()  # what was taken away and not given back
        self._urls = list(dict.fromkeys(url for group in fleet.plan.groups for url in group.urls))
        self._at_url = 0
        self._versions = {
            group.name: "-".join((group.config.station.firmware_version or "1.0.0").split())
            for group in fleet.plan.groups
        }
        self.actions: dict[str, Callable[[], None]] = {
            "b": lambda: self._switch("blackout"),
            "n": lambda: self._switch("network-out"),
            "r": lambda: self._event(f"rolling-restart {self._spread()}"),
            "s": lambda: self._event("surge x3 for 10m"),
            "u": self._update,
            "+": self._more,
            "-": self._fewer,
            "p": lambda: fleet.hold(not fleet.held),
            "q": end,
        }
        if len(self._urls) > 1:
            self.actions["f"] = self._fail_over

    def press(self, key: str) -> bool:
        """Do what the key says; False if it says nothing."""
        action = self.actions.get({"=": "+", "_": "-"}.get(key, key.lower()))
        if action is not None:
            action()
        return action is not None

    def words(self) -> list[tuple[str, str, str]]:
        """The keys that do something now: key, word and explanation."""
        power, network = ("blackout" in self._out), ("network-out" in self._out)
        ramp = self._fleet.ramp_per_s is not None
        step = self._step
        more = "twice as fast a ramp" if ramp else f"{step} more stations"
        fewer = "half as fast a ramp" if ramp else f"{step} stations fewer"
        words = [
            ("b", "power" if power else "blackout", "the power of all stations goes, or comes back"),
            ("n", "net back" if network else "net", "the network of all goes, or comes back"),
            ("r", "restart", f"all restart one after the other, {self._spread()}"),
            ("s", "surge", "three times as many drivers for 10 minutes"),
            ("u", "update", "all restart with the next firmware version of their group, within a minute"),
            ("+", "more", more),
            ("-", "less", fewer),
            ("p", "go on" if self._fleet.held else "pause", "no new station starts, no new driver comes"),
            ("q", "quit", "end in good order: transactions end and are delivered"),
        ]
        if "f" in self.actions:
            words.insert(4, ("f", "move", "all move to the next of the central systems"))
        return words

    def _event(self, text: str) -> None:
        self._fleet.perform(parse(text))

    def _switch(self, what: str) -> None:
        if what not in self._out:
            self._out.add(what)
            self._event(what)
        else:
            self._out.clear()  # it gives back power and network alike
            self._event("return")

    def _spread(self) -> str:
        return spread(self._fleet.planned)

    def _fail_over(self) -> None:
        self._at_url = (self._at_url + 1) % len(self._urls)
        self._event(f"failover {self._urls[self._at_url]}")

    def _update(self) -> None:
        """Each group its own next version."""
        for group in self._fleet.plan.groups:
            version = self._versions[group.name] = next_version(self._versions[group.name])
            only = f" group={_quoted(group.name)}" if len(self._versions) > 1 else ""
            self._event(f"firmware {version} {spread(group.count)}{only}")

    @property
    def _step(self) -> int:
        return min(MOST_AT_A_PRESS, max(1, self._fleet.planned // 10))

    def _more(self) -> None:
        if (per_s := self._fleet.ramp_per_s) is not None:
            self._fleet.ramp_at(min(per_s * 2, MOST_RAMP_PER_S))
        else:
            self._fleet.add(self._step)

    def _fewer(self) -> None:
        if (per_s := self._fleet.ramp_per_s) is not None:
            self._fleet.ramp_at(max(per_s / 2, LEAST_RAMP_PER_S))
        elif self._fleet.planned > 1:
            self._fleet.remove(self._step)


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


def spread(count: int) -> str:
    """How many a second, so that all of so many had their turn in about a minute."""
    return f"{max(1, round(count / SPREAD_S))}/s"


def next_version(version: str) -> str:
    """One more in its last number: 1.0.9 -> 1.0.10; without a number one is put behind it."""
    found = re.search(r"\d+(?=\D*$)", version)
    if found is None:
        return f"{version[:48]}.1"
    return f"{version[: found.start()]}{int(found[0]) + 1}{version[found.end() :]}"


class Keyboard:
    """Single keys of a terminal, as they are pressed, on the running loop; `close` leaves it as it was.

    Ctrl-C and Ctrl-Z keep their meaning; Ctrl-S does not stop the output, which would stop the fleet.
    """

    def __init__(self, descriptor: int, pressed: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._pressed = pressed
        self._before: list[Any] | None = None

    @staticmethod
    def usable(descriptor: int) -> bool:
        """It is a terminal, and ours: a job in the background that touches it is stopped."""
        try:
            return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:
            return False

    def open(self) -> None:
        """Begin to listen."""
        self._before = termios.tcgetattr(self._descriptor)
        single = termios.tcgetattr(self._descriptor)
        single[0] &= ~termios.IXON
        single[3] &= ~(termios.ICANON | termios.ECHO)
        single[6][termios.VMIN], single[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSANOW, single)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Listen no more; once is enough."""
        before, self._before = self._before, None
        if before is None:
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, before)
        except termios.error:  # the terminal is gone
            return

    def _read(self) -> None:
        try:
            typed = os.read(self._descriptor, 64)
        except OSError:
            typed = b""
        if not typed:
            self.close()
            return
        if not typed.startswith(b"\x1b"):  # a cursor key is a letter behind an escape
            for key in typed.decode(errors="ignore"):
                self._pressed(key)
