"""Every station type, bad habits included, on real sockets and a clock that jumps."""

from __future__ import annotations

import asyncio

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.fleet.plan.template import load_template, template_names
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock, WallClock
from hal.simulated.vehicle import vehicle_from

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def made(config: StationConfig, identity: str, url: str, clock: SteppedClock) -> tuple[Station, Actions]:
    station = assemble(
        StationType(config), MemoryStore(), clock, WallClock(), url=url, identity=identity, seed=1
    )
    vehicle = config.vehicle
    kind = {"kind": vehicle} if isinstance(vehicle, str) else vehicle
    return station, Actions(station, vehicle_from(kind))


async def ended(*stations: Station) -> None:
    for station in stations:
        station.close()
        await station.link.closed()


def test_one_of_each_charges_and_is_billed_for_what_its_meter_shows() -> None:
    asyncio.run(_one_of_each())


async def _one_of_each() -> None:
    clock = SteppedClock(START)
    async with CentralSystem(clock=clock, seed=1) as central:
        street = [made(load_template(name).config, name, central.url, clock) for name in template_names()]
        for station, _ in street:
            station.start()
        await clock.run_until(START + 60)
        for station, actions in street:
            actions.perform({"cmd": "plug_in", "connector": 1})
            if station.type.config.behaviour.free_charging_id_tag is None:
                actions.perform({"cmd": "swipe", "id_tag": "TAG", "connector": 1})
        await clock.run_until(START + 3660)
        for _, actions in street:
            actions.perform({"cmd": "plug_out", "connector": 1})
        lost_s = await clock.run_until(START + 3960)
        for station, _ in street:
            (transaction,) = [one for one in central.transactions(station.identity) if one.stop is not None]
            assert transaction.energy_wh is not None
            assert transaction.energy_wh > 1000
            assert transaction.energy_wh == int(station.evses[0].reading().energy_wh)
        assert lost_s == 0
        await ended(*(station for station, _ in street))


def test_made_up_calls_hold_the_clock_until_they_are_answered() -> None:
    asyncio.run(_made_up_calls())


async def _made_up_calls() -> None:
    clock = SteppedClock(START)
    async with CentralSystem(clock=clock, seed=1) as central:
        quirks = {"heartbeat_every_s": 10, "status_flood_s": 30, "late_status_s": 5, "duplicate_start": 1}
        config = StationConfig.model_validate({"quirks": quirks, "storage": None})
        station, actions = made(config, "CP1", central.url, clock)
        sent: list[bytes] = []
        station.watch(
            lambda event, fields: (
                sent.append(fields["data"]) if event == "ocpp" and fields["dir"] == "tx" else None
            )
        )
        station.start()
        await clock.run_until(START + 60)
        actions.perform({"cmd": "plug_in", "connector": 1})
        actions.perform({"cmd": "swipe", "id_tag": "TAG", "connector": 1})
        lost_s = await clock.run_until(START + 3660)
        actions.perform({"cmd": "plug_out", "connector": 1})
        await clock.run_until(START + 3720)
        assert lost_s == 0
        (transaction,) = central.transactions("CP1")
        assert len(transaction.starts) == 2  # which this central system takes for a repetition
        assert len(transaction.stops) == 1
        beats = [data for data in sent if b'"Heartbeat"' in data]
        assert len(beats) in range(360, 374)
        assert not clock.held
        await ended(station)
