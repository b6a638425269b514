"""One SQLite file of documents: its schema, how it is opened, written and read, and why that failed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from chargepoint.domain.ports import Document
from chargepoint.errors import StoreError

MIGRATIONS: tuple[str, ...] = (
    "CREATE TABLE document (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (kind, key)) WITHOUT ROWID",
)
"""One statement per schema version, in order: a file of version n still needs those from n on."""

_WRITABLE = "make the file and its directory writable for this user"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space on the disk",
    sqlite3.SQLITE_READONLY: _WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    sqlite3.SQLITE_PERM: _WRITABLE,
    sqlite3.SQLITE_IOERR: "check the free space and the health of the disk",
    sqlite3.SQLITE_BUSY: "close the program that holds it",
}


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


def protect(path: Path) -> None:
    """Make the file, readable by nobody else: it holds the authorization key in clear text."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(PermissionError):  # somebody else's file that we may write
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for its owner: what is committed outlives a power cut."""
    durable = ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 4194304")
    # Reads come from memory: a large page cache would only hold everything twice.
    return _connected(path, "mode=rw", *durable, "cache_size = -128")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the file of somebody else, or a damaged one without writing to it."""
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


def rows_of(
    path: Path, where: str = "", parameters: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Document]]:
    """Kind, key and document of each undamaged row, in order, without disturbing the file's owner."""
    try:
        with contextlib.closing(connect_read_only(path)) as connection:
            refuse_newer(path, connection)
            if not _version(connection):
                return iter(())
            rows = connection.execute(
                f"SELECT kind, key, value FROM document {where} ORDER BY kind, key", parameters
            ).fetchall()
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); check that this user may read it and that it is a store"
        ) from error
    return (decoded for decoded in map(read_row, rows) if decoded is not None)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def refuse_newer(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `StoreError` for a file of a schema this version does not know."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: written by a newer version of chargepoint (schema {version}, this one knows"
            f" {len(MIGRATIONS)}); update chargepoint, or choose another storage directory"
        )


def write_rows(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, Document | None]]) -> None:
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


def _encoded(document: Document) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # integers over 64 bits and lone surrogates, which a central system may well send
        return json.dumps(document, separators=(",", ":")).encode()


def read_row(row: tuple[bytes, bytes, bytes]) -> tuple[str, str, Document] | None:
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


def explained(path: Path, error: OSError | sqlite3.Error) -> str:
    """One sentence with file, cause and remedy."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = (
            "free some space on the disk" if full else "check the path and that this user may write there"
        )
        return f"{path}: {error.strerror or error}; {remedy}"
    code: int = getattr(error, "sqlite_errorcode", 0)
    return f"{path}: cannot be written ({error}); {_REMEDIES.get(code & 0xFF, 'check the disk')}"
