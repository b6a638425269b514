"""The stand behind `chargepoint emulate`: one outlet that all its devices agree about."""

from __future__ import annotations

import pytest

from hal.clock import SteppedClock
from hal.emulators.stand import Device, Refused, Stand, parse_device
from hal.modbus.meter import open_meter
from hal.modbus.register_map import map_names
from tests.jumping_loop import run_jumping


@pytest.mark.emulated
@pytest.mark.parametrize("way", ["serial", "tcp"])
@pytest.mark.parametrize("name", map_names())
def test_every_meter_shows_what_flows_at_the_outlet(name: str, way: str) -> None:
    async def story() -> None:
        clock = SteppedClock(1_800_000_000.0)
        device = Device(name, 3)
        stand = Stand([device], clock, energy_wh=1_234_500.0)
        await (stand.open_serial() if way == "serial" else stand.open_tcp())
        try:
            stand.plug_in("compact", 20.0)
            clock.advance(10.0)
            meter = open_meter({"driver": name, "gap_s": 0.0, **stand.settings[device]}, clock)
            try:
                await meter.open()
                seen = await meter.read()
            finally:
                await meter.close()
            holds = stand.outlet.reading()
            assert holds.power_w > 3_000
            assert seen.power_w == pytest.approx(holds.power_w, rel=1e-4)
            assert seen.import_wh == pytest.approx(holds.energy_wh, abs=101.0 if name[0] == "e" else 10.0)
            volts_times_amperes = sum(
                (v or 0.0) * (a or 0.0) for v, a in zip(seen.voltage_v, seen.current_a, strict=True)
            )
            if seen.voltage_v:
                assert volts_times_amperes == pytest.approx(holds.power_w, rel=0.05)
        finally:
            await stand.close()

    run_jumping(story())


@pytest.mark.emulated
@pytest.mark.parametrize(
    "devices", [["evse-wb", "sdm630:2"], ["phoenix"], ["openevse", "rdm6300"], ["pn532"]], ids=" ".join
)
def test_everything_that_breaks_can_be_mended(devices: list[str]) -> None:
    async def story() -> None:
        stand = Stand([parse_device(text) for text in devices], SteppedClock())
        await stand.open_serial()
        try:
            assert stand.faults()
            for name in stand.faults():
                await stand.fault(name)
                await stand.fault(name, False)
            assert ("deaf" in stand.faults()) is ("pn532" not in devices)
            assert ("silent" in stand.faults()) is bool({"openevse", "pn532"} & set(devices))
            with pytest.raises(Refused, match="there are failed"):
                await stand.fault("no such fault")
        finally:
            await stand.close()

    run_jumping(story())
