"""The moments of a session at which the power can go, told from the store left behind."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from chargepoint.ocpp16.times import format_time
from chargepoint.store import SqliteStore, file_name
from tests.integration.campaign.judge import CALL, Heard, Promise


class Moment(StrEnum):
    """How far the newest session had come."""

    NOT_STORED = "before the start was stored"
    STORED = "start stored, not sent"
    SENT = "start sent, not answered"
    CONFIRMED = "start answered"
    RUNNING = "samples are coming"
    STOPPING = "stop noted"
    STOP_STORED = "stop stored, not sent"
    STOP_SENT = "stop sent, not answered"
    DONE = "everything answered"


class Remains:
    """What a dead station's store says."""

    def __init__(self, storage: Path, identity: str) -> None:
        path = storage / file_name(identity)
        self.transactions = [document for _, document in _peek(path, "transaction")]
        self.records = [document for _, document in _peek(path, "record")]

    def promises(self) -> list[Promise]:
        """What must arrive, whatever happens next."""
        return [_promise(known) for known in self.transactions]

    def moment(self, id_tag: str, heard: Sequence[Heard]) -> Moment:
        """Where the session of that tag was when the power went; `heard` up to the end of the connection."""
        known = next((one for one in self.transactions if one["id_tag"] == id_tag), None)
        if known is None:
            return Moment.NOT_STORED
        waiting = {record["kind"] for record in self.records if record["transaction"] == known["key"]}
        if known["stopped_at"] is not None:
            if "stop" not in waiting:
                return Moment.DONE
            return Moment.STOP_SENT if _stop_came(known, heard) else Moment.STOP_STORED
        if known["stopping_at"] is not None:
            return Moment.STOPPING
        if "start" in waiting:
            return Moment.SENT if _start_came(id_tag, heard) else Moment.STORED
        sampled = known["last_at"] > known["started_at"]
        return Moment.RUNNING if sampled else Moment.CONFIRMED


def _promise(known: dict[str, Any]) -> Promise:
    """A session that was running ends where it was last seen, by the power cut."""
    stopping = known["stopping_at"] is not None
    return Promise(
        id_tag=known["id_tag"],
        meter_start=known["meter_start_wh"],
        started_at=format_time(known["started_at"]),
        stop_at=format_time(known["stopping_at"] if stopping else known["last_at"]),
        reason=known["stopping_reason"] if stopping else "PowerLoss",
        meter_stop=known["meter_stop_wh"],
    )


def _peek(path: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    return SqliteStore.peek(path, kind) if path.exists() else []


def _start_came(id_tag: str, heard: Sequence[Heard]) -> bool:
    return any(call[3].get("idTag") == id_tag for call in _calls(heard, "StartTransaction"))


def _stop_came(known: dict[str, Any], heard: Sequence[Heard]) -> bool:
    return any(call[3]["transactionId"] == known["csms_id"] for call in _calls(heard, "StopTransaction"))


def _calls(heard: Sequence[Heard], action: str) -> list[list[Any]]:
    return [one.frame for one in heard if not one.sent and one.frame[0] == CALL and one.frame[2] == action]
