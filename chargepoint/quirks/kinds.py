"""The bad habits themselves, by the names under which `QuirksConfig` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.quirks.quirk import Call, Line, Payload, Quirk

__all__ = ["KINDS", "make"]

_ENERGY = "Energy."
_REGISTER = "Energy.Active.Import.Register"  # also what a sample without a measurand means (OCPP 1.6 §7.43)
_FALLS_BY_WH = 1000.0


class _Repeating(Quirk):
    """Does something again and again on the station's clock; stations made alike do not do it at once."""

    __slots__ = ()

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        line.after(self.value * (1.0 - line.chance(type(self).__name__)), self._due)

    def _due(self) -> None:
        self.line.after(self.value, self._due)
        self.act()

    def act(self) -> None:
        """What is repeated."""


class RegisterFalls(Quirk):
    """`register_falls`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action != "MeterValues" or self.line.chance("register") >= self.value:
            return
        by_wh = 1 + int(self.line.chance("fall") * _FALLS_BY_WH)
        for sample in call.samples():
            if sample.get("measurand", _REGISTER) == _REGISTER:
                sample["value"] = f"{max(float(sample['value']) - by_wh, 0.0):g}"
                call.changed = True


class Kwh(Quirk):
    """`kwh`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        for sample in call.samples():
            if not sample.get("measurand", _REGISTER).startswith(_ENERGY):
                continue
            if sample.get("unit", "Wh") != "Wh":
                continue
            call.changed = True
            kwh = float(sample["value"]) / 1000
            if self.value == "labelled":
                sample["value"], sample["unit"] = f"{kwh:.3f}", "kWh"
            else:
                sample["value"] = str(int(kwh))


class LongDecimals(Quirk):
    """`long_decimals`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        for sample in call.samples():
            sample["value"] = f"{float(sample['value']):.6f}"
            call.changed = True


class LocalTime(Quirk):
    """`local_time_h`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        for stamped in (call.payload, *call.readings()):
            if "timestamp" in stamped:
                utc = parse_time(stamped["timestamp"])
                stamped["timestamp"] = format_time(utc + self.value * 3600).removesuffix("Z")
                call.changed = True


class BootsIn1970(Quirk):
    """`boots_in_1970`."""

    __slots__ = ("_told",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._told: set[int] = set()

    def on_call(self, call: Call) -> None:
        if call.action == "BootNotification":
            self._told.clear()
        elif call.action == "StatusNotification" and call.payload["connectorId"] not in self._told:
            self._told.add(call.payload["connectorId"])
            call.payload["timestamp"] = format_time(float(len(self._told)))
            call.changed = True


class LateStatus(Quirk):
    """`late_status_s`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StatusNotification":
            call.delay_s = self.value


class StatusFlood(_Repeating):
    """`status_flood_s`."""

    __slots__ = ("_last",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._last: dict[int, Payload] = {}

    def on_call(self, call: Call) -> None:
        if call.action == "StatusNotification":
            self._last[call.payload["connectorId"]] = call.payload

    def act(self) -> None:
        if self.line.edge.host.accepted:
            for _, payload in sorted(self._last.items()):
                self.line.call("StatusNotification", payload)


class StatusPadding(Quirk):
    """`status_padding`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StatusNotification":
            if self.value == "nulls":
                padding = {"info": "null", "vendorErrorCode": "0x0000"}
            else:
                padding = {"info": "", "vendorId": ""}
            for name, text in padding.items():
                call.payload.setdefault(name, text)
            call.changed = True


class OwnErrorCodes(Quirk):
    """`own_error_codes`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StatusNotification" and call.payload["errorCode"] != "NoError":
            call.payload["vendorErrorCode"] = call.payload["errorCode"]
            call.payload["errorCode"] = "Error"
            call.changed = True


class LowerCaseStatus(Quirk):
    """`lower_case_status`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StatusNotification":
            for name in ("status", "errorCode"):
                call.payload[name] = call.payload[name].lower()
            call.changed = True


class NoSerialNumber(Quirk):
    """`no_serial_number`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "BootNotification":
            for name in ("chargePointSerialNumber", "chargeBoxSerialNumber", "meterSerialNumber"):
                call.payload.pop(name, None)
            call.changed = True


class BootsOnReconnect(Quirk):
    """`boots_on_reconnect`."""

    __slots__ = ("_boot",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._boot: Payload | None = None

    def on_call(self, call: Call) -> None:
        if call.action == "BootNotification":
            self._boot = call.payload

    def link_up(self) -> None:
        if self._boot is not None and self.line.edge.host.accepted:
            self.line.call("BootNotification", self._boot)


class RebootsEvery(_Repeating):
    """`reboots_every_s`."""

    __slots__ = ()

    def act(self) -> None:
        self.line.edge.host.restart("Reboot")


class HeartbeatEvery(_Repeating):
    """`heartbeat_every_s`."""

    __slots__ = ()

    def act(self) -> None:
        if self.line.edge.host.accepted:
            self.line.call("Heartbeat", {})


class NoHeartbeatWhileCharging(Quirk):
    """`no_heartbeat_while_charging`."""

    __slots__ = ("_running",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._running: set[int] = set()

    def on_call(self, call: Call) -> None:
        # By the status: transaction-related messages are repeated, and kept for longer than the transaction.
        if call.action == "StatusNotification":
            charging = call.payload["status"] in ("Charging", "SuspendedEV", "SuspendedEVSE")
            (self._running.add if charging else self._running.discard)(call.payload["connectorId"])
        elif call.action == "Heartbeat" and self._running:
            call.swallowed = {"currentTime": format_time(self.line.edge.host.utc())}


class DuplicateStart(Quirk):
    """`duplicate_start`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StartTransaction" and self.line.chance("start") < self.value:
            call.twice = True


class StopReason(Quirk):
    """`stop_reason`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StopTransaction":
            call.payload["reason"] = self.value
            call.changed = True


class NoTransactionData(Quirk):
    """`no_transaction_data`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StopTransaction" and call.payload.pop("transactionData", None) is not None:
            call.changed = True


class MeterStopZero(Quirk):
    """`meter_stop_zero`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StopTransaction" and self.line.chance("meter stop") < self.value:
            call.payload["meterStop"] = 0
            call.changed = True


class LosesStop(Quirk):
    """`loses_stop`."""

    __slots__ = ()

    def on_call(self, call: Call) -> None:
        if call.action == "StopTransaction" and self.line.chance("stop") < self.value:
            call.swallowed = {}


class CountingMessageIds(Quirk):
    """`counting_message_ids`."""

    __slots__ = ("_count",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._count = 0

    def rename(self, action: str, message_id: str) -> str:
        self._count = 1 if action == "BootNotification" else self._count + 1
        return str(self._count)


class RepeatedMessageIds(Quirk):
    """`repeated_message_ids`."""

    __slots__ = ("_last",)

    def settle_in(self, line: Line) -> None:
        super().settle_in(line)
        self._last: str | None = None

    def rename(self, action: str, message_id: str) -> str:
        if self._last is None or self.line.chance("message id") >= self.value:
            self._last = message_id
        return self._last


class SoftResetNotSupported(Quirk):
    """`soft_reset_not_supported`."""

    __slots__ = ()

    def on_request(self, action: str, payload: Any) -> Payload | str | None:
        return "NotSupported" if action == "Reset" and payload == {"type": "Soft"} else None


class SlowRemoteStart(Quirk):
    """`slow_remote_start_s`."""

    __slots__ = ()

    def thinks_s(self, action: str) -> float:
        return float(self.value) if action == "RemoteStartTransaction" else 0.0


class IgnoresTxProfile(Quirk):
    """`ignores_tx_profile`."""

    __slots__ = ()

    def on_request(self, action: str, payload: Any) -> Payload | str | None:
        if action != "SetChargingProfile" or not isinstance(payload, dict):
            return None
        profile = payload.get("csChargingProfiles")
        purpose = profile.get("chargingProfilePurpose") if isinstance(profile, dict) else None
        return {"status": "Accepted"} if purpose == "TxProfile" else None


KINDS: Mapping[str, type[Quirk]] = {
    "register_falls": RegisterFalls,
    "kwh": Kwh,
    "long_decimals": LongDecimals,
    "boots_in_1970": BootsIn1970,
    "local_time_h": LocalTime,
    "status_padding": StatusPadding,
    "own_error_codes": OwnErrorCodes,
    "lower_case_status": LowerCaseStatus,
    "status_flood_s": StatusFlood,
    "late_status_s": LateStatus,
    "no_serial_number": NoSerialNumber,
    "boots_on_reconnect": BootsOnReconnect,
    "reboots_every_s": RebootsEvery,
    "heartbeat_every_s": HeartbeatEvery,
    "no_heartbeat_while_charging": NoHeartbeatWhileCharging,
    "duplicate_start": DuplicateStart,
    "stop_reason": StopReason,
    "no_transaction_data": NoTransactionData,
    "meter_stop_zero": MeterStopZero,
    "loses_stop": LosesStop,
    "counting_message_ids": CountingMessageIds,
    "repeated_message_ids": RepeatedMessageIds,
    "soft_reset_not_supported": SoftResetNotSupported,
    "slow_remote_start_s": SlowRemoteStart,
    "ignores_tx_profile": IgnoresTxProfile,
}
"""Every quirk by name, in the order in which they act on a message."""


def make(switched_on: Mapping[str, Any]) -> list[Quirk]:
    """One station's quirks, in the order in which they act."""
    return [kind(switched_on[name]) for name, kind in KINDS.items() if name in switched_on]
