"""A central system that goes away within a story is no broken rule; one that hangs up or refuses is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chargepoint.cli.scenario_run import exit_code
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from scenarios.batch import run_all
from scenarios.model import parse
from scenarios.runner import RunOptions, run
from scenarios.verdict import Outcome, State, Verdict

STORY = """\
title: A card
start: 2026-03-02T08:12:00Z
steps:
  - wait: 3s
  - plug_in: {connector: 1}
  - group:
      title: The card
      goes_on: GOES_ON
      steps:
        - swipe: {id_tag: TAG1}
        - expect: {frame: StartTransaction, answer: {transactionId: "*"}, within: 5m}
  - wait: 1h
"""

AFTERWARDS = "title: Afterwards\nsteps: [{wait: 1s}]\n"

Trouble = Callable[[CentralSystem], Awaitable[None]]


@asynccontextmanager
async def at_a_card(csms: CentralSystem, trouble: Trouble | None) -> AsyncIterator[None]:
    """It has that trouble when it hears of the first card."""
    tasks: list[asyncio.Future[None]] = []

    def heard(event: Event) -> None:
        if trouble and event.name == "frame" and event.fields["frame"][2] == "Authorize" and not tasks:
            tasks.append(asyncio.ensure_future(trouble(csms)))

    if trouble:
        csms.set_answer("StartTransaction", silent=True)
    csms.listen(heard)
    yield
    await asyncio.gather(*tasks)


async def told(trouble: Trouble, goes_on: bool = False, within: str = "5m") -> Outcome:
    """The story at a central system that is somebody else's."""
    text = STORY.replace("GOES_ON", str(goes_on).lower()).replace("5m", within)
    async with CentralSystem(seed=1) as csms, at_a_card(csms, trouble):
        return await run(parse(text), RunOptions(csms=csms.url, linger_s=0.002))


async def stops(csms: CentralSystem) -> None:
    await csms.stop()


async def hangs_up(csms: CentralSystem) -> None:
    csms.set_answer("StartTransaction", error="InternalError")
    csms.drop("CP001")


async def refuses(csms: CentralSystem) -> None:
    csms.set_password("CP001", "another one")
    csms.drop("CP001")


@pytest.mark.parametrize("goes_on", [False, True], ids=["at-once", "in-a-group-that-goes-on"])
def test_one_that_is_gone_is_an_error(goes_on: bool) -> None:
    outcome = asyncio.run(told(stops, goes_on))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.why.startswith("the central system went away at 08:12:03: nothing listens at 127.0.0.1:")
    assert [step.state for step in outcome.steps] == [
        State.PASSED, State.PASSED, State.ERROR, State.NOT_RUN,
    ]  # fmt: skip
    assert outcome.worst is not None
    assert outcome.worst.message.startswith("waited 5m for StartTransaction")
    assert exit_code([outcome]) == 2


def test_it_is_tried_once_more_where_nobody_has_tried_since() -> None:
    outcome = asyncio.run(told(stops, within="1s"))
    assert outcome.verdict is Verdict.ERROR
    assert "went away at 08:12:03" in outcome.why


@pytest.mark.parametrize("trouble", [hangs_up, refuses])
def test_one_that_hangs_up_or_refuses_has_failed(trouble: Trouble) -> None:
    outcome = asyncio.run(told(trouble))
    assert outcome.verdict is Verdict.FAIL, outcome.why
    assert outcome.why.startswith("waited 5m for StartTransaction")


def test_a_link_that_the_story_cut_is_not_its_fault() -> None:
    story = "title: T\nsteps:\n  - network: {online: false}\n  - expect: {online: true}\n"

    async def play() -> Outcome:
        async with CentralSystem(seed=1) as csms:
            return await run(parse(story), RunOptions(csms=csms.url, linger_s=0.002))

    assert asyncio.run(play()).verdict is Verdict.FAIL


def left_of_a_run(folder: Path, first: str, trouble: Trouble | None) -> list[Outcome]:
    """What comes of three stories of which the first goes wrong."""
    for name, text in {"a": first, "b": AFTERWARDS, "c": AFTERWARDS}.items():
        (folder / f"{name}.yaml").write_text(text)

    async def play() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms, at_a_card(csms, trouble):
            return await run_all(
                [str(folder / f"{name}.yaml") for name in "abc"],
                RunOptions(csms=csms.url, linger_s=0.002),
                jobs=1,
                fail_fast=False,
                told=lambda outcome: None,
                stop=asyncio.Event(),
            )

    return asyncio.run(play())


def test_the_rest_of_a_run_is_an_error_at_once_while_it_is_away(tmp_path: Path) -> None:
    outcomes = left_of_a_run(tmp_path, STORY.replace("GOES_ON", "false"), stops)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ERROR] * 3
    assert outcomes[1].why.startswith("no central system at ws://127.0.0.1:")
    assert outcomes[1].title == "Afterwards"
    assert exit_code(outcomes) == 2


def test_the_rest_of_a_run_goes_on_where_it_is_there(tmp_path: Path) -> None:
    outcomes = left_of_a_run(tmp_path, "title: T\nsteps: [{plug_out: {connector: 1}}]\n", None)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ERROR, Verdict.PASS, Verdict.PASS]
