"""A fleet in one process at real sockets: it boots, charges, bears what goes wrong and ends in good order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from chargepoint.cli.fleet_lines import Lines
from chargepoint.cli.fleet_outputs import summary
from chargepoint.cli.fleet_runs import FleetRun, check_descriptors
from chargepoint.cli.options import ClockChoice
from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.domain.turn import Turn
from chargepoint.errors import ConfigError
from chargepoint.fleet import events
from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.people.drivers import Drivers
from chargepoint.fleet.plan.plan import Group, Plan
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.fleet.resident import Resident
from chargepoint.fleet.verdict.outcome import called
from hal.clock import BatchedClock, ScaledClock, WallClock
from tests.e2e.shell import Program, chargepoint

START = 1_772_409_600.0  # 2026-03-02T00:00:00Z, a Monday
STEPPED = ClockChoice("stepped")


def play(story: Coroutine[Any, Any, None], within_s: float = 40.0) -> None:
    """Run a story with an end."""

    async def bounded() -> None:
        await asyncio.wait_for(story, within_s)

    asyncio.run(bounded())


async def until(true: Callable[[], bool]) -> None:
    """Wait until that is so."""
    while not true():
        await asyncio.sleep(0.01)


def group(count: int, **changes: Any) -> Group:
    """Plain wallboxes where nobody comes."""
    told = {"config": StationConfig(storage=None), "behaviour": "idle", "identities": "CP{n:03d}"}
    return Group(**{"name": "g", "count": count, **told, **changes})


def fleet_at(url: str, *groups: Group, **changes: Any) -> Fleet:
    """A fleet on real time if there is no other `clock`, quickly started."""
    plan = Plan(groups, 7, changes.pop("ramp_per_s", 500.0))
    ledger = Ledger()
    return Fleet(
        plan,
        clock=changes.pop("clock", None) or WallClock(),
        wire=WallClock(),
        url=lambda member: member.url(7) or url,
        statistics=Statistics(ledger),
        ledger=ledger,
        **changes,
    )


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[Fleet]:
    """A fleet that ends in good order when the test leaves it."""
    task = asyncio.ensure_future(fleet.run(None))
    try:
        yield fleet
    finally:
        fleet.stop()
        await task


@asynccontextmanager
async def picky(admits: int) -> AsyncIterator[tuple[str, Server]]:
    """A central system that lets the first `admits` connections in and answers nothing they say."""
    seen = 0

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        nonlocal seen
        seen += 1
        if seen > admits:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full\n")
        return None

    async def listen(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    async with serve(
        listen, "127.0.0.1", 0, process_request=admit, subprotocols=[Subprotocol("ocpp1.6")]
    ) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", server


class Day:
    """A few hours of a stepped fleet at the embedded central system."""

    def __init__(self, count: int, hours: float, seed: int = 7, **flags: Any) -> None:
        plan = plan_of_flags(count=count, seed=seed, **{"behaviour": "steady", "ramp": "20/s", **flags})
        self.plan, self.hours = plan, hours
        asyncio.run(self._pass())

    async def _pass(self) -> None:
        self.run = FleetRun(self.plan, clock=STEPPED, start=START, for_s=self.hours * 3600)
        self.snapshot = await self.run.run()
        assert self.run.csms is not None
        self.transactions = self.run.csms.transactions()


def test_a_stepped_morning_is_complete_on_both_sides() -> None:
    day = Day(30, 2)
    fleet, snapshot = day.run.fleet, day.snapshot
    assert (fleet.accepted, snapshot.started, snapshot.planned) == (30, 30, 30)
    assert snapshot.released_holds == 0
    totals = day.run.ledger.totals()
    assert totals.made > 30
    assert (totals.delivered, totals.missing, totals.doubled) == (totals.made, 0, 0)
    assert len(day.transactions) == totals.made
    assert all(transaction.stop is not None for transaction in day.transactions)
    assert sum(transaction.energy_wh or 0 for transaction in day.transactions) > 10_000
    reasons = {(transaction.stop or {}).get("reason") for transaction in day.transactions}
    assert "Reboot" in reasons, "those that ran at the end were ended by the orderly end"
    assert f"{totals.made} transactions: {totals.made} ended and acknowledged" in "\n".join(
        summary(day.run.outcome(snapshot))
    )


def test_the_same_seed_gives_the_same_day_and_another_one_another() -> None:
    days = [[one.as_dict() for one in Day(6, 2, seed).transactions] for seed in (7, 7, 8)]
    assert len(days[0]) > 6
    assert days[0] == days[1]
    assert days[0] != days[2]


def test_a_stepped_fleet_ends_at_once_when_told_to() -> None:
    async def story() -> None:
        run = FleetRun(plan_of_flags(count=5, seed=1), clock=STEPPED, start=START, for_s=1e6)
        run.viewers.append(lambda snapshot: run.fleet.stop() if snapshot.booted == 5 else None)
        snapshot = await run.run()
        assert run.fleet.accepted == 5
        assert snapshot.connected == 0
        assert snapshot.station_s < 1e6

    play(story())


def test_a_viewer_that_fails_ends_the_run_and_is_heard_of() -> None:
    async def story() -> None:
        run = FleetRun(plan_of_flags(count=5, seed=1), clock=ClockChoice("wall"))

        def fails(_: object) -> None:
            raise BrokenPipeError

        run.viewers.append(fails)
        with pytest.raises(BrokenPipeError):
            await run.run()

    play(story())


def test_it_ends_in_good_order() -> None:
    """Transactions end and are acknowledged before the links close with 1001 (OCPP 1.6 §4.10)."""

    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            closed: list[str] = []
            csms.listen(
                lambda event: closed.append(event.fields["reason"]) if event.name == "disconnected" else None
            )
            async with running(fleet_at(csms.url, group(60))) as fleet:
                await until(lambda: fleet.accepted == 60)
                for resident in fleet.residents.values():
                    charge(resident)
                await until(lambda: fleet.ledger.totals().confirmed == 60)
                assert fleet.snapshot().charging == 60
            transactions = csms.transactions()
            assert len(transactions) == 60
            assert all((one.stop or {}).get("reason") == "Reboot" for one in transactions)
            await until(lambda: len(closed) == 60)
            assert all("1001" in reason for reason in closed), closed
            assert fleet.snapshot().connected == 0

    play(story())


def test_who_waits_to_connect_again_delivers_all_the_same() -> None:
    """The end does not come in the middle of a back-off: that would lose what is charging."""

    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            async with running(fleet_at(csms.url, group(20))) as fleet:
                await until(lambda: fleet.accepted == 20)
                for resident in fleet.residents.values():
                    charge(resident)
                await until(lambda: fleet.ledger.totals().confirmed == 20)
                for identity in fleet.residents:
                    csms.drop(identity)
                await until(lambda: not any(resident.online for resident in fleet.residents.values()))
            assert [(one.stop or {}).get("reason") for one in csms.transactions()] == ["Reboot"] * 20
            assert fleet.ledger.totals().delivered == 20

    play(story())


@pytest.mark.parametrize("trouble", ["dropped", "restarting"])
def test_who_is_away_when_a_stepped_run_ends_delivers_all_the_same(trouble: str) -> None:
    """The station's clock stands still then: neither a back-off nor a restart ends by itself."""

    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            clock = BatchedClock(START)
            fleet = fleet_at(csms.url, group(3), clock=clock)

            def each(act: Callable[[Resident], None]) -> None:
                for resident in fleet.residents.values():
                    act(resident)

            def drop(one: Resident) -> None:
                csms.drop(one.member.identity)

            def restart(one: Resident) -> None:
                one.actions.perform({"cmd": "network", "online": False})
                one.actions.perform({"cmd": "plug_out", "connector": 1})
                one.actions.perform({"cmd": "reboot"})

            goes_away = drop if trouble == "dropped" else restart
            clock.call_at(START + 100, lambda: each(charge))
            clock.call_at(START + 599, lambda: each(goes_away))
            await fleet.run(600)
            assert fleet.ledger.totals().delivered == 3
            assert all(one.stop is not None for one in csms.transactions())

    play(story())


def test_what_the_end_cuts_short_is_told_so() -> None:
    """A stop that was just refused waits a minute for its next attempt (OCPP 1.6 §3.7.1)."""

    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            csms.set_answer("StopTransaction", "CP001", error="InternalError")
            async with running(fleet_at(csms.url, group(2))) as fleet:
                await until(lambda: fleet.accepted == 2)
                for resident in fleet.residents.values():
                    charge(resident)
                await until(lambda: fleet.ledger.totals().confirmed == 2)
            first, second = fleet.ledger
            assert (first.station, first.verdict, first.note) == ("CP001", "missing", "the run ended first")
            assert (second.verdict, second.note) == ("ok", "")
            assert called(first).endswith("its end was not acknowledged: the run ended first")

    play(story())


def charge(resident: Resident) -> None:
    """A car and its driver come."""
    resident.actions.perform({"cmd": "plug_in", "connector": 1})
    resident.actions.perform({"cmd": "swipe", "id_tag": "TAG", "connector": 1})


def test_refused_connections_are_one_line_and_the_rest_goes_on() -> None:
    async def story() -> None:
        async with picky(admits=12) as (url, _), running(fleet_at(url, group(20))) as fleet:
            await until(lambda: len(fleet.troubles()) == 1 and fleet.troubles()[0].count == 8)
            assert "503" in fleet.troubles()[0].reason
            assert fleet.snapshot().connected == 12
            said: list[str] = []
            lines = Lines(fleet, said.append, every_s=0)
            for _ in range(3):
                lines(fleet.snapshot())
            assert sum("cannot connect" in line for line in said) == 1, "said once until it changes"

    play(story())


def test_several_central_systems_in_order() -> None:
    """Who is refused at the first tries the next."""

    async def story() -> None:
        async with picky(admits=0) as (full, _), CentralSystem(seed=1) as csms:
            quick = StationConfig.model_validate(
                {"storage": None, "csms": {"reconnect": {"min_s": 0.01, "jitter_s": 0}}}
            )
            there = group(6, config=quick, urls=(full, csms.url), url_policy="in_order")
            async with running(fleet_at("", there)) as fleet:
                await until(lambda: fleet.accepted == 6)
                assert not fleet.troubles()

    play(story())


def test_members_that_cannot_be_made_are_told_once_and_left_out() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            said: list[str] = []
            config = StationConfig(storage=None)
            bad = config.model_copy(update={"vehicle": {"kind": "hovercraft"}})
            fleet = fleet_at(
                csms.url,
                group(5, name="good"),
                group(7, name="bad", config=bad, identities="BAD{n}"),
                group(3, name="twice"),
            )
            fleet.on_notice = said.append
            async with running(fleet):
                await until(lambda: fleet.accepted == 5)
                await until(lambda: fleet.skipped.total() == 10)
            assert fleet.skipped["bad"] == 7
            assert len([line for line in said if "group bad" in line and "hovercraft" in line]) == 1
            assert len(csms.stations()) == 5

    play(story())


def test_one_station_that_breaks_ends_no_other() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as csms, running(fleet_at(csms.url, group(5))) as fleet:
            await until(lambda: fleet.accepted == 5)
            broken = next(iter(fleet.residents.values())).station
            broken.charge_point.turn = cast(Turn, None)
            fleet.stop()
            await until(lambda: not any(station.connected for station in csms.stations()))

    play(story())


def test_stations_come_and_go_while_it_runs() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as csms, running(fleet_at(csms.url, group(3))) as fleet:
            await until(lambda: fleet.accepted == 3)
            fleet.add(2)
            await until(lambda: fleet.accepted == 5)
            assert list(fleet.residents) == [f"CP{n:03d}" for n in range(1, 6)]
            fleet.remove(4)
            await until(lambda: fleet.snapshot().connected == 1)
            assert fleet.snapshot().planned == 1

    play(story())


def test_new_arrivals_can_be_held_and_what_is_done_is_noted() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            fleet = fleet_at(csms.url, group(40, behaviour="steady"), ramp_per_s=20.0)
            async with running(fleet):
                await until(lambda: fleet.accepted >= 3)
                fleet.hold(True)
                fleet.hold(True)
                await until(lambda: fleet.accepted == len(fleet.residents))
                assert fleet.snapshot().started < 40
                drivers = [resident.drivers for resident in fleet.residents.values()]
                assert all(isinstance(one, Drivers) and one.held for one in drivers)
                fleet.add(1)
                assert cast(Drivers, fleet.residents["CP041"].drivers).held
                fleet.ramp_at(500.0)
                assert fleet.snapshot().started == len(drivers) + 1
                fleet.hold(False)
                assert not any(cast(Drivers, one).held for one in drivers)
                await until(lambda: fleet.accepted == 41)
                fleet.perform(events.parse("surge x3 for 10m"))
                told = fleet.snapshot().events
                assert [one.what for one in told] == [
                    "new arrivals held",
                    "1 more stations",
                    "ramp 500/s",
                    "new arrivals again",
                    "surge x3 for 10m",
                ]
                assert sorted(told) == told

    play(story())


def test_events_of_the_plan_happen() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as csms:
            fleet = fleet_at(csms.url, group(4))
            fleet.plan = replace(fleet.plan, events=((0.5, "network-out"), (1.0, "nonsense")))
            said: list[str] = []
            fleet.on_notice = said.append
            async with running(fleet):
                await until(lambda: fleet.accepted == 4)
                await until(lambda: fleet.snapshot().connected == 0)
                await until(lambda: bool(said))
            assert "nonsense" in said[0]

    play(story())


def test_a_blackout_cuts_calls_off_and_the_figures_add_up() -> None:
    """A central system that takes its time has a CALL of nearly every station when the mains fail."""

    async def story() -> None:
        async with CentralSystem(seed=7) as csms:
            csms.set_answer("Heartbeat", silent=True)
            fleet = fleet_at(csms.url, group(20), clock=ScaledClock(600.0))  # they wait a minute for it
            async with running(fleet):
                await until(lambda: fleet.statistics.booted == 20)
                for resident in fleet.residents.values():
                    charge_point = resident.station.charge_point
                    await until(partial(getattr, charge_point.session, "free"))
                    with charge_point.turn:
                        charge_point.boot.heartbeat()
                assert fleet.snapshot().under_way == 20
                fleet.perform(events.parse("blackout"))
                await until(lambda: not fleet.statistics.connected)
                overall = fleet.snapshot().overall
                assert overall.errors == {"Cut": 20}
                assert overall.sent == overall.with_result + overall.failed
            snapshot = fleet.snapshot()
            assert snapshot.sent == snapshot.overall.with_result + snapshot.failed + snapshot.under_way

    play(story())


def test_each_station_has_its_own_password() -> None:
    async def story() -> None:
        passwords = {f"CP{n:03d}": f"secret of CP{n:03d}" for n in range(1, 5)}
        async with CentralSystem(seed=1, passwords=passwords) as csms:
            config = StationConfig.model_validate(
                {"storage": None, "csms": {"security_profile": 1, "authorization_key": "not this one"}}
            )
            secret = group(4, config=config, passwords="secret of {identity}")
            async with running(fleet_at(csms.url, secret)) as fleet:
                await until(lambda: fleet.accepted == 4)

    play(story())


def test_many_links_to_loopback_come_from_several_addresses() -> None:
    async def story() -> None:
        sources = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        seen: list[str] = []

        async def listen(connection: ServerConnection) -> None:
            seen.append(connection.remote_address[0])
            await connection.wait_closed()

        async with serve(listen, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with running(fleet_at(url, group(20), sources=sources)) as fleet:
                await until(lambda: fleet.snapshot().connected == 20)
        assert set(seen) == set(sources)

    play(story())


def test_more_links_than_descriptors_do_not_begin_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        there = group(2**31, behaviour="idle")  # beyond what any kernel allows, root or not
        run = FleetRun(Plan((there,), 7), clock=STEPPED, start=START, for_s=1)
        with pytest.raises(ConfigError) as error:
            check_descriptors(run, force=False)
        assert "LimitNOFILE" in error.value.problems[0]
        check_descriptors(run, force=True)
        assert "LimitNOFILE" in capsys.readouterr().err

    play(story())


def test_stations_that_fit_need_no_file_for_their_messages_when_none_is_left() -> None:
    """In a process of its own: here the schemas may have been read before."""
    code = """
import asyncio, resource
from chargepoint.cli.fleet_runs import FleetRun, check_descriptors
from chargepoint.cli.options import ClockChoice
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.ocpp16.schema import check_request

async def story():
    run = FleetRun(plan_of_flags(count=1_000_000, behaviour="idle"), clock=ClockChoice("stepped"), for_s=1)
    check_descriptors(run, force=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert check_request("Authorize", {"idTag": "A"}) is None

asyncio.run(story())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LimitNOFILE" in done.stderr
    assert done.returncode == 0, done.stderr


def test_the_command(tmp_path: Path) -> None:
    done = chargepoint(
        *("fleet", "run", "--count", "20", "--ramp", "20/s", "--seed", "3", "--behaviour", "steady"),
        *("--clock", "stepped", "--start", "2026-03-02T00:00:00Z", "--for", "1h"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "20 stations planned, 20 started, 20 accepted" in done.stdout
    assert not list(tmp_path.iterdir()), "a fleet without storage leaves nothing behind"


def test_ctrl_c_ends_in_good_order(tmp_path: Path) -> None:
    with Program("fleet", "run", "--count", "20", "--seed", "3", cwd=tmp_path) as program:
        program.until("20 booted")
        program.signal(signal.SIGINT)
        assert program.end() == 0
        assert any("20 accepted" in line for line in program.lines)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--clock", "stepped"), "--for", id="stepped-without-end"),
        pytest.param(("--start", "2026-03-02"), "--clock", id="start-in-real-time"),
        pytest.param(("--count", "0"), "--count", id="nobody"),
        pytest.param(("--behaviour", "mourning-rush"), "morning-rush", id="misspelled"),
        pytest.param(("--identities", "CP", "--count", "2"), "--identities", id="colliding"),
    ],
)
def test_what_cannot_begin_is_said_in_a_line(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = chargepoint("fleet", "run", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""
