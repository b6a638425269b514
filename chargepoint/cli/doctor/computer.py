"""Checks of the computer itself, whatever a station on it is to do."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from chargepoint.cli.doctor.facts import Facts, Said
from chargepoint.cli.unit import NAME as UNIT
from chargepoint.cli.unit import PATH

_THROTTLED_NOW, _THROTTLED_BEFORE = 1 << 0, 1 << 16  # undervoltage (Raspberry Pi firmware, get_throttled)


class Computer:
    """One check after the other of one computer."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def model(self) -> Said:
        """Which one it is; a Raspberry Pi is what this is made for."""
        model = self._facts.text("proc/device-tree/model").rstrip("\0\n")
        if not model:
            return "warn", "no Raspberry Pi: GPIO drivers do not work here, serial ports and Modbus TCP do"
        return "ok", model

    def bits(self) -> Said:
        """64, of the system and of this Python."""
        machine = self._facts.text("proc/sys/kernel/arch").strip() or platform.machine()
        if sys.maxsize <= 2**32:
            return "FAIL", "this Python is 32 bit: install the 64-bit Raspberry Pi OS"
        if machine not in ("aarch64", "x86_64", "arm64"):
            return "warn", f"{machine} is not tried: the 64-bit Raspberry Pi OS (aarch64) is"
        return "ok", machine

    def clock(self) -> Said:
        """Right, or soon told by the network."""
        now = time.time()
        if now < Path(__file__).stat().st_mtime - 86400:
            said = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
            return "FAIL", f"it is not {said}: this program is newer than that; set the clock (timedatectl)"
        if (self._facts.root / "run/systemd/timesync/synchronized").exists():
            return "ok", "synchronised"
        if self._facts.asked("timedatectl", "show", "-p", "NTPSynchronized", "--value") == "yes":
            return "ok", "synchronised"
        return "warn", (
            "not synchronised: transactions would carry wrong times until the central system tells them; "
            "sudo timedatectl set-ntp true"
        )

    def supply(self) -> Said:
        """Whether a Raspberry Pi gets the voltage it needs."""
        told = self._facts.text("sys/devices/platform/soc/soc:firmware/get_throttled").strip()
        if not told:
            told = (self._facts.asked("vcgencmd", "get_throttled") or "").rpartition("=")[2]
        try:
            bits = int(told, 16)
        except ValueError:
            return "skip", "this computer does not tell"
        remedy = "use the power supply made for it, and short cables"
        if bits & _THROTTLED_NOW:
            return "FAIL", f"too little voltage right now: {remedy}"
        if bits & _THROTTLED_BEFORE:
            return "warn", f"too little voltage some time since it was switched on: {remedy}"
        return "ok", "no lack of voltage since it was switched on"

    def latency(self) -> Said:
        """Of USB adapters, which may sit on each answer for 16 ms."""
        slow = {
            path.parent.name: ms
            for path in self._facts.glob("sys/bus/usb-serial/devices/*/latency_timer")
            if (ms := path.read_text().strip()) != "1"
        }
        if not slow:
            return "ok", "no adapter that waits"
        told = ", ".join(f"{name} waits {ms} ms" for name, ms in sorted(slow.items()))
        rule = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'
        return "warn", f"{told} with each answer; put into /etc/udev/rules.d/99-ftdi.rules: {rule}"

    def service(self) -> Said:
        """Installed, watched and started with the computer."""
        if not (self._facts.root / "run/systemd/system").exists():
            return "skip", "this computer does not run systemd"
        unit = self._facts.text(str(PATH))
        if not unit:
            return "warn", (
                "not installed: nothing starts the station, or makes it safe after a crash; "
                "chargepoint service install"
            )
        for wanted in ("Type=notify", "WatchdogSec=", "ExecStopPost="):
            if wanted not in unit:
                return "warn", f"its unit has no {wanted.rstrip('=')}: chargepoint service install --force"
        if not os.path.lexists(self._facts.root / f"etc/systemd/system/multi-user.target.wants/{UNIT}"):
            return "warn", f"installed, but not started with the computer: sudo systemctl enable --now {UNIT}"
        return "ok", "installed, watched, and started with the computer"

    def watchdog(self) -> Said:
        """The one of the hardware, fed by systemd."""
        if not (self._facts.root / "run/systemd/system").exists():
            return "skip", "this computer does not run systemd"
        texts = [self._facts.text("etc/systemd/system.conf")]
        texts += [path.read_text() for path in sorted(self._facts.glob("etc/systemd/system.conf.d/*.conf"))]
        told = re.findall(r"^\s*RuntimeWatchdogSec\s*=\s*(\S+)", "\n".join(texts), re.MULTILINE)
        if told and told[-1] not in ("0", "off"):
            return "ok", f"RuntimeWatchdogSec={told[-1]}"
        return "warn", (
            "a computer that hangs stays so: put RuntimeWatchdogSec=15 into [Manager] of "
            "/etc/systemd/system.conf.d/watchdog.conf and restart"
        )
