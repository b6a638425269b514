"""An emulated PN532 card reader on a pseudo terminal, with faults on demand."""

from __future__ import annotations

from dataclasses import dataclass

from hal.emulators.pty_bus import PtyBus
from hal.serial.pn532 import ACK, FROM_READER, NACK, SYNTAX_ERROR, TO_READER, Frames, frame


@dataclass
class Pn532Faults:
    """What goes wrong from now on; the counts are of commands and go down."""

    silent: int = 0  # no acknowledgement and no answer
    unanswered: int = 0  # acknowledged, then nothing
    bad_checksum: int = 0  # answers
    protests: int = 0  # answered with NACK
    syntax_errors: int = 0  # answered with the error frame
    garbage: bytes = b""  # before each answer
    pieces: bool = False  # answers come byte by byte


class Pn532Emulator:
    """One reader at port 0 of `bus`. `card` is what is in its field; `heard` are its commands.

    It sleeps until it is woken, and sees cards once its SAM is configured, as the real one.
    """

    def __init__(self, bus: PtyBus) -> None:
        self.faults = Pn532Faults()
        self.card: str | None = None
        self.heard: list[bytes] = []
        self._say = bus.attach(self._hear)
        self._awake = False
        self._configured = False
        self._frames = Frames()

    def restart(self) -> None:
        """Its supply was interrupted."""
        self._awake = self._configured = False

    def _hear(self, source: int, data: bytes) -> None:
        if data.startswith(b"\x55\x55\x00"):
            self._awake = True
        if not self._awake:
            return
        for content in self._frames.feed(data):
            if content[0] == TO_READER:
                self._command(content[1:])

    def _command(self, command: bytes) -> None:
        self.heard.append(command)
        faults = self.faults
        if faults.silent:
            faults.silent -= 1
        elif faults.protests:
            faults.protests -= 1
            self._say(NACK)
        elif faults.syntax_errors:
            faults.syntax_errors -= 1
            self._say(ACK + frame(SYNTAX_ERROR))
        elif faults.unanswered:
            faults.unanswered -= 1
            self._say(ACK)
        else:
            self._answer(bytes((FROM_READER, command[0] + 1)) + self._obey(command))

    def _answer(self, content: bytes) -> None:
        data = frame(content)
        if self.faults.bad_checksum:
            self.faults.bad_checksum -= 1
            data = data[:-3] + bytes((data[-3] ^ 1,)) + data[-2:]
        said = ACK + self.faults.garbage + data
        for piece in [said[at : at + 1] for at in range(len(said))] if self.faults.pieces else [said]:
            self._say(piece)

    def _obey(self, command: bytes) -> bytes:
        if command[0] == 0x14:
            self._configured = True
        if command[0] != 0x4A:
            return b""
        if self.card is None or not self._configured:
            return b"\x00"
        uid = bytes.fromhex(self.card)
        return b"\x01\x01\x00\x04\x08" + bytes((len(uid),)) + uid
