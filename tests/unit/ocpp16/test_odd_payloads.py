"""Payloads the schemas allow and nobody expects (OCPP-J 1.6 §4): one answer each, no mistake of ours."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargepoint.ocpp16 import schema
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.test_callerrors import OBJECTS, SERVED, fields

pytestmark = pytest.mark.search

CAMPAIGN = os.environ.get("CAMPAIGN") == "1"

INTEGERS = st.sampled_from([-(10**30), -(2**31), -1, 0, 1, 2, 3, 60, 2**31, 2**63, 10**30]) | st.integers()
DECIMALS = st.sampled_from([-1e300, -0.1, 0, 0.1, 6, 16.0, 1e15, 1e300]) | st.integers(0, 400).map(
    lambda n: n / 10
)
TIMES = st.sampled_from(
    (
        "",
        "x",
        "2026-01-01",
        "1970-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.999999999999999999999999999999Z",
        "2026-13-41T25:61:61Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
    )
)


def values(kind: str) -> st.SearchStrategy[Any]:
    """Anything the schema takes for a field."""
    if kind in OBJECTS:
        return payloads(OBJECTS[kind])
    if kind.startswith("["):
        return st.lists(values(kind[1:-1]), min_size=kind == "[Period]", max_size=3)
    if kind.startswith("{"):
        return st.sampled_from(kind[1:-1].split("|"))
    if kind == "time":
        return TIMES
    if kind.startswith("str"):
        longest = int(kind[3:] or 30)
        return st.text(max_size=min(longest, 30)) | st.just("x" * longest)
    return INTEGERS if kind == "int" else DECIMALS


def payloads(spec: str) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads with every required field and some of the others."""
    return st.fixed_dictionaries(
        {name: values(kind) for name, kind, required in fields(spec) if required},
        optional={name: values(kind) for name, kind, required in fields(spec) if not required},
    )


@pytest.mark.parametrize("charging", [False, True], ids=["idle", "charging"])
@pytest.mark.parametrize("action", [action for action in SERVED if SERVED[action]])
@settings(max_examples=400 if CAMPAIGN else 8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_get_one_answer_that_keeps_the_schema(action: str, charging: bool, data: st.DataObject) -> None:
    bench = Bench(2)
    bench.connect()
    if charging:
        bench.charge()
    for payload in data.draw(st.lists(payloads(SERVED[action]), min_size=1, max_size=4)):
        before = len(bench.csms.frames)
        answer = bench.call(action, payload)
        bench.advance(10)
        answers = [frame for way, frame in bench.csms.frames[before:] if way == "tx" and frame[0] != 2]
        assert len(answers) == 1
        if isinstance(answer, dict):
            assert schema.check_answer(action, answer) is None
        for way, frame in bench.csms.frames[before:]:
            if way == "tx" and frame[0] == 2:
                assert schema.check_request(frame[2], frame[3]) is None
    bench.cp.close()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FRAMES = (
    JSON
    | st.tuples(st.sampled_from([2, 3, 4]), JSON, JSON, JSON).map(list)
    | st.tuples(st.just(2), st.text(max_size=40), st.sampled_from([*schema.CSMS_TO_CP]), JSON).map(list)
)


@settings(max_examples=2_000 if CAMPAIGN else 50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames=st.lists(FRAMES | st.binary(max_size=60), min_size=1, max_size=8))
def test_whatever_comes_gets_at_most_one_answer(frames: list[Any]) -> None:
    bench = Bench(ocpp={"MeterValueSampleInterval": "0"})
    bench.connect()
    bench.charge()
    for frame in frames:
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        before = len(bench.csms.frames)
        with bench.cp.turn:
            bench.cp.session.receive(raw)
        bench.advance(0)
        answers = [f for way, f in bench.csms.frames[before:] if way == "tx" and f[0] != 2]
        assert len(answers) <= 1
        if isinstance(frame, list) and len(frame) == 4 and frame[0] == 2 and isinstance(frame[1], str):
            assert [answer[1] for answer in answers] == [frame[1]]
    bench.advance(10)
    assert bench.call("GetConfiguration", {"key": ["HeartbeatInterval"]})["configurationKey"]
    bench.cp.close()
