"""`chargepoint sessions`: the charges a station remembers, for who bills without a central system."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from chargepoint.cli.tables import Row, duration, kwh, local, show, utc
from chargepoint.errors import StoreError
from chargepoint.store import SUFFIX, SqliteStore, file_name, identity_of

DEFAULT_STORAGE = Path("chargepoint-data")
_RIGHT = frozenset({"Duration", "kWh", "Start Wh", "Stop Wh", "Conn", "Charges", "Running"})
_CSV_HEADER = (
    "station", "key", "transaction_id", "connector", "id_tag", "parent_id_tag", "state",
    "start_utc", "end_utc", "duration_s", "energy_kwh", "meter_start_wh", "meter_stop_wh",
    "reason", "delivered",
)  # fmt: skip
_EPILOG = """\
\b
Examples:
  chargepoint sessions                                   the store in ./chargepoint-data
  chargepoint sessions --config station.yaml             the store of that station
  chargepoint sessions --since 2026-05-01 --until 2026-05-31
  chargepoint sessions --tag 04E12345 --csv > may.csv
  chargepoint sessions --open                            what is charging now
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One charge; of a running one, the end and the register are those last stored."""

    station: str
    key: str
    connector: int
    id_tag: str
    parent: str | None
    transaction_id: int | None
    started_at: float
    ended_at: float | None
    meter_start_wh: int
    meter_wh: int | None
    reason: str | None
    running: bool
    delivered: bool

    @classmethod
    def of(cls, station: str, key: str, document: dict[str, Any]) -> Session:
        """The charge in a transaction document; raises `KeyError` if it is none."""
        running = document.get("stopped_at") is None
        meter_wh = document.get("last_wh" if running else "meter_stop_wh")
        return cls(
            station=station,
            key=key,
            connector=document["connector"],
            id_tag=document["id_tag"],
            parent=document.get("parent"),
            transaction_id=document.get("csms_id"),
            started_at=document["started_at"],
            ended_at=document.get("last_at" if running else "stopped_at"),
            meter_start_wh=document["meter_start_wh"],
            meter_wh=None if meter_wh is None else int(meter_wh),
            reason=document.get("reason"),
            running=running,
            delivered=document.get("delivered_at") is not None,
        )

    @property
    def energy_wh(self) -> int | None:
        return None if self.meter_wh is None else self.meter_wh - self.meter_start_wh

    @property
    def duration_s(self) -> int | None:
        return None if self.ended_at is None else max(0, round(self.ended_at - self.started_at))


def _since(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    return None if text is None else moment(text).timestamp()


def _until(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    whole_day = len(text) <= len("2026-05-31")
    return (moment(text) + timedelta(days=whole_day)).timestamp()


def moment(text: str) -> datetime:
    """A date, or date and time, local unless it names its offset."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date such as 2026-05-31 or 2026-05-31T18:00") from None


@click.command("sessions", epilog=_EPILOG)
@click.option("--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="The station's configuration: its storage and identity.")  # fmt: skip
@click.option("--storage", type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the store; without it and --config, chargepoint-data.")  # fmt: skip
@click.option("--id", "identity", metavar="ID", help="Only this station.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV (RFC 4180), times in UTC, without totals.")
@click.option("--since", callback=_since, metavar="DATE", help="Only charges that began then or later.")
@click.option("--until", callback=_until, metavar="DATE",
              help="Only charges that began before; a date without time includes that day.")  # fmt: skip
@click.option("--tag", metavar="TAG", help="Only this card, or cards of this parent.")
@click.option("--open", "only_running", is_flag=True, help="Only charges that are not over.")
def sessions(
    config_file: Path | None,
    storage: Path | None,
    identity: str | None,
    as_csv: bool,
    since: float | None,
    until: float | None,
    tag: str | None,
    only_running: bool,
) -> None:
    """List the charges a station remembers, also while it runs.

    A charge that is not over is marked "running", with the energy stored last, and counted apart in the
    totals. The exit code is 2 when there is no store to read.
    """
    found = [
        session
        for session in _read(_stores(config_file, storage, identity))
        if (since is None or session.started_at >= since)
        and (until is None or session.started_at < until)
        and (tag is None or _fold(tag) in (_fold(session.id_tag), _fold(session.parent)))
        and (session.running or not only_running)
    ]
    if as_csv:
        click.echo(_csv(found), nl=False)
    elif found:
        _show(found)
    else:
        click.echo("No charges.", err=True)


def _stores(config_file: Path | None, storage: Path | None, identity: str | None) -> list[Path]:
    """The files to read; raises `StoreError` if there are none."""
    directory = storage
    if config_file is not None:
        from chargepoint.config import load  # pydantic costs more than everything else here

        config = load(config_file)
        identity = identity or config.identity
        directory = storage or config.storage
        if directory is None:
            raise StoreError(f"{config_file} says storage: null, so that station remembers nothing")
    return stores(directory or DEFAULT_STORAGE, identity, "with --storage or --config")


def stores(directory: Path, identity: str | None, how: str) -> list[Path]:
    """The stores in a folder, or that of one station; raises `StoreError`, which says how to name another."""
    if identity is not None:
        path = directory / file_name(identity)
        paths = [path] if path.is_file() else []
    else:
        paths = sorted(directory.glob(f"*{SUFFIX}"))
    if not paths:
        of = "" if identity is None else f" of {identity}"
        raise StoreError(f"no store{of} in {directory}; name its folder {how}")
    return paths


def _read(paths: Iterable[Path]) -> list[Session]:
    """All charges, oldest first; a document that is not one, by damage or by a later version, is left out."""
    found = []
    for path in paths:
        for key, document in SqliteStore.peek(path, "transaction"):
            try:
                found.append(Session.of(identity_of(path), key, document))
            except (KeyError, TypeError, ValueError):
                click.echo(f"{path}: transaction {key} cannot be read", err=True)
    return sorted(found, key=lambda session: (session.started_at, session.station, session.key))


def _fold(tag: str | None) -> str | None:
    return None if tag is None else tag.casefold()  # a CiString of OCPP 1.6 ignores case


def _csv(found: Sequence[Session]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_CSV_HEADER)
    for session in found:
        writer.writerow(
            (
                session.station,
                session.key,
                session.transaction_id,
                session.connector,
                session.id_tag,
                session.parent,
                "running" if session.running else "finished",
                utc(session.started_at),
                utc(session.ended_at),
                session.duration_s,
                kwh(session.energy_wh),
                session.meter_start_wh,
                session.meter_wh,
                session.reason,
                "yes" if session.delivered else "no",
            )
        )
    return text.getvalue()


def _show(found: Sequence[Session]) -> None:
    rows = [_row(session) for session in found]
    if len({session.station for session in found}) == 1:
        rows = [{name: text for name, text in row.items() if name != "Station"} for row in rows]
    show([rows, _totals(found)], _RIGHT)


def _row(session: Session) -> Row:
    return {
        "Station": session.station,
        "Start": local(session.started_at),
        "End": "running" if session.running else local(session.ended_at),
        "Duration": duration(session.duration_s),
        "Conn": str(session.connector),
        "Tag": session.id_tag,
        "kWh": kwh(session.energy_wh),
        "Start Wh": str(session.meter_start_wh),
        "Stop Wh": "" if session.meter_wh is None else f"{session.meter_wh}{'+' if session.running else ''}",
        "Reason": session.reason or "",
        "Transaction": "" if session.transaction_id is None else str(session.transaction_id),
        "Delivered": "yes" if session.delivered else "no",
    }


def _totals(found: Sequence[Session]) -> list[Row]:
    """Finished charges per tag, running ones only counted, and a last line over all."""
    tags = sorted({session.id_tag for session in found})
    groups = [(tag, [session for session in found if session.id_tag == tag]) for tag in tags]
    return [_total(tag, group) for tag, group in [*groups, ("Total", list(found))]]


def _total(name: str, group: Sequence[Session]) -> Row:
    finished = [session for session in group if not session.running]
    return {
        "Tag": name,
        "Charges": str(len(finished)),
        "Duration": duration(sum(session.duration_s or 0 for session in finished)),
        "kWh": kwh(sum(session.energy_wh or 0 for session in finished)),
        "Running": str(len(group) - len(finished)),
    }
