"""Leases on a stepped clock: whoever is cut off from the other side is gone before another one begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from chargepoint.domain.chance import draw
from chargepoint.fleet.cluster.lease import DROP_AFTER_S, FREE_AFTER_S, RENEW_EVERY_S, Leases, Tenancy
from hal.clock import SteppedClock

SHARD = 0
PATIENCE_S = 3.0
"""With those who were ordered and do not begin."""


class Owner:
    """A process with a shard: connected from its first grant until its lease is lost, or for ever."""

    def __init__(self, town: Town, name: str, attempt: int, *, obeys: bool) -> None:
        self.town, self.name, self.attempt, self.obeys = town, name, attempt, obeys
        self.connected = False
        self.reached = True  # by the network
        self.why: str | None = None
        self.tenancy = Tenancy(town.clock, self._ask, self._lost)
        self.tenancy.begin()

    def _ask(self, asked_at: float) -> None:
        self.town.send(self, lambda: self.town.asked(self, asked_at))

    def granted(self, asked_at: float) -> None:
        if not self.tenancy.over:
            self.connected = True
        self.tenancy.granted(asked_at)

    def _lost(self, why: str) -> None:
        self.why = why
        if self.obeys:
            self.connected = False


class Town:
    """One who grants, those who were ordered to run the one shard, and a network that delays and loses."""

    def __init__(self, *, obeys: bool = True, delay_s: float = 0.0, seed: int = 0) -> None:
        self.clock = SteppedClock(0.0)
        self.leases = Leases(self.clock.now)
        self.owners: list[Owner] = []
        self.most = 0  # connected at once
        self._obeys, self._delay_s, self._seed = obeys, delay_s, seed
        self._draws: Iterator[int] = count()
        self._ordered_at = 0.0

    def send(self, owner: Owner, deliver: object) -> None:
        if owner.reached:
            delay = self._delay_s * draw(self._seed, "network", "delay", next(self._draws))
            self.clock.call_at(self.clock.now() + delay, deliver)  # type: ignore[arg-type]  # a function of one test

    def asked(self, owner: Owner, asked_at: float) -> None:
        granted = self.leases.ask(SHARD, owner.attempt, owner.name)
        self.send(owner, lambda: owner.granted(asked_at) if granted else owner.tenancy.refused())

    def order(self, attempt: int | None = None) -> Owner:
        attempt = self.leases.offer(SHARD) if attempt is None else attempt
        self._ordered_at = self.clock.now()
        self.owners.append(Owner(self, f"process {len(self.owners)}", attempt, obeys=self._obeys))
        return self.owners[-1]

    def live(self, seconds: float) -> None:
        """Order the shard again whenever it is free, as the parent does."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            self.clock.advance(0.25)
            self.most = max(self.most, sum(owner.connected for owner in self.owners))
            if not self.leases.held(SHARD) and self.clock.now() >= self._ordered_at + PATIENCE_S:
                self.order()


def test_a_lease_is_renewed_for_as_long_as_both_sides_hear_each_other() -> None:
    town = Town()
    owner = town.order()
    town.live(3600)
    assert owner.connected
    assert len(town.owners) == 1


def test_who_cannot_renew_drops_its_links_10_s_after_its_last_granted_question() -> None:
    town = Town()
    owner = town.order()
    town.live(RENEW_EVERY_S * 2 + 1)  # the last question was granted a second ago
    owner.reached = False
    town.clock.advance(DROP_AFTER_S - 1.5)
    assert owner.connected
    town.clock.advance(1.0)
    assert not owner.connected
    assert owner.why is not None
    assert "renewed" in owner.why


def test_a_shard_is_offered_again_15_s_after_its_last_grant_and_no_sooner() -> None:
    town = Town()
    town.order().reached = True
    town.clock.advance(0.0)
    town.owners[0].reached = False
    town.clock.advance(FREE_AFTER_S - 0.5)
    assert town.leases.free_in_s(SHARD) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="held"):
        town.leases.offer(SHARD)
    town.clock.advance(0.5)
    assert town.leases.offer(SHARD) == 2


def test_the_same_order_run_a_second_time_is_refused() -> None:
    """As Dask does by itself after it has lost a worker."""
    town = Town()
    first = town.order()
    town.clock.advance(1.0)
    again = town.order(first.attempt)
    town.clock.advance(1.0)
    assert (first.connected, again.connected) == (True, False)
    assert again.why is not None
    assert "another" in again.why
    first.reached = False
    town.clock.advance(60.0)
    late = town.order(first.attempt)
    town.clock.advance(1.0)
    assert not late.connected, "also when the first is long gone: it takes a fresh offer"


def test_an_attempt_that_is_withdrawn_ends_and_cannot_begin() -> None:
    """The parent has given it up, and would not see what becomes of it."""
    town = Town()
    late = town.order()
    town.leases.withdraw(SHARD)
    town.clock.advance(1.0)
    assert not late.connected
    owner = town.order()
    town.clock.advance(1.0)
    assert owner.connected
    town.leases.withdraw(SHARD)
    assert town.leases.held(SHARD), "until it has certainly let go"
    town.clock.advance(RENEW_EVERY_S)
    assert not owner.connected


def test_who_ended_well_leaves_the_shard_free_at_once_and_nobody_else_can_end_it() -> None:
    leases = Leases(lambda: 100.0)
    attempt = leases.offer(SHARD)
    assert leases.ask(SHARD, attempt, "a")
    leases.end(SHARD, "b")
    assert leases.held(SHARD)
    leases.end(SHARD, "a")
    assert not leases.held(SHARD)
    assert not leases.ask(SHARD, attempt, "a"), "it was given up"


def test_a_lease_never_granted_is_not_waited_for_longer_than_a_granted_one() -> None:
    town = Town()
    owner = town.order()
    owner.reached = False
    owner.tenancy.close()
    lost: list[str] = []
    tenancy = Tenancy(town.clock, lambda _: None, lost.append)
    tenancy.begin()
    town.clock.advance(DROP_AFTER_S)
    assert len(lost) == 1
    tenancy.granted(town.clock.now())
    town.clock.advance(60)
    assert len(lost) == 1, "over is over"


def outages(town: Town, seed: int) -> None:
    """A few minutes in which networks go and come back, and answers take their time."""
    town.order()
    for n in range(20):
        town.live(40 * draw(seed, "town", "quiet", n))
        for owner in town.owners:
            owner.reached = not owner.reached
        town.live(40 * draw(seed, "town", "outage", n))


@pytest.mark.parametrize("seed", range(20))
def test_there_are_never_two_owners(seed: int) -> None:
    town = Town(delay_s=20.0 if seed % 2 else 0.5, seed=seed)
    outages(town, seed)
    assert town.most == 1
    assert len(town.owners) > 2


def test_owners_that_ignore_the_loss_of_their_lease_are_found_by_this_search() -> None:
    found = []
    for seed in range(20):
        town = Town(obeys=False, delay_s=0.5, seed=seed)
        outages(town, seed)
        found.append(town.most)
    assert max(found) > 1
