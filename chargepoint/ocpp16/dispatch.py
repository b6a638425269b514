"""Which handler serves which CALL, and what an absent feature profile answers (OCPP 1.6 §3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ocpp import exceptions
from ocpp.v16 import call_result
from ocpp.v16.enums import CancelReservationStatus, ReservationStatus, UpdateStatus

from chargepoint.ocpp16 import firmware_management, local_auth_list, messages, remote_trigger, schema
from chargepoint.ocpp16.firmware_management import requests
from chargepoint.ocpp16.security import EXTENSION

if TYPE_CHECKING:
    from chargepoint.ocpp16.charge_point import ChargePoint

SMART_CHARGING = "SmartCharging"


def serve(cp: ChargePoint, action: str, payload: Any) -> Any:
    """Handle a CALL: is the action known, supported here, its payload valid; then its own rules.

    Returns the handler's result; raises `ocpp.exceptions.OCPPError`.
    """
    if action not in schema.CSMS_TO_CP and action not in schema.CP_TO_CSMS:
        raise exceptions.NotImplementedError(f"{action[:50]} is no action of OCPP 1.6")
    profile, handler = HANDLERS.get(action, (None, None))
    if profile is None or handler is None or not cp.configuration.supports(profile):
        if action in WITHOUT_PROFILE:
            return WITHOUT_PROFILE[action]()
        raise exceptions.NotSupportedError(f"{action} is not supported by this charge point")
    schema.require_valid(action, payload, cp.compatibility.schema_error_code == "formation_violation")
    return handler(cp, messages.request(action, payload))


HANDLERS: dict[str, tuple[str, Callable[[ChargePoint, Any], Any]]] = {
    "ChangeAvailability": ("Core", lambda cp, request: cp.operations.on_change_availability(request)),
    "ChangeConfiguration": ("Core", lambda cp, request: cp.settings.on_change_configuration(request)),
    "ClearCache": ("Core", lambda cp, request: cp.operations.on_clear_cache(request)),
    "DataTransfer": ("Core", lambda cp, request: cp.operations.on_data_transfer(request)),
    "GetConfiguration": ("Core", lambda cp, request: cp.settings.on_get_configuration(request)),
    "RemoteStartTransaction": ("Core", lambda cp, request: cp.remote_start(request)),
    "RemoteStopTransaction": (
        "Core",
        lambda cp, request: cp.transactions.on_remote_stop_transaction(request, cp.accepted),
    ),
    "Reset": ("Core", lambda cp, request: cp.operations.on_reset(request)),
    "UnlockConnector": ("Core", lambda cp, request: cp.operations.on_unlock_connector(request)),
    "ReserveNow": ("Reservation", lambda cp, request: cp.reservation.on_reserve_now(request)),
    "CancelReservation": ("Reservation", lambda cp, request: cp.reservation.on_cancel_reservation(request)),
    "SetChargingProfile": (
        SMART_CHARGING,
        lambda cp, request: cp.smart_charging.on_set_charging_profile(request),
    ),
    "ClearChargingProfile": (
        SMART_CHARGING,
        lambda cp, request: cp.smart_charging.on_clear_charging_profile(request),
    ),
    "GetCompositeSchedule": (
        SMART_CHARGING,
        lambda cp, request: cp.smart_charging.on_get_composite_schedule(request),
    ),
    "UpdateFirmware": (
        firmware_management.PROFILE,
        lambda cp, request: requests.on_update_firmware(cp, request),
    ),
    "SignedUpdateFirmware": (
        EXTENSION,
        lambda cp, request: requests.on_signed_update_firmware(cp, request),
    ),
    "InstallCertificate": (
        EXTENSION,
        lambda cp, request: cp.root_certificates.on_install_certificate(request),
    ),
    "DeleteCertificate": (
        EXTENSION,
        lambda cp, request: cp.root_certificates.on_delete_certificate(request),
    ),
    "GetInstalledCertificateIds": (
        EXTENSION,
        lambda cp, request: cp.root_certificates.on_get_installed_certificate_ids(request),
    ),
    "CertificateSigned": (EXTENSION, lambda cp, request: cp.certificates.on_certificate_signed(request)),
    "ExtendedTriggerMessage": (
        EXTENSION,
        lambda cp, request: cp.extended_trigger.on_extended_trigger_message(request),
    ),
    "TriggerMessage": (
        remote_trigger.PROFILE,
        lambda cp, request: cp.remote_trigger.on_trigger_message(request),
    ),
    "GetDiagnostics": (
        firmware_management.PROFILE,
        lambda cp, request: cp.uploads.on_get_diagnostics(request),
    ),
    "GetLog": (EXTENSION, lambda cp, request: cp.uploads.on_get_log(request)),
    "GetLocalListVersion": (
        local_auth_list.PROFILE,
        lambda cp, request: cp.local_auth_list.on_get_local_list_version(request),
    ),
    "SendLocalList": (
        local_auth_list.PROFILE,
        lambda cp, request: cp.local_auth_list.on_send_local_list(request),
    ),
}
"""Action -> the feature profile it belongs to, and who handles it."""

WITHOUT_PROFILE: dict[str, Callable[[], Any]] = {
    "GetLocalListVersion": lambda: call_result.GetLocalListVersion(list_version=-1),
    "SendLocalList": lambda: call_result.SendLocalList(status=UpdateStatus.not_supported),
    "ReserveNow": lambda: call_result.ReserveNow(status=ReservationStatus.rejected),
    "CancelReservation": lambda: call_result.CancelReservation(status=CancelReservationStatus.rejected),
}
"""What a CALL of an absent profile gets where the answer itself can say so (OCPP-J 1.6 §4.2.2)."""
