"""A story over time as a picture: statuses as bands, current offered and drawn, energy, state of charge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from math import nan
from typing import TYPE_CHECKING, Any, TypeVar

from chargepoint.fleet.verdict.plots import for_page
from scenarios.history import History, LimitSeen, Sample
from scenarios.oracle import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Mark", "Picture", "picture", "site_picture"]

MOST_LANES = 12
MOST_PANELS = 4
"""Connectors whose current is drawn, each in a panel of its own."""
MOST_POINTS = 600
"""Of one line."""

_WIDTH_IN, _LANE_IN, _PANEL_IN, _GAP_IN, _TOP_IN, _BELOW_IN = 8.6, 0.27, 1.15, 0.3, 0.2, 0.45
_LEFT, _RIGHT = 0.095, 0.935
_TEXT_PT = 8

# Colours nobody would choose, each replaced by one of the page's own, which knows light from dark.
_INK, _SOFT, _GRID, _ODD, _BAD, _OFFERED, _DRAWN = (f"#0102{n:02x}" for n in range(7))
_SERIES = tuple(f"#0103{n:02x}" for n in range(MOST_PANELS))
_BANDS = {
    name: f"#0104{n:02x}"
    for n, name in enumerate(
        (
            "Available",
            "Preparing",
            "Charging",
            "SuspendedEV",
            "SuspendedEVSE",
            "Finishing",
            "Reserved",
            "Unavailable",
            "Faulted",
            "online",
            "offline",
        )
    )
}
_PAGE = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _GRID: "var(--line)",
    _ODD: "var(--odd)",
    _BAD: "var(--bad)",
    _OFFERED: "var(--series-3)",
    _DRAWN: "var(--series-1)",
    **{colour: f"var(--series-{n})" for n, colour in enumerate(_SERIES, 1)},
    **{colour: f"var(--band-{name.lower()})" for name, colour in _BANDS.items()},
}

Entry = TypeVar("Entry")

Band = tuple[float, float, str]
"""From, to, what."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to be seen in the picture: a letter or number, and whether something went wrong there."""

    at: float
    name: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """The drawing, what its bands mean (name and colour), and the limits it numbers, the first 1.

    `left_out`: connectors it has no place for.
    """

    svg: str
    bands: list[tuple[str, str]]
    limits: list[LimitSeen]
    left_out: int


def picture(
    history: History, began_at: float, ended_at: float, marks: Sequence[Mark], salt: str
) -> Picture | None:
    """One station's story; None if nothing of it happened there. `salt` keeps pictures of a page apart."""
    lanes = dict(_lanes(history, ended_at))
    charged = [connector for connector in _connectors(history) if _charged(history, connector)]
    if ended_at <= began_at or not (lanes or charged):
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = charged[:MOST_PANELS]
    shown = dict(list(lanes.items())[:MOST_LANES])
    heights = [len(shown) * _LANE_IN, *[_PANEL_IN] * (len(panels) + bool(panels))]
    height = _TOP_IN + sum(heights) + _GAP_IN * (len(heights) - 1) + _BELOW_IN
    divisor, unit = _unit(ended_at - began_at)
    limits = [limit for limit in history.limits if limit.connector in charged]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": _TEXT_PT}):
        figure = Figure(figsize=(_WIDTH_IN, height))
        top, every = height - _TOP_IN, []
        for tall in heights:
            every.append(figure.add_axes((_LEFT, (top - tall) / height, _RIGHT - _LEFT, tall / height)))
            top -= tall + _GAP_IN
        scale = _Scale(began_at, ended_at, divisor)
        _draw_lanes(every[0], shown, scale)
        for axes, connector in zip(every[1:], panels, strict=False):
            _draw_current(axes, history, connector, limits, scale)
        if panels:
            _draw_energy(every[-1], history, panels, scale)
        for axes in every:
            _dress(axes, scale)
            _draw_marks(axes, marks, scale, named=axes is every[0])
        every[-1].tick_params(labelbottom=True)
        every[-1].set_xlabel(f"station time, {unit}", color=_INK)
        svg = _svg(figure, f"{history.cp} over time")
    told = {what for bands in shown.values() for _, _, what in bands}
    bands = [(name, _PAGE[colour]) for name, colour in _BANDS.items() if name in told]
    return Picture(svg, bands, limits, len(lanes) - len(shown) + len(charged) - len(panels))


def site_picture(
    site: Measured, began_at: float, ended_at: float, marks: Sequence[Mark], salt: str
) -> str | None:
    """What building and stations draw together, under or over the limit; None if no time passed."""
    if ended_at <= began_at or not site.spans:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    divisor, unit = _unit(ended_at - began_at)
    scale = _Scale(began_at, ended_at, divisor)
    size, factor = ("A", 1.0) if site.unit == "A" else ("kW", 0.001)
    height = _TOP_IN + 2 * _PANEL_IN + _BELOW_IN
    looks = {
        "total": {"color": _INK, "linewidth": 1.6, "label": "building and stations"},
        "load": {"color": _SOFT, "linewidth": 1.4, "label": "building"},
        "limit": {"color": _BAD, "linewidth": 1.4, "linestyle": "dashed", "zorder": 5, "label": "limit"},
    }
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": _TEXT_PT}):
        figure = Figure(figsize=(_WIDTH_IN, height))
        axes = figure.add_axes(
            (_LEFT, _BELOW_IN / height, _RIGHT - _LEFT, 1 - (_BELOW_IN + _TOP_IN + 0.2) / height)
        )
        for begin, end in site.over:
            axes.axvspan(scale.x(begin), scale.x(end), color=_BANDS["Faulted"], alpha=0.4, linewidth=1)
        series = site.series()
        # The first are broader, so that those that draw the same are all seen.
        free = zip(_SERIES, (4.0, 2.8, 1.8, 1.0), strict=True)
        for name, points in series.items():
            look: dict[str, Any] | None = looks.get(name)
            if look is None:
                if (own := next(free, None)) is None:
                    continue
                colour, width = own
                look = {"color": colour, "linewidth": width, "label": name.replace("$", r"\$").lstrip("_")}
            shown = thinned(points)
            axes.plot([scale.x(at) for at, _ in shown], [value * factor for _, value in shown], **look)
        axes.set_ylim(0, max(axes.get_ylim()[1], site.limits[1] * factor) * 1.1)
        axes.set_ylabel(size, color=_INK)
        _dress(axes, scale)
        _draw_marks(axes, marks, scale, named=False)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(f"station time, {unit}", color=_INK)
        _legend(axes, None)
        return _svg(figure, "The site over time")


def _svg(figure: Figure, label: str) -> str:
    written = StringIO()
    figure.savefig(
        written,
        format="svg",
        transparent=True,
        metadata={"Creator": None, "Date": None, "Format": None, "Type": None},
    )
    return for_page(written.getvalue(), label, _PAGE)


@dataclass(frozen=True, slots=True)
class _Scale:
    began_at: float
    ended_at: float
    divisor: float

    def x(self, at: float) -> float:
        return (min(max(at, self.began_at), self.ended_at) - self.began_at) / self.divisor

    @property
    def width(self) -> float:
        return (self.ended_at - self.began_at) / self.divisor


def _unit(longest_s: float) -> tuple[float, str]:
    for divisor, unit, until_s in ((1.0, "s", 300), (60.0, "min", 3 * 3600), (3600.0, "h", 4 * 86_400)):
        if longest_s < until_s:
            return divisor, unit
    return 86_400.0, "days"


def _connectors(history: History) -> list[int]:
    seen = {limit.connector for limit in history.limits} | {sample.connector for sample in history.samples}
    return sorted(connector for connector in seen if connector > 0)


def _charged(history: History, connector: int) -> bool:
    return any(limit.connector == connector and limit.offered_a > 0 for limit in history.limits) or any(
        sample.connector == connector and sample.current_a for sample in history.samples
    )


def _lanes(history: History, ended_at: float) -> Iterator[tuple[str, list[Band]]]:
    """The link if it was ever lost, the station's status if it was ever another, each connector's."""
    online = [
        (event.at, "online" if event.fields.get("online") else "offline")
        for event in history.events
        if event.name == "connection" and event.at < ended_at  # at the end all links close
    ]
    if any(what == "offline" for _, what in online):
        yield "link", list(_bands(online, ended_at))
    for connector in sorted({seen.connector for seen in history.statuses}):
        changes = [(seen.at, seen.status) for seen in history.statuses if seen.connector == connector]
        if connector or any(what != "Available" for _, what in changes):
            yield f"connector {connector}" if connector else "station", list(_bands(changes, ended_at))


def _bands(changes: Sequence[tuple[float, str]], ended_at: float) -> Iterator[Band]:
    """What lasted from when to when; the same told twice is one."""
    begun: tuple[float, str] | None = None
    for at, what in changes:
        if begun is None or what != begun[1]:
            if begun is not None:
                yield (*begun[:1], at, begun[1])
            begun = (at, what)
    if begun is not None:
        yield (begun[0], ended_at, begun[1])


def _draw_lanes(axes: Axes, lanes: dict[str, list[Band]], scale: _Scale) -> None:
    for row, bands in enumerate(lanes.values()):
        for begin, end, what in thinned(bands):
            left, right = scale.x(begin), scale.x(end)
            axes.barh(row, right - left, 0.8, left, color=_BANDS.get(what, _GRID), linewidth=0)
            if (right - left) / scale.width > 0.0105 * len(what):
                axes.text(
                    left + scale.width * 0.005,
                    row,
                    what,
                    va="center",
                    fontsize=7,
                    color=_INK,
                    clip_on=True,
                    parse_math=False,
                )
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(lanes)), list(lanes))


def _draw_current(
    axes: Axes, history: History, connector: int, limits: Sequence[LimitSeen], scale: _Scale
) -> None:
    """What may be drawn as stairs with numbers, what is drawn as a line."""
    steps = [(scale.began_at, 0.0)]
    steps += [(limit.at, limit.offered_a) for limit in limits if limit.connector == connector]
    steps.append((scale.ended_at, steps[-1][1]))
    axes.plot(
        [scale.x(at) for at, _ in steps],
        [value for _, value in steps],
        drawstyle="steps-post",
        color=_OFFERED,
        linewidth=2.4,
        label="offered",
    )
    _line(axes, history, connector, scale, "current_a", color=_DRAWN, linewidth=1.2, label="drawn")
    axes.set_ylim(0, max(axes.get_ylim()[1], 8.0) * 1.22)
    labelled = -1.0
    for number, limit in enumerate(limits, 1):
        x = scale.x(limit.at)
        if limit.connector == connector and (labelled < 0 or x - labelled > scale.width * 0.018):
            axes.annotate(
                str(number),
                (x, limit.offered_a),
                (2, 2.5),
                textcoords="offset points",
                fontsize=7,
                color=_INK,
            )
            labelled = x
    axes.set_ylabel("A", color=_INK)
    _legend(axes, f"connector {connector}, current")


def _draw_energy(axes: Axes, history: History, connectors: Sequence[int], scale: _Scale) -> None:
    """Since the beginning of the story, in kWh; the state of charge against the other side."""
    for colour, connector in zip(_SERIES, connectors, strict=False):
        _line(
            axes,
            history,
            connector,
            scale,
            "energy_wh",
            color=colour,
            linewidth=1.4,
            label=f"connector {connector}, energy",
        )
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.01) * 1.15)
    axes.set_ylabel("kWh", color=_INK)
    if any(sample.soc_percent is not None for sample in history.samples):
        right = axes.twinx()
        for colour, connector in zip(_SERIES, connectors, strict=False):
            _line(
                right,
                history,
                connector,
                scale,
                "soc_percent",
                color=colour,
                linewidth=1.1,
                linestyle="dashed",
            )
        axes.plot([], [], color=_INK, linewidth=1.1, linestyle="dashed", label="state of charge")
        right.set_ylim(0, 105)
        right.set_ylabel("%", color=_INK)
        _plain(right)
    _legend(axes, None)


def _line(axes: Axes, history: History, connector: int, scale: _Scale, field: str, **look: Any) -> None:
    samples = [sample for sample in history.samples if sample.connector == connector]
    if not samples:
        return
    samples = thinned(samples)
    if field == "current_a":
        look["drawstyle"] = "steps-post"
        samples.append(replace(samples[-1], at=scale.ended_at))
    axes.plot([scale.x(sample.at) for sample in samples], _values(samples, field), **look)


def _values(samples: Sequence[Sample], field: str) -> list[float]:
    values = [getattr(sample, field) for sample in samples]
    if field == "energy_wh":
        first = next((value for value in values if value is not None), 0.0)
        return [nan if value is None else (value - first) / 1000 for value in values]
    return [nan if value is None else value for value in values]


def thinned(entries: Sequence[Entry]) -> list[Entry]:
    """At most `MOST_POINTS` of them, evenly, the first and the last among them."""
    if len(entries) <= MOST_POINTS:
        return list(entries)
    return [entries[n * (len(entries) - 1) // (MOST_POINTS - 1)] for n in range(MOST_POINTS)]


def _draw_marks(axes: Axes, marks: Sequence[Mark], scale: _Scale, *, named: bool) -> None:
    last = -1.0
    for mark in marks:
        x = scale.x(mark.at)
        axes.axvline(
            x,
            color=_BAD if mark.wrong else _ODD,
            linewidth=1.2 if mark.wrong else 0.9,
            linestyle="solid" if mark.wrong else "dotted",
        )
        if named and (mark.wrong or last < 0 or x - last > scale.width * 0.018):
            axes.text(
                x,
                1.0,
                mark.name,
                transform=axes.get_xaxis_transform(),
                va="bottom",
                ha="right" if x > scale.width * 0.95 else "center",
                fontsize=7,
                color=_BAD if mark.wrong else _ODD,
            )
            last = x


def _dress(axes: Axes, scale: _Scale) -> None:
    axes.set_xlim(0, scale.width)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    _plain(axes)
    axes.tick_params(labelbottom=False)


def _plain(axes: Axes) -> None:
    axes.tick_params(which="both", colors=_INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _legend(axes: Axes, title: str | None) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 0.98),
        ncols=2 * MOST_PANELS,
        frameon=False,
        labelcolor=_INK,
        borderaxespad=0,
        fontsize=7,
    )
    if title:
        axes.text(1, 1.03, title, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color=_INK)
