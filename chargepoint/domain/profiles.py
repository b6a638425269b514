"""The charging profiles installed on a station: what replaces what, and what survives a power cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from typing import Literal

from chargepoint.domain.limits import Period, Profile, Purpose, Schedule
from chargepoint.domain.ports import Document, Store

KIND = "profile"
"""Under this kind the store keeps charging profiles, by their id."""

ZeroAfterN = Literal["keep", "overwrite"]
"""What a TxDefaultProfile for all connectors does to one for a single connector on the same stack level."""


class ProfileBook:
    """All installed profiles, in memory and in the store; it never commits.

    They stay in force offline and over a restart (OCPP 1.6 §3.13.6, errata 3.37).
    """

    __slots__ = ("_store", "_zero_after_n", "all")

    def __init__(self, store: Store, tx_default_zero_after_n: ZeroAfterN = "keep") -> None:
        self._store = store
        self._zero_after_n = tx_default_zero_after_n
        self.all = tuple([from_document(document) for _, document in store.items(KIND)])  # valid now or not

    def __iter__(self) -> Iterator[Profile]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def install(self, profile: Profile) -> None:
        """Add `profile`; what it replaces is gone at once, even if this one is not yet valid (§3.13.2)."""
        self._remove(lambda installed: self._replaces(profile, installed))
        self.all += (profile,)
        self._store.put(KIND, str(profile.id), to_document(profile))

    def count_after(self, profile: Profile) -> int:
        """How many profiles there would be after `install(profile)`."""
        return 1 + sum(not self._replaces(profile, installed) for installed in self.all)

    def clear(
        self,
        profile_id: int | None = None,
        connector_id: int | None = None,
        purpose: Purpose | None = None,
        stack_level: int | None = None,
    ) -> int:
        """Remove what matches every filter given and return how many that were (OCPP 1.6 §5.4, errata 3.26).

        An id makes the other filters void; no filter at all matches everything. Connector 0 matches what was
        installed at 0, not what every connector has.
        """
        if profile_id is not None:
            return self._remove(lambda profile: profile.id == profile_id)
        return self._remove(
            lambda profile: (
                connector_id in (None, profile.connector_id)
                and purpose in (None, profile.purpose)
                and stack_level in (None, profile.stack_level)
            )
        )

    def drop_transaction(self, key: str) -> int:
        """Remove the TxProfiles of a transaction that ended and return how many there were."""
        return self._remove(lambda profile: profile.transaction_key == key)

    def keep_transactions(self, keys: Collection[str]) -> int:
        """After a restart: remove the TxProfiles of all transactions but these, and return how many."""
        if not self.all:
            return 0
        return self._remove(
            lambda profile: profile.purpose == "TxProfile" and profile.transaction_key not in keys
        )

    def purge(self, at: float) -> int:
        """Remove what can never be in force again from `at` on and return how many that were.

        To be called only when the station's time can be trusted: a clock that is ahead would lose profiles.
        """
        return self._remove(lambda profile: _expires_at(profile) <= at)

    def _replaces(self, new: Profile, installed: Profile) -> bool:
        """True if `installed` has to go when `new` comes (OCPP 1.6 §3.13.2, §5.16.3)."""
        if new.id == installed.id:
            return True
        if (new.purpose, new.stack_level) != (installed.purpose, installed.stack_level):
            return False
        if new.connector_id == installed.connector_id:
            return True
        return (
            new.purpose == "TxDefaultProfile" and new.connector_id == 0 and self._zero_after_n == "overwrite"
        )

    def _remove(self, matches: Callable[[Profile], bool]) -> int:
        removed = [profile for profile in self.all if matches(profile)]
        if removed:
            self.all = tuple(profile for profile in self.all if not matches(profile))
            for profile in removed:
                self._store.delete(KIND, str(profile.id))
        return len(removed)


def _expires_at(profile: Profile) -> float:
    """The moment from which `profile` can never be in force again; infinite if there is none."""
    ends = [float("inf")]
    if profile.valid_to_at is not None:
        ends.append(profile.valid_to_at)
    schedule = profile.schedule
    if schedule.duration_s is not None:
        if profile.kind == "Absolute" and schedule.start_at is not None:
            ends.append(schedule.start_at + schedule.duration_s)
        elif profile.kind != "Recurring" and profile.purpose == "ChargePointMaxProfile":
            ends.append(profile.installed_at + schedule.duration_s)
    return min(ends)


def to_document(profile: Profile) -> Document:
    """`profile` as JSON values."""
    document = asdict(profile)
    document["schedule"]["periods"] = list(document["schedule"]["periods"])
    return document


def from_document(document: Document) -> Profile:
    """The profile that `to_document` wrote."""
    schedule = document["schedule"]
    periods = tuple(Period(**period) for period in schedule["periods"])
    return Profile(**{**document, "schedule": Schedule(**{**schedule, "periods": periods})})
