"""What a station needs of the computer it runs on: one check after the other, each with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chargepoint.cli.doctor.computer import Computer
from chargepoint.cli.doctor.facts import Facts, Result, Said
from chargepoint.cli.doctor.needs import Needs

__all__ = ["Doctor", "Finding"]


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
        facts = Facts(root)
        self._computer = Computer(facts)
        self._needs = Needs(facts, config_file, devices=devices)

    def examine(self) -> Iterator[Finding]:
        """Do the checks in order, each when asked for."""
        computer, needs = self._computer, self._needs
        checks: dict[str, Callable[[], Said]] = {
            "configuration": needs.configuration,
            "computer": computer.model,
            "64 bit": computer.bits,
            "clock": computer.clock,
            "groups": needs.groups,
            "ports": needs.ports,
            "ftdi latency": computer.latency,
            "serial console": needs.console,
            "gpio outputs": needs.gpio,
            "libraries": needs.libraries,
            "storage": needs.storage,
            "power supply": computer.supply,
            "service": computer.service,
            "watchdog": computer.watchdog,
            "devices": needs.devices,
        }
        for name, check in checks.items():
            try:
                yield Finding(name, *check())
            except OSError as error:
                yield Finding(name, "warn", f"cannot be found out: {error}")
