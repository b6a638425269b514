"""What a person reads while a station runs: one line per event, and patience that is not a flood."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import Any

import pytest

from chargepoint.cli.words import Patience, Printer, Words
from hal.clock import SteppedClock

NOON = 1_777_636_800.0  # 2026-05-01T12:00:00Z

EVENTS = {
    "connected": ("connection", {"online": True}, "connected"),
    "never-connected": ("connection", {"online": False, "reason": "refused"}, "not connected: refused"),
    "registered": (
        "registration",
        {"status": "Pending", "interval_s": 60},
        "registration Pending, interval 60 s",
    ),
    "status": (
        "status",
        {"connector": 2, "status": "Charging", "error_code": "NoError"},
        "connector 2  Charging",
    ),
    "fault-of-the-station": (
        "status",
        {"connector": 0, "status": "Faulted", "error_code": "GroundFailure"},
        "station  Faulted (GroundFailure)",
    ),
    "limit": (
        "limit",
        {"connector": 1, "offered_a": 10.0, "offered_w": 6900.0, "because": "TxProfile 1 (stack 0)"},
        "connector 1  offers 10 A (6.9 kW): TxProfile 1 (stack 0)",
    ),
    "reboot": ("reboot", {"reason": "HardReset"}, "restarting (HardReset)"),
    "error": ("error", {"message": "odd"}, "error: odd"),
}


@pytest.mark.parametrize(("event", "fields", "text"), EVENTS.values(), ids=EVENTS)
def test_an_event_is_one_line_with_its_time_in_utc(event: str, fields: dict[str, Any], text: str) -> None:
    printed: list[str] = []
    Words(lambda: NOON, printed.append, frames=False).event(event, fields)
    assert printed == [f"2026-05-01 12:00:00Z  {text}"]


def test_events_for_programs_only_are_not_told() -> None:
    printed: list[str] = []
    words = Words(lambda: NOON, printed.append, frames=False)
    words.event("late", {"message_id": "1"})
    words.event("ocpp", {"dir": "tx", "data": b'[2,"1","Heartbeat",{}]'})
    assert printed == []


def test_frames_name_their_action_and_keep_secrets() -> None:
    printed: list[str] = []
    words = Words(lambda: NOON, printed.append, frames=True, date=False)
    frames = (
        ("rx", b'[2,"7","ChangeConfiguration",{"key":"AuthorizationKey","value":"hush"}]'),
        ("tx", b'[3,"7",{"status":"Accepted"}]'),
        ("rx", b"no frame"),
    )
    for direction, data in frames:
        words.event("ocpp", {"dir": direction, "data": data})
    assert printed == [
        '12:00:00  ← ChangeConfiguration {"key":"AuthorizationKey","value":"***"}',
        '12:00:00  → ChangeConfiguration answer {"status":"Accepted"}',
        '12:00:00  ← "no frame"',
    ]


def test_a_lost_connection_reads_differently_from_one_that_never_was() -> None:
    printed: list[str] = []
    words = Words(lambda: NOON, printed.append, frames=False, date=False)
    words.event("connection", {"online": True})
    for _ in range(2):
        words.event("connection", {"online": False, "reason": "gone"})
    assert [line[10:] for line in printed] == ["connected", "disconnected: gone", "not connected: gone"]


@pytest.mark.parametrize(
    ("waiting", "kept", "tail"),
    [
        (0, True, ""),
        (1, True, "; 1 message not delivered, kept for the next start"),
        (2, False, "; 2 messages not delivered, lost, because nothing is stored"),
    ],
)
def test_the_last_line_says_what_is_left(waiting: int, kept: bool, tail: str) -> None:
    printed: list[str] = []
    Words(lambda: NOON, printed.append, frames=False).goodbye(waiting, kept)
    assert printed == [f"ended in good order after 0 transactions{tail}"]


def test_a_contactor_of_which_nobody_knows_is_no_good_end() -> None:
    printed: list[str] = []
    words = Words(lambda: NOON, printed.append, frames=False)
    words.goodbye(0, True, live=[1, 3], running=1)
    assert printed == [
        "ended after 0 transactions; 1 transaction still running, kept for the next start; "
        "connector 1 and connector 3 MAY STILL GIVE CURRENT: chargepoint hardware safe-off"
    ]


class Attempts:
    """Failed connections, and what is said of them at which moment of real time."""

    def __init__(self) -> None:
        self.failed = 1
        self.said: list[tuple[float, str]] = []
        self.wire = SteppedClock(0.0)
        self.patience = Patience(self.wire, lambda: self.failed, self._say)

    def _say(self, text: str) -> None:
        self.said.append((self.wire.now(), text))

    @property
    def moments(self) -> list[float]:
        return [at for at, _ in self.said]


def test_still_not_connected_is_said_after_a_minute_and_ever_more_rarely_down_to_hourly() -> None:
    attempts = Attempts()
    attempts.patience.event("connection", {"online": False, "reason": "refused"})
    attempts.wire.advance(59)
    assert attempts.said == []
    attempts.failed = 5
    attempts.wire.advance(1)
    assert attempts.said == [(60.0, "still not connected after 5 attempts")]
    # Another reason is explained elsewhere and does not begin the count anew.
    attempts.patience.event("connection", {"online": False, "reason": "not found"})
    attempts.wire.advance(4 * 3600)
    gaps = [later - earlier for earlier, later in itertools.pairwise(attempts.moments)]
    assert gaps[:6] == [120, 240, 480, 960, 1920, 3600]
    assert set(gaps[6:]) == {3600}


def test_a_connection_ends_the_count_and_its_loss_begins_another() -> None:
    attempts = Attempts()
    attempts.patience.event("connection", {"online": False, "reason": "refused"})
    attempts.wire.advance(300)
    attempts.patience.event("connection", {"online": True})
    attempts.said.clear()
    attempts.wire.advance(3600)
    assert attempts.said == []
    attempts.patience.event("connection", {"online": False, "reason": "lost"})
    attempts.failed = 0  # the first attempt is still under way
    attempts.wire.advance(100)
    assert attempts.said == []
    attempts.failed = 1
    attempts.wire.advance(100)
    assert attempts.said == [(3900.0 + 180, "still not connected after 1 attempt")]


def test_a_printer_without_a_reader_says_so_once_and_is_silent() -> None:
    gone: list[bool] = []
    with open("/dev/full", "w", encoding="utf-8") as full, contextlib.redirect_stdout(full):
        printer = Printer(lambda: gone.append(True))
        printer("one")
        printer("two")
        assert gone == [True]
        assert printer.broken
        # What the stream still holds would fail once more when it is closed.
        with open(os.devnull, "w", encoding="utf-8") as null:
            os.dup2(null.fileno(), full.fileno())
