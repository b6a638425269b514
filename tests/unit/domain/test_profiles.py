"""What replaces what, what is cleared and what survives: OCPP 1.6 §3.13.2, §5.4, §5.16; errata 3.26, 3.37."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chargepoint.domain.limits import Period, Profile, Purpose, Schedule
from chargepoint.domain.ports import Document
from chargepoint.domain.profiles import ProfileBook, ZeroAfterN

NOW = 1_774_750_000.0


class Paper:
    """A store that keeps documents as JSON text, so that whatever is no JSON value shows."""

    durable = True

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def get(self, kind: str, key: str) -> Document | None:
        text = self.texts.get((kind, key))
        return None if text is None else dict(json.loads(text))

    def put(self, kind: str, key: str, document: Document) -> None:
        text = json.dumps(document)
        assert json.loads(text) == document
        self.texts[kind, key] = text

    def delete(self, kind: str, key: str) -> None:
        self.texts.pop((kind, key), None)

    def items(self, kind: str) -> Iterator[tuple[str, Document]]:
        for its_kind, key in sorted(self.texts):
            if its_kind == kind:
                yield key, json.loads(self.texts[kind, key])

    def commit(self) -> None:
        raise AssertionError("the book does not commit")

    rollback = close = commit


def made(id: int, purpose: Purpose = "TxDefaultProfile", connector_id: int = 1, stack_level: int = 0,
         **given: Any) -> Profile:  # fmt: skip
    schedule = Schedule("A", (Period(0, 10.0), Period(60, 8.5, 1)), given.pop("duration_s", None),
                        given.pop("start_at", NOW), given.pop("minimum", None))  # fmt: skip
    kind = given.pop("kind", "Absolute")
    return Profile(id, connector_id, stack_level, purpose, kind, schedule, NOW, **given)


def book_of(*profiles: Profile, zero_after_n: ZeroAfterN = "keep") -> ProfileBook:
    book = ProfileBook(Paper(), zero_after_n)
    for profile in profiles:
        book.install(profile)
    return book


def ids(book: ProfileBook) -> list[int]:
    return sorted(profile.id for profile in book)


@pytest.mark.parametrize(
    ("installed", "new", "left"),
    [
        (made(1), made(1, "ChargePointMaxProfile", 0, 5), [1]),
        (made(1), made(1, connector_id=2), [1]),
        (made(1), made(2), [2]),
        (made(1), made(2, valid_from_at=NOW + 3600), [2]),
        (made(1), made(2, stack_level=1), [1, 2]),
        (made(1), made(2, connector_id=2), [1, 2]),
        (made(1), made(2, "TxProfile", transaction_key="tx-1"), [1, 2]),
        (made(1, connector_id=0), made(2), [1, 2]),
        (made(1), made(2, connector_id=0), [1, 2]),
        (made(1, connector_id=0), made(2, "ChargePointMaxProfile", 0), [1, 2]),
        (made(1, "ChargePointMaxProfile", 0), made(2, "ChargePointMaxProfile", 0), [2]),
        (made(1, "TxProfile"), made(2, "TxProfile"), [2]),
    ],
    ids=["same-id-other-purpose", "same-id-other-connector", "same-address", "same-address-valid-later",
         "other-level", "other-connector", "other-purpose", "connector-after-0", "0-after-connector",
         "purposes-at-0", "maximum", "tx-profile"],
)  # fmt: skip
def test_replacement(installed: Profile, new: Profile, left: list[int]) -> None:
    book = book_of(installed)
    assert book.count_after(new) == len(left)
    book.install(new)
    assert ids(book) == left
    assert new in book.all


def test_one_new_profile_may_replace_two() -> None:
    book = book_of(made(1), made(2, stack_level=1))
    assert book.count_after(made(2)) == 1
    book.install(made(2))
    assert book.all == (made(2),)


@pytest.mark.parametrize(
    ("new", "left"),
    [
        (made(9, connector_id=0), [3, 4, 9]),
        (made(9, connector_id=0, stack_level=2), [1, 2, 3, 4, 9]),
        (made(9, "ChargePointMaxProfile", 0), [1, 2, 3, 4, 9]),
    ],
    ids=["same-level", "other-level", "other-purpose"],
)
def test_default_for_all_may_be_told_to_overwrite(new: Profile, left: list[int]) -> None:
    """Setting tx_default_zero_after_n: what was set for single connectors goes, on the same level only."""
    book = book_of(
        made(1),
        made(2, connector_id=2),
        made(3, stack_level=1),
        made(4, "TxProfile"),
        zero_after_n="overwrite",
    )
    book.install(new)
    assert ids(book) == left


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, []),
        ({"profile_id": 3}, [1, 2, 4, 5]),
        ({"profile_id": 3, "connector_id": 2, "purpose": "TxProfile", "stack_level": 9}, [1, 2, 4, 5]),
        ({"profile_id": 99}, [1, 2, 3, 4, 5]),
        ({"connector_id": 0}, [3, 4, 5]),
        ({"connector_id": 1}, [1, 2, 5]),
        ({"purpose": "TxDefaultProfile"}, [1, 4]),
        ({"stack_level": 1}, [1, 3]),
        ({"connector_id": 1, "purpose": "TxDefaultProfile"}, [1, 2, 4, 5]),
        ({"connector_id": 2, "stack_level": 1}, [1, 2, 3, 4]),
        ({"purpose": "TxProfile", "stack_level": 0}, [1, 2, 3, 4, 5]),
    ],
    ids=["all", "id", "id-makes-others-void", "unknown-id", "connector-0-is-not-all", "connector", "purpose",
         "level", "connector-and-purpose", "connector-and-level", "no-match"],
)  # fmt: skip
def test_clear(filters: dict[str, Any], left: list[int]) -> None:
    book = book_of(
        made(1, "ChargePointMaxProfile", 0),
        made(2, connector_id=0, stack_level=1),
        made(3),
        made(4, "TxProfile", stack_level=1, transaction_key="tx-1"),
        made(5, connector_id=2, stack_level=1),
    )
    assert book.clear(**filters) == 5 - len(left)
    assert ids(book) == left


def test_transactions_take_their_profiles_along() -> None:
    book = book_of(
        made(1),
        made(2, "TxProfile", transaction_key="tx-1"),
        made(3, "TxProfile", 2, transaction_key="tx-2"),
        made(4, "TxProfile", 3, transaction_key="tx-3"),
    )
    assert book.drop_transaction("tx-1") == 1
    assert book.keep_transactions(["tx-3"]) == 1
    assert ids(book) == [1, 4]


@pytest.mark.parametrize(
    ("profile", "at", "goes"),
    [
        (made(1, valid_to_at=NOW + 60), NOW + 60, True),
        (made(1, valid_to_at=NOW + 60), NOW + 59, False),
        (made(1, duration_s=60), NOW + 60, True),
        (made(1, duration_s=60), NOW + 59, False),
        (made(1), NOW + 1e9, False),
        (made(1, duration_s=60, start_at=None), NOW + 1e9, False),
        (made(1, duration_s=60, kind="Relative", start_at=None), NOW + 1e9, False),
        (made(1, duration_s=60, kind="Recurring", recurrency="Daily"), NOW + 1e9, False),
        (made(1, "ChargePointMaxProfile", 0, duration_s=60, kind="Relative", start_at=None), NOW + 60, True),
    ],
    ids=["valid-to", "still-valid", "duration", "within-duration", "open", "from-start-of-charging",
         "relative", "recurring", "relative-maximum"],
)  # fmt: skip
def test_purge(profile: Profile, at: float, goes: bool) -> None:
    book = book_of(profile)
    assert book.purge(at) == goes
    assert len(book) == (not goes)


def test_profiles_survive_a_restart() -> None:
    """Errata 3.37: every field comes back as it was, and what was removed does not."""
    store = Paper()
    book = ProfileBook(store)
    kept = made(
        7, "TxProfile", 2, 3, transaction_key="tx-9", recurrency="Weekly", kind="Recurring",
        valid_from_at=NOW, valid_to_at=NOW + 0.125, duration_s=99, minimum=6.5,
    )  # fmt: skip
    book.install(made(1))
    book.install(kept)
    book.install(made(12))
    assert ProfileBook(store).all == (made(12), kept)
    book.clear(profile_id=12)
    assert ProfileBook(store).all == (kept,)


def test_an_empty_book() -> None:
    book = book_of()
    assert (len(book), book.all, book.clear(), book.purge(NOW)) == (0, (), 0, 0)
