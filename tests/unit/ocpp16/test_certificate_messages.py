"""Certificates over the wire (whitepaper A02, A03, M03 to M05; TC_074 to TC_078)."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.certificates import KEY_STORE
from chargepoint.errors import StoreError
from chargepoint.ocpp16.security.provided import OWN, Provided
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM, MANUFACTURER, PENDING
from chargepoint.ocpp16.times import format_time
from chargepoint.store import MemoryStore
from tests.unit.certificate_material import DAY_S, START, Issuer, bundle, ec_key, key_pem, rsa_key
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.test_boot import registration

ACCEPTED, REJECTED, FAILED = {"status": "Accepted"}, {"status": "Rejected"}, {"status": "Failed"}
NOT_FOUND = {"status": "NotFound"}
BAD_ROOT, BAD_OWN = "InvalidCentralSystemCertificate", "InvalidChargePointCertificate"


class FullStore(MemoryStore):
    """A store that cannot keep anything while `full`."""

    full = False

    def commit(self) -> None:
        if self.full and self._undo:
            raise StoreError("the disk is full")
        super().commit()


class ProvidedBench(Bench):
    """A station whose configuration names certificate files; these are their texts."""

    files = Provided()

    def provided(self) -> Provided:
        return self.files


class Witness(Bench):
    """Remembers in `changed` how many frames had gone when a new connection became due."""

    def make(self) -> None:
        super().make()
        self.changed: list[int] = []
        self.cp.vault.changed = lambda: self.changed.append(len(self.csms.frames))


def station(root: Issuer | None = None, **options: Any) -> Witness:
    """A station in operation, that knows its operator and perhaps a root of the central system."""
    ocpp = {"CpoName": "Example CPO", **options.pop("ocpp", {})}
    bench = Witness(ocpp=ocpp, security_events=True, **options)
    bench.csms.answers["SignCertificate"] = lambda payload: ACCEPTED
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Accepted",
        "currentTime": format_time(bench.clock.now()),
        "interval": 604_800,  # tests here last for weeks
    }
    bench.connect()
    if root is not None:
        assert install(bench, root) == ACCEPTED
        bench.changed.clear()
    bench.advance(1)
    return bench


def install(bench: Bench, root: Issuer | str, use: str = CENTRAL_SYSTEM) -> Any:
    """Install a root; the answer."""
    pem = root if isinstance(root, str) else root.pem
    return bench.call("InstallCertificate", {"certificateType": use, "certificate": pem})


def listed(bench: Bench, use: str = CENTRAL_SYSTEM) -> Any:
    """The hash data of the installed roots, or NotFound."""
    answer = bench.call("GetInstalledCertificateIds", {"certificateType": use})
    return answer["certificateHashData"] if answer["status"] == "Accepted" else answer


def delete(bench: Bench, hash_data: dict[str, str]) -> Any:
    """Delete a root; the answer."""
    return bench.call("DeleteCertificate", {"certificateHashData": hash_data})


def named(issuer: Issuer, by: Issuer | None = None, algorithm: Any = "SHA256") -> dict[str, str]:
    """The hash data of a certificate, on the wire."""
    data = KEY_STORE.hash_data(issuer.certificate, by.certificate if by else None, algorithm)
    return {
        "hashAlgorithm": data.algorithm,
        "issuerNameHash": data.issuer_name_hash,
        "issuerKeyHash": data.issuer_key_hash,
        "serialNumber": data.serial_number,
    }


def installed(bench: Bench, use: str = CENTRAL_SYSTEM) -> list[str]:
    """The names of the installed roots."""
    return [str(root.common_name) for root in bench.cp.vault.roots(use)]


def told(bench: Bench) -> list[str]:
    """The kinds of security events the central system got, the start apart."""
    return [p["type"] for p in bench.sent("SecurityEventNotification") if p["type"] != "StartupOfTheDevice"]


def trigger(bench: Bench) -> Any:
    """Ask for a new certificate request; the answer."""
    return bench.call("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})


def request(bench: Bench) -> str:
    """A new certificate request of the station."""
    assert trigger(bench) == ACCEPTED
    return str(bench.sent("SignCertificate")[-1]["csr"])


def signed(bench: Bench, chain: str) -> Any:
    """Send a certificate; the answer."""
    return bench.call("CertificateSigned", {"certificateChain": chain})


class TestInstall:
    def test_it_lasts(self) -> None:
        bench, root = station(), Issuer("Root")
        assert install(bench, root) == ACCEPTED
        assert install(bench, Issuer("Maker"), MANUFACTURER) == ACCEPTED
        bench.restart()
        assert installed(bench) == ["Root"]
        assert installed(bench, MANUFACTURER) == ["Maker"]
        assert told(bench) == []

    def test_the_same_again_is_no_second_one(self) -> None:
        bench, root = station(), Issuer("Root")
        assert install(bench, root) == ACCEPTED
        assert install(bench, f"the same\n{root.pem.replace(chr(10), chr(13) + chr(10))}") == ACCEPTED
        assert installed(bench) == ["Root"]

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param("", id="nothing"),
            pytest.param("no certificate", id="no PEM"),
            pytest.param(Issuer("Root").pem.replace("A", "B", 20), id="mangled"),
            pytest.param(Issuer("Root", days=(-10, -1)), id="expired"),
            pytest.param(Issuer("Root", days=(-10, 0)), id="expired this moment"),
            pytest.param(Issuer("Root", key=rsa_key(1024)), id="weak key"),
            pytest.param(Issuer("Root", digest=hashes.SHA224()), id="weak hash"),
            pytest.param(bundle([Issuer("A"), Issuer("B")]), id="two in one"),
            pytest.param(Issuer("Root", Issuer("Root")), id="signed by another of its name"),
            pytest.param(key_pem(ec_key()), id="a private key"),
        ],
    )
    def test_tc_078_bad_ones(self, bad: Issuer | str) -> None:
        bench = station()
        assert install(bench, bad) == REJECTED
        bench.advance(1)
        assert told(bench) == [BAD_ROOT]
        assert install(bench, bad, MANUFACTURER) == REJECTED
        bench.advance(1)
        assert told(bench) == [BAD_ROOT]
        assert installed(bench) == installed(bench, MANUFACTURER) == []
        assert bench.changed == []

    @pytest.mark.parametrize(
        "good",
        [
            pytest.param(Issuer("Root", days=(5, 10)), id="not valid yet"),
            pytest.param(Issuer("Root", ca=False), id="a server's"),
            pytest.param(Issuer("Root", ca=None), id="without extensions"),
            pytest.param(Issuer("Root", Issuer("Other")), id="signed by another"),
            pytest.param(Issuer("Root", key=rsa_key()), id="RSA"),
        ],
    )
    def test_good_ones(self, good: Issuer) -> None:
        bench = station()
        assert install(bench, good) == ACCEPTED
        assert installed(bench) == ["Root"]

    @pytest.mark.parametrize("ca", [None, False])
    def test_only_authorities_where_the_operator_says_so(self, ca: bool | None) -> None:
        bench = station(compatibility={"require_ca_certificates": True})
        assert install(bench, Issuer("Root", ca=ca)) == REJECTED
        assert install(bench, Issuer("Root", ca=ca), MANUFACTURER) == REJECTED
        assert install(bench, Issuer("Root")) == ACCEPTED

    def test_full(self) -> None:
        bench = station(ocpp={"CertificateStoreMaxLength": "2"})
        roots = [Issuer("A"), Issuer("B"), Issuer("C")]
        assert install(bench, roots[0]) == ACCEPTED
        assert install(bench, roots[1], MANUFACTURER) == ACCEPTED
        assert install(bench, roots[2]) == REJECTED
        assert install(bench, roots[2], MANUFACTURER) == REJECTED
        assert install(bench, roots[0]) == ACCEPTED  # it is there
        assert delete(bench, named(roots[1])) == ACCEPTED
        assert install(bench, roots[2]) == ACCEPTED
        bench.advance(1)
        assert told(bench) == []

    def test_what_cannot_be_stored_was_never_there(self) -> None:
        store = FullStore()
        bench, root = station(store=store), Issuer("Root")
        store.full = True
        bench.csms.say(
            [2, "full", "InstallCertificate", {"certificateType": CENTRAL_SYSTEM, "certificate": root.pem}]
        )
        bench.clock.advance(0)
        assert bench.csms.frames[-1] == ("tx", [3, "full", FAILED])
        assert [type(error) for error in bench.errors] == [StoreError]
        bench.errors.clear()
        store.full = False
        bench.advance(20)
        assert installed(bench) == []
        assert bench.changed == []
        assert install(bench, root) == ACCEPTED

    def test_a_new_root_of_the_central_system_is_worth_a_new_connection(self) -> None:
        """Only behind the answer, which the old connection has to carry."""
        bench = station()
        before = len(bench.csms.frames)
        assert install(bench, Issuer("Root")) == ACCEPTED
        assert bench.changed == [before + 2]
        assert install(bench, Issuer("Maker"), MANUFACTURER) == ACCEPTED
        assert len(bench.changed) == 1


class TestAdditionalCheck:
    """AdditionalRootCertificateCheck (whitepaper M05, the keys)."""

    OPTIONS: ClassVar[dict[str, Any]] = {
        "ocpp": {"AdditionalRootCertificateCheck": "true", "CertificateStoreMaxLength": "1"}
    }

    def test_the_first_one_needs_no_signature(self) -> None:
        bench = station(**self.OPTIONS)
        assert install(bench, Issuer("Root")) == ACCEPTED
        assert told(bench) == []

    def test_the_next_one_needs_that_of_the_present_one(self) -> None:
        old = Issuer("Old")
        bench = station(old, **self.OPTIONS)
        for stranger in (Issuer("New"), Issuer("New", Issuer("Old")), Issuer("Old")):
            assert install(bench, stranger) == REJECTED
        bench.advance(1)
        assert set(told(bench)) == {BAD_ROOT}
        assert installed(bench) == ["Old"]
        assert install(bench, old) == ACCEPTED

    def test_the_old_one_stays_until_a_connection_with_the_new_one_worked(self) -> None:
        old = Issuer("Old")
        new = Issuer("New", old)
        bench = station(old, **self.OPTIONS)
        assert install(bench, new) == ACCEPTED
        bench.restart()
        assert installed(bench) == ["New", "Old"]
        vault = bench.cp.vault
        vault.in_use = old.certificate.fingerprint  # the server does not know the new one yet
        with bench.cp.turn:
            vault.proven()
        assert installed(bench) == ["New", "Old"]
        vault.in_use = new.certificate.fingerprint
        with bench.cp.turn:
            vault.proven()
        assert installed(bench) == ["New"]
        bench.restart()
        assert installed(bench) == ["New"]

    def test_the_old_one_does_not_come_back_by_itself(self) -> None:
        old = Issuer("Old")
        bench = station(old, **self.OPTIONS)
        assert install(bench, Issuer("New", old)) == ACCEPTED
        bench.connect()
        assert install(bench, old) == REJECTED
        assert install(bench, Issuer("Newer", old)) == REJECTED  # the present one is another

    def test_roots_of_the_manufacturer_are_free(self) -> None:
        bench = station(ocpp={"AdditionalRootCertificateCheck": "true"})
        for name in ("A", "B"):
            assert install(bench, Issuer(name), MANUFACTURER) == ACCEPTED
        assert installed(bench) == []
        assert sorted(installed(bench, MANUFACTURER)) == ["A", "B"]


class TestList:
    def test_none(self) -> None:
        bench = station()
        assert listed(bench) == NOT_FOUND
        assert listed(bench, MANUFACTURER) == NOT_FOUND

    def test_tc_075_of_one_use(self) -> None:
        root, maker = Issuer("Root", serial=4095), Issuer("Maker", serial=0xAB)
        bench = station(root)
        assert install(bench, maker, MANUFACTURER) == ACCEPTED
        assert listed(bench) == [named(root)]
        assert listed(bench, MANUFACTURER) == [named(maker)]
        assert listed(bench)[0]["serialNumber"] == "fff"

    def test_an_issuer_that_is_installed_too(self) -> None:
        root = Issuer("Root")
        issued = Issuer("Issued", root)
        bench = station(issued)
        assert listed(bench) == [named(issued)]
        assert install(bench, root, MANUFACTURER) == ACCEPTED
        assert listed(bench) == [named(issued, root)]


class TestDelete:
    def test_tc_076_then_it_is_not_found(self) -> None:
        root = Issuer("Root")
        bench = station(root)
        before = len(bench.csms.frames)
        assert delete(bench, listed(bench)[0]) == ACCEPTED
        assert bench.changed == [before + 4]
        assert delete(bench, named(root)) == NOT_FOUND
        bench.restart()
        assert installed(bench) == []

    @pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
    def test_by_any_hash_in_any_case(self, algorithm: str) -> None:
        root = Issuer("Root", serial=0xABC)
        bench = station(root)
        data = named(root, algorithm=algorithm)
        capitals = {name: value.upper() for name, value in data.items()}
        assert delete(bench, {**capitals, "serialNumber": "0ABC"}) == ACCEPTED
        assert installed(bench) == []

    @pytest.mark.parametrize("field", ["issuerNameHash", "issuerKeyHash", "serialNumber"])
    def test_everything_has_to_agree(self, field: str) -> None:
        root = Issuer("Root")
        bench = station(root)
        data = named(root)
        other = data[field][:-1] + ("1" if data[field].endswith("0") else "0")
        assert delete(bench, {**data, field: other}) == NOT_FOUND
        assert delete(bench, {**data, "hashAlgorithm": "SHA512"}) == NOT_FOUND
        assert delete(bench, {**data, field: ""}) == NOT_FOUND
        assert installed(bench) == ["Root"]

    def test_only_that_one(self) -> None:
        bench = station(Issuer("A", serial=1))
        assert install(bench, Issuer("B", serial=2)) == ACCEPTED
        assert delete(bench, next(one for one in listed(bench) if one["serialNumber"] == "1")) == ACCEPTED
        assert installed(bench) == ["B"]

    def test_with_and_without_its_issuer(self) -> None:
        root = Issuer("Root")
        issued = Issuer("Issued", root)
        for by in (root, None):
            bench = station(issued)
            assert install(bench, root, MANUFACTURER) == ACCEPTED
            assert delete(bench, named(issued, by)) == ACCEPTED
            assert (installed(bench), installed(bench, MANUFACTURER)) == ([], ["Root"])

    def test_not_the_one_the_connection_stands_on(self) -> None:
        root = Issuer("Root")
        bench = station(root)
        bench.cp.vault.in_use = root.certificate.fingerprint
        assert delete(bench, named(root)) == FAILED
        assert installed(bench) == ["Root"]
        bench.cp.vault.in_use = None
        assert delete(bench, named(root)) == ACCEPTED

    def test_not_the_station_s_own(self) -> None:
        root = Issuer("Root")
        bench = station(root)
        own = root.answer(request(bench))
        assert signed(bench, own) == ACCEPTED
        data = KEY_STORE.hash_data(KEY_STORE.chain(own)[0], root.certificate, "SHA384")
        assert (
            delete(
                bench,
                {
                    "hashAlgorithm": "SHA384",
                    "issuerNameHash": data.issuer_name_hash,
                    "issuerKeyHash": data.issuer_key_hash,
                    "serialNumber": data.serial_number,
                },
            )
            == FAILED
        )
        assert bench.cp.vault.own() is not None

    def test_what_cannot_be_stored_is_still_there(self) -> None:
        store, root = FullStore(), Issuer("Root")
        bench = station(root, store=store)
        store.full = True
        bench.csms.say([2, "full", "DeleteCertificate", {"certificateHashData": named(root)}])
        bench.clock.advance(0)
        assert bench.csms.frames[-1] == ("tx", [3, "full", FAILED])
        bench.errors.clear()
        store.full = False
        bench.advance(20)
        assert installed(bench) == ["Root"]


class PlateBench(Bench):
    """A station with a type plate."""

    more: ClassVar[dict[str, str]] = {}

    def plate(self) -> dict[str, str]:
        return {**super().plate(), **self.more}


class TestSign:
    def test_the_answer_goes_first(self) -> None:
        bench = station()
        before = len(bench.csms.frames)
        assert trigger(bench) == ACCEPTED
        sent = [frame for way, frame in bench.csms.frames[before:] if way == "tx"]
        assert [frame[0] for frame in sent] == [3, 2]
        assert sent[1][2] == "SignCertificate"

    def test_who_asks(self) -> None:
        csr = x509.load_pem_x509_csr(request(station()).encode())
        assert csr.is_signature_valid
        assert csr.subject.rfc4514_string() == "CN=CP001,O=Example CPO"

    @pytest.mark.parametrize(
        ("more", "name"),
        [
            ({"chargePointSerialNumber": "S1", "chargeBoxSerialNumber": "B1"}, "S1"),
            ({"chargeBoxSerialNumber": "B1"}, "B1"),
            ({}, "CP001"),
        ],
    )
    def test_by_its_serial_number(
        self, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], name: str
    ) -> None:
        monkeypatch.setattr(PlateBench, "more", more)
        bench = PlateBench(ocpp={"CpoName": "O"})
        bench.connect()
        csr = x509.load_pem_x509_csr(request(bench).encode())
        assert csr.subject.rfc4514_string() == f"CN={name},O=O"

    @pytest.mark.parametrize("name", [None, "", " "])
    def test_not_without_the_operator(self, name: str | None) -> None:
        bench = Bench(ocpp={} if name is None else {"CpoName": name})
        bench.connect()
        assert trigger(bench) == REJECTED
        assert bench.call("ChangeConfiguration", {"key": "CpoName", "value": "O"}) == ACCEPTED
        assert trigger(bench) == ACCEPTED
        assert len(bench.sent("SignCertificate")) == 1

    def test_in_pending(self) -> None:
        bench = registration("Pending", ocpp={"CpoName": "O"})
        assert trigger(bench) == ACCEPTED
        assert bench.actions() == ["BootNotification", "SignCertificate"]

    def test_refused(self) -> None:
        bench = station(root := Issuer("Root"))
        bench.csms.answers["SignCertificate"] = lambda payload: REJECTED
        asked = request(bench)
        bench.advance(1)
        assert bench.store.get(PENDING, "") is None
        assert "will not issue" in bench.events[-1]["message"]
        assert signed(bench, root.answer(asked)) == REJECTED

    @pytest.mark.parametrize("code", ["NotSupported", "NotImplemented", "InternalError"])
    def test_a_central_system_that_cannot(self, code: str) -> None:
        bench = station()
        bench.csms.answers["SignCertificate"] = lambda payload: code
        request(bench)
        bench.advance(1)
        assert bench.store.get(PENDING, "") is None
        assert code in bench.events[-1]["message"]

    def test_accepted_is_waited_for_without_a_timer(self) -> None:
        bench = station(root := Issuer("Root"))
        asked = request(bench)
        bench.advance(40 * DAY_S)
        assert len(bench.sent("SignCertificate")) == 1
        assert signed(bench, root.answer(asked)) == ACCEPTED

    @pytest.mark.parametrize("answer", [None, "link lost"])
    def test_without_an_answer_a_certificate_may_still_come(self, answer: str | None) -> None:
        bench = station(root := Issuer("Root"))
        bench.csms.answers["SignCertificate"] = lambda payload: None
        asked = request(bench)
        if answer is None:
            bench.advance(60)
        else:
            bench.disconnect()
            bench.connect()
        assert signed(bench, root.answer(asked)) == ACCEPTED

    def test_the_key_survives_a_power_cut(self) -> None:
        bench = station(root := Issuer("Root"))
        asked = request(bench)
        bench.restart()
        bench.connect()
        assert signed(bench, root.answer(asked)) == ACCEPTED

    def test_a_new_key_each_time_and_only_the_last_one_counts(self) -> None:
        bench = station(root := Issuer("Root"))
        first, second = request(bench), request(bench)
        keys = [x509.load_pem_x509_csr(one.encode()).public_key() for one in (first, second)]
        assert keys[0] != keys[1]
        assert signed(bench, root.answer(first)) == REJECTED
        assert signed(bench, root.answer(second)) == ACCEPTED

    def test_a_late_refusal_of_the_first_request_does_not_harm_the_second(self) -> None:
        bench = station(root := Issuer("Root"))
        bench.csms.answers["SignCertificate"] = lambda payload: None
        request(bench)
        first = next(f for way, f in reversed(bench.csms.frames) if way == "tx" and f[0] == 2)
        assert trigger(bench) == ACCEPTED  # waits for the answer to the first
        bench.csms.say([3, first[1], REJECTED])
        bench.advance(1)
        second = bench.sent("SignCertificate")[-1]["csr"]
        assert len(bench.sent("SignCertificate")) == 2
        assert signed(bench, root.answer(second)) == ACCEPTED

    def test_one_that_waits_for_the_line_will_do(self) -> None:
        bench = station()
        bench.csms.answers["Heartbeat"] = lambda payload: None
        bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        assert trigger(bench) == trigger(bench) == ACCEPTED
        bench.advance(60)
        assert len(bench.sent("SignCertificate")) == 1

    def test_no_secret_leaves_the_station(self) -> None:
        bench = station(root := Issuer("Root"))
        signed(bench, root.answer(request(bench)))
        assert "PRIVATE" not in str(bench.csms.frames)
        assert "PRIVATE" not in str(bench.events)
        assert "PRIVATE" in str(dict(bench.store.items(OWN)))


class TestSigned:
    def test_tc_074_new_certificate(self) -> None:
        bench = station(root := Issuer("Root"))
        issued = root.answer(request(bench))
        before = len(bench.csms.frames)
        assert signed(bench, issued) == ACCEPTED
        assert bench.changed == [before + 2]  # behind the answer
        bench.restart()
        own = bench.cp.vault.own()
        assert own is not None
        assert own.chain_pem == issued
        assert KEY_STORE.belongs(own.certificate, own.key_pem)
        assert "PRIVATE" not in repr(own)
        assert bench.store.get(PENDING, "") is None

    def test_it_may_come_before_the_answer_to_the_request(self) -> None:
        bench = station(root := Issuer("Root"))
        bench.csms.answers["SignCertificate"] = lambda payload: None
        asked = request(bench)
        frame = next(f for way, f in reversed(bench.csms.frames) if way == "tx" and f[0] == 2)
        assert signed(bench, root.answer(asked)) == ACCEPTED
        bench.csms.say([3, frame[1], REJECTED])
        bench.advance(1)
        assert bench.cp.vault.own() is not None

    def test_over_authorities_in_any_order(self) -> None:
        root = Issuer("Root")
        first = Issuer("First", root)
        second = Issuer("Second", first)
        for between in ([first, second], [second, first, root]):
            bench = station(root)
            issued = second.answer(request(bench)) + bundle(between)
            assert signed(bench, issued) == ACCEPTED
            own = bench.cp.vault.own()
            assert own is not None
            assert own.chain_pem == issued

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"days": (-400, -1)}, id="expired"),
            pytest.param({"digest": hashes.SHA224()}, id="weak hash"),
        ],
    )
    def test_tc_077_bad_ones(self, options: dict[str, Any]) -> None:
        bench = station(root := Issuer("Root"))
        asked = request(bench)
        assert signed(bench, root.answer(asked, **options)) == REJECTED
        bench.advance(1)
        assert told(bench) == [BAD_OWN]
        assert bench.cp.vault.own() is None
        assert bench.changed == []
        assert signed(bench, root.answer(asked)) == ACCEPTED  # the key still waits

    def test_tc_077_from_the_wrong_hands(self) -> None:
        bench = station(root := Issuer("Root"))
        stranger = Issuer("Root")
        asked = request(bench)
        for chain in (
            stranger.answer(asked),
            stranger.answer(asked) + stranger.pem,
            Issuer("x", root).pem,
            root.pem,
            Issuer("Expired", root, days=(-10, -1)).answer(asked)
            + Issuer("Expired", root, days=(-10, -1)).pem,
            "nonsense",
            "",
        ):
            assert signed(bench, chain) == REJECTED
        bench.advance(1)
        assert set(told(bench)) == {BAD_OWN}

    def test_no_authority_of_the_chain_may_have_expired(self) -> None:
        bench = station(root := Issuer("Root"))
        old = Issuer("Old", root, days=(-10, -1))
        assert signed(bench, old.answer(request(bench)) + old.pem) == REJECTED

    def test_nor_the_root(self) -> None:
        root = Issuer("Root", days=(-10, 5))
        bench = station(root)
        bench.advance(6 * DAY_S)
        assert signed(bench, root.answer(request(bench))) == REJECTED

    def test_roots_of_the_manufacturer_do_not_count(self) -> None:
        bench, root = station(), Issuer("Root")
        assert install(bench, root, MANUFACTURER) == ACCEPTED
        assert signed(bench, root.answer(request(bench))) == REJECTED

    def test_nobody_asked(self) -> None:
        bench = station(root := Issuer("Root"))
        assert signed(bench, Issuer("CP001", root).pem) == REJECTED

    def test_only_once(self) -> None:
        bench = station(root := Issuer("Root"))
        issued = root.answer(request(bench))
        assert signed(bench, issued) == ACCEPTED
        assert signed(bench, issued) == REJECTED

    @pytest.mark.parametrize(("room", "answer"), [(0, ACCEPTED), (-1, REJECTED)])
    def test_longest_chain(self, room: int, answer: dict[str, str]) -> None:
        root = Issuer("Root")
        bench = station(root)
        issued = root.answer(request(bench))
        with bench.cp.turn:
            bench.cp.configuration.set_service("CertificateSignedMaxChainSize", str(len(issued) + room))
        assert signed(bench, issued) == answer

    def test_what_cannot_be_stored_is_refused(self) -> None:
        store, root = FullStore(), Issuer("Root")
        bench = station(root, store=store)
        issued = root.answer(request(bench))
        store.full = True
        bench.csms.say([2, "full", "CertificateSigned", {"certificateChain": issued}])
        bench.clock.advance(0)
        assert bench.csms.frames[-1] == ("tx", [3, "full", REJECTED])
        bench.errors.clear()
        store.full = False
        bench.advance(20)
        assert bench.cp.vault.own() is None
        assert signed(bench, issued) == ACCEPTED


class TestWhichIsUsed:
    def common_name(self, bench: Bench) -> int | None:
        own = bench.cp.vault.own()
        return None if own is None else int(own.certificate.serial_number, 16)

    def give(self, bench: Bench, root: Issuer, serial: int, days: tuple[float, float]) -> None:
        assert signed(bench, root.answer(request(bench), serial=serial, days=days)) == ACCEPTED

    def test_one_for_later_is_used_later(self) -> None:
        bench = station(root := Issuer("Root"))
        self.give(bench, root, 1, (-1, 100))
        bench.changed.clear()
        self.give(bench, root, 2, (3, 100))
        assert bench.changed == []
        assert self.common_name(bench) == 1
        bench.restart()
        bench.connect()
        bench.advance(3 * DAY_S - 10)
        assert (self.common_name(bench), len(bench.changed)) == (1, 0)
        bench.advance(10)
        assert (self.common_name(bench), len(bench.changed)) == (2, 1)

    def test_the_newest_by_the_beginning_of_its_validity(self) -> None:
        bench = station(root := Issuer("Root"))
        self.give(bench, root, 1, (-1, 100))
        self.give(bench, root, 2, (-2, 200))
        assert self.common_name(bench) == 1

    def test_of_two_that_began_together_the_later_one(self) -> None:
        bench = station(root := Issuer("Root"))
        for serial in (1, 3, 2):
            self.give(bench, root, serial, (-1, 100))
            bench.advance(1)
        assert self.common_name(bench) == 2

    def test_an_expired_one_is_not_used(self) -> None:
        bench = station(root := Issuer("Root"))
        self.give(bench, root, 1, (-2, 200))
        self.give(bench, root, 2, (-1, 2))
        bench.advance(3 * DAY_S)
        assert self.common_name(bench) == 1

    def test_the_old_one_stays_for_a_month(self) -> None:
        bench = station(root := Issuer("Root"))
        self.give(bench, root, 1, (-1, 400))
        bench.advance(5 * DAY_S)
        self.give(bench, root, 2, (5, 400))
        bench.advance(29 * DAY_S)
        assert [int(one.certificate.serial_number) for one in bench.cp.vault.identifications()] == [2, 1]
        bench.advance(3 * DAY_S)
        assert [int(one.certificate.serial_number) for one in bench.cp.vault.identifications()] == [2]


class TestRenewal:
    """A03: the station asks by itself."""

    def own(self, days: float, **options: Any) -> Witness:
        bench = station(root := Issuer("Root"), **options)
        assert signed(bench, root.answer(request(bench), days=(-1, days))) == ACCEPTED
        return bench

    def asked(self, bench: Bench) -> int:
        return len(bench.sent("SignCertificate")) - 1

    def test_a_month_before_the_end(self) -> None:
        bench = self.own(40)
        bench.advance(9 * DAY_S)
        assert self.asked(bench) == 0
        bench.advance(2 * DAY_S)
        assert self.asked(bench) == 1
        bench.advance(20 * DAY_S)
        assert self.asked(bench) == 1  # it was promised

    def test_again_the_next_day_if_there_was_no_answer(self) -> None:
        bench = self.own(20)
        bench.csms.answers["SignCertificate"] = lambda payload: REJECTED
        bench.advance(3.5 * DAY_S)
        assert self.asked(bench) == 3

    def test_after_a_start_at_once(self) -> None:
        bench = self.own(20)
        bench.restart()
        assert self.asked(bench) == 0
        bench.connect()
        assert self.asked(bench) == 1

    def test_not_if_the_next_one_is_there(self) -> None:
        bench = station(root := Issuer("Root"))
        assert signed(bench, root.answer(request(bench), days=(-1, 20))) == ACCEPTED
        assert signed(bench, root.answer(request(bench), days=(10, 400))) == ACCEPTED
        bench.advance(40 * DAY_S)
        assert len(bench.sent("SignCertificate")) == 2

    def test_offline_it_waits_for_the_connection(self) -> None:
        bench = self.own(20)
        bench.disconnect()
        bench.advance(2 * DAY_S)
        assert self.asked(bench) == 0
        bench.connect()
        bench.advance(DAY_S)
        assert self.asked(bench) == 1

    def test_without_the_operator_s_name_it_is_told_once(self) -> None:
        bench = self.own(20)
        assert bench.call("ChangeConfiguration", {"key": "CpoName", "value": ""}) == ACCEPTED
        bench.advance(5 * DAY_S)
        complaints = [e for e in bench.events if e["event"] == "error" and "CpoName" in e["message"]]
        assert len(complaints) == 1
        assert self.asked(bench) == 0

    def test_a_station_without_a_certificate_has_no_timer(self) -> None:
        bench = station(Issuer("Root"))
        assert bench.cp.certificates._daily is None
        assert bench.cp.certificates._valid is None


class TestFromTheConfiguration:
    """`csms.tls`: ca, manufacturer_ca, cert and key."""

    @pytest.fixture
    def bench(self, monkeypatch: pytest.MonkeyPatch) -> ProvidedBench:
        self.root, self.maker = Issuer("Root"), Issuer("Maker")
        self.leaf = Issuer("leaf", self.root, ca=None)
        files = Provided(self.root.pem, self.maker.pem, self.leaf.pem, key_pem(self.leaf.key))
        monkeypatch.setattr(ProvidedBench, "files", files)
        bench = ProvidedBench(security_events=True, ocpp={"CertificateStoreMaxLength": "2"})
        bench.csms.answers["SignCertificate"] = lambda payload: ACCEPTED
        bench.connect()
        return bench

    def test_listed_counted_and_deletable(self, bench: ProvidedBench) -> None:
        assert listed(bench) == [named(self.root)]
        assert listed(bench, MANUFACTURER) == [named(self.maker)]
        assert install(bench, Issuer("More")) == REJECTED
        assert delete(bench, named(self.root)) == ACCEPTED
        bench.restart()
        bench.connect()
        assert listed(bench) == NOT_FOUND

    def test_the_own_certificate(self, bench: ProvidedBench) -> None:
        own = bench.cp.vault.own()
        assert own is not None
        assert own.certificate.common_name == "leaf"
        assert delete(bench, named(self.leaf, self.root)) == FAILED

    def test_replaced_by_one_that_is_issued(self, bench: ProvidedBench) -> None:
        assert bench.call("ChangeConfiguration", {"key": "CpoName", "value": "O"}) == ACCEPTED
        assert signed(bench, self.root.answer(request(bench))) == ACCEPTED
        bench.restart()
        own = bench.cp.vault.own()
        assert own is not None
        assert own.certificate.common_name == "CP001"


class TestWhateverComes:
    """No payload the schema allows makes a handler fail."""

    @given(st.text(max_size=300), st.sampled_from([CENTRAL_SYSTEM, MANUFACTURER]))
    def test_any_text(self, text: str, use: str) -> None:
        bench = station(Issuer("Root"))
        request(bench)
        for answer in (install(bench, text, use), signed(bench, text)):
            assert answer == REJECTED
        data = {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": text[:128],
            "issuerKeyHash": "",
            "serialNumber": text[:40],
        }
        assert delete(bench, data) == NOT_FOUND

    @given(st.data())
    def test_a_chain_with_mistakes(self, data: st.DataObject) -> None:
        bench = station(root := Issuer("Root"))
        chain = root.answer(request(bench)) + root.pem
        at = int(data.draw(st.floats(0, 1)) * len(chain))  # signatures are not always of one length
        cut = data.draw(st.integers(0, 3))
        text = chain[:at] + data.draw(st.text("AB=-\n ", max_size=3)) + chain[at + cut :]
        assert signed(bench, text) in (ACCEPTED, REJECTED)
        assert install(bench, text[:5500]) in (ACCEPTED, REJECTED)
        bench.advance(1)  # raises what went wrong


def test_the_root_of_a_day_is_gone_the_next_day() -> None:
    """Nothing but the clock: what was valid at the installation is still listed when it has expired."""
    root = Issuer("Root", days=(-1, 1))
    bench = station(root)
    bench.advance(2 * DAY_S)
    assert bench.clock.now() > START + DAY_S
    assert installed(bench) == ["Root"]
    assert install(bench, root) == REJECTED


def test_text_between_certificates_is_not_kept() -> None:
    bench = station(root := Issuer("Root"))
    issued = root.answer(request(bench))
    assert signed(bench, f"Subject: me\n{issued}\nthe end") == ACCEPTED
    own = bench.cp.vault.own()
    assert own is not None
    assert own.chain_pem == issued
    assert (
        x509.load_pem_x509_certificate(own.chain_pem.encode())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
        == issued
    )
