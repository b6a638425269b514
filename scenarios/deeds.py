"""What somebody did at a charge point: as its trace says, or as its frames let one conclude."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chargepoint.actions import VERBS
from chargepoint.ocpp16.status import KINDS
from scenarios.recorded import Frame, Happening, Recorded

__all__ = ["Deed", "deeds", "started_unseen"]

A_CAUSE_S = 60.0
"""How long before its effect a cause may lie: RemoteStart before StartTransaction, a card before a plug."""

A_STOP_S = 15.0
SOMEBODY = "UNKNOWN"
"""The card of a transaction that began before the recording, where its end does not name it either."""

NOT_A_DEED = frozenset({"status", "advance", "shutdown"})


@dataclass(frozen=True, slots=True)
class Deed:
    """A verb of the control protocol, done just before a record."""

    at: float
    line: int
    verb: str
    fields: dict[str, Any]


def deeds(recorded: Recorded) -> list[Deed]:
    """In the order of the file: the verbs if there are any, else plugs and cards, else by the frames."""
    if any(True for _ in recorded.happenings("verb")):
        return _with_the_end(recorded, list(_verbs(recorded)))
    if any(True for _ in recorded.happenings("plug", "card")):
        return _with_the_end(recorded, list(_hardware(recorded)))
    found = _Concluding(recorded).deeds
    while found and found[-1].fields == {"online": False}:  # the end of the recording
        found.pop()
    return found


def started_unseen(recorded: Recorded) -> dict[int, int | None]:
    """Transactions whose number no StartTransaction of the recording was given; their connectors, if told."""
    given: set[int] = set()
    unseen: dict[int, int | None] = {}
    for frame in recorded.frames:
        number = _number(frame.payload.get("transactionId")) if isinstance(frame.payload, dict) else None
        if number is None or frame.action not in ("StartTransaction", "MeterValues", "StopTransaction"):
            continue
        if frame.kind == "CALLRESULT":
            given.add(number)
        elif frame.outgoing and number > 0 and number not in given:
            unseen.setdefault(number, _number(frame.payload.get("connectorId")))
    return unseen


def _with_the_end(recorded: Recorded, found: list[Deed]) -> list[Deed]:
    """Where the program itself was ended, which is no verb: its stops have the reason Reboot."""
    causes = [deed.at for deed in found if deed.verb == "reboot"]
    causes += [frame.at for frame in recorded.frames if frame.kind == "CALL" and frame.action == "Reset"]
    for frame in recorded.frames:
        payload = frame.payload if frame.kind == "CALL" and frame.action == "StopTransaction" else None
        if isinstance(payload, dict) and payload.get("reason") == "Reboot":
            if not any(0 <= frame.at - at < A_CAUSE_S for at in causes):
                found.append(Deed(frame.at, frame.line, "reboot", {}))
            break
    return sorted(found, key=lambda deed: deed.line)


def _verbs(recorded: Recorded) -> Iterator[Deed]:
    told = list(recorded.happenings("verb", "refused"))
    for record, following in zip(told, [*told[1:], None], strict=True):
        if record.event == "refused" or (following is not None and following.event == "refused"):
            continue
        fields = dict(record.fields)
        verb = str(fields.pop("cmd", ""))
        if verb in VERBS and verb not in NOT_A_DEED:
            yield Deed(record.at, record.line, verb, fields)


def _hardware(recorded: Recorded) -> Iterator[Deed]:
    faulted: set[Any] = set()
    for record in recorded.happenings("plug", "card", "faults"):
        fields, connector = record.fields, record.fields.get("connector")
        if record.event == "card":
            on = {} if connector is None else {"connector": connector}
            yield Deed(record.at, record.line, "swipe", {"id_tag": fields.get("id_tag"), **on})
        elif record.event == "plug":
            verb = "plug_in" if fields.get("plugged") else "plug_out"
            yield Deed(record.at, record.line, verb, {"connector": connector})
        elif fields.get("faults") and connector not in faulted:
            faulted.add(connector)
            yield Deed(record.at, record.line, "fault", {"connector": connector, "error_code": "OtherError"})
        elif not fields.get("faults") and connector in faulted:
            faulted.discard(connector)
            yield Deed(record.at, record.line, "clear_fault", {"connector": connector})


@dataclass(slots=True)
class _Outlet:
    """What is known of one connector so far."""

    status: str | None = None
    plugged: bool = False
    transaction: int | None = None
    started: bool = False  # it was, though its number may be unknown
    id_tag: str | None = None


def _numbers_given(recorded: Recorded) -> dict[int, int]:
    """Line of a StartTransaction -> the number in its answer."""
    waiting: dict[str | None, list[int]] = {}  # message id -> lines; one that is sent again may keep its id
    given: dict[int, int] = {}
    for frame in recorded.frames:
        if frame.outgoing and frame.kind == "CALL" and frame.action == "StartTransaction":
            waiting.setdefault(frame.message_id, []).append(frame.line)
        elif frame.kind in ("CALLRESULT", "CALLERROR") and not frame.outgoing:
            lines = waiting.pop(frame.message_id, ())
            number = _number(frame.payload.get("transactionId")) if isinstance(frame.payload, dict) else None
            if number is not None:
                given |= dict.fromkeys(lines, number)
    return given


@dataclass(slots=True)
class _Concluding:
    """Reads the frames from first to last and concludes who must have done what."""

    recorded: Recorded
    deeds: list[Deed] = field(default_factory=list)
    _outlets: dict[int, _Outlet] = field(default_factory=dict)
    _shown: dict[str, float] = field(default_factory=dict)  # id tag -> when it was last shown
    _asked: dict[str, float] = field(default_factory=dict)  # action of the central system -> when last
    _remote_tags: dict[str, float] = field(default_factory=dict)
    _frames: list[Frame] = field(default_factory=list)
    _unseen: dict[int, int | None] = field(default_factory=dict)
    _given: dict[int, int] = field(default_factory=dict)  # line of a StartTransaction -> its number
    _boots: int = 0
    _online: bool = True

    def __post_init__(self) -> None:
        self._frames = [frame for frame in self.recorded.frames if frame.kind == "CALL"]
        self._unseen = started_unseen(self.recorded)
        self._given = _numbers_given(self.recorded)
        for record in self.recorded.records:
            if isinstance(record, Happening):
                self._happening(record)
            elif record.kind == "CALL" and isinstance(record.payload, dict):
                if record.outgoing:
                    self._said(record, record.payload)
                else:
                    self._asked[record.action or ""] = record.at
                    if record.action == "RemoteStartTransaction":
                        self._remote_tags[str(record.payload.get("idTag"))] = record.at

    def _happening(self, record: Happening) -> None:
        online = bool(record.fields.get("online"))
        if record.event == "connection" and online != self._online and self._boots:
            self._online = online
            if not self._recently("Reset", record.at):
                self.deeds.append(Deed(record.at, record.line, "network", {"online": online}))

    def _said(self, frame: Frame, payload: dict[str, Any]) -> None:
        match frame.action:
            case "BootNotification":
                self._boots += 1
                if self._boots > 1 and not self._recently("Reset", frame.at) and self._online:
                    self._do(frame, "reboot")
            case "Authorize":
                self._authorize(frame, str(payload.get("idTag")))
            case "StatusNotification":
                self._status(frame, payload)
            case "StartTransaction":
                self._start(frame, payload)
            case "MeterValues":
                self._metered(frame, payload)
            case "StopTransaction":
                self._stop(frame, payload)

    def _authorize(self, frame: Frame, id_tag: str) -> None:
        if frame.at - self._remote_tags.get(id_tag, -A_CAUSE_S) < A_CAUSE_S:
            return
        self._swipe(frame, id_tag, self._where(frame, id_tag))

    def _where(self, frame: Frame, id_tag: str) -> int | None:
        """At which connector that card was shown: where it stops or starts a transaction soon after."""
        for later in self._frames:
            if later.line <= frame.line or not later.outgoing or not isinstance(later.payload, dict):
                continue
            if later.at - frame.at > 5 * A_CAUSE_S:
                break
            if later.action == "StartTransaction" and later.payload.get("idTag") == id_tag:
                return _number(later.payload.get("connectorId"))
            if later.action == "StopTransaction" and later.at - frame.at < A_STOP_S:
                number = later.payload.get("transactionId")
                found = [n for n, outlet in self._outlets.items() if outlet.transaction == number]
                return found[0] if found else None
        return None

    def _status(self, frame: Frame, payload: dict[str, Any]) -> None:
        n, status = _number(payload.get("connectorId")), str(payload.get("status"))
        if not n:
            return
        outlet = self._outlets.setdefault(n, _Outlet())
        before, outlet.status = outlet.status, status
        if status == before:
            return
        if before == "Faulted":
            self._do(frame, "clear_fault", connector=n)
        if status == "Faulted":
            self._do(frame, "fault", connector=n, error_code=_error_code(payload))
        elif status == "Preparing" and not outlet.plugged:
            tags = [
                at for at in (*self._shown.values(), *self._remote_tags.values()) if frame.at - at < A_CAUSE_S
            ]
            if not tags:
                self._plug_in(frame, n, outlet)
        elif status in ("Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"):
            if not outlet.plugged and status != "Finishing":
                self._plug_in(frame, n, outlet)
            if status == "SuspendedEV" and before == "Charging":
                self._do(frame, "ev", connector=n, draws=False)
            elif status == "Charging" and before == "SuspendedEV":
                self._do(frame, "ev", connector=n, draws=True)
        elif status == "Available" and outlet.plugged:
            self._plug_out(frame, n, outlet)
        if (
            "Unavailable" in (status, before)
            and before
            and not self._recently("ChangeAvailability", frame.at)
        ):
            self._do(frame, "availability", connector=n, operative=status != "Unavailable")

    def _start(self, frame: Frame, payload: dict[str, Any]) -> None:
        n, id_tag = _number(payload.get("connectorId")) or 1, str(payload.get("idTag"))
        outlet = self._outlets.setdefault(n, _Outlet())
        remote = frame.at - self._remote_tags.get(id_tag, -5 * A_CAUSE_S) < 5 * A_CAUSE_S
        if not remote and frame.at - self._shown.get(id_tag, -5 * A_CAUSE_S) >= 5 * A_CAUSE_S:
            self._swipe(frame, id_tag, n)
        if not outlet.plugged:
            self._plug_in(frame, n, outlet)
        outlet.id_tag = id_tag
        self._shown.pop(id_tag, None)
        self._remote_tags.pop(id_tag, None)
        outlet.transaction, outlet.started = self._given.get(frame.line), True

    def _metered(self, frame: Frame, payload: dict[str, Any]) -> None:
        """A transaction that nobody saw begin began before the recording: now, as far as it can tell."""
        n, number = _number(payload.get("connectorId")), _number(payload.get("transactionId"))
        if not n or number is None or number not in self._unseen:
            return
        outlet = self._outlets.setdefault(n, _Outlet())
        if outlet.transaction is not None:
            return
        if not outlet.started:
            if not outlet.plugged:
                self._plug_in(frame, n, outlet)
            outlet.id_tag = self._card_of(number)
            self._do(frame, "swipe", id_tag=outlet.id_tag, connector=n)
        outlet.transaction, outlet.started = number, True

    def _card_of(self, number: int) -> str:
        for frame in self._frames:
            payload = frame.payload if frame.action == "StopTransaction" else None
            if isinstance(payload, dict) and payload.get("transactionId") == number and payload.get("idTag"):
                return str(payload["idTag"])
        return SOMEBODY

    def _stop(self, frame: Frame, payload: dict[str, Any]) -> None:
        number = payload.get("transactionId")
        n = next((n for n, outlet in self._outlets.items() if outlet.transaction == number), None)
        if n is None:
            return
        outlet = self._outlets[n]
        outlet.transaction, outlet.started = None, False
        match payload.get("reason", "Local"):
            case "Local":
                id_tag = str(payload.get("idTag") or outlet.id_tag)
                if frame.at - self._shown.get(id_tag, -A_STOP_S) >= A_STOP_S:
                    self._swipe(frame, id_tag, n)
                self._shown.pop(id_tag, None)
            case "EVDisconnected" if outlet.plugged:
                self._plug_out(frame, n, outlet)
            case "EmergencyStop":
                self._do(frame, "emergency_stop", connector=n, pressed=True)
                if self._fault_after(frame, n) is not None:
                    outlet.status = "Faulted"
            case "Other" if (code := self._fault_after(frame, n)) is not None:
                self._do(frame, "fault", connector=n, error_code=code)
                outlet.status = "Faulted"
            case "Reboot" if not self._recently("Reset", frame.at):
                self._do(frame, "reboot")

    def _fault_after(self, frame: Frame, n: int) -> str | None:
        """The error code with which the connector reports soon after that it is faulted."""
        for later in self._frames:
            if later.line <= frame.line or not isinstance(later.payload, dict):
                continue
            if later.at - frame.at > A_STOP_S:
                break
            if later.payload.get("connectorId") == n and later.payload.get("status") == "Faulted":
                return _error_code(later.payload)
        return None

    def _plug_in(self, frame: Frame, n: int, outlet: _Outlet) -> None:
        outlet.plugged = True
        self._do(frame, "plug_in", connector=n)

    def _plug_out(self, frame: Frame, n: int, outlet: _Outlet) -> None:
        outlet.plugged = False
        self._do(frame, "plug_out", connector=n)

    def _swipe(self, frame: Frame, id_tag: str, connector: int | None) -> None:
        self._shown[id_tag] = frame.at
        where = {} if connector is None else {"connector": connector}
        self._do(frame, "swipe", id_tag=id_tag, **where)

    def _do(self, frame: Frame, verb: str, **fields: Any) -> None:
        self.deeds.append(Deed(frame.at, frame.line, verb, fields))

    def _recently(self, action: str, at: float) -> bool:
        return at - self._asked.get(action, at - 10 * A_CAUSE_S) < 2 * A_CAUSE_S


def _error_code(payload: dict[str, Any]) -> str:
    code = payload.get("errorCode")
    return code if isinstance(code, str) and code in KINDS else "OtherError"


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
