"""docs/fault-catalogue.md names switches and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fault-catalogue.md").read_text(encoding="utf-8")


def source(*folders: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")
    )


@pytest.mark.search
def test_every_test_in_it_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - set(re.findall(r"def (test_\w+)", source("tests"))) == set()


def test_every_switch_in_it_exists() -> None:
    switches = {row.split("|")[2] for row in PAGE.splitlines() if row.startswith("| ")}
    words = {
        word for cell in switches for name in re.findall(r"`([\w.]+)`", cell) for word in name.split(".")
    }
    there = set(re.findall(r"\w+", source("hal/emulators", "hal/simulated", "tests/contract/hal")))
    assert len(words) > 40
    assert words - there == set()
