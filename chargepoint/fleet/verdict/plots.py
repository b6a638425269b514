"""A run over time as pictures: inline SVG that takes its colours from the page around it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from html import escape
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING

from chargepoint.fleet.measures.snapshot import Happened
from chargepoint.fleet.measures.timeline import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REMEDY = "pip install 'chargepoint[report]'"

SIZE_IN = (5.0, 2.4)
"""A phone's width, so that a page that is no wider shows the whole of it in letters that can be read."""

LETTERS_IN_A_LINE = 36
"""Of the names above a plot; if they are longer there are two in a line."""

"""Names in a line of the legend."""

# Colours nobody would choose, each replaced by one of the page's own, which knows light from dark.
_INK, _GRID, _MARK = "#010203", "#010204", "#010205"
_SERIES = ("#010210", "#010211", "#010212", "#010213", "#010214")
_PAGE = {_INK: "var(--ink)", _GRID: "var(--line)", _MARK: "var(--mark)"} | {
    colour: f"var(--series-{n})" for n, colour in enumerate(_SERIES, 1)
}


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture."""

    title: str
    about: str
    svg: str


MOST_ACTIONS = len(_SERIES)
"""Actions with a line of their own, those with the most messages."""

MOST_POINTS = 60
"""Of a line of one action, which has fewer messages than all of them: each point is a percentile of some."""

Line = tuple[str, Callable[[Row], float]]


@dataclass(frozen=True, slots=True)
class _Kind:
    title: str
    about: str
    unit: str
    lines: tuple[Line, ...]
    logarithmic: bool = False
    points: bool = False
    """Also where there is nothing before and behind to draw a line to."""


def _percentile_ms(percent: float, action: str | None = None) -> Callable[[Row], float]:
    def value(row: Row) -> float:
        """Nothing was answered: nothing to draw."""
        latency = row.latency if action is None else row.actions.get(action)
        return latency.percentile(percent) * 1000 if latency is not None and latency.count else float("nan")

    return value


_ROUND_TRIPS = _Kind(
    "Round trips",
    "From the moment a CALL was wanted to its answer, all actions.",
    "ms",
    (("p50", _percentile_ms(50)), ("p95", _percentile_ms(95)), ("p99", _percentile_ms(99))),
    logarithmic=True,
)

_LATENESS = _Kind(
    "Lateness of the simulator",
    "Of its own event loop, at worst.",
    "ms",
    (("late", lambda row: row.lag_s * 1000),),
)

_KINDS = (
    _Kind(
        "Stations",
        "",
        "",
        (
            ("started", lambda row: row.started),
            ("connected", lambda row: row.connected),
            ("accepted", lambda row: row.booted),
            ("charging", lambda row: row.charging),
        ),
    ),
    _Kind("Power", "What all vehicles draw.", "kW", (("power", lambda row: row.power_w / 1000),)),
    _Kind(
        "Messages",
        "Per second of real time.",
        "1/s",
        (
            ("to the central system", lambda row: row.sent_per_s),
            ("from it", lambda row: row.received / row.over_s if row.over_s else 0.0),
        ),
    ),
    _ROUND_TRIPS,
    _Kind(
        "Errors",
        "Per second of real time.",
        "1/s",
        (
            ("CALLs without a result", lambda row: row.failed_per_s),
            ("failed connections", lambda row: row.connect_failures / row.over_s if row.over_s else 0.0),
            ("reconnects", lambda row: row.reconnects / row.over_s if row.over_s else 0.0),
        ),
    ),
    _Kind("CPU of the simulator", "Of one core.", "%", (("CPU", lambda row: row.cpu_share * 100),)),
)


def available() -> bool:
    """True if matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plots(
    rows: Sequence[Row],
    *,
    happened: Sequence[Happened] = (),
    station_time: bool = False,
    lateness: bool = True,
) -> list[Plot]:
    """All pictures, over real time or over that of the stations; nothing if nothing happened.

    Where the simulator itself could not keep up the background is marked, and when something was done to the
    fleet there is a line. Without `lateness` it was not measured: on a stepped clock the simulator has none.
    """
    rows = [row for row in rows if row.over_s > 0]
    if not rows:
        return []
    divisor, unit = _unit(rows[-1].station_s if station_time else rows[-1].at_s + rows[-1].over_s)

    def moment(row: Row) -> float:
        return (row.station_s if station_time else row.at_s + row.over_s) / divisor

    done = [(one.station_s if station_time else one.at_s) / divisor for one in happened]
    of = f"{'station' if station_time else 'real'} time, {unit}"

    def plot(kind: _Kind, rows: Sequence[Row]) -> Plot:
        return Plot(kind.title, kind.about, _draw(kind, rows, moment, done, of))

    found = [plot(kind, rows) for kind in _KINDS]
    if by_action := _by_action(rows):
        found.insert(_KINDS.index(_ROUND_TRIPS) + 1, plot(by_action, _coarse(rows)))
    if lateness:
        found.insert(-1, plot(_LATENESS, rows))
    return found


def _by_action(rows: Sequence[Row]) -> _Kind | None:
    """The busiest actions; nothing with fewer than two of them, which the plot of all shows already."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update({action: histogram.count for action, histogram in row.actions.items()})
    busiest = [action for action, _ in counts.most_common(MOST_ACTIONS)]
    if len(busiest) < 2:
        return None
    others = len(counts) - len(busiest)
    beside = f" Of the {others} other{'s' if others > 1 else ''} see the table below." if others else ""
    return _Kind(
        "Round trips by action",
        f"p95, from the moment a CALL was wanted to its answer, of the {len(busiest)} most frequent actions."
        + beside,
        "ms",
        tuple((action, _percentile_ms(95, action)) for action in busiest),
        logarithmic=True,
        points=True,
    )


def _coarse(rows: Sequence[Row]) -> list[Row]:
    """Neighbours joined, so that there are few enough."""
    size = -(-len(rows) // MOST_POINTS)
    return [reduce(Row.joined, rows[first : first + size]) for first in range(0, len(rows), size)]


def _unit(longest_s: float) -> tuple[float, str]:
    if longest_s < 300:
        return 1.0, "s"
    return (60.0, "min") if longest_s < 3 * 3600 else (3600.0, "h")


def _draw(
    kind: _Kind, rows: Sequence[Row], moment: Callable[[Row], float], done: Sequence[float], below: str
) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The salt keeps the names within one picture apart from those of the others on the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": kind.title, "font.size": 9}):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        at = [moment(row) for row in rows]
        _mark(axes, at, rows)
        for when in done:
            axes.axvline(when, color=_INK, linewidth=0.8, linestyle="dotted")
        for colour, (name, value) in zip(_SERIES, kind.lines, strict=False):
            marker = "." if kind.points else ""
            values = [value(row) for row in rows]
            axes.plot(at, values, color=colour, linewidth=1.4, marker=marker, markersize=4, label=name)
        _dress(axes, kind, below)
        written = StringIO()
        figure.savefig(
            written,
            format="svg",
            transparent=True,
            metadata={"Creator": None, "Date": None, "Format": None, "Type": None},
        )
    return for_page(written.getvalue(), f"{kind.title} over time", _PAGE)


def _mark(axes: Axes, at: Sequence[float], rows: Sequence[Row]) -> None:
    """The times in which the simulator itself was slow, neighbours as one."""
    begin: float | None = None
    for index, row in enumerate(rows):
        if row.bottleneck and begin is None:
            begin = at[index - 1] if index else 0.0
        ends = begin is not None and (index + 1 == len(rows) or not rows[index + 1].bottleneck)
        if begin is not None and ends:
            axes.axvspan(begin, at[index], color=_MARK, linewidth=0)
            begin = None


def _dress(axes: Axes, kind: _Kind, below: str) -> None:
    from matplotlib.ticker import LogLocator

    if kind.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    else:
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1.0))
    axes.margins(x=0)
    axes.set_xlim(left=0)
    axes.set_xlabel(below, color=_INK)
    axes.set_ylabel(kind.unit, color=_INK)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.tick_params(which="both", colors=_INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if len(kind.lines) > 1:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(kind.lines) if sum(len(name) for name, _ in kind.lines) <= LETTERS_IN_A_LINE else 2,
            handlelength=1.4,
            frameon=False,
            labelcolor=_INK,
            borderaxespad=0,
        )


def for_page(svg: str, label: str, colours: Mapping[str, str]) -> str:
    """Only the element itself, without addresses and names, in the page's colours and width."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\sid="(?![pm][0-9a-f]{10}")[^"]*"', "", svg)  # all but clip paths and points, referred to
    svg = re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    for colour, page in colours.items():
        svg = svg.replace(colour, page)
    return svg
