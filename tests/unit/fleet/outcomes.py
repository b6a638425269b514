"""Runs that are over, as small as a test needs them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from chargepoint.config import StationConfig
from chargepoint.fleet.measures.entry import Entry, Totals
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import ActionFigures, Simulator, Snapshot
from chargepoint.fleet.measures.timeline import Timeline
from chargepoint.fleet.plan.plan import Group, Plan
from chargepoint.fleet.verdict.outcome import Outcome

BEGAN = 1_772_409_600.0  # 2026-03-02T00:00:00Z


def figures(seconds: tuple[float, ...], **errors: int) -> ActionFigures:
    """An action that was answered so often and failed so often."""
    found = ActionFigures(
        sent=len(seconds) + sum(errors.values()),
        answered=len(seconds),
        failed=sum(errors.values()),
        errors=Counter(errors),
    )
    for value in seconds:
        found.waited.record(value)
        found.took.record(value / 2)
    return found


def snapshot(**changes: Any) -> Snapshot:
    """Two kinds of messages in a hundred seconds."""
    actions = {
        "StartTransaction": figures((0.1, 0.2, 3.0), InternalError=1),
        "MeterValues": figures((0.01,) * 95, Timeout=1),
    }
    values: dict[str, Any] = {
        "at_s": 100.0,
        "station_s": 100.0,
        "planned": 10,
        "sent": 100,
        "received": 7,
        "connects": 15,
        "reconnects": 5,
        "actions": actions,
        "connect_failures": Counter(refused=3),
        "lost_links": Counter({"closed by the station": 10, "broken": 4}),
        "simulators": [Simulator(lag_max_s=0.3)],
    }
    return Snapshot(**(values | changes))


def entry(station: str, key: str, number: int | None, **changes: Any) -> Entry:
    """A transaction that was ended and acknowledged, or never got a number."""
    given_up = None if number is not None else "StartTransaction was given up: InternalError"
    made = Entry(station, 1, key, "TAG", BEGAN, 0, "delivered" if number is not None else "stopped", number)
    told = {"stopped_at": BEGAN + 60, "delivered": number is not None, "accepted": number is not None}
    return replace(made, given_up=given_up, **(told | changes))


def ledger_of(*entries: Entry) -> Ledger:
    """What is known when all is over."""
    left = dict.fromkeys(Totals.__slots__, 0)
    return Ledger.from_json(
        {"finished": True, "left": left, "transactions": [one.to_json() for one in entries]}
    )


def outcome(**changes: Any) -> Outcome:
    """Ten stations, three transactions, nothing wrong with them."""
    ledger = ledger_of(*(entry("CP001", f"key{number}", number) for number in (1, 2, 3)))
    timeline = Timeline()
    timeline.add(Snapshot(planned=10))
    before = Snapshot(
        at_s=90.0, station_s=90.0, planned=10, started=10, connected=9, booted=8, charging=4, power_w=44_000.0
    )
    timeline.add(before)
    timeline.add(snapshot())
    config = StationConfig.model_validate(
        {"storage": None, "csms": {"security_profile": 1, "authorization_key": "the secret of all"}}
    )
    group = Group("homes", 10, "CP{n:03d}", config, urls=("ws://user:hidden@csms.example/ocpp",))
    values: dict[str, Any] = {
        "plan": Plan((group,), seed=7),
        "snapshot": snapshot(),
        "before_end": before,
        "ledger": ledger,
        "rows": list(timeline),
        "accepted": 10,
        "for_s": 90.0,
        "began_at": BEGAN,
    }
    return Outcome(**(values | changes))


def doubtful() -> Outcome:
    """The same on a machine that could not keep up."""
    return outcome(snapshot=snapshot(simulators=[Simulator(lag_max_s=0.9, bottleneck_s=12.0)]))
