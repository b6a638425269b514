"""What must reach the central system for sure: facts that wait in the store until they were answered."""

from __future__ import annotations

from math import inf

from chargepoint.domain.ports import Document

RECORD = "record"
"""Under this kind the store keeps records, by ascending sequence number."""


class Record:
    """A transaction-related fact: stored before it is sent, rendered when it is sent (OCPP 1.6 §3.7)."""

    __slots__ = (
        "attempts",
        "facts",
        "failed_at",
        "ids",
        "key",
        "kind",
        "seq",
        "transaction_key",
        "wanted_at",
    )

    def __init__(self, seq: int, kind: str, transaction_key: str | None, facts: Document) -> None:
        self.seq = seq
        self.key = f"{seq:012d}"  # in the store
        self.kind = kind
        self.transaction_key = transaction_key
        self.facts = facts
        self.attempts = 0  # transmissions that failed
        self.failed_at = -inf  # the last of them, on the station's clock
        self.ids: list[str] | None = None  # message ids under which it went out
        self.wanted_at = 0.0  # on the wire's clock, for the observer; 0 after a start of the station

    @classmethod
    def recalled(cls, key: str, document: Document) -> Record:
        """The record a store remembered."""
        record = cls(int(key), document["kind"], document["transaction"], document["facts"])
        record.attempts = document["attempts"]
        record.ids = document.get("ids")
        return record

    def document(self) -> Document:
        """What the store keeps."""
        document: Document = {
            "kind": self.kind,
            "transaction": self.transaction_key,
            "facts": self.facts,
            "attempts": self.attempts,
        }
        if self.ids:
            document["ids"] = list(self.ids)
        return document
