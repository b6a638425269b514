"""Whatever happens around plain firmware updates, in whatever order, they come to their end.

Each planted error shows that the search finds errors of its kind within the ordinary run.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chargepoint.domain.connector import Connector
from chargepoint.ocpp16.core import status_notification
from chargepoint.ocpp16.firmware_management.job import Job, Step
from chargepoint.ocpp16.firmware_management.reports import Reports
from chargepoint.ocpp16.firmware_management.updates import Updates
from chargepoint.ocpp16.firmware_management.work import Work
from chargepoint.rpc.session import CallFailed
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.firmware import BROKEN, FirmwareBench, ready

pytestmark = pytest.mark.search

WALKS, STEPS = 40, 40

BEGINS = {"Downloading"}
FOLLOWS = {
    "Downloading": {"Downloaded", "DownloadFailed", *BEGINS},
    "DownloadFailed": BEGINS,
    "Downloaded": {"Installing", *BEGINS},
    "Installing": {"Installed", "InstallationFailed"},
    "Installed": BEGINS,
    "InstallationFailed": BEGINS,
}
"""Which status may follow which (OCPP 1.6 §5.19, §7.25); another request begins anew before Installing."""

ENDS = {"DownloadFailed", "Installed", "InstallationFailed"}


class Walk:
    """A station to which things happen at random, and what must be true of it all the time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        restart = self.chance.choice(["before_installed", "after_installed", "none"])
        self.bench: FirmwareBench = ready(2, compatibility={"firmware_restart": restart})
        self.bench.installer.blocks_charging = self.chance.random() < 0.8

    def one_step(self) -> None:
        """Something happens."""
        self.chance.choice(
            [
                self.time,
                self.time,
                self.outside,
                self.outside,
                self.cut,
                self.link,
                self.user,
                self.user,
                self.ask,
            ]
        )()
        self.check()

    def time(self) -> None:
        self.bench.advance(self.chance.choice([1, 10, 60, 150]))

    def outside(self) -> None:
        if self.bench.under_way():
            fails = BROKEN if self.bench.step == "downloading" else "no room"
            self.bench.serve(fails if self.chance.random() < 0.3 else None)

    def cut(self) -> None:
        self.bench.cut(self.chance.choice([1, 100]))

    def link(self) -> None:
        bench = self.bench
        silent = self.chance.random() < 0.5
        if bench.cp.session.online:
            if silent:
                bench.csms.answers["FirmwareStatusNotification"] = lambda payload: None
                self.outside()
            bench.reachable = False
            bench.disconnect()
        else:
            bench.csms.answers.pop("FirmwareStatusNotification", None)
            bench.reachable = True
            bench.reconnect()
            bench.advance(0)

    def user(self) -> None:
        n = self.chance.choice([1, 2])
        evse = self.bench.evses[n - 1]
        if self.chance.random() < 0.5:
            self.bench.swipe("TAG", n)
        elif evse.plugged:
            self.bench.plug_out(n)
        else:
            self.bench.plug_in(n)

    def ask(self) -> None:
        if self.bench.cp.session.online and self.bench.cp.accepted:
            answer = self.bench.update(in_s=self.chance.choice([-1.0, 30.0]), retries=1, retryInterval=5)
            assert answer == {}

    def check(self) -> None:
        """What is true at every moment."""
        bench = self.bench
        assert bench.illegal_statuses() == []
        legal(bench.became())
        told = bench.told()
        legal([s for n, s in enumerate(told) if n == 0 or told[n - 1] != s])
        assert (len(bench.under_way()) == 1) == (bench.step in ("downloading", "installing"))
        connectors = bench.cp.connectors
        if bench.step == "installing" and bench.installer.blocks_charging:
            assert not any(c.transaction or c.claim for c in connectors.all)
            assert all(bench.local_status(n) in ("Unavailable", "Finishing") for n in (1, 2))
        assert {p["reason"] for p in bench.sent("StopTransaction")} <= {
            "Local",
            "EVDisconnected",
            "PowerLoss",
        }

    def rest(self) -> None:
        """Let everything end; then nothing may be left."""
        bench = self.bench
        bench.csms.answers.pop("FirmwareStatusNotification", None)
        bench.reachable = True
        bench.reconnect()
        for n in (1, 2):
            if bench.evses[n - 1].plugged:
                bench.plug_out(n)
        bench.advance(200)
        if bench.step is not None:
            bench.go_on(within_s=600)
        bench.advance(200)
        self.check()
        assert not bench.cp.connectors.updating
        assert bench.store.get("firmware", "unsaid") is None
        assert [bench.local_status(n) for n in (1, 2)] == ["Available"] * 2
        assert bench.statuses(1)[-1] == bench.statuses(2)[-1] == "Available"
        if bench.became():
            assert bench.became()[-1] in ENDS
            assert bench.told()[-1] == bench.became()[-1]
            fetched = {work.what["name"] for work in bench.transfers.downloads}
            assert fetched <= set(bench.transfers.discarded)


def legal(statuses: list[str]) -> None:
    for before, after in zip(["Installed", *statuses], statuses, strict=False):
        assert after in FOLLOWS[before], f"{before} is followed by {after}"


def search(walks: int) -> None:
    for seed in range(walks):
        walk = Walk(seed)
        for _ in range(STEPS):
            walk.one_step()
        walk.rest()


def test_nothing_that_happens_breaks_a_rule() -> None:
    search(WALKS)


# --- planted errors ----------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def a_lost_report_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What the link took with it is not sent again."""

    def failed(self: Reports, error: CallFailed) -> None:
        self._said()

    patch.setattr(Reports, "_failed", failed)


def reports_overtake(patch: pytest.MonkeyPatch) -> None:
    """The newest is told first."""
    keep = Reports._keep
    patch.setattr(Reports, "_keep", lambda self, entries: keep(self, entries[-1:] + entries[:-1]))


def nobody_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    """The installation begins while somebody charges."""
    patch.setattr(Updates, "_must_wait", lambda self: False)


def nobody_may_charge_again(patch: pytest.MonkeyPatch) -> None:
    """Connectors stay unavailable after a failure."""
    keep_off = Updates._keep_off
    patch.setattr(Updates, "_keep_off", lambda self, updating: keep_off(self, True) if updating else None)


def anybody_may_begin(patch: pytest.MonkeyPatch) -> None:
    """A card is served during the installation."""
    patch.setattr(Connector, "usable", property(lambda self: not self.scheduled and self._serves()))


def connectors_look_free(patch: pytest.MonkeyPatch) -> None:
    """The status says nothing of the installation."""
    patch.setattr(Connector, "kept_off", property(lambda self: False))


def a_power_cut_is_the_end(patch: pytest.MonkeyPatch) -> None:
    """Nothing goes on after a start."""
    patch.setattr(Updates, "recover", lambda self: None)


def progress_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    """Only the request is kept."""
    moved = Updates._moved

    def forgetful(self: Updates, job: Job) -> None:
        if job.step is Step.INSTALLING:
            self._host.turn.answer(self._go_on)
        else:
            moved(self, job)

    patch.setattr(Updates, "_moved", forgetful)


def files_stay(patch: pytest.MonkeyPatch) -> None:
    """Nobody clears up."""
    patch.setattr(Updates, "_discard", lambda self, job: None)


def the_old_one_goes_on(patch: pytest.MonkeyPatch) -> None:
    """A new request leaves the old transfer alone."""
    patch.setattr(Work, "stop", lambda self: self._ended())


def every_step_is_legal(patch: pytest.MonkeyPatch) -> None:
    """Statuses of connectors are told as they come."""
    patch.setattr(status_notification, "path", lambda last, now: () if last == now else (now,))


PLANTS: list[Plant] = [
    a_lost_report_is_forgotten,
    reports_overtake,
    nobody_is_waited_for,
    nobody_may_charge_again,
    anybody_may_begin,
    connectors_look_free,
    a_power_cut_is_the_end,
    progress_is_not_stored,
    files_stay,
    the_old_one_goes_on,
    every_step_is_legal,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_error_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        search(WALKS)
    for bench in Bench.made:
        bench.cp.close()
        if bench.clock.held:
            bench.clock.release()
    Bench.made.clear()
