"""The page about the certification cases says what the tests are, and every case has one."""

from __future__ import annotations

from tests.conformance.cases import CASES
from tests.conformance.page import PAGE, checks, page

IDS = [id for group in CASES.values() for id in group]


def test_every_case_has_a_test() -> None:
    assert len(set(IDS)) == len(IDS)
    assert {check.id for check in checks()} == set(IDS)


def test_every_test_says_what_it_checks() -> None:
    assert [check.name for check in checks() if not check.text.endswith(".") or "|" in check.text] == []


def test_the_page_is_that_of_these_tests() -> None:
    """`make conformance` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page({check.name: "passed" for check in checks()})
