"""The outcomes of shards that ran by themselves as one, from the JSON that each of them left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.entry import Entry, Totals
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.timeline import Row
from chargepoint.fleet.plan.plan import Plan
from chargepoint.fleet.verdict.merged_rows import merged_rows
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.verdict import spoken_time

VERSION = 1


@dataclass(slots=True)
class Together(Outcome):
    """Several parts; of their plans only the seed is known, and what their files say."""

    parts: int = 1
    remarks: tuple[str, ...] = ()
    """What is odd about them, in words."""
    planned_as: dict[str, Any] = field(default_factory=dict)
    """What their files say of the plan."""
    machines: list[dict[str, str]] = field(default_factory=list)
    """Where each part ran, by shard."""

    def configuration(self) -> dict[str, Any]:
        """The plan, as the parts wrote it."""
        return self.planned_as

    def to_json(self) -> dict[str, Any]:
        """As of one run, but that it names the parts: it is no shard that could be merged again."""
        whole = Outcome.to_json(self)
        del whole["run"]["shard"], whole["machine"]
        whole["run"] |= {"parts": self.parts, "gaps": list(self.gaps), "remarks": list(self.remarks)}
        return {**whole, "machines": self.machines}

    def setup(self) -> dict[str, str]:
        """What was run, in words."""
        return {"stations": str(self.planned), "parts": f"{self.parts} of {self.shards}", "clock": self.clock}


def merged(parts: Mapping[str, Mapping[str, Any]]) -> Together:
    """One outcome of several, by the names of their files.

    Totals and latencies are those of all messages. What is compared within a part only: numbers that the
    central system gave to two transactions. The plan is empty but for its seed. A shard that is not
    there is one of its `gaps`. Raises `ConfigError` if one is no outcome, two are of the same shard, or not
    all are of one fleet.
    """
    problems: list[str] = []
    found: dict[str, Outcome] = {}
    for name, data in parts.items():
        try:
            found[name] = _outcome(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{name}: not what `fleet run --json` writes ({type(error).__name__}: {error})")
    problems += _strangers({name: (outcome, parts[name]) for name, outcome in found.items()})
    if problems:
        raise ConfigError(problems)
    outcomes = sorted(found.values(), key=lambda outcome: outcome.shard)
    first = outcomes[0]
    before = [outcome.before_end for outcome in outcomes if outcome.before_end is not None]
    missing = sorted(set(range(first.shards)) - {outcome.shard for outcome in outcomes})
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
        shards=first.shards,
        gaps=tuple(f"shard {shard} of {first.shards} is missing" for shard in missing),
        remarks=_remarks(outcomes),
        planned_as=_planned_as([data["configuration"] for data in parts.values()]),
        machines=[
            data.get("machine", {}) for data in sorted(parts.values(), key=lambda data: data["run"]["shard"])
        ],
    )


def _planned_as(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """They are of one plan, but may have gone to different central systems."""
    urls = dict.fromkeys(url for part in parts for url in part.get("central_systems", ()))
    return {**parts[0], "central_systems": list(urls)}


def _strangers(parts: Mapping[str, tuple[Outcome, Mapping[str, Any]]]) -> Iterator[str]:
    """What keeps them from being shards of one fleet."""
    seen: dict[int, str] = {}
    first: tuple[str, Outcome, Mapping[str, Any]] | None = None
    for name, (outcome, data) in parts.items():
        if first is None:
            first = name, outcome, data
        other, like, with_data = first
        differ = [
            f"{what} ({_short(theirs)}, not {_short(ours)})"
            for what, theirs, ours in (
                ("number of shards", outcome.shards, like.shards),
                ("seed", outcome.plan.seed, like.plan.seed),
                ("clock", outcome.clock, like.clock),
                ("--for", outcome.for_s, like.for_s),
                *(
                    (what, data["configuration"].get(key), with_data["configuration"].get(key))
                    for key, what in _PLAN.items()
                ),
            )
            if theirs != ours
        ]
        if differ:
            yield f"{name}: of another fleet than {other}: it has another {', another '.join(differ)}"
        elif outcome.shard in seen:
            whole = "all of it" if outcome.shards == 1 else f"shard {outcome.shard} of {outcome.shards}"
            yield f"{name}: {whole} is in {seen[outcome.shard]} already; name each shard once"
        seen.setdefault(outcome.shard, name)


_PLAN = {"groups": "plan", "ramp_per_s": "ramp", "events": "list of events"}
"""What all shards of a fleet have alike, and what it is called; each may have an address of its own."""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."


def _remarks(outcomes: list[Outcome]) -> tuple[str, ...]:
    """Shards that did not run at the same time may be those of different days."""
    first = min(outcomes, key=lambda outcome: outcome.began_at)
    over_at = first.began_at + first.snapshot.at_s
    return tuple(
        f"shard {one.shard} began {spoken_time(one.began_at - over_at)} after shard {first.shard} was over: "
        "perhaps of another run"
        for one in outcomes
        if one.began_at > over_at
    )


def _outcome(data: Mapping[str, Any]) -> Outcome:
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r}")
    run = data["run"]
    if "parts" in run:
        raise ValueError("it is merged already: name the files of its shards")
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
        shard=run["shard"],
        shards=run["shards"],
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
