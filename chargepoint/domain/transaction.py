"""A transaction as the station knows it: who, where, since when, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chargepoint.domain.ports import Document

KIND = "transaction"
"""Under this kind the store keeps transactions, running and ended."""


@dataclass(slots=True)
class Transaction:
    """One charging session.

    Energies are the meter's register in whole Wh, moments are UTC. `csms_id` is the central system's number,
    None until it answered. `stopping_*` are the facts of a stop that was noted but whose final reading is
    still awaited.
    """

    key: str
    connector: int
    id_tag: str
    parent: str | None
    started_at: float
    meter_start_wh: int
    reservation_id: int | None = None
    csms_id: int | None = None
    deauthorized: bool = False
    stopping_at: float | None = None
    stopping_reason: str | None = None
    stopping_tag: str | None = None
    stopped_at: float | None = None
    meter_stop_wh: int | None = None
    reason: str | None = None
    delivered_at: float | None = None
    last_at: float | None = None
    last_wh: float | None = None
    last_offset_wh: float = 0.0  # how much of `last_wh` is beyond the meter's own register, which leapt
    samples: int = 0  # how many readings wait for the stop record

    @property
    def running(self) -> bool:
        """No stop has been noted yet."""
        return self.stopping_at is None and self.stopped_at is None

    def shift(self, by_s: float) -> None:
        """Every moment was `by_s` seconds later: until now the station only guessed what time it is."""
        self.started_at += by_s
        for name in ("stopping_at", "stopped_at", "delivered_at", "last_at"):
            moment = getattr(self, name)
            if moment is not None:
                setattr(self, name, moment + by_s)

    def owned_by(self, id_tag: str) -> bool:
        """True for the identifier that started it; case does not matter (OCPP 1.6 §7.28)."""
        return self.id_tag.casefold() == id_tag.casefold()

    def same_group(self, parent: str | None) -> bool:
        """True if both have a parent identifier and these match (OCPP 1.6 §3.10)."""
        return parent is not None and self.parent is not None and self.parent.casefold() == parent.casefold()

    def document(self) -> Document:
        """What the store keeps."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_document(cls, document: Document) -> Transaction:
        """The transaction a store remembered; fields of later versions are ignored."""
        known: dict[str, Any] = {name: document[name] for name in cls.__slots__ if name in document}
        return cls(**known)
