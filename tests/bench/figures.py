"""The figures of one run of the measurements: gathered, printed as a table, written to a file on request."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from chargepoint.fleet.verdict.outcome import machine

PACKAGES = ("ocpp", "websockets", "orjson", "jsonschema-rs", "uvloop")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: the median of several runs with the least and the most, or a single value."""

    subject: str
    quantity: str
    unit: str
    value: float
    least: float
    most: float

    def row(self) -> tuple[str, str, str, str]:
        """Its cells in the table."""
        spread = "" if self.least == self.most else f"{short(self.least)} to {short(self.most)}"
        return self.subject, self.quantity, f"{short(self.value)} {self.unit}".strip(), spread


class Figures:
    """Everything measured in one run."""

    def __init__(self) -> None:
        self.all: list[Figure] = []

    def add(self, subject: str, quantity: str, unit: str, *values: float) -> float:
        """Note a quantity by the values of its runs; returns their median."""
        figure = Figure(subject, quantity, unit, median(values), min(values), max(values))
        self.all.append(figure)
        return figure.value

    def table(self) -> str:
        """What a person reads."""
        rows = [("subject", "quantity", "median", "spread"), *(figure.row() for figure in self.all)]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(
            [", ".join(f"{key} {value}" for key, value in machine(PACKAGES).items()), "", *lines]
        )

    def write(self, path: Path) -> None:
        """What a program reads."""
        document = {"machine": machine(PACKAGES), "figures": [asdict(figure) for figure in self.all]}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def short(value: float) -> str:
    """Three figures that mean something, and no exponents."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
