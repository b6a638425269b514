"""Remembers documents over a power cut: one SQLite file per station, or nothing but memory in a fleet."""

from chargepoint.store.memory import MemoryStore
from chargepoint.store.names import SUFFIX, file_name, identity_of
from chargepoint.store.sqlite import SqliteStore
from chargepoint.store.sqlite_file import MIGRATIONS, migrate

__all__ = ["MIGRATIONS", "SUFFIX", "MemoryStore", "SqliteStore", "file_name", "identity_of", "migrate"]
