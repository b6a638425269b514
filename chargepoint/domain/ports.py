"""What the domain and every protocol version need of the outside, as promises kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Document = dict[str, Any]
"""What a store remembers: JSON values only, written whole."""


class Store(Protocol):
    """Everything that survives a power cut: documents by kind and key.

    Writes gather until `commit`; reads see them at once. Raises `StoreError` on `commit` when they cannot be
    kept: they then stay gathered and the next `commit` tries them again, until `rollback` drops them.
    """

    durable: bool  # False: nothing outlives the process, so nothing needs to be kept for later

    def get(self, kind: str, key: str) -> Document | None:
        """The document, or None. The caller must not change it in place."""

    def put(self, kind: str, key: str, document: Document) -> None:
        """Write or replace a document at the next commit."""

    def delete(self, kind: str, key: str) -> None:
        """Remove a document at the next commit; an absent one is fine."""

    def items(self, kind: str) -> Iterator[tuple[str, Document]]:
        """All documents of a kind, by ascending key (as text)."""

    def commit(self) -> None:
        """Make all gathered writes durable together, or none of them."""

    def rollback(self) -> None:
        """Forget all writes since the last commit."""

    def close(self) -> None:
        """Let go of the file; idempotent."""


class Link(Protocol):
    """A text channel to the central system."""

    def send(self, text: bytes | str) -> None:
        """Queue one text frame; a link that is down forgets it."""

    def drop(self, code: int = 1000) -> None:
        """Close now."""


class Behaviour(Protocol):
    """Where the operator may choose how this station behaves."""

    @property
    def free_charging_id_tag(self) -> str | None:
        """A plugged vehicle starts under this tag without a card; None: a card is needed."""

    @property
    def reboot_s(self) -> float:
        """How long a restart takes, in seconds of the station's clock."""

    @property
    def preparing_timeout(self) -> str:
        """What ends Preparing with a cable in and nobody authorised: auto, finishing or stay."""

    @property
    def restart_without_replug(self) -> bool:
        """A tag in Finishing starts a new transaction."""

    @property
    def fault_stops_transaction_after_s(self) -> float | None:
        """How long a fault may last before it ends the transaction; None: for ever."""

    @property
    def resume_tx_after_power_loss(self) -> bool:
        """A transaction goes on after a power cut if its cable is still in."""

    @property
    def transactions_before_accepted(self) -> bool:
        """Charging is allowed before the central system ever accepted this station."""

    @property
    def diagnostics_file_name(self) -> str:
        """The name of an uploaded diagnostics file, with {identity} and {time} to be filled in."""


class Policy(Protocol):
    """What the configuration keys of the protocol say about charging."""

    @property
    def connection_timeout_s(self) -> int:
        """How long Preparing may last (OCPP 1.6 §9.1.4); 0: for ever."""

    @property
    def stop_on_ev_side_disconnect(self) -> bool:
        """Unplugging at the vehicle ends the transaction."""

    @property
    def unlock_on_ev_side_disconnect(self) -> bool:
        """Unplugging at the vehicle unlocks the plug in the station."""

    @property
    def stop_on_invalid_id(self) -> bool:
        """A transaction whose tag turns out invalid ends."""

    @property
    def max_energy_on_invalid_id_wh(self) -> int:
        """What may be delivered from its start all the same."""

    @property
    def authorize_remote(self) -> bool:
        """A remote start is authorised like a card."""
