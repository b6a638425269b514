"""The bad habits of stations in the field, each by name; without one a station keeps to the specification."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chargepoint.config.section import Section

__all__ = ["QuirksConfig"]

_WEEK_S = 604_800


class QuirksConfig(Section):
    """Bad habits seen in the field; whatever is set is switched on. docs/templates.md tells who has them.

    A probability is drawn anew for each message or transaction, by seed: the same seed, the same day.
    """

    late_status_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="StatusNotification leaves so much later than the status changed: stations that collect "
        "statuses until their modem has a slot.",
    )
    status_flood_s: float | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Every connector's last status is sent again at this interval: firmware that takes a "
        "StatusNotification for a sign of life.",
    )
    status_padding: Literal["nulls", "empty"] | None = Field(
        default=None,
        description="StatusNotification always fills info and the vendor's fields, with the word null and "
        "0x0000 or with nothing: wall boxes that send their C structure as it is.",
    )
    lower_case_status: bool = Field(
        default=False,
        description="status and errorCode come in lower case: small makers whose words are those of their "
        "own program.",
    )
    own_error_codes: bool = Field(
        default=False,
        description="A fault is errorCode Error, a word OCPP does not have, the real one beside it as "
        "vendorErrorCode: makers of installation material with a fault list of their own.",
    )
    boots_in_1970: bool = Field(
        default=False,
        description="The first status of each connector after a start carries a moment in 1970: "
        "microcontrollers without a clock battery that note the time before they are told it.",
    )
    boots_on_reconnect: bool = Field(
        default=False,
        description="BootNotification at every reconnection, not only after a start: stations that cannot "
        "tell the two apart.",
    )
    no_serial_number: bool = Field(
        default=False,
        description="BootNotification without any serial number: stations told apart by their address alone.",
    )
    reboots_every_s: float | None = Field(
        default=None,
        ge=60,
        le=53 * _WEEK_S,
        description="The software restarts by itself at this interval, 604800 for each week: firmware whose "
        "maker cures a leak by a timer.",
    )
    soft_reset_not_supported: bool = Field(
        default=False,
        description="A soft Reset is answered with the CALLERROR NotSupported: stations that only know how "
        "to cut their own power.",
    )
    slow_remote_start_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="RemoteStartTransaction is answered after so long: stations that ask the charge "
        "controller first, over a slow bus.",
    )
    ignores_tx_profile: bool = Field(
        default=False,
        description="A TxProfile is Accepted and nothing comes of it: wall boxes whose load management "
        "listens to ChargePointMaxProfile alone.",
    )
    heartbeat_every_s: float | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="A Heartbeat at this interval, whatever the central system asked for and however much "
        "else is sent: stations whose modem link must not fall asleep.",
    )
    no_heartbeat_while_charging: bool = Field(
        default=False,
        description="No Heartbeat while a transaction runs: stations that take MeterValues for a sign of "
        "life.",
    )
    duplicate_start: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The probability that a StartTransaction is sent twice, under two message ids: firmware "
        "in which two tasks start the transaction, and modems with one good direction.",
    )
    loses_stop: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The probability that a StopTransaction is never sent: stations that keep transactions "
        "in memory only.",
    )
    stop_reason: str | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Every StopTransaction gives this reason, whatever the true one: stations that know one "
        "way to end only.",
    )
    no_transaction_data: bool = Field(
        default=False,
        description="StopTransaction without transactionData, though it is configured: old stations that "
        "report the key and do not act on it.",
    )
    meter_stop_zero: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The probability that a StopTransaction says meterStop 0: stations whose meter does not "
        "answer once the contactor is open.",
    )
    register_falls: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The probability that MeterValues show an energy register below the last one: stations "
        "that add the session to a register saved too rarely.",
    )
    kwh: Literal["labelled", "unlabelled"] | None = Field(
        default=None,
        description="Energies of MeterValues in kWh: labelled as such, as some wall boxes do, "
        "or in whole kWh that call themselves Wh, as an open firmware once did.",
    )
    long_decimals: bool = Field(
        default=False,
        description="Measured values with six decimals: firmware that prints floating-point numbers as C "
        "does.",
    )
    local_time_h: float | None = Field(
        default=None,
        ge=-12,
        le=14,
        description="Timestamps in local time, so many hours ahead of UTC, without saying so: stations set "
        "up by an installer's watch.",
    )
    counting_message_ids: bool = Field(
        default=False,
        description="Message ids count from 1 and begin anew at each start: firmware on microcontrollers.",
    )
    repeated_message_ids: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The probability that a CALL bears the message id of the one before: ids made from the "
        "time in seconds.",
    )

    @property
    def switched_on(self) -> tuple[tuple[str, str | float | bool], ...]:
        """The names in force, in the order in which they act, with what they are set to."""
        return tuple((name, value) for name, value in self if value is not None and value is not False)
