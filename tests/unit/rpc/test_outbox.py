"""What goes out next (OCPP 1.6 §3.7; errata 3.18, 3.91)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.rpc.outbox import MOST_RECORDS
from chargepoint.rpc.records import RECORD
from chargepoint.store import MemoryStore
from tests.unit.rpc.rig import Rig


def online(*records: str) -> Rig:
    """A rig with a link; `records` were made before, so the first of them is in flight."""
    rig = Rig()
    rig.record(*records)
    rig.connect()
    return rig


def finish(rig: Rig) -> None:
    """Answer until nothing is in flight any more."""
    while rig.session.outstanding is not None:
        rig.answer({})
    assert rig.errors == []


class TestOrder:
    def test_records_keep_theirs_and_wait_for_each_other(self) -> None:
        rig = online("a", "b", "c")
        assert rig.calls() == ["a"]
        rig.answer({})
        rig.record("d")
        finish(rig)
        assert rig.calls() == ["a", "b", "c", "d"]
        assert rig.outbox.queued == 0
        assert list(rig.store.items(RECORD)) == []

    def test_urgent_messages_overtake_and_keep_their_own_order(self) -> None:
        rig = online("a", "b")
        rig.message("X")
        rig.message("Y")
        finish(rig)
        assert rig.calls() == ["a", "X", "Y", "b"]

    def test_one_may_go_before_all_others(self) -> None:
        rig = online("a")
        rig.message("X")
        rig.message("Boot", first=True)
        finish(rig)
        assert rig.calls() == ["a", "Boot", "X"]

    def test_a_message_follows_the_record_it_belongs_to(self) -> None:
        rig = online()
        with rig.turn:
            stop = rig.outbox.record("stop", "stop", {"n": "stop"})
            rig.outbox.send("Finishing", {}, lambda answer: None, lambda error: None, behind=stop)
        finish(rig)
        assert rig.calls() == ["stop", "Finishing"]

    def test_but_not_through_a_whole_queue(self) -> None:
        rig = online("a", "b", "c")
        rig.message("Finishing", behind=rig.outbox.last)
        finish(rig)
        assert rig.calls() == ["a", "Finishing", "b", "c"]

    def test_nor_does_it_wait_for_a_second_attempt(self) -> None:
        rig = online("a")
        rig.message("Finishing", behind=rig.outbox.last)
        rig.refuse()
        assert rig.calls() == ["a", "Finishing"]
        finish(rig)


class TestWithoutAcceptance:
    def test_only_what_may_go_unregistered_goes(self) -> None:
        rig = online()
        rig.accepted = False
        rig.record("a")
        rig.message("X")
        rig.message("Boot", unregistered=True)
        finish(rig)
        assert rig.calls() == ["Boot"]
        rig.accepted = True
        rig.message("Y")
        finish(rig)
        assert rig.calls() == ["Boot", "X", "Y", "a"]

    def test_what_waited_is_not_said_when_acceptance_is_withdrawn(self) -> None:
        rig = online("a")
        codes: list[str] = []
        rig.message("X", lambda error: codes.append(error.code))
        rig.message("Heartbeat", unregistered=True)
        rig.accepted = False
        with rig.turn:
            rig.outbox.hush()
        assert codes == ["NotSent"]
        finish(rig)
        assert rig.calls() == ["a", "Heartbeat"]

    def test_nothing_of_a_record_that_is_not_stored_is_sent(self) -> None:
        rig = online()
        rig.turn.stored = False
        with rig.turn:
            rig.outbox.record("start", "a", {"n": "a"})
            rig.outbox.pump()
            assert rig.calls() == []
        finish(rig)
        assert rig.calls() == ["a"]


class TestLostLink:
    def test_urgent_messages_fail_at_once_without_a_link(self) -> None:
        rig = Rig()
        codes: list[str] = []
        rig.message("X", lambda error: codes.append(error.code))
        rig.connect()
        assert codes == ["NotSent"]
        assert rig.sent == []

    def test_what_is_in_flight_may_have_been_heard_what_waits_was_not(self) -> None:
        rig = online()
        codes: dict[str, str] = {}
        rig.message("X", lambda error: codes.update(X=error.code))
        rig.message("Y", lambda error: codes.update(Y=error.code))
        rig.disconnect()
        rig.connect()
        assert codes == {"X": "LinkLost", "Y": "NotSent"}
        assert rig.calls() == ["X"]

    def test_what_is_asked_in_answer_to_the_loss_fails_too(self) -> None:
        rig = online("a")
        codes: list[str] = []

        def ask_again(error: Any) -> None:
            codes.append(error.code)
            if len(codes) < 3:
                rig.outbox.send("X", {}, lambda answer: None, ask_again)

        rig.message("X", ask_again)
        rig.disconnect()
        rig.connect()
        assert codes == ["NotSent"] * 3
        assert rig.calls() == ["a", "a"]
        finish(rig)

    def test_counts_no_attempt(self) -> None:
        rig = online("a")
        for _ in range(5):
            rig.disconnect()
            rig.connect()
        assert rig.calls() == ["a"] * 6
        assert rig.given_up == []
        assert len({frame[1] for frame in rig.sent}) == 6
        finish(rig)


class TestRetries:
    """Before attempt k+1 the interval passes k times."""

    def attempts_at(self, rig: Rig, until_s: float = 3600.0) -> list[float]:
        """When the record goes out if every attempt is refused, in seconds from the first."""
        begun, at, seen = rig.clock.now(), [0.0], len(rig.sent)
        while rig.session.outstanding is not None:
            rig.refuse()
            while len(rig.sent) == seen and rig.clock.now() < begun + until_s:
                rig.clock.advance(1)
            if len(rig.sent) > seen:
                at.append(rig.clock.now() - begun)
                seen = len(rig.sent)
        return at

    @pytest.mark.parametrize(
        ("attempts", "interval_s", "expected"),
        [
            (3, 60.0, [0.0, 60.0, 180.0]),
            (4, 10.0, [0.0, 10.0, 30.0, 60.0]),
            (2, 0.0, [0.0, 0.0]),
            (1, 60.0, [0.0]),
            (0, 60.0, [0.0]),
        ],
        ids=["3 x 60", "4 x 10", "at once", "one", "none means one"],
    )
    def test_arithmetic(self, attempts: int, interval_s: float, expected: list[float]) -> None:
        rig = online()
        rig.attempts, rig.retry_interval_s = attempts, interval_s
        rig.record("a")
        assert self.attempts_at(rig) == expected
        assert rig.given_up == ["a"]
        assert list(rig.store.items(RECORD)) == []
        assert rig.clock.next_at() is None

    def test_a_timeout_on_a_living_link_counts(self) -> None:
        rig = online("a")
        rig.attempts = 2
        rig.clock.advance(30)
        assert rig.calls() == ["a"]
        rig.clock.advance(59.9)
        assert rig.calls() == ["a"]
        rig.clock.advance(0.1)
        assert rig.calls() == ["a", "a"]
        rig.clock.advance(30)
        assert rig.given_up == ["a"]

    def test_an_answer_that_cannot_be_read_counts(self) -> None:
        rig = online("a")
        rig.attempts = 1
        rig.answer("no object")
        assert rig.given_up == ["a"]

    def test_each_attempt_has_an_id_of_its_own(self) -> None:
        rig = online("a")
        self.attempts_at(rig)
        assert len({frame[1] for frame in rig.sent}) == 3

    def test_the_wait_holds_up_no_urgent_message(self) -> None:
        rig = online("a", "b")
        rig.refuse()
        rig.message("X")
        finish(rig)
        assert rig.calls() == ["a", "X"]
        rig.clock.advance(60)
        finish(rig)
        assert rig.calls() == ["a", "X", "a", "b"]

    def test_the_next_record_goes_at_once_when_one_is_given_up(self) -> None:
        rig = online("a", "b")
        rig.attempts = 1
        rig.refuse()
        assert rig.calls() == ["a", "b"]
        finish(rig)

    def test_the_wait_goes_on_without_a_link(self) -> None:
        rig = online("a")
        rig.refuse()
        rig.disconnect()
        rig.clock.advance(50)
        rig.connect()
        assert rig.calls() == ["a"]
        rig.clock.advance(10)
        assert rig.calls() == ["a", "a"]
        rig.refuse()
        rig.disconnect()
        rig.clock.advance(500)
        rig.connect()
        assert rig.calls() == ["a", "a", "a"]
        finish(rig)

    def change(self, rig: Rig, attempts: int = 3, interval_s: float = 60.0) -> None:
        rig.attempts, rig.retry_interval_s = attempts, interval_s
        with rig.turn:
            rig.outbox.retry_rule_changed()

    def test_a_shorter_interval_shortens_the_present_wait(self) -> None:
        rig = online("a")
        rig.refuse()
        rig.clock.advance(5)
        self.change(rig, interval_s=10.0)
        rig.clock.advance(4)
        assert rig.calls() == ["a"]
        rig.clock.advance(1)
        assert rig.calls() == ["a", "a"]
        finish(rig)

    def test_a_longer_interval_lengthens_it(self) -> None:
        rig = online("a")
        rig.refuse()
        self.change(rig, interval_s=100.0)
        rig.clock.advance(99)
        assert rig.calls() == ["a"]
        rig.clock.advance(1)
        assert rig.calls() == ["a", "a"]
        finish(rig)

    def test_fewer_attempts_end_the_wait(self) -> None:
        rig = online("a", "b")
        rig.refuse()
        self.change(rig, attempts=1)
        assert rig.given_up == ["a"]
        assert rig.calls() == ["a", "b"]
        self.change(rig, attempts=0)
        assert rig.given_up == ["a"]
        finish(rig)

    def test_more_attempts_go_on(self) -> None:
        rig = online("a")
        rig.attempts = 2
        rig.refuse()
        self.change(rig, attempts=3)
        rig.clock.advance(60)
        rig.refuse()
        assert rig.given_up == []
        rig.clock.advance(120)
        rig.refuse()
        assert rig.given_up == ["a"]


class TestLateAnswers:
    def first_id(self, rig: Rig) -> str:
        return str(rig.sent[0][1])

    def test_while_the_record_waits_for_its_next_attempt(self) -> None:
        rig = online("a", "b")
        rig.clock.advance(31)
        rig.receive([3, self.first_id(rig), {"n": 1}])
        assert rig.answered == [("a", {"n": 1})]
        assert rig.calls() == ["a", "b"]
        finish(rig)
        rig.clock.advance(600)
        assert rig.calls() == ["a", "b"]

    def test_its_wait_is_not_that_of_the_next_one(self) -> None:
        rig = online("a", "b")
        rig.retry_interval_s = 600.0
        rig.clock.advance(31)
        rig.receive([3, self.first_id(rig), {}])
        rig.retry_interval_s = 10.0
        rig.refuse()
        rig.clock.advance(10)
        assert rig.calls() == ["a", "b", "b"]
        finish(rig)

    def test_only_the_last_ones_are_remembered(self) -> None:
        rig = online("a")
        for _ in range(100):
            rig.disconnect()
            rig.connect()
        ids = [record.ids for record in rig.outbox.records()]
        assert ids == [[frame[1] for frame in rig.sent[-10:]]]
        finish(rig)

    def test_while_the_next_attempt_is_in_flight(self) -> None:
        rig = online("a", "b")
        rig.clock.advance(91)
        assert rig.calls() == ["a", "a"]
        rig.receive([3, self.first_id(rig), {"n": 1}])
        assert rig.answered == [("a", {"n": 1})]
        assert rig.calls() == ["a", "a"]
        rig.answer({"n": 2})
        assert rig.answered == [("a", {"n": 1})]
        assert rig.calls() == ["a", "a", "b"]
        finish(rig)

    @pytest.mark.parametrize("outcome", ["refused", "silence", "link lost"])
    def test_the_attempt_in_flight_then_does_not_matter(self, outcome: str) -> None:
        rig = online("a", "b")
        rig.clock.advance(91)
        rig.receive([3, self.first_id(rig), {"n": 1}])
        if outcome == "refused":
            rig.refuse()
        elif outcome == "silence":
            rig.clock.advance(30)
        else:
            rig.disconnect()
            rig.connect()
        assert rig.calls() == ["a", "a", "b"]
        finish(rig)
        assert [key for key, _ in rig.answered] == ["a", "b"]

    def test_after_a_reconnection(self) -> None:
        rig = online("a")
        rig.clock.advance(31)
        rig.disconnect()
        rig.connect()
        rig.receive([3, self.first_id(rig), {}])
        assert rig.answered == [("a", {})]
        rig.clock.advance(600)
        assert rig.calls() == ["a"]

    def test_after_a_restart(self) -> None:
        rig = online("a")
        rig.clock.advance(31)
        again = Rig(rig.store)
        again.accepted = False
        again.connect()
        again.receive([3, self.first_id(rig), {}])
        assert again.answered == [("a", {})]

    def test_after_it_was_given_up(self) -> None:
        rig = online("a", "b")
        rig.attempts = 1
        rig.clock.advance(30)
        assert rig.given_up == ["a"]
        rig.receive([3, self.first_id(rig), {"n": 1}])
        rig.receive([3, self.first_id(rig), {"n": 2}])
        assert rig.answered == [("a", {"n": 1})]
        finish(rig)
        assert [key for key, _ in rig.answered] == ["a", "b"]

    def test_of_a_record_that_was_delivered_mean_nothing(self) -> None:
        rig = online("a")
        rig.answer({})
        rig.receive([3, self.first_id(rig), {}])
        assert len(rig.answered) == 1
        assert rig.late == [self.first_id(rig)]


class TestOverflow:
    """Errata 3.91: readings are thinned, oldest transaction first; starts and stops never."""

    def fill(self, rig: Rig, name: str, readings: int) -> None:
        with rig.turn:
            rig.outbox.record("start", name, {"n": f"{name} starts"})
            for n in range(readings):
                rig.outbox.record("meter", name, {"n": f"{name} {n}"})
            rig.outbox.record("stop", name, {"n": f"{name} stops"})

    def kept(self, rig: Rig) -> list[str]:
        return [record.facts["n"] for record in rig.outbox.records()]

    def test_the_oldest_transaction_loses_every_second_reading(self) -> None:
        rig = Rig(most=100)
        self.fill(rig, "old", 40)
        self.fill(rig, "new", 58)
        assert [n for n in self.kept(rig) if n.startswith("old")] == [
            "old starts",
            *(f"old {n}" for n in range(0, 40, 2)),
            "old stops",
        ]
        assert len([n for n in self.kept(rig) if n.startswith("new")]) == 60
        assert len(rig.complaints) == 1
        assert [document["facts"]["n"] for _, document in rig.store.items(RECORD)] == self.kept(rig)

    def test_starts_and_stops_stay_and_the_order_too(self) -> None:
        rig = Rig(most=100)
        for n in range(60):
            self.fill(rig, f"t{n:02d}", 30)
        kept = self.kept(rig)
        assert [n for n in kept if "st" in n] == [
            f"t{n:02d} {word}" for n in range(60) for word in ("starts", "stops")
        ]
        assert kept.index("t59 starts") < kept.index("t59 29" if "t59 29" in kept else "t59 28")
        assert len(kept) < 600
        assert all(any(n.startswith(f"t{t:02d} ") and "st" not in n for n in kept) for t in range(60))

    def test_a_queue_of_nothing_but_starts_and_stops_grows(self) -> None:
        rig = Rig(most=100)
        for n in range(200):
            self.fill(rig, f"t{n}", 0)
        assert rig.outbox.queued == 400
        assert len(rig.complaints) < 40

    def test_the_one_in_flight_stays(self) -> None:
        rig = Rig(most=100)
        rig.accepted = False
        self.fill(rig, "a", 98)
        rig.accepted = True
        rig.connect()
        rig.answer({})
        rig.answer({})
        in_flight = rig.calls()[-1]
        rig.record(*(f"b{n}" for n in range(10)))
        assert in_flight == "a 1"
        assert self.kept(rig)[0] == in_flight
        finish(rig)
        assert rig.outbox.queued == 0


@pytest.mark.search
def test_a_large_queue_is_thinned_in_no_time() -> None:
    """It may not take the quadratic way: 50,000 records would stop the station for minutes."""
    rig = Rig()
    with rig.turn:
        for n in range(MOST_RECORDS + 1):
            rig.outbox.record("meter", "t", {"n": n})
    assert rig.outbox.queued < MOST_RECORDS * 0.6


def test_records_survive_a_restart_in_order_with_their_attempts() -> None:
    rig = online("a", "b")
    rig.attempts = 2
    rig.refuse()
    rig.store.rollback()
    again = Rig(rig.store)
    again.attempts = 2
    again.connect()
    assert again.calls() == ["a"]
    again.refuse()
    assert again.given_up == ["a"]
    assert again.calls() == ["a", "b"]
    again.record("c")
    finish(again)
    assert again.calls() == ["a", "b", "c"]


def test_the_numbers_of_records_go_on_after_a_restart() -> None:
    store = MemoryStore()
    Rig(store).record("a", "b")
    again = Rig(store)
    again.record("c")
    assert [record.seq for record in again.outbox.records()] == [1, 2, 3]


def test_facts_can_be_put_right_but_only_those_of_this_start() -> None:
    rig = Rig()
    rig.record("a")
    again = Rig(rig.store)
    again.record("b")
    with again.turn:
        again.outbox.revise(lambda record: {"n": record.facts["n"] + "!"})
    assert [document["facts"] for _, document in again.store.items(RECORD)] == [{"n": "a"}, {"n": "b!"}]
    assert [record.facts for record in again.outbox.records()] == [{"n": "a"}, {"n": "b!"}]


def test_a_message_of_ours_that_breaks_its_schema_is_not_sent_and_does_not_block() -> None:
    rig = online()
    codes: list[str] = []
    with rig.turn:
        rig.outbox.send("X", {"invalid": True}, codes.append, lambda error: codes.append(error.code))
    assert codes == ["InvalidRequest"]
    assert rig.sent == []
    assert rig.complaints
    rig.message("Y")
    finish(rig)
    assert rig.calls() == ["Y"]


def test_nothing_comes_back_after_closing() -> None:
    rig = online("a")
    outcomes: list[Any] = []
    rig.message("X", outcomes.append, outcomes.append)
    rig.refuse()
    rig.outbox.close()
    rig.session.close()
    rig.clock.advance(3600)
    assert outcomes == []
    assert rig.clock.next_at() is None
