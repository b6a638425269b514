"""`chargepoint fleet`: example, check, schema and lists, as a person types them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargepoint.cli import main as cli
from chargepoint.cli.fleet import fleet
from chargepoint.cli.fleet_outputs import summary
from chargepoint.fleet.people.behaviour import behaviour_names
from chargepoint.fleet.plan.example import example
from chargepoint.fleet.plan.template import template_names
from tests.unit.fleet.outcomes import figures, outcome, snapshot

FLEET = """\
ramp: 100/s
groups:
- {name: homes, count: 1200, template: home-one-phase, behaviour: home}
- {name: pilot, count: 1, identities: PILOT}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A fleet's file without mistakes."""
    path = tmp_path / "good.yaml"
    path.write_text(FLEET, encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A fleet's file with two mistakes."""
    path = tmp_path / "bad.yaml"
    path.write_text("ramp: fast\ngroups: [{name: a, count: 0}]\n", encoding="utf-8")
    return path


def test_example_prints_a_fleet() -> None:
    result = CliRunner().invoke(fleet, ["example"])
    assert (result.exit_code, result.output) == (0, example())


def test_schema_prints_json() -> None:
    result = CliRunner().invoke(fleet, ["schema"])
    assert "groups" in json.loads(result.output)["properties"]


def test_check_shows_what_a_good_fleet_is_made_of(good: Path) -> None:
    result = CliRunner().invoke(fleet, ["check", str(good)])
    head, names, homes, pilot = result.output.splitlines()
    assert head == f"{good}: good; 1,201 stations in 2 groups, all started after 12 s"
    assert names.split("  ")[0] == "group"
    assert homes.split()[:7] == ["homes", "1,200", "CP00001", "..", "CP01200", "home-one-phase", "home"]
    assert 300 < int(homes.split()[7]) < 1200
    assert pilot.split()[:5] == ["pilot", "1", "PILOT", "plain", "steady"]


def test_check_lists_the_mistakes_of_all_files(
    good: Path, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fleet", "check", str(bad), str(good), str(tmp_path / "none.yaml")]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}: good")
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        f"{bad}:1",
        f"{bad}:2",
        f"{tmp_path / 'none.yaml'}",
    ]


@pytest.mark.parametrize(
    ("command", "names"), [("templates", template_names()), ("behaviours", behaviour_names())]
)
def test_what_is_shipped_is_listed(command: str, names: tuple[str, ...]) -> None:
    _, *lines = CliRunner().invoke(fleet, [command]).output.splitlines()
    assert tuple(line.split()[0] for line in lines) == names
    assert all(len(line.split()) > 1 for line in lines)


def test_run_is_among_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fleet", "run", "--help"]) == 0
    assert "--count" in capsys.readouterr().out


def test_moments_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fleet", "run", "--count", "1", "--moments", "2s"]) == 2
    assert "--moments is at most 1s" in capsys.readouterr().err


def test_a_command_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fleet", "rum"]) == 2
    assert "rum" in capsys.readouterr().err


def test_the_summary_says_why_stations_could_not_connect_and_fits_a_terminal() -> None:
    lines = summary(outcome(snapshot=snapshot(connect_failures=Counter(server_error=110, refused=3))))
    assert "113 attempts to connect failed: 110 x server_error, 3 x refused." in lines
    action = "SignedFirmwareStatusNotification"
    lines = summary(outcome(snapshot=snapshot(actions={action: figures((30.0,) * 1000)})))
    [line] = [line for line in lines if action in line]
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("planned", "accepted", "line"),
    [
        (1, 1, "1 station planned, 1 started, 1 accepted by the central system."),
        (218, 200, "218 stations planned, 218 started, 200 accepted by the central system."),
        (
            218,
            242,
            "218 stations planned, 218 started, 242 accepted by the central system, "
            "with those taken away since.",
        ),
    ],
)
def test_stations_taken_away_are_not_more_than_there_were(planned: int, accepted: int, line: str) -> None:
    over = snapshot(planned=planned, started=planned)
    assert summary(outcome(snapshot=over, accepted=accepted))[0] == line
