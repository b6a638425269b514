"""`chargepoint scenario`: exit codes, what is printed, JUnit, adapters, central systems that are away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web

from chargepoint.cli.main import main
from chargepoint.csms.calls import CallFailed
from chargepoint.csms.central_system import CentralSystem
from chargepoint.errors import ConfigError
from scenarios.adapter import load_adapter
from scenarios.model import load, parse
from scenarios.rules import rules
from scenarios.runner import RunOptions, run
from scenarios.telling import details
from scenarios.verdict import Outcome, Verdict

PASSES = "title: It goes well\ntags: [good]\nsteps: [{wait: 0.1s}]\n"
FAILS = (
    "title: It goes wrong\ntags: [bad]\nsteps:\n  - plug_in: {connector: 1}\n"
    "  - group: {title: Inside, steps: [{expect: {status: Faulted}}]}\n  - wait: 1h\n"
)
MISTAKEN = "title: No story\nsteps: [{wiat: 1s}]\n"
SKIPPED = "title: Not here\nneeds: [wall clock]\nsteps: [{wait: 1s}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stories = tmp_path / "stories"
    (stories / "deep").mkdir(parents=True)
    for name, text in {"pass": PASSES, "fail": FAILS, "deep/mistaken": MISTAKEN, "skip": SKIPPED}.items():
        (stories / f"{name}.yaml").write_text(text)
    (stories / "part.yaml").write_text("steps: [{wait: 1s}]\n")
    return stories


def test_each_verdict_is_kept_apart(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "junit.xml"
    assert main(["scenario", "run", str(folder), "--junit", str(out)]) == 2
    told = capsys.readouterr().out
    assert "4 scenarios: 1 PASS, 1 FAIL, 1 ERROR, 1 SKIPPED" in told
    assert "mistaken.yaml:2:10: steps[0].wiat: is not a known key; did you mean wait?" in told
    assert "x expect status Faulted at connector 1" in told
    assert "waited 10s for status Faulted at connector 1: status is Preparing, not Faulted" in told
    assert '"status":"Preparing"' in told  # the frames around it
    suite = ET.parse(out).getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        (["pass"], [], 0),
        (["pass", "skip"], [], 0),
        (["skip"], [], 2),  # nothing has passed
        (["pass", "fail"], [], 1),
        (["fail", "pass"], ["--fail-fast"], 1),
        (["pass", "deep/mistaken"], [], 2),
        (["pass", "fail"], ["--tag", "good"], 0),
        (["pass", "fail"], ["--jobs", "2"], 1),
    ],
)
def test_exit_codes(
    folder: Path, names: list[str], options: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", "run", *(str(folder / f"{name}.yaml") for name in names), *options]) == code
    told = capsys.readouterr().out
    assert ("NOT RUN" in told) == ("--fail-fast" in options)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere.yaml"], "is not there"),
        (["library:plug-frist"], "did you mean plug-first?"),
        (["library:plug-first", "--clock", "fast"], "is no clock"),
        (["library:plug-first", "--set", "x"], "is no NAME=VALUE"),
        (["library:plug-first", "--set", "tga=X"], "--set tga: no scenario has such a variable"),
        (["library:plug-first", "--adapter", "x.yaml"], "name it with --csms"),
        (["library:plug-first", "--csms", "http://x"], "write ws://"),
        (["library:plug-first", "--csms", "ws://127.0.0.1:1/x"], "no central system at ws://127.0.0.1:1/x"),
    ],
)
def test_what_cannot_be_run(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "run", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_check_list_and_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "check", str(folder)]) == 1
    captured = capsys.readouterr()
    assert "pass.yaml: good: It goes well" in captured.out
    assert "did you mean wait?" in captured.err
    assert (
        main(["scenario", "list", str(folder / "pass.yaml"), str(folder / "fail.yaml"), "--tag", "bad"]) == 0
    )
    assert "It goes wrong" in (told := capsys.readouterr().out)
    assert "It goes well" not in told
    assert main(["scenario", "list", "library:charging", "--json"]) == 0
    assert any(one["name"] == "library:charging/plug-first" for one in json.loads(capsys.readouterr().out))
    assert main(["scenario", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "ScenarioFile"


def test_an_interruption_tells_what_ran(tmp_path: Path) -> None:
    story = tmp_path / "long.yaml"
    story.write_text("title: Long\nsteps: [{plug_in: {connector: 1}}, {wait: 1h}]\n")
    quick = tmp_path / "quick.yaml"
    quick.write_text(PASSES)
    command = [
        sys.executable,
        "-m",
        "chargepoint",
        "scenario",
        "run",
        "--clock",
        "wall",
        str(quick),
        str(story),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("PASS")
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1 PASS, 1 NOT RUN" in told


def test_an_interruption_breaks_off_what_runs_beside_each_other(tmp_path: Path) -> None:
    out = tmp_path / "junit.xml"
    (tmp_path / "long.yaml").write_text("title: Long\nsteps: [{plug_in: {connector: 1}}, {wait: 1h}]\n")
    (tmp_path / "quick.yaml").write_text(PASSES)
    command = [sys.executable, "-m", "chargepoint", "scenario", "run", "--clock", "wall", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--junit", str(out), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("PASS")
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "1 PASS, 1 NOT RUN" in told
    assert ET.parse(out).getroot().get("tests") == "2"


def test_a_report_that_cannot_be_written_in_the_end(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = Path("/dev/full")  # takes nothing, like a disk without room
    monkeypatch.setattr("chargepoint.cli.scenario_run.unwritable", lambda path: None)
    out = tmp_path / "page.html"
    arguments = ["--junit", str(full), "--report", str(out)]
    assert main(["scenario", "run", str(folder / "pass.yaml"), *arguments]) == 2
    told = capsys.readouterr()
    assert "1 PASS" in told.out
    assert told.err == "Error: --junit /dev/full: No space left on device\n"
    assert out.exists()


def test_frames_of_tidying_up_are_not_those_around_a_failure() -> None:
    async def played() -> Outcome:
        story = parse(
            "title: T\nsteps: [{plug_in: {connector: 1}}, {swipe: {id_tag: A}}, {expect: {status: Faulted}}]"
        )
        async with CentralSystem(seed=1) as csms:
            return await run(story, RunOptions(csms=csms.url, linger_s=0.001))

    outcome = asyncio.run(played())
    assert outcome.verdict is Verdict.FAIL
    every = [frame.text for frame in outcome.stations["CP001"].frames]
    assert any("StopTransaction" in text for text in every), "it was left tidy"
    assert not any("StopTransaction" in text for text in details(outcome))


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test."""

    @wraps(test)
    def run_it(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run_it


@asynccontextmanager
async def foreign(api: Any = None) -> AsyncIterator[tuple[CentralSystem, str]]:
    """A central system that is not ours, with an HTTP API of its own."""
    async with CentralSystem(seed=1) as csms:

        async def called(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == "Bearer secret"
            body = await request.json()
            result = await csms.call(request.match_info["cp"], request.match_info["action"], body["ocpp"])
            return web.json_response({"result": result})

        application = web.Application()
        application.router.add_post("/api/{cp}/{action}", api or called)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield csms, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


STORY = parse(
    """\
title: At a foreign central system
steps:
  - plug_in: {connector: 1}
  - csms: {call: RemoteStartTransaction, payload: {idTag: 4711, connectorId: 1}, expect: {status: Accepted}}
  - expect: {frame: StartTransaction, save: {tx: response.transactionId}}
  - wait: 10m
  - expect: {energy_wh: 500}
"""
)


def _adapter(path: Path, how: str) -> Path:
    path.write_text(
        f'base_url: ${{API}}/api\nheaders: {{Authorization: "Bearer ${{TOKEN}}"}}\ncalls: {how}\n'
    )
    return path


@on_a_loop
async def test_it_is_commanded_over_its_api(tmp_path: Path) -> None:
    how = '{"*": {path: "/{cp}/{action}", body: {ocpp: "{payload}"}, answer: result}}'
    async with foreign() as (csms, url):
        adapter = load_adapter(_adapter(tmp_path / "a.yaml", how), {"TOKEN": "secret", "API": url})
        outcome = await run(STORY, RunOptions(csms=csms.url, adapter=adapter, linger_s=0.001))
        assert outcome.verdict is Verdict.PASS, outcome.why
        (transaction,) = csms.transactions("CP001")
        assert transaction.start is not None
        assert transaction.start["idTag"] == "4711"
        assert transaction.stop is not None  # a foreign central system is left tidy
        without = await run(STORY, RunOptions(csms=csms.url))
        assert without.verdict is Verdict.SKIPPED
        assert "--adapter" in without.why


@on_a_loop
async def test_what_an_adapter_does_not_describe_is_left_out(tmp_path: Path) -> None:
    call = '{path: "/{cp}/{action}", body: {ocpp: "{payload}"}, answer: result}'
    async with foreign() as (csms, url):
        path = _adapter(tmp_path / "a.yaml", f"{{ClearCache: {call}, UnlockConnector: {call}}}")
        adapter = load_adapter(path, {"TOKEN": "secret", "API": url})
        options = RunOptions(csms=csms.url, adapter=adapter, linger_s=0.001)
        outcome = await run(load("library:csms/commands-core"), options)
        assert outcome.verdict is Verdict.PASS, outcome.why
        found = {rule.message: (rule.verdict, rule.why) for rule in rules([outcome])}
        assert {message for message, (verdict, _) in found.items() if verdict == "PASS"} == {
            "ClearCache",
            "UnlockConnector",
        }
        assert found["Reset"] == ("LEFT OUT", "the adapter does not say how to make a Reset")
        assert found["RemoteStopTransaction"] == ("LEFT OUT", "")  # nothing was started
        skipped = await run(STORY, options)
        assert skipped.verdict is Verdict.SKIPPED
        assert skipped.why == "the adapter does not say how to make a RemoteStartTransaction"


@on_a_loop
async def test_an_api_that_refuses_is_an_error(tmp_path: Path) -> None:
    async def refuses(request: web.Request) -> web.Response:
        return web.Response(status=403, text="not you")

    async with foreign(refuses) as (csms, url):
        path = _adapter(tmp_path / "a.yaml", '{RemoteStartTransaction: {path: "/{cp}/start"}}')
        options = RunOptions(
            csms=csms.url, adapter=load_adapter(path, {"TOKEN": "x", "API": url}), linger_s=0.001
        )
        outcome = await run(STORY, options)
        assert outcome.verdict is Verdict.ERROR
        assert "404" in outcome.why or "403: not you" in outcome.why


@on_a_loop
async def test_a_callerror_is_known_whatever_the_api_makes_of_it(tmp_path: Path) -> None:
    story = parse("title: T\nsteps: [{csms: {call: Reset, payload: {type: Moon}, error: '/Violation/'}}]")
    for status in (200, 502):

        async def tells(request: web.Request, status: int = status) -> web.Response:
            with contextlib.suppress(CallFailed):
                await csms.call("CP001", "Reset", {"type": "Moon"})
            return web.json_response({"sorry": True}, status=status)

        async with foreign(tells) as (csms, url):
            path = _adapter(tmp_path / "a.yaml", '{"*": {path: "/{cp}/{action}"}}')
            adapter = load_adapter(path, {"TOKEN": "x", "API": url})
            outcome = await run(story, RunOptions(csms=csms.url, adapter=adapter, linger_s=0.001))
            assert outcome.verdict is Verdict.PASS, outcome.why


@on_a_loop
async def test_a_station_that_is_refused_is_an_error() -> None:
    async with CentralSystem(seed=1) as csms:
        csms.set_answer("BootNotification", payload={"status": "Rejected", "interval": 900})
        outcome = await run(parse(PASSES), RunOptions(csms=csms.url, linger_s=0.001))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.why == "CP001 was not accepted within 60 s: Rejected"
    gone = await run(parse(PASSES), RunOptions(csms=csms.url))
    assert gone.verdict is Verdict.ERROR
    assert gone.why.startswith(f"CP001 cannot connect to {csms.url}: ")


def test_mistakes_in_an_adapter(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "base_url: ${NOR_THIS}\nheaders: {A: '${NOT_SET}'}\ncalls:\n  Reset: {pathh: /x, answer: 'a['}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_adapter(path, {})
    text = "\n".join(raised.value.problems)
    assert ":1:1: base_url: needs the environment variable NOR_THIS" in text
    assert ":2:11: headers.A: needs the environment variable NOT_SET" in text
    assert ":4:11: calls.Reset.pathh: is not a known key; did you mean path?" in text
    assert "calls.Reset.answer: is no JMESPath" in text


def test_check_knows_what_the_run_will_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = tmp_path / "story.yaml"
    story.write_text('title: T\nsteps:\n  - swipe: {id_tag: "{card}"}\n')
    assert main(["scenario", "check", str(story)]) == 1
    assert ":3:13: steps[0].swipe.id_tag: card is not known here" in capsys.readouterr().err
    assert main(["scenario", "check", str(story), "--set", "card=TAG1"]) == 0
    assert main(["scenario", "run", str(story), "--set", "card=TAG1"]) == 0
    assert main(["scenario", "run", str(story)]) == 2
