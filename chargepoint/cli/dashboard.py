"""The live view of one station: a table of its connectors under the frames, or plain lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chargepoint.cli.words import Words, frame_line, limit_text, stamp
from chargepoint.csms.ledger import Transaction
from chargepoint.csms.transcript import Frames
from chargepoint.domain.connector import Connector
from chargepoint.domain.offer import because
from chargepoint.ocpp16.status import status_of
from chargepoint.station import Station

REFRESHES_PER_S = 4.0
PLAIN_EVERY_S = 180.0
"""In plain lines the state of a charging connector comes once in so much station time."""

FRAMED_FROM = 92
"""Columns of a terminal that have room for a table with lines around it."""

COLUMNS = (
    ("#", 1),
    ("status", 13),
    ("offered A", 9),
    ("drawn A", 7),
    ("kW", 5),
    ("kWh", 5),
    ("charge", 7),
    ("limit, and why", 21),
)
"""Headings and least widths, so that the table does not jump about."""

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


@dataclass(slots=True)
class Session:
    """What the station itself saw of one transaction."""

    connector: int
    id_tag: str
    began_at: float
    meter_start_wh: float
    ended_at: float | None = None
    meter_stop_wh: float | None = None
    peak_w: float = 0.0
    transaction_id: int | None = None


class Dashboard:
    """Shows what a station does; `event` is a watcher of it.

    Without a console every line goes to `print_line`, and there is no table.
    """

    def __init__(self, station: Station, print_line: Callable[[str], None], console: Console | None) -> None:
        self._station = station
        self._print = print_line
        self._console = console
        self._live: Live | None = None
        self._words = Words(station.utc, print_line, frames=True, date=False)
        self._frames = Frames()
        self._sessions: dict[str, Session] = {}
        self._plain_at = station.clock.now()

    # --- while it runs ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table as long as this lasts, or until `settle`."""
        if self._console is None:
            self._tick()
            yield
            return
        self._live = Live(
            console=self._console, refresh_per_second=REFRESHES_PER_S, get_renderable=self._renderable
        )
        with self._live:
            yield

    def settle(self) -> None:
        """Leave the table as it is and give the terminal back; only lines follow."""
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Tell what happens."""
        if self._console is None:
            self._words.say(f"* {text}")
        else:
            self._line(text, "bold")

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """Something happened at the station."""
        if event == "transaction":
            self._transaction(fields)
        self._watch_peaks()
        if self._console is None:
            self._words.event(event, fields)
        elif event == "ocpp":
            self._line(frame_line(self._frames, fields), "dim" if fields["dir"] == "rx" else "none")
        elif event == "limit":
            self._line(limit_text(fields), "cyan")
        elif event == "error":
            self._line(f"error: {fields['message']}", "bold red")

    def _line(self, text: str, style: str) -> None:
        assert self._console is not None
        line = Text(f"{stamp(self._station.utc(), date=False)}  {text}", style)
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    def _transaction(self, fields: dict[str, Any]) -> None:
        now, meter_wh = self._station.clock.now(), fields["meter_wh"]
        session = self._sessions.setdefault(
            fields["key"], Session(fields["connector"], fields["id_tag"], now, meter_wh)
        )
        session.transaction_id = fields.get("transaction_id", session.transaction_id)
        if fields["phase"] == "stopped":
            session.ended_at, session.meter_stop_wh = now, meter_wh

    def _watch_peaks(self) -> None:
        for connector in self._station.charge_point.connectors.all:
            if connector.transaction is not None and (
                session := self._sessions.get(connector.transaction.key)
            ):
                session.peak_w = max(session.peak_w, _power_w(connector))

    def _tick(self) -> None:
        """In plain lines: the state of charging connectors now and then."""
        for connector in self._station.charge_point.connectors.all:
            if connector.transaction is not None:
                n, status, offered, drawn, kw, kwh, charge, why = self._row(connector)
                self._words.say(
                    f"= connector {n}  {status}  offered {offered} A, drawn {drawn} A  {kw} kW  {kwh} kWh"
                    f"  battery {charge}  limit: {why}"
                )
        self._plain_at += PLAIN_EVERY_S
        self._station.clock.call_at(self._plain_at, self._tick)

    def _renderable(self) -> Group:
        # The last line is short: a terminal writes ^C there, which must not break the table.
        return Group(self.table(), Text("Ctrl-C ends it.", "dim"))

    def table(self) -> Table:
        """What every connector does now."""
        self._watch_peaks()
        roomy = self._console is None or self._console.width >= FRAMED_FROM
        table = Table(
            title=f"{self._station.identity}  {stamp(self._station.utc(), date=False)} UTC",
            title_justify="left",
            box=box.ROUNDED if roomy else None,
            padding=(0, 1) if roomy else (0, 1, 0, 0),
        )
        for heading, width in COLUMNS:
            left = heading in ("status", "limit, and why")
            table.add_column(
                heading,
                min_width=width,
                justify="left" if left else "right",
                no_wrap=True,
                overflow="ellipsis",
            )
        for connector in self._station.charge_point.connectors.all:
            n, status, *rest = self._row(connector)
            table.add_row(n, Text(status, COLOURS.get(status, "none")), *map(Text, rest))
        return table

    def _row(self, connector: Connector) -> tuple[str, ...]:
        reading, transaction = connector.reading(), connector.transaction
        drawn_a = max(reading.current_a, default=0.0) if reading is not None else 0.0
        start_wh = transaction.meter_start_wh if transaction is not None else None
        energy = f"{(reading.energy_wh - start_wh) / 1000:.2f}" if reading and start_wh is not None else "-"
        charge = f"{reading.soc_percent:.1f} %" if reading and reading.soc_percent is not None else "-"
        return (
            str(connector.id),
            status_of(connector).value,
            f"{connector.permitted().current_a:.1f}",
            f"{drawn_a:.1f}",
            f"{_power_w(connector) / 1000:.2f}",
            energy,
            charge,
            because(connector),
        )

    # --- afterwards ---------------------------------------------------------------------------------

    def summary(
        self, transactions: Sequence[Transaction], next_steps: Sequence[tuple[str, str]], interrupted: bool
    ) -> None:
        """What it came to: energy, duration and peak here, what was billed there, and what to try next."""
        billed_wh = {transaction.transaction_id: transaction.energy_wh for transaction in transactions}
        self._print("")
        self._print("Interrupted. What it came to:" if interrupted else "What it came to:")
        if self._sessions:
            self._print("  connector  card     duration     energy       peak  the central system billed")
        else:
            self._print("  no charging session")
        for session in self._sessions.values():
            self._print(_sum(session, billed_wh.get(session.transaction_id or 0)))
        self._print("")
        self._print("Try next:")
        for what, command in next_steps:
            self._print(f"  # {what}")
            self._print(f"  {command}")


def _power_w(connector: Connector) -> float:
    reading = connector.reading()
    return 0.0 if reading is None else reading.power_w


def _sum(session: Session, billed_wh: int | None) -> str:
    """One line of the summary."""
    duration_s = (session.ended_at or session.began_at) - session.began_at
    energy_wh = (session.meter_stop_wh or session.meter_start_wh) - session.meter_start_wh
    billed = "nothing: it never heard of the end" if billed_wh is None else f"{billed_wh / 1000:.3f} kWh"
    return (
        f"  {session.connector:<9}  {session.id_tag:<7}  {duration_s / 60:4.1f} min"
        f"  {energy_wh / 1000:5.3f} kWh  {session.peak_w / 1000:5.2f} kW  {billed}"
    )
