"""The judge of power cuts, on conversations written by hand: each mistake is named, no good one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.campaign.judge import Heard, Payload, Promise, Verdict, judge

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
            self.heard.append(Heard(self.life, self.link, True, [3, message_id, answer]))

    def boot(self, status: str = "Accepted") -> None:
        """Registration."""
        self.call("BootNotification", {}, {"status": status})

    def status(self, *statuses: str) -> None:
        """Connector 1 reports."""
        for status in statuses:
            self.call("StatusNotification", {"connectorId": 1, "status": status}, {})

    def start(self, id_tag: str = "TAG", at_s: int = 0, meter: int = 0, number: int | None = 7) -> None:
        """StartTransaction; without a number it is not answered."""
        payload = {"connectorId": 1, "idTag": id_tag, "meterStart": meter, "timestamp": at(at_s)}
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
    return f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.000Z"


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
