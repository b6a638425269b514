"""Which status may follow which, written down from OCPP 1.6 §4.9 and errata 3.20, and a check of whole runs.

It reads the events of the control protocol (`status`, `ocpp`, `connection`), so every run that has them can
be checked, whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_TABLE = """
from \\ to      Available Preparing Charging SuspendedEV SuspendedEVSE Finishing Reserved Unavailable Faulted
Available      .         A2        A3       A4          A5            -         A7       A8          A9
Preparing      B1        .         B3       B4          B5            B6        -        -           B9
Charging       C1        -         .        C4          C5            C6        -        C8          C9
SuspendedEV    D1        -         D3       .           D5            D6        -        D8          D9
SuspendedEVSE  E1        -         E3       E4          .             E6        -        E8          E9
Finishing      F1        F2        -        -           -             .         -        F8          F9
Reserved       G1        G2        -        -           -             -         .        G8          G9
Unavailable    H1        H2        H3       H4          H5            -         -        .           H9
Faulted        I1        I2        I3       I4          I5            I6        I7       I8          .
"""


def _edges() -> dict[tuple[str, str], str]:
    header, *rows = (line.split() for line in _TABLE.strip().splitlines())
    columns = header[3:]
    return {
        (row[0], column): cell
        for row in rows
        for column, cell in zip(columns, row[1:], strict=True)
        if cell not in ".-"
    }


EDGES: dict[tuple[str, str], str] = _edges()
"""Every legal pair of consecutive statuses of a connector -> the specification's name for it."""

STATION = frozenset({"Available", "Unavailable", "Faulted"})
"""The statuses of connector 0, each of which may follow each other."""


def legal(connector: int, before: str, after: str) -> bool:
    """`after` may follow `before`; the same status again only says something else about it."""
    if connector == 0:
        return before in STATION and after in STATION
    return before == after or (before, after) in EDGES


def illegal(events: Iterable[Mapping[str, Any]], wire: bool = True) -> list[str]:
    """Every illegal pair in a run: of local statuses, and, within each connection, of statuses told.

    `wire` False looks at the local ones only. What is told is looked at as long as MinimumStatusDuration is
    0, since a status that lived shorter may be left out; each BootNotification begins anew.
    """
    found: list[str] = []
    here: dict[int, str] = {}
    told: dict[int, str] = {}
    for event in events:
        if event["event"] == "status":
            _follow(found, "status event", here, int(event["connector"]), str(event["status"]))
        elif event["event"] == "connection":
            told.clear()
        elif event["event"] == "ocpp" and wire:
            frame = event["frame"]
            if not isinstance(frame, list) or frame[0] != 2:
                continue
            if frame[2] == "BootNotification":
                told.clear()
            elif frame[2] == "StatusNotification" and event["dir"] == "tx":
                _follow(found, "wire", told, int(frame[3]["connectorId"]), str(frame[3]["status"]))
            elif _slows(frame):
                wire = False
    return found


def _follow(found: list[str], where: str, last: dict[int, str], connector: int, status: str) -> None:
    before = last.get(connector, status)
    if not legal(connector, before, status):
        found.append(f"{where}: connector {connector} goes from {before} to {status}")
    last[connector] = status


def _slows(frame: list[Any]) -> bool:
    """A ChangeConfiguration that makes statuses wait."""
    if frame[2] != "ChangeConfiguration" or not isinstance(frame[3], dict):
        return False
    return str(frame[3].get("key")).casefold() == "minimumstatusduration" and frame[3].get("value") != "0"
