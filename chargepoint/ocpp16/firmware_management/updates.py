"""The course of a firmware update, plain or signed, from its request to its end (OCPP 1.6 §5.19; L01)."""

from __future__ import annotations

from chargepoint.domain.outside import TransferFailed
from chargepoint.domain.ports import Store
from chargepoint.ocpp16.firmware_management.host import Host
from chargepoint.ocpp16.firmware_management.job import (
    FINAL,
    JOB,
    KIND,
    Job,
    Step,
    file_version,
    forget_replaced,
    in_place,
    presentable,
    put_in_place,
)
from chargepoint.ocpp16.firmware_management.reports import Reports
from chargepoint.ocpp16.firmware_management.work import Work

WAITING = frozenset({Step.CLEARING, Step.RESTARTING, Step.LEAVING})
"""For those who charge."""

MOST_INSTALLATIONS = 2
"""Of one update: a power cut interrupts one, so it is begun once more."""


class Updates:
    """The newest update and what is still to be told of it; call everything inside a turn.

    An update is one document, stored before anything is sent or begun. Each event moves it on as far as it
    can go; what takes time outside is begun after the commit, and again by the next start of the station.
    `plate` is the factory's boot payload.
    """

    __slots__ = ("_held", "_host", "_job", "_plate", "_reports", "_store", "_work")

    def __init__(self, store: Store, plate: dict[str, str], host: Host) -> None:
        self._host = host
        self._store = store
        self._plate = plate
        document = store.get(KIND, JOB)
        self._job = None if document is None else Job.recalled(document)
        self._reports = Reports(store, host.outbox, host.turn)
        self._work = Work(host)
        self._held = False  # something waits until the store can be written again

    @property
    def installing(self) -> bool:
        """Firmware is being written: nobody should interrupt that (OCPP 1.6 §5.14)."""
        return self._job is not None and self._job.step is Step.INSTALLING

    @property
    def pending(self) -> bool:
        """An update has not ended yet."""
        return self._job is not None and not self._job.ended

    @property
    def next_serial(self) -> int:
        """The number of the next update."""
        return 1 if self._job is None else self._job.serial + 1

    def take(self, wanted: Job) -> bool:
        """Put an update in the place of the one before; False if that cannot be called off any more."""
        old = self._job
        if old is not None and old.step in FINAL:
            return False
        if old is not None and not old.ended:
            self._work.stop()
            self._reports.forget(old)
            self._discard(old)
            self._keep_off(False)
        self._job = wanted
        if self._host.time.utc() >= wanted.retrieve_at:
            self._attempt(wanted)
        elif wanted.signed:
            self._say(wanted, "DownloadScheduled")
        self._moved(wanted)
        return True

    # --- the course ---------------------------------------------------------------------------------

    def _attempt(self, job: Job) -> None:
        job.step = Step.DOWNLOADING
        job.attempts -= 1
        self._say(job, "Downloading")

    def _downloaded(self, job: Job, path: str) -> None:
        job.path = path
        self._say(job, "Downloaded")
        if job.signed:
            job.step = Step.VERIFYING
        else:
            self._plan(job)
        self._moved(job)

    def _not_downloaded(self, job: Job, error: TransferFailed) -> None:
        self._host.complain(f"the firmware could not be downloaded: {error}")
        self._say(job, "DownloadFailed")
        if job.attempts > 0 and error.kind != "unsupported":
            job.step = Step.RETRYING
        else:
            self._end(job)
        self._moved(job)

    def _verified(self, job: Job, genuine: bool) -> None:
        if genuine:
            self._say(job, "SignatureVerified")
            self._plan(job)
        else:
            self._say(job, "InvalidSignature")
            self._host.security_events.report("InvalidFirmwareSignature")
            self._end(job)
        self._moved(job)

    def _plan(self, job: Job) -> None:
        """The file is good: install it, or wait for the moment that was asked for."""
        if job.install_at is not None and self._host.time.utc() < job.install_at:
            job.step = Step.PLANNED
            self._say(job, "InstallScheduled")
        else:
            job.step = Step.CLEARING

    def _clear(self, job: Job) -> None:
        """Install it, or wait for those who charge if they cannot go on meanwhile (§5.19)."""
        if self._host.outside.installer.blocks_charging:
            self._keep_off(True)
        if not self._must_wait():
            job.step = Step.INSTALLING
            job.installations = 1
            self._say(job, "Installing")
        elif job.signed and job.status != "InstallScheduled":
            self._say(job, "InstallScheduled")
        else:
            return
        self._moved(job)
        self._host.turn.settle_all()  # this comes after a commit, and needs one of its own

    def _installed(self, job: Job, version: str) -> None:
        if presentable(version):
            put_in_place(self._store, presentable(version), self._plate)
        restart = self._host.compatibility.firmware_restart
        job.step = Step.RESTARTING
        if restart != "before_installed":
            self._succeed(job)
            job.step = Step.LEAVING
        if restart == "none":
            self._end(job)
        elif job.signed:
            self._say(job, "InstallRebooting")
        self._moved(job)

    def _not_installed(self, job: Job, problem: str) -> None:
        self._host.complain(f"the firmware could not be installed: {problem}")
        self._say(job, "InstallationFailed")
        self._end(job)
        self._moved(job)

    def _restart(self, job: Job) -> None:
        """Restart as soon as nobody charges; where nobody can restart the station it goes on as it is."""
        self._keep_off(True)
        if not self._must_wait() and not self._host.restart_asked("Reboot"):
            self._host.complain("this station cannot restart by itself, which the new firmware may need")
            self._restarted(job)

    def _restarted(self, job: Job) -> None:
        if job.step is Step.RESTARTING:
            self._succeed(job)
        self._end(job)
        self._moved(job)

    def _succeed(self, job: Job) -> None:
        self._say(job, "Installed")
        self._host.security_events.report("FirmwareUpdated", self._present_version())

    def _end(self, job: Job) -> None:
        job.step = Step.ENDED
        self._discard(job)
        self._keep_off(False)

    def _version(self, job: Job) -> str:
        """What it brings: what a script says, what the file's name says, else what there is."""
        told = presentable(self._host.outside.firmware_outcome.version or "")
        return told or file_version(job.location) or self._present_version()

    def _present_version(self) -> str:
        return in_place(self._store, self._plate).get("firmwareVersion", "")

    # --- steps --------------------------------------------------------------------------------------

    def _moved(self, job: Job) -> None:
        """Store how far it has come, then begin what is next."""
        self._store.put(KIND, JOB, job.document())
        self._host.turn.answer(self._go_on)

    def _go_on(self) -> None:
        """Tell what is stored, and begin what the present step waits for unless that is under way."""
        if not self._host.turn.stored:
            self._held = True
            return
        self._send_reports()
        if self._job is not None and not self._work.under_way:
            self._begin(self._job)

    def _begin(self, job: Job) -> None:
        work = self._work
        if job.step is Step.SCHEDULED:
            work.wait_until(job.retrieve_at, lambda: self._due(job))
        elif job.step is Step.DOWNLOADING:
            work.download(
                job,
                lambda path: self._downloaded(job, path),
                lambda error: self._not_downloaded(job, error),
            )
        elif job.step is Step.RETRYING:
            work.wait(job.retry_interval_s, lambda: self._due(job))
        elif job.step is Step.VERIFYING:
            work.verify(job, lambda genuine: self._verified(job, genuine))
        elif job.step is Step.PLANNED and job.install_at is not None:
            work.wait_until(job.install_at, lambda: self._due(job))
        elif job.step is Step.CLEARING:
            self._clear(job)
        elif job.step is Step.INSTALLING:
            work.install(
                job,
                self._version(job),
                lambda version: self._installed(job, version),
                lambda problem: self._not_installed(job, problem),
            )
        elif job.step in (Step.RESTARTING, Step.LEAVING):
            self._restart(job)

    def _due(self, job: Job) -> None:
        """The moment has come to fetch the file, once more perhaps, or to install it."""
        if job.step is Step.PLANNED:
            job.step = Step.CLEARING
        else:
            self._attempt(job)
        self._moved(job)

    def _must_wait(self) -> bool:
        """Somebody charges where that cannot go on, or the station is about to restart anyway."""
        connectors = self._host.connectors
        return connectors.going_down or (connectors.updating and connectors.in_use)

    def _keep_off(self, updating: bool) -> None:
        """Let nobody begin to charge, or again everybody."""
        if self._host.connectors.updating != updating:
            self._host.connectors.updating = updating
            self._host.turn.settle_all()

    def _discard(self, job: Job) -> None:
        """The file is not needed any more, once that is stored; else the next start throws it away."""

        def discard() -> None:
            if self._host.turn.stored:
                self._host.outside.transfers.discard(job.name)

        self._host.turn.answer(discard)

    # --- what happens at the station ----------------------------------------------------------------

    def recover(self) -> None:
        """The station has just started: go on from where it was."""
        forget_replaced(self._store, self._plate)
        job = self._job
        if job is None:
            return
        if job.ended:
            self._discard(job)
        elif job.step is Step.INSTALLING:
            self._install_again(job)
        elif job.step in (Step.RESTARTING, Step.LEAVING):
            self._restarted(job)
        else:
            self._keep_off(job.step is Step.CLEARING and self._host.outside.installer.blocks_charging)
            self._host.turn.answer(self._go_on)

    def _install_again(self, job: Job) -> None:
        if job.installations >= MOST_INSTALLATIONS:
            self._not_installed(job, "each attempt was interrupted")
            return
        job.installations += 1
        self._keep_off(self._host.outside.installer.blocks_charging)
        self._moved(job)

    def connector_changed(self) -> None:
        """Somebody may have stopped using a connector, or the store can be written again."""
        turn = self._host.turn
        free = self._host.connectors.updating and not self._must_wait()
        if (self._held and turn.stored) or (free and self._job is not None and self._job.step in WAITING):
            self._held = False
            turn.answer(self._go_on)

    def report(self) -> None:
        """There is a link, and the central system has accepted the station: tell it what it missed."""
        if self._job is not None or self._reports.unsaid:
            self._host.turn.answer(self._go_on)

    def trigger(self) -> bool:
        """Tell the status of the plain update under way, or Idle (OCPP 1.6 §5.17)."""
        self._reports.triggered(self._job)
        return True

    def trigger_signed(self) -> bool:
        """Tell the last status of the newest signed update; Idle once it was installed (L01.FR.28, 29)."""
        self._reports.triggered_signed(self._job)
        return True

    def close(self) -> None:
        """Nothing calls back any more; what must be remembered is in the store."""
        self._work.stop()

    def _say(self, job: Job, status: str) -> None:
        job.status = status
        self._reports.note(job, status)
        self._host.notify("firmware", status=status)

    def _send_reports(self) -> None:
        if self._host.accepted and self._host.outbox.online:
            self._reports.send()
