"""What a station says about its recent past when it is asked for diagnostics."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from importlib import metadata
from typing import Any, Protocol

from chargepoint.domain.limits import Profile
from chargepoint.domain.offer import because
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.ocpp16.status import error_code
from chargepoint.ocpp16.times import format_time
from chargepoint.trace import MASK, json_line, redact

MOST_LINES = 2_000
MOST_CHARACTERS = 512 * 1024
LONGEST_LINE = 16 * 1024

_URL = re.compile(r"(?<=\w)://[^\s\"]*")


class Subject(Protocol):
    """The station it is about."""

    @property
    def identity(self) -> str:
        """Its name."""

    @property
    def charge_point(self) -> ChargePoint:
        """The present life of its software."""


class RecentLog:
    """The newest events and frames of one station, bounded in lines and characters.

    Moments are kept on the station's clock, so that a later correction of its UTC puts them right too.
    """

    __slots__ = ("_characters", "_lines")

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str]] = deque()
        self._characters = 0

    def add(self, at: float, line: str) -> None:
        """Remember a line; what is too old goes."""
        self._lines.append((at, line))
        self._characters += len(line)
        while len(self._lines) > MOST_LINES or self._characters > MOST_CHARACTERS:
            self._characters -= len(self._lines.popleft()[1])

    def __iter__(self) -> Iterator[tuple[float, str]]:
        return iter(self._lines)


class Diagnostics:
    """The `LogSource` of a station; `record` it all only where it is asked to keep a recent log."""

    __slots__ = ("_log", "_subject")

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._log: RecentLog | None = None

    def keep_log(self) -> None:
        """Keep what `record` is told."""
        self._log = RecentLog()

    def record(self, event: str, fields: dict[str, Any]) -> None:
        """A watcher of the station: a frame or an event, without secrets."""
        if self._log is not None:
            at = self._subject.charge_point.time.clock.now()
            self._log.add(at, _line(event, fields))

    def diagnostics(self, since: float | None, until: float | None) -> bytes:
        sections = {
            None: self._head(since, until),
            "Connectors": self._connectors(),
            "Waiting for delivery": self._waiting(),
            "Configuration": self._configuration(),
            "Charging profiles": map(_profile, self._subject.charge_point.connectors.limiter.book),
            "Recent log": self._recent(since, until),
        }
        lines: list[str] = []
        for title, content in sections.items():
            lines += [*([] if title is None else ["", f"== {title} =="]), *content]
        return "\n".join([*lines, ""]).encode(errors="replace")

    def _head(self, since: float | None, until: float | None) -> Iterator[str]:
        cp = self._subject.charge_point
        yield f"Diagnostics of {_printable(self._subject.identity)}"
        yield f"made: {format_time(cp.time.utc())}"
        yield f"log from: {'the beginning' if since is None else format_time(since)}"
        yield f"log until: {'now' if until is None else format_time(until)}"
        yield f"software: chargepoint {_version()}"
        for name, value in cp.boot.identity.items():
            yield f"{name}: {_printable(value)}"
        yield f"start of the software: number {cp.starts}"
        yield f"registration: {cp.boot.registration.value}, {'on' if cp.session.online else 'off'}line"
        yield f"clock: {cp.time.offset_s:+.3f} s by the central system's time"

    def _connectors(self) -> Iterator[str]:
        cp = self._subject.charge_point
        for n in range(len(cp.connectors.all) + 1):
            report = cp.statuses.current(n)
            words = [f"{n}: {report.status.value}", error_code(report.fault)]
            if n:
                connector = cp.connectors[n]
                transaction, reading = connector.transaction, connector.reading()
                words.append("plugged" if connector.evse.plugged else "unplugged")
                if transaction is not None:
                    number = "without a number yet" if transaction.csms_id is None else transaction.csms_id
                    words.append(f"transaction {number} since {format_time(transaction.started_at)}")
                if reading is not None:
                    words.append(f"{reading.energy_wh:.0f} Wh, {reading.power_w:.0f} W")
                words.append(f"may draw {connector.permitted().current_a:g} A: {because(connector)}")
            yield ", ".join(words)

    def _waiting(self) -> Iterator[str]:
        cp = self._subject.charge_point
        yield f"transaction messages: {cp.outbox.queued}"
        for record in list(cp.outbox.records())[:20]:
            yield f"  {record.seq}: {record.kind}, {record.attempts} attempts failed"
        yield f"security events: {cp.security_events.waiting}"

    def _configuration(self) -> Iterator[str]:
        configuration = self._subject.charge_point.configuration
        for key in configuration.listed():
            value = configuration.text(key.name)
            yield f"{key.name} = {'(unset)' if value is None else without_credentials(_printable(value))}"

    def _recent(self, since: float | None, until: float | None) -> Iterator[str]:
        if self._log is None:
            yield "(this station keeps none)"
            return
        offset_s = self._subject.charge_point.time.offset_s
        for at, line in self._log:
            utc = at + offset_s
            if (since is None or utc >= since) and (until is None or utc <= until):
                yield f"{format_time(utc)} {_printable(line)}"


def without_credentials(text: str) -> str:
    """The text with user names, passwords and queries of the URLs in it masked."""
    return _URL.sub(lambda url: _masked(url[0]), text) if "://" in text else text


def _masked(url: str) -> str:
    if "@" in url:
        url = f"://{MASK}@{url.rpartition('@')[2]}"
    open_part, query, _ = url.partition("?")
    return f"{open_part}?{MASK}" if query else url


def _line(event: str, fields: dict[str, Any]) -> str:
    if event == "ocpp":
        words = "<-" if fields["dir"] == "rx" else "->"
        text = redact(fields["data"])
    else:
        words = event
        text = redact(json_line(fields)).rstrip() if fields else ""
    if len(text) > LONGEST_LINE:  # cut where no URL is cut, or the rest of it could not be recognised
        text = text[:LONGEST_LINE].rpartition('"')[0] + f"... ({len(text)} characters)"
    text = text.replace("\\/", "/")  # JSON may spell a slash so
    return f"{words} {without_credentials(text)}".rstrip()


def _profile(profile: Profile) -> str:
    schedule = profile.schedule
    periods = ", ".join(f"{p.start_s} s: {p.limit:g} {schedule.unit}" for p in schedule.periods[:20])
    more = "" if len(schedule.periods) <= 20 else f" and {len(schedule.periods) - 20} more"
    return (
        f"{profile.id}: connector {profile.connector_id}, {profile.purpose}, {profile.kind}, "
        f"level {profile.stack_level}, {periods}{more}"
    )


def _printable(text: str) -> str:
    """What cannot pass for another line."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _version() -> str:
    try:
        return metadata.version("chargepoint")
    except metadata.PackageNotFoundError:
        return "(not installed)"
