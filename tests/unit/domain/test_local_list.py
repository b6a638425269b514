"""The local authorization list in the store (OCPP 1.6 §3.5.2, §5.10, §5.15)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.domain.local_list import KIND, VERSION, StoredList, Undo
from chargepoint.domain.ports import Document, Store
from chargepoint.store import MemoryStore, SqliteStore

ACCEPTED, BLOCKED = IdTagInfo("Accepted"), IdTagInfo("Blocked")
MANY = 10_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path, "CP001")
    yield opened
    opened.close()


class CountingStore(MemoryStore):
    """Remembers which documents were written or removed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str]] = []

    def put(self, kind: str, key: str, document: Document) -> None:
        self.written.append((kind, key))
        super().put(kind, key, document)

    def delete(self, kind: str, key: str) -> None:
        self.written.append((kind, key))
        super().delete(kind, key)


def contents(store: Store) -> list[tuple[str, Document]]:
    return [*store.items(KIND), *store.items(VERSION)]


def fleet(count: int = MANY, info: IdTagInfo = ACCEPTED) -> dict[str, IdTagInfo]:
    return {f"Tag{n:05d}": info for n in range(count)}


def test_without_a_list_nobody_is_listed(store: Store) -> None:
    nobody = StoredList(store)
    assert (nobody.version, nobody.lookup("TAG")) == (0, None)


@pytest.mark.parametrize(
    "info",
    [
        ACCEPTED,
        IdTagInfo("ConcurrentTx", expiry_at=1_800_000_000.5),
        IdTagInfo("Blocked", parent="Family"),
        IdTagInfo("Expired", 0.0, ""),
    ],
    ids=["status", "expiry", "parent", "borders"],
)
def test_an_entry_is_found_in_any_case_as_it_was_sent(store: Store, info: IdTagInfo) -> None:
    StoredList(store).replace(1, {"Straße": info})
    store.commit()
    for spelling in ("Straße", "STRASSE", "strasse"):
        assert StoredList(store).lookup(spelling) == info


def test_another_list_leaves_nothing_of_the_one_before(store: Store) -> None:
    kept = StoredList(store)
    kept.replace(9, {"a": ACCEPTED, "b": ACCEPTED})
    kept.replace(2, {"B": BLOCKED, "c": ACCEPTED})
    assert [kept.lookup(tag) for tag in "abc"] == [None, BLOCKED, ACCEPTED]
    assert kept.version == 2


def test_a_change_adds_replaces_removes_and_leaves_the_rest(store: Store) -> None:
    kept = StoredList(store)
    kept.replace(1, {"stays": ACCEPTED, "changes": IdTagInfo("Accepted", 5.0, "P"), "goes": ACCEPTED})
    kept.update(2, {"CHANGES": BLOCKED, "GOES": None, "absent": None, "comes": ACCEPTED})
    found = [kept.lookup(tag) for tag in ("stays", "changes", "goes", "absent", "comes")]
    assert found == [ACCEPTED, BLOCKED, None, None, ACCEPTED]
    assert kept.version == 2


EMPTYING: dict[str, Callable[[StoredList], Undo]] = {
    "replaced by none": lambda kept: kept.replace(7, {}),
    "last one removed": lambda kept: kept.update(7, {"TAG": None}),
}


@pytest.mark.parametrize("empty", EMPTYING.values(), ids=EMPTYING)
def test_an_empty_list_has_version_0_and_takes_no_room(
    store: Store, empty: Callable[[StoredList], Undo]
) -> None:
    kept = StoredList(store)
    kept.replace(5, {"tag": ACCEPTED})
    empty(kept)
    assert kept.version == 0
    assert contents(store) == []


def test_a_version_of_an_empty_list_is_not_remembered(store: Store) -> None:
    kept = StoredList(store)
    kept.update(5, {})
    assert kept.version == 0
    kept.update(1, {"tag": ACCEPTED})
    assert kept.version == 1


@pytest.mark.parametrize("version", [1, 2**31, 2**70], ids=["one", "32 bits", "70 bits"])
def test_the_version_is_any_number(store: Store, version: int) -> None:
    StoredList(store).replace(version, {"tag": ACCEPTED})
    store.commit()
    assert StoredList(store).version == version


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    before = SqliteStore.open(tmp_path, "CP001")
    StoredList(before).replace(4, fleet(100, IdTagInfo("Accepted", 7.5, "P")))
    before.commit()
    StoredList(before).replace(5, {"lost": ACCEPTED})  # the power goes before it is kept
    before.close()
    after = SqliteStore.open(tmp_path, "CP001")
    kept = StoredList(after)
    assert (kept.version, kept.lookup("tag00099")) == (4, IdTagInfo("Accepted", 7.5, "P"))
    assert (kept.lookup("lost"), len(list(after.items(KIND)))) == (None, 100)
    after.close()


TAGS = st.sampled_from(["a", "A", "b", "c", "d"])
INFOS = st.sampled_from([ACCEPTED, BLOCKED, IdTagInfo("Accepted", 5.0)])


@given(
    st.dictionaries(TAGS, INFOS),
    st.dictionaries(TAGS, INFOS | st.none()),
    st.booleans(),
)
def test_a_change_can_be_undone(
    before: dict[str, IdTagInfo], after: dict[str, IdTagInfo | None], whole: bool
) -> None:
    store = MemoryStore()
    kept = StoredList(store)
    kept.replace(3, before)
    was = contents(store)
    known = {tag: info for tag, info in after.items() if info is not None}
    expected = len({tag.casefold() for tag in known}) if whole else kept.length_after(after)
    undo = kept.replace(8, known) if whole else kept.update(8, after)
    assert len(list(store.items(KIND))) == expected
    undo()
    assert contents(store) == was


def test_a_small_change_of_a_long_list_is_a_small_write() -> None:
    store = CountingStore()
    kept = StoredList(store)
    kept.replace(1, fleet())
    store.written.clear()
    kept.update(2, {"TAG00007": BLOCKED, "Tag00008": None, "Tag00009": ACCEPTED, "new": ACCEPTED})
    assert store.written == [(KIND, "tag00007"), (KIND, "tag00008"), (KIND, "new"), (VERSION, "")]
    store.written.clear()
    kept.replace(3, {**fleet(), "Tag00005": BLOCKED})
    assert sorted(store.written) == [
        (KIND, "new"),
        (KIND, "tag00005"),
        (KIND, "tag00007"),
        (KIND, "tag00008"),
        (VERSION, ""),
    ]


def test_entries_that_say_the_same_share_their_document() -> None:
    tags = {f"Tag{n:05d}": IdTagInfo("Accepted") for n in range(MANY)}
    tracemalloc.start()
    try:
        store = MemoryStore()
        StoredList(store).replace(1, tags)
        store.commit()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held / MANY < 200
