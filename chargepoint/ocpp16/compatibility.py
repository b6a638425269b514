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
    def require_ca_certificates(self) -> bool:
        """A root certificate must say of itself that it is a certificate authority."""

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
    def security_events(self) -> Literal["required", "all"]:
        """Which security events are told: those the whitepaper asks for, or every one."""

    @property
    def too_many_configuration_keys(self) -> Literal["answer", "error"]:
        """A GetConfiguration for more keys than allowed is answered, or gets a CALLERROR."""

    @property
    def firmware_restart(self) -> Literal["before_installed", "after_installed", "none"]:
        """When a firmware update restarts the station (errata 3.47)."""

    @property
    def allow_unsigned_firmware(self) -> Literal["by_profile", True, False]:
        """Plain UpdateFirmware is served; `by_profile`: without a security profile only (L01.FR.20)."""

    @property
    def firmware_signature_algorithms(self) -> tuple[str, ...]:
        """The signatures that signed firmware may carry."""
