"""Identities of a fleet: what a pattern makes, and that no two stations share one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.fleet.plan.identities import Numbering, pattern_problem
from chargepoint.fleet.plan.passwords import password


@pytest.mark.parametrize(
    ("pattern", "first", "text"),
    [
        ("CP{n:05d}", 7, "CP00007"),
        ("CP{n}", 7, "CP7"),
        ("{n:04X}/a", 255, "00FF/a"),
        ("DE*ABC*E{n:6d}", 1234567, "DE*ABC*E1234567"),
        ("ONE", 3, "ONE"),
    ],
)
def test_a_pattern_makes_identities(pattern: str, first: int, text: str) -> None:
    assert pattern_problem(pattern, 1, first, 255) is None
    assert Numbering(pattern, 1, first)[0] == text


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("CP", "has no number, so all 20 would be 'CP'"),
        ("", "has no number"),
        ("CP{n}{n}", "is not a pattern"),
        ("CP{number}", "is not a pattern"),
        ("CP{n.__class__}", "is not a pattern"),
        ("CP{n!r}", "is not a pattern"),
        ("CP{n:100000d}", "is not a pattern"),
        ("CP{n:.2f}", "is not a pattern"),
        ("CP{}", "is not a pattern"),
        ("CP{n", "is not a pattern"),
        ("CP {n} ", "has blanks around it"),
        ("CP\t{n}", "characters that cannot be printed"),
        ("C" * 254 + "{n}", "makes 256 characters of number 20"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, problem: str) -> None:
    assert problem in (pattern_problem(pattern, 20, 1, 255) or "")


PATTERNS = st.sampled_from(["A{n}", "A{n:02d}", "A1{n}", "{n}", "A{n:x}", "A{n}1", "A{n:03d}", "A10", "B{n}"])
NUMBERINGS = st.builds(
    lambda pattern, count, first: Numbering(pattern, count if "{" in pattern else 1, first),
    PATTERNS,
    st.integers(1, 130),
    st.integers(0, 130),
)


@given(NUMBERINGS, NUMBERINGS)
def test_the_first_collision_is_found_where_the_sets_meet(one: Numbering, other: Numbering) -> None:
    made = set(one)
    assert len(made) == one.count
    assert one.first_collision(other) == next((text for text in other if text in made), None)


def test_a_million_stations_collide_quickly_with_none() -> None:
    numberings = [Numbering(f"G{index}-{{n:06d}}", 1_000_000, 1) for index in range(50)]
    pairs = itertools.combinations(numberings, 2)
    assert all(one.first_collision(other) is None for one, other in pairs)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("secret", "secret"),
        ("{identity}!", "CP7!"),
        ("k{n:04d}", "k0007"),
        ("{n}-{identity}", "7-CP7"),
        ("a{b}{{n}", "a{b}{7"),
        ("{identity.x}", "{identity.x}"),
    ],
)
def test_a_password_is_made_of_identity_and_number(pattern: str, text: str) -> None:
    assert password(pattern, "CP7", 7) == text
