"""One station over several lives: power cuts, restarts, and everything its central system received."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.ocpp16.times import format_time, parse_time
from tests.integration.campaign.judge import CALL, Heard, Payload, Promise, Verdict, judge
from tests.integration.campaign.moments import Moment, Remains
from tests.integration.piped import Line
from tests.integration.station_process import CP, START, StationProcess, configuration, station

INTERVAL_S = 10
BETWEEN_LIVES_S = 10_000.0


class Round:
    """A station that dies and comes back, its central system in this process, and what was heard there."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.central = CentralSystem(seed=seed)
        self.heard: list[Heard] = []
        self.promises: list[Promise] = []
        self.moments: list[Moment] = []
        self.on_call: dict[str, Callable[[Payload], None]] = {}  # action -> what happens before its answer
        self._folder = folder
        self._seed = seed
        self._lives = 0
        self._links = 0
        self._disconnected = asyncio.Event()
        self._disconnected.set()

    async def __aenter__(self) -> Self:
        self.central.listen(self._event)
        await self.central.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.central.stop()

    def _event(self, event: Event) -> None:
        if event.name == "connected":
            self._links += 1
            self._disconnected.clear()
        elif event.name == "disconnected":
            self._disconnected.set()
        elif event.name == "frame":
            frame, sent = event.fields["frame"], event.fields["dir"] == "tx"
            self.heard.append(Heard(self._lives, self._links, sent, frame))
            if not sent and frame[0] == CALL and frame[2] in self.on_call:
                self.on_call[frame[2]](frame[3])

    @asynccontextmanager
    async def life(
        self, *altered: str, slow: bool = False, clock: str = "stepped", interval_s: int = INTERVAL_S
    ) -> AsyncIterator[StationProcess]:
        """Start the station's process, with something altered about it or not."""
        start = format_time(parse_time(START) + self._lives * BETWEEN_LIVES_S)
        self._lives += 1
        alterations = (*altered, *(("slow_contactor",) if slow else ()))
        config = configuration(
            self._folder,
            ocpp={
                "MeterValueSampleInterval": str(interval_s),
                "AllowOfflineTxForUnknownId": "true",
                "TransactionMessageAttempts": "10",
            },
            connectors=[{"evse": {"driver": "slow" if slow else "simulated"}}] * 2,
        )
        async with station(
            "--config",
            config,
            "--seed",
            str(self._seed),
            "--linger",
            "0",
            csms=self.central.url,
            storage=self._folder / "storage",
            clock=clock,
            start=start,
            STATION_ALTERED=",".join(alterations),
        ) as running:
            yield running

    async def kill(self, running: StationProcess, id_tag: str) -> Moment:
        """Cut the power, and note what the store promises and how far the session of `id_tag` had come."""
        strike(running)
        await running.ended()
        await self._disconnected.wait()  # what was on its way has arrived
        remains = Remains(self._folder / "storage", CP)
        self.promises += remains.promises()
        moment = remains.moment(id_tag, self.heard)
        self.moments.append(moment)
        self.on_call.clear()
        for action in ("StartTransaction", "MeterValues", "StopTransaction"):
            self.central.set_answer(action)
        return moment

    async def last_life(self, *altered: str, slow: bool = False) -> Verdict:
        """Come back, deliver everything, charge once more, end in good order, and be judged."""
        async with self.life(*altered, slow=slow) as running:
            await running.advance(1)
            for command in session("AFTERWARDS", runs_s=25):
                running.say(command)
            running.say({"cmd": "advance", "seconds": 1})
            running.say({"cmd": "status"})
            while "queued" not in (reply := await running.reply()):
                assert reply["ok"], reply
            assert reply["queued"] == 0, reply
            await running.shut_down()
        return self.verdict()

    def calls(self, action: str) -> list[Heard]:
        """Every CALL of that action that came."""
        return [one for one in self.heard if not one.sent and one.frame[0] == CALL and one.frame[2] == action]

    def verdict(self) -> Verdict:
        """What the judge says of everything so far."""
        return judge(self.heard, self.promises, INTERVAL_S)


def strike(running: StationProcess) -> None:
    """SIGKILL, now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.process.pid, signal.SIGKILL)


def session(
    id_tag: str,
    connector: int = 1,
    *,
    runs_s: float,
    offline: str = "",
    stop: str = "swipe",
    card: str = "after",
) -> list[Line]:
    """One visit as commands; `offline`: never (""), or at "start", "middle", "end", or the "whole" time."""

    def network(online: bool) -> list[Line]:
        return [{"cmd": "network", "online": online}]

    def wait(seconds: float) -> list[Line]:
        return [{"cmd": "advance", "seconds": seconds}]

    plug: list[Line] = [{"cmd": "plug_in", "connector": connector}]
    swipe: list[Line] = [{"cmd": "swipe", "id_tag": id_tag, "connector": connector}]
    unplug: list[Line] = [{"cmd": "plug_out", "connector": connector}]
    return [
        *wait(1),
        *(network(False) if offline in ("start", "whole") else []),
        *(plug + swipe if card == "after" else swipe + plug),
        *wait(2),
        *(network(True) if offline == "start" else []),
        *wait(runs_s / 3),
        *(network(False) if offline == "middle" else []),
        *wait(runs_s / 3),
        *(network(True) if offline == "middle" else []),
        *wait(runs_s / 3),
        *(network(False) if offline == "end" else []),
        *(swipe if stop == "swipe" else unplug),
        *wait(3),
        *(network(True) if offline in ("end", "whole") else []),
        *wait(1),
        *(unplug if stop == "swipe" else []),
        *wait(1),
    ]


async def random_life(round: Round, chance: random.Random, id_tag: str) -> Moment:
    """A life that ends by a power cut at a moment that nobody chose: between two commands, or anywhere."""
    _trouble(round.central, chance)
    async with round.life(slow=chance.random() < 0.35) as running:
        commands = _random_session(chance, id_tag, 1)
        if chance.random() < 0.3:
            commands = shuffled(chance, commands, _random_session(chance, f"{id_tag}-2", 2))
        lines = chance.randrange(6, 75)
        if chance.random() < 0.5:
            commands, lines = commands[: chance.randrange(1, len(commands))], 10_000
        for command in commands:
            running.say(command)
        with contextlib.suppress(TimeoutError):  # nothing more comes while an answer is awaited
            async with asyncio.timeout(0.3):
                await running.until_said(
                    lambda said: (
                        len(said) >= lines or sum("event" not in line for line in said) == len(commands)
                    )
                )
        await asyncio.sleep(chance.choice([0, chance.random() * 0.004]))
        return await round.kill(running, id_tag)


def _random_session(chance: random.Random, id_tag: str, connector: int) -> list[Line]:
    return session(
        id_tag,
        connector,
        runs_s=chance.choice([0, 0.5, 20, 40, 60]),
        offline=chance.choice(["", "", "start", "middle", "end", "whole"]),
        stop=chance.choice(["swipe", "plug_out"]),
        card=chance.choice(["before", "after"]),
    )


def shuffled(chance: random.Random, one: list[Line], other: list[Line]) -> list[Line]:
    """Both in one, each in its own order."""
    turns = [True] * len(one) + [False] * len(other)
    chance.shuffle(turns)
    ones, others = iter(one), iter(other)
    return [next(ones) if turn else next(others) for turn in turns]


def _trouble(central: CentralSystem, chance: random.Random) -> None:
    """Something that makes a narrow moment wide: answers that come late, never, or as errors."""
    action = chance.choice(["StartTransaction", "StopTransaction"])
    match chance.randrange(6):
        case 0:
            central.set_answer(action, delay_s=0.05)
        case 1:
            central.set_answer(action, silent=True)
        case 2:
            central.set_answer(action, error="InternalError", times=1)


async def random_round(folder: Path, seed: int, kills: int) -> tuple[list[Moment], Verdict]:
    """Several power cuts in a row, then the last life; the moments they hit and the verdict."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    async with Round(folder, seed) as round:
        for n in range(kills):
            await random_life(round, chance, f"TAG{n}")
        verdict = await round.last_life()
        return round.moments, verdict


def seeds(first: int, kills: int) -> Iterator[tuple[int, int]]:
    """Seeds of rounds and how often each is killed, until there are that many kills."""
    seed = first
    while kills > 0:
        yield seed, min(kills, 1 + seed % 3)
        kills -= 1 + seed % 3
        seed += 1
