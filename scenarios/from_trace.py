"""Writes a scenario that tells what a recording shows: a beginning that a person then edits."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from chargepoint.errors import ConfigError
from chargepoint.ocpp16.times import format_time
from scenarios.deeds import Deed, deeds, started_unseen
from scenarios.recorded import Frame, Recorded

__all__ = ["story"]

PATIENCE_S = 10.0
"""How long an `expect` waits when it does not say."""

MOST_CONNECTORS = 100

NOT_EXPECTED = frozenset({"BootNotification", "Heartbeat", "MeterValues", "SecurityEventNotification"})
ALIKE_EVERYWHERE = frozenset({"Preparing", "Charging", "SuspendedEV", "Finishing", "Available", "Faulted"})
"""Statuses that other charge points report as this one does."""

ANSWERED_ALIKE = frozenset(
    {
        "CancelReservation",
        "ChangeAvailability",
        "ClearChargingProfile",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "SetChargingProfile",
    }
)
TRANSFERS = frozenset({"GetDiagnostics", "GetLog", "UpdateFirmware", "SignedUpdateFirmware"})

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def story(recorded: Recorded, *, title: str | None = None, expectations: bool = True) -> str:
    """The text of a scenario file. Raises `ConfigError` if the recording shows nothing to tell."""
    teller = _Teller(recorded, expectations)
    steps = list(teller.steps())
    if not any(line.startswith("  - ") for line in steps):
        raise ConfigError([f"{recorded.source}: nothing happens in it: no plug, no card, no transaction"])
    name = PurePath(recorded.source).name
    return "\n".join(
        [
            f"title: {_flow(title or f'What {name} shows')}",
            f"why: {_flow(f'Written from {name}; say here what it is to prove.')}",
            "tags: [from-trace]",
            f"start: {format_time(teller.start)}",
            *teller.head(),
            "steps:",
            *steps,
            "",
        ]
    )


class _Teller:
    """Goes through a recording once and tells it as steps."""

    def __init__(self, recorded: Recorded, expectations: bool) -> None:
        self._recorded = recorded
        self._expectations = expectations
        self._deeds = deeds(recorded)
        self._own = next(recorded.happenings("recording"), None)
        self._frames = [frame for frame in recorded.frames if frame.kind != "UNKNOWN"]
        self._answers = _answers(self._frames)
        self._calls = [frame for frame in self._frames if frame.kind == "CALL"]
        self._connectors = self._count_connectors()
        self._transactions: dict[int, str] = {}  # number -> variable
        self._statuses: dict[int, str] = {}
        unseen = {} if self._own is not None else started_unseen(recorded)
        self._running = [number for number, connector in unseen.items() if connector is not None]
        self._unplaced = [number for number in unseen if number not in self._running]
        self.start = recorded.records[0].at
        self._now = self.start

    # --- what stands before the steps ---------------------------------------------------------------

    def head(self) -> Iterator[str]:
        """Stations and central system."""
        station: dict[str, Any] = {}
        if self._own is not None:
            # Only what makes a difference: the rest are this program's own default values.
            connectors = self._own.fields.get("connectors") or [{}]
            station["connectors"] = [
                {name: value for name, value in connector.items() if value is not None}
                for connector in connectors
            ]
            ocpp = dict(self._own.fields.get("ocpp") or {})
        else:
            numbers = [_connector(frame) or 1 for frame in self._calls if frame.outgoing]
            station["connectors"] = [{} for _ in range(max(numbers, default=1))]
            ocpp = self._inferred_keys()
        if ocpp:
            station["ocpp"] = ocpp
        if any(frame.action in TRANSFERS for frame in self._calls):
            station["behaviour"] = {"transfers": "simulated"}
        yield "stations:"
        yield f"  - {_flow({'id': self._recorded.station or 'CP001', 'station': station})}"
        interval = self._recorded.interval_s
        csms = {} if interval is None else {"interval_s": interval}
        if len(self._running) == 1:  # what runs when the recording begins keeps its number
            csms["first_transaction_id"] = self._running[0]
        if csms:
            yield f"csms: {_flow(csms)}"

    def _inferred_keys(self) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        samples: dict[str, list[float]] = {}
        for frame in self._calls:
            if frame.outgoing and frame.action == "MeterValues" and isinstance(frame.payload, dict):
                samples.setdefault(str(frame.payload.get("transactionId")), []).append(frame.at)
        distances = Counter(
            round(later - earlier) for ats in samples.values() for earlier, later in pairwise(ats)
        )
        if distances:
            keys["MeterValueSampleInterval"] = max(1, distances.most_common(1)[0][0])
        tags = [
            str(frame.payload.get("idTag"))
            for frame in self._calls
            if frame.action == "RemoteStartTransaction" and isinstance(frame.payload, dict)
        ]
        if tags:
            keys["AuthorizeRemoteTxRequests"] = any(
                frame.action == "Authorize" and frame.payload.get("idTag") in tags
                for frame in self._calls
                if isinstance(frame.payload, dict)
            )
        return keys

    # --- the steps ----------------------------------------------------------------------------------

    def steps(self) -> Iterator[str]:
        """Each with the pause before it."""
        waiting = sorted(self._deeds, key=lambda deed: deed.line)
        begun = False
        for number, frame in enumerate(self._calls):
            while waiting and waiting[0].line <= frame.line:
                deed = waiting.pop(0)
                begun = True
                until = waiting[0].line if waiting else math.inf
                yield from self._deed(deed, self._calls[number:], until)
            if not frame.outgoing:
                begun = True
                yield from self._asked(frame, self._calls[number + 1 :])
            elif begun:
                yield from self._said(frame)
            elif frame.action == "StatusNotification" and isinstance(frame.payload, dict):
                self._statuses[_connector(frame) or 0] = str(frame.payload.get("status"))
        for deed in waiting:
            yield from self._deed(deed, [], math.inf)

    def _deed(self, deed: Deed, following: list[Frame], until: float) -> Iterator[str]:
        yield from self._pause(deed.at)
        yield f"  # {format_time(deed.at)}, line {abs(deed.line)}"
        for frame in following:
            if frame.line >= until and frame.line > deed.line:
                break
            if frame.outgoing:
                yield from self._unusual_answer(frame)
        fields = deed.fields
        if self._connectors == 1 and deed.verb == "swipe":
            fields = {name: value for name, value in fields.items() if name != "connector"}
        yield f"  - {deed.verb}: {_flow(fields)}"

    def _count_connectors(self) -> int:
        if self._own is not None:
            return len(self._own.fields.get("connectors") or [{}])
        return len({n for frame in self._calls if (n := _connector(frame))}) or 1

    def _unusual_answer(self, frame: Frame) -> Iterator[str]:
        """What the embedded central system must be told to say, as it would say something else."""
        answer = self._answers.get(frame.line)
        if answer is None or frame.action in NOT_EXPECTED or not isinstance(frame.payload, dict):
            return
        step: dict[str, Any] = {"answer": frame.action}
        if answer.kind == "CALLERROR":
            step["error"] = answer.payload[0]
        elif not isinstance(answer.payload, dict):
            return
        else:
            info = answer.payload.get("idTagInfo")
            refused = isinstance(info, dict) and info.get("status") not in (None, "Accepted")
            if not refused and frame.action != "DataTransfer":
                return
            step["payload"] = {"idTagInfo": info} if refused else answer.payload
        if "idTag" in frame.payload:
            step["id_tag"] = frame.payload["idTag"]
        yield f"  - csms: {_flow(step | {'times': 1})}"

    def _asked(self, frame: Frame, following: list[Frame]) -> Iterator[str]:
        """A CALL of the central system."""
        yield from self._pause(frame.at)
        yield f"  # {format_time(frame.at)}, line {abs(frame.line)}"
        for later in following:
            if not later.outgoing or any(frame.line < deed.line <= later.line for deed in self._deeds):
                break
            yield from self._unusual_answer(later)
        step: dict[str, Any] = {"call": frame.action, "payload": self._with_variables(frame.payload)}
        answer = self._answers.get(frame.line)
        if self._expectations and answer is not None and (self._own or frame.action in ANSWERED_ALIKE):
            if answer.kind == "CALLERROR":
                step["error"] = answer.payload[0]
            elif isinstance(answer.payload, dict) and "status" in answer.payload:
                step["expect"] = {"status": answer.payload["status"]}
        yield f"  - csms: {_flow(step, self._transactions.values())}"

    def _said(self, frame: Frame) -> Iterator[str]:
        """A CALL of the charge point, where it is expected of another one too."""
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        where: dict[str, Any] = {}
        match frame.action:
            case "Authorize":
                where = {"idTag": payload.get("idTag")}
            case "StartTransaction":
                where = {"connectorId": payload.get("connectorId"), "idTag": payload.get("idTag")}
            case "StopTransaction":
                number = payload.get("transactionId")
                if number in self._unplaced:
                    line = abs(frame.line)
                    yield f"  # line {line}: transaction {number} ends, whose start is not recorded"
                    return
                if number not in self._running or len(self._running) == 1:
                    where = {"transactionId": self._variable(number)}
                if payload.get("reason", "Local") != "Local":
                    where["reason"] = payload["reason"]
            case "StatusNotification":
                n, status = _connector(frame), str(payload.get("status"))
                if n is None:
                    return
                before, self._statuses[n] = self._statuses.get(n), status
                if status == before or (not self._own and (not n or status not in ALIKE_EVERYWHERE)):
                    return
                where = {"connectorId": n, "status": status}
            case action if action in NOT_EXPECTED:
                return
            case "DataTransfer":
                where = {name: payload[name] for name in ("vendorId", "messageId") if name in payload}
            case _:
                where = {name: payload[name] for name in ("status",) if name in payload}
        if not self._expectations and frame.action != "StartTransaction":
            return
        step: dict[str, Any] = {"frame": frame.action}
        step |= {"where": where} if where else {}
        passed = frame.at - self._now
        verb = "expect"
        if passed > PATIENCE_S / 2:
            verb, step["within"] = "wait", _duration(math.ceil(passed * 1.5 / 10) * 10 + 10)
        if frame.action == "StartTransaction":
            answer = self._answers.get(frame.line)
            number = (
                answer.payload.get("transactionId") if answer and isinstance(answer.payload, dict) else None
            )
            if isinstance(number, int):
                name = "tx" if not self._transactions else f"tx{len(self._transactions) + 1}"
                self._transactions[number] = name
                step["save"] = {name: "response.transactionId"}
        self._now = frame.at
        yield f"  - {verb}: {_flow(step, self._transactions.values())}"

    def _pause(self, until: float) -> Iterator[str]:
        seconds = round(until - self._now, 3)
        self._now = until
        if seconds > 0:
            yield f"  - wait: {_duration(seconds)}"

    def _variable(self, number: Any) -> Any:
        known = isinstance(number, int) and number in self._transactions
        return f"{{{self._transactions[number]}}}" if known else number

    def _with_variables(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._with_variables(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._with_variables(item) for item in value]
        return self._variable(value) if name == "transactionId" else value


def _connector(frame: Frame) -> int | None:
    """Its number, 0 if it names none; None if that cannot be one: charge points write anything."""
    n = frame.payload.get("connectorId", 0) if isinstance(frame.payload, dict) else 0
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MOST_CONNECTORS else None


def _answers(frames: list[Frame]) -> dict[int, Frame]:
    """Line of a CALL -> its answer."""
    waiting: dict[tuple[str | None, bool], int] = {}
    answers: dict[int, Frame] = {}
    for frame in frames:
        if frame.kind == "CALL":
            waiting[frame.message_id, frame.outgoing] = frame.line
        elif (line := waiting.pop((frame.message_id, not frame.outgoing), None)) is not None:
            answers[line] = frame
    return answers


def _duration(seconds: float) -> str:
    """Such as 1h2m, 90s as 1m30s, 0.5s."""
    ms = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if ms >= size:
            parts.append(f"{ms // size}{unit}")
            ms %= size
    if ms or not parts:
        parts.append(f"{ms / 1000:g}s")
    return "".join(parts)


def _flow(value: Any, variables: Any = ()) -> str:
    """YAML on one line; a brace is doubled, but for those of a variable."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{_flow(name)}: {_flow(item, variables)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, variables) for item in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if value[:1] == "{" and value[-1:] == "}" and value[1:-1] in variables:
        return f'"{value}"'
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value.replace("{", "{{").replace("}", "}}"), ensure_ascii=False)
