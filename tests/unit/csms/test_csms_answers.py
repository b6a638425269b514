"""Which answer is in force: the `answer` lines of the control protocol."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.csms.answers import Answer, Answers

WIDE, STATION, TAG, BOTH = (Answer(payload={"n": n}) for n in range(4))


@pytest.mark.parametrize(
    ("cp", "id_tag", "expected"),
    [
        pytest.param("A", "X", BOTH, id="tag-and-station"),
        pytest.param("A", "x", BOTH, id="tags-without-case"),
        pytest.param("B", "X", TAG, id="tag-elsewhere"),
        pytest.param("A", "Y", STATION, id="station-with-another-tag"),
        pytest.param("A", None, STATION, id="station-without-tag"),
        pytest.param("a", "Y", WIDE, id="stations-with-case"),
        pytest.param("B", None, WIDE, id="everybody"),
    ],
)
def test_the_narrowest_scope_wins(cp: str, id_tag: str | None, expected: Answer) -> None:
    answers = Answers()
    answers.set("StopTransaction", None, None, WIDE)
    answers.set("StopTransaction", "A", None, STATION)
    answers.set("StopTransaction", None, "X", TAG)
    answers.set("StopTransaction", "A", "X", BOTH)
    assert answers.take("StopTransaction", cp, {"idTag": id_tag}) is expected
    assert answers.take("Authorize", cp, {"idTag": id_tag}) is None


def test_after_its_times_the_usual_answer_is_back() -> None:
    answers = Answers()
    answer = Answer(error="InternalError", times=2)
    answers.set("Heartbeat", None, None, answer)
    assert [answers.take("Heartbeat", "A", {}) for _ in range(3)] == [answer, answer, None]


def test_nothing_takes_back_the_answer_of_the_same_scope_only() -> None:
    answers = Answers()
    answers.set("Authorize", None, None, WIDE)
    answers.set("Authorize", None, "X", TAG)
    answers.set("Authorize", None, None, Answer())
    assert answers.take("Authorize", "A", {"idTag": "Y"}) is None
    assert answers.take("Authorize", "A", {"idTag": "X"}) is TAG


@pytest.mark.parametrize("payload", [None, [], "X", {"idTag": 5}, {"idTag": ["X"]}], ids=str)
def test_a_payload_that_is_rubbish_has_no_tag(payload: Any) -> None:
    answers = Answers()
    answers.set("Authorize", None, None, WIDE)
    answers.set("Authorize", None, "X", TAG)
    assert answers.take("Authorize", "A", payload) is WIDE


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        pytest.param("Reset", Answer(silent=True), id="not-an-action-of-stations"),
        pytest.param("Heartbeat", Answer(payload={}, silent=True), id="payload-and-silence"),
        pytest.param("Heartbeat", Answer(payload={}, error="GenericError"), id="payload-and-error"),
        pytest.param("Heartbeat", Answer(error=""), id="error-without-code"),
        pytest.param("Heartbeat", Answer(delay_s=-1), id="negative-delay"),
        pytest.param("Heartbeat", Answer(delay_s=float("nan")), id="delay-not-a-number"),
        pytest.param("Heartbeat", Answer(silent=True, times=0), id="no-times"),
    ],
)
def test_what_makes_no_sense_is_refused(action: str, answer: Answer) -> None:
    answers = Answers()
    with pytest.raises(ValueError, match=r"\w"):
        answers.set(action, None, None, answer)
    assert answers.take(action, "A", {}) is None


@pytest.mark.parametrize(
    ("action", "payload", "sent"),
    [
        pytest.param(
            "StartTransaction",
            {"idTagInfo": {"status": "Blocked"}},
            {"idTagInfo": {"status": "Blocked"}, "transactionId": 7},
            id="transaction-id-filled-in",
        ),
        pytest.param(
            "StartTransaction",
            {"idTagInfo": {"status": "Blocked"}, "transactionId": None},
            {"idTagInfo": {"status": "Blocked"}, "transactionId": None},
            id="given-field-kept",
        ),
        pytest.param(
            "BootNotification",
            {"status": "Pending"},
            {"status": "Pending", "currentTime": "now"},
            id="time-filled-in-and-interval-left-out",
        ),
        pytest.param("StartTransaction", {}, {}, id="rubbish"),
        pytest.param("BootNotification", ["rubbish"], ["rubbish"], id="not-an-object"),
        pytest.param("Heartbeat", {"status": "?"}, {"status": "?"}, id="other-action"),
    ],
)
def test_only_what_the_author_cannot_know_is_filled_in(action: str, payload: Any, sent: Any) -> None:
    assert Answer(payload=payload).completed(action, {"transactionId": 7, "currentTime": "now"}) == sent
