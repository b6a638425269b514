"""Makes records out of what was found: which station, which side spoke, which CALL an answer belongs to."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

from chargepoint.errors import ConfigError
from chargepoint.ocpp16.schema import CSMS_TO_CP
from chargepoint.trace import MASK, redact
from scenarios.importers.found import Found, Source
from scenarios.importers.framing import Parts, parts
from scenarios.recorded import Frame, Happening, Recorded

BOTH_WAYS = frozenset({"DataTransfer"})
_SOAP = re.compile(r"<(?:\w+:)?Envelope\b")
_PRINTED = re.compile(r"\[\s*[234]\s*,\s*'")
A_CLOCK_WAS_SET_S = 10 * 365 * 86_400.0
"""A leap no pause is as long as: a charge point that booted in 1970."""


def assembled(source: Source, format: str, wanted: str | None) -> Recorded:
    """The records of one station. Raises `ConfigError` without any, or if there are several to choose."""
    found = _oldest_first(source, _of_one(source, wanted))
    known = [(item, None if item.raw is None else parts(item.raw)) for item in found]
    sent_is_outgoing = _writer(known)
    records: list[Frame | Happening] = []
    calls: dict[tuple[str, bool], str] = {}  # message id and side of a CALL -> its action
    clock = _Clock()
    for item, split in known:
        at = clock.at(item.at)
        if split is None:
            assert item.event is not None
            records.append(Happening(at, item.line, item.event, item.fields))
            continue
        assert item.raw is not None
        kind, message_id, action, payload = split
        outgoing = _outgoing(item, split, sent_is_outgoing, calls)
        if outgoing is None:
            source.unknown.append(abs(item.line))
            source.notes.append(f"{source.name}:{abs(item.line)}: nothing says which side sent this {kind}")
            continue
        if kind == "CALL":
            assert message_id is not None
            assert action is not None
            calls[message_id, outgoing] = action
        elif message_id is not None:
            action = calls.pop((message_id, not outgoing), None)
        raw = redact(item.raw)
        if raw != item.raw:
            payload = parts(raw)[3]
        records.append(Frame(at, item.line, outgoing, raw, kind, message_id, action, payload))
    if not any(isinstance(record, Frame) for record in records):
        raise ConfigError(
            [f"{source.name}: no OCPP frame in {len(source.lines)} lines {_instead(source, format)}"]
        )
    notes = source.notes
    if any(MASK in frame.raw for frame in records if isinstance(frame, Frame)):
        notes.append(f"secrets are masked ({MASK}): frames with them go out so")
    if clock.corrections:
        notes.append(f"{clock.corrections} leaps of the clock were taken out")
    station = found[0].station if found else None
    return Recorded(source.name, format, station, records, len(source.lines), sorted(source.unknown), notes)


def _instead(source: Source, format: str) -> str:
    """What the file seems to be, and what to do."""
    if _SOAP.search(source.text) is not None:
        return "but SOAP envelopes: that is OCPP-S, and only OCPP-J is read"
    if _PRINTED.search(source.text) is not None:
        return "but objects as Python or JavaScript prints them: log the text that goes over the wire"
    return f'(read as {format}); a frame is JSON such as [2,"19223201","Heartbeat",{{}}]'


def _of_one(source: Source, wanted: str | None) -> list[Found]:
    stations = Counter(item.station for item in source.found if item.station is not None)
    if not stations:
        return source.found
    if wanted is None and len(stations) > 1:
        listed = ", ".join(f"{name} ({count} records)" for name, count in stations.most_common(20))
        raise ConfigError(
            [f"{source.name}: {len(stations)} stations are in it, choose one with --station: {listed}"]
        )
    station = wanted if wanted is not None else next(iter(stations))
    if station not in stations:
        raise ConfigError([f"{source.name}: there is no station {station}; there are {', '.join(stations)}"])
    alone = len(stations) == 1
    return [item for item in source.found if item.station == station or (alone and item.station is None)]


def _oldest_first(source: Source, found: list[Found]) -> list[Found]:
    """Tables are often exported with the newest row on top: their lines go below 0, and so rise as well."""
    steps = [later.at - item.at for item, later in pairwise(found)]
    if sum(step < 0 for step in steps) <= sum(step > 0 for step in steps):
        return found
    source.notes.append("the newest came first: it was read from its end")
    return [replace(item, line=-item.line) for item in sorted(found, key=lambda item: -item.line)]


def _writer(known: list[tuple[Found, Parts | None]]) -> bool | None:
    """Whether "sent" in this file means: by the charge point. None if its words mean nothing.

    Each CALL that only one side can make is a vote; a few wrong ones (a proxy, a relay) do no harm.
    """
    votes = Counter[bool]()
    for item, split in known:
        if split is None or item.word is None or (side := _side(split)) is None:
            continue
        votes[item.word == side] += 1
    if not votes:
        return True if any(item.word is not None for item, _ in known) else None
    majority, count = votes.most_common(1)[0]
    return majority if count >= 0.8 * votes.total() else None


def _side(split: Parts) -> bool | None:
    kind, _, action, _ = split
    if kind != "CALL" or action in BOTH_WAYS:
        return None
    return action not in CSMS_TO_CP


def _outgoing(
    item: Found, split: Parts, sent_is_outgoing: bool | None, calls: dict[tuple[str, bool], str]
) -> bool | None:
    if item.outgoing is not None:
        return item.outgoing
    if item.word is not None and sent_is_outgoing is not None:
        return item.word == sent_is_outgoing
    kind, message_id, _, _ = split
    if (side := _side(split)) is not None:
        return side
    if kind == "CALL":
        return True
    for outgoing in (True, False):
        if message_id is not None and (message_id, outgoing) in calls:
            return not outgoing
    return None


class _Clock:
    """Time that neither goes back nor leaps by decades."""

    def __init__(self) -> None:
        self._raw: float | None = None
        self._now = 0.0
        self.corrections = 0

    def at(self, raw: float) -> float:
        if self._raw is None:
            self._now = raw
        else:
            passed = raw - self._raw
            if passed > A_CLOCK_WAS_SET_S or passed < -60:
                self.corrections += 1
                passed = 0.0
            self._now += max(passed, 0.0)
        self._raw = raw
        return self._now
