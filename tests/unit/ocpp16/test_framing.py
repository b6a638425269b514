"""Whatever comes over the wire (OCPP-J 1.6 §4): the right answer, and on we go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.ocpp16.bench import Bench


def raw(bench: Bench, data: bytes | str) -> list[Any]:
    """Let the central system send exactly this; returns the frames the station answers."""
    before = len(bench.csms.frames)
    text = data if isinstance(data, bytes) else data.encode()
    bench.clock.call_at(bench.clock.now(), lambda: bench.csms.deliver(text))
    bench.advance(0)
    return [frame for way, frame in bench.csms.frames[before:] if way == "tx" and frame[0] != 2]


@pytest.fixture
def bench() -> Bench:
    """A station in operation, with a transaction."""
    bench = Bench(ocpp={"MeterValueSampleInterval": "0"})
    bench.connect()
    bench.charge()
    return bench


def alive(bench: Bench) -> bool:
    """It still answers, sends, and keeps its transaction."""
    n = len(bench.sent("Heartbeat"))
    bench.advance(301)
    return (
        bench.call("ClearCache", {}) == {"status": "Accepted"}
        and len(bench.sent("Heartbeat")) == n + 1
        and bench.statuses()[-1] == "Charging"
        and bench.sent("StopTransaction") == []
    )


UNREADABLE = {
    "no JSON": b"rubbish",
    "an object": b"{}",
    "an empty array": b"[]",
    "not UTF-8": b'[2,"1","ClearCache",{"a":"\xff"}]',
    "NaN": b'[2,"1","ClearCache",{"a":NaN}]',
    "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
    "a CALL without an id": b"[2]",
    "a CALL with a number for an id": b'[2,5,"ClearCache",{}]',
}


class TestUnreadable:
    @pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
    def test_is_answered_to_minus_one(self, bench: Bench, data: bytes) -> None:
        answers = raw(bench, data)
        assert [answer[:3] for answer in answers] == [[4, "-1", "GenericError"]]
        assert answers[0][4] == {}
        assert [event["message"] for event in bench.events if event["event"] == "error"]
        assert alive(bench)

    @pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
    def test_or_ignored_where_the_operator_says_so(self, data: bytes) -> None:
        bench = Bench(compatibility={"unparsable_frame": "ignore"})
        bench.connect()
        assert raw(bench, data) == []
        assert [answer[:3] for answer in raw(bench, '[2,"1","Reset"]')] == [[4, "1", "FormationViolation"]]

    def test_is_not_answered_before_the_first_boot_or_while_rejected(self) -> None:
        bench = Bench()
        bench.csms.answers["BootNotification"] = lambda payload: None
        bench.connect()
        for data in UNREADABLE.values():
            assert raw(bench, data) == []


class TestIgnored:
    @pytest.mark.parametrize(
        "frame",
        [
            [0],
            [1, "1", "ClearCache", {}],
            [5, "1", "ClearCache", {}],
            [-3, "1", {}],
            [2.5, "1", "ClearCache", {}],
            [10**30, "1"],
            [3, "nobody-asked", {"status": "Accepted"}],
            [3, "nobody-asked", "rubbish"],
            [3],
            [3, 7, {}],
            [4, "nobody-asked", "GenericError", "", {}],
            [4],
            [4, None, None],
        ],
        ids=str,
    )
    def test_gets_no_answer(self, bench: Bench, frame: list[Any]) -> None:
        assert raw(bench, json.dumps(frame)) == []
        assert alive(bench)

    def test_a_second_answer_changes_nothing(self, bench: Bench) -> None:
        start = next(f for way, f in bench.csms.frames if way == "tx" and f[2] == "StartTransaction")
        answer = {"transactionId": 99, "idTagInfo": {"status": "Blocked"}}
        assert raw(bench, json.dumps([3, start[1], answer])) == []
        assert raw(bench, json.dumps([4, start[1], "InternalError", "", {}])) == []
        assert bench.call("RemoteStopTransaction", {"transactionId": 99}) == {"status": "Rejected"}
        assert alive(bench)


LONG_ID = "i" * 37

MISSHAPEN = {
    "three parts": ('[2,"1","ClearCache"]', "1"),
    "five parts": ('[2,"1","ClearCache",{},{}]', "1"),
    "an action that is no string": ('[2,"1",{},{}]', "1"),
    "an id of 37 characters": (f'[2,"{LONG_ID}","ClearCache",{{}}]', LONG_ID),
}


class TestCalls:
    @pytest.mark.parametrize(("text", "message_id"), MISSHAPEN.values(), ids=MISSHAPEN)
    def test_misshapen(self, bench: Bench, text: str, message_id: str) -> None:
        assert [answer[:3] for answer in raw(bench, text)] == [[4, message_id, "FormationViolation"]]
        assert alive(bench)

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ('[2,"1","ClearCache",null]', [3, "1", {"status": "Accepted"}]),
            ('[2,"","ClearCache",{}]', [3, "", {"status": "Accepted"}]),
            (f'[2,"{"i" * 36}","ClearCache",{{}}]', [3, "i" * 36, {"status": "Accepted"}]),
            ('[2,"ü€😀","ClearCache",{}]', [3, "ü€😀", {"status": "Accepted"}]),
        ],
        ids=["null for a payload", "empty id", "id of 36 characters", "id beyond ASCII"],
    )
    def test_unusual_but_right(self, bench: Bench, text: str, answer: list[Any]) -> None:
        assert raw(bench, text) == [answer]

    @pytest.mark.parametrize(
        "payload", ["[]", '"x"', "5", "true", "[" * 900 + "]" * 900], ids=lambda p: p[:9]
    )
    def test_a_payload_that_is_no_object(self, bench: Bench, payload: str) -> None:
        answers = raw(bench, f'[2,"1","ClearCache",{payload}]')
        assert [answer[:3] for answer in answers] == [[4, "1", "FormationViolation"]]

    @pytest.mark.parametrize("depth", [100, 300, 1000])
    def test_deep_payloads(self, bench: Bench, depth: int) -> None:
        payload = '{"a":' * depth + "1" + "}" * depth
        answers = raw(bench, f'[2,"1","ClearCache",{payload}]')
        assert [answer[:3] for answer in answers] == [[4, "1", "FormationViolation"]]
        assert alive(bench)

    def test_deep_answers_do_not_block_the_line(self, bench: Bench) -> None:
        bench.csms.answers["Heartbeat"] = lambda payload: None
        bench.advance(301)
        message_id = bench.csms.frames[-1][1][1]
        raw(bench, f'[3,"{message_id}",{{"currentTime":' + "[" * 900 + "]" * 900 + "}]")
        assert bench.cp.session.outstanding is None
        del bench.csms.answers["Heartbeat"]
        assert alive(bench)

    def test_an_id_may_come_again_once_it_was_answered(self, bench: Bench) -> None:
        for _ in range(3):
            assert raw(bench, '[2,"1","ClearCache",{}]') == [[3, "1", {"status": "Accepted"}]]

    def test_one_million_and_five_million_characters(self, bench: Bench) -> None:
        for length in (1_000_000, 5_000_000):
            text = "x" * length
            frame = ["2", {"vendorId": "Vendor", "data": text}]
            assert raw(bench, json.dumps([2, frame[0], "DataTransfer", frame[1]])) == [
                [3, "2", {"status": "UnknownVendorId"}]
            ]
            answers = raw(bench, json.dumps([2, "3", "ChangeConfiguration", {"key": text, "value": text}]))
            assert [answer[:3] for answer in answers] == [[4, "3", "PropertyConstraintViolation"]]
            assert len(answers[0][3]) <= 255
        assert alive(bench)

    def test_half_a_million_mistakes_take_no_longer_than_one(self, bench: Bench) -> None:
        answers = raw(bench, json.dumps([2, "1", "GetConfiguration", {"key": [{}] * 500_000}]))
        assert [answer[:3] for answer in answers] == [[4, "1", "TypeConstraintViolation"]]


BIG = 123456789012345678901234567890


class TestBigIntegers:
    """JSON knows no largest integer, neither do the schemas."""

    @pytest.mark.parametrize("sign", [1, -1])
    def test_are_integers(self, bench: Bench, sign: int) -> None:
        assert bench.call("RemoteStopTransaction", {"transactionId": sign * BIG}) == {"status": "Rejected"}
        assert bench.call("UnlockConnector", {"connectorId": sign * BIG}) == {"status": "NotSupported"}
        duration = {"connectorId": 1, "duration": sign * BIG}
        assert bench.call("GetCompositeSchedule", duration)["status"] == (
            "Accepted" if sign > 0 else "Rejected"
        )
        assert bench.call("ChangeAvailability", {"connectorId": sign * BIG, "type": "Operative"}) == {
            "status": "Rejected"
        }

    def test_are_integers_also_where_every_mistake_has_one_code(self) -> None:
        bench = Bench(compatibility={"schema_error_code": "formation_violation"})
        bench.connect()
        assert bench.call("RemoteStopTransaction", {"transactionId": BIG}) == {"status": "Rejected"}
        assert bench.call("RemoteStopTransaction", {"transactionId": 1.5}) == "FormationViolation"

    def test_may_be_the_number_of_a_transaction(self) -> None:
        bench = Bench(ocpp={"MeterValueSampleInterval": "60"})
        bench.csms.answers["StartTransaction"] = lambda payload: {
            "transactionId": BIG,
            "idTagInfo": {"status": "Accepted"},
        }
        bench.connect()
        bench.charge()
        bench.advance(60)
        assert bench.sent("MeterValues")[-1]["transactionId"] == BIG
        assert bench.call("RemoteStopTransaction", {"transactionId": BIG}) == {"status": "Accepted"}
        assert bench.sent("StopTransaction")[-1]["transactionId"] == BIG

    def test_are_not_made_of_fractions(self, bench: Bench) -> None:
        assert bench.call("RemoteStopTransaction", {"transactionId": 1e30}) == "TypeConstraintViolation"


def test_every_id_of_ours_is_new_and_at_most_36_characters_long() -> None:
    bench = Bench(ocpp={"MeterValueSampleInterval": "10"})
    for _ in range(3):
        for _ in range(3):
            bench.connect()
            bench.charge()
            bench.advance(60)
            bench.disconnect()
            bench.advance(60)
            bench.plug_out()
        bench.restart()
    ids = [frame[1] for way, frame in bench.csms.frames if way == "tx" and frame[0] == 2]
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 36


def test_both_sides_may_ask_at_the_same_time() -> None:
    bench = Bench()
    bench.connect()
    bench.csms.answers["Authorize"] = lambda payload: None
    bench.plug_in()
    bench.swipe("TAG")
    assert bench.cp.session.outstanding is not None
    assert bench.call("GetConfiguration", {"key": ["HeartbeatInterval"]})["configurationKey"]
    assert bench.call("ChangeConfiguration", {"key": "MessageTimeout", "value": "20"}) == {
        "status": "Accepted"
    }
    assert bench.sent("Authorize") == [{"idTag": "TAG"}]
    bench.advance(30)


def test_an_answer_goes_out_before_the_calls_it_causes() -> None:
    bench = Bench()
    bench.connect()
    before = len(bench.csms.frames)
    assert bench.call("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})["status"] == "Accepted"
    sent = [frame[0] for way, frame in bench.csms.frames[before:] if way == "tx"]
    assert sent == [3, 2, 2]
