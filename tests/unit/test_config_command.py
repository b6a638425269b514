"""`chargepoint config` and the command line around it: messages, exit codes and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from chargepoint.cli import main as cli
from chargepoint.config import StationConfig, parse
from chargepoint.errors import ConfigError, StoreError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A configuration file without mistakes."""
    path = tmp_path / "good.yaml"
    path.write_text("identity: CP7\n")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A configuration file with two mistakes."""
    path = tmp_path / "bad.yaml"
    path.write_text("identity: ''\nconnectors: [{max_current_a: 5}]\n")
    return path


def test_example_prints_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "example"]) == 0
    assert parse(capsys.readouterr().out) == StationConfig()


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "schema"]) == 0
    assert "connectors" in json.loads(capsys.readouterr().out)["properties"]


def test_check_of_a_good_file(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "check", str(good)]) == 0
    assert capsys.readouterr() == (f"{good}: good\n", "")


def test_check_lists_the_mistakes_of_all_files(
    good: Path, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "check", str(bad), str(good), str(tmp_path / "none.yaml")]) == 1
    out, err = capsys.readouterr()
    assert out == f"{good}: good\n"
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        f"{bad}:1",
        f"{bad}:2",
        f"{tmp_path}/none.yaml",
    ]


def test_check_warns_of_what_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("station: {vendor: The longest vendor name there is}\n")
    assert cli.main(["config", "check", str(path)]) == 0
    assert capsys.readouterr().err.startswith(f"warning: {path}:1: station.vendor: is cut to 20 characters")


def test_help_lists_every_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}  " in out for name in cli.COMMANDS)
    assert "  chargepoint config example > station.yaml" in out


@pytest.mark.parametrize(("typed", "meant"), [("rum", "run"), ("confg", "config"), ("session", "sessions")])
def test_an_unknown_command_names_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([typed]) == 2
    assert f"There is no command '{typed}'; did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: chargepoint {name}")


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (ConfigError(["a: one", "b: two"]), 2, "a: one\nb: two\n"),
        (StoreError("disk full"), 2, "disk full\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.ClickException("no"), 1, "Error: no\n"),
    ],
    ids=["configuration", "store", "interrupt", "click"],
)
def test_failures_end_with_a_message_and_an_exit_code(
    failure: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def failing() -> None:
        raise failure

    assert cli.run(failing, []) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1), ("text", 0)])
def test_the_result_of_a_command_is_its_exit_code(result: object, code: int) -> None:
    @click.command()
    def ending() -> object:
        return result

    assert cli.run(ending, []) == code


def test_help_and_version_load_neither_models_nor_protocol() -> None:
    code = (
        "import sys; from chargepoint.cli.main import main; main(['--help']); main(['--version']);"
        "sys.exit(not {'pydantic', 'websockets', 'ocpp', 'asyncio'}.isdisjoint(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.search
def test_a_reader_that_goes_away_is_no_error() -> None:
    # The pipe's only reader is gone before anything is written.
    code = "import sys; from chargepoint.cli.main import main; sys.exit(main(['config', 'example']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("clock", ["x60", "stepped"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("readers: [{driver: rdm6300, port: /dev/x}]\n", ["the card reader is real hardware (rdm6300)"]),
        (
            "connectors:\n"
            "  - {reader: {driver: pn532, port: /dev/x}}\n"
            "  - {evse: {driver: phoenix, port: /dev/y}, meter: {driver: em24, port: /dev/y, unit: 2}}\n",
            [
                "the card reader of connector 1 is real hardware (pn532)",
                "connector 2 is real hardware (phoenix)",
            ],
        ),
    ],
    ids=["reader of the station", "two at once"],
)
def test_real_hardware_knows_real_time_only(
    text: str, said: list[str], clock: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(f"csms: {{url: 'ws://127.0.0.1:9'}}\nstorage: null\n{text}")
    assert cli.main(["run", "--config", str(path), "--clock", clock, "--for", "1m"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"{line}: use --clock wall" for line in said]


def test_a_check_finds_what_run_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "station.yaml"
    path.write_text("readers: [{driver: rdm6300, prot: /dev/x}]\n")
    assert cli.main(["config", "check", str(path)]) == 1
    checked = capsys.readouterr().err
    assert cli.main(["run", "--config", str(path), "--for", "1s"]) == 2
    assert capsys.readouterr().err == checked
    assert [line.split(": ")[1] for line in checked.splitlines()] == ["readers[0].port", "readers[0].prot"]
