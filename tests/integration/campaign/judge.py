"""The judge of campaigns: did the central system receive every session whole, once and in order?

It knows the protocol and nothing of the station's program (OCPP 1.6 §3.7, §4.2, §4.8 to §4.10, errata 3.1).
Each session of a round must use an idTag of its own.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.status_pairs import legal

CALL, RESULT = 2, 3
RECORDS = ("StartTransaction", "MeterValues", "StopTransaction")
SAME_S, STEP_S = 0.01, 60.0  # moments differ by less than the one, clocks are moved by more than the other
UNKNOWN = -1  # the transactionId of a session whose start was given up (errata 3.18)

Frame = list[Any]
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame, as the central system saw it go by."""

    life: int  # which start of the station's process
    link: int  # which connection, counted over all lives
    sent: bool  # by the central system
    frame: Frame


@dataclass(frozen=True, slots=True)
class Promise:
    """What the station had stored of a session when its power went: so much must arrive.

    None: not known yet at that moment.
    """

    id_tag: str
    meter_start: int
    started_at: str
    stop_at: str | None = None
    reason: str | None = None
    meter_stop: int | None = None


@dataclass(slots=True)
class Session:
    """What came of one session."""

    id_tag: str
    start: Payload
    number: Any = None  # the transactionId it was given
    values: list[Payload] = field(default_factory=list)
    stop: Payload | None = None


@dataclass(slots=True)
class Sending:
    """One record, and all CALLs in which it came."""

    action: str
    payload: Payload
    ids: list[str] = field(default_factory=list)
    session: Session | None = None
    answered: bool = False  # with a result that can be read

    def same(self, action: str, payload: Payload) -> bool:
        """The very same record, to the letter."""
        return self.text == json.dumps([action, payload])

    @property
    def text(self) -> str:
        """The record on the wire."""
        return json.dumps([self.action, self.payload])


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words; and what is no mistake: records that came twice (OCPP 1.6 §4.8), records
    that were refused as often as allowed (§3.7.1), and records sent again with a number known at last.
    """

    problems: list[str] = field(default_factory=list)
    repeats: int = 0
    given_up: int = 0
    renumbered: int = 0


class Judge:
    """Goes through a conversation once and notes whatever must not be.

    `rude`: answers may have been lost on their way to the station. `clock_moves`: the central system put the
    station's clock to any time, so that only the order and the registers tell what came when. `failed` are
    the ids of CALLs that failed while their connection lasted: so many `attempts` there are for each record.
    """

    def __init__(
        self,
        interval_s: float,
        *,
        rude: bool = False,
        clock_moves: bool = False,
        failed: Container[str] = (),
        attempts: int = 1,
    ) -> None:
        self.verdict = Verdict()
        self.sessions: dict[str, Session] = {}
        self.sendings: list[Sending] = []
        self._interval_s = interval_s
        self._rude = rude
        self._clock_moves = clock_moves
        self._failed = failed
        self._attempts = attempts
        self._by_number: dict[Any, Session] = {}
        self._newest = ""  # the moment of the newest start or sample
        self._register: dict[int, float] = {}

    def hear(self, heard: Sequence[Heard]) -> Verdict:
        """Judge everything that was heard, in the order in which it came."""
        self._ids(heard)
        self._registration(heard)
        self._statuses(heard)
        self._records(heard)
        for session in self.sessions.values():
            self._whole(session)
        return self.verdict

    def deliver(self) -> Verdict:
        """Every record was answered with a result, or refused as often as allowed."""
        for sending in self.sendings:
            if sending.answered:
                continue
            if self._spent(sending):
                self.verdict.given_up += 1
            else:
                self._wrong(f"lost, given up before {self._attempts} attempts had failed: {sending.text}")
        return self.verdict

    def _spent(self, sending: Sending) -> bool:
        return sum(message_id in self._failed for message_id in sending.ids) >= self._attempts

    def expect(self, id_tags: Iterable[str]) -> Verdict:
        """These sessions took place."""
        for id_tag in id_tags:
            if id_tag not in self.sessions:
                self._wrong(f"{id_tag}: lost, it took place and nothing of it came")
        return self.verdict

    def keep(self, promises: Iterable[Promise]) -> Verdict:
        """Compare with what the station had stored at each power cut."""
        for promise in promises:
            session = self.sessions.get(promise.id_tag)
            if session is None:
                self._wrong(f"{promise.id_tag}: lost, it was stored and nothing of it came")
                continue
            promised = {"meterStart": promise.meter_start, "timestamp": promise.started_at}
            self._differences(session.id_tag, "start", promised, session.start)
            promised = {
                "timestamp": promise.stop_at,
                "reason": promise.reason,
                "meterStop": promise.meter_stop,
            }
            self._differences(session.id_tag, "stop", promised, session.stop or {})
        return self.verdict

    def _wrong(self, problem: str) -> None:
        self.verdict.problems.append(problem)

    def _differences(self, id_tag: str, what: str, promised: Payload, came: Payload) -> None:
        for name, value in promised.items():
            if value is not None and came.get(name) != value:
                self._wrong(f"{id_tag}: {what} stored with {name} {value}, and {came.get(name)} came")

    # --- frames -------------------------------------------------------------------------------------

    def _ids(self, heard: Sequence[Heard]) -> None:
        seen: set[str] = set()
        for one in _calls(heard):
            if one.frame[1] in seen:
                self._wrong(f"life {one.life}: message id {one.frame[1]} was used before")
            seen.add(one.frame[1])

    def _registration(self, heard: Sequence[Heard]) -> None:
        """Each life begins with BootNotification, nothing goes before its acceptance, and it comes once."""
        accepted: set[int] = set()
        knowing: set[int] = set()  # lives in which the station showed that it knows
        boots: dict[str, int] = {}
        for one in heard:
            if one.sent:
                booting = one.frame[0] == RESULT and one.frame[1] in boots
                if booting and one.frame[2].get("status") == "Accepted":
                    accepted.add(boots[one.frame[1]])
            elif one.frame[0] == CALL and one.frame[2] == "BootNotification":
                boots[one.frame[1]] = one.life
                if one.life in (knowing if self._rude else accepted):
                    self._wrong(f"life {one.life}: BootNotification although it was accepted")
            elif one.frame[0] == CALL:
                knowing.add(one.life)
                if one.life not in accepted:
                    self._wrong(f"life {one.life}: {one.frame[2]} before it was accepted")

    def _statuses(self, heard: Sequence[Heard]) -> None:
        """Legal pairs on each connection; in between, statuses may have been passed over (§4.9)."""
        last: dict[tuple[int, int], str] = {}
        for one in _calls(heard, "StatusNotification"):
            connector, status = one.frame[3]["connectorId"], one.frame[3]["status"]
            before = last.get((one.link, connector))
            last[one.link, connector] = status
            if before is not None and not legal(connector, before, status):
                self._wrong(f"connector {connector} went from {before} to {status}")

    # --- records ------------------------------------------------------------------------------------

    def _records(self, heard: Sequence[Heard]) -> None:
        by_id: dict[str, Sending] = {}
        for one in heard:
            if one.sent:
                if one.frame[0] == RESULT and one.frame[1] in by_id:
                    self._answered(by_id[one.frame[1]], one.frame[2])
            elif one.frame[0] == CALL and one.frame[2] in RECORDS:
                by_id[one.frame[1]] = self._sending(one.frame[2], one.frame[3])
                by_id[one.frame[1]].ids.append(one.frame[1])

    def _sending(self, action: str, payload: Payload) -> Sending:
        """The record that came: once more the one before, or a new one."""
        last = self.sendings[-1] if self.sendings else None
        if last is not None and last.same(action, payload):
            self.verdict.repeats += 1
            return last
        if last is not None and self._renumbered(last, action, payload):
            self.verdict.renumbered += 1
            return last
        self.sendings.append(Sending(action, payload))
        self.sendings[-1].session = self._take(action, payload)
        return self.sendings[-1]

    def _renumbered(self, last: Sending, action: str, payload: Payload) -> bool:
        """The same record, now that the number of a session given up became known after all."""
        number = payload.get("transactionId")
        named = last.session is not None and last.session is self._by_number.get(number)
        return (
            named
            and last.payload.get("transactionId") == UNKNOWN
            and last.same(action, payload | {"transactionId": UNKNOWN})
        )

    def _answered(self, sending: Sending, answer: Payload) -> None:
        if sending.action == "StartTransaction":
            if "transactionId" not in answer:
                return
            self._numbered(self.sessions[sending.payload["idTag"]], answer["transactionId"])
        sending.answered = sending.answered or "nonsense" not in answer

    def _numbered(self, session: Session, number: Any) -> None:
        if session.number not in (None, number):
            self._wrong(f"{session.id_tag}: was numbered {session.number}, then {number}")
        session.number = number
        self._by_number[number] = session

    def _take(self, action: str, payload: Payload) -> Session | None:
        """A record that does not repeat the one before it; the session it is of."""
        if action == "StartTransaction":
            self._started(payload)
            return self.sessions[payload["idTag"]]
        number = payload.get("transactionId")
        session = self._nameless(action, payload) if number == UNKNOWN else self._by_number.get(number)
        if session is None:
            self._wrong(f"{action} of transaction {number}, which nobody knows")
        elif action == "MeterValues":
            self._measured(session, payload)
        else:
            self._stopped(session, payload)
        return session

    def _nameless(self, action: str, payload: Payload) -> Session | None:
        """The session of a record without a number: one whose start was given up, maybe answered later."""
        given_up = {
            sending.payload["idTag"]
            for sending in self.sendings
            if sending.action == "StartTransaction" and self._spent(sending)
        }
        for session in self.sessions.values():
            if session.id_tag not in given_up or session.stop is not None:
                continue
            if action == "MeterValues" and session.start["connectorId"] != payload["connectorId"]:
                continue
            if action == "StopTransaction" and payload.get("idTag", session.id_tag) != session.id_tag:
                continue
            return session
        return None

    def _happened(self, id_tag: str, moment: str) -> None:
        """Starts and samples come in the order in which they happened; a stop is dated by its first turn."""
        if moment < self._newest and not self._clock_moves:
            self._wrong(f"{id_tag}: what happened at {moment} came after {self._newest}")
        self._newest = max(moment, self._newest)

    def _started(self, payload: Payload) -> None:
        id_tag = payload["idTag"]
        if id_tag in self.sessions:
            what = "again" if self.sessions[id_tag].start == payload else "as another"
            self._wrong(f"{id_tag}: started {what}: {payload}")
            return
        earlier = [session.start["timestamp"] for session in self.sessions.values()]
        if earlier and payload["timestamp"] < max(earlier) and not self._clock_moves:
            self._wrong(f"{id_tag}: its start came after a later one")
        self._happened(id_tag, payload["timestamp"])
        self.sessions[id_tag] = Session(id_tag, payload)
        self._meter(id_tag, payload["connectorId"], payload["meterStart"])

    def _measured(self, session: Session, payload: Payload) -> None:
        if session.stop is not None:
            self._wrong(f"{session.id_tag}: meter values after its stop")
        if payload["connectorId"] != session.start["connectorId"]:
            self._wrong(f"{session.id_tag}: meter values of connector {payload['connectorId']}")
        for value in payload["meterValue"]:
            session.values.append(value)
            self._happened(session.id_tag, value["timestamp"])
            self._meter(session.id_tag, payload["connectorId"], float(value["sampledValue"][0]["value"]))

    def _stopped(self, session: Session, payload: Payload) -> None:
        if session.stop is not None:
            what = "again" if session.stop == payload else "as another"
            self._wrong(f"{session.id_tag}: stopped {what}: {payload}")
            return
        session.stop = payload
        self._meter(session.id_tag, session.start["connectorId"], payload["meterStop"])

    def _meter(self, id_tag: str, connector: int, energy_wh: float) -> None:
        """A register never goes back; a whole number may be rounded down."""
        if energy_wh < int(self._register.get(connector, 0.0)):
            self._wrong(f"{id_tag}: the register fell from {self._register[connector]} to {energy_wh}")
        self._register[connector] = max(energy_wh, self._register.get(connector, 0.0))

    def _whole(self, session: Session) -> None:
        """Start, every sample, stop."""
        if session.stop is None:
            self._wrong(f"{session.id_tag}: lost, it never stopped")
            return
        if self._clock_moves:
            self._even(session)
            return
        began, ended = _moment(session.start["timestamp"]), _moment(session.stop["timestamp"])
        sampled = [_moment(value["timestamp"]) - began for value in session.values]
        expected = [n * self._interval_s for n in range(1, len(sampled) + 1)]
        if sampled != expected:
            self._wrong(f"{session.id_tag}: samples at {sampled} s instead of {expected}")
        if ended < began + (sampled[-1] if sampled else 0):
            self._wrong(f"{session.id_tag}: stopped before its last value")
        # A sample of the very moment of the stop may be there or not.
        if ended > began + (len(sampled) + 1) * self._interval_s:
            self._wrong(f"{session.id_tag}: {len(sampled)} samples in {ended - began} s")

    def _even(self, session: Session) -> None:
        """A clock moved by hours shows as such; anything less would be a sample at a wrong moment."""
        moments = [session.start["timestamp"], *(value["timestamp"] for value in session.values)]
        for one, other in pairwise(map(_moment, moments)):
            if SAME_S < abs(other - one - self._interval_s) < STEP_S:
                self._wrong(f"{session.id_tag}: samples at {moments}")


def judge(heard: Sequence[Heard], promises: Iterable[Promise], interval_s: float) -> Verdict:
    """What is wrong with a conversation, given what was stored at each power cut."""
    bench = Judge(interval_s)
    bench.hear(heard)
    bench.deliver()
    return bench.keep(promises)


def _calls(heard: Sequence[Heard], action: str | None = None) -> Iterator[Heard]:
    return (one for one in heard if not one.sent and one.frame[0] == CALL and action in (None, one.frame[2]))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
