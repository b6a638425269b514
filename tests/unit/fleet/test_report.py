"""The HTML report: the numbers of the statistics, on a page that needs nothing else and nobody writes in."""

from __future__ import annotations

import re

import pytest

from chargepoint.fleet.measures.snapshot import Happened, Simulator, Snapshot
from chargepoint.fleet.measures.timeline import Timeline
from chargepoint.fleet.verdict.criterion import parse
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.plots import MOST_POINTS, plots
from chargepoint.fleet.verdict.report import MOST_WRONG, render
from chargepoint.fleet.verdict.verdict import judge
from tests.unit.fleet.outcomes import doubtful, entry, figures, ledger_of, outcome, snapshot
from tests.unit.page import Page

pytestmark = [pytest.mark.search, pytest.mark.xdist_group("fleet-report")]  # the plots take seconds

ATTACK = "<script>alert('x')</script>"


def page_of(of: Outcome, *criteria: str) -> tuple[str, Page]:
    html = render(of, judge(map(parse, criteria), of))
    return html, Page(html)


@pytest.fixture(scope="module")
def plain() -> tuple[str, Page]:
    """An ordinary run; the drawing of its plots takes a while."""
    return page_of(outcome(), "max(StartTransaction) > 2s", "errors > 50%")


def test_the_verdict_comes_first(plain: tuple[str, Page]) -> None:
    _, page = plain
    assert page.tables[0][1:] == [
        ["failed", "max(StartTransaction) > 2s", "3 s"],
        ["passed", "errors > 50%", "2 of 100 (2%)"],
    ]
    assert "Verdict: failed" in page.text


def test_its_numbers_are_those_of_the_statistics(plain: tuple[str, Page]) -> None:
    _, page = plain
    of = outcome()
    rows = {row[0]: row[1:] for row in page.table("action", "sent")}
    assert list(rows) == ["MeterValues", "StartTransaction", "all"]
    for action, told in (*of.snapshot.actions.items(), ("all", of.snapshot.overall)):
        times = (told.p50_s, told.p95_s, told.p99_s, told.max_s)
        sent, *parts = map(int, rows[action][:4])
        assert (sent, parts) == (told.sent, [told.with_result, told.failed, told.under_way])
        assert sent == sum(parts)
        assert rows[action][4:8] == [f"{seconds * 1000:.1f}" for seconds in times]
        assert rows[action][8] == f"{told.took.percentile(50) * 1000:.1f}"
    assert page.table("begun") == [["3", "3", "3", "3", "0", "0"]]
    errors = {tuple(row[:2]): int(row[2]) for row in page.table("what", "kind")}
    assert errors[("StartTransaction", "InternalError")] == 1
    assert errors[("MeterValues", "Timeout")] == 1
    assert errors[("connection that did not come about", "refused")] == 3
    assert page.table("group", "stations")[0][:3] == ["homes", "10", "CP{n:03d}"]
    assert "None is missing, none is doubled." in page.text


def test_its_plots_are_drawn_for_a_phone(plain: tuple[str, Page]) -> None:
    """At 400 px the page has 368 for them: what is drawn wider gets smaller letters, or is cut off."""
    html, _ = plain
    boxes = re.findall(r'<svg[^>]* viewBox="0 0 ([0-9.]+) [0-9.]+"', html)
    assert len(boxes) >= 7
    assert all(float(width) <= 368 for width in boxes)
    assert not re.search(r'<svg[^>]* width="', html)
    assert ".plots figure svg { min-width: 0; }" in html


def test_it_needs_nothing_else(plain: tuple[str, Page]) -> None:
    html, page = plain
    assert not re.search(r"https?://", html)
    assert not re.search(r"@import|url\((?!#)", html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#")


def test_the_plots_are_there_and_take_their_colours_from_the_page(plain: tuple[str, Page]) -> None:
    html, page = plain
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert labels == [
        f"{title} over time"
        for title in (
            "Stations",
            "Power",
            "Messages",
            "Round trips",
            "Round trips by action",
            "Errors",
            "Lateness of the simulator",
            "CPU of the simulator",
        )
    ]
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert not re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r"url\(#\w+\)", "", drawings))
    assert {f"var(--series-{n})" for n in (1, 2, 3, 4)} <= set(re.findall(r"var\([\w-]+\)", drawings))
    assert "var(--mark)" not in drawings
    names = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_secrets_stay_out(plain: tuple[str, Page]) -> None:
    html, _ = plain
    assert "the secret of all" not in html
    assert "hidden@" not in html
    assert "ws://csms.example/ocpp" in html


def test_nobody_writes_in_it() -> None:
    wrong = ledger_of(entry(ATTACK, ATTACK, None), entry("CP002", "k", 1, id_tag=ATTACK, other_ids=[2]))
    of = outcome(ledger=wrong)
    of.complaints[ATTACK] = 3
    of.skipped[ATTACK] = 1
    of.snapshot.served[ATTACK] = 1
    of.snapshot.connect_failures[ATTACK] = 1
    html, page = page_of(of, "lost_transactions > 0")
    assert "<script" not in html
    assert page.text.count(ATTACK) >= 6, "shown as it is, and harmless"


def test_where_the_simulator_lagged_is_marked() -> None:
    timeline = Timeline()
    for second in range(10):
        late = Simulator(bottleneck="slow" if 3 <= second < 6 else None, lag_s=0.2)
        timeline.add(snapshot(at_s=float(second), simulators=[late]))
    of = doubtful()
    of.rows = list(timeline)
    of.snapshot.events.append(Happened(5.0, 5.0, "blackout 1m"))
    html, page = page_of(of, "max > 1h")
    assert html.count("fill: var(--mark)") == 8, "one stretch in each plot"
    assert "could not keep up for 12.0 s" in page.text
    assert "unreliable" in page.tables[0][1][2]
    assert ["5", "5", "blackout 1m"] in page.table("after, s")
    assert html.count("stroke-dasharray") == 8


def test_a_long_list_of_wrong_transactions_is_bounded() -> None:
    of = outcome(ledger=ledger_of(*(entry("CP001", str(n), None) for n in range(MOST_WRONG + 5))))
    of.rows = ()
    _, page = page_of(of)
    assert len(page.table("verdict", "transaction")) == MOST_WRONG
    assert "And 5 more; --csv writes all of them" in page.text
    assert "Nothing happened." in page.text


def test_a_run_in_which_nothing_happened() -> None:
    timeline = Timeline()
    for second in range(3):
        timeline.add(snapshot(at_s=float(second), actions={}))
    nothing = snapshot(actions={}, released_holds=3)
    of = outcome(snapshot=nothing, rows=list(timeline), ledger=ledger_of(), clock="stepped")
    _, page = page_of(of)
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert "Lateness of the simulator over time" not in labels, "a stepped clock has none"
    assert "CPU of the simulator over time" in labels
    assert page.table("begun") == [["0"] * 6]
    assert "nothing asked" in page.text
    assert "went on 3 times without an answer" in page.text


def test_each_of_the_busiest_actions_has_a_line_of_its_own() -> None:
    """Seven actions: five lines, in the colours of the page, and a word about the others."""
    timeline = Timeline()
    timeline.add(Snapshot(planned=10))
    actions = {f"Action{n}": figures((0.01 * n,) * (10 * n)) for n in range(1, 8)}
    timeline.add(snapshot(actions=actions))
    found = {plot.title: plot for plot in plots(list(timeline))}
    plot = found["Round trips by action"]
    assert [f"Action{n}" in plot.svg for n in range(1, 8)] == [False, False, True, True, True, True, True]
    assert {f"var(--series-{n})" for n in range(1, 6)} <= set(re.findall(r"var\([\w-]+\)", plot.svg))
    assert "of the 5 most frequent actions. Of the 2 others see the table below." in plot.about


def test_a_long_run_has_few_points_for_each_action() -> None:
    timeline = Timeline()
    total = figures(())
    for second in range(1, 500):
        total.waited.record(0.01)
        timeline.add(Snapshot(at_s=float(second), actions={"A": total.copy(), "B": total.copy()}))
    [plot] = [plot for plot in plots(list(timeline)) if plot.title == "Round trips by action"]
    assert 2 * 40 < plot.svg.count("<use") < 2 * MOST_POINTS + 40
    assert set(re.findall(r'href="#(\w+)"', plot.svg)) <= set(re.findall(r'id="(\w+)"', plot.svg))
