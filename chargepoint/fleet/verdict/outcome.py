"""What is left of a run when it is over: all that a verdict judges and a report shows."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from chargepoint.fleet.measures.entry import ENDED_FIRST, Entry, Totals
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.timeline import Row
from chargepoint.fleet.plan.plan import Group, Plan
from chargepoint.ocpp16.times import format_time

PACKAGES = ("ocpp", "orjson", "websockets", "uvloop")

_USER = re.compile(r"(?<=//)[^/@]*@")


@dataclass(slots=True)
class Outcome:
    """One run, of one process or of several merged."""

    plan: Plan
    snapshot: Snapshot
    """After everything had ended."""
    before_end: Snapshot | None
    """When the end was called; None: nobody looked."""
    ledger: Ledger
    rows: Sequence[Row] = ()
    """The run over time."""
    accepted: int = 0
    """Stations that the central system accepted at least once."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Stations that could not be made, by what was wrong."""
    complaints: Counter[str] = field(default_factory=Counter)
    """What stations had to say, by its words."""
    clock: str = "wall"
    """As on the command line: wall, xN or stepped."""
    start: float | None = None
    """When a clock that can be chosen began."""
    for_s: float | None = None
    """How long it was to last, in station time."""
    began_at: float = 0.0
    """Real time, seconds since the epoch."""
    shard: int = 0
    shards: int = 1
    """It is one of so many parts of the plan; 1: it is all of it."""
    gaps: tuple[str, ...] = ()
    """What belongs to it and is not there, in words."""

    @property
    def stepped(self) -> bool:
        """It ran as fast as the machine can."""
        return self.clock == "stepped"

    @property
    def ended_early(self) -> bool:
        """It was to go on for longer."""
        return self.for_s is not None and (self.before_end or self.snapshot).station_s < self.for_s - 1

    @property
    def planned(self) -> int:
        """Stations wanted when the end was called, those added by hand included."""
        return (self.before_end or self.snapshot).planned

    @property
    def bottleneck_s(self) -> float:
        """For how long the simulator itself could not keep up."""
        return max((one.bottleneck_s for one in self.snapshot.simulators), default=0.0)

    @property
    def doubt(self) -> str | None:
        """Why the latencies are not the central system's alone; None: they are."""
        if self.stepped:
            return "a stepped clock works both sides as hard as the machine can: no ordinary operation"
        if self.snapshot.was_bottleneck:
            return f"the simulator itself could not keep up for {self.bottleneck_s:.1f} s of the run"
        return None

    def lost(self) -> list[Entry]:
        """Transactions of which the central system will never have all."""
        return [entry for entry in self.ledger if entry.lost or (self.ledger.finished and entry.missing)]

    def setup(self) -> dict[str, str]:
        """What was run, in words."""
        plan = self.plan
        facts = {
            "stations": f"{plan.count}, {plan.ramp_per_s:g} started per second",
            "seed": str(plan.seed),
            "clock": self.clock if self.start is None else f"{self.clock}, from {format_time(self.start)}",
            "duration": "until it was ended" if self.for_s is None else f"{self.for_s:g} s of station time",
            "central system": ", ".join(_central_systems(plan)),
        }
        if plan.events:
            facts["events"] = "; ".join(f"after {after_s:g} s {text}" for after_s, text in plan.events)
        return facts

    def groups(self) -> list[dict[str, str]]:
        """Each group of stations, in words and without secrets."""
        return [_group(group) for group in self.plan.groups]

    def configuration(self) -> dict[str, Any]:
        """The plan, as plain values without secrets."""
        return {
            "ramp_per_s": self.plan.ramp_per_s,
            "central_systems": _central_systems(self.plan),
            "events": [{"after_s": after_s, "do": text} for after_s, text in self.plan.events],
            "groups": self.groups(),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values without secrets."""
        totals = self.ledger.totals()
        return {
            "run": {
                "began_at": format_time(self.began_at),
                "lasted_s": self.snapshot.at_s,
                "station_s": self.snapshot.station_s,
                "ended_early": self.ended_early,
                "seed": self.plan.seed,
                "clock": self.clock,
                "start": None if self.start is None else format_time(self.start),
                "for_s": self.for_s,
                "shard": self.shard,
                "shards": self.shards,
                "accepted": self.accepted,
                "left_out": dict(self.skipped),
                "complaints": dict(self.complaints),
                "doubt": self.doubt,
            },
            "configuration": self.configuration(),
            "machine": machine(),
            "snapshot": self.snapshot.to_json(),
            "before_end": None if self.before_end is None else self.before_end.to_json(),
            "ledger": {
                "totals": {name: getattr(totals, name) for name in Totals.__slots__},
                "lost": [entry.to_json() for entry in self.lost()],
                "doubled": [entry.to_json() for entry in self.ledger.doubled()],
            },
            "timeline": [row.to_json() for row in self.rows],
        }


def called(entry: Entry) -> str:
    """A transaction in a line: whose it is, and what is wrong with it."""
    number = "without an id" if entry.transaction_id is None else f"id {entry.transaction_id}"
    wrong = []
    if entry.other_ids:
        wrong.append(f"has the ids {', '.join(map(str, entry.other_ids))} too")
    if entry.shared_with is not None:
        wrong.append(f"shares its id with {entry.shared_with}")
    if entry.given_up is not None:
        wrong.append(entry.given_up)
    if entry.lost_with is not None:
        wrong.append(f"it was open when worker {entry.lost_with} was lost")
    if entry.missing and (entry.given_up is None or entry.ended_first):
        owed = "start" if entry.transaction_id is None and entry.given_up is None else "end"
        cause = f": {ENDED_FIRST}" if entry.ended_first else ""
        wrong.append(f"its {owed} was not acknowledged{cause}")
    return f"{entry.station}/{entry.key} (connector {entry.connector}, {number}): {'; '.join(wrong)}"


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Where it ran, and with which versions."""
    found = {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
    for name in ("chargepoint", *packages):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _central_systems(plan: Plan) -> list[str]:
    """Their addresses, without names and passwords of users."""
    urls = [url for group in plan.groups for url in group.urls or ("embedded",)]
    return [_USER.sub("", url) for url in dict.fromkeys(urls)]


def _group(group: Group) -> dict[str, str]:
    config = group.config
    vehicles = ", ".join(f"{vehicle.name} {weight:g}" for vehicle, weight in group.vehicles)
    kinds = Counter(f"{one.current.upper()} {one.max_current_a:g} A" for one in config.connectors)
    return {
        "group": group.name,
        "stations": str(group.count),
        "identities": group.identities,
        "template": group.template or "plain",
        "connectors": ", ".join(f"{count} x {kind}" for kind, count in kinds.items()),
        "behaviour": group.behaviour,
        "vehicles": vehicles or "by behaviour",
        "security profile": str(config.csms.security_profile),
        "time zone": group.time_zone,
    }
