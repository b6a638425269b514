"""Draws limits over time as stairs: in characters for a terminal or a pipe, and as an SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

ROWS = 6
_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " ...::::#"  # the same eighths, as far as ASCII has them
_INTERVALS_S = tuple(3600 * hours for hours in (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 168, 336, 672, 1344, 2688))
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Stairs:
    """Limits from `start_at` to `end_at`: each of `steps` is a moment and the limit from then on."""

    title: str
    unit: str
    steps: tuple[tuple[float, float], ...]
    start_at: float
    end_at: float

    @property
    def top(self) -> float:
        """The highest limit; 1 if all are 0, so that it can be divided by."""
        return max(limit for _, limit in self.steps) or 1.0

    def spans(self) -> Iterator[tuple[float, float, float]]:
        """Beginning, end and limit of each step."""
        ends = [*(at for at, _ in self.steps[1:]), self.end_at]
        for (at, limit), end in zip(self.steps, ends, strict=True):
            yield max(at, self.start_at), end, limit

    def lowest(self, start_at: float, end_at: float) -> float:
        """The lowest limit within a span, so that no gap disappears between two columns."""
        return min(limit for at, end, limit in self.spans() if at < end_at and end > start_at)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most so many moments on the round of the local clock, with what to write there."""
        fitting = (s for s in _INTERVALS_S if (self.end_at - self.start_at) / s <= most)
        every_s = next(fitting, _INTERVALS_S[-1])
        form = "%m-%d" if every_s >= _DAY_S else "%H:%M"
        midnight = datetime.fromtimestamp(self.start_at).replace(hour=0, minute=0, second=0, microsecond=0)
        at, found = midnight.timestamp(), []
        while at < self.end_at:
            if at >= self.start_at:
                found.append((at, datetime.fromtimestamp(at).strftime(form)))
            at += every_s
        return found


def number(value: float) -> str:
    """A limit with the one decimal it may have."""
    return f"{value:.1f}".removesuffix(".0")


def drawn(stairs: Stairs, columns: int, blocks: bool) -> str:
    """The stairs in `columns` characters per line, with axes; in ASCII without `blocks`."""
    characters = _BLOCKS if blocks else _PLAIN
    side, corner, line, tick = ("│", "└", "─", "┬") if blocks else ("|", "+", "-", "+")
    margin = max(len(number(stairs.top)), len(number(stairs.top / 2))) + 1
    width = max(10, columns - margin - 1)
    per_column_s = (stairs.end_at - stairs.start_at) / width
    eighths = []
    for column in range(width):
        at = stairs.start_at + column * per_column_s
        limit = stairs.lowest(at, at + per_column_s)
        # Next to nothing is not nothing.
        eighths.append(max(round(limit / stairs.top * ROWS * 8), 1 if limit > 0 else 0))
    marks = {0: number(stairs.top), ROWS // 2: number(stairs.top / 2)}
    text = []
    for row in range(ROWS):
        floor = (ROWS - 1 - row) * 8
        cells = "".join(characters[min(max(height - floor, 0), 8)] for height in eighths)
        text.append(f"{marks.get(row, ''):>{margin - 1}} {side}{cells}".rstrip())
    axis, labels = [line] * width, [" "] * width
    for at, label in stairs.ticks(width // 8):
        column = int((at - stairs.start_at) / per_column_s)
        axis[column] = tick
        if column + len(label) <= width:
            labels[column : column + len(label)] = label
    text.append(f"{'0':>{margin - 1}} {corner}{''.join(axis)}")
    text.append(" " * (margin + 1) + "".join(labels).rstrip())
    return "\n".join(text)


# --- SVG --------------------------------------------------------------------------------------------

_WIDTH, _PANEL, _LEFT, _RIGHT, _ABOVE, _BELOW = 900, 220, 64, 20, 34, 34
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:14px;font-weight:bold}.head{font-size:16px}"
    ".grid{stroke:#ddd}.axis{fill:none;stroke:#333}.line{fill:none;stroke:#0a6ebd;stroke-width:2}.area{fill:#0a6ebd;fill-opacity:.13}"
    ".value{fill:#0a4f87}"
)


def picture(heading: str, panels: Sequence[Stairs]) -> str:
    """A complete SVG document, one panel below the other, that needs nothing from elsewhere."""
    height = 40 + _PANEL * len(panels)
    drawn_panels = "".join(
        f'<g transform="translate(0 {40 + _PANEL * n})">{_panel(stairs)}</g>\n'
        for n, stairs in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>{escape(heading)}</title>\n<style>{_STYLE}</style>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="head" x="{_LEFT}" y="26">{escape(heading)}</text>\n{drawn_panels}</svg>\n'
    )


def _panel(stairs: Stairs) -> str:
    base, high = _PANEL - _BELOW, _PANEL - _BELOW - _ABOVE
    wide = _WIDTH - _LEFT - _RIGHT

    def x(at: float) -> float:
        return round(_LEFT + (at - stairs.start_at) / (stairs.end_at - stairs.start_at) * wide, 1)

    def y(limit: float) -> float:
        return round(base - limit / stairs.top * high, 1)

    parts = [f'<text class="title" x="{_LEFT}" y="14">{escape(stairs.title)}</text>']
    for limit in (0.0, stairs.top / 2, stairs.top):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(limit)}H{_LEFT + wide}"/>')
        label = f"{number(limit)} {escape(stairs.unit)}"
        parts.append(f'<text x="{_LEFT - 6}" y="{y(limit) + 4}" text-anchor="end">{label}</text>')
    for at, label in stairs.ticks(14):
        parts.append(f'<path class="grid" d="M{x(at)} {base}V{base - high}"/>')
        parts.append(f'<text x="{x(at)}" y="{base + 18}" text-anchor="middle">{label}</text>')
    spans = [(x(at), x(end), y(limit), limit) for at, end, limit in stairs.spans()]
    path = f"M{spans[0][0]} {spans[0][2]}" + "".join(f"V{level}H{right}" for _, right, level, _ in spans)
    parts.append(f'<path class="area" d="{path}V{base}H{_LEFT}Z"/><path class="line" d="{path}"/>')
    for left, right, level, limit in spans:
        if right - left > 8 * len(number(limit)):
            parts.append(f'<text class="value" x="{left + 4}" y="{level - 5}">{number(limit)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {base - high}V{base}H{_LEFT + wide}"/>')
    return "".join(parts)
