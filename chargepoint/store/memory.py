"""A store that lives in memory: enough for a fleet and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from chargepoint.domain.ports import Document


class MemoryStore:
    """A store that forgets everything with the process."""

    __slots__ = ("_documents", "_undo")
    durable: bool = False

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Document]] = {}
        self._undo: dict[tuple[str, str], Document | None] | None = None

    def get(self, kind: str, key: str) -> Document | None:
        documents = self._documents.get(kind)
        return None if documents is None else documents.get(key)

    def put(self, kind: str, key: str, document: Document) -> None:
        self._write(kind, key, document)

    def delete(self, kind: str, key: str) -> None:
        if self.get(kind, key) is not None:
            self._write(kind, key, None)

    def items(self, kind: str) -> Iterator[tuple[str, Document]]:
        """All documents of a kind as they are now, by ascending key; writing while iterating is fine."""
        documents = self._documents.get(kind)
        return iter(sorted(documents.items(), key=itemgetter(0)) if documents else ())

    def commit(self) -> None:
        self._undo = None

    def rollback(self) -> None:
        undo, self._undo = self._undo, None
        for (kind, key), document in (undo or {}).items():
            self._set(kind, key, document)

    def close(self) -> None: ...

    def _write(self, kind: str, key: str, document: Document | None) -> None:
        if self._undo is None:
            self._undo = {}
        if (kind, key) not in self._undo:
            self._undo[kind, key] = self.get(kind, key)
        self._set(kind, key, document)

    def _set(self, kind: str, key: str, document: Document | None) -> None:
        documents = self._documents.get(kind)
        if document is not None:
            if documents is None:
                self._documents[kind] = {key: document}
            else:
                documents[key] = document
        elif documents is not None:
            documents.pop(key, None)
            if not documents:
                del self._documents[kind]
