"""A fleet in several processes: one picture, one end, and no identity ever connected from two of them."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from distributed.versions import VersionMismatchWarning

from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.fleet.cluster.cluster import ClusterFleet
from chargepoint.fleet.cluster.shard import run_shard, shard_fleet
from chargepoint.fleet.events import parse
from chargepoint.fleet.plan.planning import plan_of_flags
from hal.clock import WallClock
from tests.e2e.shell import Program, chargepoint, refusing_port

HANDED_OVER_S = 3.0
"""After that long every worker has handed its ledger over: it does so each second."""

WITHOUT_THE_PACKAGE = """\
import importlib.metadata, sys

class Nothing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("chargepoint", "hal"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

version = importlib.metadata.version

def installed(name):
    if name == "chargepoint":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

sys.meta_path.insert(0, Nothing())
importlib.metadata.version = installed
"""


class Watch:
    """What a central system sees of the links of each identity."""

    def __init__(self, csms: CentralSystem) -> None:
        self.csms = csms
        self.connects: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.booted: set[str] = set()  # told a status, as only those do who have heard that they are accepted
        csms.listen(self._seen)

    def _seen(self, event: Event) -> None:
        if event.name == "connected":
            self.connects[str(event.cp)] += 1
        elif event.name == "disconnected":
            self.ends[event.fields["reason"]] += 1
        elif event.name == "frame" and "StatusNotification" in event.fields["frame"]:
            self.booted.add(str(event.cp))

    @property
    def connected(self) -> int:
        return sum(station.connected for station in self.csms.stations())

    @property
    def doubled(self) -> list[str]:
        """Links that ended because the same identity connected a second time."""
        return [reason for reason in self.ends if "replaced" in reason]


@asynccontextmanager
async def watched() -> AsyncIterator[Watch]:
    async with CentralSystem(seed=1) as csms:
        yield Watch(csms)


async def until(true: Callable[[], bool], within_s: float = 90.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


def workers_of(program: Program) -> list[int]:
    """The processes in which its shards run."""

    return children(program, b"spawn_main")


def children(program: Program, word: bytes) -> list[int]:
    """The processes that it started with that word in their command."""
    found: list[int] = []
    for task in Path(f"/proc/{program.process.pid}/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return sorted(pid for pid in found if word in Path(f"/proc/{pid}/cmdline").read_bytes())


def run(url: str, *more: str, cwd: Path) -> Program:
    flags = ("--workers", "2", "--count", "20", "--ramp", "100/s", "--seed", "3", "--plain")
    return Program("fleet", "run", "--csms", url, *flags, *more, cwd=cwd)


async def ended(program: Program) -> int:
    return await asyncio.to_thread(program.end)


def test_two_workers_are_one_fleet_until_ctrl_c_reaches_everybody(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to every process of the group: only the first one may hear it."""

    async def story() -> None:
        async with watched() as watch:
            with run(watch.csms.url, "--behaviour", "idle", "--json", "all.json", cwd=tmp_path) as program:
                await until(lambda: len(watch.booted) == 20)
                pids = workers_of(program)
                assert len(pids) == 2
                for pid in (program.process.pid, *pids):
                    os.kill(pid, signal.SIGINT)
                assert await ended(program) == 0
            assert watch.connects == {f"CP{n:05d}": 1 for n in range(1, 21)}
            assert watch.connected == 0
            assert all("1001" in reason for reason in watch.ends), watch.ends
            assert not any(_alive(pid) for pid in pids)
        told = json.loads((tmp_path / "all.json").read_text())
        assert told["before_end"]["booted"] == 20
        assert sorted(one["shard"] for one in told["snapshot"]["simulators"]) == [0, 1]
        assert told["snapshot"]["actions"]["BootNotification"]["answered"] == 20

    asyncio.run(story())


def test_ctrl_c_while_the_workers_are_being_started_ends_in_good_order(tmp_path: Path) -> None:
    """Until they have begun, they know nothing of it and cannot turn a deaf ear to it themselves."""
    with run("ws://127.0.0.1:1", "--json", "all.json", cwd=tmp_path) as program:
        while not (pids := workers_of(program)):
            assert program.process.poll() is None
            time.sleep(0.005)
        for pid in (program.process.pid, *pids):
            os.kill(pid, signal.SIGINT)
        assert program.end() == 1
    told = json.loads((tmp_path / "all.json").read_text())
    assert told["snapshot"]["started"] == 0
    assert not told["verdict"]["passed"]


def test_a_second_ctrl_c_ends_at_once_and_leaves_neither_processes_nor_words(tmp_path: Path) -> None:
    with run("ws://127.0.0.1:1", cwd=tmp_path) as program:
        program.until("20/20 started")
        pids = [*workers_of(program), *children(program, b"resource_tracker")]
        assert len(pids) == 3
        os.kill(pids[0], signal.SIGSTOP)  # so that the end in good order takes its time
        program.press_ctrl_c_until_it_ends()
        os.kill(pids[0], signal.SIGCONT)
        assert program.process.returncode == 130
        asyncio.run(until(lambda: not any(_runs(pid) for pid in pids)))
        assert program.errors.splitlines() == ["ending in good order; Ctrl-C again ends at once"]


def _runs(pid: int) -> bool:
    """What has ended may still wait for somebody to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_fleet_that_lets_go_drops_all_links_at_once_and_for_good() -> None:
    """As a shard does that has lost its lease: no farewell, no transaction ended, nobody comes back."""

    async def story() -> None:
        async with watched() as watch:
            plan = plan_of_flags(url=watch.csms.url, count=5, behaviour="idle", ramp="100/s", seed=1)
            fleet = shard_fleet(plan, clock=WallClock(), url=lambda: "")
            running = asyncio.ensure_future(run_shard(fleet, None, lambda: None))
            await until(lambda: fleet.accepted == 5)
            for resident in fleet.residents.values():
                resident.actions.perform({"cmd": "plug_in", "connector": 1})
                resident.actions.perform({"cmd": "swipe", "id_tag": "TAG", "connector": 1})
            await until(lambda: fleet.ledger.totals().confirmed == 5)
            fleet.abandon()
            assert fleet.snapshot().connected == 0
            await running
            await until(lambda: watch.connected == 0)
            assert not any("1001" in reason for reason in watch.ends)
            assert all(transaction.stop is None for transaction in watch.csms.transactions())

    asyncio.run(story())


@pytest.mark.campaign
def test_the_stations_of_a_killed_worker_come_back_elsewhere_and_never_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched() as watch:
            with run(watch.csms.url, "--behaviour", "idle", cwd=tmp_path) as program:
                await until(lambda: watch.connected == 20)
                os.kill(workers_of(program)[0], signal.SIGKILL)
                began = asyncio.get_running_loop().time()
                await until(lambda: watch.connected == 10)
                await until(lambda: watch.connected == 20)
                assert asyncio.get_running_loop().time() - began > 9.5, "its last renewal was 5 s ago at most"
                program.signal(signal.SIGINT)
                assert await ended(program) == 0
                assert "is gone; shard" in program.errors
                assert "is started again on worker" in program.errors
            assert sorted(watch.connects.values()) == [1] * 10 + [2] * 10
            assert not watch.doubled

    asyncio.run(story())


@pytest.mark.campaign
def test_what_a_killed_worker_did_stays_in_the_ledger_and_what_was_open_is_told_apart(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched() as watch:
            flags = (
                "--clock",
                "x60",
                "--json",
                "all.json",
                "--csv",
                "figures",
                "--fail-if",
                "lost_transactions > 0",
            )
            with run(watch.csms.url, "--behaviour", "steady", *flags, cwd=tmp_path) as program:
                seen: dict[tuple[str, int], float] = {}

                def handed_over() -> set[tuple[str, int]]:
                    now = asyncio.get_running_loop().time()
                    for one in watch.csms.transactions():
                        seen.setdefault((one.cp, one.transaction_id), now)
                    return {name for name, at in seen.items() if now - at > HANDED_OVER_S}

                def shards() -> Counter[int]:
                    return Counter(int(cp[2:]) % 2 for cp, _ in handed_over())

                await until(lambda: min(shards()[0], shards()[1]) >= 5)
                known = handed_over()
                os.kill(workers_of(program)[0], signal.SIGKILL)
                await until(lambda: watch.connected == 10)
                await until(lambda: watch.connected == 20)
                program.signal(signal.SIGINT)
                assert await ended(program) == 1
                assert "were open and are lost with its worker" in program.errors
            with (tmp_path / "figures" / "ledger.csv").open() as file:
                rows = list(csv.DictReader(file))
            ours = [(row["station"], int(row["transaction_id"])) for row in rows if row["transaction_id"]]
            assert len(ours) == len(set(ours)), "no transaction is there twice"
            assert known <= set(ours)
            made = {(one.cp, one.transaction_id): one.stop is not None for one in watch.csms.transactions()}
            lost = [row for row in rows if row["verdict"] == "lost with a worker"]
            assert {row["verdict"] for row in rows} == {"ok", "lost with a worker"}
            assert len({row["note"] for row in lost}) == 1, "one worker was lost"
            for row in rows:
                if row["verdict"] == "ok":
                    assert made[row["station"], int(row["transaction_id"])]
        told = json.loads((tmp_path / "all.json").read_text())
        totals = told["ledger"]["totals"]
        assert (totals["lost"], totals["missing"]) == (len(lost), 0)
        assert totals["lost_with_worker"] == len(lost) > 0
        assert told["verdict"]["criteria"][0]["notes"][0].startswith(
            f"{len(lost)} of them were lost with a worker"
        )

    asyncio.run(story())


@pytest.mark.campaign
def test_shards_that_cannot_renew_drop_their_links_and_come_back(tmp_path: Path) -> None:
    """Here nobody answers because the process that grants is stopped."""

    async def story() -> None:
        async with watched() as watch:
            with run(watch.csms.url, "--behaviour", "idle", cwd=tmp_path) as program:
                await until(lambda: watch.connected == 20)
                program.signal(signal.SIGSTOP)
                began = asyncio.get_running_loop().time()
                await until(lambda: watch.connected == 0)
                assert 4 < asyncio.get_running_loop().time() - began < 12
                program.signal(signal.SIGCONT)
                await until(lambda: watch.connected == 20)
                program.signal(signal.SIGINT)
                assert await ended(program) == 0
            assert not watch.doubled
            assert set(watch.connects.values()) == {2}

    asyncio.run(story())


@pytest.mark.campaign
def test_events_reach_all_shards_and_every_transaction_is_accounted_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched() as watch:
            plan = tmp_path / "fleet.yaml"
            plan.write_text(
                f"csms: {{url: {watch.csms.url}}}\nseed: 3\nramp: 100/s\n"
                "groups: [{name: g, count: 20, behaviour: steady}]\n"
                "events: [{at: 20m, do: network-out for 2m}]\n"
            )
            arguments = ("fleet", "run", "fleet.yaml", "--workers", "2", "--clock", "x240", "--for", "1h")
            with Program(
                *arguments, "--start", "2026-03-02T07:00:00Z", "--json", "all.json", "--plain", cwd=tmp_path
            ) as program:
                assert await ended(program) == 0
            made = watch.csms.transactions()
            totals = json.loads((tmp_path / "all.json").read_text())["ledger"]["totals"]
            assert totals["made"] == len(made) > 5
            assert (totals["missing"], totals["delivered"]) == (0, totals["made"])
            assert min(watch.connects.values()) >= 2, "everybody was cut off once"
            assert not watch.doubled

    asyncio.run(story())


class Cluster:
    """A Dask cluster somebody has started: a scheduler at `address`, and workers to come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self._stack = ExitStack()
        blocker = folder / "without"
        blocker.mkdir()
        (blocker / "sitecustomize.py").write_text(WITHOUT_THE_PACKAGE)
        self.without = {"PYTHONPATH": str(blocker)}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def schedule(self, **environment: str) -> None:
        file = self.folder / "scheduler.json"
        flags = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        self._dask("scheduler", *flags, **environment)
        await until(lambda: file.exists() and bool(file.read_text()))
        self.address = json.loads(file.read_text())["address"]

    def work(self, **environment: str) -> subprocess.Popen[bytes]:
        flags = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder))
        return self._dask("worker", self.address, *flags, **environment)

    async def has(self, workers: int) -> None:
        """Wait until so many are there: a fleet begins with those it finds."""
        async with Client(self.address, asynchronous=True, set_as_default=False) as client:
            await client.wait_for_workers(workers, timeout=30)

    def _dask(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "dask", *arguments, "--no-dashboard"],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@pytest.mark.campaign
def test_a_cluster_that_is_there(tmp_path: Path) -> None:
    """One worker has another version and one no package, one dies for good: its shard joins the other one."""
    other = tmp_path / "other" / "chargepoint-9.9.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: chargepoint\nVersion: 9.9.0\n")

    async def story() -> None:
        with Cluster(tmp_path) as cluster:
            await cluster.schedule()
            first, _ = cluster.work(), cluster.work()
            cluster.work(PYTHONPATH=str(other.parent))
            cluster.work(**cluster.without)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", VersionMismatchWarning)
                await cluster.has(4)
            async with watched() as watch:
                with run(
                    watch.csms.url, "--behaviour", "idle", "--scheduler", cluster.address, cwd=tmp_path
                ) as program:
                    await until(lambda: "is not used: it has chargepoint 9.9.0" in program.errors)
                    await until(lambda: "is not used: it has no chargepoint; install" in program.errors)
                    await until(lambda: watch.connected == 20)
                    first.kill()
                    await until(lambda: watch.connected < 20)
                    await until(lambda: watch.connected == 20)
                    program.signal(signal.SIGINT)
                    assert await ended(program) == 0, program.errors
                    told = [line for line in program.errors.splitlines() if "not used" in line]
                    assert all(line.startswith("worker tcp://127.0.0.1:") for line in told)
                    assert len(told) == 2, "a line for each"
                    assert "VersionMismatch" not in program.errors
                assert not watch.doubled
                assert sorted(watch.connects.values()) == [1] * 10 + [2] * 10

    asyncio.run(story())


@pytest.mark.campaign
def test_a_scheduler_without_the_package(tmp_path: Path) -> None:
    """It unpacks what it hands out: all shards would fail there, one after the other."""

    async def story() -> None:
        with Cluster(tmp_path) as cluster:
            await cluster.schedule(**cluster.without)
            cluster.work()
            with run("ws://127.0.0.1:1", "--scheduler", cluster.address, cwd=tmp_path) as program:
                assert await ended(program) == 2
                [line] = [line for line in program.errors.splitlines() if "scheduler" in line]
                assert line.startswith(
                    "the scheduler cannot hand out a fleet: it has no chargepoint; install"
                )

    asyncio.run(story())


@pytest.mark.campaign
def test_what_a_person_does_reaches_all_shards() -> None:
    async def story() -> None:
        async with watched() as watch:
            url = watch.csms.url
            fleet = ClusterFleet(plan_of_flags(url=url, count=6, behaviour="idle", ramp="50/s"), workers=2)
            said: list[str] = []
            fleet.on_notice = said.append
            running = asyncio.ensure_future(fleet.run(None))
            await until(lambda: watch.connected == 6)
            fleet.add(3)
            await until(lambda: watch.connected == 9)
            await until(lambda: fleet.planned == 9)
            fleet.perform(parse("network-out"))
            await until(lambda: watch.connected == 0)
            fleet.perform(parse("return"))
            await until(lambda: watch.connected == 9)
            fleet.remove(5)
            await until(lambda: watch.connected == 4)
            fleet.stop()
            await running
            assert not watch.doubled
            assert not said
            assert fleet.before_end is not None
            assert fleet.before_end.connected == 4

    asyncio.run(story())


def test_a_fleet_of_workers_says_why_nobody_can_connect_and_goes_on(tmp_path: Path) -> None:
    with run(f"ws://127.0.0.1:{refusing_port()}", "--json", "all.json", cwd=tmp_path) as program:
        program.until("20 of 20 stations cannot connect (refused)")
        program.signal(signal.SIGINT)
        assert program.end() == 1
    assert json.loads((tmp_path / "all.json").read_text())["snapshot"]["connect_failures"]["refused"] >= 20


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--scheduler", "tcp://127.0.0.1:1"), "--csms", id="embedded-for-others"),
        pytest.param(
            ("--scheduler", "tcp://127.0.0.1:1", "--csms", "ws://127.0.0.1:1"),
            "tcp://127.0.0.1:1",
            id="nobody",
            marks=pytest.mark.campaign,
        ),
        pytest.param(("--workers", "2", "--clock", "stepped", "--for", "1h"), "stepped", id="stepped"),
        pytest.param(("--workers", "2", "--shard", "0/2"), "--shard", id="both"),
        pytest.param(("--shard", "2/2", "--csms", "ws://127.0.0.1:1"), "0 to 1", id="beyond"),
        pytest.param(("--shard", "0/2"), "--csms", id="shard-embedded"),
        pytest.param(("--shard", "auto/2", "--csms", "ws://x"), "JOB_COMPLETION_INDEX", id="no-job"),
    ],
)
def test_what_cannot_begin_is_said_in_a_line(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    done = chargepoint("fleet", "run", "--count", "4", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr


def test_a_shard_of_its_own_runs_its_members_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with watched() as watch:
            told: dict[str, Any] = {"JOB_COMPLETION_INDEX": "1", "COMPLETIONS": "3"}
            flags = (
                "fleet",
                "run",
                "--csms",
                watch.csms.url,
                "--count",
                "8",
                "--behaviour",
                "idle",
                "--plain",
            )
            before = {name: os.environ.get(name) for name in told}
            os.environ.update(told)
            try:
                program = Program(*flags, cwd=tmp_path)
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
            with program:
                await until(lambda: watch.connected == 3)
                program.signal(signal.SIGINT)
                assert await ended(program) == 0
            assert sorted(watch.connects) == ["CP00002", "CP00005", "CP00008"]

    asyncio.run(story())
