"""What one bad habit can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from chargepoint.tamper import Edge

__all__ = ["Call", "Line", "Payload", "Quirk"]

Payload = dict[str, Any]


class Line(Protocol):
    """What a quirk may do at its station's line."""

    edge: Edge

    def chance(self, purpose: str) -> float:
        """The next draw about `purpose`, in [0, 1)."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later on the station's clock, unless the station ends before."""

    def call(self, action: str, payload: Any) -> None:
        """Send a CALL the station knows nothing of, once the line is free; without a link it is forgotten."""


@dataclass(slots=True)
class Call:
    """A CALL of the station on its way out; a quirk that edits `payload` sets `changed`."""

    message_id: str
    action: str
    payload: Payload
    changed: bool = False
    delay_s: float = 0.0  # it leaves so much later, its answer being made up at once
    swallowed: Payload | None = None  # it never leaves, and this is its made-up answer
    twice: bool = False  # it is sent once more, under another message id
    wanted_at: float = 0.0  # of one the station knows nothing of, on `Host.wire`
    sent_at: float = 0.0
    repeats: str | None = None  # the message id of the station's own CALL that it says again

    def readings(self) -> Iterator[Payload]:
        """The meter values in it: what has a timestamp and sampled values."""
        yield from self.payload.get("meterValue", ())
        yield from self.payload.get("transactionData", ())

    def samples(self) -> Iterator[Payload]:
        """Every sampled value in it."""
        for reading in self.readings():
            yield from reading["sampledValue"]


class Quirk:
    """One bad habit of one station: overrides what it meddles with. `value` is what it is set to."""

    __slots__ = ("line", "value")

    line: Line

    def __init__(self, value: Any) -> None:
        self.value = value

    def settle_in(self, line: Line) -> None:
        """It has its line."""
        self.line = line

    def link_up(self) -> None:
        """Connected; the station does not know yet."""

    def on_call(self, call: Call) -> None:
        """The station sends a CALL, which may still be changed."""

    def rename(self, action: str, message_id: str) -> str:
        """The message id under which a CALL, the station's or a made-up one, goes out now."""
        return message_id

    def on_request(self, action: str, payload: Any) -> Payload | str | None:
        """The central system sends a CALL: a result or the code of an error in the station's place.

        None lets the station see it. The payload is as it came, checked by nobody.
        """
        return None

    def thinks_s(self, action: str) -> float:
        """How long such a CALL is on its way to whoever does what it says, and answers it."""
        return 0.0
