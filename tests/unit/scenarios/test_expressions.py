"""Expressions: what they can work out, and that there is no way from them to anything else."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.expressions import ExpressionError, evaluate, filled, found, problem, text_problem

SCOPE: dict[str, Any] = {
    "power_w": 7200.0,
    "tag": "TAG1",
    "n": 3,
    "request": {
        "meterValue": [
            {
                "sampledValue": [
                    {"value": "1.5", "unit": "kWh"},
                    {"value": "7", "measurand": "Power.Active.Import"},
                ]
            }
        ]
    },
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("power_w > 7000 and tag == 'TAG1'", True),
        ("(n + 1) * 2 - 7 // 2 % 2", 7),
        ("1 < n < 3", False),
        ("'A' in tag or n not in [1, 2]", True),
        ("request.meterValue[0].sampledValue[1].value", "7"),
        ("request.missing.deeper", None),
        ("nothing > 5", False),
        ("nothing == null and true", True),
        ("max(n, 10) if n == 3 else 0", 10),
        ("matches(tag, '^TAG[0-9]$')", True),
        ("path('meterValue[0].sampledValue[*].value', request)", ["1.5", "7"]),
        ("measured()", 1500.0),
        ("measured('Power.Active.Import')", 7.0),
        ("measured('Voltage')", None),
        ("seconds('1h30m') + seconds('1970-01-01T00:00:10Z')", 5410.0),
        ("moment(0)", "1970-01-01T00:00:00.000Z"),
        ("of_day('2026-03-02T01:00:00Z')", 3600.0),
    ],
)
def test_values(text: str, value: object) -> None:
    assert problem(text) is None
    assert evaluate(text, SCOPE) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[x for x in (1, 2)]",
        "lambda: 1",
        "tag.upper()",
        "open('/etc/passwd')",
        "f'{tag}'",
        "(y := 1)",
        "n ** 9",
        "print(1)",
        "max(default=1)",
        "a +",
        "1 << 9",
        "+" * 3000 + "1",
        "+" * 90 + "1",
        "not " * 80 + "n",
    ],
)
def test_nothing_else_is_an_expression(text: str) -> None:
    assert problem(text) is not None
    with pytest.raises(ExpressionError):
        evaluate(text, SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "tag.__class__",
        "().__class__",
        "request.__class__.__bases__[0]",
        "unknown",
        "'a' * 99",
        "'%099999d' % 1",
        "n / 0",
        "request['nope']",
        "tag < 3",
        "999999999999 * 999999999999",
        "sum(tag)",
        "matches(tag, '(')",
    ],
)
def test_what_has_no_value_says_so(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, SCOPE)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ExpressionError, match="did you mean power_w"):
        evaluate("powerw > 1", SCOPE)


def test_braces() -> None:
    assert filled("{n}", SCOPE) == 3
    assert filled("{tag}-{n + 1}", SCOPE) == "TAG1-4"
    assert filled({"{tag}": ["{power_w}", "{{x}}", "it is {matches('}', '}')}"]}, SCOPE) == {
        "TAG1": [7200.0, "{x}", "it is true"]
    }
    assert text_problem({"a": ["{n", 1]}) is not None
    assert text_problem({"a": ["{n}", "{{"]}) is None


def test_paths() -> None:
    assert found("a.b", {"a": {"b": 1}}) == 1
    with pytest.raises(ExpressionError):
        found("sum(a)", {"a": "x"})
