"""The rig of a whole charge point: emulated EVSE-WBs, SDM630s and an RDM6300, a station on them, a witness.

Controllers and meters share one RS-485 line, the card reader has its own. The devices and the central system
are in this process, the station is `chargepoint run` in one of its own, on the wall clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from math import floor, inf
from pathlib import Path
from typing import Any

from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.ledger import Transaction
from chargepoint.domain.metering import FRESH_S
from hal.api import EvseInfo, MeterReading
from hal.clock import WallClock
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.faults import KINDS, Faults
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.modbus.register_map import load_map
from hal.simulated.vehicle import load_vehicle
from tests.integration.piped import Line
from tests.integration.station_process import CP, IMPATIENT, StationProcess, configuration, station

BAUD = 9600
REGISTER_WH = 5000.0
BOOT_CURRENT_A = 16
CARDS = tuple(f"01000000{n:02X}" for n in range(1, 256))

REACTS_S = 5.0
"""A vehicle may go on for that long after the signal changed (IEC 61851-1); the poll comes on top."""

POLL_S = 0.5
NEXT_DEVICE_S = 2.0
"""One frame that failed, the quiet time behind it and the next try."""

_LOOKS_EVERY_S = 0.05
_SHOWN_WITHIN_S = FRESH_S + 1.0  # as old a value may be that is told as of now, and it was asked for before
_READ_WITHIN_S = 5.0  # an older one carries the time at which it was asked for


ENERGY_REGISTER = 0x48


class Board(EvseWbEmulator):
    """A controller that notes when it was asked how things are."""

    def __init__(self, outlet: Outlet, unit: int) -> None:
        super().__init__(outlet, unit, boot_current_a=BOOT_CURRENT_A)
        self.asked_at: list[float] = []

    def read(self, function: int, address: int, count: int) -> list[int]:
        if (address, count) == (1000, 7):
            self.asked_at.append(time.monotonic())
        return super().read(function, address, count)

    def offers(self, current_a: int) -> bool:
        """Whether that is its current."""
        return self.amps == current_a


class Meter(EmulatedMeter):
    """A meter that notes when it was asked for its energy."""

    def __init__(self, source: Callable[[], MeterReading], unit: int) -> None:
        super().__init__(load_map("sdm630"), source, unit)
        self.asked_at: list[float] = []

    def read(self, function: int, address: int, count: int) -> list[int]:
        if address <= ENERGY_REGISTER < address + count:
            self.asked_at.append(time.monotonic())
        return super().read(function, address, count)


class Bay:
    """One outlet with its controller, unit n, and its meter, unit 10 + n; `shown`: all it ever told."""

    def __init__(self, n: int = 1) -> None:
        self.outlet = Outlet(EvseInfo(lockable=False), WallClock(), energy_wh=REGISTER_WH)
        self.board = Board(self.outlet, n)
        self.meter = Meter(self.show, 10 + n)
        self.shown: list[MeterReading] = []

    def show(self) -> MeterReading:
        """What the meter tells now."""
        reading = self.outlet.reading()
        self.shown.append(reading)
        return reading

    @property
    def drawn_a(self) -> float:
        """What flows, in the most loaded phase."""
        return max(self.outlet.reading().current_a, default=0.0)

    @property
    def register_wh(self) -> int:
        """Where the meter stands, in whole Wh."""
        return floor(self.outlet.reading().energy_wh)

    def connector(self, port: str, **evse: object) -> Line:
        """Its place in the configuration."""
        return {
            "evse": {"driver": "evse-wb", "port": port, "unit": self.board.unit} | evse,
            "meter": {"driver": "sdm630", "port": port, "unit": self.meter.unit},
        }


@dataclass(slots=True)
class Wallbox:
    """The devices, the central system, and where the station remembers."""

    bays: Sequence[Bay]
    devices: ModbusEmulator
    line: PtyBus
    reader: Rdm6300Emulator
    central: CentralSystem
    config: Path
    folder: Path
    lives: list[StationProcess] = field(default_factory=list)

    @property
    def bay(self) -> Bay:
        """The only one, or the first."""
        return self.bays[0]

    @asynccontextmanager
    async def powered(self) -> AsyncIterator[StationProcess]:
        """The station's program, until its end or ours."""
        async with station(
            "--config", self.config, csms=self.central.url, storage=self.folder / "storage", clock="wall"
        ) as running:
            self.lives.append(running)
            yield running

    async def charging(self, cp: StationProcess, card: str = CARDS[0]) -> Line:
        """Plug in, hold a card before the reader, and wait until energy flows; StartTransaction."""
        if not self.bay.outlet.plugged:
            self.bay.outlet.evse.plug_in(load_vehicle("compact"))
        await cp.sent("StatusNotification", connectorId=1, status="Preparing")
        self.reader.present(card)
        started = await cp.sent("StartTransaction", idTag=card)
        await cp.sent("StatusNotification", connectorId=1, status="Charging")
        await until(lambda: self.bay.drawn_a > 5.0)
        return started

    async def limit(self, current_a: float) -> None:
        """The central system sets the limit of all sessions at the connector."""
        schedule = {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": current_a}],
        }
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": schedule,
        }
        payload = {"connectorId": 1, "csChargingProfiles": profile}
        answer = await self.central.call(CP, "SetChargingProfile", payload)
        assert answer["status"] == "Accepted", answer

    async def no_limit(self) -> None:
        """It takes that back."""
        assert (await self.central.call(CP, "ClearChargingProfile", {}))["status"] == "Accepted"

    @property
    def running(self) -> Transaction | None:
        """The transaction that the central system believes to be running."""
        return next((t for t in self.central.transactions(CP) if t.stop is None and t.start), None)

    def wrong_values(self) -> list[str]:
        """What the central system was told, and no meter had shown at that time."""
        return [
            problem
            for transaction in self.central.transactions(CP)
            for values in transaction.meter_values
            for problem in never_shown(values, self.bays[values["connectorId"] - 1].shown)
        ]

    def billed(self) -> list[tuple[str, int, int]]:
        """Card and both registers of all sessions, in their order."""
        sessions = self.central.transactions(CP)
        assert all(len(session.starts) == len(session.stops) == 1 for session in sessions), sessions
        return [
            (session.starts[0]["idTag"], session.starts[0]["meterStart"], session.stops[0]["meterStop"])
            for session in sessions
        ]

    def bad_frames(self, share: float) -> None:
        """Let that share of all frames be bad from now on, in every way a line knows."""
        for kind in KINDS:
            self.devices.faults.set(kind, share / len(KINDS))


@asynccontextmanager
async def wallbox(
    folder: Path,
    *,
    bays: int = 1,
    baud: int | None = None,
    seed: int = 0,
    sample_s: int = 1,
    evse: Mapping[str, object] | None = None,
    **behaviour: object,
) -> AsyncIterator[Wallbox]:
    """Hardware and central system; `evse` and `behaviour` are settings of the station."""
    folder.mkdir(exist_ok=True)
    outlets = [Bay(n) for n in range(1, bays + 1)]
    devices = ModbusEmulator(
        [unit for bay in outlets for unit in (bay.board, bay.meter)],
        faults=Faults(seed=seed, exception_codes=(1, 2, 4, 6, 11)),
    )
    with PtyBus(1, baud=baud) as line, PtyBus(1, baud=baud) as reader_line:
        await devices.serve_serial(line)
        config = configuration(
            folder,
            connectors=[bay.connector(line.names[0], **(evse or {})) for bay in outlets],
            readers=[{"driver": "rdm6300", "port": reader_line.names[0]}],
            csms={"reconnect": IMPATIENT},
            ocpp={
                "MeterValueSampleInterval": str(sample_s),
                "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,"
                "Voltage",
            },
            behaviour=behaviour,
        )
        try:
            async with CentralSystem(seed=1) as central:
                reader = Rdm6300Emulator(reader_line)
                yield Wallbox(outlets, devices, line, reader, central, config, folder)
        finally:
            await devices.close()


@dataclass(slots=True)
class Witness:
    """Looks at the outlet all the time, for what must never last; `problems` is what it saw.

    A contactor closed without a transaction, and more current than `limit_a`. What the station cannot reach
    (`out_of_reach`) is not its doing: time counts from when it can again.
    """

    place: Wallbox
    limit_a: float = inf
    out_of_reach: bool = False
    reacts_s: float = REACTS_S + POLL_S + NEXT_DEVICE_S
    problems: list[str] = field(default_factory=list)
    longest_s: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Witness]:
        """Watch until the end of the block."""
        task = asyncio.get_running_loop().create_task(self._watch())
        try:
            yield self
            assert not task.done()
        finally:
            task.cancel()

    def limit(self, current_a: float) -> None:
        """From now on that is what may flow at most."""
        self.limit_a = current_a
        self._since.pop("more than the limit", None)

    async def _watch(self) -> None:
        while True:
            bay, runs = self.place.bay, self.place.running is not None
            self._lasts("closed without a transaction", bay.outlet.closed and not runs)
            self._lasts("more than the limit", bay.drawn_a > self.limit_a + 0.1)
            await asyncio.sleep(_LOOKS_EVERY_S)

    def _lasts(self, what: str, present: bool) -> None:
        now = time.monotonic()
        if not present or self.out_of_reach:
            self._since.pop(what, None)
            return
        lasted_s = now - self._since.setdefault(what, now)
        self.longest_s[what] = max(lasted_s, self.longest_s.get(what, 0.0))
        if lasted_s > self.reacts_s:
            self.problems.append(f"{what} for {lasted_s:.1f} s: {self.place.bay.drawn_a:.1f} A")
            self._since[what] = now


async def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for the emulated hardware, which reports to nobody."""
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.02)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def never_shown(values: Line, shown: Sequence[MeterReading]) -> list[str]:
    """Which values of a MeterValues no reading of that time had."""
    problems = []
    for value in values["meterValue"]:
        at = datetime.fromisoformat(value["timestamp"]).timestamp()
        for sample in value["sampledValue"]:
            if not any(
                _same(sample, reading)
                for reading in shown
                if at - _SHOWN_WITHIN_S <= reading.time <= at + _READ_WITHIN_S
            ):
                problems.append(f"{value['timestamp']}: {sample}")
    return problems


def _same(sample: dict[str, Any], reading: MeterReading) -> bool:
    told, phase = float(sample["value"]), sample.get("phase")
    if sample.get("unit") in ("kWh", "kW"):
        told *= 1000.0
    measurand = sample.get("measurand", "Energy.Active.Import.Register")
    if measurand == "Energy.Active.Import.Register":
        return abs(told - reading.energy_wh) < 1.01  # a record may be in whole Wh
    if measurand == "Power.Active.Import":
        powers = reading.power_phase_w
        actual = reading.power_w if phase is None else powers[int(phase[1]) - 1]
        return abs(told - actual) < 1.01
    per_phase = {"Current.Import": reading.current_a, "Voltage": reading.voltage_v}[measurand]
    chosen = per_phase if phase is None else per_phase[int(phase[1]) - 1 : int(phase[1])]
    return any(abs(told - actual) < 0.11 for actual in chosen)
