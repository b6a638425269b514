"""A board with pilot and contactor in safe order, over its emulator (IEC 61851-1, annex A)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hal.api import NOTHING, EvseInfo, FaultKind, Limit, MeterUnavailable, PilotState
from hal.board import BoardEvse
from hal.clock import WallClock
from hal.device import DeviceTimeout, MeterSnapshot, PilotSample, Unsupported
from tests.contract.hal.boards import EmulatedLock, OnBoard, board
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

SOCKET = EvseInfo(phases=3, max_current_a=16.0)
TETHERED = EvseInfo(phases=3, max_current_a=16.0, tethered=True)


@contextmanager
def station(info: EvseInfo = TETHERED, **options: Any) -> Iterator[OnBoard]:
    rig = board(info, poll_s=0.02, contacts_s=0.1, **options)
    try:
        yield rig
    finally:
        rig.close()


def charge(rig: OnBoard) -> None:
    rig.plug_in()
    rig.evse.permit(Limit(16.0))
    rig.advance(10.0)
    assert rig.evse.closed
    assert rig.evse.reading().power_w > 1000.0


def kinds(rig: OnBoard) -> list[FaultKind]:
    return [fault.kind for fault in rig.evse.faults]


def test_the_pilot_offers_what_is_permitted() -> None:
    with station() as rig:
        charge(rig)
        assert rig.board.duty_percent == pytest.approx(16.0 / 0.6)
        rig.evse.permit(Limit(6.0))
        rig.advance(0.05)
        assert rig.board.duty_percent == 10.0


@pytest.mark.parametrize("reports", [True, False], ids=["board that reports", "polled board"])
def test_leaving_c_opens_within_100_ms(reports: bool) -> None:
    with station() as rig:
        charge(rig)
        if not reports:
            rig.board.on_sample = None
        rig.outlet.plug_out()
        rig.advance(0.06)
        assert not rig.contactor.closed


def test_a_stop_waits_six_seconds_for_a_vehicle_that_goes_on() -> None:
    with station() as rig:
        charge(rig)
        rig.board.ignores_stop = True
        rig.evse.permit(NOTHING)
        rig.advance(5.9)
        assert rig.board.duty_percent is None
        assert rig.contactor.closed
        rig.advance(0.2)
        assert not rig.contactor.closed


def test_the_reading_after_the_opening_was_taken_after_it() -> None:
    with station() as rig:
        charge(rig)
        rig.board.meter.silent = True
        rig.evse.permit(NOTHING)
        rig.advance(0.5)
        assert not rig.evse.closed
        with pytest.raises(MeterUnavailable, match="since the contactor opened"):
            rig.evse.reading()
        rig.board.meter.silent = False
        rig.advance(1.1)
        assert rig.evse.reading().power_w == 0


def test_who_waits_for_the_last_reading_is_told() -> None:
    with station() as rig:
        charge(rig)
        said: list[tuple[bool, float | None]] = []

        class Listener:
            def evse_changed(self) -> None:
                try:
                    power_w = rig.evse.reading().power_w
                except MeterUnavailable:
                    power_w = None
                said.append((rig.evse.closed, power_w))

        rig.evse.listener = Listener()
        rig.evse.permit(NOTHING)
        rig.advance(1.5)
        assert said[-1] == (False, 0.0)


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        (lambda rig: setattr(rig.contactor, "stuck", True), FaultKind.NOT_CLOSING),
        (lambda rig: setattr(rig.board, "diode_missing", True), FaultKind.PILOT),
        (lambda rig: setattr(rig.board, "wants_ventilation", True), FaultKind.PILOT),
        (lambda rig: setattr(rig.board, "shorted", True), FaultKind.PILOT),
        (lambda rig: setattr(rig.board, "silent", True), FaultKind.COMMUNICATION),
        (lambda rig: setattr(rig.contactor, "silent", True), FaultKind.COMMUNICATION),
        (lambda rig: setattr(rig.contactor, "feedback_wire_broken", True), FaultKind.WELDED),
        (lambda rig: rig.contactor.trip(), FaultKind.GROUND),
    ],
    ids=["stuck", "diode", "ventilation", "short", "dead board", "dead relay", "feedback wire", "rcd"],
)
@pytest.mark.parametrize("when", ["before", "while charging"])
def test_what_breaks_opens_and_says_so(breaks: Callable[[OnBoard], None], kind: FaultKind, when: str) -> None:
    with station() as rig:
        if when == "before":
            breaks(rig)
            rig.plug_in()
            rig.evse.permit(Limit(16.0))
        elif kind in (FaultKind.NOT_CLOSING, FaultKind.WELDED):
            return  # these show at a switching only
        else:
            charge(rig)
            breaks(rig)
        rig.advance(6.0)
        assert kind in kinds(rig)
        assert not rig.contactor.closed
        rig.board.silent = rig.contactor.silent = False


def test_contacts_that_bounce_for_100_ms_are_no_fault() -> None:
    with station() as rig:
        rig.contactor.bounces_s = 0.1
        charge(rig)
        rig.evse.permit(NOTHING)
        rig.advance(2.0)
        assert rig.evse.faults == ()


def test_a_welded_contactor_keeps_the_plug_and_refuses_everybody() -> None:
    with station(SOCKET) as rig:
        rig.plug_in()
        rig.soon()
        rig.evse.lock(True)
        rig.evse.permit(Limit(16.0))
        rig.advance(10.0)
        assert rig.evse.closed
        assert rig.evse.locked
        rig.contactor.welded = True
        rig.evse.permit(NOTHING)
        rig.advance(2.0)
        assert kinds(rig) == [FaultKind.WELDED]
        assert rig.board.refusing
        assert rig.evse.pilot is PilotState.F
        assert rig.evse.plugged
        rig.evse.lock(False)
        rig.evse.permit(Limit(16.0))
        rig.advance(30.0)
        assert rig.evse.locked
        assert not rig.contactor.coil


def test_a_lock_that_does_not_move_is_a_fault_and_nothing_flows() -> None:
    lock = EmulatedLock()
    lock.broken = True
    with station(SOCKET, lock=lock) as rig:
        rig.plug_in()
        rig.soon()
        rig.evse.lock(True)
        rig.soon()
        rig.evse.permit(Limit(16.0))
        rig.advance(10.0)
        assert kinds(rig) == [FaultKind.LOCK]
        assert not rig.evse.closed
        lock.broken = False
        rig.evse.lock(True)
        rig.advance(15.0)
        assert rig.evse.faults == ()
        assert rig.evse.locked


def test_the_motor_of_a_lock_moves_ten_times_a_minute_at_most() -> None:
    lock = EmulatedLock()
    with station(SOCKET, lock=lock) as rig:
        rig.plug_in()
        rig.soon()
        moves = 0
        for n in range(14):
            before = rig.evse.locked
            rig.evse.lock(n % 2 == 0)
            rig.advance(1.0)
            moves += rig.evse.locked is not before
        assert moves == 10
        assert not rig.evse.locked
        rig.evse.lock(True)
        rig.advance(50.0)
        assert rig.evse.locked


def test_a_lock_found_locked_says_so() -> None:
    lock = EmulatedLock()
    lock.locked = True
    with station(SOCKET, lock=lock) as rig:
        assert rig.evse.locked
        assert rig.evse.plugged
        rig.evse.lock(False)
        rig.soon()
        assert not rig.evse.locked


def test_too_much_current_ends_it() -> None:
    with station() as rig:
        charge(rig)
        rig.board.meter.draws_a = 20.0
        rig.advance(6.0)
        assert rig.evse.closed
        rig.advance(4.0)
        assert kinds(rig) == [FaultKind.OVER_CURRENT]
        assert not rig.evse.closed


def test_current_without_a_mirror_contact_betrays_a_welded_contactor() -> None:
    with station() as rig:
        rig.contactor.has_feedback = False
        charge(rig)
        rig.board.meter.leaks_a = 6.0
        rig.evse.permit(NOTHING)
        rig.advance(6.0)
        assert kinds(rig) == [FaultKind.WELDED]


@pytest.mark.parametrize("negative", [True, False], ids=["state F", "no negative supply"])
def test_a_sleeping_vehicle_wakes(negative: bool) -> None:
    with station() as rig:
        rig.board.sleeps = True
        rig.board.has_negative = negative
        rig.plug_in()
        rig.evse.permit(Limit(16.0))
        rig.advance(29.0)
        assert not rig.evse.closed
        rig.advance(20.0)
        assert rig.evse.closed is negative
        assert rig.evse.faults == ()


def test_a_meter_silent_for_a_minute_ends_the_charge() -> None:
    with station() as rig:
        charge(rig)
        rig.board.meter.silent = True
        rig.advance(58.0)
        assert rig.evse.closed
        rig.advance(10.0)
        assert kinds(rig) == [FaultKind.METER]
        assert not rig.evse.closed


def test_a_driver_with_a_bug_is_a_fault() -> None:
    with station() as rig:
        charge(rig)

        async def broken() -> PilotSample:
            raise KeyError("bug")

        rig.board.sample = broken  # type: ignore[method-assign]  # one board that breaks
        rig.advance(0.1)
        assert not rig.contactor.closed
        assert kinds(rig) == [FaultKind.COMMUNICATION]


def test_a_part_that_does_not_answer_is_told_once_a_silence(caplog: pytest.LogCaptureFixture) -> None:
    with station() as rig:
        sample = rig.board.sample

        async def silent() -> PilotSample:
            raise DeviceTimeout("GPIO 22: gone; see docs/gpio-relay.md")

        for _ in range(2):
            rig.board.sample = silent  # type: ignore[method-assign]  # one board that is silent
            rig.advance(2.0)
            rig.board.sample = sample  # type: ignore[method-assign]  # and back
            rig.advance(2.0)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["controller: board: GPIO 22: gone; see docs/gpio-relay.md"] * 2


class ThreadedBoard:
    """A board whose own thread measures; the loop may be busy meanwhile."""

    def __init__(self) -> None:
        self.on_sample: Callable[[PilotSample], None] | None = None
        self.now = PilotSample(12.0, 12.0)
        self.signalled = asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def steady(self) -> None: ...

    async def signal(self, duty_percent: float) -> None:
        self.signalled.set()

    async def refuse(self) -> None:
        raise Unsupported("none")

    async def sample(self) -> PilotSample:
        return self.now


class RecordingRelay:
    """Remembers when and in which thread it was dropped."""

    def __init__(self) -> None:
        self.on = False
        self.closed = asyncio.Event()
        self.dropped_in: list[int] = []

    async def open(self) -> None: ...

    async def close(self) -> None:
        self.on = False

    async def switch(self, on: bool) -> None:
        self.on = on
        if on:
            self.closed.set()

    def drop(self) -> None:
        self.on = False
        self.dropped_in.append(threading.get_ident())

    async def feedback(self) -> bool | None:
        return self.on


def test_a_boards_own_thread_opens_while_the_loop_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.board_rules.REST_S", 0.1)

    async def story() -> None:
        board, relay = ThreadedBoard(), RecordingRelay()
        evse = BoardEvse(TETHERED, WallClock(), board, relay, poll_s=0.01, contacts_s=0.05)
        board.now = PilotSample(9.0, -12.0)
        evse.permit(Limit(16.0))
        await asyncio.wait_for(board.signalled.wait(), 10)
        board.now = PilotSample(6.0, -12.0)
        await asyncio.wait_for(relay.closed.wait(), 10)

        def leave() -> None:
            board.now = PilotSample(9.0, -12.0)
            assert board.on_sample is not None
            board.on_sample(board.now)

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()  # the loop does nothing meanwhile
        assert not relay.on
        assert thread.ident in relay.dropped_in
        evse.close()
        await evse.released()

    run_jumping(story())


class ClumsyRelay(RecordingRelay):
    """The vehicle leaves C while the coil is being switched on."""

    def __init__(self, board: ThreadedBoard) -> None:
        super().__init__()
        self._board = board

    async def switch(self, on: bool) -> None:
        if on:
            self._board.now = PilotSample(9.0, -12.0)
            thread = threading.Thread(target=self._board.on_sample, args=(self._board.now,))
            thread.start()
            thread.join()
        await super().switch(on)


def test_a_vehicle_that_leaves_while_the_coil_is_switched_on_is_not_overlooked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hal.board_rules.REST_S", 0.1)

    async def story() -> None:
        board = ThreadedBoard()
        relay = ClumsyRelay(board)
        evse = BoardEvse(TETHERED, WallClock(), board, relay, poll_s=0.01, contacts_s=0.05)
        board.now = PilotSample(9.0, -12.0)
        evse.permit(Limit(16.0))
        await asyncio.wait_for(board.signalled.wait(), 10)
        board.now = PilotSample(6.0, -12.0)
        await asyncio.wait_for(relay.closed.wait(), 10)
        await asyncio.sleep(0)
        assert not relay.on
        evse.close()
        await evse.released()

    run_jumping(story())


@pytest.mark.parametrize(
    ("breaks", "safe"),
    [
        (lambda rig: None, True),
        (lambda rig: setattr(rig.board, "silent", True), True),
        (lambda rig: setattr(rig.contactor, "silent", True), False),
        (lambda rig: setattr(rig.contactor, "welded", True), False),
    ],
    ids=["all well", "dead board", "dead relay", "weld"],
)
def test_it_knows_whether_it_left_the_contactor_open(breaks: Callable[[OnBoard], None], safe: bool) -> None:
    """Only the relay and its contact decide that, whatever else does not answer."""
    with station() as rig:
        charge(rig)
        breaks(rig)
        rig.evse.close()
        rig.advance(3.0)
        assert rig.evse.left_safe == safe


def test_a_loop_that_ends_leaves_the_contactor_open() -> None:
    relay = RecordingRelay()

    async def story() -> None:
        BoardEvse(TETHERED, WallClock(), ThreadedBoard(), relay)
        await asyncio.sleep(0)
        relay.on = True

    run_jumping(story())
    assert not relay.on


class DeadMeter:
    async def open(self) -> None:
        raise DeviceTimeout("no answer")

    async def close(self) -> None: ...

    async def read(self) -> MeterSnapshot:
        raise DeviceTimeout("no answer")


def test_a_meter_that_was_never_there_says_why() -> None:
    with station(meter=DeadMeter()) as rig:
        with pytest.raises(MeterUnavailable, match="no answer"):
            rig.evse.reading()
        rig.evse.close()
        rig.evse.close()
