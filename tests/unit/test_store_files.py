"""The file of a store: its name, its owner, who may read it, which version wrote it (appendix B)."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.errors import StoreError
from chargepoint.store import MIGRATIONS, SqliteStore, file_name, identity_of, migrate, sqlite

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "stores"
IDENTITIES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(IDENTITIES)
def test_a_file_name_is_safe_and_tells_the_identity(identity: str) -> None:
    name = file_name(identity)
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name.encode()) < 200
    assert identity_of(Path(name)) == identity or "~" in name


@pytest.mark.parametrize(
    ("one", "other"),
    [("A/B", "A%2FB"), (".", "%2E"), ("é" * 90, "é" * 91), ("x" * 300, "x" * 299), ("a", "A"), ("a ", "a")],
)
def test_unequal_identities_have_unequal_files(one: str, other: str) -> None:
    assert file_name(one) != file_name(other)


def test_the_directory_is_made_and_private_like_the_file(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "a" / "b", "CP 1/2")
    store.put("config", "AuthorizationKey", {"value": "secret"})
    store.commit()
    files = list((tmp_path / "a" / "b").iterdir())
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {file.name for file in files} >= {"CP 1%2F2.sqlite3", "CP 1%2F2.sqlite3.lock"}
    store.close()


def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "CP001.sqlite3"
    path.touch(mode=0o644)
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = SqliteStore.open(tmp_path, "CP001")
    with pytest.raises(StoreError, match=rf"CP001.sqlite3: in use by process {os.getpid()};"):
        SqliteStore.open(tmp_path, "CP001")
    SqliteStore.open(tmp_path, "CP002").close()
    first.close()
    SqliteStore.open(tmp_path, "CP001").close()


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from chargepoint.store import SqliteStore
        store = SqliteStore.open(Path(sys.argv[1]), "CP001")
        print("open", flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    with pytest.raises(StoreError, match=f"in use by process {process.pid};"):
        SqliteStore.open(tmp_path, "CP001")
    process.kill()
    process.communicate()
    SqliteStore.open(tmp_path, "CP001").close()


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chargepoint-data"
    path.touch()
    with pytest.raises(StoreError, match="chargepoint-data: not a directory; move that file away"):
        SqliteStore.open(path, "CP001")


def test_a_directory_where_the_file_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CP001.sqlite3").mkdir()
    with pytest.raises(StoreError, match=r"CP001.sqlite3: Is a directory; check the path"):
        SqliteStore.open(tmp_path, "CP001")


@pytest.fixture
def foreign_directory() -> Iterator[Path]:
    """A directory that the unprivileged child can reach, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def test_a_directory_that_may_not_be_written_is_refused(foreign_directory: Path) -> None:
    storage = foreign_directory / "data"
    storage.mkdir(mode=0o555)
    script = """
        import os, sys
        from pathlib import Path
        from chargepoint.errors import StoreError
        from chargepoint.store import SqliteStore
        if os.getuid() == 0:
            os.setuid(65534)  # for root, nothing is read-only
        try:
            SqliteStore.open(Path(sys.argv[1]), "CP001")
        except StoreError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(storage)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Permission denied; check the path and that this user may write there" in answer.stdout


def test_a_zero_length_file_is_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "CP001.sqlite3").touch()
    store = SqliteStore.open(tmp_path, "CP001")
    assert store.recovered is None
    store.put("queue", "1", {})
    store.commit()
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, "CP001")
    store.close()
    store.put("queue", "1", {})
    with pytest.raises(StoreError, match="closed"):
        store.commit()


def test_slow_commits_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is slow depends on the disk; nothing is quicker than at once, nor slower than never."""
    store = SqliteStore.open(tmp_path, "CP001")
    for slow_s, counted in ((-1.0, 1), (math.inf, 1), (-1.0, 2)):
        monkeypatch.setattr(sqlite, "SLOW_COMMIT_S", slow_s)
        store.put("queue", "1", {"n": counted})
        store.commit()
        assert store.slow_commits == counted
    assert store.slowest_commit_s > 0.0
    slowest_s = store.slowest_commit_s
    store.commit()
    assert (store.slow_commits, store.slowest_commit_s) == (2, slowest_s), "there was nothing to write"
    store.close()


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("v*.sqlite3")), ids=lambda path: path.stem)
def test_stores_of_every_version_open(tmp_path: Path, fixture: Path) -> None:
    shutil.copy(fixture, tmp_path / "CP001.sqlite3")
    store = SqliteStore.open(tmp_path, "CP001")
    assert store.recovered is None
    assert store.get("config", "HeartbeatInterval") == {"value": "300"}
    assert [document["id_tag"] for _, document in store.items("transaction")] == ["04E12345", "Müller"]
    store.close()


def test_there_is_a_fixture_for_each_version() -> None:
    names = [path.name for path in FIXTURES.glob("v*.sqlite3")]
    assert sorted(names) == [f"v{version}.sqlite3" for version in range(1, len(MIGRATIONS) + 1)]


def test_migrations_run_from_where_a_file_stands_and_a_failing_one_leaves_it_there(tmp_path: Path) -> None:
    path = tmp_path / "v1.sqlite3"
    shutil.copy(FIXTURES / "v1.sqlite3", path)
    connection = sqlite3.connect(path, isolation_level=None)
    later = "UPDATE document SET kind = 'setting' WHERE kind = 'config'"
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*MIGRATIONS, later, "CREATE TABLE document (x)"])
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    migrate(connection, [*MIGRATIONS, later, "CREATE TABLE other (x)"])
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert connection.execute("SELECT DISTINCT kind FROM document").fetchall() == [
        ("setting",),
        ("transaction",),
    ]
    connection.close()


def test_a_store_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "CP001.sqlite3"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer version of chargepoint \(schema 99.*update chargepoint"):
        SqliteStore(path)
    with pytest.raises(StoreError, match="schema 99"):
        SqliteStore.peek(path, "transaction")
    assert not list(tmp_path.glob("*damaged*"))


def test_peek_reads_beside_the_owner(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, "CP001")
    for number in (2, 1):
        store.put("transaction", str(number), {"n": number})
    store.put("config", "x", {})
    store.commit()
    store.put("transaction", "3", {"n": 3})
    assert SqliteStore.peek(store.path, "transaction") == [("1", {"n": 1}), ("2", {"n": 2})]
    store.commit()
    assert len(SqliteStore.peek(store.path, "transaction")) == 3
    store.close()
    assert len(SqliteStore.peek(store.path, "transaction")) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read .*check that this user may read it"),
        (b"not a database" * 100, "not a database"),
    ],
    ids=["absent", "not-a-store"],
)
def test_peek_says_what_it_cannot_read(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "CP001.sqlite3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=complaint):
        SqliteStore.peek(path, "transaction")


def test_peek_at_a_file_that_is_still_empty_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "CP001.sqlite3").touch()
    assert SqliteStore.peek(tmp_path / "CP001.sqlite3", "transaction") == []
