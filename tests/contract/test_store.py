"""Every `Store` keeps the promises of chargepoint.domain.ports, the one on disk over a power cut (§5.7)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargepoint.domain.ports import Store
from chargepoint.store import MemoryStore, SqliteStore

ROOT = Path(__file__).parents[2]
CAMPAIGN = os.environ.get("CAMPAIGN") == "1"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path, "CP001")
    yield opened
    opened.close()


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own, as the station is one."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_empty_store_knows_nothing(store: Store) -> None:
    assert store.get("config", "HeartbeatInterval") is None
    assert list(store.items("config")) == []
    store.delete("config", "HeartbeatInterval")
    store.commit()
    store.rollback()


def test_reads_see_writes_before_the_commit(store: Store) -> None:
    store.put("config", "HeartbeatInterval", {"value": "60"})
    assert store.get("config", "HeartbeatInterval") == {"value": "60"}
    store.delete("config", "HeartbeatInterval")
    assert store.get("config", "HeartbeatInterval") is None


def test_kinds_do_not_see_each_other(store: Store) -> None:
    store.put("list", "TAG", {"status": "Accepted"})
    store.put("cache", "TAG", {"status": "Blocked"})
    assert store.get("list", "TAG") == {"status": "Accepted"}
    store.delete("list", "TAG")
    assert list(store.items("list")) == []
    assert list(store.items("cache")) == [("TAG", {"status": "Blocked"})]


def test_items_come_by_ascending_key_as_text(store: Store) -> None:
    for key in ("10", "9", "b", "B", "é", "010", ""):
        store.put("queue", key, {"key": key})
    assert [key for key, _ in store.items("queue")] == ["", "010", "10", "9", "B", "b", "é"]


def test_items_may_be_deleted_while_they_are_read(store: Store) -> None:
    for number in range(5):
        store.put("queue", str(number), {"n": number})
    for key, _ in store.items("queue"):
        store.delete("queue", key)
    assert list(store.items("queue")) == []


def test_rollback_restores_what_the_last_commit_left(store: Store) -> None:
    store.put("queue", "1", {"n": 1})
    store.put("queue", "2", {"n": 2})
    store.commit()
    store.put("queue", "1", {"n": 10})
    store.put("queue", "1", {"n": 11})
    store.delete("queue", "2")
    store.put("queue", "3", {"n": 3})
    store.put("other", "1", {})
    store.rollback()
    assert list(store.items("queue")) == [("1", {"n": 1}), ("2", {"n": 2})]
    assert list(store.items("other")) == []
    store.rollback()
    assert store.get("queue", "1") == {"n": 1}


def test_rollback_of_a_delete_and_a_new_put_brings_the_old_document_back(store: Store) -> None:
    store.put("queue", "1", {"n": 1})
    store.commit()
    store.delete("queue", "1")
    store.put("queue", "1", {"n": 2})
    store.rollback()
    assert store.get("queue", "1") == {"n": 1}


def test_a_store_says_whether_it_outlives_the_process(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, "CP001")
    assert (MemoryStore().durable, store.durable) == (False, True)
    store.close()


def test_close_is_idempotent(store: Store) -> None:
    store.close()
    store.close()


DOCUMENTS = {
    "empty": {},
    "all-json-types": {"a": [1, -2.5, True, False, None, "x", {"b": []}]},
    "unicode": {"Straße": "充电 🔌 \x00 \u2028"},
    "integer-over-64-bits": {"csms_id": 2**80},
    "lone-surrogate": {"id_tag": "\ud800"},
    "one-megabyte": {"list": ["0123456789abcdef"] * 60_000},
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_any_json_value_comes_back_after_a_restart(tmp_path: Path, document: dict[str, Any]) -> None:
    with_restart(tmp_path, lambda store: store.put("thing", "1", document))
    store = SqliteStore.open(tmp_path, "CP001")
    assert store.get("thing", "1") == document
    store.close()


@pytest.mark.parametrize("key", ["", "a b/c", "ключ", "\ud83d", "nul\x00nul", "'; DROP TABLE document; --"])
def test_any_text_is_a_key(tmp_path: Path, key: str) -> None:
    with_restart(tmp_path, lambda store: store.put("thing", key, {"n": 1}))
    with_restart(tmp_path, lambda store: store.put("thing", key, {"n": 2}))
    store = SqliteStore.open(tmp_path, "CP001")
    assert list(store.items("thing")) == [(key, {"n": 2})]
    store.delete("thing", key)
    store.commit()
    store.close()
    with_restart(tmp_path, lambda store: check(list(store.items("thing")) == []))


def test_only_committed_writes_survive_a_restart(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, "CP001")
    store.put("queue", "1", {"n": 1})
    store.put("queue", "2", {"n": 2})
    store.commit()
    store.delete("queue", "1")
    store.commit()
    store.put("queue", "3", {"n": 3})
    store.close()
    store = SqliteStore.open(tmp_path, "CP001")
    assert list(store.items("queue")) == [("2", {"n": 2})]
    assert store.recovered is None
    store.close()


def test_rolled_back_writes_do_not_reach_the_disk_with_the_next_commit(tmp_path: Path) -> None:
    def write(store: Store) -> None:
        store.put("queue", "1", {"n": 1})
        store.rollback()
        store.put("queue", "2", {"n": 2})

    with_restart(tmp_path, write)
    with_restart(tmp_path, lambda store: check(list(store.items("queue")) == [("2", {"n": 2})]))


def test_a_commit_of_nothing_touches_no_file(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, "CP001")
    store.put("queue", "1", {"n": 1})
    store.commit()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    store.commit()
    store.put("queue", "1", {"n": 2})
    store.rollback()
    store.commit()
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    store.close()


def test_ten_thousand_queued_records_come_back_in_order(tmp_path: Path) -> None:
    def write(store: Store) -> None:
        for number in range(10_000):
            store.put("queue", f"{number:012}", {"n": number, "payload": "x" * 100})

    with_restart(tmp_path, write)
    store = SqliteStore.open(tmp_path, "CP001")
    assert [document["n"] for _, document in store.items("queue")] == list(range(10_000))
    store.close()


WRITE_FOREVER = """
    import sys
    from pathlib import Path
    from chargepoint.store import SqliteStore
    store = SqliteStore.open(Path(sys.argv[1]), "CP001")
    n = (store.get("batch", "0") or {"n": 0})["n"]
    while True:
        n += 1
        for key in range(20):
            store.put("batch", str(key), {"n": n, "padding": "x" * (n * 37 % 3000)})
        store.put("log", f"{n:012}", {"n": n})
        store.delete("log", f"{n - 50:012}")
        store.commit()
        print(n, flush=True)
"""


@pytest.mark.search
def test_a_killed_process_leaves_each_batch_whole_or_absent(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(20 if CAMPAIGN else 8):
        process = child(WRITE_FOREVER, str(tmp_path))
        assert process.stdout is not None
        for _ in range(1 + 7 * kill % 20):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        store = SqliteStore.open(tmp_path, "CP001")
        numbers = {document["n"] for _, document in store.items("batch")}
        assert len(numbers) == 1, f"half a batch after kill {kill}: {numbers}"
        [number] = numbers
        # The last commit may have been durable without its number being printed.
        assert number in (acknowledged, acknowledged + 1)
        assert [d["n"] for _, d in store.items("log")] == list(range(max(1, number - 49), number + 1))
        assert store.recovered is None
        store.close()


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    from chargepoint.errors import StoreError
    from chargepoint.store import SqliteStore
    store = SqliteStore.open(Path(sys.argv[1]), "CP001")
    store.put("queue", "1", {"n": 1})
    store.commit()
    store.put("queue", "2", {"padding": "x" * 300_000})
    store.delete("queue", "1")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    for attempt in range(2):
        try:
            store.commit()
        except StoreError as error:
            print(error, flush=True)
    assert store.get("queue", "1") is None and store.get("queue", "2") is not None
    if sys.argv[2] == "rollback":
        store.rollback()
        store.put("queue", "3", {"n": 3})
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    store.commit()
"""


@pytest.mark.parametrize(("afterwards", "kept"), [("space returns", ["2"]), ("rollback", ["1", "3"])])
def test_a_full_disk_loses_nothing(tmp_path: Path, afterwards: str, kept: list[str]) -> None:
    process = child(FULL_DISK, str(tmp_path), afterwards)
    complaints = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert len(complaints) == 2
    assert "CP001.sqlite3" in complaints[0]
    assert "space" in complaints[0]
    with_restart(tmp_path, lambda store: check([key for key, _ in store.items("queue")] == kept))


def with_restart(directory: Path, write: Callable[[Store], None]) -> None:
    store = SqliteStore.open(directory, "CP001")
    write(store)
    store.commit()
    store.close()


def check(true: bool) -> None:
    assert true
