"""An emulated RDM6300 card reader on a pseudo terminal."""

from __future__ import annotations

from hal.emulators.pty_bus import PtyBus
from hal.serial.rdm6300 import frame


class Rdm6300Emulator:
    """One reader at port 0 of `bus`: a card is said `repeats` times each time it is presented."""

    def __init__(self, bus: PtyBus, *, repeats: int = 4) -> None:
        self._bus = bus
        self._say = bus.attach(lambda source, data: None)
        self.repeats = repeats

    def present(self, uid: str) -> None:
        """Hold a card before it; `uid` has ten hex digits."""
        self._say(frame(uid) * self.repeats)

    def present_garbled(self, uid: str) -> None:
        """A card at the edge of the field: its frames have a digit misread."""
        good = frame(uid)
        self._say((good[:3] + (b"0" if good[3:4] != b"0" else b"1") + good[4:]) * self.repeats)

    def present_cut(self, uid: str) -> None:
        """A card drawn away in the middle of a frame."""
        self._say(frame(uid)[:9])

    def noise(self, data: bytes) -> None:
        """Bytes that mean nothing."""
        self._say(data)
