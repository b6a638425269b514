"""Reads CSV exports: which column holds what is taken from the header, else from the cells themselves."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scenarios.importers import words
from scenarios.importers.found import Found, Source
from scenarios.importers.framing import begin, whole
from scenarios.importers.jsonl import rebuilt

DELIMITERS = ",;\t|"
_SEP = re.compile(r'"?sep=(.|\t)"?', re.I)

HEADERS = {
    "time": "timestamp|time|datetime|date time|date|created at|created|logged at|log time|ts|received at"
    "|event time|zeitstempel|zeit|zeitpunkt|datum|datum uhrzeit|uhrzeit|empfangen am",
    "direction": "direction|dir|way|sender|from|type direction|flow|origin|source|initiator|initiated by"
    "|richtung|absender|von|quelle",
    "raw": "raw|raw message|message|ocpp message|frame|text|data|content|log|log message|json|body"
    "|nachricht|ocpp nachricht|rohnachricht|inhalt|daten|meldung",
    "payload": "payload|request|request payload|parameters|params|message body|nutzdaten|anfrage",
    "answer": "response|response payload|answer|reply|confirmation|antwort",
    "action": "action|command|ocpp action|operation|message name|method|aktion|befehl|nachrichtenname",
    "id": "message id|messageid|unique id|uniqueid|id|request id|correlation id|msg id|uid|uuid|guid|call id"
    "|nachrichten id|nachricht id|nachrichtennummer",
    "kind": "message type|messagetype|type|message type id|messagetypeid|kind|msg type"
    "|art|typ|nachrichtentyp|nachrichtenart",
    "station": "charge point id|chargepointid|charge point|charge box id|chargeboxid|charge box|station"
    "|station id|cp id|cp|identity|charger|charger id|evse|evse id|device"
    "|ladepunkt|ladepunkt id|ladepunktkennung|ladestation|ladestation id|ladesäule"
    "|ladesäule id|ladesaeule|ladegerät|station name|gerät|wallbox",
}
DATES, TIMES = ("date", "datum"), ("time", "uhrzeit", "zeit")
"""Two columns that make one time stamp, where a table has both."""

_NAMES = {name: column for column, names in HEADERS.items() for name in names.split("|")}


def recognizes(source: Source) -> bool:
    """The rows have the same number of cells, and one of them is a frame or the header names its parts."""
    try:
        rows = _rows(source, 40)
    except csv.Error:
        return False
    if len(rows) < 2 or len(rows[0][1]) < 2:
        return False
    widths = [len(row) for _, row in rows]
    if sum(width == widths[0] for width in widths) < 0.9 * len(widths):
        return False
    columns = _named(rows[0][1])
    if "time" in columns and _tells_frames(columns):
        return True
    cells = [cell for _, row in rows for cell in row]
    if not any(_is_frame(cell) for cell in cells):
        return False
    return source.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")) or any(
        len(cell) < 40 and source.stamps.read(cell) is not None for cell in cells
    )


def collect(source: Source) -> None:
    """Every row with a frame; others are counted."""
    try:
        rows = _rows(source, None)
    except csv.Error as error:
        raise source.mistake(1, f"is not CSV: {error}") from None
    if not rows:
        return
    columns = _named(rows[0][1])
    if _is_header(rows[0][1], columns):
        header = rows.pop(0)[1]
    else:
        columns, header = {}, []
    _by_content(source, columns, [row for _, row in rows[:50]])
    if "time" not in columns or not _tells_frames(columns):
        missing = "time stamp" if "time" not in columns else "frame"
        names = f" among {', '.join(header)}" if header else ""
        raise source.mistake(
            1, f"found no column with a {missing}{names}; name them timestamp, direction and raw"
        )
    source.stamps.restart()
    for line, row in rows:
        found = list(_found(source, columns, line, row))
        if not found:
            source.unknown.append(line)
        source.found += found


def _rows(source: Source, most: int | None) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    text = source.text.splitlines(keepends=True)
    said = _SEP.fullmatch(text[0].strip()) if text else None  # a first line by which Excel opens a file
    skipped = 0 if said is None else 1
    delimiter = _delimiter(text[:40]) if said is None else said[1]
    reader = csv.reader(text[skipped:], delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1 + skipped
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append((line, row))
        line = reader.line_num + 1 + skipped
        if most is not None and len(rows) >= most:
            break
    return rows


def _delimiter(lines: list[str]) -> str:
    """The one that cuts most lines into equally many cells, some of them frames or named columns."""

    def fitness(delimiter: str) -> tuple[bool, float, int]:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if row]
        except csv.Error:
            return False, 0.0, 0
        if not rows or len(rows[0]) < 2:
            return False, 0.0, 0
        alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        useful = len(_named(rows[0])) > 1 or any(_is_frame(cell) for cell in rows[-1])
        return useful, alike, len(rows[0])

    return max(DELIMITERS, key=fitness)


def _named(header: Sequence[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for number, cell in enumerate(header):
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell.strip())
        name = re.sub(r"[\s_./()-]+", " ", spaced).strip().lower()
        column = _NAMES.get(name) or _NAMES.get(name.replace(" ", ""))
        if column is not None:
            columns.setdefault(column, number)
        if name in DATES:
            columns.setdefault("date", number)
        elif name in TIMES:
            columns.setdefault("clock", number)
    if "answer" in columns and "payload" not in columns:  # requests and answers in rows of their own
        columns["payload"] = columns.pop("answer")
    return columns


def _is_header(row: Sequence[str], columns: dict[str, int]) -> bool:
    return bool(columns) and not any(_is_frame(cell) for cell in row)


def _is_frame(cell: str) -> bool:
    start = begin(cell)
    return start is not None and whole(cell[start:]) is not None


def _is_object(cell: str) -> bool:
    return cell.startswith("{") and cell.endswith("}")


def _by_content(source: Source, columns: dict[str, int], rows: list[list[str]]) -> None:
    """Find by their cells the columns that no header names, or names wrongly."""

    def best(fits: Callable[[str], bool]) -> int | None:
        width = max((len(row) for row in rows), default=0)
        counts = [sum(fits(row[n].strip()) for row in rows if n < len(row)) for n in range(width)]
        return counts.index(max(counts)) if counts and max(counts) > 0 else None

    frames = best(_is_frame)
    if frames is not None:
        columns["raw"] = frames
    elif columns.keys().isdisjoint({"payload", "answer"}) and (objects := best(_is_object)) is not None:
        columns.pop("raw", None)
        columns["payload"] = objects
    raw = columns.get("raw")
    if "time" not in columns:
        stamped = best(lambda cell: len(cell) < 40 and source.stamps.read(cell) is not None)
        if stamped is not None and stamped != raw:
            columns["time"] = stamped
    if "direction" not in columns:
        said = best(lambda cell: len(cell) < 40 and (words.outright(cell), words.word(cell)) != (None, None))
        if said is not None and said != raw:
            columns["direction"] = said


def _found(source: Source, columns: dict[str, int], line: int, row: list[str]) -> Iterator[Found]:
    """What a row tells: a frame, or a request with its answer beside it."""

    def cell(column: str) -> str:
        number = columns.get(column)
        return row[number].strip() if number is not None and number < len(row) else ""

    def payload(column: str) -> Any:
        try:
            return json.loads(cell(column) or "{}")
        except (ValueError, RecursionError):
            raise source.mistake(line, f"the payload is not JSON: {cell(column)[:60]}") from None

    raw: str | None = None
    message_id = cell("id") or (f"line {line}" if "answer" in columns else "")
    if cell("raw"):
        raw = _frame(cell("raw"))
    elif message_id:
        kind = cell("kind") or ("call" if cell("action") else "result")
        raw = rebuilt("call" if "answer" in columns else kind, message_id, cell("action"), payload("payload"))
    if raw is None:
        return
    at = _moment(source, cell)
    if at is None:
        raise source.mistake(
            line, f"{cell('time')!r} is no time stamp; write for example 2026-04-14 16:58:02"
        )
    said, station = cell("direction"), cell("station") or None
    outgoing = words.outright(said) if words.outright(said) is not None else _speaker(said)
    word = words.word(said)
    yield Found(at, line, station, raw=raw, outgoing=outgoing, word=word)
    if cell("answer"):
        answer = _frame(cell("answer")) or rebuilt("result", message_id, None, payload("answer"))
        yield Found(
            at,
            line,
            station,
            raw=answer,
            outgoing=None if outgoing is None else not outgoing,
            word=None if word is None else not word,
        )


def _frame(text: str) -> str | None:
    start = begin(text)
    taken = None if start is None else whole(text[start:])
    return None if taken is None else taken[0]


def _moment(source: Source, cell: Callable[[str], str]) -> float | None:
    """Of one cell, or of the date in one and the time in another."""
    if cell("date") and cell("clock"):
        at = source.stamps.read(f"{cell('date')} {cell('clock')}")
        if at is not None:
            return at
    return source.stamps.read(cell("time"))


def _tells_frames(columns: dict[str, int]) -> bool:
    named = columns.keys()
    return "raw" in named or {"payload", "id"} <= named or {"payload", "answer", "action"} <= named


def _speaker(said: str) -> bool | None:
    """A column that names who spoke: CP, ChargePoint, CSMS, Server ..."""
    name = re.sub(r"[\s_-]+", "", said).lower()
    if name in ("cp", "chargepoint", "chargebox", "station", "charger", "evse", "client",
        "ladepunkt", "ladestation", "ladesäule", "wallbox",
    ):  # fmt: skip
        return True
    csms = ("cs", "csms", "server", "backend", "centralsystem", "backoffice", "zentrale", "zentralsystem")
    return False if name in csms else None
