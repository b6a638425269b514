"""`chargepoint fleet merge`: one verdict on shards that ran by themselves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from chargepoint.cli.fleet_outputs import Outputs, output_options
from chargepoint.errors import ConfigError
from chargepoint.fleet.verdict.merging import merged


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_options
def fleet_merge(files: tuple[Path, ...], **wanted: Any) -> int:
    """Judge the shards of one fleet together, and draw them as one.

    FILES are what each `chargepoint fleet run --shard I/N --json FILE` wrote. Exit code 0; 1 if a --fail-if
    is so, a shard is missing, no station was ever accepted or some could not be made; 2 if a file is not one
    of these, or they are not different shards of one fleet.
    """
    outputs = Outputs(**wanted)
    outputs.check()
    twice = [f"{path}: named {count} times" for path, count in Counter(files).items() if count > 1]
    if twice:
        raise ConfigError(twice)
    outcome = merged({str(path): _read(path) for path in files})
    totals = outcome.ledger.totals()
    for gap in (*outcome.gaps, *outcome.remarks):
        click.echo(f"{gap[0].upper()}{gap[1:]}.")
    click.echo(
        f"{outcome.parts} of {outcome.shards} shards: {outcome.planned} stations, "
        f"{outcome.accepted} accepted; {totals.made} transactions, {totals.lost} lost, "
        f"{totals.doubled} doubled; {outcome.snapshot.sent} messages, {outcome.snapshot.failed} failed."
    )
    code = outputs.finish(outcome)
    return code if outcome.accepted and not outcome.skipped else 1


def _read(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: no JSON: {error}"]) from None
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: not what `fleet run --json` writes"])
    return data
