"""The part a charge point played in a recording, as things to do and to wait for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from chargepoint.errors import ConfigError
from scenarios.recorded import Frame, Happening, Recorded

__all__ = ["Move", "moves_of"]


@dataclass(slots=True)
class Move:
    """One thing to do or to wait for, in the order of the recording."""

    at: float
    frame: Frame | None = None
    kind: Literal["call", "raw", "asked", "online", "offline"] = "raw"
    answer: Frame | None = None  # the other side's, or ours, as recorded
    answered_before: int = 0  # the place of the first move that came after the answer
    state: Literal["waiting", "open", "replying", "done"] = "waiting"  # open: the clock is held for it
    now_id: str = ""


def moves_of(recorded: Recorded) -> list[Move]:
    """What there is to do, each with the answer it got. Raises `ConfigError` if that is nothing."""
    moves: list[Move] = []
    ours: dict[str, deque[Move]] = {}
    theirs: dict[str, deque[Move]] = {}
    online = True
    for record in recorded.records:
        if isinstance(record, Happening):
            if record.event == "connection" and bool(record.fields.get("online")) != online:
                online = not online
                moves.append(Move(record.at, kind="online" if online else "offline"))
            continue
        message_id = record.message_id or ""
        if record.kind == "UNKNOWN":
            if record.outgoing:
                moves.append(Move(record.at, record))
        elif record.kind == "CALL":
            if not online:  # a log that does not say when the link came back
                online = True
                moves.append(Move(record.at, kind="online"))
            move = Move(record.at, record, "call" if record.outgoing else "asked")
            (ours if record.outgoing else theirs).setdefault(message_id, deque()).append(move)
            moves.append(move)
        else:
            waiting = (theirs if record.outgoing else ours).get(message_id)
            if waiting:
                move = waiting.popleft()
                move.answer, move.answered_before = record, len(moves)
    while moves and moves[-1].kind == "offline":  # the end of the recording, which ends the replay
        moves.pop()
    if not any(move.kind == "call" for move in moves):
        raise ConfigError(
            [f"{recorded.source}: the charge point says nothing in it: there is nothing to replay"]
        )
    return moves
