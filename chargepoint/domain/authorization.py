"""Who may charge: what the station knows of an identifier, and what it does where it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from heapq import nsmallest
from typing import Literal, Protocol

from chargepoint.domain.ports import Document, Store

KIND = "cache"
"""Under this kind the store keeps the authorization cache, one document per identifier."""

ACCEPTED = "Accepted"
INVALID = "Invalid"
EXPIRED = "Expired"
_IN_ORDER = frozenset({ACCEPTED, "ConcurrentTx"})

Source = Literal["list", "cache", "csms", "offline", "whitelist"]


@dataclass(frozen=True, slots=True)
class IdTagInfo:
    """What is known of an identifier (OCPP 1.6 §7.27); `expiry_at` is UTC, `parent` names its group."""

    status: str  # Accepted, Blocked, Expired, Invalid or ConcurrentTx
    expiry_at: float | None = None
    parent: str | None = None

    @property
    def in_order(self) -> bool:
        """True for an identifier with nothing against it but that it may be in a transaction already."""
        return self.status in _IN_ORDER

    def at(self, utc: float) -> IdTagInfo:
        """The same once its expiry date is respected: from then on it is Expired (OCPP 1.6 §3.5.1)."""
        if self.expiry_at is None or utc < self.expiry_at:
            return self
        return IdTagInfo(EXPIRED, self.expiry_at, self.parent)

    def document(self) -> Document:
        """As JSON values, without what is not known."""
        document: Document = {"status": self.status}
        if self.expiry_at is not None:
            document["expiry_at"] = self.expiry_at
        if self.parent is not None:
            document["parent"] = self.parent
        return document

    @classmethod
    def from_document(cls, document: Document) -> IdTagInfo:
        """What `document` wrote; whatever else there is in it does not matter."""
        return cls(document["status"], document.get("expiry_at"), document.get("parent"))


UNREADABLE = IdTagInfo(INVALID)
"""Stands for an answer that made no sense: it refuses, and is not remembered."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a transaction may start, and in which group.

    `status` is what the list, the cache or the central system says of the identifier; where nobody knows it,
    Accepted or Invalid, as decided. `source` says where that comes from. `parent` is None also where what the
    station remembers may not be used.
    """

    accepted: bool
    parent: str | None
    status: str
    source: Source


class Known(Enum):
    """What the station itself knows of an identifier."""

    VALID = "valid"
    NOT_VALID = "not valid"
    NOTHING = "nothing"


class Decision(Enum):
    """What to do with an identifier presented to start a transaction."""

    START = "start"
    ASK = "ask"
    REFUSE = "refuse"


class AuthorizationPolicy(Protocol):
    """What the configuration keys say about authorisation."""

    @property
    def cache_enabled(self) -> bool:
        """What the central system says of identifiers is remembered and used."""

    @property
    def pre_authorize(self) -> bool:
        """Online, a valid local entry is enough."""

    @property
    def authorize_offline(self) -> bool:
        """Offline, a valid local entry is enough."""

    @property
    def allow_unknown_offline(self) -> bool:
        """Offline, an identifier nobody knows may charge."""


class Authority(Protocol):
    """The central system as the one who knows every identifier."""

    @property
    def online(self) -> bool:
        """It can be asked now: connected, and this station is registered."""

    def ask(self, id_tag: str, answered: Callable[[IdTagInfo | None], None]) -> None:
        """Ask for an identifier; `answered` is called exactly once, at once or later.

        None: it could not be asked or did not answer in time. `UNREADABLE`: its answer made no sense.
        """


class LocalList(Protocol):
    """The identifiers the central system has sent in advance."""

    def lookup(self, id_tag: str) -> IdTagInfo | None:
        """The entry as it was sent, or None if there is none or the list is not in use."""

    def contradicted(self, id_tag: str) -> None:
        """The central system has just judged a listed identifier otherwise (OCPP 1.6 §3.5.2)."""


def decide_start(known: Known, online: bool, policy: AuthorizationPolicy) -> Decision:
    """What to do with an identifier presented to start a transaction (OCPP 1.6 §3.5, §4.1)."""
    if online:
        return Decision.START if known is Known.VALID and policy.pre_authorize else Decision.ASK
    if known is Known.VALID:
        return Decision.START if policy.authorize_offline else Decision.REFUSE
    if known is Known.NOTHING and policy.allow_unknown_offline:
        return Decision.START
    return Decision.REFUSE


class AuthorizationCache:
    """The latest IdTagInfo of identifiers the central system told about, valid or not (OCPP 1.6 §3.5.1).

    Everything lives in the store; nothing here commits. Identifiers are compared without regard to case.
    """

    __slots__ = ("_maximum", "_store", "_utc")

    def __init__(self, store: Store, utc: Callable[[], float], maximum: int) -> None:
        self._store = store
        self._utc = utc
        self._maximum = maximum

    def lookup(self, id_tag: str) -> IdTagInfo | None:
        """What was learnt last of this identifier, Expired once its time has come; None if nothing was."""
        document = self._store.get(KIND, id_tag.casefold())
        return None if document is None else IdTagInfo.from_document(document).at(self._utc())

    def learn(self, id_tag: str, info: IdTagInfo) -> None:
        """Replace the whole entry; a full cache makes room first."""
        key = id_tag.casefold()
        if self._store.get(KIND, key) is None:
            self._make_room()
        self._store.put(KIND, key, {"id_tag": id_tag, "learnt_at": self._utc(), **info.document()})

    def clear(self) -> None:
        """Remove every entry (OCPP 1.6 §5.4)."""
        for key, _ in list(self._store.items(KIND)):
            self._store.delete(KIND, key)

    def _make_room(self) -> None:
        """Remove entries that are not valid, oldest first, then the oldest valid ones."""
        entries = list(self._store.items(KIND))
        surplus = len(entries) + 1 - self._maximum
        if surplus <= 0:
            return
        now = self._utc()

        def value(entry: tuple[str, Document]) -> tuple[bool, float]:
            document = entry[1]
            expiry_at = document.get("expiry_at")
            valid = document["status"] == ACCEPTED and (expiry_at is None or now < expiry_at)
            return valid, document["learnt_at"]

        for key, _ in nsmallest(surplus, entries, key=value):
            self._store.delete(KIND, key)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A local entry and where it was found."""

    info: IdTagInfo
    source: Source

    @property
    def known(self) -> Known:
        """A cached ConcurrentTx must be asked again; on the list it is as good as Accepted."""
        valid = self.info.in_order if self.source == "list" else self.info.status == ACCEPTED
        return Known.VALID if valid else Known.NOT_VALID


class Authorizer:
    """Decides about identifiers: by the local list, the cache, the central system, or none of them.

    It keeps nothing of a question that is under way: the same identifier presented twice is asked for twice.
    """

    __slots__ = ("_authority", "_cache", "_local_list", "_policy", "_utc", "_vouched")

    def __init__(
        self,
        store: Store,
        policy: AuthorizationPolicy,
        authority: Authority,
        utc: Callable[[], float],
        local_list: LocalList | None = None,
        cache_entries: int = 1000,
        vouched: Callable[[str], bool] | None = None,
    ) -> None:
        self._vouched = vouched  # who may charge whatever anybody else says: the owner's own list
        self._cache = AuthorizationCache(store, utc, cache_entries)
        self._policy = policy
        self._authority = authority
        self._utc = utc
        self._local_list = local_list

    def authorize(self, id_tag: str, decided: Callable[[Verdict], None]) -> None:
        """May this identifier start a transaction? `decided` is called exactly once, at once or later.

        In a fresh answer of the central system the status alone decides, not its expiry date. An identifier
        that is vouched for may, and nobody is asked.
        """
        if self._vouched is not None and self._vouched(id_tag):
            decided(Verdict(True, None, ACCEPTED, "whitelist"))
            return
        if self._start(id_tag, self._authority.online, decided):
            return

        def answered(info: IdTagInfo | None) -> None:
            if info is None:
                self._start(id_tag, False, decided)
                return
            self.learn(id_tag, info)
            decided(Verdict(info.status == ACCEPTED, info.parent, info.status, "csms"))

        self._authority.ask(id_tag, answered)

    def _start(self, id_tag: str, online: bool, decided: Callable[[Verdict], None]) -> bool:
        """Decide with what is known here; False if the central system must be asked."""
        entry = self._entry(id_tag)
        decision = decide_start(entry.known if entry else Known.NOTHING, online, self._policy)
        if decision is Decision.ASK:
            return False
        accepted = decision is Decision.START
        if entry is None:
            decided(Verdict(accepted, None, ACCEPTED if accepted else INVALID, "offline"))
        else:
            parent = entry.info.parent if accepted or self._policy.authorize_offline else None
            decided(Verdict(accepted, parent, entry.info.status, entry.source))
        return True

    def known(self, id_tag: str) -> IdTagInfo | None:
        """What the list, else the cache says now; None if neither knows it. Asks nobody."""
        entry = self._entry(id_tag)
        return entry.info if entry else None

    def learn(self, id_tag: str, info: IdTagInfo) -> None:
        """Take note of what the central system has just said of an identifier (OCPP 1.6 §3.5.1 to §3.5.3).

        A listed identifier never enters the cache; the list learns if it was contradicted.
        """
        if info is UNREADABLE:
            return
        listed = self._listed(id_tag)
        if listed is None:
            if self._policy.cache_enabled:
                self._cache.learn(id_tag, info)
        elif self._local_list is not None and listed.in_order != info.in_order:
            self._local_list.contradicted(id_tag)

    def clear_cache(self) -> bool:
        """Forget everything learnt; False if the cache is switched off (OCPP 1.6 §5.4, errata 3.23)."""
        if self._policy.cache_enabled:
            self._cache.clear()
        return self._policy.cache_enabled

    def _listed(self, id_tag: str) -> IdTagInfo | None:
        found = None if self._local_list is None else self._local_list.lookup(id_tag)
        return None if found is None else found.at(self._utc())

    def _entry(self, id_tag: str) -> _Entry | None:
        """The list wins over the cache."""
        if (listed := self._listed(id_tag)) is not None:
            return _Entry(listed, "list")
        if self._policy.cache_enabled and (cached := self._cache.lookup(id_tag)) is not None:
            return _Entry(cached, "cache")
        return None
