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
