"""Reads logs with a frame and a time stamp on a line, as central systems and charge points print them."""

from __future__ import annotations

import re

from scenarios.importers import words
from scenarios.importers.found import Found, Source
from scenarios.importers.framing import begin, whole

MOST_CONTINUED = 400
"""Lines that one frame may be spread over."""

_UP = re.compile(
    r"\b(?:connection (?:is )?(?:established|opened|open|up)|connected to"
    r"|websocket (?:opened|connected|upgrade successful))",
    re.I,
)
_DOWN = re.compile(
    r"\b(?:connection (?:is |was )?(?:closed|lost|dropped|reset|down)|disconnected|websocket closed)", re.I
)
_NO_ID_YET = re.compile(r"\[\s*(?:[234]\s*,?)?\s*")


def collect(source: Source) -> None:
    """Every frame, and the connections that come and go; other lines are counted."""
    number, last = 0, None
    while number < len(source.lines):
        line = source.lines[number]
        number += 1
        start = begin(line)
        if start is None:
            start = _begin_over_lines(source, number, line)
        if start is None:
            stamp = source.stamps.read(line)
            last = stamp if stamp is not None else last
            if not line.strip():
                continue
            event = _connection(line)
            if event is None or last is None:
                source.unknown.append(number)
            else:
                station = words.station(line)
                source.found.append(
                    Found(last, number, station, event="connection", fields={"online": event})
                )
            continue
        first, prefix = number, line[:start]
        if not prefix.strip() and source.unknown[-1:] == [number - 1]:  # its stamp stands on a line before it
            source.unknown.pop()
            prefix = source.lines[number - 2]
        found = whole(line[start:])
        if found is None:
            raw, number = _continued(source, number, line[:start], line[start:])
            if raw is None:
                source.unknown.append(first)
                source.notes.append(f"{source.name}:{first}: the frame is cut short or not JSON")
                continue
            rest = ""
        else:
            raw, rest = found[0], line[start + found[1] :]
        stamp = source.stamps.read(prefix)
        stamp = source.stamps.read(rest) if stamp is None else stamp
        # In a line of JSON the fields beside the frame may stand behind it.
        about = f"{rest} {prefix}" if prefix.lstrip().startswith("{") else prefix
        last = stamp if stamp is not None else last
        if last is None:
            raise source.mistake(first, "a frame without a time stamp, and none on the lines before it")
        source.found.append(
            Found(
                last,
                first,
                words.station(about),
                raw=raw,
                outgoing=words.outright(about),
                word=words.word(about),
            )
        )


def _connection(line: str) -> bool | None:
    if _UP.search(line):
        return True
    return False if _DOWN.search(line) else None


def _begin_over_lines(source: Source, number: int, line: str) -> int | None:
    """Where a frame begins whose bracket, type and id stand on lines of their own."""
    start = line.rfind("[")
    if start < 0 or _NO_ID_YET.fullmatch(line, start) is None:
        return None
    following = "".join(source.lines[number : number + 2])
    return start if begin(line[start:] + following) == 0 else None


def _continued(source: Source, number: int, prefix: str, text: str) -> tuple[str | None, int]:
    """The frame with the lines that continue it, each perhaps behind the same prefix; and the next line.

    Without the rest of it nothing is taken away: the next line is the one after the frame's first.
    """
    head = prefix
    while head and not head[-1].isalnum() and head[-1] not in ":]|":
        head = head[:-1]
    for arrow in ("->", "<-", ">>", "<<", "=>", "<="):
        head = head.removesuffix(arrow).rstrip()
    for count, line in enumerate(source.lines[number : number + MOST_CONTINUED], 1):
        if begin(line) is not None:
            break
        if head and line.startswith(head):
            part = line[len(head) :]
        elif line[:1].isalnum() and source.stamps.read(line[:40]) is not None:
            break
        else:
            part = line
        text += part
        found = whole(text)
        if found is not None:
            return found[0], number + count
    return None, number
