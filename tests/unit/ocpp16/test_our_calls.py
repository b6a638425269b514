"""Our CALLs that bring no result: nothing blocks, nothing is lost or repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.ocpp16.bench import Bench

ACTIONS = (
    "BootNotification",
    "StatusNotification",
    "Heartbeat",
    "Authorize",
    "StartTransaction",
    "MeterValues",
    "StopTransaction",
    "DataTransfer",
)

OUTCOMES: dict[str, Any] = {
    "CALLERROR": "InternalError",
    "CALLERROR of no known code": "LinkLost",
    "silence": None,
    "no object": [],
    "text": "",
    "a number": 0,
    "a field more": {"nonsense": 1},
    "fields of the wrong type": {
        "status": 5,
        "currentTime": 1,
        "interval": "x",
        "transactionId": 1.5,
        "idTagInfo": [],
    },
    "idTagInfo without a status": {"idTagInfo": {}, "transactionId": 1},
    "deep nesting": {"idTagInfo": {"status": json.loads("[" * 400 + "]" * 400)}},
}


def day(bench: Bench) -> None:
    """Everything that makes the station talk: boot, a session, an hour, a person's message."""
    bench.connect()
    bench.advance(61)
    bench.charge()
    with bench.cp.turn:
        bench.cp.outbox.send(
            "DataTransfer",
            {"vendorId": "V"},
            lambda answer: None,
            lambda error: bench.events.append({"event": "x"}),
        )
    bench.advance(3600)
    bench.swipe("TAG")
    bench.plug_out()
    bench.advance(3600)


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
@pytest.mark.parametrize("action", ACTIONS)
def test_one_message_without_a_result_blocks_nothing(action: str, outcome: Any) -> None:
    """The central system refuses or garbles every message of one kind: all others still go their way."""
    bench = Bench(
        ocpp={"MeterValueSampleInterval": "600", "StopTxnSampledData": "Energy.Active.Import.Register"}
    )
    if action == "BootNotification":  # or there would be no day at all
        answers = iter([outcome])
        usual = bench.csms.usual(action)
        bench.csms.answers[action] = lambda payload: next(answers, usual(payload))
    else:
        bench.csms.answers[action] = lambda payload: outcome
    day(bench)
    bench.advance(100)
    assert bench.errors == []
    assert bench.cp.outbox.queued == 0
    assert bench.cp.outbox.idle
    assert {a for a in ACTIONS if bench.sent(a)} >= {"BootNotification", "StatusNotification", "Heartbeat"}
    if action != "Authorize":
        assert {"StartTransaction", "StopTransaction", "MeterValues"} <= set(bench.actions())
        assert bench.sent("StopTransaction")[0]["reason"] == "Local"
    assert bench.call("ClearCache", {}) == {"status": "Accepted"}


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_a_central_system_that_understands_nothing_but_boot(outcome: Any) -> None:
    bench = Bench(ocpp={"MeterValueSampleInterval": "600", "HeartbeatInterval": "10", "MessageTimeout": "30"})
    for action in ACTIONS[1:]:
        bench.csms.answers[action] = lambda payload: outcome
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Accepted",
        "currentTime": "2026-01-01T00:00:00Z",
        "interval": 10,
    }
    day(bench)
    assert bench.call("ClearCache", {}) == {"status": "Accepted"}
    bench.csms.answers.clear()
    bench.advance(60)
    asked = len(bench.sent("Heartbeat"))
    bench.advance(300)
    assert len(bench.sent("Heartbeat")) - asked == 30  # none were saved up


class TestAuthorize:
    """Without an answer it is decided as if offline; an unreadable one refuses."""

    def bench(self, outcome: Any, **ocpp: str) -> Bench:
        bench = Bench(ocpp=ocpp)
        bench.connect()
        bench.plug_in()
        bench.csms.answers["Authorize"] = lambda payload: outcome
        return bench

    @pytest.mark.parametrize("outcome", ["InternalError", None], ids=["CALLERROR", "silence"])
    @pytest.mark.parametrize(("allowed", "starts"), [("true", 1), ("false", 0)])
    def test_an_unknown_card(self, outcome: Any, allowed: str, starts: int) -> None:
        bench = self.bench(outcome, AllowOfflineTxForUnknownId=allowed)
        bench.swipe("TAG")
        bench.advance(31)
        assert len(bench.sent("StartTransaction")) == starts

    @pytest.mark.parametrize("outcome", ["InternalError", None], ids=["CALLERROR", "silence"])
    def test_a_card_that_is_known(self, outcome: Any) -> None:
        bench = Bench()
        bench.connect()
        bench.charge("TAG")
        bench.swipe("TAG")
        bench.plug_out()
        bench.plug_in()
        bench.csms.answers["Authorize"] = lambda payload: outcome
        bench.swipe("TAG")
        bench.advance(31)
        assert len(bench.sent("Authorize")) == 2
        assert len(bench.sent("StartTransaction")) == 2

    @pytest.mark.parametrize(
        "answer",
        [{}, {"idTagInfo": {}}, {"idTagInfo": {"status": "Maybe"}}, {"idTagInfo": None}, [], "Accepted"],
        ids=str,
    )
    def test_an_answer_that_cannot_be_read(self, answer: Any) -> None:
        bench = self.bench(answer, AllowOfflineTxForUnknownId="true")
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.swipe("TAG")
        message_id = bench.csms.frames[-1][1][1]
        bench.csms.say([3, message_id, answer])
        bench.advance(0)
        assert bench.sent("StartTransaction") == []
        assert bench.statuses() == ["Available", "Preparing"]
        del bench.csms.answers["Authorize"]
        bench.swipe("TAG")
        assert len(bench.sent("StartTransaction")) == 1

    @pytest.mark.parametrize("in_flight", [True, False], ids=["in flight", "behind another message"])
    @pytest.mark.parametrize(("allowed", "starts"), [("true", 1), ("false", 0)])
    def test_that_loses_its_link(self, in_flight: bool, allowed: str, starts: int) -> None:
        bench = Bench(ocpp={"AllowOfflineTxForUnknownId": allowed})
        bench.connect()
        bench.plug_in()
        bench.csms.answers["Authorize"] = lambda payload: None
        if not in_flight:
            bench.csms.answers["Heartbeat"] = lambda payload: None
            bench.advance(300)
        bench.swipe("TAG")
        assert len(bench.sent("Authorize")) == in_flight
        bench.disconnect()
        assert (bench.cp.connectors[1].transaction is not None) == bool(starts)
        bench.advance(60)
        bench.connect()
        assert len(bench.sent("StartTransaction")) == starts
        assert len(bench.sent("Authorize")) == in_flight

    def test_cards_that_wait_for_their_turn_are_decided_too(self) -> None:
        bench = Bench(connectors=3, ocpp={"AllowOfflineTxForUnknownId": "true"})
        bench.connect()
        bench.csms.answers["Authorize"] = lambda payload: None
        for n in (1, 2, 3):
            bench.plug_in(n)
            bench.swipe(f"TAG{n}", n)
        assert bench.sent("Authorize") == [{"idTag": "TAG1"}]
        bench.disconnect()
        assert [c.transaction.id_tag for c in bench.cp.connectors.all if c.transaction] == [
            "TAG1",
            "TAG2",
            "TAG3",
        ]
        bench.connect()
        assert [start["idTag"] for start in bench.sent("StartTransaction")] == ["TAG1", "TAG2", "TAG3"]
        assert len(bench.sent("Authorize")) == 1


class TestStatusNotification:
    def test_is_not_repeated_by_count(self) -> None:
        bench = Bench()
        bench.connect()
        bench.csms.answers["StatusNotification"] = lambda payload: "InternalError"
        bench.plug_in()
        bench.advance(299)
        assert bench.statuses() == ["Available", "Preparing"]

    @pytest.mark.parametrize("outcome", ["InternalError", None], ids=["CALLERROR", "silence"])
    def test_the_current_one_goes_again_when_the_central_system_answers(self, outcome: Any) -> None:
        bench = Bench(ocpp={"ConnectionTimeOut": "0"})
        bench.connect()
        bench.csms.answers["StatusNotification"] = lambda payload: outcome
        bench.plug_in()
        bench.advance(100)
        del bench.csms.answers["StatusNotification"]
        bench.advance(201)
        assert bench.statuses() == ["Available", "Preparing", "Preparing"]
        bench.advance(3600)
        assert bench.statuses() == ["Available", "Preparing", "Preparing"]

    def test_or_with_the_next_connection(self) -> None:
        bench = Bench(ocpp={"ConnectionTimeOut": "0"})
        bench.connect()
        bench.csms.answers["StatusNotification"] = lambda payload: None
        bench.plug_in()
        bench.disconnect()
        del bench.csms.answers["StatusNotification"]
        bench.connect()
        assert bench.statuses() == ["Available", "Preparing", "Preparing"]
        bench.disconnect()
        bench.connect()
        assert bench.statuses() == ["Available", "Preparing", "Preparing"]


class TestMessageTimeout:
    """Errata 3.83; the socket stays open, and the line is free again."""

    @pytest.mark.parametrize("timeout_s", [1, 30, 120])
    def test_frees_the_line(self, timeout_s: int) -> None:
        bench = Bench(ocpp={"MessageTimeout": str(timeout_s), "HeartbeatInterval": "0"})
        bench.csms.answers["BootNotification"] = lambda payload: {
            "status": "Accepted",
            "currentTime": "2026-01-01T00:00:00Z",
            "interval": 0,
        }
        bench.connect()
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.plug_in()
        bench.swipe("ONE")
        bench.swipe("TWO")
        bench.advance(timeout_s - 0.01)
        assert bench.sent("Authorize") == [{"idTag": "ONE"}]
        bench.advance(0.01)
        assert bench.sent("Authorize") == [{"idTag": "ONE"}, {"idTag": "TWO"}]
        bench.advance(timeout_s)
        assert bench.cp.session.online
        assert bench.clock.lost_s == 2 * timeout_s

    def test_a_new_value_counts_from_the_next_call(self) -> None:
        bench = Bench()
        bench.connect()
        assert bench.call("ChangeConfiguration", {"key": "MessageTimeout", "value": "5"}) == {
            "status": "Accepted"
        }
        bench.csms.answers["Authorize"] = lambda payload: None
        bench.swipe("TAG")
        bench.advance(5)
        assert bench.cp.session.outstanding is None
