"""Remembers documents over a power cut: one SQLite file per station, or nothing but memory in a fleet."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote, unquote

import orjson

from chargepoint.domain.ports import Document
from chargepoint.errors import StoreError

SUFFIX = ".sqlite3"
SLOW_COMMIT_S = 0.05

MIGRATIONS: tuple[str, ...] = (
    "CREATE TABLE document (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (kind, key)) WITHOUT ROWID",
)
"""One statement per schema version, in order: a file of version n still needs those from n on."""

_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # our statements are right, so the tables are not
        sqlite3.SQLITE_IOERR_READ,  # a bad sector: a new file will lie elsewhere
    }
)
_WRITABLE = "make the file and its directory writable for this user"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space on the disk",
    sqlite3.SQLITE_READONLY: _WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    sqlite3.SQLITE_PERM: _WRITABLE,
    sqlite3.SQLITE_IOERR: "check the free space and the health of the disk",
    sqlite3.SQLITE_BUSY: "close the program that holds it",
}


class MemoryStore:
    """A store that forgets everything with the process."""

    __slots__ = ("_documents", "_undo")
    durable: bool = False

    def __init__(self) -> None:
        # Both stay None until used: most of 10,000 idle stations remember next to nothing.
        self._documents: dict[str, dict[str, Document]] | None = None
        self._undo: dict[tuple[str, str], Document | None] | None = None

    def get(self, kind: str, key: str) -> Document | None:
        documents = self._documents.get(kind) if self._documents else None
        return documents.get(key) if documents else None

    def put(self, kind: str, key: str, document: Document) -> None:
        self._write(kind, key, document)

    def delete(self, kind: str, key: str) -> None:
        if self.get(kind, key) is not None:
            self._write(kind, key, None)

    def items(self, kind: str) -> Iterator[tuple[str, Document]]:
        """All documents of a kind as they are now, by ascending key; writing while iterating is fine."""
        documents = self._documents.get(kind) if self._documents else None
        return iter(sorted(documents.items(), key=itemgetter(0)) if documents else ())

    def commit(self) -> None:
        self._undo = None

    def rollback(self) -> None:
        undo, self._undo = self._undo, None
        for (kind, key), document in (undo or {}).items():
            self._set(kind, key, document)

    def close(self) -> None: ...

    def _write(self, kind: str, key: str, document: Document | None) -> None:
        undo, name = self._undo, (kind, key)
        if undo is None:
            self._undo = {name: self.get(kind, key)}
        elif name not in undo:
            undo[name] = self.get(kind, key)
        self._set(kind, key, document)

    def _set(self, kind: str, key: str, document: Document | None) -> None:
        if self._documents is None:
            self._documents = {}
        if document is not None:
            self._documents.setdefault(kind, {})[key] = document
        elif documents := self._documents.get(kind):
            documents.pop(key, None)
            if not documents:
                del self._documents[kind]


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
            raise StoreError(_sentence(directory, error)) from error
        return cls(directory / file_name(identity))

    @staticmethod
    def peek(path: Path, kind: str) -> list[tuple[str, Document]]:
        """All documents of a kind in a store that another process may be using, by ascending key.

        What is damaged is left out. Raises `StoreError` if the file cannot be read at all.
        """
        return [(key, document) for _, key, document in _peeked(path, "WHERE kind = ?", (kind,))]

    @staticmethod
    def survey(path: Path) -> dict[str, dict[str, Document]]:
        """All documents by kind and key as they are at one moment, for a reader as with `peek`."""
        found: dict[str, dict[str, Document]] = {}
        for kind, key, document in _peeked(path):
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
                _write_rows(self._connection, [(kind, key, self.get(kind, key)) for kind, key in self._undo])
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                self._start_anew(self._documents or {})
        except (OSError, sqlite3.Error) as error:
            raise StoreError(_sentence(self.path, error)) from error
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
            _finish_replacement(self.path)
            _protect(self.path)
            try:
                self._documents = self._load()
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                self._start_anew(_salvage(self.path))
        except (OSError, sqlite3.Error) as error:
            raise StoreError(_sentence(self.path, error)) from error

    def _load(self) -> dict[str, dict[str, Document]]:
        """Connect, migrate and read everything; raises `DatabaseError` if a part of the file is damaged."""
        connection = self._connection = _connect(self.path)
        _refuse_newer(self.path, connection)
        migrate(connection)
        if connection.execute("PRAGMA quick_check(1)").fetchone() != (b"ok",):
            raise _damage("quick_check found damage")
        documents: dict[str, dict[str, Document]] = {}
        for row in connection.execute("SELECT kind, key, value FROM document"):
            decoded = _decoded(row)
            if decoded is None:
                raise _damage("a document is not JSON")
            kind, key, document = decoded
            documents.setdefault(kind, {})[key] = document
        return documents

    def _start_anew(self, documents: dict[str, dict[str, Document]]) -> None:
        """Go on with these documents in a new file, the damaged one put aside."""
        fresh = _write_fresh(self.path, documents)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        aside = _replace(self.path, fresh)
        self._connection = _connect(self.path)
        self._documents = documents
        saved = sum(map(len, documents.values()))
        self.recovered = (
            f"{self.path} was damaged: {saved} documents were saved, the old file is {aside.name}"
        )
        self.on_notice(self.recovered)


def file_name(identity: str) -> str:
    """The file of a station: unequal identities have unequal names, safe in any directory."""
    name = quote(identity, safe=" ").replace("~", "%7E")
    if name.startswith((".", " ")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > 180:
        name = f"{name[:140]}~{blake2b(identity.encode(), digest_size=16).hexdigest()}"
    return name + SUFFIX


def identity_of(path: Path) -> str:
    """The identity in a store's file name; of a very long one only the beginning."""
    return unquote(path.name.removesuffix(SUFFIX))


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring a file to the newest schema, one version per transaction."""
    for version in range(_version(connection), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(migrations[version])
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            _abandon(connection)
            raise


def _own(path: Path) -> int:
    """Take the store for this process; the kernel gives it back when the process ends, however it ends."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(_sentence(lock_path, error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise StoreError(_sentence(lock_path, error)) from error
        raise StoreError(
            f"{path}: in use by process {owner or 'unknown'}; stop that one,"
            " or choose another identity or storage directory"
        ) from None
    with contextlib.suppress(OSError):  # on a full disk the lock holds without the number
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def _protect(path: Path) -> None:
    """Make the file, readable by nobody else: it holds the authorization key in clear text."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(PermissionError):  # somebody else's file that we may write
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    durable = ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 4194304")
    # Reads come from memory: a large page cache would only hold everything twice.
    return _connected(path, "mode=rw", *durable, "cache_size = -128")


def _connect_read_only(path: Path) -> sqlite3.Connection:
    pragmas = ("writable_schema = ON", "schema_version")  # without the first, a file cut short is unreadable
    log = path.with_name(path.name + "-wal")
    if log.exists():
        try:
            return _connected(path, "mode=ro", *pragmas)
        except sqlite3.OperationalError:
            if log.exists():
                raise
    # Nobody has it open, so nothing changes meanwhile, and no empty log is left behind by us.
    return _connected(path, "mode=ro&immutable=1", *pragmas)


def _connected(path: Path, options: str, *pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True, isolation_level=None)
    connection.text_factory = bytes  # damaged text is ours to notice
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _peeked(
    path: Path, where: str = "", parameters: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Document]]:
    """Kind, key and document of each undamaged row, in order, without disturbing the file's owner."""
    try:
        with contextlib.closing(_connect_read_only(path)) as connection:
            _refuse_newer(path, connection)
            if not _version(connection):
                return iter(())
            rows = connection.execute(
                f"SELECT kind, key, value FROM document {where} ORDER BY kind, key", parameters
            ).fetchall()
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); check that this user may read it and that it is a store"
        ) from error
    return (decoded for decoded in map(_decoded, rows) if decoded is not None)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _refuse_newer(path: Path, connection: sqlite3.Connection) -> None:
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer version of chargepoint (schema {version}, this one knows"
            f" {len(MIGRATIONS)}); update chargepoint, or choose another storage directory"
        )


def _write_rows(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, Document | None]]) -> None:
    """Write all rows in one transaction, or none; a row without a document is removed."""
    gone = [(kind, _bytes(key)) for kind, key, document in rows if document is None]
    written = [
        (kind, _bytes(key), _encoded(document)) for kind, key, document in rows if document is not None
    ]
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("DELETE FROM document WHERE kind = ? AND key = CAST(? AS TEXT)", gone)
        connection.executemany(
            "INSERT OR REPLACE INTO document VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT))", written
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        _abandon(connection)
        raise


def _abandon(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite has already rolled back after a full disk
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _salvage(path: Path) -> dict[str, dict[str, Document]]:
    """Every document that can still be read, from both ends towards the damage."""
    saved: dict[str, dict[str, Document]] = {}
    for order in ("kind, key", "kind DESC, key DESC"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect_read_only(path)) as connection:
            for row in connection.execute(f"SELECT kind, key, value FROM document ORDER BY {order}"):
                if (decoded := _decoded(row)) is not None:
                    kind, key, document = decoded
                    saved.setdefault(kind, {})[key] = document
    return saved


def _write_fresh(path: Path, documents: dict[str, dict[str, Document]]) -> Path:
    """A complete new file beside a damaged one."""
    fresh = path.with_name(path.name + ".fresh")
    for leftover in _with_log(fresh):
        leftover.unlink(missing_ok=True)
    _protect(fresh)
    with contextlib.closing(_connect(fresh)) as connection:
        migrate(connection)
        rows = [(kind, key, document) for kind, keys in documents.items() for key, document in keys.items()]
        _write_rows(connection, rows)
    return fresh


def _replace(path: Path, fresh: Path) -> Path:
    """Put a complete new file in the place of a damaged one; returns where that one went.

    The damaged file's log moves first: were it to stay, SQLite would take it for the new file's.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{moment}")
    while aside.exists():
        aside = aside.with_name(aside.name + "-again")
    database, log, shared_memory = _with_log(path)
    shared_memory.unlink(missing_ok=True)
    if log.exists() and log.stat().st_size:
        log.rename(aside.with_name(aside.name + "-wal"))
    database.rename(aside)
    fresh.rename(path)
    return aside


def _finish_replacement(path: Path) -> None:
    """Complete a replacement that a power cut ended between its last two steps."""
    fresh = path.with_name(path.name + ".fresh")
    if fresh.exists() and not path.exists():
        fresh.rename(path)


def _with_log(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _encoded(document: Document) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # integers over 64 bits and lone surrogates, which a central system may well send
        return json.dumps(document, separators=(",", ":")).encode()


def _decoded(row: tuple[bytes, bytes, bytes]) -> tuple[str, str, Document] | None:
    """Kind, key and document, or None if the row is damaged.

    Not with orjson, which turns integers over 64 bits into floats.
    """
    try:
        kind, key = row[0].decode(), row[1].decode("utf-8", "surrogatepass")
        document = json.loads(row[2])
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return (kind, key, document) if isinstance(document, dict) else None


def _bytes(key: str) -> bytes:
    """The key as SQLite stores it; it may hold lone surrogates, which `str` parameters may not."""
    return key.encode("utf-8", "surrogatepass")


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _damaged(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code in _DAMAGED or code & 0xFF in _DAMAGED


def _sentence(path: Path, error: OSError | sqlite3.Error) -> str:
    """One sentence with file, cause and remedy."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = (
            "free some space on the disk" if full else "check the path and that this user may write there"
        )
        return f"{path}: {error.strerror or error}; {remedy}"
    code: int = getattr(error, "sqlite_errorcode", 0)
    return f"{path}: cannot be written ({error}); {_REMEDIES.get(code & 0xFF, 'check the disk')}"
