"""The HTML report: what happened in a run, on a page that needs nothing else and nobody writes in."""

from __future__ import annotations

import json
import re

import pytest

from scenarios.history import Event, History, Sample
from scenarios.oracle import CarEnergy, Measured, Span
from scenarios.pictures import MOST_LANES, MOST_PANELS, MOST_POINTS, thinned
from scenarios.report import LONGEST_FRAME, MOST_EVENTS, MOST_FRAMES, MOST_STEPS, render
from scenarios.verdict import Outcome, State, StepResult, Verdict
from tests.unit.page import Page

pytestmark = pytest.mark.search  # the pictures take a second

ATTACK = "<script>alert('x')</script>"
T0 = 1_767_225_600.0
FOUND = "waited 10s for status Faulted: status is Charging, not Faulted"


def history(cp: str = "CP001", tag: str = "TAG1", connectors: int = 1) -> History:
    """An hour in which a profile lowers the limit, and the link is cut."""
    seen = History(cp)

    def add(after_s: float, event: str, **fields: object) -> None:
        # Its own clock is an hour fast, which the report must not mind.
        seen.add(T0 + 3600 + after_s, T0 + after_s, event, fields)

    def frame(after_s: float, way: str, *message: object) -> None:
        add(after_s, "ocpp", dir=way, data=json.dumps(message).encode())

    add(0, "connection", online=True)
    for connector in range(1, connectors + 1):
        add(0, "status", connector=connector, status="Available", error_code="NoError")
        add(60, "status", connector=connector, status="Charging", error_code="NoError")
        add(60, "limit", connector=connector, offered_a=32.0, offered_w=22080.0, because="hardware")
        add(600, "limit", connector=connector, offered_a=10.0, offered_w=None, because="TxProfile 7")
        for minute in range(1, 60):
            current_a = 16.0 if minute < 10 else 10.0
            seen.samples.append(
                Sample(
                    T0 + minute * 60, connector, minute * 100.0, 7000.0, 30.0 + minute / 2, 10.0, current_a
                )
            )
    frame(70, "tx", 2, "id1", "StartTransaction", {"connectorId": 1, "idTag": tag})
    frame(71, "rx", 3, "id1", {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}})
    add(72, "ocpp", dir="rx", data=b'[2, "half')
    seen.events.append(Event(T0 + 1800, "disturbance", {"name": "link", "what": "hard_cut"}, at=T0 + 1800))
    add(1800, "connection", online=False)
    return seen


def step(text: str, state: State = State.PASSED, after_s: float = 0.0, **more: object) -> StepResult:
    ended_at = None if state is State.NOT_RUN else T0 + after_s
    result = StepResult("expect", text, state=state, began_at=ended_at, ended_at=ended_at)
    for name, value in more.items():
        setattr(result, name, value)
    return result


def outcome(name: str = "stories/fail", verdict: Verdict = Verdict.FAIL, **more: object) -> Outcome:
    made = Outcome(name, f"Title of {name}", verdict, began_at=T0, ended_at=T0 + 3600, real_s=0.25)
    made.stations = {"CP001": history()}
    for field, value in more.items():
        setattr(made, field, value)
    return made


def failed() -> Outcome:
    inner = step("expect status Faulted", State.FAILED, 3600, message=FOUND, line=12)
    return outcome(
        why=FOUND,
        steps=[
            step("plug_in connector 1"),
            step("Inside", State.FAILED, 3600, message=FOUND, line=11, children=[inner]),
            step("wait 1h", State.NOT_RUN),
        ],
    )


RUN = (
    failed(),
    outcome("stories/pass", Verdict.PASS, steps=[step("wait 1h")], stations={}),
    Outcome("stories/skip", "Not here", Verdict.SKIPPED, "needs the wall clock"),
    Outcome("stories/mistaken", "", Verdict.ERROR, "mistaken.yaml:2:10: is not a known key\nand another"),
)


@pytest.fixture(scope="module")
def plain() -> tuple[str, Page]:
    html = render(RUN)
    return html, Page(html)


def test_the_verdicts_come_first(plain: tuple[str, Page]) -> None:
    rows = plain[1].tables[0][1:]
    assert [row[0] for row in rows] == ["FAIL", "PASS", "SKIPPED", "ERROR"]
    assert [row[2:4] for row in rows] == [["1h", "0.25"], ["1h", "0.25"], ["", ""], ["", ""]]
    assert rows[0][4] == FOUND
    assert rows[2][4] == "needs the wall clock"
    assert rows[3][1] == "stories/mistaken"
    assert rows[3][4].endswith("\nand another")


def test_what_failed_is_told_once_where_it_failed(plain: tuple[str, Page]) -> None:
    steps = re.findall(r'<li class="([\w-]+)".*?</li>', plain[0], re.DOTALL)
    assert steps == ["passed", "failed", "failed", "not-run", "passed"]
    (told,) = re.findall(r'<dl class="found">(.*?)</dl>', plain[0], re.DOTALL)
    assert "<dt>expected</dt><dd>status Faulted</dd>" in told
    assert f"<dd>{FOUND}</dd>" in told
    assert "line 12" in plain[0]
    assert "line 11" not in plain[0]


def test_only_what_went_wrong_is_open(plain: tuple[str, Page]) -> None:
    stories = [attributes for tag, attributes in plain[1].tags if attributes.get("class") == "story"]
    assert ["open" in attributes for attributes in stories] == [True, False, False, True]
    links = [attributes["href"] for tag, attributes in plain[1].tags if tag == "a"]
    assert links == [f"#{attributes['id']}" for attributes in stories]


def test_limits_say_which_profile_set_them(plain: tuple[str, Page]) -> None:
    assert plain[1].table("", "after", "connector") == [
        ["1", "0:01:00.000", "1", "32", "22080", "hardware"],
        ["2", "0:10:00.000", "1", "10", "", "TxProfile 7"],
    ]
    assert plain[1].table("", "after", "station") == [["a", "0:30:00.000", "CP001", "link: hard_cut"]]


def test_the_picture_shows_it_all(plain: tuple[str, Page]) -> None:
    (svg,) = re.findall(r"<svg.*?</svg>", plain[0], re.DOTALL)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    expected = {"link", "connector 1", "online", "offline", "Charging", "offered", "drawn", "kWh", "%"}
    assert expected | {"state of charge", "1", "2", "a", "failed", "station time, min"} <= set(words)
    used = set(re.findall(r"var\(--([\w-]+)\)", svg))
    assert {"band-charging", "band-available", "band-online", "band-offline", "odd", "bad"} <= used
    defined = set(re.findall(r"--([\w-]+):", plain[0]))
    assert used <= defined
    assert not re.search(r"#0[0-9a-f]{5}\b", svg)  # a colour the page does not know


def test_frames_are_there_in_order_and_readable(plain: tuple[str, Page]) -> None:
    found = re.findall(r'<details class="frame (\w+)">.*?<pre>(.*?)</pre>', plain[0], re.DOTALL)
    assert [way for way, _ in found] == ["up", "down", "down"]
    assert "&#34;transactionId&#34;: 4711" in found[1][1]
    assert found[2][1] == "[2, &#34;half"
    frames = plain[0][plain[0].index("Frames (3)") :]
    assert frames.index("0:01:10.000") < frames.index("0:01:11.000") < frames.index("no OCPP message")
    assert frames.count("<b>StartTransaction</b>") == 2  # an answer is called as what it answers


def test_it_needs_nothing_else(plain: tuple[str, Page]) -> None:
    html, page = plain
    assert not re.search(r"https?://", html)
    assert not re.search(r"@import|url\((?!#)", html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    names = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_a_site_shows_its_load_its_limit_and_its_cars() -> None:
    site = Measured("A", (32.0, 32.0), {"over_seconds": 600.0})
    for n, building in enumerate((10.0, 20.0, 10.0)):
        begins, ends = T0 + n * 1200, T0 + (n + 1) * 1200
        draws = {f"CP{one}": (4.0, 4.0) for one in range(5)}
        site.spans.append(Span(begins, ends, 32.0, building, draws))
    site.over.append((T0 + 1200, T0 + 1800))
    site.cars.append(CarEnergy("CP1", 2, "compact", T0, T0 + 1800, 5000.0, 4321.0))
    html = render([outcome(site=site, numbers={"site.over_seconds": 600.0})])
    page = Page(html)
    (drawn,) = re.findall(r'<svg role="img" aria-label="The site over time".*?</svg>', html, re.DOTALL)
    words = set(re.findall(r"<text[^>]*>([^<]*)</text>", drawn))
    assert {"limit", "building", "building and stations", "CP0", "CP3"} <= words
    assert "CP4" not in words  # more stations than colours
    assert "var(--band-faulted)" in drawn
    assert page.table("station", "connector") == [
        ["CP1", "2", "compact", "0:00:00.000", "0:30:00.000", "5.00", "4.32"]
    ]
    assert "<dt>site.over_seconds</dt><dd>600</dd>" in html


def test_nobody_writes_in_it() -> None:
    attacked = failed()
    attacked.name = attacked.title = attacked.why = attacked.description = attacked.csms = ATTACK
    attacked.tags = (ATTACK,)
    attacked.numbers = {ATTACK: 1.0}
    for one in attacked.every_step():
        one.text = one.message = one.note = one.at = ATTACK
    seen = history(ATTACK, ATTACK)
    for limit in seen.limits:
        limit.because = ATTACK
    seen.statuses[-1].status = ATTACK
    seen.events[-2].fields = {"name": ATTACK, "what": ATTACK}
    seen.add(T0, T0, "ocpp", {"dir": "rx", "data": ATTACK.encode()})
    attacked.stations = {ATTACK: seen}
    html = render([attacked])
    assert "<script" not in html
    page = Page(html)
    assert page.text.count(ATTACK) > 15
    assert page.table("", "after", "connector")[0][-1] == ATTACK


def test_a_long_story_is_cut_and_says_so() -> None:
    seen = history(connectors=MOST_LANES + 1)
    frame = b'[2, "id", "DataTransfer", {"vendorId": "%s"}]' % (b"x" * (LONGEST_FRAME + 1000))
    for n in range(MOST_FRAMES):
        seen.add(T0 + 100 + n, T0 + 100 + n, "ocpp", {"dir": "rx", "data": b"[]" if n else frame})
    for n in range(MOST_EVENTS):
        seen.add(T0 + 100 + n, T0 + 100 + n, "heard", {"n": n})
    events = len(seen.events)
    long = outcome(steps=[step(f"step {n}") for n in range(MOST_STEPS + 5)], stations={"CP001": seen})
    html = render([long])
    assert html.count('<details class="frame') == MOST_FRAMES
    assert f"3 frames are left out here, of {MOST_FRAMES + 3}." in html
    assert f"5 steps are left out here, of {MOST_STEPS + 5}." in html
    assert f"{events - MOST_EVENTS} more are left out here." in html
    assert re.search(r"\.\.\. and 1\d{3} more characters", html)
    lanes = MOST_LANES + 2  # the link is one, too
    assert f"{lanes - MOST_LANES + MOST_LANES + 1 - MOST_PANELS} more connectors are not drawn." in html
    assert all(f">step {n}<" in html.replace("\n", "") for n in (0, MOST_STEPS + 4))


def test_points_are_thinned_evenly() -> None:
    many = thinned(range(10_000))
    assert len(many) == MOST_POINTS
    assert (many[0], many[-1]) == (0, 9_999)
    assert thinned(range(5)) == [0, 1, 2, 3, 4]


def test_what_never_ran_has_no_times() -> None:
    page = Page(render([Outcome("later", "Later", Verdict.NOT_RUN)]))
    assert page.tables == [
        [["verdict", "scenario", "station time", "real, s", "why"], ["NOT RUN", "Laterlater", "", "", ""]]
    ]


def test_a_station_that_was_never_on_has_no_picture() -> None:
    seen = History("CP001")
    seen.add(T0, T0, "disturbance", {"name": "slow", "what": "the link is slow"})
    html = render([outcome(stations={"CP001": seen})])
    assert "<svg" not in html
