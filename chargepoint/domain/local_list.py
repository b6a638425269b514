"""The local authorization list as the store keeps it: identifiers the central system sent in advance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.domain.ports import Document, Store

KIND = "local_list"
"""Under this kind the store keeps the list, one document per identifier."""

VERSION = "local_list_version"
"""Under this kind it keeps the list's version, in a single document; an empty list has none."""

Undo = Callable[[], None]
"""Puts back what was there before a change."""


class StoredList:
    """The listed identifiers and the version of the whole (OCPP 1.6 §3.5.2, §5.15).

    Everything lives in the store, so a station without a list needs nothing; nothing here commits, and what
    one call changes is kept by one commit. A small change of a large list writes few documents. Identifiers
    are compared without regard to case.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def version(self) -> int:
        """The number the central system gave this list; 0 if it is empty, however it became so (§5.10)."""
        document = self._store.get(VERSION, "")
        return 0 if document is None else int(document["version"])

    def lookup(self, id_tag: str) -> IdTagInfo | None:
        """The entry as it was sent, or None."""
        document = self._store.get(KIND, id_tag.casefold())
        return None if document is None else IdTagInfo.from_document(document)

    def length_after(self, changes: Mapping[str, IdTagInfo | None]) -> int:
        """How many entries there would be after `update` with these changes."""
        listed = {key for key, _ in self._store.items(KIND)}
        for id_tag, info in changes.items():
            (listed.discard if info is None else listed.add)(id_tag.casefold())
        return len(listed)

    def replace(self, version: int, entries: Mapping[str, IdTagInfo]) -> Undo:
        """Forget the list for another one; no entries: for none."""
        changes: dict[str, IdTagInfo | None] = {key: None for key, _ in self._store.items(KIND)}
        changes.update((id_tag.casefold(), info) for id_tag, info in entries.items())
        return self._change(version, changes)

    def update(self, version: int, changes: Mapping[str, IdTagInfo | None]) -> Undo:
        """Add or replace entries, and remove those that come without information; absent ones are fine."""
        return self._change(version, {id_tag.casefold(): info for id_tag, info in changes.items()})

    def _change(self, version: int, changes: Mapping[str, IdTagInfo | None]) -> Undo:
        before: list[tuple[str, str, Document | None]] = []

        def change(kind: str, key: str, document: Document | None) -> None:
            old = self._store.get(kind, key)
            if old != document:
                before.append((kind, key, old))
                self._write(kind, key, document)

        for key, info in changes.items():
            change(KIND, key, None if info is None else _document(info))
        empty = next(self._store.items(KIND), None) is None
        change(VERSION, "", None if empty else {"version": version})

        def undo() -> None:
            for kind, key, document in before:
                self._write(kind, key, document)

        return undo

    def _write(self, kind: str, key: str, document: Document | None) -> None:
        if document is None:
            self._store.delete(kind, key)
        else:
            self._store.put(kind, key, document)


@lru_cache(maxsize=256)
def _document(info: IdTagInfo) -> Document:
    """Entries that say the same share a document, which nobody changes in place: lists are long."""
    return info.document()
