"""The silence that one unit of a line needs is kept around its own frames, and costs the others nothing."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from hal.modbus.bus import Bus, SerialLine, TcpGateway, take_place
from hal.modbus.place import Place
from hal.modbus.turns import Turns
from hal.modbus.wire import NoAnswer, Request, Wire
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

SLOW, FAST = 1, 2
GAP_S, SHORT_S = 0.1, 0.01


class Answered:
    """What pymodbus makes of an answer, as far as a bus looks at it."""

    def __init__(self, request: Request) -> None:
        self.function_code, self.address, self.count = request.function, request.address, request.count
        self.registers = [0] * request.count

    def isError(self) -> bool:
        return False


class Instant(Wire):
    """A wire whose answers take no time; notes when which unit was asked."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.asked: list[tuple[int, float]] = []
        self.silent: set[int] = set()

    @property
    def connected(self) -> bool:
        return True

    async def ask(self, request: Request, timeout_s: float) -> Answered:
        now = asyncio.get_running_loop().time()
        self.asked.append((request.unit, now))
        if request.unit in self.silent:
            raise NoAnswer(garbled=False)
        self.heard_at = now
        return Answered(request)


def asked(units: list[int], *shared: SerialLine) -> list[float]:
    """The silences between the frames to `units`, in that order."""

    async def story() -> list[float]:
        wires: list[Instant] = []

        def wire(place: Place) -> Wire:
            wires.append(Instant(place))
            return wires[-1]

        bus = Bus(shared[0], wire=wire)
        for place in shared:
            bus.share(place)
        for unit in units:
            await bus.read(unit, 3, 0, 1)
        for _ in shared:
            await bus.release()
        assert [unit for unit, _ in wires[0].asked] == units
        return [later - at for (_, at), (_, later) in pairwise(wires[0].asked)]

    return run_jumping(story())


def line(gap_s: float, unit: int | None) -> SerialLine:
    return SerialLine("/dev/none", gap_s=gap_s, unit=unit)


def test_a_gap_is_kept_before_and_after_the_frames_of_its_unit_only() -> None:
    units = [FAST, FAST, SLOW, FAST, FAST, SLOW, SLOW]
    gaps = asked(units, line(GAP_S, SLOW), line(SHORT_S, FAST))
    for (before, after), gap_s in zip(pairwise(units), gaps, strict=True):
        if SLOW in (before, after):
            assert gap_s >= GAP_S
        else:
            assert SHORT_S <= gap_s < GAP_S


@pytest.mark.parametrize(
    "places", [(line(GAP_S, None),), (line(GAP_S, SLOW),)], ids=["everybody's", "unknown"]
)
def test_a_unit_of_which_nothing_is_known_gets_the_longest(places: tuple[SerialLine, ...]) -> None:
    assert all(gap_s >= GAP_S for gap_s in asked([7, FAST, 7], *places))


def test_the_longest_of_what_is_asked_for_one_unit_counts() -> None:
    places = line(SHORT_S, SLOW), line(GAP_S, SLOW), line(SHORT_S, FAST)
    assert all(gap_s >= GAP_S for gap_s in asked([SLOW, FAST, SLOW], *places))


@pytest.mark.parametrize(
    ("writes", "order"),
    [(False, [FAST, 3, 4, 5, SLOW, 6]), (True, [FAST, SLOW, 3, 4, 5, 6])],
    ids=["read", "write"],
)
def test_three_frames_go_ahead_of_one_that_waits_for_silence_but_of_no_write(
    writes: bool, order: list[int]
) -> None:
    async def story() -> list[int]:
        wires: list[Instant] = []

        def wire(place: Place) -> Wire:
            wires.append(Instant(place))
            return wires[-1]

        bus = Bus(line(GAP_S, SLOW), wire=wire)
        bus.share(line(SHORT_S, FAST))
        for unit in range(3, 7):
            bus.share(line(SHORT_S, unit))
        await bus.read(FAST, 3, 0, 1)
        slow = bus.write(SLOW, 0, [1], verify=False) if writes else bus.read(SLOW, 3, 0, 1)
        await asyncio.gather(slow, *(bus.read(unit, 3, 0, 1) for unit in range(3, 7)))
        for _ in range(5):
            await bus.release()
        return [unit for unit, _ in wires[0].asked]

    assert run_jumping(story()) == order


def test_a_call_that_is_given_up_while_it_waits_keeps_nobody_from_the_line() -> None:
    async def story() -> None:
        turns = Turns()
        async with turns.turn(0.0, patient=True):
            waiting = asyncio.ensure_future(_take(turns))
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.wait([waiting])
        async with asyncio.timeout(1.0), turns.turn(0.0, patient=True):
            pass

    run_jumping(story())


async def _take(turns: Turns) -> None:
    async with turns.turn(0.0, patient=True):
        pass


def test_settings_say_whose_gap_it_is() -> None:
    place, unit = take_place("evse", {"port": "/dev/none", "unit": 5, "gap_s": 0.2})
    assert (place.unit, place.gap_s, unit) == (5, 0.2, 5)
    gateway, unit = take_place("meter", {"host": "gateway", "unit": 9})
    assert isinstance(gateway, TcpGateway)
    assert (gateway.unit, unit) == (9, 9)
