"""`chargepoint hardware doctor` on computers laid out in a folder: what it finds, and the remedy it names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from chargepoint.cli import main as cli
from chargepoint.cli.doctor import Doctor, Finding
from chargepoint.cli.unit import unit

RELAY = """\
connectors:
  - evse: {driver: relay, pin: 17, feedback_pin: 27}
    meter: {driver: sdm120, port: PORT}
storage: ./data
"""
BUS = """\
connectors:
  - evse: {driver: evse-wb, port: PORT, unit: 1}
    meter: {driver: sdm630, port: PORT, unit: 2}
"""
BY_ID = "/dev/serial/by-id/usb-FTDI-port0"
GPIO = "sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs"

WELL = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
    "proc/sys/kernel/arch": "aarch64\n",
    "proc/self/status": "Uid:\t1000\t1000\nGid:\t1000\t1000\nGroups:\t20 44 997\n",
    "proc/cmdline": "console=tty1 root=/dev/mmcblk0p2\n",
    "etc/group": "dialout:x:20:pi\ninput:x:105:\ngpio:x:997:pi\n",
    "dev/serial/by-id/usb-FTDI-port0": "",
    "sys/bus/usb-serial/devices/ttyUSB0/latency_timer": "1\n",
    GPIO: "N\n",
    "run/systemd/timesync/synchronized": "",
    "run/systemd/system/x": "",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "etc/systemd/system/chargepoint.service": "Type=notify\nWatchdogSec=10\nExecStopPost=x\n",
    "etc/systemd/system/multi-user.target.wants/chargepoint.service": "",
    "etc/systemd/system.conf.d/watchdog.conf": "[Manager]\nRuntimeWatchdogSec=15\n",
}
"""A Raspberry Pi on which nothing is wrong."""


def computer(folder: Path, **changes: str | None) -> Path:
    """A computer like that one but for these files, `__` for a slash; None: not there."""
    files: dict[str, str | None] = {
        **WELL,
        **{name.replace("__", "/"): text for name, text in changes.items()},
    }
    root = folder / "root"
    for name, text in files.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root


def examined(folder: Path, root: Path, config: str = BUS, port: str = BY_ID) -> dict[str, Finding]:
    file = folder / "station.yaml"
    file.write_text(config.replace("PORT", port))
    return {finding.name: finding for finding in Doctor(root, file, devices=False).examine()}


def test_a_computer_that_is_well_has_no_complaints(tmp_path: Path) -> None:
    found = examined(tmp_path, computer(tmp_path))
    unwell = {name: finding for name, finding in found.items() if finding.result not in ("ok", "skip")}
    assert unwell == {}
    assert found["computer"].message == "Raspberry Pi 4 Model B Rev 1.5"
    assert [name for name, finding in found.items() if finding.result == "skip"] == ["devices"]


ILLS: dict[str, tuple[dict[str, str | None], str, str, str, str]] = {
    # what is different, configuration, the check, its result, its remedy
    "no Pi": ({"proc__device-tree__model": None}, BUS, "computer", "warn", "no Raspberry Pi"),
    "32 bit": ({"proc__sys__kernel__arch": "armv7l\n"}, BUS, "64 bit", "warn", "64-bit Raspberry Pi OS"),
    "clock": (
        {"run__systemd__timesync__synchronized": None},
        BUS,
        "clock",
        "warn",
        "timedatectl set-ntp true",
    ),
    "dialout": (
        {"proc__self__status": "Uid:\t1000\nGid:\t1000\nGroups:\t997\n"},
        RELAY,
        "groups",
        "FAIL",
        "usermod -aG dialout",
    ),
    "gpio group": (
        {"proc__self__status": "Uid:\t1000\nGid:\t1000\nGroups:\t20\n"},
        RELAY,
        "groups",
        "FAIL",
        "usermod -aG gpio",
    ),
    "root": ({"proc__self__status": "Uid:\t0\t0\nGroups:\n"}, BUS, "groups", "ok", "this is root"),
    "latency": (
        {"sys__bus__usb-serial__devices__ttyUSB0__latency_timer": "16\n"},
        BUS,
        "ftdi latency",
        "warn",
        "ttyUSB0 waits 16 ms",
    ),
    "console": ({"proc__cmdline": "console=serial0,115200"}, BUS, "serial console", "warn", "raspi-config"),
    "persistent pins": (
        {GPIO.replace("/", "__"): "Y\n"},
        RELAY,
        "gpio outputs",
        "FAIL",
        "dtparam=strict_gpiod",
    ),
    "persistent pins, no relay": (
        {GPIO.replace("/", "__"): "Y\n"},
        BUS,
        "gpio outputs",
        "warn",
        "strict_gpiod",
    ),
    "strict, not restarted": (
        {
            GPIO.replace("/", "__"): "Y\n",
            "boot__firmware__config.txt": "dtparam=i2c_arm=on\ndtparam=strict_gpiod\n",
        },
        RELAY,
        "gpio outputs",
        "FAIL",
        "restart the computer",
    ),
    "Pi 5": (
        {"sys__module__pinctrl_rp1__parameters__persist_gpio_outputs": "1\n"},
        RELAY,
        "gpio outputs",
        "FAIL",
        "strict_gpiod",
    ),
    "undervoltage now": (
        {"sys__devices__platform__soc__soc:firmware__get_throttled": "50005\n"},
        BUS,
        "power supply",
        "FAIL",
        "power supply made for it",
    ),
    "undervoltage before": (
        {"sys__devices__platform__soc__soc:firmware__get_throttled": "50000\n"},
        BUS,
        "power supply",
        "warn",
        "some time since",
    ),
    "no unit": (
        {"etc__systemd__system__chargepoint.service": None},
        BUS,
        "service",
        "warn",
        "chargepoint service install",
    ),
    "unit without watchdog": (
        {"etc__systemd__system__chargepoint.service": "Type=notify\n"},
        BUS,
        "service",
        "warn",
        "WatchdogSec",
    ),
    "not enabled": (
        {"etc__systemd__system__multi-user.target.wants__chargepoint.service": None},
        BUS,
        "service",
        "warn",
        "systemctl enable",
    ),
    "no hardware watchdog": (
        {"etc__systemd__system.conf.d__watchdog.conf": "[Manager]\n#RuntimeWatchdogSec=15\n"},
        BUS,
        "watchdog",
        "warn",
        "RuntimeWatchdogSec=15",
    ),
    "adapter gone": (
        {"dev__serial__by-id__usb-FTDI-port0": None, "dev__serial__by-id__usb-CH340": ""},
        BUS,
        "ports",
        "FAIL",
        "plugged in are /dev/serial/by-id/usb-CH340",
    ),
    "no pins": (
        {GPIO.replace("/", "__"): None, "proc__device-tree__model": None},
        BUS,
        "gpio outputs",
        "skip",
        "no pins",
    ),
    "no systemd": ({"run__systemd__system__x": None}, BUS, "service", "skip", "systemd"),
}


@pytest.mark.parametrize("ill", ILLS)
def test_what_is_wrong_is_found_with_its_remedy(ill: str, tmp_path: Path) -> None:
    changes, config, name, result, remedy = ILLS[ill]
    finding = examined(tmp_path, computer(tmp_path, **changes), config)[name]
    assert (finding.result, remedy in finding.message) == (result, True), finding


def test_a_port_by_number_is_warned_of_and_a_console_on_it_fails(tmp_path: Path) -> None:
    root = computer(tmp_path, dev__ttyUSB0="", dev__ttyAMA0="", proc__cmdline="console=ttyAMA0,115200")
    assert "/dev/serial/by-id" in examined(tmp_path, root, port="/dev/ttyUSB0")["ports"].message
    finding = examined(tmp_path, root, port="/dev/ttyAMA0")["serial console"]
    assert finding.result == "FAIL"
    assert "/dev/ttyAMA0 is configured" in finding.message


def test_programs_are_asked_where_no_file_tells(tmp_path: Path) -> None:
    root = computer(
        tmp_path,
        run__systemd__timesync__synchronized=None,
        **{"sys__devices__platform__soc__soc:firmware__get_throttled": None},
        usr__bin__timedatectl="#!/bin/sh\necho yes\n",
        usr__bin__vcgencmd="#!/bin/sh\necho throttled=0x50005\n",
    )
    for program in (root / "usr/bin").iterdir():
        program.chmod(0o755)
    found = examined(tmp_path, root)
    assert found["clock"].result == "ok"
    assert found["power supply"].result == "FAIL"


def test_a_clock_from_before_this_program_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepoint.cli.doctor.computer.time.time", lambda: 86_400.0)
    finding = examined(tmp_path, computer(tmp_path))["clock"]
    assert (finding.result, "1970-01-02" in finding.message) == ("FAIL", True)


def test_a_full_or_slow_storage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = computer(tmp_path)
    monkeypatch.setattr("chargepoint.cli.doctor.needs._write_s", lambda folder: 0.2)
    assert "200 ms" in examined(tmp_path, root, RELAY)["storage"].message
    monkeypatch.setattr(
        "chargepoint.cli.doctor.needs.shutil.disk_usage", lambda folder: SimpleNamespace(free=5 << 20)
    )
    assert examined(tmp_path, root, RELAY)["storage"].message.startswith("5 MiB are free")
    assert examined(tmp_path, root, BUS + "storage: null\n")["storage"].result == "warn"


def test_a_wrong_configuration_fails_and_the_rest_is_still_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "station.yaml"
    file.write_text("connectors: [{evse: {driver: evse-bw}}]\n")
    root = str(computer(tmp_path))
    assert cli.main(["hardware", "doctor", "--config", str(file), "--root", root, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    steps = {step["name"]: step for step in said["steps"]}
    assert said["ok"] is False
    assert "evse-wb" in steps["configuration"]["message"]
    assert steps["computer"]["result"] == "ok"


def test_a_file_that_cannot_be_read_does_not_end_the_examination(tmp_path: Path) -> None:
    root = computer(tmp_path)
    path = root / "sys/bus/usb-serial/devices/ttyUSB0/latency_timer"
    os.remove(path)
    path.mkdir()
    assert examined(tmp_path, root)["ftdi latency"].result == "warn"


SERVED: dict[str, tuple[str, str, str, str]] = {
    # /etc/passwd, /etc/group, the result for the groups, what is said
    "member": ("cp:x:999:999::", "dialout:x:20:cp\n", "ok", "cp, who runs the service, is in dialout"),
    "primary group": ("cp:x:999:20::", "dialout:x:20:\n", "ok", "is in dialout"),
    "stranger": ("cp:x:999:999::", "dialout:x:20:pi\n", "FAIL", "sudo usermod -aG dialout cp"),
    "nobody": ("", "dialout:x:20:cp\n", "FAIL", "sudo useradd --system --groups dialout cp"),
}


@pytest.mark.parametrize("case", SERVED)
def test_the_groups_that_count_are_those_of_the_service(case: str, tmp_path: Path) -> None:
    passwd, group, result, said = SERVED[case]
    text = unit("cp", str(tmp_path / "station.yaml"))
    root = computer(tmp_path, etc__passwd=passwd, etc__group=group)
    (root / "etc/systemd/system/chargepoint.service").write_text(text)
    finding = examined(tmp_path, root)["groups"]
    assert (finding.result, said in finding.message) == (result, True), finding


def test_the_storage_that_counts_is_that_of_the_service(tmp_path: Path) -> None:
    root = computer(tmp_path)
    written = root / "etc/systemd/system/chargepoint.service"
    written.write_text(unit("cp", str(tmp_path / "station.yaml")))
    kept = root / "var/lib/chargepoint"
    kept.mkdir(parents=True)
    assert f"MiB free at {kept}" in examined(tmp_path, root)["storage"].message
    written.write_text(unit("cp", str(tmp_path / "another.yaml")))
    assert str(kept) not in examined(tmp_path, root)["storage"].message
