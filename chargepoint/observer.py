"""Who counts what stations do: one object for all stations of a process, told without a dict or closure."""

from __future__ import annotations

from typing import Any, Protocol

from chargepoint.domain.transaction import Transaction
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import Observer
from hal.api import Evse


class StationObserver(Observer, Protocol):
    """What a station tells besides its CALLs; `station` is its identity. Nothing may be raised or sent."""

    def link_up(self, station: str) -> None:
        """Connected."""

    def link_down(self, station: str, reason: str) -> None:
        """Not connected any more, for `reason` in the words of the link."""

    def connect_failed(self, station: str, kind: str) -> None:
        """An attempt to connect failed; `kind` is that of the `LinkError`."""

    def registered(self, station: str, accepted: bool) -> None:
        """BootNotification was answered."""

    def went_down(self, station: str) -> None:
        """The protocol part ended: for a restart, for want of mains, or for good."""

    def transaction_changed(
        self, station: str, transaction: Transaction, phase: str, evse: Evse | None
    ) -> None:
        """`phase` is started, confirmed, stopped or delivered; `evse`: that of its connector, if any."""

    def record_answered(self, station: str, record: Record, answer: Any) -> None:
        """The central system has a record; comes before what the answer changes."""

    def record_given_up(self, station: str, record: Record, code: str) -> None:
        """The central system refused a record as often as allowed."""

    def answered_late(self, station: str, message_id: str, answer: Any) -> None:
        """An answer that nobody waited for any more, valid or not."""
