"""Sessions over a rude network, at a rude central system, with power cuts.

OCPP 1.6 §3.7, §4.8; OCPP-J 1.6 §4, §5.

Every round is a real process at a real socket; a proxy between the two and the central system misbehave by a
plan that follows from a seed. The judge sees what the central system received, what the station's store
promised and what the hardware did. `make campaign` plays over a thousand rounds and prints their figures.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.integration.campaign.judge import Verdict
from tests.integration.campaign.moments import Moment
from tests.integration.campaign.proxy import Rudeness
from tests.integration.campaign.rude import (
    Plan,
    answer_plans,
    boundary_plans,
    canonical,
    play_round,
    random_plan,
)
from tests.integration.campaign.rude_answers import KINDS, Manner
from tests.integration.campaign.tally import Tally, play_all
from tests.integration.csms_process import central_system
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, configuration, station
from tests.standstills import again_after_a_standstill

ROUNDS = 1000


async def _frames(folder: Path) -> list[str]:
    """What the frames of the canonical session are, the handshake's two included."""
    outcome = await play_round(folder / "canonical", canonical())
    assert (outcome.verdict, outcome.done) == (Verdict(), {})
    return outcome.names


def _systematic(frames: int) -> list[tuple[str, Plan]]:
    """Each mishap at each frame, each bad answer to each kind of message."""
    plans = [(f"frame {number}: {plan.frames[number]}", plan) for number, plan in boundary_plans(frames)]
    answers = answer_plans()
    return plans + [(f"answers {sorted(plan.answers.items())}", plan) for plan in answers]


def _random(first: int, rounds: int) -> list[tuple[str, Plan]]:
    return [(f"seed {seed}", random_plan(seed)) for seed in range(first, first + rounds)]


@again_after_a_standstill
def test_the_canonical_session_is_all_frames_and_no_mishap(tmp_path: Path) -> None:
    async def run() -> None:
        names = await _frames(tmp_path)
        assert names[:2] == ["handshake request", "handshake response"]
        assert names[3::2] == [f"answer to {name}" for name in names[2::2]]
        assert [name for name in names[2::2] if name in KINDS] == [
            "BootNotification",
            *["StatusNotification"] * 4,
            "Authorize",
            "StartTransaction",
            "StatusNotification",
            *["MeterValues"] * 2,
            "StopTransaction",
            *["StatusNotification"] * 2,
            "Heartbeat",
        ]

    play(run)


@pytest.mark.search
@again_after_a_standstill
def test_a_sample_of_rude_rounds(tmp_path: Path) -> None:
    """What fails here can be repeated by its name, as far as chance goes among three processes.

    Every mishap and a sample of its places; `make campaign` plays each of them at each place.
    """

    async def run() -> None:
        tally = Tally()
        frames = len(await _frames(tmp_path))
        await play_all(tmp_path, _systematic(frames)[::20] + _random(0, 12), tally)
        assert tally.wrong == {}
        assert tally.rounds > 20
        assert tally.done.keys() >= {str(rude) for rude in Rudeness}

    play(run)


MISTAKES = [
    ("sent_before_stored", "without a transaction in the store"),
    ("stop_twice", "stopped as another"),
    ("any_answer_taken", "was answered"),
    ("newest_overtakes", "came after"),
    ("stop_lost", "lost, it never stopped"),
    ("preparing_again", "to Preparing"),
    ("gives_up_early", "lost, given up before"),
    ("boots_not_counted", "was used before"),
]
"""Mistake, what the judge says of it."""

WITHIN_ROUNDS = 16


@pytest.mark.search
@pytest.mark.parametrize(("mistake", "said"), MISTAKES, ids=[mistake for mistake, _ in MISTAKES])
@again_after_a_standstill
def test_the_judge_sees_a_mistake_in_rude_rounds(tmp_path: Path, mistake: str, said: str) -> None:
    async def run() -> None:
        heard: list[str] = []
        for n, (name, plan) in enumerate(_random(500, WITHIN_ROUNDS)):
            plan.altered = (mistake,)
            if n % 2:  # each answer twice, and time to take the second for another
                plan.frames, plan.latency_s = dict.fromkeys(range(1, 99), Rudeness.DOUBLE), 0.01
            outcome = await play_round(tmp_path / name, plan)
            heard += outcome.verdict.problems
            if any(said in problem for problem in heard):
                return
        raise AssertionError(heard)

    play(run)


@again_after_a_standstill
def test_the_judge_sees_energy_without_a_transaction(tmp_path: Path) -> None:
    """A vehicle that nobody pays for charges all the same."""

    async def run() -> None:
        visit = [
            {"cmd": "plug_in", "connector": 1},
            {"cmd": "advance", "seconds": 20},
            {"cmd": "plug_out", "connector": 1},
        ]
        for mistakes, said in (((), []), (("energy_for_anybody",), ["closes", "opens", "starts at"])):
            plan = Plan(1, [visit], altered=mistakes)
            outcome = await play_round(tmp_path / str(len(mistakes)), plan)
            problems = outcome.verdict.problems
            assert all(any(word in problem for problem in problems) for word in said), problems
            assert bool(problems) is bool(said), problems

    play(run)


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _stopped(said: list[Line]) -> bool:
    frames = (line.get("frame") for line in said[-4:])
    return any(isinstance(frame, list) and frame[2:3] == ["StopTransaction"] for frame in frames)


@pytest.mark.campaign
@pytest.mark.search
@pytest.mark.timeout(180)
def test_ten_thousand_messages_wait_for_the_network(tmp_path: Path) -> None:
    """Hours without a network, and one more cut: delivered in order, in bounded memory and time."""

    async def run() -> None:
        sampling = {"MeterValueSampleInterval": "1", "AllowOfflineTxForUnknownId": "true"}
        config = configuration(tmp_path, ocpp=sampling)
        options = ("--config", config, "--linger", "0")
        async with (
            central_system("--seed", "1") as central,
            station(*options, csms=central.url, storage=tmp_path / "s") as cp,
        ):
            await cp.advance(1)
            before_mib = _resident_mib(cp.process.pid)
            await cp.do("network", online=False)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG", connector=1)
            for _ in range(20):
                await cp.advance(500)
            await cp.do("swipe", id_tag="TAG", connector=1)
            assert (await cp.do("status"))["queued"] >= 10_000
            began = time.monotonic()
            await cp.do("network", online=True)
            await central.until_said(lambda said: len(said) > 8_000)
            await central.do(cmd="drop", cp=CP)
            cp.say({"cmd": "advance", "seconds": 60})
            await central.until_said(_stopped)
            took_s = time.monotonic() - began
            assert (await cp.reply())["ok"]
            grown_mib = _resident_mib(cp.process.pid) - before_mib
            assert (await cp.do("status"))["queued"] == 0
            moments = [call["meterValue"][0]["timestamp"] for call in central.calls("MeterValues")]
            again = len(moments) - len(set(moments))
            assert len(moments) - again >= 10_000 - 2
            assert moments == sorted(moments)
            assert again <= 1
            assert grown_mib < 40
            assert took_s < 90
            await cp.shut_down()

    play(run, within_s=170)


@pytest.mark.campaign
def test_a_thousand_rude_rounds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each frame boundary, each kind of mishap and each moment of a session is hit, and nothing is lost."""
    tally = Tally()

    def tell(line: str) -> None:
        with capfd.disabled():
            print(line, file=sys.stderr, flush=True)

    frames = 0

    async def run() -> None:
        nonlocal frames
        frames = len(await _frames(tmp_path))
        systematic = _systematic(frames)
        plans = systematic + _random(10_000, ROUNDS - len(systematic))
        await play_all(tmp_path, plans, tally, tell)

    play(run, within_s=3600)
    tell(f"\n{tally.table(frames)}")
    assert tally.wrong == {}
    assert tally.rounds == ROUNDS
    assert tally.boundaries == set(range(1, frames + 1))
    assert [moment for moment in Moment if not tally.moments[moment]] == []
    manners = (Manner.ERROR, Manner.SILENCE, Manner.LATE)
    told = {f"{manner} to {kind}" for manner in manners for kind in KINDS} | {str(rude) for rude in Rudeness}
    assert told - tally.done.keys() == set()
    assert tally.done["clock step"]
    assert tally.done[Manner.NO_INTERVAL]
