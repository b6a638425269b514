"""The meter at the grid connection: polled, fed and simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hal.api import DeviceTimeout, EvseInfo
from hal.clock import ScaledClock, SteppedClock
from hal.device import DeviceClosed, DeviceRefused, MeterSnapshot
from hal.registry import open_site_meter, site_meter_names
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from hal.site import FedSiteMeter, PolledSiteMeter, SimulatedSiteMeter, SiteSpec, site_reading
from tests.jumping_loop import run_jumping

DAY = 86_400.0 * 20_000


class FakeMeter:
    """hal.device.EnergyMeter: answers what it is told to."""

    def __init__(self, clock: ScaledClock) -> None:
        self.clock = clock
        self.answer: Callable[[], MeterSnapshot] = lambda: self.shows(1.0, 2.0, 3.0)
        self.calls: list[str] = []

    def shows(self, *current_a: float) -> MeterSnapshot:
        return MeterSnapshot(self.clock.now(), current_a=current_a)

    async def open(self) -> None:
        self.calls.append("open")

    async def close(self) -> None:
        self.calls.append("close")

    async def read(self) -> MeterSnapshot:
        self.calls.append("read")
        await asyncio.sleep(0)
        return self.answer()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(45):
        while not condition():
            await asyncio.sleep(0.001)


class TestPolled:
    def run(self, story: Callable[[PolledSiteMeter, FakeMeter], Any], phases: int = 3) -> None:
        async def told() -> None:
            clock = ScaledClock(100.0)
            fake = FakeMeter(clock)
            meter = PolledSiteMeter(fake, clock, phases, poll_s=1.0)
            try:
                await story(meter, fake)
            finally:
                meter.close()
                meter.close()
                await meter.closed()
            assert fake.calls[-1] == "close"
            assert fake.calls.count("close") == 1
            assert len(asyncio.all_tasks()) == 1

        run_jumping(told())

    def test_it_asks_again_and_again_and_opens_once(self) -> None:
        async def story(meter: PolledSiteMeter, fake: FakeMeter) -> None:
            times: list[float] = []
            meter.on_reading = lambda: times.append(meter.reading.time if meter.reading else 0.0)
            assert meter.reading is None
            meter.start()
            meter.start()
            await until(lambda: len(times) >= 4)
            assert meter.reading is not None
            assert meter.reading.current_a == (1.0, 2.0, 3.0)
            assert fake.calls.count("open") == 1
            assert times == sorted(set(times))

        self.run(story)

    def test_a_silent_meter_keeps_the_old_reading_and_says_why(self) -> None:
        async def story(meter: PolledSiteMeter, fake: FakeMeter) -> None:
            def silent() -> MeterSnapshot:
                raise DeviceTimeout("no answer from unit 2")

            meter.start()
            await until(lambda: meter.reading is not None)
            fake.answer = silent
            await until(lambda: meter.problem != "")
            heard: list[object] = []
            meter.on_reading = lambda: heard.append(meter.reading)
            asked = len(fake.calls)
            await until(lambda: len(fake.calls) > asked + 3)
            assert heard == []
            assert meter.problem == "no answer from unit 2"
            fake.answer = lambda: fake.shows(4.0, 4.0, 4.0)
            await until(lambda: bool(heard))
            assert meter.problem == ""

        self.run(story)

    def test_a_driver_that_breaks_its_promise_does_not_end_it(self) -> None:
        async def story(meter: PolledSiteMeter, fake: FakeMeter) -> None:
            def broken() -> MeterSnapshot:
                raise ZeroDivisionError("a bug")

            fake.answer = broken
            meter.start()
            await until(lambda: fake.calls.count("read") >= 3)
            assert meter.problem == "ZeroDivisionError: a bug"

        self.run(story)

    def test_a_meter_that_was_closed_is_opened_again(self) -> None:
        async def story(meter: PolledSiteMeter, fake: FakeMeter) -> None:
            def closed() -> MeterSnapshot:
                fake.answer = lambda: fake.shows(1.0, 1.0, 1.0)
                raise DeviceClosed("open it first")

            fake.answer = closed
            meter.start()
            await until(lambda: meter.reading is not None)
            assert fake.calls.count("open") == 2

        self.run(story)

    def test_a_meter_that_hangs_is_asked_once_and_let_go(self) -> None:
        async def story(meter: PolledSiteMeter, fake: FakeMeter) -> None:
            async def hang() -> MeterSnapshot:
                fake.calls.append("read")
                await asyncio.Event().wait()
                raise AssertionError

            fake.read = hang  # type: ignore[method-assign]  # one meter that hangs
            meter.start()
            await until(lambda: "read" in fake.calls)
            several_polls_later = fake.clock.now() + 5.0
            await until(lambda: fake.clock.now() > several_polls_later)
            assert fake.calls.count("read") == 1

        self.run(story)


class TestReading:
    def test_currents_get_the_sign_of_their_power(self) -> None:
        snapshot = MeterSnapshot(5.0, current_a=(3.0, 4.0, -2.0), power_phase_w=(700.0, -900.0, -450.0))
        assert site_reading(snapshot, 3).current_a == (3.0, -4.0, -2.0)

    def test_on_a_single_line_the_total_will_do(self) -> None:
        assert site_reading(MeterSnapshot(5.0, current_a=(3.0,), power_w=-690.0), 1).current_a == (-3.0,)

    @pytest.mark.parametrize(
        "shown", [(), (1.0, 2.0), (1.0, None, 2.0), (1.0, float("nan"), 2.0), (1e9, 1, 1)]
    )
    def test_a_line_that_is_not_measured_is_no_reading(self, shown: tuple[float | None, ...]) -> None:
        with pytest.raises(DeviceRefused, match="no current on L"):
            site_reading(MeterSnapshot(5.0, current_a=shown), 3)


class TestFed:
    def test_it_shows_what_it_is_told(self) -> None:
        clock = SteppedClock(DAY)
        meter = FedSiteMeter(clock, 3)
        heard: list[object] = []
        meter.on_reading = lambda: heard.append(meter.reading)
        meter.feed([1, 2.5, -3])
        assert meter.reading is not None
        assert (meter.reading.time, meter.reading.current_a) == (DAY, (1.0, 2.5, -3.0))
        meter.feed(7)
        assert meter.reading.current_a == (7.0, 7.0, 7.0)
        meter.close()
        meter.feed(8)
        assert len(heard) == 2

    @pytest.mark.parametrize("given", [[1, 2], [1, 2, "3"], [1, 2, None], float("nan"), 1e9, True, "9", {}])
    def test_nonsense_is_refused_and_changes_nothing(self, given: Any) -> None:
        meter = FedSiteMeter(SteppedClock(), 3)
        with pytest.raises(ValueError, match="current"):
            meter.feed(given)
        assert meter.reading is None


class TestSimulated:
    def simulated(
        self, load: Any, clock: SteppedClock, *evses: SimulatedEvse, **more: Any
    ) -> SimulatedSiteMeter:
        spec = SiteSpec({"driver": "simulated", "base_load_a": load}, 3, 1.0, evses, **more)
        meter = open_site_meter(spec, clock)
        assert isinstance(meter, SimulatedSiteMeter)
        meter.start()
        return meter

    @pytest.mark.search
    def test_the_house_over_a_day(self) -> None:
        clock = SteppedClock(DAY)
        meter = self.simulated({"06:30": 4, "18:00": [9, 4, 6]}, clock)
        seen = []
        for _ in range(4):
            assert meter.reading is not None
            seen.append(meter.reading.current_a)
            clock.advance(6.5 * 3600)
        assert seen == [(9, 4, 6), (4, 4, 4), (4, 4, 4), (9, 4, 6)]
        meter.close()
        assert clock.next_at() is None

    def test_what_the_connectors_draw_is_shown_too(self) -> None:
        clock = SteppedClock(DAY)
        evse = SimulatedEvse(EvseInfo(phases=1), clock)
        meter = self.simulated(2, clock, evse, lines={1: (1,)})
        evse.plug_in(load_vehicle("city"))
        from hal.api import Limit

        evse.permit(Limit(10.0))
        clock.advance(30)
        assert meter.reading is not None
        assert meter.reading.current_a == pytest.approx((2, 12, 2), abs=0.2)

    def test_it_can_be_silent(self) -> None:
        clock = SteppedClock(DAY)
        meter = self.simulated(2, clock)
        meter.silent = True
        clock.advance(10)
        assert meter.reading is not None
        assert meter.reading.time == DAY
        meter.silent = False
        clock.advance(1)
        assert meter.reading.time == DAY + 11

    @pytest.mark.parametrize("load", [[1, 2], "x", {}, {"24:00": 1}, {"6:00": 1}, {"06:00": "x"}, None])
    def test_nonsense_is_refused(self, load: Any) -> None:
        with pytest.raises(ValueError, match="meter: base_load_a: "):
            self.simulated(load, SteppedClock())


def test_drivers() -> None:
    assert {"fed", "simulated", "sdm630", "modbus"} <= set(site_meter_names())
    with pytest.raises(ValueError, match="driver"):
        open_site_meter(SiteSpec({"driver": "none"}, 3, 1.0), SteppedClock())
    polled = open_site_meter(SiteSpec({"driver": "sdm630", "host": "127.0.0.1"}, 3, 1.0), SteppedClock())
    assert isinstance(polled, PolledSiteMeter)
