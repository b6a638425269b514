"""The parts of a replay that need no clock: moments and numbers made anew, answers compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scenarios.differences import Difference, Reply, compare_answers, compare_calls, ignored
from scenarios.importers.framing import parts
from scenarios.importers.stamps import StampReader, reference
from scenarios.recorded import Frame
from scenarios.remapping import Remapping, shifted


def frame(raw: str, outgoing: bool = True, action: str | None = None) -> Frame:
    kind, message_id, own, payload = parts(raw)
    return Frame(0.0, 1, outgoing, raw, kind, message_id, own or action, payload)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-14T10:00:00Z", "2026-04-14T11:00:05Z"),
        ("2026-04-14T10:00:00.250Z", "2026-04-14T11:00:05.250Z"),
        ("2026-04-14T10:00:00.1234567Z", "2026-04-14T11:00:05.1234560Z"),
        ("2026-04-14T10:00:00+02:00", "2026-04-14T11:00:05+02:00"),
        ("2026-04-14T23:59:59", "2026-04-15T01:00:04"),
        ("2026-04-14 10:00:00", "2026-04-14 11:00:05"),
        ("yesterday", "yesterday"),
    ],
)
def test_a_moment_keeps_its_spelling(text: str, expected: str) -> None:
    assert shifted(text, 3605) == expected


def test_only_ids_numbers_and_moments_change() -> None:
    remapping = Remapping(1, "CP001", 60)
    remapping.given({"transactionId": 7}, {"transactionId": 9000})
    raw = (
        '[2, "1","MeterValues",{"connectorId":1.0,"transactionId": 7,"x":"\\"transactionId\\": 7",'
        ' "meterValue":[{"timestamp":"2026-04-14T10:00:00Z"}]}]'
    )
    assert (
        remapping.text(raw, "a-b")
        == '[2, "a-b","MeterValues",{"connectorId":1.0,"transactionId": 9000,"x":"\\"transactionId\\": 7",'
        ' "meterValue":[{"timestamp":"2026-04-14T10:01:00Z"}]}]'
    )


def test_a_frame_sent_again_has_the_same_id_and_another_one_has_not() -> None:
    remapping = Remapping(1, "CP001", 0)
    first = remapping.message_id(frame('[2,"1","Heartbeat",{}]'))
    assert remapping.message_id(frame('[2,"1","Heartbeat",{}]')) == first
    assert remapping.message_id(frame('[2,"2","Heartbeat",{}]')) != first
    assert Remapping(1, "CP001", 0).message_id(frame('[2,"1","Heartbeat",{}]')) == first
    assert Remapping(2, "CP001", 0).message_id(frame('[2,"1","Heartbeat",{}]')) != first


def test_two_transactions_with_one_number_are_noticed() -> None:
    remapping = Remapping(1, "CP001", 0)
    remapping.given({"transactionId": 7}, {"transactionId": 1})
    remapping.given({"transactionId": 7}, {"transactionId": 1})
    assert remapping.shared == []
    remapping.given({"transactionId": 8}, {"transactionId": 1})
    assert remapping.shared == [(7, 8, 1)]


START = (
    '[2,"1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-04-14T10:00Z"}]'
)
ACCEPTED = '[3,"1",{"transactionId":7,"idTagInfo":{"status":"Accepted","expiryDate":"2027-01-01T00:00:00Z"}}]'
REFUSED = '[4,"1","NotSupported","no",{}]'
WITH = {"transactionId": 7, "idTagInfo": {"status": "Accepted", "expiryDate": "2027-01-01T00:00:00Z"}}

ANSWERS: dict[str, tuple[str | None, Reply | None, list[tuple[str, str, bool]]]] = {
    "same": (ACCEPTED, Reply(WITH), []),
    "other-number": (ACCEPTED, Reply(WITH | {"transactionId": 8}), [("value", "transactionId", False)]),
    "other-moment": (
        ACCEPTED,
        Reply(
            {"transactionId": 7, "idTagInfo": {"status": "Accepted", "expiryDate": "2028-01-01T00:00:00Z"}}
        ),
        [("value", "idTagInfo.expiryDate", False)],
    ),
    "other-status": (
        ACCEPTED,
        Reply({"transactionId": 7, "idTagInfo": {"status": "Blocked", "expiryDate": "2027-01-01T00:00:00Z"}}),
        [("value", "idTagInfo.status", True)],
    ),
    "field-missing": (
        ACCEPTED,
        Reply({"idTagInfo": WITH["idTagInfo"]}),
        [("missing_field", "transactionId", True)],
    ),
    "field-new": (ACCEPTED, Reply(WITH | {"x": 1}), [("new_field", "x", True)]),
    "missing": (ACCEPTED, None, [("no_answer", "", True)]),
    "refused": (ACCEPTED, Reply(error="InternalError"), [("error_instead_of_result", "", True)]),
    "no-longer-refused": (REFUSED, Reply(WITH), [("result_instead_of_error", "", True)]),
    "refused-otherwise": (REFUSED, Reply(error="InternalError"), [("other_error", "", True)]),
    "refused-as-then": (REFUSED, Reply(error="NotSupported"), []),
    "unanswered-then": (None, Reply(WITH), [("answered", "", False)]),
    "never-answered": (None, None, []),
    "true-is-not-1": ('[3,"1",{"a":1}]', Reply({"a": True}), [("value", "a", True)]),
    "one-more": ('[3,"1",{"a":[1]}]', Reply({"a": [1, 2]}), [("value", "a", True)]),
    "within-a-list": (
        '[3,"1",{"a":[{"status":"x"}]}]',
        Reply({"a": [{"status": "y"}]}),
        [("value", "a[0].status", True)],
    ),
}


@pytest.mark.parametrize(("then", "now", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_answers(then: str | None, now: Reply | None, expected: list[tuple[str, str, bool]]) -> None:
    recorded = None if then is None else frame(then, outgoing=False, action="StartTransaction")
    found = compare_answers(frame(START), recorded, now, 0.0)
    assert [(difference.what, difference.path, difference.matters) for difference in found] == expected
    assert all(difference.text().startswith("StartTransaction") for difference in found)


@pytest.mark.parametrize(
    ("then", "now", "matters"),
    [
        ("Accepted", None, False),
        (None, "Accepted", False),
        ("Invalid", None, True),
        (None, "Blocked", True),
        ("Accepted", "Blocked", True),
    ],
)
def test_the_card_of_a_stop(then: str | None, now: str | None, matters: bool) -> None:
    """A stopped transaction is over: an accepted card may be confirmed or not, a refused one is news."""

    def answer(status: str | None) -> dict[str, Any]:
        return {} if status is None else {"idTagInfo": {"status": status}}

    stop = frame('[2,"1","StopTransaction",{"transactionId":7,"meterStop":9,"timestamp":"x","idTag":"A"}]')
    recorded = frame(json.dumps([3, "1", answer(then)]), outgoing=False, action="StopTransaction")
    [difference] = compare_answers(stop, recorded, Reply(answer(now)), 0.0)
    assert difference.matters is matters
    assert bool(difference.why) is not matters


@pytest.mark.parametrize(("number", "matters"), [(9000, []), (7, [True]), (9001, [True])])
def test_a_call_about_a_transaction(number: int, matters: list[bool]) -> None:
    """The recorded number itself belongs to another transaction now."""
    then = frame('[2,"1","RemoteStopTransaction",{"transactionId":7}]', outgoing=False)
    found = compare_calls(then, {"transactionId": number}, 0.0, {7: 9000})
    assert [difference.matters for difference in found] == matters


def test_what_is_not_to_count() -> None:
    difference = Difference("value", "BootNotification", 1, 0.0, "interval", 300, 900)
    for pattern in ("BootNotification", "BootNotification.interval", "*.interval"):
        assert ignored(difference, (pattern,))
    for pattern in ("Boot", "BootNotification.inter", "*.status", "Heartbeat"):
        assert not ignored(difference, (pattern,))


NEAR = reference('{"timestamp":"2026-06-01T08:30:00Z"}')
STAMPS: dict[str, Any] = {
    "2026-06-01T08:30:00.5Z": 0.5,
    "2026-06-01 10:30:00,500 +0200": 0.5,
    "2026/06/01 08:30:00": 0,
    "20260601T083000 no, 20260601 08:30:00": 0,
    "[01.06.2026 08:30:00.250]": 0.25,
    '1.2.3.4 - - [01/Jun/2026:08:30:00 +0000] "GET"': 0,
    "06/01/2026 08:30:00 AM": 0,
    "06/01/2026, 12:30:00 AM": -8 * 3600,
    "Jun  1 08:30:00 host app[1]:": 0,
    "Jun 1, 2026 08:30:00": 0,
    "1780302600": 0,
    "[1780302600.250] x": 0.25,
    "1780302600250 x": 0.25,
    "08:30:00.125 x": 0.125,
    "no stamp 2026": None,
    "2026-13-01T08:30:00Z": 0,  # a bare time at least
}


@pytest.mark.parametrize(("text", "expected"), STAMPS.items())
def test_stamps(text: str, expected: float | None) -> None:
    found = StampReader(None, NEAR).read(text)
    assert found == (None if expected is None else pytest.approx(1780302600 + expected, abs=1e-4))
