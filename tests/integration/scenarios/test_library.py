"""Every shipped scenario passes on the stepped clock, and sees what it is there to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chargepoint.domain import limiter, limits
from chargepoint.domain.limits import Maximum
from chargepoint.domain.sharing import Share, Wish, allocate
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.records import Record
from scenarios.collection import library_names
from scenarios.model import Scenario, load
from scenarios.runner import RunOptions, run
from scenarios.verdict import Outcome, Verdict
from tests.conformance import planted_errors as errors

PROFILES = {
    "authorization", "charging", "clock", "csms", "firmware", "misbehaving", "network", "remote",
    "reservation", "security", "smart-charging",
}  # fmt: skip

CLOCKS_FORWARD = 1_774_746_000  # 2026-03-29T01:00:00Z


@cache
def scenario(name: str) -> Scenario:
    """Read once: reading takes longer than playing."""
    return load(f"library:{name}")


ANOTHER_START = 1_830_293_831.5  # 2027-12-31T22:57:11.500Z: no round second, and soon another year

AT_THEIR_START = {
    "clock/spring-forward", "clock/year-2038", "smart-charging/daily", "smart-charging/site-dimmed",
    "smart-charging/site-managed", "smart-charging/site-unmanaged",
}  # fmt: skip
"""About one night, or about times of day."""


def play(name: str, start: float | None = None) -> Outcome:
    """One shipped scenario as `chargepoint scenario run library:NAME` plays it."""
    return asyncio.run(run(scenario(name), RunOptions(start=start)))


@pytest.mark.parametrize("name", library_names())
def test_it_passes(name: str) -> None:
    outcome = play(name)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert outcome.lost_s == 0, f"{outcome.lost_s:.1f} real seconds were lost to answers that never came"


@pytest.mark.parametrize("name", sorted({*library_names()} - AT_THEIR_START))
def test_it_passes_at_any_start(name: str) -> None:
    outcome = play(name, ANOTHER_START)
    assert outcome.verdict is Verdict.PASS, outcome.why


def test_the_page_names_those_that_hold_at_their_start_only() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scenario-library.md").read_text(encoding="utf-8")
    told = page.partition("They hold at any `--start`")[2].partition("\n\n## ")[0]
    sites = {name for name in AT_THEIR_START if "/site-" in name}
    assert {name for name in AT_THEIR_START if name not in told} == sites
    assert "three `site` stories" in told
    assert len(sites) == 3


def test_there_are_enough_of_every_profile_and_each_says_why() -> None:
    names = library_names()
    assert len(names) >= 40
    assert {name.partition("/")[0] for name in names} == PROFILES
    for name in names:
        file = scenario(name).file
        assert file.why.endswith("."), f"{name} says not why"
        assert file.tags, f"{name} has no tags"
    titles = [scenario(name).title for name in names]
    assert len(set(titles)) == len(titles)


# --- mistakes put into a station, one at a time ---------------------------------------------------------


def sum_limit_ignored(patch: pytest.MonkeyPatch) -> None:
    """Each connector has the whole limit of the station."""

    def alone(wishes: Sequence[Wish], maxima: Sequence[Maximum]) -> dict[int, Share]:
        return {key: share for wish in wishes for key, share in allocate([wish], maxima).items()}

    patch.setattr(limiter, "allocate", alone)


def stop_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A StopTransaction is never recorded for delivery."""
    record = Outbox.record

    def forgetful(outbox: Outbox, kind: str, key: str | None, facts: dict[str, Any]) -> int:
        return outbox.last if kind == "stop" else record(outbox, kind, key, facts)

    patch.setattr(Outbox, "record", forgetful)


def kilowatt_hours_sent(patch: pytest.MonkeyPatch) -> None:
    """meterStop counts in kWh."""
    render = ChargePoint.render_record

    def in_kwh(cp: ChargePoint, record: Record) -> tuple[str, Any]:
        action, payload = render(cp, record)
        if "meterStop" in payload:
            payload["meterStop"] //= 1000
        return action, payload

    patch.setattr(ChargePoint, "render_record", in_kwh)


def weeks_in_local_time(patch: pytest.MonkeyPatch) -> None:
    """A recurring profile moves with the clocks of Berlin."""
    occurrence = limits._occurrence

    def local(start_at: float, every_s: int, at: float) -> tuple[float, float]:
        return occurrence(start_at - 3600 * (at >= CLOCKS_FORWARD), every_s, at)

    patch.setattr(limits, "_occurrence", local)


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake and a scenario that must fail with it, by what it says."""

    plant: Callable[[pytest.MonkeyPatch], None]
    name: str
    says: str


PLANTED = (
    Planted(sum_limit_ignored, "smart-charging/station-limit", "offered_a is 20"),
    Planted(sum_limit_ignored, "smart-charging/four-of-five", "offered_a is 32"),
    Planted(stop_not_sent, "charging/plug-first", "waited 10s for StopTransaction"),
    Planted(stop_not_sent, "charging/power-cut", "waited 10s for StopTransaction"),
    Planted(kilowatt_hours_sent, "charging/unplug-mid-charge", "meterStop is 2"),
    Planted(errors.authorize_skipped, "authorization/blocked-tag", "waited 10s for Authorize"),
    Planted(errors.stop_reason_wrong, "charging/emergency-stop", "reason is Local"),
    Planted(errors.stop_with_a_tag_nobody_presented, "charging/lost-tag", "idTag is TAG, not missing"),
    Planted(errors.transaction_id_wrong, "charging/group-tag-stops", "it came as far as 1"),
    Planted(errors.time_of_sending, "charging/offline-start", "seconds(timestamp) - began"),
    Planted(errors.reservation_id_omitted, "reservation/kept-and-used", "reservationId is missing"),
    Planted(errors.context_wrong, "charging/meter-values", "context"),
    Planted(errors.samples_thinned, "network/central-system-restarts", "queued is 3"),
    Planted(errors.connection_timeout_ignored, "charging/tag-and-nobody-plugs", "status is Preparing"),
    Planted(errors.availability_forgotten, "remote/unavailable", "status is"),
    Planted(errors.profiles_not_installed, "smart-charging/combined", "waited 10s for periods"),
    Planted(errors.profiles_not_installed, "smart-charging/site-managed", "over_seconds is"),
    Planted(errors.profiles_not_installed, "smart-charging/month", "In night 1, at 2026-03-01T19:59:55"),
    Planted(weeks_in_local_time, "smart-charging/month", "In night 29, at 2026-03-29T23:59:55"),
    Planted(errors.profiles_not_installed, "smart-charging/site-dimmed", "offered_a is 32"),
    Planted(errors.cache_not_cleared, "authorization/cache", "it came as far as 0"),
    Planted(errors.installed_never_told, "firmware/update-while-idle", "it came as far as 5"),
    Planted(errors.heartbeat_interval_ignored, "clock/set-by-heartbeat", "is not true of it"),
    Planted(errors.boot_interval_ignored, "network/pending-then-accepted", "before it is accepted"),
    Planted(errors.talks_while_pending, "network/pending-then-accepted", "before it is accepted"),
    Planted(errors.boots_on_reconnect, "charging/offline-and-back", "A new connection is no new start"),
    Planted(errors.finishing_omitted, "charging/offline-and-back", "status Finishing"),
    Planted(errors.downgrade_allowed, "security/basic-auth", "status is Accepted, not Rejected"),
    Planted(errors.every_issuer_trusted, "security/signed-firmware-refused", "not InvalidCertificate"),
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.plant.__name__}-{one.name}")
def test_a_station_with_a_mistake_fails(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    outcome = play(planted.name)
    assert outcome.verdict is Verdict.FAIL
    assert planted.says in outcome.why, outcome.why
