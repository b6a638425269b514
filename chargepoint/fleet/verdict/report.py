"""The HTML report of a run: one file that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from chargepoint.fleet.measures.entry import Entry
from chargepoint.fleet.measures.snapshot import ActionFigures
from chargepoint.fleet.verdict.outcome import Outcome, called, machine
from chargepoint.fleet.verdict.plots import plots
from chargepoint.fleet.verdict.verdict import Verdict, spoken_time

MOST_WRONG = 200
"""Transactions that are shown one by one."""

_REQUEST_NUMBERS = (
    "sent",
    "with a result",
    "failed",
    "under way",
    "waited p50",
    "p95",
    "p99",
    "max",
    "took p50",
    "took p95",
)


def render(outcome: Outcome, verdict: Verdict) -> str:
    """The page. Needs matplotlib, see `plots.available`."""
    snapshot = outcome.snapshot
    wrong = [entry for entry in outcome.ledger if entry.missing or entry.doubled or entry.lost]
    asked = verdict.results or verdict.problems
    template = pages("chargepoint.fleet.verdict").get_template("report.html.j2")
    return template.render(
        title=f"A fleet of {outcome.planned} station{'' if outcome.planned == 1 else 's'}",
        when=_when(outcome),
        verdict=verdict,
        word="nothing asked" if not asked else "passed" if verdict.passed else "failed",
        doubt=outcome.doubt,
        released_holds=snapshot.released_holds,
        tiles=_tiles(outcome),
        plots=plots(
            outcome.rows,
            happened=snapshot.events,
            station_time=outcome.clock != "wall",
            lateness=not outcome.stepped,
        ),
        happened=[
            {"after, s": f"{one.at_s:.0f}", "station time, s": f"{one.station_s:.0f}", "what": one.what}
            for one in snapshot.events
        ],
        marked=any(row.bottleneck for row in outcome.rows),
        requests=[
            *(_request(action, figures) for action, figures in sorted(snapshot.actions.items())),
            *([_request("all", snapshot.overall)] if snapshot.actions else []),
        ],
        request_numbers=_REQUEST_NUMBERS,
        served=[{"action": action, "CALLs": count} for action, count in snapshot.served.most_common()],
        errors=_errors(outcome),
        complaints=[{"what": text, "how often": count} for text, count in outcome.complaints.most_common(20)],
        ledger=_ledger(outcome),
        wrong=[_wrong(entry) for entry in wrong[:MOST_WRONG]],
        more_wrong=max(len(wrong) - MOST_WRONG, 0),
        setup=outcome.setup(),
        groups=outcome.groups(),
        machine=machine(),
        simulators=[
            {
                "process": one.shard,
                "memory, MB": f"{one.rss_bytes / 1e6:.0f}",
                "latest, ms": f"{one.lag_max_s * 1000:.0f}",
                "could not keep up, s": f"{one.bottleneck_s:.1f}",
            }
            for one in snapshot.simulators
        ],
    )


def pages(*packages: str) -> Environment:
    """What fills in the templates of these packages and escapes all that is put in."""

    def text(name: str) -> str | None:
        for package in packages:
            found = resources.files(package).joinpath(name)
            if found.is_file():
                return found.read_text("utf-8")
        return None

    return Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(text))


def _when(outcome: Outcome) -> str:
    began = datetime.fromtimestamp(outcome.began_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"Begun {began}, {spoken_time(outcome.snapshot.at_s)} of real time"
    if outcome.clock != "wall":
        text += f", {outcome.snapshot.station_s / 3600:.2f} h of station time"
    return f"{text}{', ended early' if outcome.ended_early else ''}."


def _tiles(outcome: Outcome) -> dict[str, str]:
    before, snapshot = outcome.before_end or outcome.snapshot, outcome.snapshot
    overall = snapshot.overall
    return {
        # Some may have been taken away since.
        "accepted at least once": f"{outcome.accepted} of {max(outcome.planned, outcome.accepted)}",
        "connected at the end": f"{before.connected}",
        "messages sent": f"{snapshot.sent}",
        "without a result": f"{snapshot.failed}",
        "p95, all messages": spoken_time(overall.p95_s) if overall.waited.count else "none",
        "reconnects": f"{snapshot.reconnects}",
    }


def _request(action: str, figures: ActionFigures) -> dict[str, Any]:
    waited = figures.waited.percentiles((50, 95, 99))
    took = figures.took.percentiles((50, 95))
    times = [f"{seconds * 1000:.1f}" for seconds in (*waited, figures.max_s, *took)]
    counts = (figures.sent, figures.with_result, figures.failed, figures.under_way)
    return dict(zip(("action", *_REQUEST_NUMBERS), (action, *counts, *times), strict=True))


def _errors(outcome: Outcome) -> list[dict[str, Any]]:
    snapshot = outcome.snapshot
    found = [
        (action, kind, count)
        for action, figures in sorted(snapshot.actions.items())
        for kind, count in figures.errors.most_common()
    ]
    for what, counter in (
        ("connection that did not come about", snapshot.connect_failures),
        ("connection that ended", snapshot.lost_links),
        ("CALL of the central system that was refused", snapshot.refused),
    ):
        found += [(what, kind, count) for kind, count in counter.most_common()]
    return [{"what": what, "kind": kind, "how many": count} for what, kind, count in found]


def _ledger(outcome: Outcome) -> dict[str, int]:
    totals = outcome.ledger.totals()
    with_worker = {"lost with a worker": totals.lost_with_worker} if totals.lost_with_worker else {}
    return {
        "begun": totals.made,
        "start acknowledged": totals.confirmed,
        "ended": totals.stopped,
        "end acknowledged": totals.delivered,
        "missing": totals.missing,
        **with_worker,
        "doubled": totals.doubled,
    }


def _wrong(entry: Entry) -> dict[str, str]:
    started = datetime.fromtimestamp(entry.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return {"verdict": entry.verdict, "transaction": called(entry), "card": entry.id_tag, "begun": started}
