"""What cannot be the same in a replay: message ids, transaction numbers and moments, changed within the text.

Everything else of a frame stays as it was recorded, its spelling included: a charge point that writes `1.0`
for an integer does so again.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from chargepoint.domain import chance
from chargepoint.ocpp16.times import parse_time
from scenarios.recorded import Frame

TIMES = frozenset({"timestamp", "currentTime", "scheduleStart", "startSchedule", "validFrom", "validTo"})
TIMES_OF_THE_CSMS = TIMES | {"expiryDate", "retrieveDate", "retrieveDateTime", "installDateTime"}
TIMES_OF_THE_CSMS |= {"startTime", "stopTime", "oldestTimestamp", "latestTimestamp"}
"""Fields that are moments, from either side."""

_HEAD = re.compile(r'^(\s*\[\s*[234]\s*,\s*)"(?:[^"\\]|\\.)*"', re.S)
_TRANSACTION = re.compile(r'("transactionId"\s*:\s*)(-?\d+)')
_MOMENT = re.compile(rf'("(?:{"|".join(sorted(TIMES_OF_THE_CSMS))})"\s*:\s*)"([^"\\]{{10,40}})"')
_SPELLING = re.compile(r"(?:[.,](\d+))?(Z|z|[+-]\d\d:?\d\d)?$")


class Remapping:
    """From the recording to this run. `shift_s`: how much later it is now."""

    def __init__(self, seed: int, station: str, shift_s: float) -> None:
        self.shift_s = shift_s
        self.transactions: dict[int, int] = {}  # as recorded -> what this central system gave
        self.shared: list[tuple[int, int, int]] = []  # two of the recording that have one number now
        self._seed = seed
        self._station = station
        self._ids: dict[str, str] = {}  # the raw text of a CALL -> its id now: a resent one keeps it
        self._count = 0

    def message_id(self, frame: Frame) -> str:
        """The id of a recorded CALL of the charge point in this run."""
        if frame.raw not in self._ids:
            self._count += 1
            self._ids[frame.raw] = chance.message_id(self._seed, self._station, 0, self._count)
        return self._ids[frame.raw]

    def given(self, recorded: Any, now: Any) -> None:
        """StartTransaction was answered: with these payloads then and now."""
        old, new = (
            payload.get("transactionId") if isinstance(payload, dict) else None for payload in (recorded, now)
        )
        if not isinstance(old, int) or not isinstance(new, int):
            return
        if new > 0:
            for other, number in self.transactions.items():
                if number == new and other != old:
                    self.shared.append((other, old, new))
        self.transactions[old] = new

    def text(self, raw: str, message_id: str | None = None) -> str:
        """A recorded frame as it goes out now."""
        if message_id is not None:
            raw = _HEAD.sub(lambda head: f"{head[1]}{json.dumps(message_id)}", raw, count=1)
        if self.transactions:
            raw = _TRANSACTION.sub(self._transaction, raw)
        if self.shift_s:
            raw = _MOMENT.sub(lambda found: f'{found[1]}"{shifted(found[2], self.shift_s)}"', raw)
        return raw

    def _transaction(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self.transactions.get(int(found[2]), int(found[2]))}"


def shifted(text: str, seconds: float) -> str:
    """The moment so much later, spelled as it was: same fraction, same offset; what is no moment stays."""
    try:
        parse_time(text)
        moment = datetime.fromisoformat(text)
        later = moment + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return text
    match = _SPELLING.search(text)
    assert match is not None
    digits = len(match[1]) if match[1] else 0
    if not digits:  # to the nearest second
        later += timedelta(milliseconds=500)
    fraction = f".{later.microsecond:06d}"[: digits + 1] + "0" * max(0, digits - 6) if digits else ""
    separator = "T" if "T" in text.upper() else " "
    return f"{later:%Y-%m-%d}{separator}{later:%H:%M:%S}{fraction}{match[2] or ''}"
