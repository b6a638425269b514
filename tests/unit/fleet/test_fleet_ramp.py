"""The ramp: everybody at their moment, and never more first attempts than the central system bears."""

from __future__ import annotations

from collections.abc import Iterator

from chargepoint.config import StationConfig
from chargepoint.fleet.plan.plan import Group, Member, Plan
from chargepoint.fleet.ramp import MOST_ATTEMPTS, Ramp
from hal.clock import SteppedClock


class Stage:
    """A ramp over `count` members, of whom as many are under way as were started and not `settle`d."""

    def __init__(self, count: int, per_s: float, shard: int = 0, shards: int = 1) -> None:
        self.clock = SteppedClock(1000.0)
        self.started: list[tuple[int, float]] = []
        self.under_way = 0
        self.ramp = Ramp(self._members(count, shard, shards), per_s, self.clock, self._start, self._attempts)

    @staticmethod
    def _members(count: int, shard: int, shards: int) -> Iterator[Member]:
        group = Group("g", count, "CP{n}", StationConfig())
        return Plan((group,), 1).members(shard, shards)

    def _attempts(self) -> int:
        return self.under_way

    def _start(self, member: Member) -> None:
        self.started.append((member.number, self.clock.now()))
        self.under_way += 1

    def settle(self, count: int) -> None:
        self.under_way -= count
        for _ in range(count):
            self.ramp.settled()


def test_member_n_starts_n_divided_by_the_rate_seconds_after_the_beginning() -> None:
    stage = Stage(5, per_s=4)
    stage.ramp.begin()
    stage.clock.advance(10)
    assert stage.started == [(0, 1000.0), (1, 1000.25), (2, 1000.5), (3, 1000.75), (4, 1001.0)]
    assert stage.ramp.over


def test_a_shard_starts_its_members_when_the_whole_fleet_would() -> None:
    stage = Stage(6, per_s=1, shard=1, shards=3)
    stage.ramp.begin()
    stage.clock.advance(10)
    assert stage.started == [(1, 1001.0), (4, 1004.0)]


def test_it_waits_while_too_many_attempts_are_under_way_and_says_how_late_it_is() -> None:
    stage = Stage(MOST_ATTEMPTS + 100, per_s=1000)
    stage.ramp.begin()
    stage.clock.advance(3)
    assert len(stage.started) == MOST_ATTEMPTS
    assert round(stage.ramp.behind_s, 3) == 3 - MOST_ATTEMPTS / 1000
    stage.settle(30)
    stage.clock.advance(0)
    assert len(stage.started) == MOST_ATTEMPTS + 30
    stage.settle(70)
    stage.clock.advance(0)
    assert stage.ramp.over
    assert stage.ramp.behind_s == 0


def test_a_late_timer_with_room_for_more_is_no_fault_of_the_central_system() -> None:
    stage = Stage(5, per_s=1)
    stage.ramp.begin()
    looked: list[float] = []
    stage.clock.call_at(1001.0, lambda: looked.append(stage.ramp.behind_s))
    stage.ramp._again_at(1030.0)  # half a second of real time late at x60
    stage.clock.call_at(1029.0, lambda: looked.append(stage.ramp.behind_s))
    stage.clock.advance(29)
    assert looked == [0, 0]


def test_attempts_that_end_unseen_make_room_too() -> None:
    stage = Stage(MOST_ATTEMPTS + 5, per_s=1000)
    stage.ramp.begin()
    stage.clock.advance(1)
    stage.under_way = 0  # their network was cut: nobody reports
    stage.clock.advance(1)
    assert stage.ramp.over


def test_nobody_starts_after_stop() -> None:
    stage = Stage(5, per_s=1)
    stage.ramp.begin()
    stage.ramp.stop()
    stage.clock.advance(10)
    assert len(stage.started) == 1
    assert stage.clock.next_at() is None


def test_while_it_is_held_nobody_starts_and_that_time_does_not_count() -> None:
    stage = Stage(4, per_s=1)
    stage.ramp.begin()
    stage.clock.advance(1.5)
    stage.ramp.hold(True)
    stage.ramp.hold(True)
    stage.clock.advance(100)
    stage.settle(2)
    stage.clock.advance(1)
    assert len(stage.started) == 2
    assert stage.ramp.behind_s == 0
    stage.ramp.hold(False)
    stage.clock.advance(10)
    assert stage.started == [(0, 1000.0), (1, 1001.0), (2, 1103.0), (3, 1104.0)]


def test_another_rate_holds_from_the_next_member_on() -> None:
    stage = Stage(5, per_s=1)
    stage.ramp.begin()
    stage.clock.advance(1.5)
    stage.ramp.go_at(4)
    stage.clock.advance(10)
    assert stage.started == [(0, 1000.0), (1, 1001.0), (2, 1002.0), (3, 1002.25), (4, 1002.5)]
    stage.ramp.go_at(8)
    assert stage.ramp.over


def test_a_slower_rate_is_no_delay() -> None:
    stage = Stage(5, per_s=10)
    stage.ramp.begin()
    stage.ramp.go_at(1)
    stage.clock.advance(1.15)
    assert [number for number, _ in stage.started] == [0, 1, 2]
    assert stage.ramp.behind_s == 0
