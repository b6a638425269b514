"""The examples of deploy/examples at emulated devices: each is found where the file says, read, and charges.

Only the ports are exchanged. The relay's example needs pins and the keyboard reader an input device, which
no test machine has: the first is left out, the second taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chargepoint.cli.devices import devices_of
from chargepoint.config import parse
from chargepoint.csms.central_system import CentralSystem
from hal.api import EvseInfo, MeterReading
from hal.clock import WallClock
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import EmulatedUnit, ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.emulators.pn532 import Pn532Emulator
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.modbus.register_map import load_map
from hal.simulated.vehicle import load_vehicle
from tests.integration.piped import play
from tests.integration.station_process import station
from tests.standstills import again_after_a_standstill

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
KEYBOARD = re.compile(r"^readers:\n  - driver: keyboard\n.*", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Bench:
    """The devices of one example, and its text with their ports."""

    outlets: list[Outlet] = field(default_factory=list)
    swipe: Callable[[], None] | None = None
    lines: list[PtyBus] = field(default_factory=list)
    modbus: list[tuple[PtyBus, list[EmulatedUnit]]] = field(default_factory=list)

    def outlet(self, phases: int = 3) -> Outlet:
        self.outlets.append(Outlet(EvseInfo(phases=phases), WallClock(), energy_wh=5000.0))
        return self.outlets[-1]

    def line(self) -> PtyBus:
        self.lines.append(PtyBus(1))
        return self.lines[-1]

    def rs485(self, *units: EmulatedUnit) -> None:
        self.modbus.append((self.line(), list(units)))

    def meter(self, model: str, reading: Callable[[], MeterReading], unit: int) -> EmulatedMeter:
        return EmulatedMeter(load_map(model), reading, unit)

    def text(self, name: str) -> str:
        """The example, its ports in the order of the file being those of the lines."""
        text = KEYBOARD.sub("", (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
        ports = list(dict.fromkeys(re.findall(r"/dev/(?:serial/by-id|tty)\S+", re.sub(r" #.*", "", text))))
        assert len(ports) == len(self.lines)
        for port, line in zip(ports, self.lines, strict=True):
            text = text.replace(port, line.names[0])
        return text


def evse_wb_sdm630_rdm6300(bench: Bench) -> None:
    outlet = bench.outlet()
    bench.rs485(EvseWbEmulator(outlet, 1), bench.meter("sdm630", outlet.reading, 2))
    reader = Rdm6300Emulator(bench.line())
    bench.swipe = lambda: reader.present("100086F444")


def openevse_pn532(bench: Bench) -> None:
    RapiEmulator(bench.line(), bench.outlet(1), WallClock())
    reader = Pn532Emulator(bench.line())
    bench.swipe = lambda: setattr(reader, "card", "04E12345A1B2C3")


def phoenix_abb_b23(bench: Bench) -> None:
    outlet = bench.outlet()
    bench.rs485(PhoenixEmulator(outlet, 1), bench.meter("abb-b23", outlet.reading, 2))


def two_connectors_load_management(bench: Bench) -> None:
    one, two = bench.outlet(), bench.outlet()
    bench.rs485(
        EvseWbEmulator(one, 1),
        bench.meter("sdm630", one.reading, 11),
        EvseWbEmulator(two, 2),
        bench.meter("sdm630", two.reading, 12),
        bench.meter("sdm630", one.reading, 20),  # a house that draws nothing but what connector 1 does
    )


BENCHES = {
    "pi-evse-wb-sdm630-rdm6300": evse_wb_sdm630_rdm6300,
    "pi-openevse-pn532": openevse_pn532,
    "pi-phoenix-abb-b23": phoenix_abb_b23,
    "pi-two-connectors-load-management": two_connectors_load_management,
}


@contextmanager
def bench_of(name: str) -> Iterator[Bench]:
    bench = Bench()
    try:
        BENCHES[name](bench)
        yield bench
    finally:
        for line in bench.lines:
            line.close()


def test_every_example_but_the_relay_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} - set(BENCHES) == {"pi-relay-sdm120"}


@pytest.mark.parametrize("name", BENCHES)
def test_all_devices_are_found_and_read(name: str) -> None:
    async def story() -> None:
        with bench_of(name) as bench:
            emulators = [await serve(line, units) for line, units in bench.modbus]
            devices = devices_of(parse(bench.text(name)), WallClock())
            try:
                found = await devices.find() and await devices.look()
                assert found, [(str(one.where), one.problem) for _, one in devices if one.problem]
                energy = [look.meter.import_wh for look in devices.looks.values() if look and look.meter]
                assert energy
                assert all(wh == pytest.approx(5000.0, abs=10) for wh in energy)
            finally:
                await devices.close()
                for emulator in emulators:
                    await emulator.close()

    play(story)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if "rdm6300" in name else [pytest.mark.campaign], id=name)
        for name in BENCHES
    ],
)
@again_after_a_standstill
def test_its_last_connector_charges(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        with bench_of(name) as bench:
            emulators = [await serve(line, units) for line, units in bench.modbus]
            config = tmp_path / "station.yaml"
            config.write_text(bench.text(name), encoding="utf-8")
            async with (
                CentralSystem(seed=1) as central,
                station("--config", config, csms=central.url, storage=tmp_path / "kept", clock="wall") as cp,
            ):
                number, outlet = len(bench.outlets), bench.outlets[-1]
                await cp.sent("StatusNotification", connectorId=number, status="Available")
                outlet.evse.plug_in(load_vehicle("compact"))
                await cp.sent("StatusNotification", connectorId=number, status="Preparing")
                if bench.swipe is not None:
                    bench.swipe()
                else:
                    await cp.do("swipe", id_tag="TAG", connector=number)
                await cp.sent("StartTransaction", connectorId=number)
                await cp.sent("StatusNotification", connectorId=number, status="Charging")
                assert outlet.offered_a >= 6
                await cp.shut_down()
            assert not outlet.closed
            for emulator in emulators:
                await emulator.close()

    play(story)


async def serve(line: PtyBus, units: list[EmulatedUnit]) -> ModbusEmulator:
    emulator = ModbusEmulator(units)
    await emulator.serve_serial(line)
    return emulator
