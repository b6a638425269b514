"""What a connector says it will draw is what its meter then shows."""

from __future__ import annotations

import pytest

from hal.api import EvseInfo, Limit
from hal.clock import SteppedClock
from hal.simulated.course import Course
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import vehicle_from

AC, DC = EvseInfo(), EvseInfo(current="dc", max_current_a=200.0, max_power_w=50_000.0)


@pytest.mark.parametrize("info", [AC, DC], ids=["ac", "dc"])
def test_the_course_foretells_every_reading(info: EvseInfo) -> None:
    clock = SteppedClock(1_772_409_600.0)
    evse = SimulatedEvse(info, clock)
    evse.permit(Limit(info.max_current_a, info.max_power_w))
    evse.plug_in(vehicle_from({"kind": "city", "battery_wh": 15_000, "soc_percent": 40}))
    clock.advance(10)
    course, began_wh = evse.course, evse.register_wh
    began_wh -= course.gained_wh(clock.now())
    drew = []
    for _ in range(20):
        reading = evse.reading()
        drew.append(reading.power_w)
        assert course.power_w(clock.now()) == pytest.approx(reading.power_w, abs=1e-6)
        assert began_wh + course.gained_wh(clock.now()) == pytest.approx(reading.energy_wh)
        if info.current == "ac":
            assert course.current_a(clock.now()) == pytest.approx(reading.current_a)
        else:
            assert sum(course.current_a(clock.now())) * 230 == pytest.approx(reading.power_w)
        clock.advance(173)
    assert len(set(drew)) > 3, "it tapers"


def test_every_new_course_is_told() -> None:
    clock = SteppedClock(0.0)
    evse = SimulatedEvse(AC, clock)
    told: list[Course] = []
    evse.observer = lambda: told.append(evse.course)
    evse.permit(Limit(16))
    evse.plug_in(vehicle_from({"kind": "city"}))
    clock.advance(5)  # it wakes
    evse.permit(Limit(10))
    evse.adjust(draws=False)
    evse.plug_out()
    assert [
        (course.offered.current_a, course.car is not None, course.charge is not None) for course in told
    ] == [
        (16, False, False),
        (16, True, False),
        (16, True, True),
        (10, True, True),
        (10, True, False),
        (10, False, False),
    ]
