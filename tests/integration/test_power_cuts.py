"""Power cuts at chosen and at random moments of a session (OCPP 1.6 §3.7, §4.8, §4.10).

Every cut is a SIGKILL of the station's process. The judge sees only what the central system received and what
the dead station's store promised. `make campaign` tries 500 random cuts and prints where they hit.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration.campaign.judge import Payload, Verdict, judge
from tests.integration.campaign.moments import Moment
from tests.integration.campaign.rounds import Round, random_round, seeds, strike
from tests.integration.piped import play
from tests.integration.station_process import StationProcess
from tests.standstills import again_after_a_standstill

TAG = "TAG"

Story = Callable[[Round, StationProcess], Awaitable[None]]
"""Brings a running station to the moment at which the power goes."""


async def _plugged(running: StationProcess) -> None:
    await running.advance(1)
    await running.do("plug_in", connector=1)


async def _charging(running: StationProcess) -> None:
    await _plugged(running)
    await running.do("swipe", id_tag=TAG, connector=1)
    await running.advance(5)


def _killed_by(action: str) -> Callable[[Round, StationProcess], None]:
    """The power goes when that CALL arrives at the central system, before it answers."""

    def arm(round: Round, running: StationProcess) -> None:
        def cut(payload: Payload) -> None:
            strike(running)

        round.on_call[action] = cut

    return arm


async def not_stored(round: Round, running: StationProcess) -> None:
    """The card is still being checked."""
    _killed_by("Authorize")(round, running)
    await _plugged(running)
    running.say({"cmd": "swipe", "id_tag": TAG, "connector": 1})
    await running.ended()


async def stored(round: Round, running: StationProcess) -> None:
    """Started without a network."""
    await running.advance(1)
    await running.do("network", online=False)
    await running.do("plug_in", connector=1)
    await running.do("swipe", id_tag=TAG, connector=1)


async def sent(round: Round, running: StationProcess) -> None:
    """StartTransaction has arrived and will never be answered."""
    _killed_by("StartTransaction")(round, running)
    await _plugged(running)
    running.say({"cmd": "swipe", "id_tag": TAG, "connector": 1})
    await running.ended()


async def confirmed(round: Round, running: StationProcess) -> None:
    """The number is known, no sample yet."""
    await _charging(running)


async def sampled(round: Round, running: StationProcess) -> None:
    """Some samples delivered, some waiting."""
    await _charging(running)
    await running.advance(20)
    await running.do("network", online=False)
    await running.advance(20)


async def stopping(round: Round, running: StationProcess) -> None:
    """The card was shown again and the contactor has not opened yet."""
    await _charging(running)
    await running.advance(20)
    await running.do("swipe", id_tag=TAG, connector=1)


async def stop_stored(round: Round, running: StationProcess) -> None:
    """Stopped without a network."""
    await _charging(running)
    await running.advance(20)
    await running.do("network", online=False)
    await running.do("swipe", id_tag=TAG, connector=1)


async def offline_throughout(round: Round, running: StationProcess) -> None:
    """Start, samples and stop all wait in the store."""
    await stored(round, running)
    await running.advance(25)
    await running.do("swipe", id_tag=TAG, connector=1)


async def stop_sent(round: Round, running: StationProcess) -> None:
    """StopTransaction has arrived and will never be answered."""
    _killed_by("StopTransaction")(round, running)
    await _charging(running)
    await running.advance(20)
    running.say({"cmd": "swipe", "id_tag": TAG, "connector": 1})
    await running.ended()


async def done(round: Round, running: StationProcess) -> None:
    """Everything was said."""
    await _charging(running)
    await running.do("swipe", id_tag=TAG, connector=1)
    await running.advance(1)


CHOSEN: dict[Story, tuple[Moment, int]] = {
    not_stored: (Moment.NOT_STORED, 0),
    stored: (Moment.STORED, 0),
    sent: (Moment.SENT, 1),
    confirmed: (Moment.CONFIRMED, 0),
    sampled: (Moment.RUNNING, 0),
    stopping: (Moment.STOPPING, 0),
    stop_stored: (Moment.STOP_STORED, 0),
    offline_throughout: (Moment.STOP_STORED, 0),
    stop_sent: (Moment.STOP_SENT, 1),
    done: (Moment.DONE, 0),
}
"""Story -> the moment it ends at, and how many records the central system then gets twice."""


async def _cut(folder: Path, story: Story, life: tuple[str, ...], last_life: tuple[str, ...]) -> Round:
    """Play a story up to its power cut, then come back; with mistakes put into either life."""
    slow = story is stopping
    async with Round(folder) as round:
        async with round.life(*life, slow=slow) as running:
            await story(round, running)
            await round.kill(running, TAG)
        await round.last_life(*last_life, slow=slow)
    return round


@pytest.mark.parametrize("story", CHOSEN, ids=lambda story: story.__name__)
def test_a_power_cut_at_a_chosen_moment(tmp_path: Path, story: Story) -> None:
    async def run() -> None:
        moment, repeats = CHOSEN[story]
        round = await _cut(tmp_path, story, (), ())
        assert round.moments == [moment]
        assert round.verdict() == Verdict([], repeats)
        tags = [call.frame[3]["idTag"] for call in round.calls("StartTransaction")]
        assert (TAG in tags) is (moment is not Moment.NOT_STORED)
        assert "AFTERWARDS" in tags

    play(run)


@pytest.mark.parametrize("batch", [0, *(pytest.param(n, marks=pytest.mark.campaign) for n in range(1, 6))])
def test_power_cuts_at_random_moments(tmp_path: Path, batch: int) -> None:
    """Five each; what fails can be repeated by its seed as far as chance goes in two processes."""

    async def run() -> None:
        for seed, kills in seeds(first=100 * batch, kills=5):
            moments, verdict = await random_round(tmp_path / str(seed), seed, kills)
            assert len(moments) == kills
            assert verdict.problems == [], (seed, moments)

    play(run)


@pytest.mark.parametrize(
    "online",
    [pytest.param(True, marks=pytest.mark.campaign, id="online"), pytest.param(False, id="offline")],
)
@again_after_a_standstill
def test_a_power_cut_on_a_real_clock_that_the_central_system_corrects(tmp_path: Path, online: bool) -> None:
    """Moments that were right before the cut stay as they are; the new start's own time is only a guess."""

    async def run() -> None:
        async with Round(tmp_path) as round:
            answer = {"status": "Accepted", "interval": 300, "currentTime": "2031-05-01T00:00:00Z"}
            round.central.set_answer("BootNotification", payload=answer)
            async with round.life(clock="wall", interval_s=1) as cp:
                await cp.event("registration", status="Accepted")
                await cp.do("network", online=online)
                await cp.do("plug_in", connector=1)
                await cp.do("swipe", id_tag=TAG, connector=1)
                await cp.event("transaction", phase="started")
                while (await cp.do("status"))["now"] < "2031-05-01T00:00:03.5":
                    await asyncio.sleep(0.05)
                await round.kill(cp, TAG)
            later = {"currentTime": "2031-05-01T01:00:00Z"}
            round.central.set_answer("BootNotification", payload=answer | later)
            async with round.life(clock="wall", interval_s=1) as cp:
                await cp.event("transaction", phase="delivered")
                await cp.shut_down()
            (start,) = [call.frame[3]["timestamp"] for call in round.calls("StartTransaction")]
            (stop,) = [call.frame[3] for call in round.calls("StopTransaction")]
            assert "2031-05-01T00:00:00" <= start < "2031-05-01T00:00:02"
            assert "2031-05-01T00:00:02" < stop["timestamp"] < "2031-05-01T00:00:04"
            assert stop["reason"] == "PowerLoss"
            assert judge(round.heard, round.promises, interval_s=1) == Verdict([], 0)

    play(run)


MISTAKES: list[tuple[str, Story, str, str]] = [
    ("sent_before_stored", sent, "life", "TAG: lost, it never stopped"),
    ("stop_not_stored", stop_sent, "life", "TAG: stopped as another"),
    ("samples_thinned", sampled, "life", "TAG: samples at"),
    ("record_dropped", stored, "last life", "TAG: lost, it was stored"),
    ("record_dropped", stop_stored, "last life", "TAG: lost, it never stopped"),
    ("record_twice", stop_stored, "last life", "TAG: stopped as another"),
    ("record_twice", stored, "last life", "TAG: started as another"),
    ("record_redated", stop_sent, "last life", "TAG: stopped as another"),
    ("record_redated", stop_stored, "last life", "TAG: stop stored with timestamp"),
    ("newest_first", offline_throughout, "last life", "which nobody knows"),
    ("number_forgotten", confirmed, "last life", "StopTransaction of transaction -1"),
    ("register_forgotten", sampled, "last life", "AFTERWARDS: the register fell"),
    ("queue_before_boot", stop_stored, "last life", "StopTransaction before it was accepted"),
    ("boots_not_counted", confirmed, "last life", "was used before"),
]
"""Mistake, story, the life it is in, what the judge says of it."""


@pytest.mark.parametrize(
    ("mistake", "story", "where", "said"),
    [pytest.param(*row, id=f"{row[0]}-{row[1].__name__}") for row in MISTAKES],
)
def test_the_judge_sees_a_mistake(tmp_path: Path, mistake: str, story: Story, where: str, said: str) -> None:
    async def run() -> None:
        life, last_life = ((mistake,), ()) if where == "life" else ((), (mistake,))
        round = await _cut(tmp_path, story, life, last_life)
        assert any(said in problem for problem in round.verdict().problems), round.verdict()

    play(run)


@pytest.mark.campaign
def test_five_hundred_power_cuts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each moment of a session is hit, and nothing is lost."""
    hits: Counter[Moment] = Counter()
    repeats = 0
    wrong: dict[int, list[str]] = {}

    async def one(at_once: asyncio.Semaphore, seed: int, kills: int) -> None:
        nonlocal repeats
        async with at_once:
            moments, verdict = await random_round(tmp_path / str(seed), seed, kills)
        hits.update(moments)
        repeats += verdict.repeats
        if verdict.problems:
            wrong[seed] = verdict.problems

    async def run() -> None:
        at_once = asyncio.Semaphore(2)
        await asyncio.gather(*(one(at_once, seed, kills) for seed, kills in seeds(10_000, 500)))

    play(run, within_s=3600)
    figures = ", ".join(f"{hits[moment]} {moment}" for moment in Moment)
    with capfd.disabled():
        print(f"\n{hits.total()} power cuts: {figures}; {repeats} records sent again", file=sys.stderr)
    assert wrong == {}
    assert hits.total() == 500
    assert [moment for moment in Moment if not hits[moment]] == []
