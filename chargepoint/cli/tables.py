"""Tables for a person: aligned text in a pipe, ruled in a terminal, and the few forms their cells take."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, str]
"""Cells by column heading; every row of a table has the same ones."""


def show(tables: Sequence[Sequence[Row]], right: Collection[str]) -> None:
    """Print tables that are not empty, one after the other; the columns `right` are aligned to that side."""
    if sys.stdout.isatty():
        _show_rich(tables, right)
    else:
        click.echo("\n\n".join(aligned(rows, right) for rows in tables))


def aligned(rows: Sequence[Row], right: Collection[str]) -> str:
    """Columns of plain text, two blanks apart."""
    names = list(rows[0])
    shown = [names, *([printable(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(names, line, widths, strict=True)
        ).rstrip()
        for line in shown
    )


def _show_rich(tables: Sequence[Sequence[Row]], right: Collection[str]) -> None:
    from rich.console import Console

    for rows in tables:
        Console().print(ruled(rows, right))


def ruled(rows: Sequence[Row], right: Collection[str]) -> Table:
    """A table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in rows[0]:
        table.add_column(name, justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row.values()))
    return table


def printable(text: str) -> str:
    """The text without line ends and control sequences: a tag is whatever a card or a central system says."""
    return "".join(character if character.isprintable() else "?" for character in text)


def local(at: float | None) -> str:
    """Local time to the minute; nothing for None."""
    return "" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def utc(at: float | None) -> str:
    """ISO 8601 in UTC to the second; nothing for None."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(duration_s: int | None) -> str:
    """Hours and minutes; nothing for None."""
    return "" if duration_s is None else f"{duration_s // 3600}:{duration_s // 60 % 60:02}"


def kwh(energy_wh: int | None) -> str:
    """Exact to the Wh; a negative amount, of a meter that was exchanged, stays visible."""
    if energy_wh is None:
        return ""
    return f"{'-' if energy_wh < 0 else ''}{abs(energy_wh) // 1000}.{abs(energy_wh) % 1000:03}"
