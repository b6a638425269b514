"""What the documents in a store say about a station, as values; whoever shows them decides on their form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chargepoint.cli.holdings import KINDS, Holdings, hold
from chargepoint.cli.sessions import Session
from chargepoint.domain.authorization import KIND as CACHE
from chargepoint.domain.connectors import CONNECTOR
from chargepoint.domain.limits import (
    PHASES,
    Charging,
    Hardware,
    Maximum,
    Profile,
    Unit,
    composite,
    connector_allowance,
    station_maximum,
)
from chargepoint.domain.ports import Document
from chargepoint.domain.profiles import KIND as PROFILE
from chargepoint.domain.profiles import from_document
from chargepoint.domain.site import SiteSettings
from chargepoint.domain.transaction import KIND as TRANSACTION
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.configuration import KIND as CONFIGURATION
from chargepoint.ocpp16.configuration import FactoryConfiguration
from chargepoint.ocpp16.core.boot import REGISTRATION
from chargepoint.ocpp16.keys import render
from chargepoint.ocpp16.times import parse_time
from chargepoint.rpc.records import RECORD, Record
from hal.api import EvseInfo

T = TypeVar("T")
Documents = Mapping[str, Mapping[str, Document]]
"""All documents of a store by kind and key."""

NEWEST = 10
"""Of the transactions only so many are shown one by one."""

_SAMPLE = "sample:"  # kinds that begin so hold what a running transaction's stop will carry
_SHOWN = frozenset({REGISTRATION, CONNECTOR, CONFIGURATION, TRANSACTION, RECORD, PROFILE, CACHE}) | KINDS


@dataclass(frozen=True, slots=True)
class Availability:
    """What a connector remembers; 0 is the whole station, which knows `operative` only."""

    connector: int
    operative: bool
    scheduled: bool = False
    finishing: str | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A changed configuration key; `value` is None where it must not be shown, `factory` None if unset."""

    key: str
    value: str | None
    factory: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records of one kind that wait for the central system; `attempts` the most one of them has had."""

    kind: str
    count: int
    attempts: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class Charges:
    """Transactions; `undelivered` ended and the central system has not confirmed that."""

    running: int
    ended: int
    undelivered: int
    samples: int  # meter values kept for stop records
    newest: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """The authorization cache."""

    count: int
    newest_tag: str | None
    newest_status: str | None
    newest_at: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A limit from `at` on: in A per phase or W, `because` of what."""

    at: float
    limit: float
    phases: int
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The composite schedule of connectors for which it is the same; 0 is their sum."""

    connectors: tuple[int, ...]
    unit: Unit
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """What one station remembers, seen from the moment `at`; `unreadable` documents are named, not shown."""

    station: str
    store: str
    at: float
    until: float
    hardware: str  # where the installed maxima come from
    accepted: bool  # by a central system, ever
    starts: int
    availability: tuple[Availability, ...]
    settings: tuple[Setting, ...]
    charges: Charges
    queue: tuple[Waiting, ...]
    profiles: tuple[Profile, ...]
    plans: tuple[Plan, ...]
    cache: Cache
    holdings: Holdings
    other: Mapping[str, int]
    unreadable: tuple[str, ...]


def recall(
    documents: Documents,
    station: str,
    store: str,
    factory_values: Mapping[str, str] | None,
    infos: Sequence[EvseInfo],
    at: float,
    duration_s: int,
    site: SiteSettings | None = None,
) -> Memory:
    """Read everything a store holds; what cannot be read, by damage or by a later version, is named.

    `factory_values`, `infos` and `site` come from the configuration file, None without one; a station that
    knows more connectors than `infos` has more like the last.
    """
    reading = _Reading(documents)
    transactions = list(reading.each(TRANSACTION, lambda key, document: Transaction.from_document(document)))
    profiles = tuple(reading.each(PROFILE, lambda key, document: from_document(document)))
    availability = tuple(reading.each(CONNECTOR, _availability))
    known = [*(a.connector for a in availability), *(t.connector for t in transactions)]
    count = max([len(infos), 1, *known, *(p.connector_id for p in profiles)])
    fitted = [*infos, *[infos[-1] if infos else EvseInfo()] * (count - len(infos))]
    factory = FactoryConfiguration(factory_values or {}, fitted)
    starts = next(reading.each(REGISTRATION, lambda key, document: int(document["n"]), only="boot"), 0)
    settings = reading.each(CONFIGURATION, lambda key, document: _setting(key, document, factory))
    return Memory(
        station=station,
        store=store,
        at=at,
        until=at + duration_s,
        hardware="from the configuration" if infos else "assumed to be 32 A on three phases (no --config)",
        accepted="accepted" in documents.get(REGISTRATION, {}),
        starts=starts,
        availability=tuple(sorted(availability, key=lambda one: one.connector)),
        settings=tuple(s for s in settings if s.value is None or s.value != s.factory),
        charges=_charges(reading, station),
        queue=tuple(_queue(list(reading.each(RECORD, _record)))),
        profiles=profiles,
        plans=tuple(_plans(_Outlook(profiles, transactions, fitted, at, site), duration_s)),
        cache=_cache(list(reading.each(CACHE, _learnt))),
        holdings=hold(reading),
        other={kind: len(keys) for kind, keys in sorted(documents.items()) if _unknown(kind) and keys},
        unreadable=tuple(dict.fromkeys(reading.unreadable)),
    )


class _Reading:
    """Reads documents one by one, so that a bad one hides no other."""

    __slots__ = ("_documents", "unreadable")

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.unreadable: list[str] = []

    def each(self, kind: str, read: Callable[[str, Document], T], only: str | None = None) -> Iterator[T]:
        for key, document in self._documents.get(kind, {}).items():
            if only in (None, key):
                try:
                    yield read(key, document)
                except (KeyError, TypeError, ValueError, AttributeError, IndexError):
                    self.unreadable.append(f"{kind} {key}")

    def count(self, prefix: str) -> int:
        return sum(len(keys) for kind, keys in self._documents.items() if kind.startswith(prefix))


def _unknown(kind: str) -> bool:
    return kind not in _SHOWN and not kind.startswith(_SAMPLE)


def _availability(key: str, document: Document) -> Availability:
    held_by = document.get("held_by")
    return Availability(
        connector=int(key),
        operative=bool(document["operative"]),
        scheduled=bool(document.get("scheduled")),
        finishing=document.get("finishing"),
        held_by=None if held_by is None else str(held_by[0]),
    )


def _setting(key: str, document: Document, factory: FactoryConfiguration) -> Setting:
    """A key that is not in the table may be a secret as well as one that is write-only."""
    found = factory.find(key)
    if found is None or found.access == "W":
        return Setting(key, None, None)
    default = factory.typed[found.name]
    return Setting(key, str(document["value"]), None if default is None else render(default))


def _charges(reading: _Reading, station: str) -> Charges:
    found = list(reading.each(TRANSACTION, lambda key, document: Session.of(station, key, document)))
    found.sort(key=lambda session: (session.started_at, session.key), reverse=True)
    ended = [session for session in found if not session.running]
    return Charges(
        running=len(found) - len(ended),
        ended=len(ended),
        undelivered=sum(not session.delivered for session in ended),
        samples=reading.count(_SAMPLE),
        newest=tuple(found[:NEWEST]),
    )


def _record(key: str, document: Document) -> tuple[str, int, float | None]:
    """Kind, failed attempts and the moment it tells of."""
    record = Record.recalled(key, document)
    at = record.facts.get("at")
    if at is None and "values" in record.facts:
        at = parse_time(record.facts["values"][0]["timestamp"])
    return record.kind, int(record.attempts), None if at is None else float(at)


def _queue(records: Sequence[tuple[str, int, float | None]]) -> Iterator[Waiting]:
    for kind in dict.fromkeys(kind for kind, _, _ in records):
        same = [(attempts, at) for name, attempts, at in records if name == kind]
        moments = [at for _, at in same if at is not None]
        yield Waiting(kind, len(same), max(n for n, _ in same), min(moments, default=None))


def _learnt(key: str, document: Document) -> tuple[float, str, str]:
    return float(document["learnt_at"]), str(document["id_tag"]), str(document["status"])


def _cache(entries: Sequence[tuple[float, str, str]]) -> Cache:
    if not entries:
        return Cache(0, None, None, None)
    at, tag, status = max(entries)
    return Cache(len(entries), tag, status, at)


# --- composite schedules ----------------------------------------------------------------------------


def _plans(outlook: _Outlook, duration_s: int) -> Iterator[Plan]:
    """The schedules of connectors 1 to n, equal ones once, and last of connector 0 where it is another."""
    plans: dict[tuple[Step, ...], list[int]] = {}
    for n in outlook.hardwares:
        plans.setdefault(outlook.steps(n, duration_s), []).append(n)
    total = outlook.steps(0, duration_s)
    alone = [connectors for steps, connectors in plans.items() if _same_limits(steps, total)]
    (alone[0] if alone else plans.setdefault(total, [])).insert(0, 0)
    for steps, connectors in plans.items():
        yield Plan(tuple(connectors), outlook.unit, steps)


def _same_limits(some: Sequence[Step], others: Sequence[Step]) -> bool:
    return [(s.at, s.limit, s.phases) for s in some] == [(o.at, o.limit, o.phases) for o in others]


class _Outlook:
    """What the installed profiles and the site let the connectors expect from a moment on (OCPP 1.6 §5.7)."""

    __slots__ = ("_at", "_charging", "_profiles", "_site", "hardwares", "unit")

    def __init__(
        self,
        profiles: Sequence[Profile],
        transactions: Sequence[Transaction],
        infos: Sequence[EvseInfo],
        at: float,
        site: SiteSettings | None,
    ) -> None:
        self._site = site
        self._profiles = profiles
        self._at = at
        self._charging = {t.connector: Charging(t.key, t.started_at) for t in transactions if t.running}
        self.hardwares = {
            n: Hardware(i.max_current_a, i.max_power_w, i.phases, i.nominal_voltage_v, i.current == "dc")
            for n, i in enumerate(infos, 1)
        }
        in_watts = bool(profiles) and all(profile.schedule.unit == "W" for profile in profiles)
        dc = any(hardware.dc for hardware in self.hardwares.values())
        self.unit: Unit = "W" if in_watts or dc else "A"

    def steps(self, connector_id: int, duration_s: int) -> tuple[Step, ...]:
        """Each step with what makes it so."""
        periods = composite(
            self._profiles,
            connector_id,
            self._charging,
            self.hardwares,
            self.unit,
            self._at,
            duration_s,
            self._installation(connector_id),
        )
        return tuple(
            Step(
                at=(moment := math.floor(self._at) + period.start_s),
                limit=period.limit,
                phases=period.phases or PHASES,
                # The schedule counts in seconds, rounded: by now the step has begun, and the next has not.
                because=self._because(connector_id, period.limit, max(self._at, moment + 0.499)),
            )
            for period in periods
        )

    def _because(self, connector_id: int, limit: float, moment: float) -> str:
        """The maximum if it makes the limit smaller, otherwise what each connector has by itself."""
        own = [profile for profile in self._profiles if profile.purpose != "ChargePointMaxProfile"]
        charging = {n: self._charging.get(n) or Charging(None, self._at) for n in self.hardwares}
        alone = composite(own, connector_id, charging, self.hardwares, self.unit, moment, 1)[0].limit
        if limit < alone:
            site = self._installation(connector_id)
            if site is not None and limit < self._by_profiles(connector_id, moment):
                return site.because
            return station_maximum(self._profiles, moment).because
        if connector_id == 0:
            return "the sum of the connectors"
        hardware = self.hardwares[connector_id]
        return connector_allowance(own, connector_id, charging[connector_id], hardware, moment).because

    def _by_profiles(self, connector_id: int, moment: float) -> float:
        """The limit at one moment as if there were no site."""
        charging, hardwares = self._charging, self.hardwares
        return composite(self._profiles, connector_id, charging, hardwares, self.unit, moment, 1)[0].limit

    def _installation(self, connector_id: int) -> Maximum | None:
        """What the site leaves all connectors together, with this one busy (0: all of them)."""
        if self._site is None:
            return None
        return self._site.expected(connector_id, len(self.hardwares), self._charging)
