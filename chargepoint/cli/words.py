"""What a station does, in plain lines for a person."""

from __future__ import annotations

from typing import Any

import click

from chargepoint.ocpp16.times import format_time
from chargepoint.station import Station
from chargepoint.trace import redact
from hal.api import Clock

LONGEST_FRAME = 400


class Words:
    """Prints one line per event worth knowing; frames only if asked for."""

    def __init__(self, clock: Clock, frames: bool) -> None:
        self._clock = clock
        self._frames = frames
        self._energy_wh = 0
        self._transactions = 0

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the station."""
        text = self._text(event, fields)
        if text is not None:
            click.echo(f"{format_time(self._clock.now())[:19].replace('T', ' ')}  {text}")

    def _text(self, event: str, fields: dict[str, Any]) -> str | None:
        if event == "ocpp":
            return frame_text(fields["dir"], fields["data"]) if self._frames else None
        if event == "connection":
            return "connected" if fields["online"] else f"not connected: {fields['reason']}"
        if event == "registration":
            return f"registration {fields['status']}, interval {fields['interval_s']} s"
        if event == "status":
            code = "" if fields["error_code"] == "NoError" else f" ({fields['error_code']})"
            where = f"connector {fields['connector']}" if fields["connector"] else "station"
            return f"{where}  {fields['status']}{code}"
        if event == "limit":
            return (
                f"connector {fields['connector']}  offers {fields['offered_a']:g} A"
                f" ({fields['offered_w'] / 1000:.1f} kW): {fields['because']}"
            )
        if event == "transaction":
            return self._transaction(fields)
        if event == "reboot":
            return f"restarting ({fields['reason']})"
        if event == "error":
            return f"error: {fields['message']}"
        return None

    def _transaction(self, fields: dict[str, Any]) -> str | None:
        where, phase = f"connector {fields['connector']}", fields["phase"]
        if phase == "started":
            self._start = fields["meter_wh"]
            return f"{where}  transaction started by {fields['id_tag']} at {fields['meter_wh']} Wh"
        if phase == "confirmed":
            return f"{where}  transaction has the number {fields['transaction_id']}"
        if phase == "stopped":
            self._transactions += 1
            return f"{where}  transaction ended at {fields['meter_wh']} Wh ({fields['reason']})"
        return f"{where}  transaction delivered"

    def goodbye(self, station: Station) -> None:
        """The last line."""
        waiting = station.charge_point.outbox.queued
        kept = f"; {waiting} messages wait in the store" if waiting else ""
        click.echo(f"ended in good order after {self._transactions} transactions{kept}")


def frame_text(direction: str, data: bytes) -> str:
    """A frame on one line, shortened."""
    text = redact(data)
    arrow = "->" if direction == "tx" else "<-"
    return f"{arrow} {text if len(text) <= LONGEST_FRAME else text[:LONGEST_FRAME] + ' …'}"
