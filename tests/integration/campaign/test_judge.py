"""The judge of campaigns, on conversations written by hand: each mistake is named, no good one is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.campaign.judge import Heard, Judge, Payload, Promise, Session, Verdict, judge
from tests.integration.campaign.proxy import Seen
from tests.integration.campaign.rude import overlapping
from tests.integration.campaign.witness import disagreements

INTERVAL_S = 10


class Conversation:
    """Frames in the order in which they came."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.life = self.link = 1
        self._ids = 0

    def call(self, action: str, payload: Payload, answer: Payload | None = None) -> None:
        """A CALL of the station, answered or not."""
        self._ids += 1
        message_id = f"id-{self._ids}"
        self.heard.append(Heard(self.life, self.link, False, [2, message_id, action, payload]))
        if answer is not None:
            self.answer(message_id, answer)

    def answer(self, message_id: str, answer: Payload) -> None:
        """A result, in time or late."""
        self.heard.append(Heard(self.life, self.link, True, [3, message_id, answer]))

    def refuse(self) -> None:
        """A CALLERROR to the newest CALL."""
        self.heard.append(Heard(self.life, self.link, True, [4, f"id-{self._ids}", "InternalError", "", {}]))

    def boot(self, status: str = "Accepted") -> None:
        """Registration."""
        self.call("BootNotification", {}, {"status": status})

    def status(self, *statuses: str) -> None:
        """Connector 1 reports."""
        for status in statuses:
            self.call("StatusNotification", {"connectorId": 1, "status": status}, {})

    def start(
        self, id_tag: str = "TAG", at_s: int = 0, meter: int = 0, number: int | None = 7, connector: int = 1
    ) -> None:
        """StartTransaction; without a number it is not answered."""
        payload = {"connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": at(at_s)}
        self.call("StartTransaction", payload, None if number is None else {"transactionId": number})

    def value(self, at_s: int, energy_wh: int, number: int = 7, connector: int = 1) -> None:
        """MeterValues with one sample."""
        sampled = {"timestamp": at(at_s), "sampledValue": [{"value": str(energy_wh)}]}
        payload = {"connectorId": connector, "transactionId": number, "meterValue": [sampled]}
        self.call("MeterValues", payload, {})

    def stop(self, at_s: int = 25, meter: int = 30, number: int = 7, answered: bool = True) -> None:
        """StopTransaction."""
        payload = {"transactionId": number, "meterStop": meter, "timestamp": at(at_s), "reason": "Local"}
        self.call("StopTransaction", payload, {} if answered else None)

    def cut(self) -> None:
        """The power goes and comes back."""
        self.life += 1
        self.link += 1
        self.boot()

    def verdict(self, *promises: Promise) -> Verdict:
        """What the judge says."""
        return judge(self.heard, promises, INTERVAL_S)


def at(seconds: int) -> str:
    """A moment on the wire."""
    return f"2026-01-01T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000Z"


def good() -> Conversation:
    """One session, whole."""
    talk = Conversation()
    talk.boot()
    talk.status("Available", "Preparing")
    talk.start()
    talk.status("Charging")
    talk.value(10, 10)
    talk.value(20, 20)
    talk.stop()
    talk.status("Finishing", "Available")
    return talk


PROMISE = Promise("TAG", 0, at(0), at(25), "Local", 30)


def test_a_good_session() -> None:
    assert good().verdict(PROMISE, Promise("TAG", 0, at(0))) == Verdict([], 0)


def test_records_sent_again_after_a_cut_are_counted_and_fine() -> None:
    talk = Conversation()
    talk.boot()
    talk.start(number=None)
    talk.cut()
    talk.start()
    talk.value(10, 10)
    talk.stop(15, answered=False)
    talk.cut()
    talk.stop(15)
    assert talk.verdict() == Verdict([], 2)


def test_a_sample_of_the_moment_of_the_stop_may_be_missing() -> None:
    talk = Conversation()
    talk.boot()
    talk.start()
    talk.value(10, 10)
    talk.stop(20)
    assert talk.verdict() == Verdict([], 0)


def test_statuses_may_be_passed_over_between_connections() -> None:
    talk = Conversation()
    talk.boot()
    talk.status("Available", "Preparing")
    talk.link += 1
    talk.status("Finishing", "Available")
    assert talk.verdict() == Verdict([], 0)


def _lost_stop(talk: Conversation) -> None:
    talk.start()
    talk.value(10, 10)


def _two_starts(talk: Conversation) -> None:
    talk.start(number=None)
    talk.start(at_s=1)
    talk.stop()


def _start_after_stop(talk: Conversation) -> None:
    talk.start()
    talk.stop(5)
    talk.start()


def _two_stops(talk: Conversation) -> None:
    talk.start()
    talk.stop(5)
    talk.stop(6)


def _repeated_too_late(talk: Conversation) -> None:
    talk.start()
    talk.value(10, 10)
    talk.value(20, 20)
    talk.value(10, 10)
    talk.stop()


def _out_of_order(talk: Conversation) -> None:
    talk.start()
    talk.stop(15)
    talk.value(10, 10)


def _starts_out_of_order(talk: Conversation) -> None:
    talk.start("LATER", at_s=50)
    talk.stop(55)
    talk.start("EARLIER", at_s=5, number=8)
    talk.stop(6, number=8)


def _unknown_number(talk: Conversation) -> None:
    talk.start()
    talk.stop(5, number=-1)


def _two_numbers(talk: Conversation) -> None:
    talk.start(number=7)
    talk.start(number=8)
    talk.stop(5, number=8)


def _sample_missing(talk: Conversation) -> None:
    talk.start()
    talk.value(20, 20)
    talk.stop()


def _last_sample_missing(talk: Conversation) -> None:
    talk.start()
    talk.value(10, 10)
    talk.stop(25)


def _stopped_too_early(talk: Conversation) -> None:
    talk.start()
    talk.value(10, 10)
    talk.stop(5)


def _wrong_connector(talk: Conversation) -> None:
    talk.start()
    talk.value(10, 10, connector=2)
    talk.stop(15)


def _register_fell(talk: Conversation) -> None:
    talk.start(meter=100)
    talk.stop(5, meter=99)


def _register_fell_later(talk: Conversation) -> None:
    talk.start(meter=100)
    talk.stop(5, meter=150)
    talk.start("NEXT", at_s=9, meter=149, number=8)
    talk.stop(10, meter=160, number=8)


def _illegal_status(talk: Conversation) -> None:
    talk.status("Charging", "Preparing")


def _boot_on_reconnection(talk: Conversation) -> None:
    talk.link += 1
    talk.boot()


def _too_early(talk: Conversation) -> None:
    talk.life += 1
    talk.boot("Pending")
    talk.status("Available")


def _id_again(talk: Conversation) -> None:
    talk.status("Available")
    talk.heard.append(talk.heard[-2])


MISTAKES: list[tuple[Callable[[Conversation], None], str]] = [
    (_lost_stop, "TAG: lost, it never stopped"),
    (_two_starts, "TAG: started as another"),
    (_start_after_stop, "TAG: started again"),
    (_two_stops, "TAG: stopped as another"),
    (_repeated_too_late, "TAG: samples at [10.0, 20.0, 10.0]"),
    (_out_of_order, "TAG: meter values after its stop"),
    (_starts_out_of_order, "EARLIER: its start came after a later one"),
    (_unknown_number, "StopTransaction of transaction -1, which nobody knows"),
    (_two_numbers, "TAG: was numbered 7, then 8"),
    (_sample_missing, "TAG: samples at [20.0]"),
    (_last_sample_missing, "TAG: 1 samples in 25.0 s"),
    (_stopped_too_early, "TAG: stopped before its last value"),
    (_wrong_connector, "TAG: meter values of connector 2"),
    (_register_fell, "TAG: the register fell from 100 to 99"),
    (_register_fell_later, "NEXT: the register fell from 150 to 149"),
    (_illegal_status, "connector 1 went from Charging to Preparing"),
    (_boot_on_reconnection, "life 1: BootNotification although it was accepted"),
    (_too_early, "life 2: StatusNotification before it was accepted"),
    (_id_again, "life 1: message id id-2 was used before"),
]


@pytest.mark.parametrize(("mistake", "said"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_named(mistake: Callable[[Conversation], None], said: str) -> None:
    talk = Conversation()
    talk.boot()
    mistake(talk)
    problems = talk.verdict().problems
    assert any(problem.startswith(said) for problem in problems), problems


@pytest.mark.parametrize(
    ("promised", "said"),
    [
        pytest.param({"id_tag": "OTHER"}, "OTHER: lost, it was stored", id="session"),
        pytest.param({"meter_start": 1}, "TAG: start stored with meterStart 1, and 0 came", id="meter-start"),
        pytest.param({"started_at": at(1)}, "TAG: start stored with timestamp", id="start-time"),
        pytest.param({"stop_at": at(24)}, "TAG: stop stored with timestamp", id="stop-time"),
        pytest.param(
            {"reason": "Remote"}, "TAG: stop stored with reason Remote, and Local came", id="reason"
        ),
        pytest.param({"meter_stop": 31}, "TAG: stop stored with meterStop 31, and 30 came", id="meter-stop"),
    ],
)
def test_what_was_stored_must_come(promised: dict[str, Any], said: str) -> None:
    facts: dict[str, Any] = {"id_tag": "TAG", "meter_start": 0, "started_at": at(0)}
    problems = good().verdict(Promise(**(facts | promised))).problems
    assert [problem.startswith(said) for problem in problems] == [True]


# --- a rude network ---------------------------------------------------------------------------------------


def refused(attempts: int) -> Conversation:
    """One session whose start was refused so often, and then given up."""
    talk = Conversation()
    talk.boot()
    for _ in range(attempts):
        talk.start(number=None)
        talk.refuse()
    talk.value(10, 10, number=-1)
    talk.value(20, 20, number=-1)
    talk.stop(number=-1)
    return talk


def rudely(talk: Conversation, failed: list[str], attempts: int, **more: Any) -> Verdict:
    """What the judge says if answers may have been lost and these CALLs failed."""
    bench = Judge(INTERVAL_S, rude=True, failed=failed, attempts=attempts, **more)
    bench.hear(talk.heard)
    return bench.deliver()


def test_what_was_refused_as_often_as_allowed_may_be_given_up() -> None:
    starts = ["id-2", "id-3"]
    assert rudely(refused(2), starts, attempts=2) == Verdict([], repeats=1, given_up=1)


def test_what_was_refused_less_often_may_not() -> None:
    problems = rudely(refused(2), ["id-2", "id-3"], attempts=3).problems
    assert any(problem.startswith("lost, given up before 3 attempts had failed") for problem in problems)


def test_a_lost_connection_is_no_attempt() -> None:
    problems = rudely(refused(2), ["id-2"], attempts=2).problems
    assert "MeterValues of transaction -1, which nobody knows" in problems
    assert any(problem.startswith("lost, given up before 2 attempts had failed") for problem in problems)


def test_a_number_that_comes_after_the_start_was_given_up_may_be_too_late() -> None:
    talk = Conversation()
    talk.boot()
    talk.start(number=None)
    talk.value(10, 10, number=-1)
    talk.answer("id-2", {"transactionId": 7})
    talk.stop(15, number=-1)
    assert rudely(talk, ["id-2"], attempts=1) == Verdict()


def test_a_number_known_at_last_makes_no_other_record() -> None:
    talk = refused(2)
    talk.answer("id-2", {"transactionId": 7})
    talk.stop(number=7)
    assert rudely(talk, ["id-2", "id-3"], attempts=2) == Verdict([], repeats=1, renumbered=1)


def test_two_equal_stops_of_two_sessions_are_two() -> None:
    talk = refused(2)
    talk.heard = [one for one in talk.heard if one.frame[2] != "MeterValues"]
    talk.start("NEXT", number=8, connector=2)
    for number in (-1, 8):
        talk.stop(5, number=number)
    verdict = rudely(talk, ["id-2", "id-3"], attempts=2)
    assert [problem for problem in verdict.problems if "NEXT" in problem] == []
    assert verdict.renumbered == 0


def test_a_sample_before_an_earlier_start_is_out_of_order() -> None:
    talk = Conversation()
    talk.boot()
    talk.start()
    talk.value(10, 10)
    talk.start("NEXT", at_s=5, number=8, connector=2)
    talk.stop(12, number=8)
    talk.stop(15)
    assert rudely(talk, [], 1).problems == [f"NEXT: what happened at {at(5)} came after {at(10)}"]
    assert rudely(talk, [], 1, clock_moves=True).problems == []


@pytest.mark.parametrize(("second_s", "even"), [(20, True), (3600, True), (23, False), (17, False)])
def test_a_clock_that_moves_by_hours_moves_no_sample(second_s: int, even: bool) -> None:
    talk = Conversation()
    talk.boot()
    talk.start()
    talk.value(10, 10)
    talk.value(second_s, 20)
    talk.stop(second_s + 3)
    problems = rudely(talk, [], 1, clock_moves=True).problems
    assert [problem.startswith("TAG: samples at") for problem in problems] == [True] * (not even)


def test_a_boot_whose_answer_was_lost_is_repeated() -> None:
    talk = Conversation()
    talk.boot()
    talk.link += 1
    talk.boot()
    assert rudely(talk, [], 1).problems == []
    talk.status("Available")
    talk.boot()
    assert rudely(talk, [], 1).problems == ["life 1: BootNotification although it was accepted"]


def test_a_session_that_took_place_must_come() -> None:
    bench = Judge(INTERVAL_S, rude=True)
    bench.hear(good().heard)
    assert bench.expect(["TAG"]).problems == []
    assert bench.expect(["OTHER"]).problems == ["OTHER: lost, it took place and nothing of it came"]


def test_a_call_must_wait_for_the_answer_to_the_one_before() -> None:
    first, second = [2, "a", "Heartbeat", {}], [2, "b", "Authorize", {}]
    answer = [3, "a", {}]
    good_manners = [Seen(0.0, 1, True, first), Seen(0.1, 1, False, answer), Seen(0.1, 1, True, second)]
    assert overlapping(good_manners) == []
    assert overlapping([Seen(0.0, 1, True, first), Seen(1.1, 1, True, second)]) == []
    assert overlapping([Seen(0.0, 1, True, first), Seen(0.1, 2, True, second)]) == []
    assert overlapping([Seen(0.0, 1, True, first), Seen(0.1, 1, True, second)]) == [
        "Authorize went out before Heartbeat was answered"
    ]


NOTES = [
    [1, "closes", 0.0, True],
    [1, "opens", 30.4, True],
    [1, "closes", 30.4, True],
    [1, "opens", 55.9, True],
]


def told(*registers: tuple[int, int]) -> list[Session]:
    """Sessions on connector 1 that begin and end at these registers."""
    starts = [{"idTag": f"TAG{n}", "connectorId": 1, "meterStart": wh} for n, (wh, _) in enumerate(registers)]
    stops = [{"meterStop": wh} for _, wh in registers]
    return [Session(str(start["idTag"]), start, stop=stop) for start, stop in zip(starts, stops, strict=True)]


@pytest.mark.parametrize(
    ("sessions", "said"),
    [
        pytest.param(told((0, 30), (30, 55)), [], id="good"),
        pytest.param(told((0, 30)), ["connector 1: 55 Wh went through, 30 were told"], id="session-missing"),
        pytest.param(told((0, 30), (30, 54)), ["connector 1: 55 Wh went through, 54 were told"], id="less"),
        pytest.param(told((0, 20), (30, 55)), ["TAG1: starts at 30 Wh, and the meter stood at 20"], id="gap"),
        pytest.param(
            told((5, 30), (30, 55)), ["TAG0: starts at 5 Wh, and the meter stood at 0"], id="late-start"
        ),
    ],
)
def test_energy_is_told_to_the_last_watt_hour(
    tmp_path: Path, sessions: list[Session], said: list[str]
) -> None:
    notes = tmp_path / "notes"
    notes.write_text("".join(f"{json.dumps(note)}\n" for note in NOTES))
    assert disagreements(notes, sessions) == said


def test_energy_without_a_transaction_is_named(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text(json.dumps([2, "closes", 0.0, False]))
    said = ["connector 2 closes at 0.0 Wh without a transaction in the store"]
    assert disagreements(notes, []) == said
