"""What becomes of a damaged store: what can be read is carried to a new file, the old one is put aside."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from chargepoint.domain.ports import Document
from chargepoint.store.sqlite_file import connect, connect_read_only, migrate, protect, read_row, write_rows

_DAMAGED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,  # our statements are right, so the tables are not
        sqlite3.SQLITE_IOERR_READ,  # a bad sector: a new file will lie elsewhere
    }
)


def damage(what: str) -> sqlite3.DatabaseError:
    """What SQLite would have raised, had it noticed."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def is_damage(error: sqlite3.Error) -> bool:
    """The file itself is at fault, not the disk or a permission."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code in _DAMAGED or code & 0xFF in _DAMAGED


def salvage(path: Path) -> dict[str, dict[str, Document]]:
    """Every document that can still be read, from both ends towards the damage."""
    saved: dict[str, dict[str, Document]] = {}
    for order in ("kind, key", "kind DESC, key DESC"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect_read_only(path)) as connection:
            for row in connection.execute(f"SELECT kind, key, value FROM document ORDER BY {order}"):
                if (decoded := read_row(row)) is not None:
                    kind, key, document = decoded
                    saved.setdefault(kind, {})[key] = document
    return saved


def write_fresh(path: Path, documents: dict[str, dict[str, Document]]) -> Path:
    """A complete new file beside a damaged one."""
    fresh = path.with_name(path.name + ".fresh")
    for leftover in _with_log(fresh):
        leftover.unlink(missing_ok=True)
    protect(fresh)
    with contextlib.closing(connect(fresh)) as connection:
        migrate(connection)
        rows = [(kind, key, document) for kind, keys in documents.items() for key, document in keys.items()]
        write_rows(connection, rows)
    return fresh


def put_in_place(path: Path, fresh: Path) -> Path:
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


def finish_replacement(path: Path) -> None:
    """Complete a replacement that a power cut ended between its last two steps."""
    fresh = path.with_name(path.name + ".fresh")
    if fresh.exists() and not path.exists():
        fresh.rename(path)


def _with_log(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
