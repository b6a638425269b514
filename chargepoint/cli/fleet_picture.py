"""How a moment of a fleet looks on a terminal of any size: lines of text, never wider or more than fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

from rich.text import Text

from chargepoint.cli.fleet_lines import span
from chargepoint.cli.fleet_past import LATELY_S, Past
from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.snapshot import ActionFigures, Snapshot

CELL = 20
"""Columns of a figure and its name."""

PLOTS_FROM, PLOT_LABEL = 32, 12
ROWS_AT_FIRST, EVENTS_AT_LEAST, EVENTS_AT_MOST = 8, 2, 12
FIGURE = 6
"""Columns of a figure in the table."""

TROUBLE, DOUBT, GOOD, QUIET = "bold red", "yellow", "green", "dim"
UNMEASURED_AFTER_S = 2.0
MARK = "~"
"""Before a latency that is in part the simulator's own."""

Key = tuple[str, str, str]
"""A key, the word for it and what it does."""


@dataclass(slots=True)
class Course:
    """What a snapshot does not say: where the run is going."""

    for_s: float | None = None
    ramp_per_s: float | None = None
    ramp_behind_s: float = 0.0
    held: bool = False
    troubles: Sequence[str] = ()
    notes: Sequence[str] = ()
    keys: Sequence[Key] = ()
    help: bool = False


class Picture:
    """Draws; `plain` without the characters that not every terminal has."""

    def __init__(self, width: int, height: int, *, plain: bool = False) -> None:
        self._width = width
        self._height = height
        self._bar = "#-" if plain else "━─"
        self._levels = " .:-=+*#" if plain else " ▁▂▃▄▅▆▇█"
        self._more = "..." if plain else "…"

    def lines(self, past: Past, course: Course) -> list[Text]:
        """All lines from top to bottom; the last one names the keys."""
        now = past.now
        top = [self._title(now, course), self._ramp(now, course)]
        top += self._figures(now)
        top += [*self._simulator(past), self._errors(now), self._links(now, course), Text()]
        keys = [] if not course.keys else [self._keys(course)]
        room = self._height - len(top) - len(keys)
        if course.help:
            middle = self._help(course)
        else:
            plots = self._plots(past) if self._height >= PLOTS_FROM else []
            room -= len(plots)
            notes = min(EVENTS_AT_MOST, max(EVENTS_AT_LEAST, room - 3 - ROWS_AT_FIRST), len(course.notes))
            middle = plots + self._table(past, room - notes - (1 if notes else 0))
            if notes:
                middle += [Text(), *(Text(_clean(note), QUIET) for note in course.notes[-notes:])]
        body = (top + middle)[: self._height - len(keys)]
        body += [Text()] * (self._height - len(keys) - len(body))
        return [self._fitted(line) for line in body + keys][: self._height]

    def _fitted(self, line: Text) -> Text:
        line.no_wrap = True
        if line.cell_len > self._width:
            line.truncate(max(self._width - len(self._more), 0))
            line.append(self._more[: self._width])
        return line

    # --- the top ------------------------------------------------------------------------------------

    def _title(self, now: Snapshot, course: Course) -> Text:
        line = Text().append("A fleet", "bold").append(f"  {span(now.at_s)}")
        if abs(now.station_s - now.at_s) > 5:
            line.append(f"  station time +{span(now.station_s)}")
        end = "" if course.for_s is None else f"{span(max(course.for_s - now.station_s, 0))} left"
        held = "NEW ARRIVALS HELD  " if course.held else ""
        line.append(" " * (self._width - line.cell_len - len(held) - len(end)))
        return line.append(held, DOUBT).append(end)

    def _ramp(self, now: Snapshot, course: Course) -> Text:
        planned = max(now.planned, 1)
        share = min(now.started / planned, 1.0)
        line = Text(f"started {now.started:,} of {now.planned:,}  ")
        end = "all started" if course.ramp_per_s is None else f"{share:4.0%}  {course.ramp_per_s:g}/s"
        if course.ramp_per_s is not None and not course.held:
            end += f"  {span((now.planned - now.started) / course.ramp_per_s)} to go"
        if course.ramp_behind_s > 2:
            end += f"  {span(course.ramp_behind_s)} behind"
        if (room := self._width - line.cell_len - len(end) - 2) >= 10:
            full = int(room * share)
            line.append(self._bar[0] * full, GOOD).append(self._bar[1] * (room - full), QUIET).append("  ")
        return line.append(end)

    def _figures(self, now: Snapshot) -> list[Text]:
        """Names and figures in as many columns as fit, read line by line."""
        late = [("loop late", f"{now.lag_s * 1000:,.0f} ms", "")] if _latest_s(now) else []
        held = [("holds released", f"{now.released_holds:,}", DOUBT)] if now.released_holds else []
        cells = [
            ("connected", f"{now.connected:,}", ""),
            ("booted", f"{now.booted:,}", ""),
            ("charging", f"{now.charging:,}", ""),
            ("power", power(now.power_w), ""),
            ("sent", f"{now.sent_per_s:,.0f}/s", ""),
            ("received", f"{now.received_per_s:,.0f}/s", ""),
            ("queued", f"{now.queued:,}", ""),
            ("reconnects", f"{now.reconnects:,}", ""),
            ("transactions", f"{now.transactions:,}", ""),
            ("lost", f"{now.lost_transactions:,}", TROUBLE if now.lost_transactions else ""),
            ("doubled", f"{now.doubled_transactions:,}", TROUBLE if now.doubled_transactions else ""),
            ("failed", f"{now.failed:,}", TROUBLE if now.failed else ""),
            ("under way", many(now.under_way), ""),
            ("CPU", f"{now.cpu_share:.0%}", ""),
            ("memory", f"{now.rss_bytes / 2**20:,.0f} MiB", ""),
            *late,
            *held,
        ]
        across = 8 if self._width >= 8 * CELL else 4 if self._width >= 4 * CELL else 2
        lines = []
        for first in range(0, len(cells), across):
            line = Text()
            for name, figure, style in cells[first : first + across]:
                line.append(f"{name} ", QUIET).append(figure.rjust(CELL - 3 - len(name)), style or "bold")
                line.append("  ")
            lines.append(line)
        return lines

    def _simulator(self, past: Past) -> list[Text]:
        now = past.now
        if now.bottleneck is not None:
            words = _clean(f"THE SIMULATOR IS THE BOTTLENECK: {now.bottleneck}")
            return [Text(line, TROUBLE) for line in wrap(words, max(self._width, 2))]
        if now.was_bottleneck:
            spent_s = sum(simulator.bottleneck_s for simulator in now.simulators)
            words = f"The simulator keeps up now; for {span(spent_s)} it did not: {MARK} is in part its own."
            return [Text(words, DOUBT)]
        if not now.simulators:
            return [Text("The processes of the fleet are being started.", QUIET)]
        late_s = _latest_s(now)
        if not late_s and now.at_s > UNMEASURED_AFTER_S:
            return [Text("No lateness of the simulator is measured: a stepped clock has none.", QUIET)]
        words = (
            f"The simulator keeps up: its event loop was at most {late_s * 1000:,.0f} ms late in this run."
        )
        return [Text(words, GOOD)]

    def _errors(self, now: Snapshot) -> Text:
        return _counts("errors", (("", now.errors), ("refused by us: ", now.refused)))

    def _links(self, now: Snapshot, course: Course) -> Text:
        if course.troubles:
            return Text(_clean(course.troubles[0]), TROUBLE)
        return _counts("links", (("not made: ", now.connect_failures), ("ended: ", now.lost_links)))

    # --- the middle ---------------------------------------------------------------------------------

    def _plots(self, past: Past) -> list[Text]:
        """How some figures came to be what they are, the latest at the right end."""
        lines = []
        for name, values in past.over_time.items():
            room = max(self._width - PLOT_LABEL - FIGURE - 3, 1)
            shown = list(values)[-room:]
            top = max(shown, default=0.0) or 1.0
            steps = len(self._levels) - 1
            bars = "".join(self._levels[ceil(value / top * steps)] for value in shown)
            line = Text().append(f"{name:<{PLOT_LABEL}}", QUIET)
            line.append(f"{shown[-1] if shown else 0:>{FIGURE + 1},.0f}", "bold")
            lines.append(line.append("  ").append(bars.rjust(room), "cyan"))
        return [*lines, Text()]

    def _table(self, past: Past, room: int) -> list[Text]:
        """One line a kind of message, the most frequent first, and all together; two lines of heading."""
        now = past.now
        ranked = sorted(now.actions.items(), key=lambda item: (-item[1].sent, item[0]))
        rows = max(room - 3, 0)
        left_out = len(ranked) - rows if len(ranked) > rows else 0
        if left_out:
            ranked = ranked[: max(rows - 1, 0)]
            left_out = len(now.actions) - len(ranked)
        columns = 8
        name_width = max(min(34, self._width - columns * (FIGURE + 1)), 10)
        lines = self._heading(name_width)
        for action, figures in ranked:
            lines.append(self._row(name_width, action, figures, past, action))
        if left_out:
            lines.append(Text(f"{self._more} and {left_out} other kinds", QUIET))
        lines.append(self._row(name_width, "all", now.overall, past, None))
        return lines

    def _heading(self, name_width: int) -> list[Text]:
        last = f"the last {LATELY_S:.0f} s, ms"
        over = Text(" " * (name_width + 3 * (FIGURE + 1)))
        over.append(f"{last:>{3 * (FIGURE + 1)}}{'whole run, ms':>{2 * (FIGURE + 1)}}")
        names = ("sent", "/s", "failed", "p50", "p95", "p99", "p95", "max")
        under = Text("round trip".ljust(name_width)).append("".join(f"{n:>{FIGURE + 1}}" for n in names))
        over.stylize(QUIET)
        under.stylize(QUIET)
        return [over, under]

    def _row(
        self, name_width: int, name: str, figures: ActionFigures, past: Past, action: str | None
    ) -> Text:
        lately, whole = past.lately(figures, action), figures.waited
        line = Text(_short(name, name_width, self._more).ljust(name_width))
        line.append(f"{many(figures.sent):>{FIGURE + 1}}{rate(lately.per_s):>{FIGURE + 1}}")
        line.append(f"{many(figures.failed):>{FIGURE + 1}}", TROUBLE if lately.failed else "")
        for histogram, percents, marked in (
            (lately.waited, (50, 95, 99), past.marked),
            (whole, (95, 100), past.now.was_bottleneck),
        ):
            for seconds in _percentiles(histogram, percents):
                text = "-" if seconds is None else (MARK if marked else "") + milliseconds(seconds)
                line.append(f"{text:>{FIGURE + 1}}", DOUBT if marked and seconds is not None else "")
        if action is None:
            line.stylize("bold")
        return line

    # --- the keys -----------------------------------------------------------------------------------

    def _keys(self, course: Course) -> Text:
        """With all words, or with those that one cannot do without."""
        keys = (*course.keys, ("?", "help", ""))
        for gap, worded in (("   ", True), (" ", True), (" ", False)):
            line = Text()
            for key, word, _ in keys:
                line.append(key, "bold reverse")
                line.append(f" {word}" if worded or key in "q?" else "", QUIET).append(gap)
            line.rstrip()
            if line.cell_len <= self._width:
                break
        return line

    def _help(self, course: Course) -> list[Text]:
        lines = [
            Text().append(f" {key} ", "bold reverse").append(f"  {what}") for key, _, what in course.keys
        ]
        lines.append(Text().append(" ? ", "bold reverse").append("  back to the figures"))
        return [
            *lines,
            Text(),
            Text(
                "A round trip counts from the moment the message was due, not from when it was sent.", QUIET
            ),
        ]


def _latest_s(now: Snapshot) -> float:
    """How late the simulator was at worst; 0: it was never measured, as on a stepped clock."""
    return max((simulator.lag_max_s for simulator in now.simulators), default=0.0)


def power(watts: float) -> str:
    """In kW, from 10 MW on in MW."""
    return f"{watts / 1000:,.0f} kW" if abs(watts) < 1e7 else f"{watts / 1e6:,.1f} MW"


def many(count: int) -> str:
    """A count in at most 6 characters."""
    if count < 1_000_000:
        return str(count)
    return f"{count / 1e6:.2f}M" if count < 100_000_000 else f"{count / 1e6:.0f}M"


def rate(per_s: float) -> str:
    """In at most 6 characters."""
    return f"{per_s:.1f}" if per_s < 1000 else many(round(per_s))


def milliseconds(seconds: float) -> str:
    """In at most 6 characters; from 10 s on in seconds."""
    ms = seconds * 1000
    if ms < 10:
        return f"{ms:.1f}"
    return f"{ms:.0f}" if ms < 10_000 else f"{seconds:.0f} s"


def _percentiles(histogram: Histogram, percents: Sequence[float]) -> Iterable[float | None]:
    return histogram.percentiles(percents) if histogram.count else [None] * len(percents)


def _counts(title: str, kinds: Iterable[tuple[str, Counter[str]]]) -> Text:
    line = Text().append(f"{title:<8}", QUIET)
    parts = [
        f"{what}{', '.join(f'{_clean(kind)} {count:,}' for kind, count in counts.most_common(6))}"
        for what, counts in kinds
        if counts
    ]
    return line.append("   ".join(parts)) if parts else line.append("none", QUIET)


def _short(text: str, width: int, more: str) -> str:
    text = _clean(text)
    return text if len(text) < width else text[: width - 1 - len(more)] + more


def _clean(text: str) -> str:
    """Of what others wrote nothing reaches the terminal that it would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
