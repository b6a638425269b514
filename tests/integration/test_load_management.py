"""A house and two vehicles at one grid connection: the station as a program, and a meter on a real socket."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chargepoint.config import parse
from chargepoint.station_type import StationType
from hal.device import MeterSnapshot
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.modbus.register_map import load_map
from tests.integration.piped import play
from tests.integration.station_process import StationProcess, at_central_system, configuration
from tests.standstills import again_after_a_standstill

PAGE = Path(__file__).parents[2] / "docs" / "load-management.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SITE = {
    "limit_a": 40,
    "meter": {"driver": "simulated", "base_load_a": 4},
    "rules": [{"busy": 2, "limit_a": 32}],
}


async def offers(cp: StationProcess) -> list[tuple[float, str]]:
    connectors = (await cp.do("status"))["connectors"]
    return [(connector["offered_a"], connector["because"]) for connector in connectors]


async def arrive(cp: StationProcess, connector: int) -> None:
    await cp.do("plug_in", connector=connector)
    await cp.do("swipe", id_tag=f"TAG{connector}", connector=connector)
    await cp.advance(20)


def test_an_evening(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, connectors=[{}, {}], site=SITE) as (central, cp):
            await cp.advance(5)
            await arrive(cp, 1)
            assert await offers(cp) == [(32.0, "hardware"), (0.0, "no transaction")]
            await arrive(cp, 2)
            rule = "site rule for 2 busy (32 A) shared by 2"
            assert await offers(cp) == [(16.0, rule), (16.0, rule)]
            await cp.do("site", current_a=[20, 1, 1])
            await cp.advance(5)
            left = "site limit (20 A of 40 A left) shared by 2"
            assert await offers(cp) == [(10.0, left), (10.0, left)]
            site = (await cp.do("status"))["site"]
            assert site["house_a"] == pytest.approx([20, 1, 1], abs=0.2)
            assert site["current_a"] == pytest.approx([40, 21, 21], abs=0.3)
            assert (site["left_a"], site["safe"], site["limit_a"]) == (20.0, False, 40.0)
            await cp.event("limit", connector=2, offered_a=10.0, because=left)
            answer = await central.call(
                "CP001", "GetCompositeSchedule", {"connectorId": 0, "duration": 600, "chargingRateUnit": "A"}
            )
            assert [p["limit"] for p in answer["chargingSchedule"]["chargingSchedulePeriod"]] == [32.0]
            await cp.do("network", online=False)
            await cp.do("site", silent=True)
            await cp.advance(20)
            silent = "site meter silent (6 A for all)"
            assert await offers(cp) == [(6.0, silent), (0.0, f"{silent}: nothing left")]
            assert (await cp.do("status"))["site"]["safe"]
            await cp.until(lambda line: "silent for 15 s" in line.get("message", ""))
            await cp.do("network", online=True)
            await cp.advance(5)
            told = [p for _, p in cp.calls("StatusNotification") if p["connectorId"] == 0]
            assert [p["errorCode"] for p in told] == ["NoError", "PowerMeterFailure"]
            assert told[-1]["status"] == "Available"
            await cp.do("site", silent=False, current_a=0)
            await cp.advance(60)
            assert await offers(cp) == [(16.0, rule), (16.0, rule)]
            await cp.do("reboot")
            await cp.advance(60)
            assert (await cp.do("status"))["site"]["left_a"] == 40.0
            await cp.shut_down()

    play(story)


def test_a_fed_meter_and_bad_arguments(tmp_path: Path) -> None:
    async def story() -> None:
        site = {"limit_a": 40, "meter": {"driver": "fed"}, "meter_lost_s": 60}
        async with at_central_system(tmp_path, site=site) as (_, cp):
            await cp.advance(5)
            await arrive(cp, 1)
            assert await offers(cp) == [(6.0, "site meter not read yet (6 A for all)")]
            for bad in (
                {},
                {"current_a": [1, 2]},
                {"current_a": [1, 2, "x"]},
                {"current_a": 1, "power_w": 1},
            ):
                assert await cp.refused("site", **bad) == "bad_argument", bad
            assert await cp.refused("site", silent=True) == "bad_argument"
            assert await cp.refused("site", current_a="9") == "bad_argument"
            await cp.do("site", power_w=6_900 + 3 * 230 * 6)
            assert await offers(cp) == [(30.0, "site limit (30 A of 40 A left)")]
            await cp.shut_down()

    play(story)


class House:
    """What the meter in the cellar shows: the house alone, for the vehicle of this story draws nothing."""

    def __init__(self, *current_a: float) -> None:
        self.current_a = current_a

    def __call__(self) -> MeterSnapshot:
        powers = tuple(230.0 * current_a for current_a in self.current_a)
        return MeterSnapshot(
            0.0,
            import_wh=1000.0,
            power_w=sum(powers),
            voltage_v=(230.0,) * 3,
            current_a=tuple(map(abs, self.current_a)),
            power_phase_w=powers,
            frequency_hz=50.0,
            power_factor=1.0,
        )


@again_after_a_standstill
def test_a_meter_on_modbus_goes_and_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(5.0, 12.0, -7.0)
        emulator = ModbusEmulator([EmulatedMeter(load_map("sdm630"), house, unit=2)])
        host, port = await emulator.serve_tcp()
        site = {
            "limit_a": 40, "poll_s": 0.2, "reaction_s": 1, "raise_after_s": 0.5, "meter_lost_s": 1,
            "meter": {"driver": "sdm630", "host": host, "tcp_port": port, "unit": 2, "timeout_s": 0.3},
        }  # fmt: skip
        try:
            async with at_central_system(tmp_path, clock="wall", site=site) as (_, cp):
                await cp.event("registration", status="Accepted")
                await cp.do("plug_in", connector=1)
                await cp.do("ev", connector=1, draws=False)
                await cp.do("swipe", id_tag="TAG", connector=1)
                await cp.event("limit", connector=1, offered_a=28.0, because="site limit (28 A of 40 A left)")
                assert (await cp.do("status"))["site"]["house_a"] == [5.0, 12.0, -7.0]
                house.current_a = (5.0, 25.0, 0.0)
                await cp.event("limit", connector=1, offered_a=15.0, because="site limit (15 A of 40 A left)")
                await emulator.vanish()
                await cp.event("limit", connector=1, offered_a=6.0, because="site meter silent (6 A for all)")
                await cp.until(
                    lambda line: "the site meter has been silent for 1 s (" in line.get("message", "")
                )
                house.current_a = (5.0, 30.0, 0.0)
                await emulator.come_back()
                await cp.event("limit", connector=1, offered_a=10.0, because="site limit (10 A of 40 A left)")
                await cp.shut_down()
        finally:
            await emulator.close()

    play(story)


def test_without_a_site_there_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            assert "site" not in await cp.do("status")
            assert await cp.refused("site", current_a=1) == "bad_state"
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_page_can_be_loaded(text: str) -> None:
    settings: Any = StationType(parse(text)).site
    assert settings is not None
    assert settings.limit_a in (25, 40)


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 3
    assert StationType(parse(EXAMPLES[0])).site.rules == ((2, 32.0),)  # type: ignore[union-attr]  # the examples have a site
    assert StationType(parse(EXAMPLES[2])).site.lines == {1: (0,), 2: (1,)}  # type: ignore[union-attr]  # the examples have a site


def test_a_real_meter_knows_one_time_only(tmp_path: Path) -> None:
    file = configuration(tmp_path, site={"limit_a": 40, "meter": {"driver": "sdm630", "host": "127.0.0.1"}})
    command = [
        sys.executable,
        "-m",
        "chargepoint",
        "run",
        "--config",
        str(file),
        "--clock=stepped",
        "--for=1h",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 2
    assert "the site meter is real hardware (sdm630): use --clock wall" in done.stderr
