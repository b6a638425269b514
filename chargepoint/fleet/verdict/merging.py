"""The outcomes of shards that ran by themselves as one, from the JSON that each of them left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.ledger import Entry, Ledger, Totals
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.timeline import Row
from chargepoint.fleet.plan.plan import Plan
from chargepoint.fleet.verdict.merged_rows import merged_rows
from chargepoint.fleet.verdict.outcome import Outcome

VERSION = 1


@dataclass(slots=True)
class Together(Outcome):
    """Several parts; of their plans only the seed is known."""

    parts: int = 1

    def setup(self) -> dict[str, str]:
        """What was run, in words."""
        return {"stations": str(self.planned), "parts": str(self.parts), "clock": self.clock}


def merged(parts: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """One outcome of several, by the names of their files.

    Totals and latencies are those of all messages. What is compared within a part only: numbers that the
    central system gave to two transactions. The plan is empty but for its seed.
    Raises `ConfigError` if one is no outcome, or two are of the same shard.
    """
    problems: list[str] = []
    seen: dict[int, str] = {}
    outcomes: list[Outcome] = []
    for name, data in parts.items():
        try:
            outcome = _outcome(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{name}: not what `fleet run --json` writes ({type(error).__name__}: {error})")
            continue
        for simulator in outcome.snapshot.simulators:
            other = seen.setdefault(simulator.shard, name)
            if other != name:
                problems.append(f"{name}: shard {simulator.shard} is in {other} already")
        outcomes.append(outcome)
    if problems:
        raise ConfigError(problems)
    first = outcomes[0]
    before = [outcome.before_end for outcome in outcomes if outcome.before_end is not None]
    return Together(
        parts=len(outcomes),
        plan=first.plan,
        snapshot=Snapshot.merged(outcome.snapshot for outcome in outcomes),
        before_end=Snapshot.merged(before) if before else None,
        rows=merged_rows([(outcome.began_at, outcome.rows) for outcome in outcomes]),
        ledger=Ledger.merged([outcome.ledger.to_json() for outcome in outcomes]),
        accepted=sum(outcome.accepted for outcome in outcomes),
        skipped=sum((outcome.skipped for outcome in outcomes), Counter()),
        complaints=sum((outcome.complaints for outcome in outcomes), Counter()),
        clock=first.clock,
        for_s=first.for_s,
        began_at=min(outcome.began_at for outcome in outcomes),
    )


def _outcome(data: Mapping[str, Any]) -> Outcome:
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r}")
    run = data["run"]
    before = data["before_end"]
    return Outcome(
        plan=Plan((), run["seed"]),
        snapshot=Snapshot.from_json(data["snapshot"]),
        before_end=None if before is None else Snapshot.from_json(before),
        ledger=_ledger(data["ledger"]),
        rows=[Row.from_json(row) for row in data["timeline"]],
        accepted=run["accepted"],
        skipped=Counter(run["left_out"]),
        complaints=Counter(run["complaints"]),
        clock=run["clock"],
        for_s=run["for_s"],
        began_at=datetime.fromisoformat(run["began_at"]).timestamp(),
    )


def _ledger(data: Mapping[str, Any]) -> Ledger:
    """What is wrong is there one by one; of the others there are numbers."""
    wrong = {(entry["station"], entry["key"]): entry for entry in (*data["lost"], *data["doubled"])}
    kept = Ledger.merged([{"finished": True, "left": _none(), "transactions": list(wrong.values())}]).totals()
    totals = Totals(**data["totals"])
    left = {name: getattr(totals, name) - getattr(kept, name) for name in Totals.__slots__}
    # Of a transaction that is not there one by one nothing is missing.
    left |= {"missing": 0, "lost": 0, "lost_with_worker": 0, "doubled": 0}
    for entry in wrong.values():
        unknown = set(entry) - set(Entry.__slots__)
        if unknown:
            raise ValueError(f"a transaction with {', '.join(sorted(unknown))}")
    return Ledger.merged([{"finished": True, "left": left, "transactions": list(wrong.values())}])


def _none() -> dict[str, int]:
    return dict.fromkeys(Totals.__slots__, 0)
