"""`chargepoint inspect`: what a station remembers, read without disturbing it while it runs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargepoint.cli.holdings import Credentials, Held, Listed, Task
from chargepoint.cli.remembered import Memory, Plan, recall
from chargepoint.cli.sessions import DEFAULT_STORAGE, moment, stores
from chargepoint.cli.stairs import Stairs, drawn, number, picture
from chargepoint.cli.tables import Row, aligned, duration, kwh, local, printable, show, utc
from chargepoint.domain.limits import LONGEST_WINDOW_S, Profile
from chargepoint.domain.reservations import Reservation
from chargepoint.errors import StoreError
from chargepoint.store import SqliteStore, identity_of
from chargepoint.trace import MASK

if TYPE_CHECKING:
    from chargepoint.config import StationConfig
    from chargepoint.domain.site import SiteSettings

SCHEMA_VERSION = "1.0"

_PIPE_COLUMNS = 80
_MOST_COLUMNS = 110
_PERIODS_SHOWN = 4
_STEPS_SHOWN = 40
_LISTED_SHOWN = 20
_RIGHT = frozenset(
    {"Conn", "Count", "Attempts", "Id", "Level", "Limit", "Phases", "kWh", "Duration", "Transaction"}
)
_EPILOG = """\
\b
Examples:
  chargepoint inspect                                    the store in ./chargepoint-data
  chargepoint inspect --config station.yaml              that station, with its real hardware
  chargepoint inspect stores --id CP001 --hours 48
  chargepoint inspect stores --id CP001 --svg limits.svg
  chargepoint inspect stores --json | jq .charges.undelivered
"""


def _at(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float:
    return time.time() if text is None else moment(text).timestamp()


@click.command("inspect", epilog=_EPILOG)
@click.argument("where", required=False, metavar="[STORE|DIR]", type=click.Path(path_type=Path))
@click.option("--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="The station's configuration: storage, identity, hardware.")  # fmt: skip
@click.option("--id", "identity", metavar="ID", help="Only this station.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per station and line.")
@click.option("--hours", type=click.FloatRange(0, LONGEST_WINDOW_S / 3600, min_open=True), default=24.0,
              show_default=True, metavar="N", help="How far the charging limits are computed.")  # fmt: skip
@click.option("--at", callback=_at, metavar="DATE",
              help="Compute the limits from this moment instead of now, as 2026-05-31T18:00.")  # fmt: skip
@click.option("--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Draw the charging limits of one station into this file too.")  # fmt: skip
def inspect(
    where: Path | None,
    config_file: Path | None,
    identity: str | None,
    as_json: bool,
    hours: float,
    at: float,
    svg_file: Path | None,
) -> None:
    """Show what a station remembers, also while it runs; nothing is written or locked.

    STORE is a file, DIR a folder with one or several; without either it is the configuration's, or
    chargepoint-data. The limits are those to expect if the profiles stay as they are; a connector without a
    transaction is computed as if one started now. The exit code is 2 when there is no store to read.
    """
    config = _config(config_file)
    if where is not None and where.is_file():
        paths = [where]
    else:
        if identity is None and config is not None:
            identity = config.identity
        paths = stores(_directory(where, config), identity, "or its --config")
    if svg_file is not None and len(paths) > 1:
        raise click.UsageError(f"--svg draws one station, here are {len(paths)}; choose one with --id")
    for n, path in enumerate(paths):
        memory = recall(
            SqliteStore.survey(path),
            station=identity_of(path),
            store=str(path),
            factory_values=None if config is None else config.ocpp,
            infos=[] if config is None else [connector.info for connector in config.connectors],
            at=at,
            duration_s=max(1, round(hours * 3600)),
            site=_site(config),
        )
        for what in memory.unreadable:
            click.echo(f"{path}: {printable(what)} cannot be read", err=True)
        if as_json:
            click.echo(json.dumps(_as_json(memory), separators=(",", ":")))
        else:
            click.echo("\n" * (n > 0), nl=False)
            _show(memory)
        if svg_file is not None:
            _draw(memory, svg_file)


def _draw(memory: Memory, svg_file: Path) -> None:
    heading = f"{memory.station}: charging limits, installed maximum {memory.hardware}"
    svg = picture(printable(heading), [_stairs(memory, plan) for plan in memory.plans])
    try:
        svg_file.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{svg_file}: {error.strerror}") from error


def _config(config_file: Path | None) -> StationConfig | None:
    if config_file is None:
        return None
    from chargepoint.config import load  # pydantic costs more than everything else here

    return load(config_file)


def _site(config: StationConfig | None) -> SiteSettings | None:
    if config is None or config.site is None:
        return None
    from chargepoint.site import settings_of

    return settings_of(config.site, [connector.info for connector in config.connectors], ())


def _directory(where: Path | None, config: StationConfig | None) -> Path:
    if where is not None or config is None:
        return where or DEFAULT_STORAGE
    if config.storage is None:
        raise StoreError("the configuration says storage: null, so that station remembers nothing")
    return config.storage


# --- JSON -------------------------------------------------------------------------------------------


def _as_json(memory: Memory) -> dict[str, Any]:
    """The schema in docs/inspect.md: moments as ISO 8601 in UTC, everything else as it is named here."""
    document: dict[str, Any] = _iso(asdict(memory))
    document |= document.pop("holdings")
    for setting in document["settings"]:
        setting["secret"] = setting["value"] is None
    return {"schema": SCHEMA_VERSION, **document}


def _iso(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _iso(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_iso(item) for item in value]
    if value is not None and (name in ("at", "until") or name.endswith("_at")):
        return _utc(value)
    return value


def _utc(at: float) -> str | None:
    try:
        return utc(at)
    except (OverflowError, ValueError):  # beyond the year 9999, as a central system may well say
        return None


# --- text -------------------------------------------------------------------------------------------


def _show(memory: Memory) -> None:
    starts = f"{memory.starts} start{'s' if memory.starts != 1 else ''}"
    accepted = "accepted by a central system" if memory.accepted else "never accepted by a central system"
    click.echo(f"{printable(memory.station)}: {accepted}, {starts} ({memory.store})")
    _section("Availability", _availability(memory), "every connector is operative, as from the factory")
    _section("Changed configuration keys", _settings(memory), "none, all as from the factory")
    charges = memory.charges
    counts = f"{charges.running} running, {charges.ended} ended, {charges.undelivered} undelivered"
    if charges.samples:
        counts += f", {charges.samples} meter values kept for their ends"
    _section(f"Transactions: {counts}", _charges(memory), None)
    _section("Waiting for the central system", _queue(memory), "nothing")
    _section("Charging profiles", [_profile(profile) for profile in memory.profiles], "none")
    click.echo(f"\nCharging limits to expect; installed maximum {memory.hardware}")
    for plan in memory.plans:
        _show_plan(memory, plan)
    cache = memory.cache
    if cache.count:
        newest = f"newest {printable(cache.newest_tag or '')} {cache.newest_status} {local(cache.newest_at)}"
        click.echo(f"\nAuthorization cache: {cache.count}, {newest}")
    else:
        click.echo("\nAuthorization cache: empty")
    _show_holdings(memory)
    if memory.other:
        rows = [{"Kind": kind, "Count": str(count)} for kind, count in memory.other.items()]
        _section("Other documents", rows, None)


def _show_holdings(memory: Memory) -> None:
    holdings = memory.holdings
    _section("Reservations", [_reservation(one) for one in holdings.reservations], "none")
    entries = holdings.local_list.entries
    title = f"Local authorization list, version {holdings.local_list.version}: {len(entries)} identifiers"
    _section(
        title if entries else "Local authorization list",
        [_listed(e) for e in entries[:_LISTED_SHOWN]],
        "empty",
    )
    if len(entries) > _LISTED_SHOWN:
        click.echo(f"and {len(entries) - _LISTED_SHOWN} more; --json has them all")
    certificates = holdings.certificates
    waits = "a private key waits for its certificate" if certificates.requested else "none"
    _section("Certificates", [_certificate(one) for one in certificates.held], waits)
    if holdings.connection:
        rows = [_credentials(one) for one in holdings.connection]
        _section("Connection, other than configured", rows, None)
    if holdings.tasks:
        _section("Firmware and uploads", [_task(one) for one in holdings.tasks], None)
    security = holdings.security
    if security.logged or security.waiting:
        newest = f", newest {printable(security.last_kind or '')} {local(security.last_at)}"
        logged = f"{security.logged} in the security log{newest if security.last_kind else ''}"
        click.echo(f"\nSecurity events: {security.waiting} waiting for the central system, {logged}")


def _section(title: str, rows: list[Row], otherwise: str | None) -> None:
    if rows:
        click.echo(f"\n{title}")
        show([rows], _RIGHT)
    else:
        click.echo(f"\n{title}" + (f": {otherwise}" if otherwise else ""))


def _availability(memory: Memory) -> list[Row]:
    return [
        {
            "Connector": "station (0)" if one.connector == 0 else str(one.connector),
            "Availability": ("operative" if one.operative else "inoperative")
            + (", change scheduled" if one.scheduled else ""),
            "Finishing": one.finishing or "",
            "Plug held for": one.held_by or "",
        }
        for one in memory.availability
    ]


def _settings(memory: Memory) -> list[Row]:
    return [
        {
            "Key": setting.key,
            "Value": MASK if setting.value is None else setting.value,
            "Factory": setting.factory or "",
        }
        for setting in memory.settings
    ]


def _charges(memory: Memory) -> list[Row]:
    return [
        {
            "Start": local(session.started_at),
            "End": "running" if session.running else local(session.ended_at),
            "Duration": duration(session.duration_s),
            "Conn": str(session.connector),
            "Tag": session.id_tag,
            "kWh": kwh(session.energy_wh),
            "Reason": session.reason or "",
            "Transaction": "" if session.transaction_id is None else str(session.transaction_id),
            "Delivered": "yes" if session.delivered else "no",
        }
        for session in memory.charges.newest
    ]


def _queue(memory: Memory) -> list[Row]:
    return [
        {
            "Record": waiting.kind,
            "Count": str(waiting.count),
            "Attempts": str(waiting.attempts),
            "Oldest": local(waiting.oldest_at),
        }
        for waiting in memory.queue
    ]


def _profile(profile: Profile) -> Row:
    schedule = profile.schedule
    periods = [
        f"{duration(period.start_s)} {number(period.limit)}"
        + (f"/{period.phases}ph" if period.phases is not None else "")
        for period in schedule.periods[:_PERIODS_SHOWN]
    ]
    more = len(schedule.periods) - _PERIODS_SHOWN
    return {
        "Id": str(profile.id),
        "Purpose": profile.purpose.removesuffix("Profile"),
        "Kind": profile.recurrency or profile.kind,
        "Level": str(profile.stack_level),
        "Conn": str(profile.connector_id),
        "Valid": _span(profile.valid_from_at, profile.valid_to_at),
        "Begins": _local(schedule.start_at),
        "Lasts": duration(schedule.duration_s),
        "Unit": schedule.unit,
        "Periods": ", ".join(periods) + (f", {more} more" if more > 0 else ""),
    }


def _reservation(one: Reservation) -> Row:
    return {
        "Id": str(one.id),
        "Conn": str(one.connector),
        "Tag": one.id_tag,
        "Group": one.parent or "",
        "Until": _local(one.expires_at),
    }


def _listed(entry: Listed) -> Row:
    return {
        "Tag": entry.id_tag,
        "Status": entry.status,
        "Group": entry.parent or "",
        "Expires": _local(entry.expires_at),
    }


def _certificate(one: Held) -> Row:
    return {
        "Use": one.use + (", replaced" if one.replaced else ""),
        "Subject": one.subject,
        "Issuer": one.issuer,
        "Serial": one.serial_number,
        "Valid": _span(one.not_before_at, one.not_after_at),
    }


def _credentials(one: Credentials) -> Row:
    return {
        "State": "on trial" if one.on_trial else "proven",
        "Security profile": "as configured" if one.profile is None else str(one.profile),
        "AuthorizationKey": MASK if one.key_changed else "as configured",
    }


def _task(task: Task) -> Row:
    return {
        "What": task.what,
        "Step": task.step,
        "Request": "" if task.request_id is None else str(task.request_id),
        "Attempts left": str(task.attempts_left),
    }


def _span(start_at: float | None, end_at: float | None) -> str:
    if start_at is None and end_at is None:
        return "always"
    since = "" if start_at is None else f"from {_local(start_at)}"
    until = "" if end_at is None else f"to {_local(end_at)}"
    return f"{since} {until}".strip()


def _local(at: float | None) -> str:
    try:
        return local(at)
    except (OverflowError, ValueError):
        return "never"


def _show_plan(memory: Memory, plan: Plan) -> None:
    terminal = sys.stdout.isatty()
    columns = min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if terminal else _PIPE_COLUMNS
    blocks = terminal and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    stairs = _stairs(memory, plan)
    click.echo(f"\n{stairs.title}")
    click.echo(drawn(stairs, columns, blocks))
    rows = [
        {
            "From": local(step.at),
            "Limit": f"{number(step.limit)} {plan.unit}",
            "Phases": str(step.phases),
            "Because of": step.because,
        }
        for step in plan.steps[:_STEPS_SHOWN]
    ]
    click.echo(aligned(rows, _RIGHT))
    if len(plan.steps) > _STEPS_SHOWN:
        click.echo(f"and {len(plan.steps) - _STEPS_SHOWN} more; --json has them all")


def _stairs(memory: Memory, plan: Plan) -> Stairs:
    span = f"{local(memory.at)} to {local(memory.until)}"
    return Stairs(
        title=f"Limit of {_names(plan.connectors)} in {plan.unit}, {span}",
        unit=plan.unit,
        steps=tuple((step.at, step.limit) for step in plan.steps),
        start_at=memory.at,
        end_at=memory.until,
    )


def _names(connectors: tuple[int, ...]) -> str:
    numbered = [str(n) for n in connectors if n]
    words = ["the station (connector 0)"] if 0 in connectors else []
    if numbered:
        words.append(f"connector{'s' if len(numbered) > 1 else ''} {', '.join(numbered)}")
    return " and ".join(words)
