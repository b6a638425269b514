"""One seed and one start give the same frames to the letter, over real sockets; days pass in seconds."""

from __future__ import annotations

import json
import resource
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shell import chargepoint
from tests.integration.csms_process import CsmsProcess, central_system
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, START, StationProcess, configuration, station
from tests.standstills import again_after_a_standstill

PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "chargingSchedule": {
        "startSchedule": START,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": n * 600, "limit": 3000.0 + n * 800} for n in range(10)],
    },
}


def _frames(cp: StationProcess, *directions: str) -> list[str]:
    """The text of every frame, as it went over the wire."""
    return [
        event.get("raw") or json.dumps(event["frame"], separators=(",", ":"), ensure_ascii=False)
        for event in cp.events
        if event["event"] == "ocpp" and event["dir"] in directions
    ]


async def _do(cp: StationProcess, cmd: str, **fields: Any) -> None:
    """A command, and everything that comes of it now: else chance would mix it with the next one."""
    await cp.do(cmd, **fields)
    await cp.advance(0)


async def _visit(cp: StationProcess, id_tag: str, connector: int, seconds: float) -> None:
    await _do(cp, "plug_in", connector=connector)
    await _do(cp, "swipe", id_tag=id_tag, connector=connector)
    await cp.advance(seconds)
    await _do(cp, "swipe", id_tag=id_tag, connector=connector)
    await _do(cp, "plug_out", connector=connector)


async def _story(cp: StationProcess) -> None:
    """Two cars, an outage, a reboot: whatever draws on chance or on the clock."""
    await cp.advance(1)
    await _do(cp, "plug_in", connector=2)
    await _do(cp, "swipe", id_tag="OTHER", connector=2)
    await _visit(cp, "TAG", 1, 3333.3)
    await _do(cp, "network", online=False)
    await cp.advance(1000)
    await _do(cp, "network", online=True)
    await _do(cp, "reboot")
    await cp.advance(500)
    await _visit(cp, "TAG", 1, 100)
    await cp.advance(3 * 3600)


def _settings(folder: Path) -> Path:
    folder.mkdir(parents=True)
    measurands = "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import,SoC"
    return configuration(
        folder,
        ocpp={"MeterValuesSampledData": measurands, "ClockAlignedDataInterval": "900"},
        connectors=[{}] * 2,
    )


def _of_the_story(event: Line) -> bool:
    """All but how fast the disk is."""
    return event["event"] != "error" or "writing took" not in event["message"]


async def _embedded(folder: Path, seed: str) -> StationProcess:
    """A run against a fresh embedded central system."""
    async with station("--config", _settings(folder), "--seed", seed, storage=folder / "storage") as cp:
        await _story(cp)
        await cp.shut_down()
        return cp


def test_two_runs_with_the_embedded_central_system(tmp_path: Path) -> None:
    """Even what the central system says is the same: its clock is the station's."""

    async def story() -> None:
        first, second = [await _embedded(tmp_path / name, "7") for name in ("first", "second")]
        assert len(_frames(first, "tx")) > 150
        assert _frames(first, "tx", "rx") == _frames(second, "tx", "rx")
        told = [
            [event | {"real_t": None} for event in cp.events if _of_the_story(event)]
            for cp in (first, second)
        ]
        assert told[0] == told[1]

    play(story)


@pytest.mark.campaign
def test_another_seed_gives_other_message_ids_and_nothing_else_differs(tmp_path: Path) -> None:
    async def story() -> None:
        first, second = [await _embedded(tmp_path / seed, seed) for seed in ("7", "8")]
        assert first.calls() == second.calls()
        ids = [{json.loads(text)[1] for text in _frames(cp, "tx")} for cp in (first, second)]
        assert not ids[0] & ids[1]

    play(story)


async def _separate(folder: Path) -> StationProcess:
    """A run against a central system in a process of its own, which also asks and cuts."""

    async def remotely(central: CsmsProcess, cp: StationProcess) -> None:
        start = {"idTag": "REMOTE", "connectorId": 1}
        await central.call(CP, "SetChargingProfile", {"connectorId": 0, "csChargingProfiles": PROFILE})
        await _do(cp, "plug_in", connector=1)
        await central.call(CP, "RemoteStartTransaction", start)
        await cp.sent("StartTransaction")
        await cp.advance(1800)
        await central.do(cmd="drop", cp=CP)
        await cp.event("connection", online=False)
        await cp.advance(1800)
        await central.call(CP, "GetCompositeSchedule", {"connectorId": 1, "duration": 7200})
        number = cp.calls("StartTransaction")
        await central.call(CP, "RemoteStopTransaction", {"transactionId": len(number)})
        await _do(cp, "plug_out", connector=1)
        await cp.advance(10)

    options = ("--config", _settings(folder), "--seed", "7", "--linger", "0.002")
    async with (
        central_system("--seed", "1") as central,
        station(*options, csms=central.url, storage=folder / "storage") as cp,
    ):
        await cp.advance(1)
        await remotely(central, cp)
        await _story(cp)
        await cp.shut_down()
        return cp


def test_two_runs_with_a_central_system_in_another_process(tmp_path: Path) -> None:
    """Its clock is its own; what the station says is the same to the letter."""

    async def story() -> None:
        first, second = [await _separate(tmp_path / name) for name in ("first", "second")]
        reasons = [payload["reason"] for _, payload in first.calls("StopTransaction")]
        assert sorted(reasons) == ["Local", "Local", "Reboot", "Remote"]
        assert _frames(first, "tx") == _frames(second, "tx")

    play(story)


@pytest.mark.campaign  # two runs with a script are compared in every run
def test_two_runs_without_a_script_leave_the_same_trace(tmp_path: Path) -> None:
    """Half a day of the simulated driver, as on the command line."""

    def trace(name: str) -> list[bytes]:
        options = ("--clock", "stepped", "--for", "12h", "--seed", "5", "--start", START)
        done = chargepoint("run", *options, "--storage", name, "--trace", f"{name}.jsonl", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / f"{name}.jsonl").read_bytes().splitlines()
        return [
            line for line in lines if b"writing took" not in line
        ]  # how fast the disk is, is no part of it

    first, second = trace("first"), trace("second")
    records: list[Line] = [json.loads(line) for line in first]
    stops = [
        record
        for record in records
        if (record.get("action"), record.get("messageType")) == ("StopTransaction", "CALL")
    ]
    assert len(stops) >= 2
    assert first == second


async def _day(storage: Path) -> None:
    """Twenty-four hours with three cars."""
    async with station("--seed", "1", storage=storage, fresh=True) as cp:
        await cp.advance(3600)
        for id_tag in ("ONE", "TWO", "THREE"):
            await _visit(cp, id_tag, 1, 7 * 3600)
            await cp.advance(1800)
        await cp.advance(1800)
        assert (await cp.do("status"))["now"] == "2026-01-02T00:00:00.000Z"
        await cp.shut_down()
        registers = [stop["meterStop"] for _, stop in cp.calls("StopTransaction")]
    assert len(registers) == 3
    assert registers == sorted(set(registers))
    assert len(cp.calls("MeterValues")) > 1200


def _cpu_s() -> float:
    """What processes that were waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_day_with_three_cars_takes_less_than_five_seconds(tmp_path: Path) -> None:
    """Of processor time, from the start of the process to its end: other tests run beside it."""
    before_s = _cpu_s()
    play(lambda: _day(tmp_path))
    assert _cpu_s() - before_s < 5


@pytest.mark.parametrize("clock", ["x600"])
@again_after_a_standstill
def test_time_sped_up(tmp_path: Path, clock: str) -> None:
    """Real time times a factor: samples keep their distance, and nobody has to advance anything."""

    async def story() -> None:
        async with station("--seed", "1", storage=tmp_path, clock=clock) as cp:
            await cp.event("registration", status="Accepted")
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG")
            began = _moment((await cp.sent("StartTransaction"))["timestamp"])
            values = [await cp.sent("MeterValues") for _ in range(5)]
            sampled = [_moment(value["meterValue"][0]["timestamp"]) - began for value in values]
            assert sampled == [60, 120, 180, 240, 300]
            assert await cp.refused("advance", seconds=1) == "bad_state"
            await cp.shut_down()

    play(story)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
