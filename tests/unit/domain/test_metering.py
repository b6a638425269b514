"""Measurand lists, samples, the clock-aligned grid and thinning (OCPP 1.6 §3.16, §7.31-7.49, §9.1.5)."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.domain.metering import (
    DAY_S,
    ENERGY,
    PHASES,
    IntervalEnergy,
    Measurand,
    MeasurandError,
    Sample,
    next_aligned,
    parse_measurands,
    samples,
    supported,
    thin,
    timed,
    whole_wh,
)
from hal.api import NOTHING, EvseInfo, Limit, MeterReading

OFFERED = Limit(16.0)
THREE = EvseInfo()
ONE = EvseInfo(phases=1)
DC = EvseInfo(current="dc", max_current_a=200.0, max_power_w=100_000.0, tethered=True)

FULL = MeterReading(
    time=0.0,
    energy_wh=1234.9,
    power_w=10_929.6,
    current_a=(16.0, 15.994, 15.0),
    voltage_v=(230.04, 229.96, 231.0),
    power_phase_w=(3680.0, 3677.4, 3572.2),
    power_factor=0.9994,
    frequency_hz=49.987,
    temperature_c=31.26,
    soc_percent=54.4,
)
BARE = MeterReading(time=0.0, energy_wh=0.0, power_w=0.0)
DC_READING = MeterReading(0.0, 500.0, 40_000.0, current_a=(100.0,), voltage_v=(400.0,), soc_percent=80.0)


def taken(
    text: str,
    reading: MeterReading = FULL,
    offered: Limit = OFFERED,
    phases: int = 3,
    info: EvseInfo = THREE,
    interval: IntervalEnergy | None = None,
) -> list[tuple[str, str | None, str | None]]:
    """Value, unit and phase of what one list gives."""
    found = samples(parse_measurands(text), reading, offered, phases, info, interval)
    return [(sample.value, sample.unit, sample.phase) for sample in found]


def schema_enum(field: str) -> set[str]:
    """The words the message schema allows for one field of a sampled value."""
    text = files("ocpp.v16").joinpath("schemas", "MeterValues.json").read_text(encoding="utf-8-sig")
    schema: dict[str, Any] = json.loads(text)
    value = schema["properties"]["meterValue"]["items"]["properties"]["sampledValue"]["items"]
    return set(value["properties"][field]["enum"])


class TestParse:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("", (), id="empty"),
            pytest.param("  ", (), id="blank"),
            pytest.param("SoC", (Measurand("SoC"),), id="one"),
            pytest.param(" SoC , Voltage ", (Measurand("SoC"), Measurand("Voltage")), id="blanks"),
            pytest.param("Energy.Active.Import.Register", (ENERGY,), id="dots are no phase"),
            pytest.param("Voltage.L1", (Measurand("Voltage", "L1"),), id="phase"),
            pytest.param("Voltage.L1-N", (Measurand("Voltage", "L1-N"),), id="phase to neutral"),
            pytest.param("Voltage.L4", (Measurand("Voltage.L4"),), id="no such phase"),
            pytest.param("L1", (Measurand("L1"),), id="phase alone is a name"),
            pytest.param("SoC.N", (Measurand("SoC", "N"),), id="senseless phase"),
        ],
    )
    def test_elements(self, text: str, expected: tuple[Measurand, ...]) -> None:
        assert parse_measurands(text) == expected

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            pytest.param("SoC,,Voltage", "empty", id="empty element"),
            pytest.param("SoC,", "empty", id="trailing comma"),
            pytest.param("SoC,Voltage, SoC", "twice", id="duplicate"),
            pytest.param("Voltage.L1,Voltage.L1", "twice", id="duplicate phase"),
            pytest.param("SoC,RPM", "RPM", id="unsupported"),
            pytest.param("soc", "soc", id="wrong case"),
            pytest.param("Voltage.L1-L2", "Voltage.L1-L2", id="unsupported phase"),
            pytest.param("Frequency.L1", "Frequency.L1", id="phase of what has none"),
        ],
    )
    def test_refused(self, text: str, word: str) -> None:
        with pytest.raises(MeasurandError, match=re.escape(word)):
            parse_measurands(text, supported(THREE))

    def test_rendering_is_the_inverse(self) -> None:
        text = "Voltage.L1-N,Energy.Active.Import.Register,Current.Import.L2"
        assert ",".join(map(str, parse_measurands(text))) == text


class TestSupported:
    @pytest.mark.parametrize(
        ("info", "element", "expected"),
        [
            pytest.param(THREE, "Current.Import.L3", True, id="three phases, L3"),
            pytest.param(ONE, "Current.Import.L1", True, id="one phase, L1"),
            pytest.param(ONE, "Current.Import.L3", False, id="one phase, L3"),
            pytest.param(THREE, "Voltage.L2-N", True, id="voltage to neutral"),
            pytest.param(THREE, "Voltage.L2", True, id="voltage, short"),
            pytest.param(THREE, "Current.Import.N", False, id="neutral is not measured"),
            pytest.param(THREE, "Power.Offered.L1", False, id="offers have no phase"),
            pytest.param(THREE, "Energy.Active.Export.Register", False, id="no export"),
            pytest.param(DC, "SoC", True, id="dc soc"),
            pytest.param(DC, "Current.Import", True, id="dc current"),
            pytest.param(DC, "Current.Import.L1", False, id="dc has no phases"),
            pytest.param(DC, "Power.Factor", False, id="dc has no power factor"),
            pytest.param(DC, "Frequency", False, id="dc has no frequency"),
        ],
    )
    def test_by_hardware(self, info: EvseInfo, element: str, expected: bool) -> None:
        assert (parse_measurands(element)[0] in supported(info)) is expected

    @pytest.mark.parametrize("info", [THREE, ONE, DC], ids=["three phases", "one phase", "dc"])
    def test_words_are_those_of_the_schema(self, info: EvseInfo) -> None:
        everything = tuple(sorted(supported(info), key=str))
        interval = IntervalEnergy(0.0, 0.0)
        reading = DC_READING if info is DC else FULL
        found = samples(everything, reading, Limit(16.0), 3, info, interval)
        assert {sample.measurand for sample in found} <= schema_enum("measurand")
        assert {sample.unit for sample in found} - {None} <= schema_enum("unit")
        assert {sample.phase for sample in found} - {None} <= schema_enum("phase")
        assert {sample.location for sample in found} - {None} <= schema_enum("location")
        assert schema_enum("phase") == PHASES
        assert all(re.fullmatch(r"-?\d+(\.\d+)?", sample.value) for sample in found)

    def test_everything_supported_is_reported_when_measured(self) -> None:
        for measurand in supported(THREE):
            assert samples((measurand,), FULL, Limit(16.0), 3, THREE, IntervalEnergy(0.0, 0.0)), measurand


class TestSamples:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("Energy.Active.Import.Register", [("1234", "Wh", None)], id="register"),
            pytest.param(
                "Power.Active.Import",
                [("10929.6", "W", None), ("3680.0", "W", "L1"), ("3677.4", "W", "L2"), ("3572.2", "W", "L3")],
                id="power: total and phases",
            ),
            pytest.param("Power.Active.Import.L2", [("3677.4", "W", "L2")], id="power of one phase"),
            pytest.param("Power.Offered", [("11040.0", "W", None)], id="power offered"),
            pytest.param("Power.Factor", [("0.999", None, None)], id="power factor"),
            pytest.param(
                "Current.Import",
                [("16.00", "A", "L1"), ("15.99", "A", "L2"), ("15.00", "A", "L3")],
                id="current: phases only",
            ),
            pytest.param("Current.Offered", [("16.00", "A", None)], id="current offered"),
            pytest.param(
                "Voltage",
                [("230.0", "V", "L1-N"), ("230.0", "V", "L2-N"), ("231.0", "V", "L3-N")],
                id="voltage: to neutral",
            ),
            pytest.param("Voltage.L3", [("231.0", "V", "L3")], id="voltage under the phase asked for"),
            pytest.param("Voltage.L3-N", [("231.0", "V", "L3-N")], id="voltage of one phase"),
            pytest.param("Frequency", [("49.99", None, None)], id="frequency has no unit"),
            pytest.param("Temperature", [("31.3", "Celcius", None)], id="temperature"),
            pytest.param("SoC", [("54", "Percent", None)], id="state of charge"),
            pytest.param("RPM", [], id="what nobody measures"),
            pytest.param("Energy.Active.Import.Interval", [], id="no interval"),
            pytest.param("SoC,Frequency", [("54", "Percent", None), ("49.99", None, None)], id="order asked"),
        ],
    )
    def test_three_phases(self, text: str, expected: list[tuple[str, str | None, str | None]]) -> None:
        assert taken(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("Power.Active.Import", [("3680.0", "W", None)], id="power once"),
            pytest.param("Power.Active.Import.L1", [("3680.0", "W", "L1")], id="power of L1 when asked"),
            pytest.param("Current.Import", [("16.00", "A", "L1")], id="current"),
            pytest.param("Voltage", [("230.0", "V", "L1-N")], id="voltage"),
            pytest.param("Power.Offered", [("3680.0", "W", None)], id="offered over one phase"),
        ],
    )
    def test_one_phase(self, text: str, expected: list[tuple[str, str | None, str | None]]) -> None:
        reading = MeterReading(0.0, 0.0, 3680.0, current_a=(16.0,), voltage_v=(230.0,))
        assert taken(text, reading, phases=1, info=ONE) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("Current.Import", [("100.00", "A", None)], id="current"),
            pytest.param("Voltage", [("400.0", "V", None)], id="voltage"),
            pytest.param("Power.Active.Import", [("40000.0", "W", None)], id="power"),
            pytest.param("SoC", [("80", "Percent", None)], id="state of charge"),
        ],
    )
    def test_direct_current(self, text: str, expected: list[tuple[str, str | None, str | None]]) -> None:
        assert taken(text, DC_READING, Limit(150.0), info=DC) == expected

    @pytest.mark.parametrize(
        ("offered", "phases", "info", "current_a", "power_w"),
        [
            pytest.param(NOTHING, 3, THREE, "0.00", "0.0", id="nothing"),
            pytest.param(Limit(16.0), 3, THREE, "16.00", "11040.0", id="amperes, three phases"),
            pytest.param(Limit(16.0), 1, THREE, "16.00", "3680.0", id="amperes, one phase used"),
            pytest.param(Limit(16.0, 11_000.0), 3, THREE, "16.00", "11000.0", id="watts decide"),
            pytest.param(Limit(16.0, 11_000.0), 1, THREE, "16.00", "3680.0", id="watts beyond one phase"),
            pytest.param(Limit(16.0, 0.0), 3, THREE, "0.00", "0.0", id="zero watts"),
            pytest.param(Limit(200.0, 50_000.0), 3, DC, "200.00", "50000.0", id="dc, watts"),
            pytest.param(Limit(200.0), 3, DC, "200.00", "100000.0", id="dc, hardware's watts"),
            pytest.param(Limit(200.0, 150_000.0), 3, DC, "200.00", "100000.0", id="dc, beyond hardware"),
        ],
    )
    def test_offers(self, offered: Limit, phases: int, info: EvseInfo, current_a: str, power_w: str) -> None:
        found = taken("Current.Offered,Power.Offered", BARE, offered, phases, info)
        assert [value for value, _, _ in found] == [current_a, power_w]

    def test_direct_current_without_a_known_power_is_offered_at_the_measured_voltage(self) -> None:
        info = EvseInfo(current="dc", max_current_a=125.0)
        assert taken("Power.Offered", DC_READING, Limit(100.0), info=info) == [("40000.0", "W", None)]
        assert taken("Power.Offered", BARE, Limit(100.0), info=info) == []

    def test_what_is_not_measured_is_left_out(self) -> None:
        text = "Current.Import,Voltage,Power.Factor,Frequency,Temperature,SoC,Power.Active.Import.L2"
        assert taken(text, BARE) == []
        assert taken("Power.Active.Import", BARE) == [("0.0", "W", None)]

    @pytest.mark.parametrize(
        ("text", "reading", "value"),
        [
            pytest.param("Power.Active.Import", MeterReading(0.0, 0.0, -42.0), "0.0", id="feeding back"),
            pytest.param("Power.Active.Import", MeterReading(0.0, 0.0, -0.0), "0.0", id="negative zero"),
            pytest.param(
                "Current.Import", MeterReading(0.0, 0.0, 0.0, current_a=(-0.3,)), "0.00", id="current"
            ),
            pytest.param(
                "Temperature", MeterReading(0.0, 0.0, 0.0, temperature_c=-0.04), "0.0", id="rounds to zero"
            ),
            pytest.param("Temperature", MeterReading(0.0, 0.0, 0.0, temperature_c=-7.26), "-7.3", id="frost"),
            pytest.param(
                "Energy.Active.Import.Register",
                MeterReading(0.0, 3.2e16, 0.0),
                "32000000000000000",
                id="huge",
            ),
            pytest.param("Power.Active.Import", MeterReading(0.0, 0.0, 1e-7), "0.0", id="no exponent"),
        ],
    )
    def test_signs_and_exponents(self, text: str, reading: MeterReading, value: str) -> None:
        assert taken(text, reading)[0][0] == value

    def test_temperature_unit_and_locations(self) -> None:
        measurands = parse_measurands("Temperature,SoC,Voltage.L1")
        found = samples(measurands, FULL, NOTHING, 3, THREE, temperature_unit="Celsius")
        assert [(sample.unit, sample.location) for sample in found] == [
            ("Celsius", "Body"),
            ("Percent", "EV"),
            ("V", None),
        ]

    @given(
        voltage_v=st.floats(180, 260),
        current_a=st.floats(6, 80),
        power_factor=st.floats(0.8, 1.0),
    )
    def test_rounded_values_still_agree(
        self, voltage_v: float, current_a: float, power_factor: float
    ) -> None:
        power_w = voltage_v * current_a * 3 * power_factor
        reading = MeterReading(
            0.0, 0.0, power_w, (current_a,) * 3, (voltage_v,) * 3, power_factor=power_factor
        )
        found = taken("Voltage.L1,Current.Import.L1,Power.Factor,Power.Active.Import", reading)
        volts, amperes, factor, watts = (float(value) for value, _, _ in found)
        assert volts * amperes * 3 * factor == pytest.approx(watts, rel=0.003)


class TestRegister:
    @pytest.mark.parametrize(
        ("energy_wh", "expected"),
        [
            pytest.param(0.0, 0, id="zero"),
            pytest.param(999.999, 999, id="rounded down"),
            pytest.param(1000.0, 1000, id="whole"),
            pytest.param(1234566.9999999998, 1234567, id="noise of a kWh register"),
        ],
    )
    def test_whole_wh(self, energy_wh: float, expected: int) -> None:
        assert whole_wh(energy_wh) == expected

    @given(st.floats(0, 1e9), st.floats(0, 1e6))
    def test_never_goes_back(self, start_wh: float, delivered_wh: float) -> None:
        assert whole_wh(start_wh + delivered_wh) >= whole_wh(start_wh)

    @given(st.lists(st.floats(0, 5000), min_size=1, max_size=20))
    def test_intervals_add_up_to_the_register(self, steps_wh: list[float]) -> None:
        total, register_wh = 0, 100.4
        for step_wh in steps_wh:
            interval = IntervalEnergy(0.0, register_wh)
            register_wh += step_wh
            reading = MeterReading(0.0, register_wh, 0.0)
            total += int(taken("Energy.Active.Import.Interval", reading, interval=interval)[0][0])
        assert total == whole_wh(register_wh) - 100


class TestTimed:
    REGISTER = Sample("Energy.Active.Import.Register", "5", "Wh")
    INTERVAL = Sample("Energy.Active.Import.Interval", "2", "Wh")

    def test_an_interval_carries_its_start(self) -> None:
        found = timed((self.REGISTER, self.INTERVAL), 900.0, IntervalEnergy(0.0, 3.0))
        assert found == [(0.0, (self.INTERVAL,)), (900.0, (self.REGISTER,))]

    def test_without_intervals_there_is_one_moment(self) -> None:
        assert timed((self.REGISTER,), 900.0, IntervalEnergy(0.0, 3.0)) == [(900.0, (self.REGISTER,))]
        assert timed((self.INTERVAL,), 900.0, IntervalEnergy(0.0, 3.0)) == [(0.0, (self.INTERVAL,))]

    def test_nothing_measured_is_no_moment(self) -> None:
        assert timed((), 900.0, None) == []


class TestAligned:
    DAY = 19_000 * DAY_S  # some UTC midnight

    @pytest.mark.parametrize(
        ("at", "interval_s", "expected"),
        [
            pytest.param(0.0, 900, 900.0, id="on the grid means the next one"),
            pytest.param(899.999, 900, 900.0, id="just before"),
            pytest.param(900.001, 900, 1800.0, id="just after"),
            pytest.param(41.0, 20, 60.0, id="twenty seconds"),
            pytest.param(DAY_S - 1.0, 900, float(DAY_S), id="midnight"),
            pytest.param(84_000.0, 7000, float(DAY_S), id="last step of the day is shorter"),
            pytest.param(float(DAY_S), 7000, DAY_S + 7000.0, id="new grid at midnight"),
            pytest.param(10.0, DAY_S, float(DAY_S), id="one a day"),
            pytest.param(10.0, 3 * DAY_S, float(DAY_S), id="longer than a day"),
        ],
    )
    def test_next(self, at: float, interval_s: int, expected: float) -> None:
        assert next_aligned(self.DAY + at, interval_s) == self.DAY + expected

    @given(st.floats(0, 4e9), st.integers(1, 2**31 - 1))
    def test_always_later_and_never_more_than_one_interval(self, at: float, interval_s: int) -> None:
        found = next_aligned(at, interval_s)
        assert at < found <= at + min(interval_s, DAY_S)
        assert found % DAY_S == 0 or (found % DAY_S) % interval_s == 0

    def test_following_the_grid_gives_whole_steps_over_the_change_of_summer_time(self) -> None:
        at = 1_743_292_800.0  # 2025-03-30 00:00 UTC, the day European clocks change
        moments = []
        for _ in range(96):
            at = next_aligned(at, 900)
            moments.append(at)
        assert moments == [1_743_292_800.0 + 900 * n for n in range(1, 97)]


class TestThin:
    BEGIN, END = "Transaction.Begin", "Transaction.End"

    @pytest.mark.parametrize(
        ("periodic", "maximum", "kept"),
        [
            pytest.param(6, 8, [1, 2, 3, 4, 5, 6], id="fits"),
            pytest.param(6, 7, [2, 4, 6], id="every second"),
            pytest.param(6, 5, [2, 4, 6], id="exactly enough"),
            pytest.param(6, 4, [4], id="every second, twice"),
            pytest.param(6, 2, [], id="edges only"),
            pytest.param(6, 0, [], id="edges always stay"),
            pytest.param(0, 1, [], id="nothing to leave out"),
        ],
    )
    def test_keeps_begin_and_end(self, periodic: int, maximum: int, kept: list[int]) -> None:
        values = [(self.BEGIN, 0), *(("Sample.Periodic", n) for n in range(1, periodic + 1)), (self.END, 99)]
        found = thin(values, maximum, lambda value: value[0])
        assert found == [(self.BEGIN, 0), *(("Sample.Periodic", n) for n in kept), (self.END, 99)]

    @given(st.integers(0, 300), st.integers(2, 300))
    def test_never_more_than_allowed_and_always_evenly_spaced(self, periodic: int, maximum: int) -> None:
        values = [(self.BEGIN, 0), *(("Sample.Clock", n) for n in range(1, periodic + 1)), (self.END, 0)]
        found = thin(values, maximum, lambda value: value[0])
        assert len(found) <= maximum
        moments = [0, *(n for context, n in found if context == "Sample.Clock")]
        assert len({later - earlier for earlier, later in pairwise(moments)}) <= 1
