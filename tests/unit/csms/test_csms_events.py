"""What is told and what is not: secrets stay out of every event (control protocol, last line)."""

from __future__ import annotations

import json

import pytest

from chargepoint.csms.events import Event, frame_of
from chargepoint.csms.handshake import admitted, identity_of
from chargepoint.csms.transcript import Transcript

SECRET = "open-sesame-0123"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(
            [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}], id="call"
        ),
        pytest.param(
            [2, "1", "ChangeConfiguration", {"key": "authorizationKEY", "value": SECRET}], id="any-case"
        ),
        pytest.param(
            [3, "1", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}],
            id="result",
        ),
        pytest.param(
            [4, "1", "GenericError", "", {"request": [{"key": "AuthorizationKey", "value": SECRET}]}],
            id="error-that-repeats-the-request",
        ),
        pytest.param(
            [4, "1", "GenericError", f"AuthorizationKey {SECRET}", {}], id="error-whose-text-repeats-it"
        ),
        pytest.param(f"[3, AuthorizationKey: {SECRET}", id="not-json"),
    ],
)
def test_an_authorization_key_is_hidden(frame: list[object] | str) -> None:
    told = json.dumps(frame_of(frame if isinstance(frame, str) else json.dumps(frame)))
    assert SECRET not in told
    assert "***" in told


@pytest.mark.parametrize(
    "frame",
    [
        [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}],
        [2, "1", "ChangeConfiguration", []],
        [3, "1", {"configurationKey": [5, {"key": "HeartbeatInterval", "readonly": False, "value": "60"}]}],
        [3, "1", None],
        [4, "1", "GenericError", "", {"cause": "no"}],
        [3],
        {},
    ],
    ids=str,
)
def test_every_other_frame_is_told_as_it_is(frame: object) -> None:
    assert frame_of(json.dumps(frame)) == frame


@pytest.mark.parametrize(
    "text", ["{", '[2,"1","A",NaN]', "[1e999]", "[" * 100_000], ids=lambda text: text[:20]
)
def test_what_is_not_json_is_told_as_text(text: str) -> None:
    assert frame_of(text) == text


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/CP001", "CP001"),
        ("/ocpp/v16/CP001", "CP001"),
        ("/CP001/", "CP001"),
        ("/CP001?token=1", "CP001"),
        ("/RDAM%20123", "RDAM 123"),
        ("/ocpp/a%2Fb", "a/b"),
        ("/%C3%BC", "ü"),
        ("/%ff", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_identity_is_the_last_part_of_the_path(path: str, identity: str | None) -> None:
    assert identity_of(path) == identity


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(["Basic Q1A6c2VjcmV0"], True, id="CP:secret"),
        pytest.param(["basic Q1A6c2VjcmV0"], True, id="scheme-without-case"),
        pytest.param(["Basic Q1A6c2VjcmVU"], False, id="CP:secreT"),
        pytest.param(["Basic eHg6c2VjcmV0"], False, id="xx:secret"),
        pytest.param(["Bearer Q1A6c2VjcmV0"], False, id="other-scheme"),
        pytest.param(["Basic \xfc"], False, id="not-base64"),
        pytest.param(["Basic"], False, id="no-credentials"),
        pytest.param(["Basic Q1A6c2VjcmV0"] * 2, False, id="two-headers"),
        pytest.param([], False, id="none"),
    ],
)
def test_one_header_with_identity_and_password_is_admitted(headers: list[str], expected: bool) -> None:
    assert admitted("CP", b"secret", headers) is expected


def test_a_person_reads_which_action_an_answer_belongs_to() -> None:
    printed: list[str] = []
    transcript = Transcript(printed.append)
    for direction, frame in (
        ("rx", [2, "1", "Heartbeat", {}]),
        ("tx", [3, "1", {"currentTime": "T"}]),
        ("tx", [2, "1", "Reset", {"type": "Soft"}]),
        ("rx", [4, "1", "InternalError", "", {}]),
        ("rx", "not JSON"),
    ):
        transcript.write(Event("frame", 0.0, "CP", {"dir": direction, "frame": frame}).as_dict())
    transcript.write(Event("disconnected", 0.0, "C\x1bP", {"reason": "gone"}).as_dict())
    transcript.write({"ok": True})
    assert printed == [
        "00:00:00.000  CP  → Heartbeat {}",
        '00:00:00.000  CP  ← Heartbeat answer {"currentTime":"T"}',
        '00:00:00.000  CP  ← Reset {"type":"Soft"}',
        '00:00:00.000  CP  → Reset error ["InternalError","",{}]',
        '00:00:00.000  CP  → "not JSON"',
        '00:00:00.000  "C\\u001bP"  disconnected: gone',
        '{"ok":true}',
    ]
