"""The reference of a fleet's file as Markdown; docs/fleet.md holds it."""

from __future__ import annotations

import sys
from pathlib import Path

from chargepoint.config.reference import table
from chargepoint.fleet.plan.connection import FleetCsmsConfig
from chargepoint.fleet.plan.file import EventConfig, FleetConfig
from chargepoint.fleet.plan.group import GroupConfig

__all__ = ["BEGINS", "ENDS", "reference", "with_reference"]

BEGINS = "<!-- from here generated from the models (make docs) -->\n"
ENDS = "<!-- to here -->\n"


def reference() -> str:
    """Every key of a fleet's file with what it takes, its default and its meaning."""
    lines = [
        *table(FleetConfig, "Top level"),
        *table(GroupConfig, "`groups[]`"),
        *table(FleetCsmsConfig, "`csms`, `groups[].csms`"),
        *table(EventConfig, "`events[]`"),
    ]
    return "\n".join(lines).replace("\n## ", "\n### ").replace("## Top", "### Top", 1)


def with_reference(page: str) -> str:
    """The page with its reference written anew."""
    before, _, rest = page.partition(BEGINS)
    return f"{before}{BEGINS}\n{reference()}\n{ENDS}{rest.partition(ENDS)[2]}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")
