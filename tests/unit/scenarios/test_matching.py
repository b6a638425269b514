"""Partial matches: what is written must be there and match, others may be there too."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.expressions import ExpressionError
from scenarios.matching import described, mismatch

CAME = {
    "connectorId": 1,
    "idTag": "TAG1",
    "meterStart": 1200,
    "timestamp": "2026-03-02T08:00:00.000Z",
    "operative": True,
    "idTagInfo": {"status": "Accepted"},
    "list": [{"k": 1}, {"k": 2}, {"k": 3}],
}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"connectorId": 1, "idTag": "TAG1"},
        {"connectorId": "1"},
        {"connectorId": 1.0},
        {"operative": True},
        {"reservationId": None},
        {"idTag": "*"},
        {"idTag": "/^TAG/"},
        {"meterStart": "> 1199"},
        {"meterStart": "<= 1200"},
        {"meterStart": "~ 1190 +- 10"},
        {"idTag": "!= TAG2"},
        {"timestamp": "> 2026-03-02T07:59:59Z"},
        {"idTag": {"any_of": ["X", "TAG1"]}},
        {"idTagInfo": {"status": "Accepted"}},
        {"list": [{"k": 1}, {"k": 3}]},
    ],
)
def test_matches(wanted: dict[str, Any]) -> None:
    assert mismatch(wanted, CAME) is None


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"idTag": "TAG2"}, "idTag is TAG1, not TAG2"),
        ({"reservationId": "*"}, "reservationId is missing, not there"),
        ({"idTag": None}, "idTag is TAG1, not missing"),
        ({"operative": 1}, "operative is true, not 1"),
        ({"meterStart": "> 1200"}, "meterStart is 1200, not > 1200"),
        ({"idTag": "> 5"}, "idTag is TAG1, not > 5"),
        ({"meterStart": "~ 1100 +- 10"}, "meterStart is 1200, not ~ 1100 +- 10"),
        ({"idTagInfo": {"status": "Blocked"}}, "idTagInfo.status is Accepted, not Blocked"),
        ({"idTag": {"any_of": ["A", "B"]}}, "idTag is TAG1, not any of A, B"),
        ({"list": [{"k": 3}, {"k": 1}]}, "list[1] (k 1) is not there"),
        ({"idTag": {"a": 1}}, "idTag is TAG1"),
        ({"connectorId": [1]}, "connectorId is 1, not a list"),
    ],
)
def test_says_what_is_different(wanted: dict[str, Any], why: str) -> None:
    assert mismatch(wanted, CAME) == why


def test_text_with_leading_zeros_is_no_number() -> None:
    assert mismatch("007", "7") is not None
    assert mismatch("007", "007") is None


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(ExpressionError, match="is no regular expression"):
        mismatch({"idTag": "/(/"}, CAME)


def test_in_words() -> None:
    assert described({"a": 1, "b": [None, "*", True]}) == "a 1, b [missing, there, true]"
