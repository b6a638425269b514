"""One side of the conversation (OCPP-J 1.6 §4): one CALL out, every CALL answered."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp import exceptions

from chargepoint.rpc.session import CallFailed, Later
from tests.unit.rpc.rig import Rig


def online() -> Rig:
    """A rig with a link."""
    rig = Rig()
    rig.connect()
    return rig


class TestTheirCalls:
    def test_are_answered_while_a_call_of_ours_is_open(self) -> None:
        rig = online()
        rig.message("Heartbeat")
        rig.receive([2, "a", "Reset", {}])
        assert rig.sent == [[2, "id-1", "Heartbeat", {}], [3, "a", {}]]
        rig.answer({})
        assert not rig.clock.held

    def test_are_answered_before_the_calls_they_cause(self) -> None:
        rig = online()

        def handle(action: str, payload: Any) -> Any:
            rig.outbox.send("Heartbeat", {}, lambda answer: None, lambda error: None)
            return {"status": "Accepted"}

        rig.handle = handle
        rig.receive([2, "a", "TriggerMessage", {}])
        assert rig.sent == [[3, "a", {"status": "Accepted"}], [2, "id-1", "Heartbeat", {}]]

    def test_get_no_answer_at_all_while_nobody_listens(self) -> None:
        rig = online()
        rig.listening = False
        for frame in ([2, "a", "Reset", {}], [2, "a", 5, {}], [2, "x" * 37, "Reset", {}], b"rubbish"):
            rig.receive(frame)
        assert rig.sent == []

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (exceptions.NotSupportedError("no"), "NotSupported"),
            (exceptions.PropertyConstraintViolationError("no"), "PropertyConstraintViolation"),
            (exceptions.SecurityError("no"), "SecurityError"),
        ],
    )
    def test_that_are_refused(self, error: Exception, code: str) -> None:
        rig = online()

        def handle(action: str, payload: Any) -> Any:
            raise error

        rig.handle = handle
        rig.receive([2, "a", "Reset", {}])
        assert rig.sent == [[4, "a", code, "no", {}]]
        assert rig.errors == []

    @pytest.mark.parametrize("result", [KeyError("x"), object()], ids=["in the handler", "in its result"])
    def test_a_mistake_of_ours_is_an_internal_error_and_is_reported(self, result: Any) -> None:
        rig = online()

        def handle(action: str, payload: Any) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        rig.handle = handle
        rig.receive([2, "a", "Reset", {}])
        assert [frame[:3] for frame in rig.sent] == [[4, "a", "InternalError"]]
        assert len(rig.errors) == 1
        rig.handle = lambda action, payload: {}
        rig.receive([2, "b", "Reset", {}])
        assert rig.sent[-1] == [3, "b", {}]

    def test_an_id_still_being_handled_is_refused_and_the_first_answered(self) -> None:
        rig = online()
        later = Later()
        rig.handle = lambda action, payload: later
        rig.receive([2, "a", "UnlockConnector", {}])
        rig.handle = lambda action, payload: {"n": 2}
        rig.receive([2, "a", "Reset", {}])
        rig.receive([2, "b", "Reset", {}])
        with rig.turn:
            later.answer({"status": "Unlocked"})
        rig.receive([2, "a", "Reset", {}])
        assert [frame[:3] for frame in rig.sent] == [
            [4, "a", "GenericError"],
            [3, "b", {"n": 2}],
            [3, "a", {"status": "Unlocked"}],
            [3, "a", {"n": 2}],
        ]

    @pytest.mark.parametrize("comes_back", [False, True])
    def test_an_answer_owed_on_a_lost_link_is_owed_no_more(self, comes_back: bool) -> None:
        rig = online()
        later = Later()
        rig.handle = lambda action, payload: later
        rig.receive([2, "a", "UnlockConnector", {}])
        rig.disconnect()
        if comes_back:
            rig.connect()
        with rig.turn:
            later.answer({"status": "Unlocked"})
        assert rig.sent == []

    def test_rubbish_is_answered_to_nobody_in_particular_or_ignored(self) -> None:
        rig = online()
        rig.receive(b"\xff")
        assert rig.sent == [[4, "-1", "GenericError", "the frame is not UTF-8", {}]]
        rig.answers_rubbish = False
        rig.receive(b"\xff")
        assert len(rig.sent) == 1
        rig.receive([2, "a", "Reset"])
        assert rig.sent[-1][:3] == [4, "a", "FormationViolation"]
        assert len(rig.unreadable_ones) == 3

    def test_misshapen_answers_are_noted_and_not_answered(self) -> None:
        rig = online()
        rig.receive([3, 7, {}])
        rig.receive([4])
        assert rig.sent == []
        assert len(rig.unreadable_ones) == 2

    def test_unknown_message_types_are_ignored_silently(self) -> None:
        rig = online()
        rig.receive([6, "a", "Reset", {}])
        assert (rig.sent, rig.unreadable_ones, rig.late) == ([], [], [])


class TestOurCalls:
    def test_one_at_a_time(self) -> None:
        rig = online()
        with rig.turn:
            for action in ("A", "B", "C"):
                rig.outbox.send(action, {}, lambda answer: None, lambda error: None)
        assert rig.calls() == ["A"]
        rig.answer({})
        assert rig.calls() == ["A", "B"]
        rig.refuse()
        assert rig.calls() == ["A", "B", "C"]
        rig.answer({})
        assert not rig.clock.held

    def test_each_gets_exactly_one_outcome(self) -> None:
        rig = online()
        replies: list[Any] = []
        codes: list[str] = []

        def ask() -> str:
            rig.message("A", lambda error: codes.append(error.code), replies.append)
            assert rig.session.outstanding is not None
            return rig.session.outstanding.message_id

        first = ask()
        rig.answer({"n": 1})
        rig.receive([3, first, {"n": 2}])
        ask()
        rig.refuse("NotSupported")
        ask()
        rig.answer("no object")
        timed_out = ask()
        rig.clock.advance(30)
        rig.receive([3, timed_out, {}])
        rig.receive([4, timed_out, "GenericError", "", {}])
        ask()
        rig.disconnect()
        assert replies == [{"n": 1}]
        assert codes == ["NotSupported", "InvalidAnswer", "Timeout", "LinkLost"]
        assert rig.late == [first, timed_out]
        assert not rig.clock.held

    def test_an_answer_with_another_id_is_not_the_answer(self) -> None:
        rig = online()
        rig.message("A")
        rig.receive([3, "ID-1", {}])
        rig.receive([3, "", {}])
        rig.receive([4, "-1", "GenericError", "", {}])
        assert rig.session.outstanding is not None
        assert rig.clock.held
        rig.answer({})

    def test_the_timeout_of_an_answered_call_harms_no_other(self) -> None:
        rig = online()
        rig.message("A")
        rig.answer({})
        rig.clock.advance(15)
        rig.message("B")
        rig.clock.advance(29)
        assert rig.session.outstanding is not None
        rig.answer({})
        rig.clock.advance(30)
        assert rig.clock.next_at() is None

    def test_each_call_has_its_own_timeout_to_the_moment(self) -> None:
        rig = online()
        rig.message("A")
        rig.answer({})
        rig.clock.advance(15)
        rig.message("B")
        rig.clock.advance(29.9)
        assert rig.session.outstanding is not None
        rig.clock.advance(0.1)
        assert rig.session.outstanding is None

    def test_a_closed_session_has_no_timer(self) -> None:
        rig = online()
        rig.message("A")
        rig.answer({})
        rig.session.close()
        assert rig.clock.next_at() is None

    def test_a_mistake_of_ours_in_handling_an_answer_does_not_block_the_line(self) -> None:
        rig = online()

        def broken(answer: Any) -> None:
            raise KeyError("x")

        rig.message("A", replied=broken)
        rig.message("B")
        rig.answer({})
        assert rig.calls() == ["A", "B"]
        assert len(rig.errors) == 1
        rig.answer({})

    def test_nothing_arrives_after_closing(self) -> None:
        rig = online()
        outcomes: list[Any] = []
        rig.message("A", outcomes.append, outcomes.append)
        rig.session.close()
        rig.receive([3, "id-1", {}])
        rig.receive([2, "a", "Reset", {}])
        rig.clock.advance(3600)
        assert outcomes == []
        assert rig.calls() == ["A"]
        assert not rig.clock.held
        assert rig.clock.next_at() is None


def test_a_callerror_cannot_pass_for_a_failure_of_ours() -> None:
    rig = online()
    failures: list[CallFailed] = []
    rig.message("A", failures.append)
    rig.refuse("LinkLost")
    assert failures[0].code == "GenericError"
    assert failures[0].delivered
