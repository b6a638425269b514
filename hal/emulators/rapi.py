"""An emulated OpenEVSE: RAPI over an outlet, on a pseudo terminal, with faults on demand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hal.api import CONNECTED, Clock, PilotState
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.serial.rapi import LONGEST_REQUEST, frame

_CODES = {PilotState.A: 1, PilotState.B: 2, PilotState.C: 3, PilotState.D: 4, PilotState.E: 5}
_SLEEPING, _DISABLED = 0xFE, 0xFF
_SESSION_JOULES = 3600.0


@dataclass
class RapiFaults:
    """What goes wrong from now on; the counts are of questions and go down."""

    silent: int = 0  # questions that get no answer
    bad_checksum: int = 0  # answers
    garbled: int = 0  # questions that arrive garbled: they are refused without their number
    refused: set[str] = field(default_factory=set)  # commands that are refused
    chatter: bool = False  # news between each question and its answer
    garbage: bytes = b""  # before each answer
    late: bool = False  # each answer is followed by that to the question before
    deaf: bool = False  # currents are confirmed and not taken over
    no_numbers: bool = False  # firmware that does not repeat numbers
    truncated: int = 0  # answers without their end
    delayed: int = 0  # answers that take `delay_s`
    delay_s: float = 0.6
    twice: bool = False  # each answer comes twice
    pieces: bool = False  # answers come byte by byte


class RapiEmulator:
    """One controller at port 0 of `bus`. `heard` are its questions, numbers left out.

    `fault` puts it into a state of its own, None ends that; `press` and `turn` are a person at it; after
    `reboot` it has its stored current and is enabled. `boot_locked`, `auth_locked`: it waits for its master
    before it lets a vehicle charge.
    """

    def __init__(
        self,
        bus: PtyBus,
        outlet: Outlet,
        clock: Clock,
        *,
        max_current_a: int = 32,
        stored_current_a: int = 24,
        ammeter: bool = True,
    ) -> None:
        self.faults = RapiFaults()
        self.heard: list[str] = []
        self.temperatures: tuple[int, int, int] = (231, -2560, -2560)
        self.amperes = stored_current_a
        self.boot_locked = False
        self.auth_locked = False
        self._bus = bus
        self._outlet = outlet
        self._clock = clock
        self._max_a = max_current_a
        self._stored_a = stored_current_a
        self._ammeter = ammeter
        self._asleep: int | None = None  # the state's code while it is not enabled
        self._fault: int | None = None
        self._supervision: tuple[int, int] = (0, 6)
        self._stored_supervision = 0  # how often it was written to EEPROM
        self._pulsed_at = clock.now()
        self._missed = 0
        self._connected = outlet.evse.pilot in CONNECTED
        self._session_from_wh = self._total_wh = outlet.reading().energy_wh
        self._session_wh = 0.0
        self._buffer = b""
        self._last = b""
        self._say = bus.attach(self._hear)
        outlet.evse.listener = self

    @property
    def eeprom_writes(self) -> int:
        """How often something was written to its EEPROM."""
        return self._stored_supervision + sum(
            words[0] == "SC" and words[-1] != "V" for question in self.heard if (words := question.split())
        )

    @property
    def state(self) -> int:
        """Its state as $GS tells it."""
        if self._fault is not None:
            return self._fault
        if self._asleep is not None:
            return self._asleep
        return _CODES.get(self._outlet.pilot, 1)

    def fault(self, code: int | None) -> None:
        """It notices something wrong, for example 6, its residual current detection; None: it is gone."""
        self._fault = code
        self._apply()
        self.announce()

    def press(self) -> None:
        """Somebody uses its button."""
        self.say("AN 0")

    def turn(self, current_a: float) -> None:
        """Somebody changes its current; 0 puts it to sleep."""
        self._asleep = None if current_a else _SLEEPING
        self.amperes = round(current_a) or self.amperes
        self._apply()
        self.announce()

    def reboot(self) -> None:
        """It restarts, as after a power cut."""
        self.amperes, self._asleep, self._missed = self._stored_a, None, 0
        self._pulsed_at = self._clock.now()
        self._apply()
        self.say("AB 00 5.1.0")

    def announce(self) -> None:
        """Say the state unasked."""
        self.say(f"AT {self.state:02X} {self._signalled:02X} {self.amperes} {self._flags:04X}")

    def say(self, body: str) -> None:
        """Say something unasked."""
        self._say(frame(body))

    def close(self) -> None:
        """Leave the line."""
        self._bus.detach(self._hear)
        self._outlet.evse.listener = None

    def evse_changed(self) -> None:
        connected = self._outlet.evse.pilot in CONNECTED
        energy_wh = self._outlet.reading().energy_wh
        if connected and not self._connected:
            self._session_from_wh = energy_wh
        elif self._connected and not connected:
            self._session_wh = energy_wh - self._session_from_wh
            self._total_wh += int(self._session_wh)
        self._connected = connected
        self.announce()

    @property
    def _signalled(self) -> int:
        return _CODES.get(self._outlet.pilot, 1)

    @property
    def _flags(self) -> int:
        locked = 0x4000 * self.boot_locked | 0x0008 * self.auth_locked
        there = 0x0100 * self._connected | 0x0040 * self._outlet.closed
        return locked | there | 0x0002 * (self._fault is not None)

    def _apply(self) -> None:
        if self._fault is not None or self._asleep == _DISABLED:
            self._outlet.signal(0.0)
            self._outlet.cut()
        elif self._asleep == _SLEEPING or self.boot_locked or self.auth_locked:
            self._outlet.signal(0.0)
        else:
            self._outlet.signal(float(self.amperes))

    def _look(self) -> None:
        """What it does by itself: its firmware would in its own loop."""
        interval_s, amperes = self._supervision
        if interval_s and self._clock.now() - self._pulsed_at > interval_s and self._missed != 2:
            self._missed = 2
            self.amperes = min(self.amperes, amperes)
            self._apply()

    def supervise(self) -> None:
        """Look at the clock now, as its firmware does all the time."""
        self._look()

    def _hear(self, source: int, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\r")
        for line in lines:
            start = line.rfind(b"$")
            if start >= 0:
                self._question(line[start:])

    def _question(self, line: bytes) -> None:
        body, _, checksum = line.partition(b"^")
        if len(line) + 1 > LONGEST_REQUEST:
            return
        if checksum and frame(body[1:].decode("ascii", "replace")) != line + b"\r":
            self._answer("NK")
            return
        words = body[1:].decode("ascii").split()
        number = ""
        if words[-1].startswith(":"):
            number = " " + words.pop()
        faults = self.faults
        if faults.garbled:
            faults.garbled -= 1
            self._answer("NK")
            return
        self.heard.append(" ".join(words))
        self._look()
        if faults.silent:
            faults.silent -= 1
            return
        if faults.chatter:
            self.announce()
            self.say("WF 3")
        said = "NK" if words[0] in faults.refused else self._obey(words[0], words[1:])
        self._answer(said + ("" if faults.no_numbers else number))

    def _answer(self, body: str) -> None:
        data = frame(body)
        if self.faults.bad_checksum:
            self.faults.bad_checksum -= 1
            data = data[:-3] + b"%02X\r" % (int(data[-3:-1], 16) ^ 0x55)
        late = self._last if self.faults.late else b""
        self._last = data
        if self.faults.truncated:
            self.faults.truncated -= 1
            data = data[:-4]
        said = late + self.faults.garbage + data * (2 if self.faults.twice else 1)
        if self.faults.delayed:
            self.faults.delayed -= 1
            asyncio.get_running_loop().call_later(self.faults.delay_s, self._say, said)
            return
        for piece in [said[at : at + 1] for at in range(len(said))] if self.faults.pieces else [said]:
            self._say(piece)

    def _obey(self, command: str, words: list[str]) -> str:
        if command == "GS":
            return f"OK {self.state:02X} 10 {self._signalled:02X} {self._flags:04X}"
        if command == "GV":
            return "OK 5.1.0 5.2.1"
        if command == "GC":
            return f"OK 6 {self._max_a} {self.amperes} {self._max_a}"
        if command == "GP":
            return "OK " + " ".join(map(str, self.temperatures))
        if command == "GG":
            return f"OK {self._milliamperes()} 230000"
        if command == "GU":
            now_wh = self._outlet.reading().energy_wh
            session_wh = now_wh - self._session_from_wh if self._connected else self._session_wh
            return f"OK {int(session_wh * _SESSION_JOULES)} {int(self._total_wh)}"
        if command in ("FE", "FS", "FD"):
            self._asleep = {"FE": None, "FS": _SLEEPING, "FD": _DISABLED}[command]
            self._fault = None  # it forgets, and looks anew
            self._apply()
            return "OK"
        if command == "SB" or (command == "S4" and words):
            self.boot_locked = self.boot_locked and command != "SB"
            self.auth_locked = words == ["1"] if command == "S4" else self.auth_locked
            self._apply()
            return "OK"
        if command == "SC" and words:
            return self._capacity(int(words[0]))
        if command == "SY":
            return self._supervise([int(word) for word in words])
        return "NK"

    def _milliamperes(self) -> int:
        """The firmware knows no power factor: its current times its voltage is the power."""
        return round(self._outlet.reading().power_w / 0.23) if self._ammeter else -1

    def _capacity(self, amperes: int) -> str:
        possible = min(max(amperes, 6), self._max_a)
        if not self.faults.deaf:
            self.amperes = possible
            self._apply()
        return f"{'OK' if possible == amperes else 'NK'} {possible}"

    def _supervise(self, words: list[int]) -> str:
        if len(words) == 2:
            self._stored_supervision += (words[0], words[1]) != self._supervision
            self._supervision = (words[0], words[1])
        elif words == [165]:
            self._missed = 1
            self.amperes = self._max_a
            self._apply()
        self._pulsed_at = self._clock.now()
        interval_s, amperes = self._supervision
        return f"{'NK' if self._missed == 2 else 'OK'} {interval_s} {amperes} {self._missed}"
