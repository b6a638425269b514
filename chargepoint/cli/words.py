"""What a station does, in plain lines for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from chargepoint.control.events import ocpp_event
from chargepoint.csms.transcript import Frames
from chargepoint.ocpp16.times import format_time
from hal.api import Clock, Timer

LONGEST_PAYLOAD = 400
STILL_AFTER_S = 60.0
STILL_AT_LEAST_EVERY_S = 3600.0

UNREAD = 1
"""The exit code when nobody took what was printed."""


class Printer:
    """Prints lines; when nobody can take them any more it calls `gone` once and is silent from then on."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self.broken = False

    def __call__(self, text: str) -> None:
        if self.broken:
            return
        try:
            click.echo(text)
        except OSError:  # the reader of the pipe is gone, or the disk is full
            self.broken = True
            self._gone()


class Words:
    """Prints one line per event worth knowing; frames only if asked for. `utc` is the station's time."""

    def __init__(
        self, utc: Callable[[], float], print_line: Callable[[str], None], frames: bool, date: bool = True
    ) -> None:
        self._utc = utc
        self._print = print_line
        self._frames = Frames(LONGEST_PAYLOAD) if frames else None
        self._date = date
        self._online = False
        self._transactions = 0

    def say(self, text: str) -> None:
        """One line with the station's time before it."""
        self._print(f"{stamp(self._utc(), self._date)}  {text}")

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the station."""
        text = self._text(event, fields)
        if text is not None:
            self.say(text)

    def _text(self, event: str, fields: dict[str, Any]) -> str | None:
        if event == "ocpp":
            return None if self._frames is None else frame_line(self._frames, fields)
        if event == "connection":
            return self._connection(fields["online"], fields.get("reason", ""))
        if event == "registration":
            return f"registration {fields['status']}, interval {fields['interval_s']} s"
        if event == "status":
            code = "" if fields["error_code"] == "NoError" else f" ({fields['error_code']})"
            where = f"connector {fields['connector']}" if fields["connector"] else "station"
            return f"{where}  {fields['status']}{code}"
        if event == "limit":
            return limit_text(fields)
        if event == "transaction":
            return self._transaction(fields)
        if event == "reboot":
            return f"restarting ({fields['reason']})"
        if event == "error":
            return f"error: {fields['message']}"
        return None

    def _connection(self, online: bool, reason: str) -> str:
        was_online, self._online = self._online, online
        if online:
            return "connected"
        return f"{'disconnected' if was_online else 'not connected'}: {reason}"

    def _transaction(self, fields: dict[str, Any]) -> str:
        where, phase = f"connector {fields['connector']}", fields["phase"]
        if phase == "started":
            return f"{where}  transaction started by {fields['id_tag']} at {fields['meter_wh']} Wh"
        if phase == "confirmed":
            return f"{where}  transaction has the number {fields['transaction_id']}"
        if phase == "stopped":
            self._transactions += 1
            return f"{where}  transaction ended at {fields['meter_wh']} Wh ({fields['reason']})"
        return f"{where}  transaction delivered"

    def goodbye(self, waiting: int, kept: bool, live: Sequence[int] = (), running: int = 0) -> None:
        """The last line; `waiting` messages were not delivered, `running` transactions could not end.

        Nobody knows whether the connectors in `live` are open.
        """
        fate = "kept for the next start" if kept else "lost, because nothing is stored"
        rest = f"; {_counted(waiting, 'message')} not delivered, {fate}" if waiting else ""
        if running:
            rest += f"; {_counted(running, 'transaction')} still running, {fate}"
        if live:
            rest += f"; {not_safe(live)}"
        well = "" if live else " in good order"
        self._print(f"ended{well} after {_counted(self._transactions, 'transaction')}{rest}")


def not_safe(live: Sequence[int]) -> str:
    """Of the connectors in `live` nobody knows whether they are open, and what to do about it."""
    named = " and ".join(f"connector {number}" for number in live)
    return f"{named} MAY STILL GIVE CURRENT: chargepoint hardware safe-off"


class Patience:
    """Says that there is still no connection: after a minute, then at intervals that double up to an hour.

    `wire` is real time, `attempts` counts the connections that failed since there was one.
    """

    def __init__(self, wire: Clock, attempts: Callable[[], int], say: Callable[[str], None]) -> None:
        self._wire = wire
        self._attempts = attempts
        self._say = say
        self._wait_s = STILL_AFTER_S
        self._timer: Timer | None = None

    def event(self, event: str, fields: dict[str, Any]) -> None:
        """One event of the station; those of the connection matter."""
        if event != "connection":
            return
        if fields["online"]:
            self.stop()
        elif self._timer is None:
            self._wait_s = STILL_AFTER_S
            self._wait()

    def stop(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._wire.call_at(self._wire.now() + self._wait_s, self._still)

    def _still(self) -> None:
        if attempts := self._attempts():
            self._say(f"still not connected after {_counted(attempts, 'attempt')}")
        self._wait_s = min(2 * self._wait_s, STILL_AT_LEAST_EVERY_S)
        self._wait()


def stamp(at: float, date: bool = True) -> str:
    """A moment in UTC, to the second."""
    text = format_time(at)[:19].replace("T", " ")
    return f"{text}Z" if date else text[11:]


def frame_line(frames: Frames, fields: dict[str, Any]) -> str:
    """A frame on one line: arrow, action, payload, without secrets."""
    return frames.line("", fields["dir"] == "tx", ocpp_event(fields["dir"], fields["data"])["frame"])


def limit_text(fields: dict[str, Any]) -> str:
    """What a connector offers, and why."""
    return (
        f"connector {fields['connector']}  offers {fields['offered_a']:g} A"
        f" ({fields['offered_w'] / 1000:.1f} kW): {fields['because']}"
    )


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
