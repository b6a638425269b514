"""What a station needs of the computer it runs on: one check after the other, each with its remedy.

Every fact is read below a root folder, which is `/` but in tests.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chargepoint.cli.unit import NAME as UNIT
from chargepoint.cli.unit import PATH, Served, served
from chargepoint.errors import ConfigError

if TYPE_CHECKING:
    from chargepoint.config import StationConfig

__all__ = ["Doctor", "Finding"]

Result = Literal["ok", "warn", "FAIL", "skip"]
Said = tuple[Result, str]

_LEAST_FREE_MIB = 200
_SLOW_S = 0.05
_WRITES = 8
_THROTTLED_NOW, _THROTTLED_BEFORE = 1 << 0, 1 << 16  # undervoltage (Raspberry Pi firmware, get_throttled)
_UARTS = ("ttyAMA0", "ttyS0", "serial0", "ttyAMA10")


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check went; `message` says what was found, and what helps."""

    name: str
    result: Result
    message: str

    def as_json(self) -> dict[str, str]:
        """The finding as JSON values."""
        return {"name": self.name, "result": self.result, "message": self.message}


class Doctor:
    """Looks at one computer and, with `config_file`, at what that configuration needs of it.

    `devices` False leaves out speaking to the devices themselves.
    """

    def __init__(self, root: Path, config_file: Path | None, *, devices: bool = True) -> None:
        self._root = root
        self._config_file = config_file
        self._devices = devices
        self._config: StationConfig | None = None
        self._ports: tuple[str, ...] = ()
        self._drivers: frozenset[str] = frozenset()

    def examine(self) -> Iterator[Finding]:
        """Do the checks in order, each when asked for."""
        checks: dict[str, Callable[[], Said]] = {
            "configuration": self._configuration,
            "computer": self._computer,
            "64 bit": self._bits,
            "clock": self._clock,
            "groups": self._groups,
            "ports": self._nodes,
            "ftdi latency": self._latency,
            "serial console": self._console,
            "gpio outputs": self._gpio,
            "libraries": self._libraries,
            "storage": self._storage,
            "power supply": self._supply,
            "service": self._service,
            "watchdog": self._watchdog,
            "devices": self._answers,
        }
        for name, check in checks.items():
            try:
                yield Finding(name, *check())
            except OSError as error:
                yield Finding(name, "warn", f"cannot be found out: {error}")

    # --- the configuration --------------------------------------------------------------------------

    def _configuration(self) -> Said:
        if self._config_file is None:
            return "skip", "none given and no station.yaml here: --config FILE checks what it needs"
        from chargepoint.config import load

        try:
            self._config = config = load(self._config_file)
        except ConfigError as error:
            return "FAIL", "; ".join(error.problems)
        parts = [part for connector in config.connectors for part in (connector.evse, connector.meter)]
        parts += [connector.reader for connector in config.connectors if connector.reader is not None]
        parts += config.readers
        if config.site is not None:
            parts.append(config.site.meter)
        ports = [str(part.options["port"]) for part in parts if part.options.get("port")]
        self._ports = tuple(dict.fromkeys(ports))
        self._drivers = frozenset(part.driver for part in parts)
        return "ok", f"{self._config_file} is good"

    def _answers(self) -> Said:
        if self._config is None or self._drivers <= {"simulated", "none", "fed"}:
            return "skip", "no hardware is configured"
        if not self._devices:
            return "skip", "left out"
        from chargepoint.cli.devices import devices_of
        from hal.clock import WallClock

        config = self._config

        async def find() -> list[str]:
            devices = devices_of(config, WallClock())
            try:
                await devices.find()
                return [f"{place} {one.part}: {one.problem}" for place, one in devices if one.problem]
            finally:
                await devices.close()

        try:
            missing = asyncio.run(find())
        except ConfigError as error:
            missing = error.problems
        if missing:
            return "FAIL", "; ".join(missing) + " (chargepoint hardware probe --scan)"
        return "ok", "all of them answer"

    # --- the computer -------------------------------------------------------------------------------

    def _computer(self) -> Said:
        model = self._text("proc/device-tree/model").rstrip("\0\n")
        if not model:
            return "warn", "no Raspberry Pi: GPIO drivers do not work here, serial ports and Modbus TCP do"
        return "ok", model

    def _bits(self) -> Said:
        machine = self._text("proc/sys/kernel/arch").strip() or platform.machine()
        if sys.maxsize <= 2**32:
            return "FAIL", "this Python is 32 bit: install the 64-bit Raspberry Pi OS"
        if machine not in ("aarch64", "x86_64", "arm64"):
            return "warn", f"{machine} is not tried: the 64-bit Raspberry Pi OS (aarch64) is"
        return "ok", machine

    def _clock(self) -> Said:
        now = time.time()
        if now < Path(__file__).stat().st_mtime - 86400:
            said = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
            return "FAIL", f"it is not {said}: this program is newer than that; set the clock (timedatectl)"
        if (self._root / "run/systemd/timesync/synchronized").exists():
            return "ok", "synchronised"
        if self._asked("timedatectl", "show", "-p", "NTPSynchronized", "--value") == "yes":
            return "ok", "synchronised"
        return "warn", (
            "not synchronised: transactions would carry wrong times until the central system tells them; "
            "sudo timedatectl set-ntp true"
        )

    def _supply(self) -> Said:
        told = self._text("sys/devices/platform/soc/soc:firmware/get_throttled").strip()
        if not told:
            told = (self._asked("vcgencmd", "get_throttled") or "").rpartition("=")[2]
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

    def _storage(self) -> Said:
        service = self._served()
        folder = Path("." if self._config is None else self._config.storage or ".")
        if service is not None and service.storage is not None:
            folder = self._at(service.storage)
        elif self._config is not None and self._config.storage is None:
            return "warn", "nothing is kept over a power cut: storage is null in the configuration"
        while not folder.exists():
            folder = folder.parent
        free_mib = shutil.disk_usage(folder).free >> 20
        if free_mib < _LEAST_FREE_MIB:
            return "FAIL", f"{free_mib} MiB are free at {folder.absolute()}: make room"
        if not os.access(folder, os.W_OK):
            if service is not None and service.storage is not None:
                return "ok", f"{free_mib} MiB free at {service.storage}, which belongs to {service.user}"
            return (
                "FAIL",
                f"{folder.absolute()} cannot be written: run this as the user of the station, or chown it",
            )
        took_s = _write_s(folder)
        said = f"{free_mib} MiB free at {folder.absolute()}, a safe write takes {took_s * 1000:.0f} ms"
        if took_s > _SLOW_S:
            return "warn", f"{said}: a station waits for it; use a better card (A1 or A2) or an SSD"
        return "ok", said

    # --- ports --------------------------------------------------------------------------------------

    def _groups(self) -> Said:
        wanted = {"dialout"} if any(not port.startswith("/dev/input") for port in self._ports) else set()
        wanted |= {"input"} if "keyboard" in self._drivers else set()
        wanted |= {"gpio"} if "relay" in self._drivers else set()
        if not wanted:
            return "skip", "no hardware is configured that needs one"
        entries = [line.split(":") for line in self._text("etc/group").splitlines() if line.count(":") >= 3]
        known = {entry[0]: entry[2] for entry in entries}
        service = self._served()
        if service is not None and service.user != "root":
            return self._groups_of(service.user, wanted & set(known), entries)
        status = self._text("proc/self/status")
        uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
        if uid is not None and uid[1] == "0":
            return "ok", "this is root, which needs none; a station should run as a user of its own"
        mine = {
            number
            for line in re.findall(r"^(?:Groups|Gid):(.*)$", status, re.MULTILINE)
            for number in line.split()
        }
        missing = sorted(group for group in wanted if known.get(group) not in mine and group in known)
        if missing:
            return (
                "FAIL",
                f"not in {', '.join(missing)}: sudo usermod -aG {','.join(missing)} $USER, then log in again",
            )
        return "ok", f"in {', '.join(sorted(wanted))}"

    def _groups_of(self, user: str, wanted: set[str], entries: list[list[str]]) -> Said:
        """Whether the one who runs the service, who need not be the one who asks, is in the groups."""
        accounts = [line.split(":") for line in self._text("etc/passwd").splitlines() if line.count(":") >= 3]
        own = {account[0]: account[3] for account in accounts}
        if user not in own:
            add = f"sudo useradd --system --groups {','.join(sorted(wanted))} {user}"
            return "FAIL", f"{user}, who runs the service, is nobody: {add}"
        mine = {entry[0] for entry in entries if user in entry[3].split(",") or entry[2] == own[user]}
        if missing := sorted(wanted - mine):
            return "FAIL", (
                f"{user}, who runs the service, is not in {', '.join(missing)}: "
                f"sudo usermod -aG {','.join(missing)} {user} && sudo systemctl restart {UNIT}"
            )
        return "ok", f"{user}, who runs the service, is in {', '.join(sorted(wanted))}"

    def _nodes(self) -> Said:
        if not self._ports:
            return "skip", "no ports are configured"
        gone = [port for port in self._ports if not self._at(port).exists()]
        if gone:
            there = sorted(path.name for path in self._glob("dev/serial/by-id/*"))
            names = ", ".join(f"/dev/serial/by-id/{name}" for name in there) or "none"
            return "FAIL", f"{', '.join(gone)}: not there; plugged in are {names}"
        shut = [port for port in self._ports if not os.access(self._at(port), os.R_OK | os.W_OK)]
        if shut:
            return "FAIL", f"{', '.join(shut)}: no permission; see groups"
        loose = [port for port in self._ports if re.match(r"/dev/tty(USB|ACM)\d", port)]
        if loose:
            return (
                "warn",
                f"{', '.join(loose)}: may be another adapter tomorrow; use its name in /dev/serial/by-id",
            )
        return "ok", f"{len(self._ports)} of them, all there"

    def _latency(self) -> Said:
        slow = {
            path.parent.name: ms
            for path in self._glob("sys/bus/usb-serial/devices/*/latency_timer")
            if (ms := path.read_text().strip()) != "1"
        }
        if not slow:
            return "ok", "no adapter that waits"
        told = ", ".join(f"{name} waits {ms} ms" for name, ms in sorted(slow.items()))
        rule = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'
        return "warn", f"{told} with each answer; put into /etc/udev/rules.d/99-ftdi.rules: {rule}"

    def _console(self) -> Said:
        consoles = set(re.findall(r"console=(\w+)", self._text("proc/cmdline"))) & set(_UARTS)
        if not consoles:
            return "ok", "no console on the serial pins"
        named = ", ".join(sorted(consoles))
        said = f"a console speaks on {named}: sudo raspi-config, Interface Options, Serial Port"
        used = [port for port in self._ports if Path(port).name in _UARTS]
        return ("FAIL", f"{said}; {used[0]} is configured") if used else ("warn", said)

    def _gpio(self) -> Said:
        told = self._glob("sys/module/pinctrl_*/parameters/persist_gpio_outputs")
        if next(told, None) is None and not self._text("proc/device-tree/model"):
            return "skip", "this computer has no pins"
        kept = [
            path
            for path in self._glob("sys/module/pinctrl_*/parameters/persist_gpio_outputs")
            if path.read_text().strip() in ("Y", "1")
        ]
        boot = self._text("boot/firmware/config.txt") or self._text("boot/config.txt")
        strict = re.search(r"^\s*dtparam=.*\bstrict_gpiod\b", boot, re.MULTILINE) is not None
        if not kept:
            return "ok", "pins are let go when a program dies"
        how = "put dtparam=strict_gpiod into /boot/firmware/config.txt and restart"
        said = f"a pin stays driven when a program dies, so a contactor stays closed: {how}"
        if strict:
            said = "dtparam=strict_gpiod is in config.txt but not in force: restart the computer"
        return ("FAIL" if "relay" in self._drivers else "warn"), said

    def _libraries(self) -> Said:
        from importlib.util import find_spec

        needed = {"relay": ("gpiozero", "lgpio"), "keyboard": ("evdev",)}
        remedies = {
            "gpiozero": "pip install 'chargepoint[pi]'",
            "lgpio": "apt install python3-lgpio, in an environment with --system-site-packages",
            "evdev": "apt install python3-evdev, in an environment with --system-site-packages",
        }
        wanted = [name for driver, names in needed.items() if driver in self._drivers for name in names]
        missing = [f"{name}: {remedies[name]}" for name in wanted if find_spec(name) is None]
        if missing:
            return "FAIL", "; ".join(missing)
        return "ok", "nothing is missing for the configured drivers"

    # --- systemd ------------------------------------------------------------------------------------

    def _served(self) -> Served | None:
        """The installed service, if it runs this configuration."""
        found = served(self._text(str(PATH)))
        mine = None if self._config_file is None else str(self._config_file.absolute())
        return found if found is not None and found.config == mine else None

    def _service(self) -> Said:
        if not (self._root / "run/systemd/system").exists():
            return "skip", "this computer does not run systemd"
        unit = self._text(str(PATH))
        if not unit:
            return "warn", (
                "not installed: nothing starts the station, or makes it safe after a crash; "
                "chargepoint service install"
            )
        for wanted in ("Type=notify", "WatchdogSec=", "ExecStopPost="):
            if wanted not in unit:
                return "warn", f"its unit has no {wanted.rstrip('=')}: chargepoint service install --force"
        if not os.path.lexists(self._root / f"etc/systemd/system/multi-user.target.wants/{UNIT}"):
            return "warn", f"installed, but not started with the computer: sudo systemctl enable --now {UNIT}"
        return "ok", "installed, watched, and started with the computer"

    def _watchdog(self) -> Said:
        if not (self._root / "run/systemd/system").exists():
            return "skip", "this computer does not run systemd"
        texts = [self._text("etc/systemd/system.conf")]
        texts += [path.read_text() for path in sorted(self._glob("etc/systemd/system.conf.d/*.conf"))]
        told = re.findall(r"^\s*RuntimeWatchdogSec\s*=\s*(\S+)", "\n".join(texts), re.MULTILINE)
        if told and told[-1] not in ("0", "off"):
            return "ok", f"RuntimeWatchdogSec={told[-1]}"
        return "warn", (
            "a computer that hangs stays so: put RuntimeWatchdogSec=15 into [Manager] of "
            "/etc/systemd/system.conf.d/watchdog.conf and restart"
        )

    # --- facts --------------------------------------------------------------------------------------

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_text(errors="replace")
        except OSError:
            return ""

    def _glob(self, pattern: str) -> Iterator[Path]:
        return self._root.glob(pattern)

    def _asked(self, program: str, *arguments: str) -> str | None:
        """What a program of this computer says; None without it."""
        path = self._root / "usr/bin" / program
        try:
            done = subprocess.run((path, *arguments), capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None


def _write_s(folder: Path) -> float:
    """How long it takes until a small write is safe from a power cut: the median of a few."""
    path = folder / f".chargepoint-doctor-{os.getpid()}"
    took: list[float] = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(_WRITES):
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                took.append(time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(took)
