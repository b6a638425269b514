"""What goes over the wire is physically possible, whatever charges: OCPP 1.6 §7.31, §9.1.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.ocpp16.times import parse_time
from hal.api import EvseInfo
from hal.simulated.vehicle import Vehicle, load_vehicle, vehicle_names
from tests.unit.ocpp16.bench import START, Bench

EVERY_S = 5
REGISTER = "Energy.Active.Import.Register"
INTERVAL = "Energy.Active.Import.Interval"
MEASURED = (
    f"Power.Active.Import,Power.Offered,Current.Import,Current.Offered,Voltage,SoC,{REGISTER},{INTERVAL}"
)
AC_3P = EvseInfo()
AC_1P = EvseInfo(phases=1)
DC = EvseInfo(current="dc", max_current_a=150.0, max_power_w=60_000.0, tethered=True, lockable=False)
DC_VEHICLES = [name for name in vehicle_names() if load_vehicle(name).dc_max_power_w]

Instant = Mapping[tuple[str, str | None], float]
"""(measurand, phase) -> value."""

AC_CASES = st.tuples(st.sampled_from([AC_3P, AC_1P]), st.sampled_from(vehicle_names()))
DC_CASES = st.tuples(st.just(DC), st.sampled_from(DC_VEHICLES))
SOCS = st.sampled_from([0.0, 5.0, 20.0, 50.0, 79.0, 90.0, 96.5, 99.0, 99.9])
STEPS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([0.0, 5.0, 6.0, 8.3, 13.0, 16.0, 25.5, 32.0])), max_size=4
)
"""For how many samples which share of the hardware's maximum applies, in amperes of 32."""


def charge(
    case: tuple[EvseInfo, str], soc: float, steps: Sequence[tuple[int, float]]
) -> tuple[Vehicle, list[tuple[float, Instant]], dict[str, int]]:
    """Every instant that was reported, by time; and the register at the start and the end."""
    info, name = case
    factors = "" if info is DC else ",Power.Factor"
    bench = Bench(
        info=info,
        ocpp={
            "MeterValueSampleInterval": str(EVERY_S),
            "MeterValuesSampledData": MEASURED + factors,
            "StopTxnSampledData": INTERVAL,
        },
    )
    bench.connect()
    bench.plug_in(1, name, soc)
    bench.swipe("TAG", 1)
    bench.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(info, steps)})
    bench.advance((sum(samples for samples, _ in steps) + 40) * EVERY_S + 2.5)
    bench.swipe("TAG", 1)
    bench.advance(20)
    found: dict[float, dict[tuple[str, str | None], float]] = {}
    for payload in bench.sent("MeterValues"):
        for meter_value in payload["meterValue"]:
            at = parse_time(meter_value["timestamp"]) - START
            for sampled in meter_value["sampledValue"]:
                where = found.setdefault(at, {})
                where[sampled["measurand"], sampled.get("phase")] = float(sampled["value"])
    stop = bench.sent("StopTransaction")[0]
    last = [value for value in stop["transactionData"] if value["sampledValue"][0]["measurand"] == INTERVAL][
        -1
    ]
    energies = {
        "start": bench.sent("StartTransaction")[0]["meterStart"],
        "stop": stop["meterStop"],
        "last": int(last["sampledValue"][0]["value"]),
    }
    return load_vehicle(name), sorted(found.items()), energies


def profile(info: EvseInfo, steps: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """A relative default whose periods change between two samples, in A (AC) or W (DC)."""
    periods, at = [], 0
    for samples, limit_a in steps:
        limit = limit_a if info is not DC else round(limit_a / 32 * 60_000, 1)
        periods.append({"startPeriod": at, "limit": limit})
        at += samples * EVERY_S
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "W" if info is DC else "A",
            "chargingSchedulePeriod": periods or [{"startPeriod": 0, "limit": 60_000 if info is DC else 32}],
            **({"duration": at} if at else {}),
        },
    }


def phases_of(instant: Instant, measurand: str) -> list[float]:
    return [value for (name, phase), value in sorted(instant.items(), key=str) if name == measurand and phase]


def check_instant(instant: Instant, info: EvseInfo) -> None:
    """Voltage, current, power factor and power of one instant agree, and nothing exceeds the offer."""
    power_w = instant["Power.Active.Import", None]
    if info is DC:
        voltage_v, current_a = [instant["Voltage", None]], [instant["Current.Import", None]]
        factor = 1.0
    else:
        voltage_v, current_a = phases_of(instant, "Voltage"), phases_of(instant, "Current.Import")
        factor = instant["Power.Factor", None]
        assert len(voltage_v) == len(current_a) == info.phases
        by_phase = phases_of(instant, "Power.Active.Import")
        assert not by_phase or abs(sum(by_phase) - power_w) <= 0.05 * (info.phases + 1) + 1e-6
    product_w = sum(volts * amperes for volts, amperes in zip(voltage_v, current_a, strict=True)) * factor
    rounding_w = sum(
        0.005 * volts + 0.05 * amperes + 0.0005 * volts * amperes
        for volts, amperes in zip(voltage_v, current_a, strict=True)
    )
    assert abs(product_w - power_w) <= rounding_w + 0.1
    assert max(current_a) <= instant["Current.Offered", None] + 0.01
    assert power_w <= instant["Power.Offered", None] + 0.1


@pytest.mark.search
@given(st.one_of(AC_CASES, AC_CASES, DC_CASES), SOCS, STEPS)
def test_values_of_one_instant_and_over_time_agree(
    case: tuple[EvseInfo, str], soc: float, steps: list[tuple[int, float]]
) -> None:
    info = case[0]
    vehicle, instants, energies = charge(case, soc, steps)
    samples = [(at, instant) for at, instant in instants if (REGISTER, None) in instant]
    assert [at for at, _ in samples] == [EVERY_S * n for n in range(1, len(samples) + 1)]
    for _, instant in samples:
        check_instant(instant, info)
    check_register(samples, energies)
    check_soc(samples, vehicle, info, soc, energies["start"])
    intervals = [(at, instant[INTERVAL, None]) for at, instant in instants if (INTERVAL, None) in instant]
    registers = [float(energies["start"]), *(instant[REGISTER, None] for _, instant in samples)]
    assert intervals == [
        (EVERY_S * n, later - earlier) for n, (earlier, later) in enumerate(pairwise(registers))
    ]
    assert energies["last"] == energies["stop"] - registers[-1]


def check_register(samples: Sequence[tuple[float, Instant]], energies: Mapping[str, int]) -> None:
    """The register is the integral of the power: it gains what the power before, between and after allows."""
    total_wh, spread_wh = 0.0, 0.0
    for (_, before), (_, after) in pairwise(samples):
        powers_w = (before["Power.Active.Import", None], after["Power.Active.Import", None])
        low_w, high_w = min(powers_w), max(powers_w)
        if before["Power.Offered", None] != after["Power.Offered", None]:
            high_w = max(high_w, before["Power.Offered", None])  # it may have climbed until it was cut
        gained_wh = after[REGISTER, None] - before[REGISTER, None]
        assert gained_wh >= 0
        assert low_w * EVERY_S / 3600 * 0.99 - 1 <= gained_wh <= high_w * EVERY_S / 3600 * 1.01 + 1
        total_wh += sum(powers_w) / 2 * EVERY_S / 3600
        spread_wh += (high_w - low_w) * EVERY_S / 3600
    first, last = samples[0][1][REGISTER, None], samples[-1][1][REGISTER, None]
    assert abs(last - first - total_wh) <= spread_wh + 0.001 * total_wh + 1
    assert energies["start"] <= first
    assert last <= energies["stop"]


def check_soc(
    samples: Sequence[tuple[float, Instant]], vehicle: Vehicle, info: EvseInfo, soc: float, start_wh: float
) -> None:
    """The battery gains what the register counted, less what is lost on the way."""
    efficiency = vehicle.dc_efficiency if info is DC else vehicle.efficiency
    before, lost_wh = soc - 0.5, 0.0
    for _, instant in samples:
        if instant["Power.Active.Import", None] > 0 and info is not DC:
            lost_wh += vehicle.idle_w * EVERY_S / 3600
        shown = instant["SoC", None]
        assert shown >= before
        before = shown
        stored_wh = (instant[REGISTER, None] - start_wh - lost_wh) * efficiency
        uncertain_wh = 1 + vehicle.idle_w * EVERY_S / 3600 * 6
        expected = soc + stored_wh / vehicle.battery_wh * 100
        assert abs(shown - expected) <= 0.5 + uncertain_wh / vehicle.battery_wh * 100
