"""The service unit: what it promises, that the shipped file is it, and how its state is explained."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chargepoint.cli import main as cli
from chargepoint.cli.unit import NAME, PATH, Served, explained, served, unit

ROOT = Path(__file__).parents[2]

PROMISES = (
    "Type=notify",
    "WatchdogSec=10",
    "Restart=always",
    "RestartSec=2",
    "TimeoutStopSec=30",
    "KillMode=mixed",
    "SuccessExitStatus=3",
    "StateDirectory=chargepoint",
    "NoNewPrivileges=yes",
)


def test_the_shipped_unit_is_the_one_that_is_written() -> None:
    assert (ROOT / "deploy/systemd/chargepoint.service").read_text() == unit()


def test_the_unit_watches_restarts_and_makes_safe() -> None:
    lines = unit("pi", "/home/pi/my station.yaml", "/opt/chargepoint").splitlines()
    assert set(PROMISES) <= set(lines)
    assert "User=pi" in lines
    assert 'ExecStopPost=/opt/chargepoint hardware safe-off --config "/home/pi/my station.yaml"' in lines
    assert not [line for line in lines if line.startswith(("PrivateDevices", "DevicePolicy"))]


def test_what_a_unit_runs_can_be_read_from_it() -> None:
    config = '/home/pi/my "50%" $tation.yaml'
    assert served(unit("pi", config)) == Served("pi", config, "/var/lib/chargepoint")
    assert served("ExecStart=/bin/chargepoint run --config /a.yaml\n") == Served("root", "/a.yaml")
    assert served("ExecStart=/bin/true\n") is None
    assert served('ExecStart=/bin/chargepoint run --config "/a.yaml\n') is None
    assert served("Type=notify\n") is None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(unit("root", "/etc/station 50%.yaml", "/bin/true"))
    done = subprocess.run(
        ("systemd-analyze", "verify", tmp_path / NAME), capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "chargepoint" in line]
    assert (done.returncode, complaints) == (0, [])


def test_install_writes_once_and_respects_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install = ["service", "install", "--prefix", str(tmp_path), "--user", "pi"]
    written = tmp_path / PATH
    assert cli.main(install) == 0
    assert written.read_text().startswith("# Written by")
    assert cli.main(install) == 0
    assert "is up to date" in capsys.readouterr().out
    written.write_text(written.read_text() + "Nice=5\n")
    assert cli.main(install) == 1
    assert "--force overwrites it" in capsys.readouterr().err
    assert written.read_text().endswith("Nice=5\n")
    assert cli.main([*install, "--force"]) == 0
    assert not written.read_text().endswith("Nice=5\n")


def test_a_dry_run_prints_the_unit_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["service", "install", "--dry-run", "--prefix", str(tmp_path)]) == 0
    assert set(PROMISES) <= set(capsys.readouterr().out.splitlines())
    assert list(tmp_path.iterdir()) == []


RUNNING = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success",
           "NRestarts": "0", "UnitFileState": "enabled", "WatchdogUSec": "10s"}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "runs", "said"),
    [
        ({"StatusText": "connected"}, True, "It says: connected"),
        ({"NRestarts": "3"}, True, "started again 3 times"),
        ({"WatchdogUSec": "0"}, True, "Nobody watches it"),
        ({"LoadState": "not-found"}, False, "chargepoint service install"),
        ({"LoadState": "bad-setting"}, False, "systemd cannot use its unit (bad-setting)"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "watchdog"}, False,
         "hardware stopped answering"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "2"}, False,
         "code 2"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "3"}, False,
         "may still give current: chargepoint hardware safe-off"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "0"}, False,
         "may still give current: chargepoint hardware safe-off"),
        ({"ActiveState": "inactive", "SubState": "dead"}, False, "sudo systemctl start chargepoint"),
        ({"UnitFileState": "disabled"}, True, "sudo systemctl enable chargepoint"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else None,
)  # fmt: skip
def test_the_state_is_explained(changes: dict[str, str], runs: bool, said: str) -> None:
    found, lines = explained({"ExecMainStatus": "0", **RUNNING, **changes})
    assert found is runs
    assert said in "\n".join(lines)


def test_a_service_that_runs_well_is_said_in_one_line() -> None:
    assert explained(RUNNING) == (True, ["It runs."])
