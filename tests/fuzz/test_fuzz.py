"""Random and mutated frames at a station: one right answer each, no crash, no hang (OCPP-J 1.6 §4.2).

`make campaign` tries 20,000 lists of frames, 5,000 for each state of the station.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ocpp import exceptions

from chargepoint.ocpp16 import schema
from chargepoint.ocpp16.local_auth_list import LocalAuthList
from chargepoint.ocpp16.smart_charging import SmartCharging
from chargepoint.rpc import frames, session
from tests.fuzz import judge, trial
from tests.fuzz.frames import FRAMES

pytestmark = pytest.mark.search

MESSAGES = st.lists(FRAMES, min_size=1, max_size=4)


@pytest.mark.parametrize("state", trial.STATES)
@given(messages=MESSAGES)
def test_every_frame_gets_its_answer(state: str, messages: list[bytes]) -> None:
    trial.run(trial.STATES[state], messages)


MANY = 5_000_000
LARGE: dict[str, Callable[[], bytes]] = {
    "text": lambda: b'[2,"1","DataTransfer",{"vendorId":"v","data":"' + b"x" * MANY + b'"}]',
    "escapes": lambda: b'[2,"1","DataTransfer",{"vendorId":"v","data":"' + rb"\ud83d" * (MANY // 6) + b'"}]',
    "too long": lambda: b'[2,"1","RemoteStartTransaction",{"idTag":"' + b"x" * MANY + b'"}]',
    "action": lambda: b'[2,"1","' + b"x" * MANY + b'",{}]',
    "message id": lambda: b'[2,"' + b"x" * MANY + b'","Reset",{"type":"Soft"}]',
    "number": lambda: b'[2,"1","UnlockConnector",{"connectorId":' + b"9" * MANY + b"}]",
    "fraction": lambda: b'[2,"1","GetCompositeSchedule",{"connectorId":1,"duration":0.' + b"3" * MANY + b"}]",
    "exponent": lambda: b'[2,"1","UnlockConnector",{"connectorId":1e' + b"9" * MANY + b"}]",
    "list": lambda: b'[2,"1","GetConfiguration",{"key":[' + b'"a",' * (MANY // 4) + b'"b"]}]',
    "wrong list": lambda: b'[2,"1","GetConfiguration",{"key":[' + b"1," * (MANY // 2) + b"1]}]",
    "fields": lambda: b'[2,"1","ClearCache",{' + b",".join(b'"%d":0' % n for n in range(500_000)) + b"}]",
    "depth": lambda: b"[" * MANY,
    "depth of objects": lambda: (
        b'[2,"1","ClearCache",{"a":' + b'{"a":' * (MANY // 5) + b"1" + b"}" * (MANY // 5) + b"}]"
    ),
    "blanks": lambda: b'[2,"1",' + b" " * MANY + b'"ClearCache",{}]',
    "no UTF-8": lambda: b"\xff" * MANY,
    "NUL": lambda: b"\x00" * MANY,
}


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE)
def test_five_megabytes_are_answered_within_a_second(raw: Callable[[], bytes]) -> None:
    def once() -> None:
        bench = trial.idle()
        answers = trial.put(bench, raw())
        assert len(answers) == 1
        assert len(json.dumps(answers[0][2:])) < 1_000
        assert trial.put(bench, b'[2,"alive","GetLocalListVersion",{}]') == [[3, "alive", {"listVersion": 0}]]

    trial.twice_if_slow(once)


def search(state: str, examples: int) -> None:
    """Look for a mistake and stop at the first."""

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(messages=MESSAGES)
    def one(messages: list[bytes]) -> None:
        trial.run(trial.STATES[state], messages)

    one()


Planter = Callable[[pytest.MonkeyPatch], None]


def _wrong_code(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(schema.KINDS, "type", exceptions.PropertyConstraintViolationError)


def _everything_is_valid(patch: pytest.MonkeyPatch) -> None:
    checked = schema.require_valid
    patch.setattr(
        schema,
        "require_valid",
        lambda action, *rest: action == "ClearChargingProfile" or checked(action, *rest),
    )


def _answers_twice(patch: pytest.MonkeyPatch) -> None:
    answer = session.Session._answer

    def twice(self: session.Session, data: bytes) -> None:
        answer(self, data)
        answer(self, data)

    patch.setattr(session.Session, "_answer", twice)


def _stays_silent(patch: pytest.MonkeyPatch) -> None:
    refuse = session.Session._refuse

    def silent(self: session.Session, rubbish: frames.Rubbish) -> None:
        if rubbish.code != "FormationViolation":
            refuse(self, rubbish)

    patch.setattr(session.Session, "_refuse", silent)


def _handler_breaks(patch: pytest.MonkeyPatch) -> None:
    def broken(self: SmartCharging, request: Any) -> Any:
        return {"status": 1 // (request.id or 0)}

    patch.setattr(SmartCharging, "on_clear_charging_profile", broken)


def _result_breaks_its_schema(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LocalAuthList, "on_get_local_list_version", lambda self, request: {"listVersion": "0"})


def _hangs(patch: pytest.MonkeyPatch) -> None:
    checked = schema.require_valid
    patch.setattr(trial, "HANG_S", 0.25)

    def slow(action: str, *rest: Any) -> None:
        until = time.process_time() + (trial.HANG_S * 1.1 if action == "UnlockConnector" else 0)
        while time.process_time() < until:
            pass
        checked(action, *rest)

    patch.setattr(schema, "require_valid", slow)


def _answers_answers(patch: pytest.MonkeyPatch) -> None:
    def answered(self: session.Session, result: frames.Result) -> None:
        self._answer(frames.result(result.message_id, {}))

    patch.setattr(session.Session, "_take_result", answered)


PLANTED: dict[str, Planter] = {
    "a wrong code": _wrong_code,
    "what is invalid is taken": _everything_is_valid,
    "answered twice": _answers_twice,
    "no answer": _stays_silent,
    "a handler that breaks": _handler_breaks,
    "a result that breaks its schema": _result_breaks_its_schema,
    "a hang": _hangs,
    "an answer to an answer": _answers_answers,
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_the_search_finds_what_was_planted(plant: Planter, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(trial.Found):
        search("idle", 2_000)


def test_the_judge_knows_every_message() -> None:
    assert schema.CSMS_TO_CP == judge.ACTIONS
    assert schema.CP_TO_CSMS - {"DataTransfer"} == judge.BACKWARD
