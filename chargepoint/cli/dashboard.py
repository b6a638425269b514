"""The live view of one station: a table of its connectors under the frames, or plain lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from chargepoint.cli.words import Words, frame_text
from chargepoint.csms.ledger import Transaction
from chargepoint.ocpp16.status import status_of
from chargepoint.ocpp16.times import format_time
from chargepoint.station import Station

REFRESHES_PER_S = 4.0
PLAIN_EVERY_S = 180.0
"""In plain lines the state of a charging connector comes once in so much station time."""

COLOURS = {
    "Available": "green",
    "Preparing": "cyan",
    "Charging": "bold blue",
    "SuspendedEV": "yellow",
    "SuspendedEVSE": "yellow",
    "Finishing": "cyan",
    "Unavailable": "magenta",
    "Faulted": "bold red",
}


class Dashboard:
    """Shows what a station does; `event` is a watcher of it."""

    def __init__(self, station: Station, console: Console, plain: bool) -> None:
        self._station = station
        self._console = console
        self._plain = plain
        self._words = Words(station.clock, frames=True)
        self._peaks_w: dict[str, float] = {}
        self._durations: dict[str, tuple[float, float]] = {}
        self._plain_at = station.clock.now()

    # --- while it runs ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table as long as this lasts."""
        if self._plain:
            self._tick()
            yield
            return
        with Live(
            console=self._console, refresh_per_second=REFRESHES_PER_S, get_renderable=self._table, screen=False
        ):
            yield

    def say(self, text: str) -> None:
        """Tell what happens."""
        if self._plain:
            click_line(self._console, f"{self._now()}  * {text}")
        else:
            self._console.print(f"[bold]{self._now()}  {escape(text)}[/bold]")

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """Something happened at the station."""
        if event == "transaction":
            self._transaction(fields)
        if event == "limit":
            self._measure()
        if self._plain:
            self._words.event(event, fields)
        elif event == "ocpp":
            style = "dim" if fields["dir"] == "rx" else "none"
            line = f"{self._now()}  {frame_text(fields['dir'], fields['data'])}"
            self._console.print(escape(line), style=style, no_wrap=True, overflow="ellipsis", highlight=False)

    def _transaction(self, fields: dict[str, Any]) -> None:
        key, now = fields["key"], self._station.clock.now()
        if fields["phase"] == "started":
            self._durations[key] = (now, now)
        elif fields["phase"] == "stopped":
            self._durations[key] = (self._durations[key][0], now)

    def _now(self) -> str:
        return format_time(self._station.clock.now())[11:19]

    def _measure(self) -> list[float]:
        """The power of every connector now; remembers the peaks of transactions."""
        powers: list[float] = []
        for connector in self._station.charge_point.connectors.all:
            reading = connector.reading()
            power_w = reading.power_w if reading is not None else 0.0
            if connector.transaction is not None:
                key = connector.transaction.key
                self._peaks_w[key] = max(power_w, self._peaks_w.get(key, 0.0))
            powers.append(power_w)
        return powers

    def _tick(self) -> None:
        """In plain lines: the state of charging connectors now and then."""
        for connector, power_w in zip(self._station.charge_point.connectors.all, self._measure(), strict=True):
            if connector.transaction is not None:
                row = "  ".join(self._row(connector.id, power_w))
                click_line(self._console, f"{self._now()}  = connector {row}")
        self._plain_at += PLAIN_EVERY_S
        self._station.clock.call_at(self._plain_at, self._tick)

    def _table(self) -> Table:
        table = Table(title=f"{self._station.identity}  {self._now()}", title_justify="left", expand=False)
        for heading in ("#", "status", "offered", "drawn", "power", "energy", "charge", "limit, and why"):
            table.add_column(heading, justify="left" if heading in ("status", "limit, and why") else "right")
        for n, power_w in enumerate(self._measure(), 1):
            row = self._row(n, power_w)
            colour = COLOURS.get(row[1], "none")
            table.add_row(row[0], f"[{colour}]{row[1]}[/{colour}]", *map(escape, row[2:]))
        return table

    def _row(self, n: int, power_w: float) -> tuple[str, ...]:
        charge_point = self._station.charge_point
        connector = charge_point.connectors[n]
        reading, transaction = connector.reading(), connector.transaction
        drawn_a = max(reading.current_a, default=0.0) if reading is not None else 0.0
        start_wh = transaction.meter_start_wh if transaction is not None else None
        energy = f"{(reading.energy_wh - start_wh) / 1000:.2f} kWh" if reading and start_wh is not None else "-"
        soc = f"{reading.soc_percent:.1f} %" if reading is not None and reading.soc_percent is not None else "-"
        limit = connector.permitted()
        return (
            str(n),
            status_of(connector).value,
            f"{limit.current_a:.1f} A",
            f"{drawn_a:.1f} A",
            f"{power_w / 1000:.2f} kW",
            energy,
            soc,
            charge_point.because(connector),
        )

    # --- afterwards ---------------------------------------------------------------------------------

    def summary(
        self, transactions: Sequence[Transaction], next_steps: Sequence[tuple[str, str]], interrupted: bool
    ) -> None:
        """What it came to: energy, duration and peak here, what was billed there, and what to try next."""
        click_line(self._console, "")
        click_line(self._console, "Interrupted; what there was:" if interrupted else "What it came to:")
        keys = list(self._durations)
        for n, transaction in enumerate(transactions):
            key = keys[n] if n < len(keys) else ""
            begin, end = self._durations.get(key, (0.0, 0.0))
            billed = transaction.energy_wh
            start = transaction.start or {}
            click_line(
                self._console,
                f"  connector {transaction.connector_id}  {start.get('idTag', '?'):<8}"
                f"  {(end - begin) / 60:5.1f} min"
                f"  peak {self._peaks_w.get(key, 0.0) / 1000:5.2f} kW"
                f"  the central system billed "
                + (f"{billed / 1000:.3f} kWh" if billed is not None else "nothing yet: it never heard of the end"),
            )
        if not transactions:
            click_line(self._console, "  no transaction")
        click_line(self._console, "")
        click_line(self._console, "Try next:")
        for what, command in next_steps:
            click_line(self._console, f"  {command:<62}  {what}")


def click_line(console: Console, text: str) -> None:
    """A plain line, never wrapped or coloured."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
