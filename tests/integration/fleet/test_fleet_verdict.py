"""A verdict on real runs: a central system that loses or doubles a transaction is found out."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chargepoint.cli import main as cli
from chargepoint.cli.fleet_outputs import Outputs
from chargepoint.cli.fleet_runs import FleetRun
from chargepoint.cli.options import ClockChoice
from chargepoint.csms.central_system import CentralSystem
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.fleet.verdict.criterion import parse
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.verdict import judge
from tests.e2e.shell import Program, chargepoint

START = 1_772_409_600.0  # 2026-03-02T00:00:00Z, a Monday
ACCEPTED = {"status": "Accepted"}
ASKED = ("lost_transactions > 0", "doubled_transactions > 0")


def morning(sabotage: Callable[[CentralSystem], None], hours: float = 3) -> Outcome:
    """Six stations at an embedded central system that does something wrong."""

    async def story() -> Outcome:
        run = FleetRun(
            plan_of_flags(count=6, seed=7, ramp="20/s"),
            clock=ClockChoice("stepped"),
            start=START,
            for_s=hours * 3600,
        )
        assert run.csms is not None
        sabotage(run.csms)
        return run.outcome(await run.run())

    return asyncio.run(asyncio.wait_for(story(), 40))


def finished(of: Outcome, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and what the person is told."""
    code = Outputs(tuple(map(parse, ASKED))).finish(of)
    return code, capsys.readouterr().out


def test_an_honest_central_system_passes(capsys: pytest.CaptureFixture[str]) -> None:
    of = morning(lambda csms: None)
    code, out = finished(of, capsys)
    assert code == 0, out
    assert of.ledger.totals().made > 6
    assert out.count("PASSED") == 2
    assert not of.ended_early


def test_hours_in_a_second_are_drawn_hour_by_hour() -> None:
    moments = [0.0, *(row.station_s for row in morning(lambda csms: None).rows)]
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(3 * 3600, abs=60)
    assert max(after - before for before, after in pairwise(moments)) < 600


def test_a_start_that_is_never_acknowledged_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    of = morning(
        lambda csms: csms.set_answer("StartTransaction", cp="CP00003", error="InternalError", times=3)
    )
    code, out = finished(of, capsys)
    assert code == 1
    [lost] = of.lost()
    assert lost.station == "CP00003"
    assert f"CP00003/{lost.key} (connector 1, without an id): StartTransaction was given up" in out
    assert "FAILED        lost_transactions > 0: 1 of" in out
    assert "PASSED        doubled_transactions > 0" in out


def test_a_stop_that_is_refused_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    of = morning(lambda csms: csms.set_answer("StopTransaction", cp="CP00002", error="GenericError", times=3))
    code, out = finished(of, capsys)
    assert code == 1
    assert [one.station for one in of.lost()] == ["CP00002"]
    assert "StopTransaction was given up: GenericError" in out


def test_one_number_for_two_transactions_is_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"transactionId": 4711, "idTagInfo": ACCEPTED}
    of = morning(lambda csms: csms.set_answer("StartTransaction", cp="CP00005", payload=answer, times=2))
    code, out = finished(of, capsys)
    assert code == 1
    doubled = of.ledger.doubled()
    assert [one.transaction_id for one in doubled] == [4711, 4711]
    for one, other in (doubled, doubled[::-1]):
        assert f"CP00005/{one.key} (connector {one.connector}, id 4711): shares its id with" in out
        assert f"shares its id with CP00005/{other.key}" in out
    assert "FAILED        doubled_transactions > 0: 2 of" in out
    assert "PASSED        lost_transactions > 0" in out


def test_errors_are_those_of_the_central_system() -> None:
    of = morning(lambda csms: csms.set_answer("Authorize", cp="CP00001", error="SecurityError"))
    errors, others = judge(map(parse, ("errors(SecurityError) > 0", "errors(Timeout) > 0")), of).results
    assert (errors.judged, others.judged) == ("failed", "passed")


def test_who_is_connected_is_judged_before_the_end() -> None:
    of = morning(lambda csms: None, hours=0.2)
    (result,) = judge([parse("connected < 100%")], of).results
    assert (result.judged, result.measured) == ("passed", "6 of 6 (100%)")
    assert of.snapshot.connected == 0


DAY = ("fleet", "run", "--count", "5", "--ramp", "20/s", "--seed", "3", "--clock", "stepped", "--for", "2h")
FILES = ("--junit", "v.xml", "--json", "run.json", "--csv", "figures", "--report", "report.html")


def test_the_command_writes_all_files(tmp_path: Path) -> None:
    criteria = ("--fail-if", "transactions > 0", "--fail-if", "p95 > 1min")
    done = chargepoint(*DAY, *criteria, *FILES, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Verdict: FAILED." in done.stdout
    assert "FAILED        transactions > 0: " in done.stdout
    assert done.stdout.endswith("figures/ledger.csv, report.html.\n")
    document = json.loads((tmp_path / "run.json").read_text())
    made = document["ledger"]["totals"]["made"]
    assert made > 0
    assert [one["judged"] for one in document["verdict"]["criteria"]] == ["failed", "passed"]
    assert (document["run"]["seed"], document["run"]["clock"], document["run"]["ended_early"]) == (
        3,
        "stepped",
        False,
    )
    with (tmp_path / "figures" / "ledger.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == made
    with (tmp_path / "figures" / "requests.csv").open(newline="") as file:
        requests = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert requests["StartTransaction"] == document["snapshot"]["actions"]["StartTransaction"]["answered"]
    assert ET.parse(tmp_path / "v.xml").getroot().get("failures") == "1"
    assert "<!doctype html>" in (tmp_path / "report.html").read_text()


def test_what_ran_is_reported_after_ctrl_c(tmp_path: Path) -> None:
    with Program(
        *("fleet", "run", "--count", "20", "--seed", "3", "--for", "1h", "--fail-if", "booted < 100%"),
        *("--json", "run.json", "--report", "report.html"),
        cwd=tmp_path,
    ) as program:
        program.until("20 booted")
        program.signal(signal.SIGINT)
        assert program.end() == 0, program.lines
        assert any("PASSED        booted < 100%: 20 of 20" in line for line in program.lines)
    assert json.loads((tmp_path / "run.json").read_text())["run"]["ended_early"]
    assert "ended early" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--fail-if", "p95(StartTransacton) > 2s"), "did you mean StartTransaction?", id="word"),
        pytest.param(("--fail-if", "lag > 1s"), "stepped clock", id="never-late"),
        pytest.param(("--junit", "nowhere/v.xml"), "there is no folder nowhere", id="folder"),
        pytest.param(("--json", "."), "name a file", id="no-file"),
        pytest.param(("--csv", "file"), "name a folder", id="no-folder"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    arguments: tuple[str, ...],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert cli.main([*DAY, *arguments]) == 2
    out, err = capsys.readouterr()
    assert named in err
    assert out == ""


def test_without_matplotlib_the_remedy_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    assert cli.main([*DAY, "--report", "report.html"]) == 2
    out, err = capsys.readouterr()
    assert err == "--report needs matplotlib: pip install 'chargepoint[report]'\n"
    assert out == ""


def test_a_file_that_cannot_be_written_any_more_loses_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = morning(lambda csms: None, hours=0.1)
    (tmp_path / "taken").mkdir()
    outputs = Outputs(json=tmp_path / "taken", junit=tmp_path / "v.xml")
    assert outputs.finish(of) == 1
    assert f"{tmp_path / 'taken'}: cannot be written: {os.strerror(21)}" in capsys.readouterr().err
    assert (tmp_path / "v.xml").exists()
