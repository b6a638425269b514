"""docs/conformance.md: which certification cases there are, what each test checks, and how it ended."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cases import CASES

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

_NAME = re.compile(r"test_tc_(\d{3}(?:_\d)?)_")
_HEAD = """\
# Conformance

The test cases of the OCPP Compliance Testing Tool (OCPP 1.6, system under test: charge point), each run here
as a test of that name: an assembled station with simulated hardware against the embedded central system, over
a real socket, on a stepped clock. Every message that the central system hears must be expected; one that is
not fails the case.

`make conformance` runs them and writes this page. They are our reading of the published names and of the
specification, and no certificate: that takes the tool itself and a test laboratory.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One test of a case."""

    id: str
    name: str  # of the function
    text: str


def checks() -> list[Check]:
    """The tests there are, by id."""
    found = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, member in vars(module).items():
            if (match := _NAME.match(name)) is not None:
                found.append(Check(match[1], name, " ".join((member.__doc__ or "").split())))
    return sorted(found, key=lambda check: check.id)


def page(outcomes: Mapping[str, str]) -> str:
    """The whole page; `outcomes` are by the name of the test, and one that is missing was not run."""
    by_id: dict[str, list[Check]] = {}
    for check in checks():
        by_id.setdefault(check.id, []).append(check)
    passed = [id for id, tests in by_id.items() if all(outcomes.get(one.name) == "passed" for one in tests)]
    parts = [_HEAD, f"{len(passed)} of {sum(map(len, CASES.values()))} cases pass.\n"]
    for group, names in CASES.items():
        rows = [f"## {group}", "", "| Case | Name | Result | What is checked |", "| --- | --- | --- | --- |"]
        rows += [
            f"| TC_{id} | {name} | {outcomes.get(check.name, 'not run')} | {check.text} |"
            for id, name in names.items()
            for check in by_id.get(id, ())
        ]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)
