"""The vault (whitepaper A02, M03 to M05): what the configuration brings, what lasts, what is used when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargepoint.certificates import KEY_STORE
from chargepoint.domain.outside import Certificate
from chargepoint.domain.ports import Store
from chargepoint.domain.time import StationTime
from chargepoint.ocpp16.security.provided import IMPORTED, OWN, ROOT, Provided
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM, MANUFACTURER, MONTH_S, Vault
from chargepoint.store import MemoryStore, SqliteStore
from hal.clock import SteppedClock
from tests.unit.certificate_material import DAY_S, START, Issuer, bundle, ec_key, key_pem, rsa_key


class Life:
    """One life of the software: a vault over a store, the files it reads and what it complained of."""

    def __init__(self, store: Store, files: Provided | None = None, at: float = START) -> None:
        self.store = store
        self.clock = SteppedClock(at)
        self.complaints: list[str] = []
        self.readings = 0
        self.files = files or Provided()
        self.vault = Vault(store, KEY_STORE, StationTime(self.clock), self.complaints.append, self._read)

    def _read(self) -> Provided:
        self.readings += 1
        return self.files

    def roots(self, use: str = CENTRAL_SYSTEM) -> list[str]:
        """The names of the roots."""
        return sorted(str(root.common_name) for root in self.vault.roots(use))

    @property
    def own(self) -> str | None:
        """The name of the certificate in use."""
        own = self.vault.own()
        return None if own is None else own.certificate.common_name


@pytest.fixture
def store() -> MemoryStore:
    """What lasts from life to life."""
    return MemoryStore()


def pair(name: str, key: Any = None, days: tuple[float, float] = (-10, 365)) -> tuple[str, str]:
    """A certificate for a station, and its key."""
    leaf = Issuer(name, Issuer("Root"), key=key, ca=None, days=days)
    return leaf.pem, key_pem(leaf.key)


class TestRootsOfTheConfiguration:
    def test_each_file_for_its_use(self, store: MemoryStore) -> None:
        a, b, c = Issuer("A"), Issuer("B"), Issuer("C")
        life = Life(store, Provided(central_system=bundle([a, b]), manufacturer=c.pem))
        assert life.roots() == ["A", "B"]
        assert life.roots(MANUFACTURER) == ["C"]
        assert life.vault.count() == 3
        assert life.complaints == []

    def test_read_once_in_a_life_and_taken_in_once_in_all(self, store: MemoryStore) -> None:
        files = Provided(central_system=Issuer("A").pem)
        life = Life(store, files)
        for _ in range(3):
            life.vault.roots(CENTRAL_SYSTEM)
        assert life.readings == 1
        life.vault.delete([(CENTRAL_SYSTEM, root) for root in life.vault.roots(CENTRAL_SYSTEM)])
        for _ in range(3):
            assert Life(store, files).roots() == []

    def test_another_file_takes_the_place_of_the_old_one(self, store: MemoryStore) -> None:
        a, b, c, sent = Issuer("A"), Issuer("B"), Issuer("C"), Issuer("Sent")
        life = Life(store, Provided(central_system=bundle([a, b])))
        life.vault.install(CENTRAL_SYSTEM, sent.certificate, replacing=False)
        life.vault.delete([(CENTRAL_SYSTEM, a.certificate)])
        assert life.roots() == ["B", "Sent"]
        assert Life(store, Provided(central_system=bundle([c, b, a]))).roots() == ["A", "B", "C", "Sent"]
        assert Life(store, Provided(central_system=c.pem)).roots() == ["C", "Sent"]
        assert Life(store, Provided()).roots() == ["Sent"]
        assert Life(store, Provided(central_system=c.pem)).roots() == ["C", "Sent"]

    def test_what_was_sent_before_stays_when_the_file_goes(self, store: MemoryStore) -> None:
        a = Issuer("A")
        Life(store).vault.install(CENTRAL_SYSTEM, a.certificate, replacing=False)
        assert Life(store, Provided(central_system=a.pem)).roots() == ["A"]
        assert Life(store, Provided()).roots() == ["A"]

    @pytest.mark.parametrize(
        "text",
        [None, "nonsense", Issuer("B").pem + Issuer("C").pem.replace("MII", "AAA")],
        ids=["gone", "nonsense", "half a chain"],
    )
    def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_of(
        self, store: MemoryStore, text: str | None
    ) -> None:
        Life(store, Provided(central_system=Issuer("A").pem)).vault.roots(CENTRAL_SYSTEM)
        for _ in range(2):
            life = Life(store, Provided(central_system=text, manufacturer=text))
            life.vault.roots(CENTRAL_SYSTEM)
            assert life.roots() == ["A"]
            assert "csms.tls.ca " in life.complaints[0]
            assert "csms.tls.manufacturer_ca " in life.complaints[1]

    def test_what_the_operator_configures_may_be_old_and_weak(self, store: MemoryStore) -> None:
        weak = Issuer("Weak", key=rsa_key(1024), days=(-10, -5))
        assert Life(store, Provided(central_system=weak.pem)).roots() == ["Weak"]


class TestOwnOfTheConfiguration:
    @pytest.mark.parametrize("one_file", [True, False])
    @pytest.mark.parametrize("make_key", [ec_key, rsa_key], ids=["EC", "RSA"])
    def test_chain_and_key(self, store: MemoryStore, make_key: Any, one_file: bool) -> None:
        chain, key = pair("CP", make_key())
        files = Provided(own_chain=key + chain) if one_file else Provided(own_chain=chain, own_key=key)
        life = Life(store, files)
        own = life.vault.own()
        assert own is not None
        assert own.chain_pem == chain
        assert key in own.key_pem
        assert KEY_STORE.belongs(own.certificate, own.key_pem)

    def test_another_file_takes_the_place_of_the_old_one(self, store: MemoryStore) -> None:
        for name in ("A", "B", "A"):
            assert Life(store, Provided("", "", *pair(name))).own == name
        assert len(dict(store.items(OWN))) == 1
        assert Life(store, Provided()).own is None

    def test_an_issued_one_that_began_later_is_used_before_it(self, store: MemoryStore) -> None:
        files = Provided("", "", *pair("File", days=(-10, 300)))
        life = Life(store, files)
        issued, key = pair("Issued", days=(-5, 300))
        life.vault.accept(KEY_STORE.chain(issued), key)
        assert life.own == "Issued"
        assert Life(store, files).own == "Issued"
        assert Life(store, files, at=START - 7 * DAY_S).own == "File"

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (Provided("", "", "nonsense", "nonsense"), "csms.tls.cert holds no certificate"),
            (Provided("", "", pair("A")[0], pair("B")[1]), "is not the private key"),
            (Provided("", "", pair("A")[0]), "is not the private key"),
            (Provided("", "", None, ""), "cannot be read"),
            (Provided("", "", pair("A")[0], None), "cannot be read"),
        ],
    )
    def test_what_cannot_be_used_changes_nothing_and_is_told_of(
        self, store: MemoryStore, files: Provided, words: str
    ) -> None:
        Life(store, Provided("", "", *pair("Good"))).vault.own()
        for _ in range(2):
            life = Life(store, files)
            assert life.own == "Good"
            [complaint] = life.complaints
            assert words in complaint
            assert "PRIVATE" not in complaint


class TestOwn:
    def give(self, vault: Vault, name: str, days: tuple[float, float]) -> Certificate:
        chain, key = pair(name, days=days)
        certificates = KEY_STORE.chain(chain)
        vault.accept(certificates, key)
        return certificates[0]

    def test_none(self, store: MemoryStore) -> None:
        vault = Life(store).vault
        assert (vault.own(), vault.identifications(), vault.newest(), vault.next_at()) == (
            None,
            [],
            None,
            None,
        )
        vault.tidy()

    def test_the_borders_of_validity(self, store: MemoryStore) -> None:
        self.give(Life(store).vault, "A", (1, 2))
        days = (1 - 1e-6, 1, 2 - 1e-6, 2)
        assert [Life(store, at=START + day * DAY_S).own for day in days] == [None, "A", "A", None]

    def test_what_comes_next(self, store: MemoryStore) -> None:
        vault = Life(store).vault
        for name, days in (("A", (-1, 9.0)), ("C", (5, 9.0)), ("B", (3, 9.0))):
            self.give(vault, name, days)
        assert vault.next_at() == START + 3 * DAY_S
        newest = vault.newest()
        assert newest is not None
        assert newest.common_name == "C"

    def test_the_month_counts_from_the_first_use(self, store: MemoryStore) -> None:
        life = Life(store)
        self.give(life.vault, "Old", (-10, 400))
        self.give(life.vault, "New", (5, 400))
        self.give(life.vault, "Future", (100, 400))
        for day, left in ((4, 3), (34.9, 3), (35, 2)):
            Life(store, at=START + day * DAY_S).vault.tidy()
            assert len(dict(store.items(OWN))) == left, day
        assert MONTH_S == 30 * DAY_S

    def test_a_key_that_waits(self, store: MemoryStore) -> None:
        vault = Life(store).vault
        assert (vault.pending, vault.promised) == (None, False)
        vault.expect("one")
        vault.expect("two")
        assert (vault.pending, vault.promised) == ("two", False)
        vault.expect("two", promised=True)
        assert (Life(store).vault.pending, Life(store).vault.promised) == ("two", True)
        vault.expect_nothing()
        vault.expect_nothing()
        assert vault.pending is None


class TestUndo:
    """What one call changes can be taken back whole."""

    @pytest.mark.parametrize("replacing", [False, True])
    def test_install(self, store: MemoryStore, replacing: bool) -> None:
        vault = Life(store).vault
        vault.install(CENTRAL_SYSTEM, Issuer("A").certificate, replacing=False)
        before = dict(store.items(ROOT))
        undo = vault.install(CENTRAL_SYSTEM, Issuer("B").certificate, replacing)
        assert dict(store.items(ROOT)) != before
        undo()
        assert dict(store.items(ROOT)) == before

    def test_delete_and_accept(self, store: MemoryStore) -> None:
        life = Life(store)
        roots = [Issuer(name).certificate for name in "AB"]
        for root in roots:
            life.vault.install(MANUFACTURER, root, replacing=False)
        chain, key = pair("CP")
        life.vault.expect(key)
        undos = [
            life.vault.delete((MANUFACTURER, root) for root in roots),
            life.vault.accept(KEY_STORE.chain(chain), key),
        ]
        assert (life.roots(MANUFACTURER), life.own, life.vault.pending) == ([], "CP", None)
        for undo in undos:
            undo()
        assert (life.roots(MANUFACTURER), life.own, life.vault.pending) == (["A", "B"], None, key)


class TestProven:
    def test_whoever_does_not_say_which_root_vouches_for_it(self, store: MemoryStore) -> None:
        life, old = Life(store), Issuer("Old")
        life.vault.install(CENTRAL_SYSTEM, old.certificate, replacing=False)
        life.vault.proven()
        assert life.roots() == ["Old"]
        life.vault.install(CENTRAL_SYSTEM, Issuer("New", old).certificate, replacing=True)
        life.vault.proven()
        assert life.roots() == ["New"]


class TestTheStore:
    def test_nothing_is_written_or_parsed_before_it_is_asked_for(
        self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(KEY_STORE), "chain", lambda self, pem: pytest.fail("parsed"))
        life = Life(store, Provided(central_system=Issuer("A").pem))
        assert life.readings == 0
        assert life.vault.newest() is None  # the station's own needs nothing of the roots
        assert dict(store.items(ROOT)) == dict(store.items(IMPORTED)) == {}

    def test_stations_with_the_same_roots_share_what_is_in_them(self) -> None:
        files = Provided(central_system=Issuer("A").pem)
        [one], [other] = (Life(MemoryStore(), files).vault.roots(CENTRAL_SYSTEM) for _ in range(2))
        assert one is other

    def test_keys_lie_in_a_file_nobody_else_may_read_and_survive(self, tmp_path: Path) -> None:
        on_disk = SqliteStore.open(tmp_path, "CP001")
        life = Life(on_disk, Provided("", "", *pair("CP")))
        assert life.own == "CP"
        life.vault.expect("the key")
        on_disk.commit()
        for path in tmp_path.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path
        found = SqliteStore.peek(on_disk.path, OWN)
        on_disk.close()
        assert len(found) == 1
        again = SqliteStore.open(tmp_path, "CP001")
        try:
            assert Life(again, Provided("", "", *pair("CP"))).vault.pending == "the key"
        finally:
            again.close()

    @pytest.mark.parametrize("kind", [ROOT, OWN])
    def test_a_damaged_document_hides_no_other(self, store: MemoryStore, kind: str) -> None:
        life = Life(store, Provided(Issuer("A").pem, "", *pair("CP")))
        assert (life.roots(), life.own) == (["A"], "CP")
        bad = {"use": CENTRAL_SYSTEM, "pem": "bad"} if kind == ROOT else {"chain": "bad", "key": "", "at": 0}
        store.put(kind, "!", bad)
        assert (life.roots(), life.own) == (["A"], "CP")
        life.vault.tidy()
