"""Checks of what one configuration needs of the computer: ports, groups, libraries, storage, devices."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chargepoint.cli.doctor.facts import Facts, Said
from chargepoint.cli.unit import NAME as UNIT
from chargepoint.cli.unit import PATH, Served, served
from chargepoint.errors import ConfigError

if TYPE_CHECKING:
    from chargepoint.config import StationConfig

_LEAST_FREE_MIB = 200
_SLOW_S = 0.05
_WRITES = 8
_UARTS = ("ttyAMA0", "ttyS0", "serial0", "ttyAMA10")


class Needs:
    """One check after the other; `configuration` comes first, without it nothing is known to be needed.

    `devices` False leaves out speaking to the devices themselves.
    """

    def __init__(self, facts: Facts, config_file: Path | None, *, devices: bool) -> None:
        self._facts = facts
        self._config_file = config_file
        self._devices = devices
        self._config: StationConfig | None = None
        self._ports: tuple[str, ...] = ()
        self._drivers: frozenset[str] = frozenset()

    def configuration(self) -> Said:
        """Good, or what is wrong with it; the other checks ask what it needs."""
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

    def groups(self) -> Said:
        """Whether who runs the station is in the groups its hardware needs."""
        wanted = {"dialout"} if any(not port.startswith("/dev/input") for port in self._ports) else set()
        wanted |= {"input"} if "keyboard" in self._drivers else set()
        wanted |= {"gpio"} if "relay" in self._drivers else set()
        if not wanted:
            return "skip", "no hardware is configured that needs one"
        entries = [
            line.split(":") for line in self._facts.text("etc/group").splitlines() if line.count(":") >= 3
        ]
        known = {entry[0]: entry[2] for entry in entries}
        service = self._served()
        if service is not None and service.user != "root":
            return self._groups_of(service.user, wanted & set(known), entries)
        status = self._facts.text("proc/self/status")
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

    def ports(self) -> Said:
        """Whether they are there, may be used, and have names that last."""
        if not self._ports:
            return "skip", "no ports are configured"
        gone = [port for port in self._ports if not self._facts.at(port).exists()]
        if gone:
            there = sorted(path.name for path in self._facts.glob("dev/serial/by-id/*"))
            names = ", ".join(f"/dev/serial/by-id/{name}" for name in there) or "none"
            return "FAIL", f"{', '.join(gone)}: not there; plugged in are {names}"
        shut = [port for port in self._ports if not os.access(self._facts.at(port), os.R_OK | os.W_OK)]
        if shut:
            return "FAIL", f"{', '.join(shut)}: no permission; see groups"
        loose = [port for port in self._ports if re.match(r"/dev/tty(USB|ACM)\d", port)]
        if loose:
            return (
                "warn",
                f"{', '.join(loose)}: may be another adapter tomorrow; use its name in /dev/serial/by-id",
            )
        return "ok", f"{len(self._ports)} of them, all there"

    def console(self) -> Said:
        """Whether a console speaks on serial pins that the station may need."""
        consoles = set(re.findall(r"console=(\w+)", self._facts.text("proc/cmdline"))) & set(_UARTS)
        if not consoles:
            return "ok", "no console on the serial pins"
        named = ", ".join(sorted(consoles))
        said = f"a console speaks on {named}: sudo raspi-config, Interface Options, Serial Port"
        used = [port for port in self._ports if Path(port).name in _UARTS]
        return ("FAIL", f"{said}; {used[0]} is configured") if used else ("warn", said)

    def gpio(self) -> Said:
        """Whether a contactor opens when the program that holds it dies."""
        told = self._facts.glob("sys/module/pinctrl_*/parameters/persist_gpio_outputs")
        if next(told, None) is None and not self._facts.text("proc/device-tree/model"):
            return "skip", "this computer has no pins"
        kept = [
            path
            for path in self._facts.glob("sys/module/pinctrl_*/parameters/persist_gpio_outputs")
            if path.read_text().strip() in ("Y", "1")
        ]
        boot = self._facts.text("boot/firmware/config.txt") or self._facts.text("boot/config.txt")
        strict = re.search(r"^\s*dtparam=.*\bstrict_gpiod\b", boot, re.MULTILINE) is not None
        if not kept:
            return "ok", "pins are let go when a program dies"
        how = "put dtparam=strict_gpiod into /boot/firmware/config.txt and restart"
        said = f"a pin stays driven when a program dies, so a contactor stays closed: {how}"
        if strict:
            said = "dtparam=strict_gpiod is in config.txt but not in force: restart the computer"
        return ("FAIL" if "relay" in self._drivers else "warn"), said

    def libraries(self) -> Said:
        """Whether what the configured drivers import is installed."""
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

    def storage(self) -> Said:
        """Room, permission and speed where the station remembers."""
        service = self._served()
        folder = Path("." if self._config is None else self._config.storage or ".")
        if service is not None and service.storage is not None:
            folder = self._facts.at(service.storage)
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

    def devices(self) -> Said:
        """Whether all configured devices answer."""
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

    def _groups_of(self, user: str, wanted: set[str], entries: list[list[str]]) -> Said:
        """Whether the one who runs the service, who need not be the one who asks, is in the groups."""
        accounts = [
            line.split(":") for line in self._facts.text("etc/passwd").splitlines() if line.count(":") >= 3
        ]
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

    def _served(self) -> Served | None:
        """The installed service, if it runs this configuration."""
        found = served(self._facts.text(str(PATH)))
        mine = None if self._config_file is None else str(self._config_file.absolute())
        return found if found is not None and found.config == mine else None


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
