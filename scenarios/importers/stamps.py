"""Time stamps as logs write them: ISO 8601 in many spellings, European, Apache, syslog, epoch, bare time."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_TIME = r"(?P<h>\d{1,2}):(?P<m>\d\d):(?P<s>\d\d)(?:[.,:](?P<fraction>\d{1,9}))?"
# Spreadsheets show no seconds, and write them so when they save.
_TIME_OF_DATE = r"(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<s>\d\d)(?:[.,:](?P<fraction>\d{1,9}))?)?"
_ZONE = r"(?:\s?(?P<zone>Z|UTC|GMT|[+-](?:0\d|1[0-4]):?[0-5]\d)\b)?"

_DATED = (
    re.compile(
        rf"(?<!\d)(?P<year>\d{{4}})[-/.](?P<month>\d\d)[-/.](?P<day>\d\d)[T\s_,]+{_TIME_OF_DATE}{_ZONE}"
    ),
    re.compile(rf"(?<!\d)(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)[T\s_-]{_TIME_OF_DATE}{_ZONE}"),
    re.compile(
        rf"(?<!\d)(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}})[T\s,]+{_TIME_OF_DATE}{_ZONE}"
    ),
    re.compile(
        rf"(?<!\d)(?P<day>\d{{1,2}})[/\s-]{_MONTH}[/\s-](?P<year>\d{{4}})[:\s]\s*{_TIME_OF_DATE}{_ZONE}", re.I
    ),
    re.compile(
        rf"(?<!\d)(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})/(?P<year>\d{{4}}),?\s+{_TIME_OF_DATE}\s*(?P<half>[AP]M)",
        re.I,
    ),
    re.compile(
        rf"(?<!\d)(?P<day>\d{{1,2}})/(?P<month>\d{{1,2}})/(?P<year>\d{{4}}),?\s+{_TIME_OF_DATE}{_ZONE}"
    ),
    re.compile(
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:,?\s+(?P<year>\d{{4}}))?,?\s+(?:@\s+)?{_TIME_OF_DATE}{_ZONE}",
        re.I,
    ),
)
_EPOCH = re.compile(r"(?<![\w.-])(?P<whole>1\d{9})(?P<ms>\d{3})?(?:\.(?P<fraction>\d{1,9}))?(?![\w-])")
_BARE = re.compile(rf"(?<![\d:]){_TIME}(?![\d:])")
_WITHIN = re.compile(r'"(?:timestamp|currentTime)\\?"\s*:\s*\\?"([^"\\]+)')

A_MINUTE_S, HALF_A_DAY_S, DAY_S = 60.0, 43_200.0, 86_400.0


def reference(text: str) -> datetime:
    """A moment near the log's, for stamps that lack year or day: the first one within a frame, else now."""
    for stamp in _WITHIN.findall(text[:1_000_000]):
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            continue
        if 2000 < moment.year < 9999:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return datetime.fromtimestamp(time.time(), UTC)


class StampReader:
    """Finds the time stamp of a line. `zone` is that of stamps without one; None: UTC."""

    def __init__(self, zone: tzinfo | None, near: datetime) -> None:
        self._zone = zone or UTC
        self._near = near.astimezone(self._zone)
        self._day: date | None = None  # of bare times, which tell no date
        self._last: float | None = None
        self._newest: float | None = None  # of stamps with a date but without an offset

    def restart(self) -> None:
        """What is read next are the lines from the first one on."""
        self._day = self._last = self._newest = None

    def read(self, text: str) -> float | None:
        """Seconds since the epoch; None without a stamp."""
        for pattern in _DATED:
            for dated in pattern.finditer(text):
                moment = self._dated(dated)
                if moment is not None:
                    return moment
        if (match := _EPOCH.search(text)) is not None:
            fraction = match["fraction"] or ""
            whole = float(match["whole"]) + (int(match["ms"]) / 1000 if match["ms"] else 0.0)
            return whole + (float(f"0.{fraction}") if fraction else 0.0)
        if (match := _BARE.search(text)) is not None:
            return self._bare(match)
        return None

    def _dated(self, match: re.Match[str]) -> float | None:
        parts = match.groupdict()
        month = parts["month"]
        number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
        year = int(parts["year"]) if parts.get("year") else self._near.year
        hour = int(parts["h"])
        if half := parts.get("half"):
            hour = hour % 12 + (12 if half.upper() == "PM" else 0)
        try:
            moment = datetime(
                year, number, int(parts["day"]), hour, int(parts["m"]), min(int(parts["s"] or 0), 59)
            )
        except ValueError:
            return None
        if not parts.get("year") and moment.replace(tzinfo=UTC) - self._near.replace(tzinfo=UTC) > timedelta(
            180
        ):
            moment = moment.replace(year=year - 1)  # a log that runs over New Year
        if parts.get("zone") is not None:
            return _epoch(moment, _offset(parts["zone"], self._zone), parts["fraction"])
        at = _epoch(moment, self._zone, parts["fraction"])
        if self._newest is not None and at < self._newest - A_MINUTE_S:
            again = _epoch(moment.replace(fold=1), self._zone, parts["fraction"])
            at = again if again >= self._newest - A_MINUTE_S else at  # the hour that comes twice in autumn
        self._newest = at
        return at

    def _bare(self, match: re.Match[str]) -> float | None:
        try:
            at = datetime.min.time().replace(int(match["h"]), int(match["m"]), min(int(match["s"]), 59))
        except ValueError:
            return None
        day = self._day or self._near.date()
        moment = _epoch(datetime.combine(day, at), self._zone, match["fraction"])
        if self._last is not None and moment < self._last - HALF_A_DAY_S:  # past midnight
            day += timedelta(1)
            moment += DAY_S
        self._day, self._last = day, moment
        return moment


def _offset(text: str | None, otherwise: tzinfo) -> tzinfo:
    if text is None:
        return otherwise
    if text in ("Z", "UTC", "GMT"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _epoch(moment: datetime, zone: tzinfo, fraction: str | None) -> float:
    return moment.replace(tzinfo=zone).timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
