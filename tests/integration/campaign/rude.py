"""Rounds with a rude network, a rude central system and power cuts: a story, its mishaps, and the verdict."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.store import file_name
from tests.integration.campaign.judge import CALL, RESULT, Judge, Verdict
from tests.integration.campaign.moments import Moment
from tests.integration.campaign.proxy import Rudeness, RudeProxy, Seen
from tests.integration.campaign.rounds import BETWEEN_LIVES_S, INTERVAL_S, Round, session, shuffled, strike
from tests.integration.campaign.rude_answers import KINDS, Manner, RudeAnswers
from tests.integration.campaign.witness import disagreements
from tests.integration.piped import Line, Silent
from tests.integration.station_process import CP, START, StationProcess, configuration

TIMEOUT_S = 1.0
SURELY_S = 0.5
"""A CALL of ours comes this soon after another only if that one was answered: half of the MessageTimeout."""

KILL: Line = {"cmd": "kill"}
"""Among the commands of a story: the power goes."""


@dataclass(slots=True)
class Plan:
    """Everything that happens in one round. `lives` are the commands of each life; the last life is added."""

    seed: int
    lives: list[list[Line]]
    frames: dict[int, Rudeness] = field(default_factory=dict)
    answers: dict[tuple[str, int], Manner] = field(default_factory=dict)
    hours: list[float] = field(default_factory=list)  # where the central system puts the clock, in turn
    latency_s: float = 0.0
    attempts: int = 10
    slow: bool = False  # the contactors take their time to open
    altered: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What came of a round."""

    verdict: Verdict
    done: Counter[str]
    reached: dict[int, Rudeness]
    names: list[str]
    moments: list[Moment]


class RudeRound(Round):
    """A station, a proxy and a central system that follow a plan; everything else is as in a `Round`."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan.seed)
        self.plan = plan
        self.proxy = RudeProxy(lambda: int(self.central.url.rpartition(":")[2]))
        self.answers = RudeAnswers(plan.answers, list(plan.hours))
        self.central._office.answers = self.answers
        self.expected: set[str] = set()
        self.noise: list[str] = []
        self._witness = folder / "witness"
        self._restarting: asyncio.Task[None] | None = None
        self._welcome = False  # accepted once, in whichever life

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.proxy.__aenter__()
        self.proxy.plan = self.plan.frames
        chance = random.Random(self.plan.seed)
        if self.plan.latency_s:
            self.proxy.delay_s = lambda: chance.random() * self.plan.latency_s
        self.proxy.on_restart = self._restart
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.proxy.__aexit__(kind, error, trace)
        if self._restarting is not None:
            await self._restarting
        await super().__aexit__(kind, error, trace)

    def _restart(self) -> None:
        async def restart() -> None:
            await self.central.stop()
            await self.central.start()

        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(restart())

    @asynccontextmanager
    async def born(self) -> AsyncIterator[StationProcess]:
        """Start the station's process."""
        start = format_time(parse_time(START) + self._lives * BETWEEN_LIVES_S)
        self._lives += 1
        followed = ("time_followed",) if self.plan.hours else ()
        altered = ("witnessed", "impatient_link", *followed, *self.plan.altered)
        config = configuration(
            self._folder,
            ocpp={
                "MeterValueSampleInterval": str(INTERVAL_S),
                "AllowOfflineTxForUnknownId": "true",
                "TransactionMessageAttempts": str(self.plan.attempts),
                "TransactionMessageRetryInterval": "2",
                "MessageTimeout": f"{TIMEOUT_S:g}",
                "WebSocketPingInterval": "1",
            },
            connectors=[{"evse": {"driver": "witnessed-slow" if self.plan.slow else "witnessed"}}] * 2,
            csms={"reconnect": {"min_s": 0.5, "jitter_s": 0, "max_s": 2}},
        )
        arguments: list[str | Path] = ["run", "--control", "stdio", "--clock", "stepped", "--linger", "0"]
        arguments += ["--config", config, "--seed", str(self.plan.seed), "--start", start]
        arguments += ["--storage", self._folder / "storage", "--csms", self.proxy.url]
        async with StationProcess.born(
            arguments,
            STATION_ALTERED=",".join(altered),
            STATION_WITNESS=str(self._witness),
            STATION_STORE=str(self._folder / "storage" / file_name(CP)),
        ) as running:
            self.proxy.on_kill = lambda: strike(running)
            await running.event("ready")
            yield running
            await running.ended()
            self.noise += [line for line in running.errors.splitlines() if " connects to ws://" not in line]

    async def play(self) -> Outcome:
        """All lives of the plan and one more, and what is to be said of them."""
        for commands in self.plan.lives:
            async with self.born() as running:
                try:
                    await self._live(running, commands)
                    await self._recover(running)
                    break
                except Silent:
                    await running.ended()
                    if running.process.returncode != -9:
                        raise
                self.proxy.sever(only_dead=True)
                await self.kill(running, _newest_tag(commands))
        else:
            async with self.born() as running:
                await self._recover(running)
        done = self.proxy.done + self.answers.done
        return Outcome(self.judged(), done, self.proxy.reached, self.proxy.rude_names, self.moments)

    async def _live(self, running: StationProcess, commands: Sequence[Line]) -> None:
        """Say one command after the other; sessions count from the moment the station may charge."""
        if not self._welcome:  # who was never accepted may not charge
            await self._registered(running)
            self._welcome = True
        for n, command in enumerate(commands):
            if command is KILL:
                strike(running)
                await running.ended()
                raise Silent
            reply = await running.ask(command)
            assert reply["ok"], (command, reply)
            if command["cmd"] == "advance":
                said = [c for c in commands[:n] if "connector" in c]
                both = {(c["cmd"], c["connector"]) for c in said}
                self.expected |= {
                    c["id_tag"] for c in said if c["cmd"] == "swipe" and ("plug_in", c["connector"]) in both
                }

    async def _registered(self, running: StationProcess) -> None:
        for _ in range(200):
            if (await running.do("status"))["registration"] == "Accepted":
                return
            await running.advance(5)
        raise AssertionError("it was never accepted")

    async def _delivered(self, running: StationProcess) -> None:
        await self._registered(running)
        for _ in range(200):
            await running.advance(5)
            if (reply := await running.do("status"))["online"] and not reply["queued"]:
                return
        raise AssertionError(reply)

    async def _recover(self, running: StationProcess) -> None:
        """The world becomes kind, but for dead connections: deliver all, charge again, end in good order."""
        self.proxy.calm()
        self.answers.calm()
        if self._restarting is not None:
            await self._restarting
        await self._delivered(running)
        for command in session("AFTERWARDS", runs_s=25):
            await running.do(**command)
        self.expected.add("AFTERWARDS")
        await self._delivered(running)
        await running.shut_down()

    def judged(self) -> Verdict:
        """What the judge says of everything."""
        bench = Judge(
            INTERVAL_S,
            rude=True,
            clock_moves=bool(self.plan.hours),
            failed=self._failed(),
            attempts=self.plan.attempts,
        )
        bench.hear(self.heard)
        bench.keep(self.promises)
        bench.expect(sorted(self.expected))
        verdict = bench.deliver()
        verdict.problems += disagreements(self._witness, list(bench.sessions.values()))
        verdict.problems += overlapping(self.proxy.seen)
        verdict.problems += [f"it said on standard error: {line}" for line in self.noise]
        return verdict

    def _failed(self) -> set[str]:
        """The ids of CALLs that were refused, or not answered in time although their connection lasted."""
        down = [seen for seen in self.proxy.seen if not seen.up]
        refused = {seen.frame[1] for seen in down if seen.frame[0] != RESULT or "nonsense" in seen.frame[2]}
        answered = {seen.frame[1]: seen.at for seen in reversed(down) if seen.frame[0] == RESULT}
        now = asyncio.get_running_loop().time()
        ignored = {
            seen.frame[1]
            for seen in self.proxy.seen
            if seen.up
            and self.proxy.ended.get(seen.link, now) > seen.at + SURELY_S
            and answered.get(seen.frame[1], now) > seen.at + SURELY_S
        }
        return refused | ignored


def overlapping(seen: Iterable[Seen]) -> list[str]:
    """CALLs that went out while another waited for its answer (OCPP-J 1.6 §4.1.1)."""
    waiting: dict[int, Seen] = {}
    wrong = []
    for one in seen:
        if not one.up:
            if one.link in waiting and waiting[one.link].frame[1] == one.frame[1]:
                del waiting[one.link]
        elif one.frame[0] == CALL:
            before = waiting.get(one.link)
            if before is not None and one.at < before.at + SURELY_S:
                wrong.append(f"{one.frame[2]} went out before {before.frame[2]} was answered")
            waiting[one.link] = one
    return wrong


def _newest_tag(commands: Iterable[Line]) -> str:
    return next((c["id_tag"] for c in reversed(list(commands)) if c["cmd"] == "swipe"), "")


# --- plans ------------------------------------------------------------------------------------------------

CANONICAL: list[Line] = [*session("TAG", runs_s=24), {"cmd": "advance", "seconds": 20}]
"""One session with two samples, and idle time for a Heartbeat: the frames of which are all there are."""

EVERY = (
    Rudeness.CUT_BEFORE,
    Rudeness.CUT_INSIDE,
    Rudeness.CUT_AFTER,
    Rudeness.RESET_BEFORE,
    Rudeness.RESET_AFTER,
    Rudeness.HALF_OPEN,
    Rudeness.KILL_BEFORE,
    Rudeness.KILL_AFTER,
    Rudeness.DOUBLE,
    Rudeness.KEEP,
    Rudeness.RESTART,
)


def canonical(seed: int = 1) -> Plan:
    """The session without any mishap."""
    return Plan(seed, [CANONICAL])


def boundary_plans(frames: int) -> list[tuple[int, Plan]]:
    """Each mishap at each frame of the canonical session."""
    return [
        (number, Plan(1, [CANONICAL], frames={number: rude}, slow=number % 2 == 1))
        for number in range(1, frames + 1)
        for rude in EVERY
    ]


def answer_plans() -> list[Plan]:
    """Each bad answer to each kind of message, once, and as often as a record is tried."""
    manners = (Manner.ERROR, Manner.SILENCE, Manner.LATE, Manner.NONSENSE)
    return [
        Plan(1, [CANONICAL], answers={(kind, n): manner for n in range(1, times + 1)}, attempts=2)
        for kind in KINDS
        for manner in manners
        if (kind, manner) != ("Authorize", Manner.NONSENSE)
        for times in (1, 2)
    ]


def random_plan(seed: int) -> Plan:
    """Several sessions, lives and mishaps, as chance has it."""
    chance = random.Random(seed)
    lives = [_random_life(chance, n) for n in range(chance.choice((1, 1, 2, 3)))]
    attempts = chance.choice((2, 3, 10))
    frames = {chance.randrange(1, 90): chance.choice(EVERY) for _ in range(chance.choice((0, 1, 2, 4, 8)))}
    if attempts < 10:  # vanished frames are no attempts that anybody could count
        frames = {n: rude for n, rude in frames.items() if rude is not Rudeness.HALF_OPEN}
    return Plan(
        seed,
        lives,
        frames,
        _random_answers(chance),
        hours=[chance.uniform(-9, 9) for _ in range(4)] if chance.random() < 0.2 else [],
        latency_s=chance.choice((0, 0, 0.003, 0.02)),
        attempts=attempts,
        slow=chance.random() < 0.35,
    )


def _random_life(chance: random.Random, life: int) -> list[Line]:
    commands = _random_session(chance, f"TAG{life}", 1)
    if chance.random() < 0.4:
        commands = shuffled(chance, commands, _random_session(chance, f"TAG{life}-2", 2))
    if chance.random() < 0.3:
        commands += _random_session(chance, f"TAG{life}-3", chance.choice((1, 2)))
    if chance.random() < 0.4:
        commands.insert(chance.randrange(1, len(commands)), KILL)
    return commands


def _random_session(chance: random.Random, id_tag: str, connector: int) -> list[Line]:
    return session(
        id_tag,
        connector,
        runs_s=chance.choice((0, 0.5, 20, 40, 60)),
        offline=chance.choice(("", "", "", "start", "middle", "end", "whole")),
        stop=chance.choice(("swipe", "plug_out")),
        card=chance.choice(("before", "after")),
    )


def _random_answers(chance: random.Random) -> dict[tuple[str, int], Manner]:
    answers: dict[tuple[str, int], Manner] = {}
    for _ in range(chance.choice((0, 1, 2, 4))):
        kind = chance.choice(KINDS)
        manner = chance.choice((Manner.ERROR, Manner.SILENCE, Manner.LATE, Manner.NONSENSE))
        if (kind, manner) == ("Authorize", Manner.NONSENSE):
            continue
        first = chance.randrange(1, 4)
        for n in range(first, first + chance.choice((1, 1, 1, 2, 3))):
            answers[kind, n] = manner
    if chance.random() < 0.25:
        answers["BootNotification", 1] = chance.choice((Manner.PENDING, Manner.REJECTED, Manner.NO_INTERVAL))
    return answers


async def play_round(folder: Path, plan: Plan) -> Outcome:
    """One round in a folder of its own; whatever goes wrong in it is in the verdict."""
    folder.mkdir(parents=True)
    try:
        async with RudeRound(folder, plan) as round:
            try:
                return await round.play()
            except (AssertionError, OSError, TimeoutError) as error:
                verdict = Verdict([f"{type(error).__name__}: {error}"[:600], *round.noise])
                return Outcome(verdict, Counter(), {}, round.proxy.rude_names, round.moments)
    except TimeoutError as error:
        return Outcome(Verdict([f"it did not end: {error}"]), Counter(), {}, [], [])
