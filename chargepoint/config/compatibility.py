"""Where the protocol is disputed or leaves the choice to the station: one named switch for each point."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import Field, field_validator

from chargepoint.config.section import Section, mistake

__all__ = ["BehaviourConfig", "CompatibilityConfig", "SignatureAlgorithm"]

SignatureAlgorithm = Literal["rsa_pss", "rsa_pkcs1v15", "ecdsa"]


class BehaviourConfig(Section):
    """How this station behaves where its operator may choose."""

    free_charging_id_tag: str | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="A plugged vehicle starts charging under this identifier without a card; null: cards "
        "are needed.",
    )
    reboot_s: float = Field(
        default=2, ge=0, le=3600, description="How long a restart of the station takes until it boots again."
    )
    hard_reset: Literal["in_process", "exit"] = Field(
        default="in_process",
        description="What a hard Reset is (OCPP 1.6 §5.14). in_process: the software is built anew within "
        "this process; exit: the process ends with code 0, for whoever starts it again (systemd, "
        "Restart=always).",
    )
    preparing_timeout: Literal["auto", "finishing", "stay"] = Field(
        default="auto",
        description="What becomes of a plugged vehicle that nobody authorised within ConnectionTimeOut. "
        "finishing: the connector must be unplugged first, so that the next card at a shared reader cannot "
        "start a stranger's session; stay: it goes on waiting in Preparing; auto: finishing where one "
        "reader serves several connectors, else stay (OCPP 1.6 errata 3.20, 3.89).",
    )
    restart_without_replug: bool = Field(
        default=False,
        description="A card may start a new transaction on a vehicle that was not unplugged since the last "
        "one.",
    )
    fault_stops_transaction_after_s: float | None = Field(
        default=60,
        ge=0,
        description="How long a fault may last before it ends the transaction; a shorter one only "
        "interrupts the energy. null: it never does. Ground, over-current and contactor faults always end "
        "it at once.",
    )
    resume_tx_after_power_loss: bool = Field(
        default=False,
        description="A transaction that a power cut interrupted goes on after the restart; otherwise it is "
        "stopped with reason PowerLoss.",
    )
    transactions_before_accepted: bool = Field(
        default=False,
        description="Charging is possible before the central system has ever accepted this station; its "
        "messages wait (OCPP 1.6 §4.2.1).",
    )
    transfers: Literal["real", "simulated"] = Field(
        default="real",
        description="simulated: firmware downloads and log uploads only pretend to move bytes, and always "
        "succeed.",
    )
    diagnostics_file_name: str = Field(
        default="{identity}-diagnostics-{time}.txt",
        min_length=1,
        max_length=255,
        description="The name of an uploaded diagnostics file; {identity} and {time} are filled in.",
    )

    @field_validator("diagnostics_file_name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        try:
            used = {field for _, field, _, _ in string.Formatter().parse(name) if field is not None}
        except ValueError:
            raise mistake("has an unpaired brace; write {{ or }} for a brace itself") from None
        if used - {"identity", "time"}:
            raise mistake("has an unknown part in braces; there are {identity} and {time}")
        if "/" in name:
            raise mistake("must not contain a slash; the central system chooses the folder")
        try:
            name.format(identity="", time="")
        except ValueError:
            raise mistake("has a format in braces that does not fit text") from None
        return name


class CompatibilityConfig(Section):
    """The few disputed behaviours of OCPP 1.6, each by name; the defaults are the specification's reading."""

    authorization_key_encoding: Literal["auto", "hex", "literal"] = Field(
        default="auto",
        description="How an AuthorizationKey becomes a password. hex: its digits are decoded, as OCPP-J 1.6 "
        "§6.2.2 says; literal: the text itself, as some central systems expect; auto: an even number of 32 "
        "to 40 hexadecimal digits is decoded, anything else taken literally.",
    )
    trigger_boot_when_accepted: Literal["reject", "accept"] = Field(
        default="reject",
        description="TriggerMessage for a BootNotification on the connection on which the station was "
        "accepted (errata 3.35). After a reconnect it is accepted in either case.",
    )
    firmware_restart: Literal["before_installed", "after_installed", "none"] = Field(
        default="before_installed",
        description="When a firmware update restarts the station: before it reports Installed (errata "
        "3.47), after it, or not at all.",
    )
    schema_error_code: Literal["by_kind", "formation_violation"] = Field(
        default="by_kind",
        description="The error code for a payload that breaks the schema: the one of the specification's "
        "table for that kind of fault, or FormationViolation for every kind.",
    )
    unparsable_frame: Literal["generic_error", "ignore"] = Field(
        default="generic_error",
        description="A text frame in which no message can be recognised is answered with GenericError under "
        "the id -1, or not at all; OCPP-J 1.6 says nothing about it.",
    )
    binary_frame: Literal["ignore", "generic_error"] = Field(
        default="ignore",
        description="A binary frame, which OCPP-J does not use, is ignored or answered like an unparsable "
        "one.",
    )
    set_profile_bad_connector: Literal["callerror", "rejected"] = Field(
        default="callerror",
        description="SetChargingProfile for a connector that does not exist: PropertyConstraintViolation "
        "(errata 3.39), or status Rejected.",
    )
    absolute_without_start: Literal["accept", "reject"] = Field(
        default="accept",
        description="An Absolute charging profile without startSchedule: it counts from the start of "
        "charging (OCPP 1.6 §7.13), or is refused.",
    )
    relative_max_profile: Literal["accept", "reject"] = Field(
        default="accept",
        description="A Relative ChargePointMaxProfile, which has no transaction to be relative to: it "
        "counts from its installation, or is refused.",
    )
    tx_default_zero_after_n: Literal["keep", "overwrite"] = Field(
        default="keep",
        description="A TxDefaultProfile for connector 0 that comes after one of the same stack level for a "
        "single connector: the single connector keeps its own, or loses it.",
    )
    composite_start_schedule: Literal["omit", "include"] = Field(
        default="omit",
        description="startSchedule inside the schedule of GetCompositeSchedule: left out (errata 3.57), or "
        "given for central systems that read it.",
    )
    full_list_entry_without_info: Literal["failed", "skip"] = Field(
        default="failed",
        description="An entry without idTagInfo in a full SendLocalList: the whole list fails, or the entry "
        "is passed over.",
    )
    firmware_signature_algorithms: tuple[SignatureAlgorithm, ...] = Field(
        default=("rsa_pss", "rsa_pkcs1v15", "ecdsa"),
        min_length=1,
        description="The signatures that signed firmware may carry; the security whitepaper names RSA-PSS, "
        "signers in the field use the others too.",
    )
    require_ca_certificates: bool = Field(
        default=False,
        description="A root certificate is only installed if it says of itself that it is a certificate "
        "authority; operators also pin plain server certificates.",
    )
    allow_unsigned_firmware: Literal["by_profile", True, False] = Field(
        default="by_profile",
        description="Plain UpdateFirmware: allowed in security profile 0 and refused in 1 to 3 (whitepaper "
        "L01.FR.20), always allowed, or always refused.",
    )
    remote_start_without_connector: Literal["accept", "reject"] = Field(
        default="accept",
        description="RemoteStartTransaction without connectorId: the next connector that can serve takes "
        "it, or it is refused (OCPP 1.6 §5.11 allows both).",
    )
    temperature_unit: Literal["Celcius", "Celsius"] = Field(
        default="Celcius",
        description="The unit of temperatures on the wire: misspelled as in the original schema (OCPP-J "
        "errata 2.1), or spelled right.",
    )
    expired_profile: Literal["accept", "reject"] = Field(
        default="accept",
        description="A charging profile whose validTo is already past: installed without effect, or refused.",
    )
    remote_start_profile_transaction_id: Literal["reject", "ignore"] = Field(
        default="reject",
        description="A transactionId in the charging profile of a RemoteStartTransaction, where none can be "
        "known (errata 3.41): the request is refused, or the field ignored.",
    )
    too_many_configuration_keys: Literal["answer", "error"] = Field(
        default="answer",
        description="GetConfiguration for more keys than GetConfigurationMaxKeys: answered all the same, or "
        "with OccurenceConstraintViolation.",
    )
    unlock_tethered_stops_transaction: bool = Field(
        default=False,
        description="UnlockConnector on a fixed cable, which has nothing to unlock, ends a running "
        "transaction.",
    )
    security_events: Literal["required", "all"] = Field(
        default="required",
        description="The security events that are sent: those the whitepaper asks for, or every one.",
    )
    server_name: Literal["cn_or_san", "san"] = Field(
        default="cn_or_san",
        description="Where the central system's certificate may carry its name: common name or alternative "
        "name (the whitepaper asks for the common name), or the alternative name only.",
    )

    @field_validator("firmware_signature_algorithms")
    @classmethod
    def _without_repetition(cls, names: tuple[SignatureAlgorithm, ...]) -> tuple[SignatureAlgorithm, ...]:
        if len(set(names)) < len(names):
            raise mistake("names an algorithm twice; keep one of them")
        return names
