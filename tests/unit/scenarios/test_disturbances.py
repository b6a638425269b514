"""What may be written about a disturbance, and what is said about what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from chargepoint.config.problems import explained
from chargepoint.config.source import parse
from scenarios.faults import Disturbance

KINDS = ("link", "frame", "clock", "tls", "hardware")

FINE = {
    "link: half_open\nfor: 5m": "half_open",
    "link: slow\nlatency: 300ms\njitter: 1.5s\nbandwidth_bps: 9600": "slow",
    "frame: drop\nchance: 0.05\naction: StopTransaction\ndirection: to_csms\ntimes: 2": "drop",
    "frame: late\ndelay: 1m": "late",
    "clock: skew\nby: -2h": "skew",
    "clock: drift\nppm: -50": "drift",
    "tls: expired\nfor: 10m\nname: bad day": "bad day",
    "hardware: meter_back\nconnector: 2\nby_wh: 10\nabout_every: 6h": "meter_back",
    "calm: all": "calm",
}
"""What is written, by which name it is calmed."""

WRONG = {
    "": ["must have exactly one of link, frame, clock, tls, hardware, calm"],
    "link: half_open\nclock: jump\nby: 1s": ["must have exactly one of"],
    "link: half-open": ["link", "clean_cut"],
    "link: hard_cut\nlatency: 1s": ["latency: has no meaning for hard_cut; leave it out"],
    "link: slow": ["add latency, jitter or bandwidth_bps"],
    "link: hard_cut\nfor: soon": ['for: is not a length of time (is "soon"); write a time such as'],
    "link: hard_cut\nfor: -5m": ["must be at least 0"],
    "link: hard_cut\nabout_every: 1h": ["is missing beside about_every"],
    "link: hard_cut\nlates: 5m": ["lates: is not a known key"],
    "frame: drop\nchance: 2": ["chance: must be at most 1"],
    "frame: withhold\nof: calls": ["of: must be answers for withhold"],
    "frame: drop\nby: 1s\ndelay: 2s": ["by: has no meaning for drop", "delay: has no meaning for drop"],
    "clock: skew": ["by: is missing; write for example -2h"],
    "clock: drift": ["ppm: is missing"],
    "clock: jump\nby: 1h\nfor: 5m": ["for: has no meaning for jump"],
    "calm: all\nfor: 5m": ["for: has no meaning for calm"],
    "hardware: pilot\nconnector: 0": ["connector: must be at least 1"],
    "hardware: pilot\nby_a: 3": ["by_a: has no meaning for pilot"],
}


def _read(text: str) -> Disturbance:
    return Disturbance.model_validate(parse(text, "story.yaml").tree)


@pytest.mark.parametrize(("text", "called"), FINE.items())
def test_what_may_be_written(text: str, called: str) -> None:
    assert _read(text).called == called


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_what_is_said_about_mistakes(text: str, said: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        _read(text)
    document = parse(text, "story.yaml")
    problems = "\n".join(explained(Disturbance, caught.value, document))
    for words in said:
        assert words in problems


@pytest.mark.parametrize(
    ("text", "seconds"), [("200ms", 0.2), ("1h30m", 5400), ("12", 12), (7, 7), (0.5, 0.5)]
)
def test_lengths_of_time(text: Any, seconds: float) -> None:
    assert Disturbance.model_validate({"link": "hard_cut", "for": text}).for_ == seconds


def test_a_clock_may_be_slow() -> None:
    assert Disturbance.model_validate({"clock": "skew", "by": "-1h30m"}).by == -5400


def test_every_kind_and_key_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "faults.md").read_text()
    kinds = [
        kind for field in KINDS for kind in get_args(get_args(Disturbance.model_fields[field].annotation)[0])
    ]
    keys = [field.alias or name for name, field in Disturbance.model_fields.items()]
    assert len(kinds) > 30
    assert [word for word in kinds + keys if f"`{word}`" not in page] == []
