"""A store in one SQLite file, which this process owns while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from chargepoint.domain.ports import Document
from chargepoint.errors import StoreError
from chargepoint.store.memory import MemoryStore
from chargepoint.store.names import file_name
from chargepoint.store.salvage import (
    damage,
    finish_replacement,
    is_damage,
    put_in_place,
    salvage,
    write_fresh,
)
from chargepoint.store.sqlite_file import (
    connect,
    explained,
    migrate,
    protect,
    read_row,
    refuse_newer,
    rows_of,
    write_rows,
)

SLOW_COMMIT_S = 0.05


class SqliteStore(MemoryStore):
    """A store in one SQLite file, owned by one process, read from memory and durable at each `commit`.

    `recovered` is a sentence for the log when the file was found damaged and what was readable has been
    carried over to a new one; the damaged file stays beside it. `slow_commits` counts those over 50 ms.
    `on_notice` is told, while the store is in use, of such damage and of slow commits: the first, the second,
    the fourth, and so on.
    Raises `StoreError` when opened by a second process, and when the file cannot be written or was written by
    a newer version.
    """

    __slots__ = (
        "_connection",
        "_lock",
        "on_notice",
        "path",
        "recovered",
        "slow_commits",
        "slowest_commit_s",
    )
    durable = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.on_notice: Callable[[str], None] = lambda notice: None
        self.recovered: str | None = None
        self.slow_commits = 0
        self.slowest_commit_s = 0.0
        self._connection: sqlite3.Connection | None = None
        self._lock = _own(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, directory: Path, identity: str) -> SqliteStore:
        """The store of one station in a directory, which is made if it does not exist."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise StoreError(
                f"{directory}: not a directory; move that file away, or choose another storage directory"
            ) from None
        except OSError as error:
            raise StoreError(explained(directory, error)) from error
        return cls(directory / file_name(identity))

    @staticmethod
    def peek(path: Path, kind: str) -> list[tuple[str, Document]]:
        """All documents of a kind in a store that another process may be using, by ascending key.

        What is damaged is left out. Raises `StoreError` if the file cannot be read at all.
        """
        return [(key, document) for _, key, document in rows_of(path, "WHERE kind = ?", (kind,))]

    @staticmethod
    def survey(path: Path) -> dict[str, dict[str, Document]]:
        """All documents by kind and key as they are at one moment, for a reader as with `peek`."""
        found: dict[str, dict[str, Document]] = {}
        for kind, key, document in rows_of(path):
            found.setdefault(kind, {})[key] = document
        return found

    def commit(self) -> None:
        if not self._undo:
            return
        if self._connection is None:
            raise StoreError(f"{self.path}: closed, nothing can be kept any more")
        started = time.perf_counter()
        try:
            try:
                write_rows(self._connection, [(kind, key, self.get(kind, key)) for kind, key in self._undo])
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._start_anew(self._documents or {})
        except (OSError, sqlite3.Error) as error:
            raise StoreError(explained(self.path, error)) from error
        self._undo = None
        self._timed(time.perf_counter() - started)

    def _timed(self, took_s: float) -> None:
        self.slowest_commit_s = max(self.slowest_commit_s, took_s)
        if took_s > SLOW_COMMIT_S:
            self.slow_commits += 1
            if self.slow_commits & (self.slow_commits - 1) == 0:
                self.on_notice(
                    f"{self.path}: writing took {took_s * 1000:.0f} ms ({self.slow_commits} times over "
                    f"{SLOW_COMMIT_S * 1000:.0f} ms so far); check the disk"
                )

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _open(self) -> None:
        try:
            finish_replacement(self.path)
            protect(self.path)
            try:
                self._documents = self._load()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._start_anew(salvage(self.path))
        except (OSError, sqlite3.Error) as error:
            raise StoreError(explained(self.path, error)) from error

    def _load(self) -> dict[str, dict[str, Document]]:
        """Connect, migrate and read everything; raises `DatabaseError` if a part of the file is damaged."""
        connection = self._connection = connect(self.path)
        refuse_newer(self.path, connection)
        migrate(connection)
        if connection.execute("PRAGMA quick_check(1)").fetchone() != (b"ok",):
            raise damage("quick_check found damage")
        documents: dict[str, dict[str, Document]] = {}
        for row in connection.execute("SELECT kind, key, value FROM document"):
            decoded = read_row(row)
            if decoded is None:
                raise damage("a document is not JSON")
            kind, key, document = decoded
            documents.setdefault(kind, {})[key] = document
        return documents

    def _start_anew(self, documents: dict[str, dict[str, Document]]) -> None:
        """Go on with these documents in a new file, the damaged one put aside."""
        fresh = write_fresh(self.path, documents)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        aside = put_in_place(self.path, fresh)
        self._connection = connect(self.path)
        self._documents = documents
        saved = sum(map(len, documents.values()))
        self.recovered = (
            f"{self.path} was damaged: {saved} documents were saved, the old file is {aside.name}"
        )
        self.on_notice(self.recovered)


def _own(path: Path) -> int:
    """Take the store for this process; the kernel gives it back when the process ends, however it ends."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(explained(lock_path, error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise StoreError(explained(lock_path, error)) from error
        raise StoreError(
            f"{path}: in use by process {owner or 'unknown'}; stop that one,"
            " or choose another identity or storage directory"
        ) from None
    with contextlib.suppress(OSError):  # on a full disk the lock holds without the number
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock
