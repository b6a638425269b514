"""What it takes to open one connector: what is installed, and the settings of its drivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hal.api import EvseInfo
from hal.modbus.register_hygiene import KnownEnergy

Settings = Mapping[str, Any]
"""`driver`, and whatever else that driver understands."""


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """Everything needed to open one connector."""

    info: EvseInfo
    evse: Settings
    meter: Settings
    energy_wh: float = 0.0  # the register's last known value: a simulated one resumes there, none goes below
    offset_wh: float = 0.0  # how much of it is beyond the meter's own register
    energy_at: float | None = None  # when it was read, if nothing else bounds what may have flowed since

    @property
    def known(self) -> KnownEnergy | None:
        """What a real meter's register goes on from; None if nothing is known of it."""
        return KnownEnergy(self.energy_wh, self.offset_wh, self.energy_at) if self.energy_wh > 0 else None
