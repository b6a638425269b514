"""Errors to put into a station, one at a time, while a test lasts: what an implementation gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ocpp.v16 import call_result
from ocpp.v16.enums import ChargingProfileStatus, UnlockStatus

from chargepoint.certificates import X509KeyStore
from chargepoint.domain import authorization
from chargepoint.domain.authorization import AuthorizationCache, Decision
from chargepoint.domain.connectors import Connectors
from chargepoint.domain.outside import Transfer
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.core.boot import Boot, Registration
from chargepoint.ocpp16.core.operations import Operations
from chargepoint.ocpp16.core.status_notification import Report, StatusReporter
from chargepoint.ocpp16.firmware_management.job import Job
from chargepoint.ocpp16.firmware_management.reports import Reports
from chargepoint.ocpp16.security.connection import ConnectionSecurity
from chargepoint.ocpp16.smart_charging import SmartCharging
from chargepoint.ocpp16.times import format_time
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.records import Record

Patch = pytest.MonkeyPatch


def _change_record(patch: Patch, change: Callable[[ChargePoint, str, dict[str, Any]], None]) -> None:
    """Do something to what is sent of a transaction."""
    render = ChargePoint.render_record

    def changed(cp: ChargePoint, record: Record) -> tuple[str, Any]:
        action, payload = render(cp, record)
        change(cp, action, payload)
        return action, payload

    patch.setattr(ChargePoint, "render_record", changed)


def authorize_skipped(patch: Patch) -> None:
    """Every tag may charge, and nobody is asked."""
    patch.setattr(authorization, "decide_start", lambda known, online, policy: Decision.START)


def stop_reason_wrong(patch: Patch) -> None:
    """Every transaction ends with reason Local."""
    _change_record(
        patch, lambda cp, action, payload: payload.update(reason="Local") if "reason" in payload else None
    )


def stop_with_a_tag_nobody_presented(patch: Patch) -> None:
    """A remote stop names the tag that started."""
    _change_record(
        patch, lambda cp, action, payload: payload.update(idTag="TAG") if "reason" in payload else None
    )


def transaction_id_wrong(patch: Patch) -> None:
    """A stop is for the next transaction."""

    def wrong(cp: ChargePoint, action: str, payload: dict[str, Any]) -> None:
        if "transactionId" in payload:
            payload["transactionId"] += 1

    _change_record(patch, wrong)


def time_of_sending(patch: Patch) -> None:
    """What happened offline is dated when it is sent."""

    def redated(cp: ChargePoint, action: str, payload: dict[str, Any]) -> None:
        if "timestamp" in payload:
            payload["timestamp"] = format_time(cp.time.utc())

    _change_record(patch, redated)


def reservation_id_omitted(patch: Patch) -> None:
    """A reserved transaction does not say so."""
    _change_record(patch, lambda cp, action, payload: payload.pop("reservationId", None))


def context_wrong(patch: Patch) -> None:
    """Sampled values pass for clock-aligned ones."""

    def wrong(cp: ChargePoint, action: str, payload: dict[str, Any]) -> None:
        for value in payload.get("meterValue", ()):
            for sample in value["sampledValue"]:
                sample["context"] = "Sample.Clock"

    _change_record(patch, wrong)


def samples_thinned(patch: Patch) -> None:
    """Offline, every second sample is left out."""
    record, last = Outbox.record, [False]

    def thinned(outbox: Outbox, kind: str, key: str | None, facts: dict[str, Any]) -> int:
        last[0] = not last[0]
        if kind == "meter" and not outbox.online and last[0]:
            return outbox.last
        return record(outbox, kind, key, facts)

    patch.setattr(Outbox, "record", thinned)


def finishing_omitted(patch: Patch) -> None:
    """Finishing is never told."""
    send = StatusReporter._send

    def silent(reporter: StatusReporter, connector_id: int, report: Report, *more: Any, **how: Any) -> None:
        if report.status.value != "Finishing":
            send(reporter, connector_id, report, *more, **how)

    patch.setattr(StatusReporter, "_send", silent)


def only_connector_0_after_the_boot(patch: Patch) -> None:
    """After acceptance only the station as a whole is reported."""
    patch.setattr(StatusReporter, "report_all", lambda reporter: reporter.send_now(0))


def connection_timeout_ignored(patch: Patch) -> None:
    """A user is waited for as long as the factory thought."""
    patch.setattr(Configuration, "connection_timeout_s", 120)


def heartbeat_interval_ignored(patch: Patch) -> None:
    """Heartbeats come as often as the factory thought."""
    patch.setattr(Configuration, "heartbeat_interval_s", 300)


def boot_interval_ignored(patch: Patch) -> None:
    """A rejected station knocks again after 10 s."""
    patch.setattr(Boot, "_next_wait_s", lambda boot, interval_s: 10.0)


def boots_on_reconnect(patch: Patch) -> None:
    """Each connection begins with a BootNotification."""
    patch.setattr(Boot, "link_up", Boot.boot_now)


def talks_while_pending(patch: Patch) -> None:
    """Pending is taken for Accepted."""
    patch.setattr(
        ChargePoint,
        "accepted",
        property(lambda cp: cp.boot.registration in (Registration.ACCEPTED, Registration.PENDING)),
    )


def acts_before_the_answer(patch: Patch) -> None:
    """What a CALL causes is sent before its answer."""
    serve = ChargePoint.serve

    def hasty(cp: ChargePoint, action: str, payload: Any) -> Any:
        result = serve(cp, action, payload)
        cp.outbox.pump()
        return result

    patch.setattr(ChargePoint, "serve", hasty)


def cache_not_cleared(patch: Patch) -> None:
    """ClearCache clears nothing."""
    patch.setattr(AuthorizationCache, "clear", lambda cache: None)


def availability_forgotten(patch: Patch) -> None:
    """A restart makes everything operative."""
    patch.setattr(Connectors, "_recall", lambda connectors: None)


def unknown_connector_fails(patch: Patch) -> None:
    """UnlockConnector never says NotSupported."""
    failed = call_result.UnlockConnector(status=UnlockStatus.unlock_failed)
    patch.setattr(Operations, "on_unlock_connector", lambda self, request: failed)


def profiles_not_installed(patch: Patch) -> None:
    """SetChargingProfile is always Accepted and does nothing."""
    accepted = call_result.SetChargingProfile(status=ChargingProfileStatus.accepted)
    patch.setattr(SmartCharging, "on_set_charging_profile", lambda self, request: accepted)


def signature_not_checked(patch: Patch) -> None:
    """Firmware is taken whatever its signature says."""
    verify = X509KeyStore.verify_file

    def right(
        store: X509KeyStore, path: str, signature: str, signer: Any, how: Any, done: Callable[[bool], None]
    ) -> Transfer:
        return verify(store, path, signature, signer, how, lambda fits: done(True))

    patch.setattr(X509KeyStore, "verify_file", right)


def every_issuer_trusted(patch: Patch) -> None:
    """A certificate of the station's own may come from anybody."""
    patch.setattr(X509KeyStore, "chained", lambda store, chain, roots: True)


def installed_never_told(patch: Patch) -> None:
    """After the restart nobody hears how the update ended."""
    note = Reports.note

    def silent(reports: Reports, job: Job, state: str) -> None:
        if state != "Installed":
            note(reports, job, state)

    patch.setattr(Reports, "note", silent)


def password_kept(patch: Patch) -> None:
    """A new AuthorizationKey is Accepted and not used."""
    patch.setattr(ConnectionSecurity, "_try", lambda security, candidate: None)


def certificate_not_shown(patch: Patch) -> None:
    """A new certificate is Accepted and not shown."""
    patch.setattr(ConnectionSecurity, "certificates_changed", lambda security: None)


def downgrade_allowed(patch: Patch) -> None:
    """Every security profile is Accepted."""
    patch.setattr(ConnectionSecurity, "_may_rise", lambda security, now, text: True)
