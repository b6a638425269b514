"""Who may start and stop: decision table, cache, list, group (OCPP 1.6 §3.4, §3.5, §3.9, §3.10, §5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chargepoint.domain.authorization import (
    KIND,
    UNREADABLE,
    AuthorizationCache,
    Authorizer,
    Decision,
    IdTagInfo,
    Known,
    Verdict,
    decide_start,
)
from chargepoint.store import MemoryStore

ACCEPTED = IdTagInfo("Accepted")


@dataclass
class Policy:
    """Keys as a test wants them."""

    cache_enabled: bool = True
    pre_authorize: bool = False
    authorize_offline: bool = True
    allow_unknown_offline: bool = False


@dataclass
class Csms:
    """A central system that answers when the test says so."""

    online: bool = True
    asked: list[tuple[str, Callable[[IdTagInfo | None], None]]] = field(default_factory=list)

    def ask(self, id_tag: str, answered: Callable[[IdTagInfo | None], None]) -> None:
        self.asked.append((id_tag, answered))

    def answer(self, info: IdTagInfo | None) -> None:
        """Answer the oldest question."""
        _, answered = self.asked.pop(0)
        answered(info)


@dataclass
class SentList:
    """A local authorization list with some entries."""

    entries: dict[str, IdTagInfo]
    conflicts: list[str] = field(default_factory=list)

    def lookup(self, id_tag: str) -> IdTagInfo | None:
        return self.entries.get(id_tag.casefold())

    def contradicted(self, id_tag: str) -> None:
        self.conflicts.append(id_tag)


class Bench:
    """An authorizer with everything around it."""

    def __init__(self, listed: dict[str, IdTagInfo] | None = None, cache_entries: int = 1000) -> None:
        self.now = 1000.0
        self.policy = Policy()
        self.csms = Csms()
        self.store = MemoryStore()
        self.list = SentList(listed) if listed is not None else None
        self.authorizer = Authorizer(
            self.store, self.policy, self.csms, lambda: self.now, self.list, cache_entries
        )

    def start(self, id_tag: str) -> list[Verdict]:
        """Present a tag; the list fills when the verdict comes."""
        verdicts: list[Verdict] = []
        self.authorizer.authorize(id_tag, verdicts.append)
        return verdicts


class TestDecideStart:
    """Every row of the decision table, every setting that does not matter both ways."""

    @pytest.mark.parametrize(
        ("online", "known", "pre_authorize", "authorize_offline", "allow_unknown", "expected"),
        [
            pytest.param(True, Known.VALID, True, None, None, Decision.START, id="online valid pre"),
            pytest.param(True, Known.VALID, False, None, None, Decision.ASK, id="online valid no-pre"),
            pytest.param(True, Known.NOT_VALID, None, None, None, Decision.ASK, id="online not-valid"),
            pytest.param(True, Known.NOTHING, None, None, None, Decision.ASK, id="online unknown"),
            pytest.param(False, Known.VALID, None, True, None, Decision.START, id="offline valid"),
            pytest.param(False, Known.VALID, None, False, None, Decision.REFUSE, id="offline valid not-used"),
            pytest.param(False, Known.NOT_VALID, None, None, None, Decision.REFUSE, id="offline not-valid"),
            pytest.param(
                False, Known.NOTHING, None, None, True, Decision.START, id="offline unknown allowed"
            ),
            pytest.param(False, Known.NOTHING, None, None, False, Decision.REFUSE, id="offline unknown"),
        ],
    )
    def test_row(
        self,
        online: bool,
        known: Known,
        pre_authorize: bool | None,
        authorize_offline: bool | None,
        allow_unknown: bool | None,
        expected: Decision,
    ) -> None:
        def both(value: bool | None) -> tuple[bool, ...]:
            return (True, False) if value is None else (value,)

        for pre in both(pre_authorize):
            for offline in both(authorize_offline):
                for unknown in both(allow_unknown):
                    policy = Policy(True, pre, offline, unknown)
                    assert decide_start(known, online, policy) is expected, policy


class TestIdTagInfo:
    @pytest.mark.parametrize(
        ("expiry_at", "expected"),
        [
            pytest.param(None, "Accepted", id="never"),
            pytest.param(1000.001, "Accepted", id="not yet"),
            pytest.param(1000.0, "Expired", id="now"),
            pytest.param(1.0, "Expired", id="long ago"),
        ],
    )
    def test_expiry(self, expiry_at: float | None, expected: str) -> None:
        assert IdTagInfo("Accepted", expiry_at, "G").at(1000.0) == IdTagInfo(expected, expiry_at, "G")


class TestCache:
    def cache(self, store: MemoryStore, maximum: int = 1000, now: float = 1000.0) -> AuthorizationCache:
        return AuthorizationCache(store, lambda: now, maximum)

    def test_case_does_not_matter_and_is_kept_as_received(self) -> None:
        store = MemoryStore()
        self.cache(store).learn("AbC1", ACCEPTED)
        assert self.cache(store).lookup("aBc1") == ACCEPTED
        assert [document["id_tag"] for _, document in store.items(KIND)] == ["AbC1"]

    def test_a_new_answer_replaces_the_whole_entry(self) -> None:
        cache = self.cache(MemoryStore())
        cache.learn("A", IdTagInfo("Accepted", 5000.0, "GROUP"))
        cache.learn("a", IdTagInfo("Blocked"))
        assert cache.lookup("A") == IdTagInfo("Blocked")

    def test_an_entry_expires_and_stays(self) -> None:
        store = MemoryStore()
        self.cache(store).learn("A", IdTagInfo("Accepted", 2000.0, "G"))
        assert self.cache(store, now=1999.0).lookup("A") == IdTagInfo("Accepted", 2000.0, "G")
        assert self.cache(store, now=2000.0).lookup("A") == IdTagInfo("Expired", 2000.0, "G")
        assert len(list(store.items(KIND))) == 1

    def test_what_was_committed_survives_and_what_was_not_does_not(self) -> None:
        store = MemoryStore()
        self.cache(store).learn("A", ACCEPTED)
        store.rollback()
        assert self.cache(store).lookup("A") is None
        self.cache(store).learn("A", ACCEPTED)
        store.commit()
        store.rollback()
        assert self.cache(store).lookup("A") == ACCEPTED

    @pytest.mark.parametrize(
        ("entries", "leaves"),
        [
            pytest.param(
                [("A", ACCEPTED), ("B", IdTagInfo("Blocked")), ("C", ACCEPTED)], "B", id="not valid"
            ),
            pytest.param(
                [("A", ACCEPTED), ("B", IdTagInfo("Accepted", 999.0)), ("C", ACCEPTED)], "B", id="expired"
            ),
            pytest.param(
                [("A", ACCEPTED), ("B", IdTagInfo("Invalid")), ("C", IdTagInfo("Blocked"))],
                "B",
                id="oldest of those not valid",
            ),
            pytest.param([("C", ACCEPTED), ("A", ACCEPTED), ("B", ACCEPTED)], "C", id="oldest valid"),
        ],
    )
    def test_a_full_cache_makes_room(self, entries: list[tuple[str, IdTagInfo]], leaves: str) -> None:
        store = MemoryStore()
        for moment, (id_tag, info) in enumerate(entries):
            self.cache(store, 3, 100.0 + moment).learn(id_tag, info)
        self.cache(store, 3).learn("NEW", ACCEPTED)
        left = {document["id_tag"] for _, document in store.items(KIND)}
        assert left == {"A", "B", "C", "NEW"} - {leaves}

    def test_replacing_needs_no_room(self) -> None:
        store = MemoryStore()
        cache = self.cache(store, 2)
        for id_tag in ("A", "B", "a", "b"):
            cache.learn(id_tag, ACCEPTED)
        assert [key for key, _ in store.items(KIND)] == ["a", "b"]

    def test_learning_again_makes_an_entry_young(self) -> None:
        store = MemoryStore()
        for moment, id_tag in enumerate(("A", "B", "A")):
            self.cache(store, 2, 100.0 + moment).learn(id_tag, ACCEPTED)
        self.cache(store, 2).learn("C", ACCEPTED)
        assert [key for key, _ in store.items(KIND)] == ["a", "c"]

    def test_a_smaller_maximum_than_before_is_reached_at_once(self) -> None:
        store = MemoryStore()
        for moment, id_tag in enumerate("ABCDE"):
            self.cache(store, 5, 100.0 + moment).learn(id_tag, ACCEPTED)
        self.cache(store, 3).learn("F", ACCEPTED)
        assert [key for key, _ in store.items(KIND)] == ["d", "e", "f"]


class TestStart:
    """Rows of the decision table seen from outside: which questions are asked, which verdict comes."""

    def test_unknown_online_asks_with_the_case_received_and_obeys(self) -> None:
        bench = Bench()
        verdicts = bench.start("AbC")
        assert [id_tag for id_tag, _ in bench.csms.asked] == ["AbC"]
        assert verdicts == []
        bench.csms.answer(IdTagInfo("Accepted", None, "GROUP"))
        assert verdicts == [Verdict(True, "GROUP", "Accepted", "csms")]
        assert bench.authorizer.known("abc") == IdTagInfo("Accepted", None, "GROUP")

    @pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "ConcurrentTx"])
    def test_only_accepted_starts(self, status: str) -> None:
        bench = Bench()
        verdicts = bench.start("A")
        bench.csms.answer(IdTagInfo(status))
        assert verdicts == [Verdict(False, None, status, "csms")]

    def test_the_expiry_date_of_a_fresh_answer_matters_only_later(self) -> None:
        bench = Bench()
        bench.policy.pre_authorize = True
        verdicts = bench.start("A")
        bench.csms.answer(IdTagInfo("Accepted", 1.0))
        assert verdicts == [Verdict(True, None, "Accepted", "csms")]
        bench.start("A")
        assert len(bench.csms.asked) == 1

    def test_known_and_pre_authorized_asks_nobody(self) -> None:
        bench = Bench()
        bench.policy.pre_authorize = True
        bench.authorizer.learn("A", IdTagInfo("Accepted", None, "G"))
        assert bench.start("a") == [Verdict(True, "G", "Accepted", "cache")]
        assert bench.csms.asked == []

    @pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "ConcurrentTx"])
    def test_a_cached_entry_that_is_not_valid_is_asked_again(self, status: str) -> None:
        bench = Bench()
        bench.policy.pre_authorize = True
        bench.authorizer.learn("A", IdTagInfo(status))
        verdicts = bench.start("A")
        bench.csms.answer(ACCEPTED)
        assert verdicts == [Verdict(True, None, "Accepted", "csms")]

    @pytest.mark.parametrize(
        ("known", "authorize_offline", "allow_unknown", "expected"),
        [
            pytest.param(
                IdTagInfo("Accepted", None, "G"),
                True,
                False,
                Verdict(True, "G", "Accepted", "cache"),
                id="valid",
            ),
            pytest.param(
                IdTagInfo("Accepted", None, "G"),
                False,
                True,
                Verdict(False, None, "Accepted", "cache"),
                id="valid but not to be used",
            ),
            pytest.param(
                IdTagInfo("Blocked"), True, True, Verdict(False, None, "Blocked", "cache"), id="blocked"
            ),
            pytest.param(
                IdTagInfo("Accepted", 999.0),
                True,
                True,
                Verdict(False, None, "Expired", "cache"),
                id="expired by time",
            ),
            pytest.param(
                IdTagInfo("ConcurrentTx", None, "G"),
                True,
                True,
                Verdict(False, "G", "ConcurrentTx", "cache"),
                id="in a transaction",
            ),
            pytest.param(None, True, True, Verdict(True, None, "Accepted", "offline"), id="unknown allowed"),
            pytest.param(None, True, False, Verdict(False, None, "Invalid", "offline"), id="unknown"),
        ],
    )
    @pytest.mark.parametrize("how", ["link down", "no answer"])
    def test_offline(
        self,
        how: str,
        known: IdTagInfo | None,
        authorize_offline: bool,
        allow_unknown: bool,
        expected: Verdict,
    ) -> None:
        bench = Bench()
        bench.policy.authorize_offline = authorize_offline
        bench.policy.allow_unknown_offline = allow_unknown
        if known is not None:
            bench.authorizer.learn("A", known)
        bench.csms.online = how == "no answer"
        verdicts = bench.start("A")
        if bench.csms.online:
            bench.csms.answer(None)
        assert verdicts == [expected]

    def test_an_unreadable_answer_refuses_and_is_not_remembered(self) -> None:
        bench = Bench()
        bench.policy.allow_unknown_offline = True
        verdicts = bench.start("A")
        bench.csms.answer(UNREADABLE)
        assert verdicts == [Verdict(False, None, "Invalid", "csms")]
        assert bench.authorizer.known("A") is None

    def test_a_tag_presented_twice_is_answered_twice(self) -> None:
        bench = Bench()
        first, second = bench.start("A"), bench.start("A")
        bench.csms.answer(IdTagInfo("Blocked"))
        bench.csms.answer(ACCEPTED)
        assert [verdict.accepted for verdict in first + second] == [False, True]
        assert bench.authorizer.known("A") == ACCEPTED


class TestLocalList:
    @pytest.mark.parametrize(
        ("info", "accepted"),
        [
            pytest.param(IdTagInfo("Accepted"), True, id="accepted"),
            pytest.param(IdTagInfo("ConcurrentTx"), True, id="concurrent counts as valid here"),
            pytest.param(IdTagInfo("Accepted", 999.0), False, id="expired by time"),
            pytest.param(IdTagInfo("Expired"), False, id="expired"),
            pytest.param(IdTagInfo("Blocked"), False, id="blocked"),
            pytest.param(IdTagInfo("Invalid"), False, id="invalid"),
        ],
    )
    def test_offline(self, info: IdTagInfo, accepted: bool) -> None:
        bench = Bench({"a": info})
        bench.csms.online = False
        verdicts = bench.start("A")
        assert [(verdict.accepted, verdict.source) for verdict in verdicts] == [(accepted, "list")]

    def test_the_list_wins_over_the_cache(self) -> None:
        bench = Bench({})
        assert bench.list is not None
        bench.authorizer.learn("A", ACCEPTED)
        bench.list.entries["a"] = IdTagInfo("Blocked")
        bench.csms.online = False
        assert bench.start("A") == [Verdict(False, None, "Blocked", "list")]

    def test_listed_tags_never_enter_the_cache(self) -> None:
        bench = Bench({"a": ACCEPTED})
        bench.start("A")
        bench.csms.answer(IdTagInfo("Accepted", None, "G"))
        assert list(bench.store.items(KIND)) == []

    @pytest.mark.parametrize(
        ("listed", "answer", "conflict"),
        [
            pytest.param("Accepted", "Blocked", True, id="valid, csms says no"),
            pytest.param("Blocked", "Accepted", True, id="not valid, csms says yes"),
            pytest.param("Accepted", "ConcurrentTx", False, id="in a transaction is no contradiction"),
            pytest.param("Accepted", "Accepted", False, id="agreed"),
            pytest.param("Blocked", "Invalid", False, id="agreed on no"),
        ],
    )
    def test_contradiction(self, listed: str, answer: str, conflict: bool) -> None:
        bench = Bench({"a": IdTagInfo(listed)})
        assert bench.list is not None
        bench.authorizer.learn("A", IdTagInfo(answer))
        assert bench.list.conflicts == (["A"] if conflict else [])


class TestCacheKey:
    """AuthorizationCacheEnabled and ClearCache."""

    def test_switched_off_it_is_neither_written_nor_read(self) -> None:
        bench = Bench()
        bench.authorizer.learn("A", ACCEPTED)
        bench.policy.cache_enabled = False
        bench.authorizer.learn("B", ACCEPTED)
        assert bench.authorizer.known("A") is None
        assert bench.authorizer.clear_cache() is False
        bench.policy.cache_enabled = True
        assert bench.authorizer.known("A") == ACCEPTED
        assert bench.authorizer.known("B") is None

    def test_cleared_the_next_tag_is_asked_for_and_the_list_is_untouched(self) -> None:
        bench = Bench({"listed": ACCEPTED})
        bench.policy.pre_authorize = True
        for id_tag in ("A", "B"):
            bench.authorizer.learn(id_tag, ACCEPTED)
        assert bench.authorizer.clear_cache() is True
        assert list(bench.store.items(KIND)) == []
        assert bench.start("A") == []
        assert [id_tag for id_tag, _ in bench.csms.asked] == ["A"]
        assert bench.start("LISTED") == [Verdict(True, None, "Accepted", "list")]

    def test_the_size_is_bounded(self) -> None:
        bench = Bench(cache_entries=2)
        for moment, id_tag in enumerate("ABC"):
            bench.now = 1000.0 + moment
            bench.authorizer.learn(id_tag, ACCEPTED)
        assert [key for key, _ in bench.store.items(KIND)] == ["b", "c"]


def test_an_identifier_that_is_vouched_for_starts_whatever_is_known_of_it() -> None:
    bench = Bench({"mine": IdTagInfo("Blocked")})
    authorizer = Authorizer(
        bench.store, bench.policy, bench.csms, lambda: bench.now, bench.list, vouched="mine".__eq__
    )
    for bench.csms.online in (True, False):
        verdicts: list[Verdict] = []
        authorizer.authorize("mine", verdicts.append)
        assert verdicts == [Verdict(True, None, "Accepted", "whitelist")]
        assert bench.csms.asked == []
    bench.csms.online = True
    authorizer.authorize("other", verdicts.append)
    assert [id_tag for id_tag, _ in bench.csms.asked] == ["other"]
