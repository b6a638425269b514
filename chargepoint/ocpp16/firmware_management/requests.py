"""The handlers of UpdateFirmware and SignedUpdateFirmware (OCPP 1.6 §5.19; whitepaper L01)."""

from __future__ import annotations

from typing import Protocol

from ocpp.exceptions import NotSupportedError, PropertyConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.enums import UpdateFirmwareStatus

from chargepoint.ocpp16.firmware_management import host
from chargepoint.ocpp16.firmware_management.job import Job, attempts, retry_interval_s
from chargepoint.ocpp16.firmware_management.trust import signing_problem, unsigned_allowed
from chargepoint.ocpp16.firmware_management.updates import Updates
from chargepoint.ocpp16.security.vault import MANUFACTURER
from chargepoint.ocpp16.times import parse_time


class Host(host.Host, Protocol):
    """The station with its updates."""

    updates: Updates


def on_update_firmware(host: Host, request: call.UpdateFirmware) -> call_result.UpdateFirmware:
    """Fetch firmware and install it (§5.19); the answer only says that this was heard.

    Raises `NotSupportedError` where only signed firmware is taken, and `PropertyConstraintViolationError` for
    a date that is none.
    """
    if not unsigned_allowed(host.compatibility.allow_unsigned_firmware, host.configuration):
        raise NotSupportedError("only signed firmware is taken: use SignedUpdateFirmware")
    taken = host.updates.take(
        Job(
            serial=host.updates.next_serial,
            location=request.location,
            retrieve_at=_moment(request.retrieve_date),
            attempts=attempts(request.retries),
            retry_interval_s=retry_interval_s(request.retry_interval),
        )
    )
    if not taken:
        host.complain("UpdateFirmware was ignored: other firmware is being installed")
    return call_result.UpdateFirmware()


def on_signed_update_firmware(
    host: Host, request: call.SignedUpdateFirmware
) -> call_result.SignedUpdateFirmware:
    """Fetch firmware, check its signature and install it, if its signer is trusted (L01).

    Raises `PropertyConstraintViolationError` for a date that is none.
    """
    return call_result.SignedUpdateFirmware(status=_judged(host, _signed_job(host, request)))


def _signed_job(host: Host, request: call.SignedUpdateFirmware) -> Job:
    firmware = request.firmware
    install_date = firmware.get("install_date_time")
    return Job(
        serial=host.updates.next_serial,
        location=firmware["location"],
        retrieve_at=_moment(firmware["retrieve_date_time"]),
        attempts=attempts(request.retries),
        retry_interval_s=retry_interval_s(request.retry_interval),
        install_at=None if install_date is None else _moment(install_date),
        request_id=request.request_id,
        certificate=firmware["signing_certificate"],
        signature=firmware["signature"],
    )


def _judged(host: Host, wanted: Job) -> UpdateFirmwareStatus:
    problem = signing_problem(
        wanted.certificate,
        host.vault.roots(MANUFACTURER),
        host.time.utc(),
        host.outside.key_store,
        host.compatibility.require_ca_certificates,
    )
    if problem is not None:
        host.security_events.report("InvalidFirmwareSigningCertificate", problem)
        return UpdateFirmwareStatus.invalid_certificate
    calls_off = host.updates.pending
    if not host.updates.take(wanted):
        return UpdateFirmwareStatus.rejected
    return UpdateFirmwareStatus.accepted_canceled if calls_off else UpdateFirmwareStatus.accepted


def _moment(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise PropertyConstraintViolationError(str(error)) from None
