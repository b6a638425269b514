"""`chargepoint scenario run --report`: the page agrees with the run, and making it changes nothing of it."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from chargepoint.cli.main import main
from scenarios.model import parse
from scenarios.runner import SAMPLES_EACH_S, RunOptions, run
from scenarios.verdict import Outcome
from tests.unit.page import Page

CHARGES = """\
title: A charge that is throttled
steps:
  - plug_in: {connector: 1, ev: compact}
  - swipe: {id_tag: "<script>"}
  - wait: 10m
  - csms:
      call: SetChargingProfile
      payload:
        connectorId: 1
        csChargingProfiles:
          chargingProfileId: 7
          stackLevel: 0
          chargingProfilePurpose: TxProfile
          chargingProfileKind: Relative
          chargingSchedule: {chargingRateUnit: A, chargingSchedulePeriod: [{startPeriod: 0, limit: 10}]}
  - disturb: {link: clean_cut, for: 1m}
  - wait: 10m
"""
FAILS = CHARGES.replace("throttled", "wrong") + "  - expect: {status: Faulted}\n"
SKIPPED = "title: Not here\nneeds: [wall clock]\nsteps: [{wait: 1s}]\n"


def played(samples_each_s: float | None) -> Outcome:
    return asyncio.run(run(parse(CHARGES), RunOptions(samples_each_s=samples_each_s)))


@pytest.mark.search  # drawing takes a second
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_page_agrees_with_the_run(jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for name, text in {"pass": CHARGES, "fail": FAILS, "skip": SKIPPED}.items():
        names.append(str(tmp_path / f"{name}.yaml"))
        Path(names[-1]).write_text(text)
    out = tmp_path / "out.html"
    assert main(["scenario", "run", *names, "--report", str(out), "--jobs", jobs]) == 1
    assert "1 PASS, 1 FAIL, 1 SKIPPED" in capsys.readouterr().out
    html = out.read_text(encoding="utf-8")
    page = Page(html)
    assert [row[0] for row in page.tables[0][1:]] == ["PASS", "FAIL", "SKIPPED"]
    assert [row[2] for row in page.tables[0][1:]] == ["20m", "20m 10s", ""]
    assert (
        page.tables[0][2][4]
        == "waited 10s for status Faulted at connector 1: status is Charging, not Faulted"
    )
    limits = [table[1:] for table in page.tables if table[0][:3] == ["", "after", "connector"]]
    assert [[row[1:4] + row[5:] for row in rows] for rows in limits] == 2 * [
        [
            ["0:00:00.000", "1", "32", "hardware"],
            ["0:10:00.000", "1", "10", "TxProfile 7 (stack 0)"],
        ]
    ]
    frames = len(played(None).stations["CP001"].frames)
    assert html.count(f"Frames ({frames})") == 2
    assert html.count('<details class="frame') == 2 * frames
    assert html.count("<svg") == 2
    assert "<script" not in html
    assert not re.search(r"https?://", html)


def test_making_a_report_changes_no_frame() -> None:
    plain, sampled = played(None), played(SAMPLES_EACH_S)
    assert [frame.text for frame in plain.stations["CP001"].frames] == [
        frame.text for frame in sampled.stations["CP001"].frames
    ]
    drawn = [(round(one.at - sampled.began_at), one.current_a) for one in sampled.stations["CP001"].samples]
    assert {at for at, _ in drawn} >= {*range(10, 1200, 10), 601, 605}
    at_605 = next(current_a for at, current_a in drawn if at == 605)
    assert at_605 == pytest.approx(10.0, abs=0.5)
    assert len(plain.stations["CP001"].samples) < 10


def test_a_long_story_is_sampled_less_often() -> None:
    story = (
        "title: T\n"
        "stations: [{id: CP1, station: {ocpp: {MeterValueSampleInterval: 0}}}]\n"
        "steps:\n  - plug_in: {connector: 1, ev: compact}\n  - swipe: {id_tag: A}\n  - wait: 2d\n"
    )
    outcome = asyncio.run(run(parse(story), RunOptions(samples_each_s=SAMPLES_EACH_S)))
    assert outcome.why == ""
    assert 1_700 < len(outcome.stations["CP1"].samples) < 1_800  # 17,280 without


@pytest.mark.parametrize(
    ("out", "why"), [("", "it is a folder"), ("nowhere/out.html", "there is no folder"), ("out.html", None)]
)
def test_what_stands_in_the_way_is_told_before_anything_runs(
    out: str,
    why: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if why is None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        why = "--report needs matplotlib: pip install 'chargepoint[report]'"
    assert main(["scenario", "run", "library:charging/plug-first", "--report", str(tmp_path / out)]) == 2
    captured = capsys.readouterr()
    assert why in captured.err
    assert captured.out == ""
