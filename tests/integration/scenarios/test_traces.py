"""`scenario run --trace`: one file or a folder of them, to be replayed and made into scenarios again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chargepoint.cli.main import main

CHARGE = """\
title: A card
stations: [STATIONS]
steps:
  - plug_in: {connector: 1, ev: compact}
  - swipe: {id_tag: TAG1}
  - expect: {frame: StartTransaction}
  - wait: 10m
  - disturb: {link: hard_cut, for: 1m}
  - wait: 5m
  - swipe: {id_tag: TAG1}
  - expect: {frame: StopTransaction}
"""


def story(path: Path, *stations: str) -> Path:
    path.write_text(CHARGE.replace("STATIONS", ", ".join(f"{{id: {name}}}" for name in stations)))
    return path


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_single_story_with_a_single_station_is_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, again = tmp_path / "night.jsonl", tmp_path / "again.yaml"
    for _ in range(2):  # the second run takes the place of the first
        assert main(["scenario", "run", str(story(tmp_path / "a.yaml", "CP001")), "--trace", str(trace)]) == 0
    assert trace.stat().st_mode & 0o777 == 0o600
    written = records(trace)
    assert [record["event"] for record in written if "event" in record][:1] == ["recording"]
    assert [record["cmd"] for record in written if record.get("event") == "verb"] == [
        "plug_in", "swipe", "swipe",
    ]  # fmt: skip
    assert [record["what"] for record in written if record.get("event") == "disturbance"] == [
        "the link is cut"
    ]
    assert sum(record.get("action") == "StopTransaction" for record in written) == 2

    assert main(["scenario", "replay", str(trace)]) == 0
    assert "SAME" in capsys.readouterr().out.upper()
    assert main(["scenario", "from-trace", str(trace), "--out", str(again)]) == 0
    assert main(["scenario", "run", str(again)]) == 0


def test_several_are_a_folder_of_files_by_story_and_station(tmp_path: Path) -> None:
    stories = tmp_path / "stories"
    (stories / "deep").mkdir(parents=True)
    story(stories / "a.yaml", "CP001", "CP002")
    story(stories / "deep" / "a.yaml", "CP001")
    (stories / "b.yaml").write_text("title: B\nneeds: [wall clock]\nsteps: [{wait: 1s}]\n")
    folder = tmp_path / "traces"
    command = ["scenario", "run", str(stories), "library:charging/plug-first"]
    assert main([*command, "--trace", str(folder)]) == 0
    stem = "-".join(stories.parts[1:])
    assert sorted(path.name for path in folder.iterdir()) == [
        "charging-plug-first.CP001.jsonl",
        f"{stem}-a.CP001.jsonl",
        f"{stem}-a.CP002.jsonl",
        f"{stem}-deep-a.CP001.jsonl",
    ]
    for path in folder.iterdir():
        assert {record["chargePointId"] for record in records(path)} == {path.name.split(".")[-2]}
        assert main(["scenario", "replay", str(path)]) == 0


def test_a_folder_that_is_there_takes_a_single_one_as_well(tmp_path: Path) -> None:
    assert main(["scenario", "run", "library:charging/plug-first", "--trace", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["charging-plug-first.CP001.jsonl"]


def test_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    one, several = "library:charging/plug-first", "library:clock"
    assert main(["scenario", "run", one, "--trace", str(tmp_path / "file" / "x")]) == 2
    assert main(["scenario", "run", several, "--trace", str(tmp_path / "file")]) == 2
    told = capsys.readouterr()
    assert "PASS" not in told.out
    assert f"--trace {tmp_path / 'file'}" in told.err
