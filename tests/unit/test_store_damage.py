"""A damaged store never stops a station and never loses what is still readable (appendix B)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepoint.store import SqliteStore

COUNT = 400
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store of about 50 pages."""
    store = SqliteStore(tmp_path / "CP001.sqlite3")
    for number in range(COUNT):
        store.put("queue", f"{number:012}", document(number))
    store.commit()
    store.close()
    return store.path


def document(number: int) -> dict[str, object]:
    return {"n": number, "padding": f"{number} " * 100}


def overwrite(offset: int, content: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return damage


def truncate(size: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(size)

    return damage


def break_text(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE document SET value = '{\"n\": 1' WHERE key = ?", (f"{7:012}",))
        connection.execute("UPDATE document SET value = CAST(x'ff7b7d' AS TEXT) WHERE key = ?", (f"{8:012}",))
        connection.execute("UPDATE document SET value = 5 WHERE key = ?", (f"{9:012}",))
        connection.execute("UPDATE document SET value = '[]' WHERE key = ?", (f"{10:012}",))
    connection.close()


def drop_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE document")
    connection.close()


DAMAGES = [
    pytest.param(overwrite(20 * PAGE, b"\xa5" * PAGE), COUNT - 20, id="one-page-of-garbage"),
    pytest.param(overwrite(20 * PAGE, bytes(PAGE)), COUNT - 20, id="one-page-of-zeros"),
    pytest.param(truncate(30 * PAGE), COUNT // 4, id="cut-short"),
    pytest.param(truncate(30 * PAGE + 1234), COUNT // 4, id="cut-within-a-page"),
    pytest.param(break_text, COUNT - 4, id="four-rows-not-json"),
    pytest.param(overwrite(0, b"\xa5" * PAGE), 0, id="first-page-of-garbage"),
    pytest.param(overwrite(0, bytes(100 * PAGE)), 0, id="all-zeros"),
    pytest.param(lambda path: path.write_text("identity: CP001\n" * 100), 0, id="another-file"),
    pytest.param(drop_table, 0, id="table-gone"),
]


@pytest.mark.parametrize(("damage", "at_least"), DAMAGES)
def test_what_is_readable_is_carried_over(path: Path, damage: Callable[[Path], None], at_least: int) -> None:
    damage(path)
    damaged = path.read_bytes()
    store = SqliteStore(path)
    saved = dict(store.items("queue"))
    assert at_least <= len(saved) < COUNT
    assert all(saved[key] == document(int(key)) for key in saved)
    aside = next(path.parent.glob("CP001.sqlite3.damaged-*"))
    assert re.fullmatch(r"CP001\.sqlite3\.damaged-\d{8}T\d{6}Z", aside.name)
    assert aside.read_bytes() == damaged
    assert (
        store.recovered
        == f"{path} was damaged: {len(saved)} documents were saved, the old file is {aside.name}"
    )
    store.put("queue", "new", {})
    store.commit()
    store.close()
    store = SqliteStore(path)
    assert store.recovered is None
    assert dict(store.items("queue")) == saved | {"new": {}}
    store.close()


def test_what_only_the_log_holds_is_carried_over_too(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.put("transaction", "1", {"connector": 1})
    store.commit()
    # As after a power cut: file and log as they are while the store is open.
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in (path.name, path.name + "-wal"):
        (cut / name).write_bytes((tmp_path / name).read_bytes())
    store.close()
    overwrite(20 * PAGE, b"\xa5" * PAGE)(cut / path.name)
    store = SqliteStore(cut / path.name)
    assert store.recovered is not None
    assert store.get("transaction", "1") == {"connector": 1}
    store.close()


def test_a_log_without_damage_is_just_read(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.put("transaction", "1", {"connector": 1})
    store.commit()
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / path.name).write_bytes(path.read_bytes())
    log = path.with_name(path.name + "-wal").read_bytes()
    (cut / (path.name + "-wal")).write_bytes(log + b"\xa5" * 5000)
    store.close()
    store = SqliteStore(cut / path.name)
    assert store.recovered is None
    assert store.get("transaction", "1") == {"connector": 1}
    assert len(list(store.items("queue"))) == COUNT
    store.close()


def test_two_damages_in_one_second_keep_both_files(path: Path) -> None:
    contents = {b"one" * 1000, b"two" * 1000}
    for content in contents:
        path.write_bytes(content)
        SqliteStore(path).close()
    assert {file.read_bytes() for file in path.parent.glob("*.damaged-*")} == contents


def test_a_replacement_cut_off_before_its_last_step_is_completed(path: Path) -> None:
    path.rename(path.with_name(path.name + ".fresh"))
    store = SqliteStore(path)
    assert len(list(store.items("queue"))) == COUNT
    store.close()


def test_a_file_damaged_while_open_is_written_anew_from_memory(path: Path) -> None:
    store = SqliteStore(path)
    overwrite(PAGE, b"\xa5" * (50 * PAGE))(path)
    for number in range(0, COUNT, 7):
        store.put("queue", f"{number:012}", document(number) | {"again": True})
    store.put("queue", "new", {})
    store.commit()
    assert store.recovered is not None
    store.delete("queue", "new")
    store.commit()
    store.close()
    store = SqliteStore(path)
    assert len(list(store.items("queue"))) == COUNT
    assert store.get("queue", f"{14:012}") == document(14) | {"again": True}
    store.close()


def test_slow_commits_are_told_at_the_first_second_fourth_and_so_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "slow.sqlite3")
    notices: list[str] = []
    store.on_notice = notices.append
    for took_s in (0.01, 0.06, 0.07, 0.08, 0.09, 0.02):
        store._timed(took_s)
    store.close()
    assert store.slow_commits == 4
    assert ["60 ms" in notices[0], "70 ms" in notices[1], "90 ms" in notices[2]] == [True] * 3
    assert len(notices) == 3
