"""GetDiagnostics and GetLog: which file is asked for, and under which name it goes out (§5.9; N01)."""

from __future__ import annotations

import re
from typing import Protocol

from ocpp.exceptions import PropertyConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.datatypes import LogParameters
from ocpp.v16.enums import Log, LogStatus

from chargepoint.ocpp16.firmware_management import upload
from chargepoint.ocpp16.firmware_management.job import attempts, retry_interval_s
from chargepoint.ocpp16.firmware_management.upload import DIAGNOSTICS, KIND, LOG, Job, Upload, Wording
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.times import format_time, parse_time

SECURITY_LOG_NAME = "{identity}-security-log-{time}.txt"
NAME_LENGTH = 255
_UNSAFE = re.compile(r"[^A-Za-z0-9._()+=@ -]")


class Host(upload.Host, Protocol):
    """What the uploads need of their station."""

    @property
    def security_events(self) -> SecurityEvents:
        """They keep the security log."""


class Uploads:
    """At most one upload of diagnostics and one of a log, side by side.

    `name` is the template of diagnostics files, with {identity} and {time}.
    """

    __slots__ = ("_diagnostics", "_host", "_identity", "_log", "_name")

    def __init__(self, host: Host, identity: str, name: str) -> None:
        self._host = host
        self._identity = identity
        self._name = name
        kept = {key for key, _ in host.turn.store.items(KIND)}
        # None until asked for: most stations never are.
        self._diagnostics = self._upload(DIAGNOSTICS) if DIAGNOSTICS.key in kept else None
        self._log = self._upload(LOG) if LOG.key in kept else None

    def _upload(self, wording: Wording) -> Upload:
        return Upload(self._host, wording, self._content)

    def _content(self, job: Job) -> bytes:
        """What there is to say now."""
        if job.log_type == Log.security_log:
            now = self._host.turn.time.utc()
            return self._host.security_events.log.text(self._identity, now, job.since, job.until)
        return self._host.outside.log_source.diagnostics(job.since, job.until)

    # --- requests -----------------------------------------------------------------------------------

    def on_get_diagnostics(self, request: call.GetDiagnostics) -> call_result.GetDiagnostics:
        """Upload the diagnostics; one that is under way is called off (OCPP 1.6 §5.9)."""
        job = Job(
            request.location,
            self._file_name(self._name),
            attempts(request.retries),
            retry_interval_s(request.retry_interval),
            _moment(request.start_time),
            _moment(request.stop_time),
        )
        self._diagnostics = self._diagnostics or self._upload(DIAGNOSTICS)
        self._diagnostics.begin(job)
        return call_result.GetDiagnostics(file_name=job.name)

    def on_get_log(self, request: call.GetLog) -> call_result.GetLog:
        """Upload a log; one that is under way is called off (whitepaper N01)."""
        log = LogParameters(**request.log) if isinstance(request.log, dict) else request.log
        template = SECURITY_LOG_NAME if request.log_type == Log.security_log else self._name
        job = Job(
            log.remote_location,
            self._file_name(template),
            attempts(request.retries),
            retry_interval_s(request.retry_interval),
            _moment(log.oldest_timestamp),
            _moment(log.latest_timestamp),
            str(request.log_type),
            request.request_id,
        )
        self._log = self._log or self._upload(LOG)
        status = LogStatus.accepted_canceled if self._log.running else LogStatus.accepted
        self._log.begin(job)
        return call_result.GetLog(status=status, filename=job.name)

    def _file_name(self, template: str) -> str:
        """Safe in any directory: the identity is whatever somebody thought of."""
        at = re.sub(r"[-:]|\.\d+", "", format_time(self._host.turn.time.utc()))
        name = _UNSAFE.sub("_", template.format(identity=self._identity, time=at)).strip(" .") or "log"
        stem, dot, extension = name.rpartition(".")
        if len(name) <= NAME_LENGTH or not dot or len(extension) > 10:
            return name[:NAME_LENGTH]
        return f"{stem[: NAME_LENGTH - len(extension) - 1]}.{extension}"

    # --- triggers -----------------------------------------------------------------------------------

    def trigger_diagnostics(self) -> bool:
        """DiagnosticsStatusNotification with the present status, Idle if nothing is uploaded (§8.13)."""
        return (self._diagnostics or self._upload(DIAGNOSTICS)).triggered()

    def trigger_log(self) -> bool:
        """LogStatusNotification with the present status, Idle if nothing is uploaded."""
        return (self._log or self._upload(LOG)).triggered()

    # --- events -------------------------------------------------------------------------------------

    def registered(self) -> None:
        """The central system accepted this station."""
        for one in self._all():
            one.resume()

    def link_up(self) -> None:
        """A new connection: tell what was not told."""
        for one in self._all():
            one.say()

    def close(self) -> None:
        """Nothing is sent any more; what must go on after the next start is in the store."""
        for one in self._all():
            one.close()

    def _all(self) -> tuple[Upload, ...]:
        return tuple(one for one in (self._diagnostics, self._log) if one is not None)


def _moment(text: str | None) -> float | None:
    """A dateTime of theirs; raises `PropertyConstraintViolationError` for one that is none."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise PropertyConstraintViolationError(str(error)) from None
