"""The site of a story as it is written: the limit of its grid connection, and the load of the building."""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationInfo, field_validator, model_validator

from chargepoint.config.section import Context, Expected, Section, mistake, mistakes
from chargepoint.config.source import Place
from chargepoint.config.wording import nearest
from chargepoint.durations import seconds
from chargepoint.ocpp16.times import parse_time
from scenarios.condition import Number, Text

__all__ = ["NOMINAL_V", "Load", "LoadRow", "SiteEntry"]

NOMINAL_V = 230.0
"""What a current of the site is worth in watts, phase to neutral."""

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_ROTATION = "RST"
_COLUMNS = (["time", "watts"], ["time", "amps"])
_HOW = "write 06:00, 90m (from the beginning) or 2026-03-02T06:00:00Z"


class LoadRow(Section):
    """What the building draws from a time on."""

    time: str = Field(description="A time of day, a length of time since the beginning, or a moment.")
    watts: float | None = Field(default=None, description="On all phases together; below 0: it feeds in.")
    amps: float | None = Field(default=None, description="On each phase.")

    @field_validator("time")
    @classmethod
    def _is_a_time(cls, time: str) -> str:
        if not _kind(time):
            raise mistake(f'is no time (is "{time}"); {_HOW}')
        return time

    @model_validator(mode="after")
    def _says_how_much(self) -> LoadRow:
        if (self.watts is None) == (self.amps is None):
            raise mistake("says how much in one way: watts or amps")
        return self


class LoadEntry(Section):
    """What the building draws over the day: a file, or rows."""

    file: str | None = Field(default=None, description="A CSV file with the columns time and watts, or amps.")
    rows: tuple[LoadRow, ...] = Field(default=(), description="The same in place.")

    @model_validator(mode="before")
    @classmethod
    def _may_be_short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"file": value}
        return {"rows": value} if isinstance(value, list) else value

    @field_validator("file")
    @classmethod
    def _can_be_read(cls, file: str | None, info: ValidationInfo) -> str | None:
        if file is not None and isinstance(info.context, Context):
            rows, problems = _from_csv(info.context.folder / file)
            if wrong := "; ".join(problems) or _order_problem(rows):
                raise mistake(wrong)
        return file

    @field_validator("rows")
    @classmethod
    def _are_in_order(cls, rows: tuple[LoadRow, ...]) -> tuple[LoadRow, ...]:
        if wrong := _order_problem(rows):
            raise mistake(wrong)
        return rows

    def read(self, folder: Path) -> tuple[LoadRow, ...]:
        """The rows, wherever they are; a relative path begins at `folder`."""
        return self.rows if self.file is None else _from_csv(folder / self.file)[0]


class LimitEntry(LoadEntry):
    """What the site may draw: always the same, or over time, as a file or rows."""

    always: Number | None = Field(default=None, description="The same all the time.")

    @model_validator(mode="before")
    @classmethod
    def _may_be_short(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if isinstance(value, list):
            return {"rows": value}
        if isinstance(value, str) and "{" not in value:
            try:
                return {"always": float(value)}
            except ValueError:
                return {"file": value}
        return {"always": value}

    @model_validator(mode="after")
    def _says_one_thing(self) -> LimitEntry:
        if (self.always is not None) + (self.file is not None) + bool(self.rows) != 1:
            raise mistake("is a number, or a file or rows with times")
        return self


class SiteEntry(Section):
    """Where the stations of a story are connected, and what else is."""

    limit_a: LimitEntry | None = Field(
        default=None, description="The breaker, in amperes on each phase; a number, a CSV file or rows."
    )
    limit_w: LimitEntry | None = Field(
        default=None, description="The limit in watts, on all phases together; a number, a CSV file or rows."
    )
    phases: int = Field(default=3, ge=1, le=3, description="Of the grid connection.")
    load: LoadEntry = Field(default=LoadEntry(), description="What the building draws over the day.")
    zone: Annotated[str, Expected("a time zone such as Europe/Berlin")] = Field(
        default="UTC", description="The zone of times of day."
    )
    stations: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="Who is connected here; all stations of the story."
    )
    rotation: dict[str, str] = Field(
        default={},
        description="How stations (CP001), or their connectors (CP001.2), are wired to the site's phases "
        "R, S and T; RST.",
    )

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            raise mistake(f"is not a time zone; {nearest(name, available_timezones() | {'UTC'})}") from None
        return name

    @field_validator("rotation")
    @classmethod
    def _are_rotations(cls, rotation: dict[str, str]) -> dict[str, str]:
        problems = {
            who: f'is no rotation (is "{order}"); write R, S and T in the order of the station\'s L1, L2, L3'
            for who, order in rotation.items()
            if sorted(order) != sorted(_ROTATION)
        }
        if problems:
            raise mistakes(problems)
        return rotation

    @model_validator(mode="after")
    def _has_one_limit(self, info: ValidationInfo) -> SiteEntry:
        if (self.limit_a is None) == (self.limit_w is None):
            raise mistake("has one limit: limit_a (amperes on each phase) or limit_w (watts)")
        problems: dict[Place, str] = {
            ("rotation", who): f"needs three phases (the site has {self.phases})"
            for who in self.rotation
            if self.phases < len(_ROTATION)
        }
        key, unit = ("limit_a", "amps") if self.limit_w is None else ("limit_w", "watts")
        value = self.limit.always
        if isinstance(value, int | float) and value <= 0:
            problems[key,] = f"must be above 0 (is {value:g})"
        if isinstance(info.context, Context):
            for n, row in enumerate(self.limit.read(info.context.folder), 1):
                much = row.amps if unit == "amps" else row.watts
                if much is None:
                    problems[key,] = f"counts in {unit}; row {n} ({row.time}) does not"
                elif much < 0:
                    problems[key,] = f"must not be below 0 (row {n}, {row.time}, is {much:g})"
        if problems:
            raise mistakes(problems)
        return self

    @property
    def limit(self) -> LimitEntry:
        """The one that there is."""
        limit = self.limit_w if self.limit_a is None else self.limit_a
        assert limit is not None
        return limit

    def limit_over_time(self, folder: Path, began_at: float, always: float | None) -> Load:
        """The limit in its unit; `always` where it does not follow the time."""
        if always is not None:
            return Load(((began_at, always),))
        rows = self.limit.read(folder)
        values = [(row.time, (row.watts if self.limit_a is None else row.amps) or 0.0) for row in rows]
        return Load.of(values, began_at, self.zone)

    def lines(self, identity: str, connector: int, phases: int) -> tuple[int, ...]:
        """The site's phase, from 0, behind each of a connector's; on a site with fewer, all are its last."""
        order = self.rotation.get(f"{identity}.{connector}", self.rotation.get(identity, _ROTATION))
        return tuple(min(_ROTATION.index(letter), self.phases - 1) for letter in order[:phases])

    def load_w(self, folder: Path, began_at: float) -> Load:
        """What the building draws in watts, on all phases together; relative paths begin at `folder`."""
        rows = self.load.read(folder)
        values = [(row.time, row.watts if row.amps is None else self.watts(row.amps)) for row in rows]
        return Load.of([(time, value or 0.0) for time, value in values], began_at, self.zone)

    def watts(self, current_a: float) -> float:
        """A current that flows on each phase of the site."""
        return current_a * self.phases * NOMINAL_V


@dataclass(slots=True)
class Load:
    """Power, or a limit, over time: each value holds until the next; times of day come back every day."""

    points: tuple[tuple[float, float], ...] = ()
    """(moment, value); or (seconds of the day, value) if `daily`. Ascending, no value like the one before."""
    daily: ZoneInfo | None = None
    _day: date | None = field(default=None, repr=False)
    _moments: list[float] = field(default_factory=list, repr=False)
    _values: list[float] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, float]], began_at: float, zone: str) -> Load:
        """From rows in the order of time, all of one kind."""
        points: list[tuple[float, float]] = []
        daily = False
        for text, value in rows:
            kind = _kind(text)
            daily = daily or kind == "day"
            at = _seconds(text) + (began_at if kind == "since" else 0.0)
            if not points or points[-1][1] != value:
                points.append((at, value))
        if daily and len(points) > 1 and points[0][1] == points[-1][1]:
            points.pop(0)  # it went on over midnight
        return cls(tuple(points), ZoneInfo(zone) if daily else None)

    def value(self, at: float) -> float:
        """From that moment on; before the first row, the first row's."""
        if not self.points:
            return 0.0
        self._look(at)
        return self._values[max(bisect_right(self._moments, at) - 1, 0)]

    def next_change(self, at: float) -> float | None:
        """The first moment after `at` with another value."""
        if len(self.points) < 2:
            return None
        self._look(at)
        place = bisect_right(self._moments, at)
        return self._moments[place] if place < len(self._moments) else None

    def _look(self, at: float) -> None:
        """Have the moments around `at` at hand."""
        if self.daily is None:
            if not self._moments:
                self._moments = [moment for moment, _ in self.points]
                self._values = [value for _, value in self.points]
            return
        day = datetime.fromtimestamp(at, UTC).astimezone(self.daily).date()
        if day == self._day:
            return
        self._day = day
        around: dict[float, float] = {}
        for days in (-1, 0, 1):
            midnight = datetime.combine(day + timedelta(days=days), datetime.min.time())
            for of_day, value in self.points:
                local = (midnight + timedelta(seconds=of_day)).replace(tzinfo=self.daily)
                around[local.timestamp()] = value
        self._moments = sorted(around)
        self._values = [around[moment] for moment in self._moments]


def _kind(text: str) -> str:
    """`day`, `since` or `moment`; empty for what is no time."""
    if _TIME_OF_DAY.fullmatch(text):
        return "day"
    for kind, read in (("since", seconds), ("moment", parse_time)):
        try:
            read(text)
        except ValueError:
            continue
        return kind
    return ""


def _seconds(text: str) -> float:
    """Of the day, since the beginning, or since the epoch."""
    if found := _TIME_OF_DAY.fullmatch(text):
        return int(found[1]) * 3600.0 + int(found[2]) * 60.0 + int(found[3] or 0)
    return seconds(text) if _kind(text) == "since" else parse_time(text)


def _order_problem(rows: tuple[LoadRow, ...]) -> str | None:
    kinds = {_kind(row.time) for row in rows}
    if len(kinds) > 1:
        return "mixes kinds of times; write all as times of day, lengths of time or moments"
    times = [_seconds(row.time) for row in rows]
    for n, (before, after) in enumerate(pairwise(times), 2):
        if after <= before:
            return f"goes back in time at row {n} ({rows[n - 1].time}); write the rows in order"
    return None


def _from_csv(path: Path) -> tuple[tuple[LoadRow, ...], list[str]]:
    """The rows of a file, and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return (), [f"{path} cannot be read ({getattr(error, 'strerror', None) or error})"]
    lines = csv.reader(text.splitlines())
    header = [name.strip().lower() for name in next(lines, [])]
    if header not in _COLUMNS:
        return (), [f"{path}:1: the first line names the columns: time,watts or time,amps"]
    rows: list[LoadRow] = []
    problems: list[str] = []
    for cells in lines:
        found = [cell.strip() for cell in cells]
        if not any(found):
            continue
        row = _row(header[1], found)
        if row is None:
            problems.append(f"{path}:{lines.line_num}: is no time and number; {_HOW}, a comma, 1500")
        else:
            rows.append(row)
    if not rows and not problems:
        problems.append(f"{path}: has no rows below its header")
    return tuple(rows), problems


def _row(unit: str, cells: list[str]) -> LoadRow | None:
    if len(cells) != 2 or not _kind(cells[0]):
        return None
    try:
        values: Mapping[str, Any] = {"time": cells[0], unit: float(cells[1])}
        return LoadRow.model_validate(values)
    except ValueError:
        return None
