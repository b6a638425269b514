"""Faults of single messages: lost, doubled, overtaken, damaged, mislabelled, unanswered."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from chargepoint.domain import chance
from chargepoint.rpc import frames
from scenarios.faults.fault import Place
from scenarios.faults.line import FaultyLine, Message, Way
from scenarios.faults.model import Disturbance

__all__ = ["MessageFault"]

LATE_S = 45.0  # beyond every usual time-out
OVERTAKEN_WITHIN_S = 5.0

_NO_BOOT = -2  # no start of a station has this number, so no message id of its own is ever met
_ANSWERS_ONLY = frozenset({"withhold", "late", "twice"})


class MessageFault:
    """One kind of misfortune for the messages that are chosen; chance is drawn for each, by direction."""

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        self._kind = disturbance.frame or "drop"
        answers_only = self._kind in _ANSWERS_ONLY
        self._of = "answers" if answers_only else disturbance.of or "all"
        self._way = disturbance.direction or ("from_csms" if answers_only else "both")
        self._action = disturbance.action
        self._chance = disturbance.chance
        self._left = disturbance.times
        self._delay_s = disturbance.delay
        self._size = disturbance.size
        self._type = disturbance.message_type
        self._place = place
        self._name = disturbance.called

    async def strike(self) -> None:
        """From the next message on."""
        self._place.line.faults.append(self)

    async def heal(self) -> None:
        """No more; what is late comes nevertheless."""
        if self in self._place.line.faults:
            self._place.line.faults.remove(self)

    def wants(self, message: Message) -> bool:
        """It is of the kind, its turn, and chance says so."""
        fits = (
            self._way in ("both", message.way)
            and (self._of == "all" or message.call == (self._of == "calls"))
            and self._action in (None, message.action)
        )
        if not fits or self._left == 0:
            return False
        if self._chance < 1 and self._draw("chance", message.way) >= self._chance:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def act(self, line: FaultyLine, message: Message, data: bytes) -> None:
        """Do it."""
        kind = "request" if message.call else "answer"
        self._place.struck(f"{self._kind}: {message.action or 'unknown'} {kind}, {message.way}")
        match self._kind:
            case "drop" | "withhold":
                line.lose(message)
            case "late":
                line.pass_on(message, data, LATE_S if self._delay_s is None else self._delay_s)
            case "duplicate" | "twice":
                line.pass_on(message, data)
                line.pass_on(message, data, self._delay_s or 0.0)
                line.linger()
            case "reorder":
                line.keep(message, data, OVERTAKEN_WITHIN_S if self._delay_s is None else self._delay_s)
            case "oversize":
                self._grow(line, message, data)
            case _:
                line.pass_on(message, _DAMAGE[self._kind](self, message, data), damaged=True)

    def _grow(self, line: FaultyLine, message: Message, data: bytes) -> None:
        """Spaces before the end: the longest message that still says the same."""
        grown = data[:-1] + b" " * (self._size - len(data)) + data[-1:]
        station = self._place.station
        if message.way == "from_csms" and len(grown) > station.type.max_frame_bytes:
            # The station's link never takes that much in: it closes with 1009 (RFC 6455 §7.4.1).
            station.wire.call_at(station.wire.now(), lambda: station.link.drop(1009))
            return
        line.pass_on(message, grown, damaged=True)

    def _corrupt(self, message: Message, data: bytes) -> bytes:
        """One character is another; the text stays UTF-8, or the WebSocket would end."""
        places = [n for n, byte in enumerate(data) if byte < 0x80]
        n = places[int(self._draw("place", message.way) * len(places))]
        other = 0x21 + int(self._draw("character", message.way) * 0x5D)
        return data[:n] + bytes((other + (other == data[n]),)) + data[n + 1 :]

    def _truncate(self, message: Message, data: bytes) -> bytes:
        """The end is missing, and at least the last bracket."""
        return (
            data[: 1 + int(self._draw("cut", message.way) * (len(data) - 1))].decode(errors="ignore").encode()
        )

    def _wrong_id(self, message: Message, data: bytes) -> bytes:
        """The id of no CALL there ever was."""
        n = self._place.count("id")
        station = self._place.station.identity
        return _relabelled(
            data, 1, chance.message_id(self._place.seed, f"{station} {self._name}", _NO_BOOT, n)
        )

    def _wrong_type(self, message: Message, data: bytes) -> bytes:
        return _relabelled(data, 0, self._type)

    def _draw(self, what: str, way: Way) -> float:
        return self._place.chance(f"{self._name} {what} {way}")


def _relabelled(data: bytes, place: int, label: str | int) -> bytes:
    frame = frames.decode(data)
    frame[place] = label
    return orjson.dumps(frame)


_DAMAGE: dict[str, Callable[[MessageFault, Message, bytes], bytes]] = {
    "corrupt": MessageFault._corrupt,
    "truncate": MessageFault._truncate,
    "wrong_id": MessageFault._wrong_id,
    "wrong_type": MessageFault._wrong_type,
}
