"""What the hardware itself did, written down beside the station's program, and what must follow from it.

A line of the notes is the connector, what happened (`reads`, `closes`, `opens`), the register in Wh and, for
the contactor, whether the station's store knew of a running transaction at that connector.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chargepoint.store import SqliteStore


class Witness:
    """Notes each move of a contactor and each register anybody read; a power cut takes nothing of it back."""

    def __init__(self, notes: Path, store: Path, kind: str) -> None:
        self._registers = registers(notes)
        self._store = store
        self._kind = kind
        self._descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def register(self, connector: int) -> float:
        """Where the meter stands."""
        return self._registers.get(connector, 0.0)

    def read(self, connector: int, energy_wh: float) -> None:
        """Somebody read the meter."""
        if energy_wh > self.register(connector):
            self._note(connector, "reads", energy_wh, None)

    def moved(self, connector: int, closed: bool, energy_wh: float) -> None:
        """The contactor moved."""
        known = SqliteStore.peek(self._store, self._kind) if self._store.exists() else []
        runs = any(t["connector"] == connector and t["stopped_at"] is None for _, t in known)
        self._note(connector, "closes" if closed else "opens", energy_wh, runs)

    def _note(self, connector: int, what: str, energy_wh: float, runs: bool | None) -> None:
        self._registers[connector] = energy_wh
        os.write(self._descriptor, json.dumps([connector, what, energy_wh, runs]).encode() + b"\n")


def registers(notes: Path) -> dict[int, float]:
    """Where each meter stood last."""
    return {connector: energy_wh for connector, _, energy_wh, _ in read_notes(notes)}


def read_notes(notes: Path) -> list[list[Any]]:
    """The notes, oldest first."""
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


class Told(Protocol):
    """What the central system was told of a session."""

    @property
    def start(self) -> Mapping[str, Any]:
        """StartTransaction's payload."""

    @property
    def stop(self) -> Mapping[str, Any] | None:
        """StopTransaction's payload."""


@dataclass(frozen=True, slots=True)
class Billed:
    """The registers of one session, as told."""

    id_tag: str
    from_wh: int
    to_wh: int


def disagreements(notes: Path, sessions: Sequence[Told]) -> list[str]:
    """Where what the central system was told is not what the hardware did.

    Energy only flows in sessions, and the registers are rounded down: so on each connector every session
    begins where the one before ended, the first at 0, and the last ends where the meter stands.
    """
    wrong = [
        f"connector {connector} {what} at {energy_wh} Wh without a transaction in the store"
        for connector, what, energy_wh, runs in read_notes(notes)
        if runs is False
    ]
    for connector, register_wh in registers(notes).items():
        at_wh = 0
        for told in _billed(connector, sessions):
            if told.from_wh != at_wh:
                wrong.append(f"{told.id_tag}: starts at {told.from_wh} Wh, and the meter stood at {at_wh}")
            at_wh = told.to_wh
        if at_wh != int(register_wh):
            wrong.append(f"connector {connector}: {int(register_wh)} Wh went through, {at_wh} were told")
    return wrong


def _billed(connector: int, sessions: Sequence[Told]) -> list[Billed]:
    """The sessions of a connector in the order in which they were told to begin."""
    return [
        Billed(told.start["idTag"], told.start["meterStart"], told.stop["meterStop"])
        for told in sessions
        if told.stop is not None and told.start["connectorId"] == connector
    ]
