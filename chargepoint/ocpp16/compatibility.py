"""The few disputed behaviours, each by name, as this version of the protocol asks for them."""

from __future__ import annotations

from typing import Literal, Protocol

from chargepoint.ocpp16 import smart_charging


class Compatibility(smart_charging.Compatibility, Protocol):
    """What the operator decided where the specification can be read in two ways (`compatibility:`)."""

    @property
    def trigger_boot_when_accepted(self) -> Literal["reject", "accept"]:
        """A TriggerMessage for a BootNotification on the connection it was accepted on (errata 3.35)."""

    @property
    def schema_error_code(self) -> str:
        """`by_kind`, or `formation_violation` for every breach of a schema."""

    @property
    def unparsable_frame(self) -> str:
        """`generic_error` answers what is no frame, `ignore` does not."""

    @property
    def temperature_unit(self) -> str:
        """`Celcius`, as the specification spells it, or `Celsius`."""

    @property
    def tx_default_zero_after_n(self) -> Literal["keep", "overwrite"]:
        """What a TxDefaultProfile for all connectors does to one for a single connector set before."""

    @property
    def full_list_entry_without_info(self) -> Literal["failed", "skip"]:
        """An entry without idTagInfo fails a full local list, or is passed over."""

    @property
    def unlock_tethered_stops_transaction(self) -> bool:
        """UnlockConnector ends a transaction also where there is nothing to unlock."""

    @property
    def remote_start_without_connector(self) -> Literal["accept", "reject"]:
        """A RemoteStartTransaction without connectorId (OCPP 1.6 §5.11 allows both)."""

    @property
    def too_many_configuration_keys(self) -> Literal["answer", "error"]:
        """A GetConfiguration for more keys than allowed is answered, or gets a CALLERROR."""
