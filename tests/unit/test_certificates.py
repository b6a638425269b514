"""The key store (whitepaper A00, A02, L01; RFC 6960 §4.1.1), judged by the openssl command where it is."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.certificates import KEY_STORE
from chargepoint.domain.outside import CertificateError, HashAlgorithm, HashData
from tests.unit.certificate_material import DAY_S, START, Issuer, bundle, ec_key, key_pem, name, rsa_key

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to compare with"
)
ALGORITHMS: tuple[HashAlgorithm, ...] = ("SHA256", "SHA384", "SHA512")
ALL = ("rsa_pss", "rsa_pkcs1v15", "ecdsa")
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


@cache
def dsa_key() -> dsa.DSAPrivateKey:
    """Its parameters take half a second."""
    return dsa.generate_private_key(1024)  # the parameters of longer ones take seconds


FIXED_ROOT = """-----BEGIN CERTIFICATE-----
MIIBrjCCAVOgAwIBAgICD/8wCgYIKoZIzj0EAwIwNDELMAkGA1UEBhMCREUxEDAO
BgNVBAoMB0V4YW1wbGUxEzARBgNVBAMMCkZpeGVkIFJvb3QwIBcNMjYxMTIxMTI1
NTM0WhgPMjEyNjEwMjgxMjU1MzRaMDQxCzAJBgNVBAYTAkRFMRAwDgYDVQQKDAdF
eGFtcGxlMRMwEQYDVQQDDApGaXhlZCBSb290MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEBsDm2VcCADhgQZOAi/NZfkV+IDgubvWc/qpd/WHxT8cpouTN7gq6sA4o
kPJfssnWwwvIT0JtgqpQWA2A9rJ+UKNTMFEwHQYDVR0OBBYEFJPJckv8mFAOhSIv
cbT6oGMNj3avMB8GA1UdIwQYMBaAFJPJckv8mFAOhSIvcbT6oGMNj3avMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAPFRq/CKbbrLYVdd4iPXrWXd
74+cCxwAcewIYIcLjtNUAiEAquJW83lZKMUd12AmsKIz3T3TVpSgyhcKfK8zge/Y
q0c=
-----END CERTIFICATE-----
"""

CUT_SHORT = "\n".join([*FIXED_ROOT.splitlines()[:4], "-----END CERTIFICATE-----", ""])

FIXED: dict[HashAlgorithm, tuple[str, str]] = {
    "SHA256": (
        "5c31f6d679b295191c67e7622172694b2f2ff21604a03d052aeaed6e7003ba23",
        "d9bc5f86528a7035cd6a8aebeacd140654eacd4cf5a5c2ffc66e01c7b0ad3349",
    ),
    "SHA384": (
        "50d8386564a436fa437109227c672af4ba98188646d3e48364c79dfff96f8a44e302c810a37cce5f1880833be4ddeb5f",
        "3bd4fedd9c2f64ab95a6db91cb8f00fe677d766c59dcb5d5641e9092ecd04f9b75ba3f34e2308837cbb88ca2bddf7c53",
    ),
    "SHA512": (
        "0575f257ecf9a39b43d836714fe15df7c978a84d5076b1445b1ebda91104e214"
        "47b8bb853520e68c567eee8dca48dfd5a6db44b3d39997d7b844c1366ee5509a",
        "17f490c13c6610b9ff47319f12844d0b0ca7b72b051ccb38540ebc1a9236cf6f"
        "5b368262609f0449c9fd9a95960dbd265ddb858cdbf359f500417bd29a25f959",
    ),
}
"""What `openssl ocsp` of OpenSSL 3 says of it: hashes of the issuer's name and key."""


def openssl(folder: Path, words: str) -> str:
    """What the command says."""
    return subprocess.run(
        ["openssl", *words.split()], cwd=folder, check=True, capture_output=True, text=True, timeout=50
    ).stdout


def ocsp(folder: Path, certificate: str, issuer: str, algorithm: str) -> HashData:
    """The certificate id that `openssl ocsp` asks with."""
    (folder / "certificate.pem").write_text(certificate)
    (folder / "issuer.pem").write_text(issuer)
    words = f"ocsp -{algorithm.lower()} -issuer issuer.pem -cert certificate.pem -no_nonce -req_text"
    said = openssl(folder, words).replace("\\\n", "")
    found = dict(re.findall(r"(\w[\w ]+): (-?[0-9A-F]+)\n", said))
    return HashData(
        algorithm,  # type: ignore[arg-type]  # a table's str
        found["Issuer Name Hash"].lower(),
        found["Issuer Key Hash"].lower(),
        f"{int(found['Serial Number'], 16):x}",
    )


class TestReading:
    def test_everything_the_protocol_cares_for(self) -> None:
        issuer = Issuer("x", subject=name("Root,1", "Öffis"), days=(-1, 2), serial=4095)
        certificate = issuer.certificate
        assert certificate.pem == issuer.pem
        assert (certificate.common_name, certificate.organisation) == ("Root,1", "Öffis")
        assert certificate.subject == certificate.issuer == "O=Öffis,CN=Root\\,1"
        assert certificate.serial_number == "fff"
        assert (certificate.not_before, certificate.not_after) == (START - DAY_S, START + 2 * DAY_S)
        assert certificate.authority
        assert certificate.strong
        assert re.fullmatch(r"[0-9a-f]{64}", certificate.fingerprint)
        assert "BEGIN" not in repr(certificate)

    def test_a_chain_keeps_its_order_and_what_is_between_does_not_matter(self) -> None:
        some = [Issuer("A"), Issuer("B"), Issuer("C")]
        text = f"Subject: A\r\n{some[0].pem}\n# B\n" + bundle(some[1:]) + key_pem(ec_key())
        assert [one.common_name for one in KEY_STORE.chain(text)] == ["A", "B", "C"]

    @pytest.mark.parametrize("ca", [None, False])
    def test_no_authority(self, ca: bool | None) -> None:
        assert not Issuer("leaf", ca=ca).certificate.authority

    def test_a_subject_without_names(self) -> None:
        certificate = Issuer("", subject=x509.Name([])).certificate
        assert (certificate.subject, certificate.common_name, certificate.organisation) == ("", None, None)

    @needs_openssl
    @pytest.mark.parametrize("serial", ["-5", "0", "0x00ff"])
    def test_a_serial_number_that_should_not_be(self, tmp_path: Path, serial: str) -> None:
        words = (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=odd -set_serial"
        )
        [certificate] = KEY_STORE.chain(openssl(tmp_path, f"{words} {serial}"))
        assert certificate.serial_number == {"-5": "-5", "0": "0", "0x00ff": "ff"}[serial]
        assert KEY_STORE.signed_by(certificate, certificate)
        assert KEY_STORE.hash_data(certificate, None, "SHA256") == ocsp(
            tmp_path, certificate.pem, certificate.pem, "SHA256"
        )

    @needs_openssl
    def test_a_serial_number_of_more_than_20_octets(self, tmp_path: Path) -> None:
        words = (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=odd -set_serial"
        )
        with pytest.raises(CertificateError, match="20 octets"):
            KEY_STORE.chain(openssl(tmp_path, f"{words} 0x{'7f' * 21}"))

    @needs_openssl
    def test_version_1(self, tmp_path: Path) -> None:
        (tmp_path / "k").write_text(key_pem(rsa_key()))
        openssl(tmp_path, "req -new -key k -subj /CN=old -out r")
        pem = openssl(tmp_path, "x509 -req -in r -key k -days 10 -set_serial 77 -sha256")
        assert x509.load_pem_x509_certificate(pem.encode()).version is x509.Version.v1
        [certificate] = KEY_STORE.chain(pem)
        assert (certificate.serial_number, certificate.authority, certificate.strong) == ("4d", False, True)
        assert KEY_STORE.chained([certificate], [certificate])
        assert KEY_STORE.hash_data(certificate, None, "SHA512") == ocsp(tmp_path, pem, pem, "SHA512")

    @pytest.mark.parametrize(
        ("make", "strong"),
        [
            pytest.param(lambda: {"key": ec_key(ec.SECP224R1)}, True, id="EC 224"),
            pytest.param(lambda: {"key": ec_key(ec.SECP521R1), "digest": hashes.SHA512()}, True, id="EC 521"),
            pytest.param(lambda: {"key": ec_key(ec.SECP192R1)}, False, id="EC 192"),
            pytest.param(lambda: {"key": rsa_key(2048)}, True, id="RSA 2048"),
            pytest.param(lambda: {"key": rsa_key(2048), "padding": PSS}, True, id="RSA 2048, PSS"),
            pytest.param(lambda: {"key": rsa_key(1024)}, False, id="RSA 1024"),
            pytest.param(lambda: {"digest": hashes.SHA224()}, False, id="SHA-224"),
            pytest.param(lambda: {"digest": hashes.SHA384()}, True, id="SHA-384"),
            pytest.param(
                lambda: {"key": ed25519.Ed25519PrivateKey.generate(), "digest": None}, False, id="Ed25519"
            ),
            pytest.param(lambda: {"key": dsa_key()}, False, id="DSA"),
        ],
    )
    def test_strength(self, make: Callable[[], dict[str, Any]], strong: bool) -> None:
        assert Issuer(**make()).certificate.strong is strong

    @needs_openssl
    def test_sha_1_is_weak(self, tmp_path: Path) -> None:
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=old -sha1"
        assert not KEY_STORE.chain(openssl(tmp_path, words))[0].strong

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("nonsense", id="no PEM"),
            pytest.param("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="no DER"),
            pytest.param("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", id="no base64"),
            pytest.param("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n", id="nothing inside"),
            pytest.param(CUT_SHORT, id="cut short"),
            pytest.param(key_pem(ec_key()), id="a key"),
            pytest.param("\ud800", id="half a character"),
            pytest.param("x" * 10_000, id="long"),
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(CertificateError):
            KEY_STORE.chain(text)

    def test_one_bad_certificate_spoils_the_chain(self) -> None:
        with pytest.raises(CertificateError):
            KEY_STORE.chain(FIXED_ROOT + CUT_SHORT)


class TestHashData:
    """CertificateHashData against what OpenSSL asks an OCSP responder with."""

    @needs_openssl
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize(
        "make_key", [ec_key, rsa_key, lambda: ec_key(ec.SECP521R1)], ids=["EC", "RSA", "long EC"]
    )
    def test_root_and_issued(self, tmp_path: Path, algorithm: HashAlgorithm, make_key: Any) -> None:
        root = Issuer("Wurzel ä", key=make_key(), serial=0x0FFF)
        issued = Issuer("leaf", root, serial=2**159 - 1)
        assert KEY_STORE.hash_data(root.certificate, root.certificate, algorithm) == ocsp(
            tmp_path, root.pem, root.pem, algorithm
        )
        assert KEY_STORE.hash_data(issued.certificate, root.certificate, algorithm) == ocsp(
            tmp_path, issued.pem, root.pem, algorithm
        )

    @needs_openssl
    def test_names_and_keys_are_hashed_as_they_are_written(self, tmp_path: Path) -> None:
        """A name of a rare string type, a compressed point: written again they would be other bytes."""
        words = "ecparam -name prime256v1 -genkey -noout -conv_form compressed -out k"
        openssl(tmp_path, words)
        openssl(tmp_path, "ec -in k -conv_form compressed -out c")
        (tmp_path / "conf").write_text(
            "[req]\ndistinguished_name=dn\nprompt=no\nstring_mask=MASK:0x4\n[dn]\nCN=Teletex\nO=Ltd\n"
        )
        pem = openssl(tmp_path, "req -x509 -new -key c -config conf -set_serial 9 -days 9")
        [certificate] = KEY_STORE.chain(pem)
        assert KEY_STORE.hash_data(certificate, None, "SHA256") == ocsp(tmp_path, pem, pem, "SHA256")

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_fixed(self, algorithm: HashAlgorithm) -> None:
        [root] = KEY_STORE.chain(FIXED_ROOT)
        for issuer in (root, None):
            assert KEY_STORE.hash_data(root, issuer, algorithm) == HashData(
                algorithm, *FIXED[algorithm], "fff"
            )

    def test_lower_case_and_no_leading_zeros(self) -> None:
        data = KEY_STORE.hash_data(Issuer(serial=4095).certificate, None, "SHA384")
        assert data.serial_number == "fff"
        assert re.fullmatch(r"[0-9a-f]{96}", data.issuer_name_hash)
        assert re.fullmatch(r"[0-9a-f]{96}", data.issuer_key_hash)

    def test_without_the_issuer_at_hand(self) -> None:
        """The issuer's name is in the certificate; only its key has to be replaced."""
        root = Issuer("Root")
        issued = Issuer("leaf", root)
        known = KEY_STORE.hash_data(issued.certificate, root.certificate, "SHA256")
        alone = KEY_STORE.hash_data(issued.certificate, None, "SHA256")
        assert alone.issuer_name_hash == known.issuer_name_hash
        assert alone.issuer_key_hash != known.issuer_key_hash


class TestSignatures:
    @pytest.mark.parametrize(
        ("make", "options"),
        [
            pytest.param(ec_key, {}, id="ECDSA"),
            pytest.param(lambda: ec_key(ec.SECP384R1), {"digest": hashes.SHA384()}, id="ECDSA 384"),
            pytest.param(rsa_key, {}, id="PKCS#1 v1.5"),
            pytest.param(rsa_key, {"padding": PSS}, id="PSS"),
            pytest.param(ed25519.Ed25519PrivateKey.generate, {"digest": None}, id="Ed25519"),
        ],
    )
    def test_every_kind(self, make: Callable[[], Any], options: dict[str, Any]) -> None:
        root = Issuer("Root", key=make(), **options)
        other = Issuer("Root")
        leaf = Issuer("leaf", root, ca=None, **options)
        assert KEY_STORE.signed_by(leaf.certificate, root.certificate)
        assert not KEY_STORE.signed_by(leaf.certificate, other.certificate)
        assert not KEY_STORE.signed_by(root.certificate, leaf.certificate)

    @pytest.mark.parametrize("make", [rsa_key, dsa_key], ids=["RSA", "DSA"])
    def test_the_same_name_with_a_key_of_another_kind(self, make: Callable[[], Any]) -> None:
        key = make()
        leaf = Issuer("leaf", Issuer("Root"))
        assert not KEY_STORE.signed_by(leaf.certificate, Issuer("Root", key=key).certificate)
        assert not KEY_STORE.chained([leaf.certificate], [Issuer("Root", key=key).certificate])

    def test_the_right_key_under_another_name(self) -> None:
        root = Issuer("Root")
        leaf = Issuer("leaf", root)
        assert not KEY_STORE.signed_by(leaf.certificate, Issuer("Toor", key=root.key).certificate)

    def test_a_name_in_another_string_type_is_the_same_name(self) -> None:
        def root_name(kind: Any) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root", kind)])

        printable, utf8 = (
            root_name(x509.name._ASN1Type.PrintableString),
            root_name(x509.name._ASN1Type.UTF8String),
        )
        root = Issuer(subject=printable)
        issued = Issuer("leaf", Issuer(subject=utf8, key=root.key))
        assert KEY_STORE.signed_by(issued.certificate, root.certificate)


class TestChains:
    def test_over_authorities_in_any_order(self) -> None:
        root = Issuer("Root")
        first = Issuer("First", root)
        second = Issuer("Second", first)
        leaf = Issuer("leaf", second, ca=None)
        between = [first.certificate, second.certificate]
        for some in (between, between[::-1], [*between, Issuer("Stranger").certificate, *between]):
            assert KEY_STORE.chained(
                [leaf.certificate, *some], [Issuer("Other").certificate, root.certificate]
            )
        for some in (between[:1], between[1:], []):
            assert not KEY_STORE.chained([leaf.certificate, *some], [root.certificate])

    def test_an_authority_that_is_installed_itself_ends_the_chain(self) -> None:
        middle = Issuer("Middle", Issuer("Root"))
        leaf = Issuer("leaf", middle, ca=None)
        assert KEY_STORE.chained([leaf.certificate], [middle.certificate])

    def test_the_root_itself(self) -> None:
        root = Issuer("Root")
        assert KEY_STORE.chained([root.certificate], [root.certificate])

    def test_nothing(self) -> None:
        assert not KEY_STORE.chained([], [Issuer().certificate])
        assert not KEY_STORE.chained([Issuer().certificate], [])

    def test_the_names_alone_do_not_do(self) -> None:
        root, impostor = Issuer("Root"), Issuer("Root")
        leaf = Issuer("leaf", impostor, ca=None)
        assert not KEY_STORE.chained([leaf.certificate, impostor.certificate], [root.certificate])

    @pytest.mark.parametrize("ca", [None, False])
    def test_who_is_no_authority_issues_nothing(self, ca: bool | None) -> None:
        """Or every station with a certificate could make some for others."""
        root = Issuer("Root")
        station = Issuer("station", root, ca=ca)
        leaf = Issuer("leaf", station, ca=None)
        assert not KEY_STORE.chained([leaf.certificate, station.certificate], [root.certificate])

    def test_two_that_sign_each_other_lead_nowhere(self) -> None:
        a_key, b_key = ec_key(), ec_key()
        a = Issuer("A", Issuer("B", key=b_key), key=a_key)
        b = Issuer("B", Issuer("A", key=a_key), key=b_key)
        leaf = Issuer("leaf", a, ca=None)
        assert not KEY_STORE.chained([leaf.certificate, a.certificate, b.certificate], [Issuer().certificate])


class TestRequests:
    def test_a_new_key_each_time_and_its_request(self) -> None:
        key, request = KEY_STORE.new_key("CP001", "Öffis GmbH")
        csr = x509.load_pem_x509_csr(request.encode())
        assert csr.is_signature_valid
        assert csr.subject.rfc4514_string() == "CN=CP001,O=Öffis GmbH"
        assert isinstance(csr.public_key(), ec.EllipticCurvePublicKey)
        assert len(request) < 5500
        assert KEY_STORE.new_key("CP001", "Öffis GmbH")[0] != key
        issued = Issuer("Root").answer(request)
        assert KEY_STORE.belongs(KEY_STORE.chain(issued)[0], key)

    @pytest.mark.parametrize(
        ("common_name", "organisation"), [("x" * 65, "O"), ("", "O"), ("\ud800", "O"), ("CP", "\ud800")]
    )
    def test_names_that_no_certificate_bears(self, common_name: str, organisation: str) -> None:
        with pytest.raises(CertificateError, match="no certificate can be asked for"):
            KEY_STORE.new_key(common_name, organisation)

    def test_the_longest_names(self) -> None:
        _, request = KEY_STORE.new_key("ü" * 32, "ü" * 64)
        assert len(request) <= 5500

    def test_belongs(self) -> None:
        one = Issuer()
        assert KEY_STORE.belongs(one.certificate, key_pem(one.key))
        assert KEY_STORE.belongs(one.certificate, one.pem + key_pem(one.key))
        for other in (key_pem(ec_key()), key_pem(rsa_key()), "", "nonsense", one.pem):
            assert not KEY_STORE.belongs(one.certificate, other)

    @needs_openssl
    @pytest.mark.parametrize(
        "way", ["ec -in k", "ec -in k -aes128 -passout pass:x", "pkcs8 -topk8 -nocrypt -in k"]
    )
    def test_keys_as_openssl_writes_them(self, tmp_path: Path, way: str) -> None:
        openssl(tmp_path, "ecparam -name prime256v1 -genkey -out k")  # with EC PARAMETERS before it
        pem = openssl(tmp_path, "req -x509 -new -key k -subj /CN=x")
        [certificate] = KEY_STORE.chain(pem)
        assert KEY_STORE.belongs(certificate, (tmp_path / "k").read_text())
        assert KEY_STORE.belongs(certificate, openssl(tmp_path, way)) is ("aes" not in way)


class Told:
    """What the callback got."""

    def __init__(self) -> None:
        self.said: list[bool] = []

    def __call__(self, right: bool) -> None:
        self.said.append(right)


def verify(path: Path, signature: bytes | str, signer: Issuer, algorithms: tuple[str, ...] = ALL) -> bool:
    """Without an event loop."""
    told = Told()
    text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
    KEY_STORE.verify_file(str(path), text, signer.certificate, algorithms, told)
    [said] = told.said
    return said


RSA_SIGNER, EC_SIGNER = Issuer("Signer", key=rsa_key()), Issuer("Signer")
CONTENT = b"firmware " * 300_000  # several reads


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """A file to be signed."""
    path = tmp_path / "firmware.bin"
    path.write_bytes(CONTENT)
    return path


def pss(salt_length: Any) -> bytes:
    """A signature over the firmware."""
    how = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)
    return bytes(RSA_SIGNER.key.sign(CONTENT, how, hashes.SHA256()))


class TestFiles:
    @pytest.mark.parametrize("salt", [0, 20, 32, padding.PSS.MAX_LENGTH])
    def test_pss_of_any_salt(self, firmware: Path, salt: Any) -> None:
        assert verify(firmware, pss(salt), RSA_SIGNER)
        assert verify(firmware, pss(salt), RSA_SIGNER, ("rsa_pss",))
        assert not verify(firmware, pss(salt), RSA_SIGNER, ("rsa_pkcs1v15", "ecdsa"))

    def test_pkcs1(self, firmware: Path) -> None:
        signature = RSA_SIGNER.key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())
        assert verify(firmware, signature, RSA_SIGNER)
        assert not verify(firmware, signature, RSA_SIGNER, ("rsa_pss", "ecdsa"))

    def test_ecdsa(self, firmware: Path) -> None:
        signature = EC_SIGNER.key.sign(CONTENT, ec.ECDSA(hashes.SHA256()))
        assert verify(firmware, signature, EC_SIGNER)
        assert not verify(firmware, signature, EC_SIGNER, ("rsa_pss", "rsa_pkcs1v15"))
        assert not verify(firmware, signature, EC_SIGNER, ())

    @needs_openssl
    def test_signed_by_openssl(self, firmware: Path) -> None:
        (firmware.parent / "k").write_text(key_pem(RSA_SIGNER.key))
        openssl(firmware.parent, "dgst -sha256 -sign k -out s firmware.bin")
        wrapped = openssl(firmware.parent, "base64 -in s")
        assert "\n" in wrapped.strip()
        assert verify(firmware, wrapped, RSA_SIGNER)
        assert verify(firmware, wrapped.replace("\n", "\r\n "), RSA_SIGNER)

    def test_another_file_signer_or_hash(self, firmware: Path) -> None:
        right = pss(32)
        assert not verify(firmware, right, EC_SIGNER)
        assert not verify(firmware, right, Issuer(key=rsa_key()))
        assert not verify(firmware, RSA_SIGNER.key.sign(CONTENT, PSS, hashes.SHA512()), RSA_SIGNER)
        firmware.write_bytes(CONTENT + b" ")
        assert not verify(firmware, right, RSA_SIGNER)

    @pytest.mark.parametrize("signature", ["", "!", "AAAA", "A", "\ud800", "ä" * 800])
    def test_what_is_no_signature(self, firmware: Path, signature: str) -> None:
        assert not verify(firmware, signature, RSA_SIGNER)
        assert not verify(firmware, signature, EC_SIGNER)

    def test_no_file(self, tmp_path: Path) -> None:
        assert not verify(tmp_path / "absent", pss(32), RSA_SIGNER)
        assert not verify(tmp_path, pss(32), RSA_SIGNER)

    def test_on_a_loop_the_answer_comes_later(self, firmware: Path) -> None:
        async def run() -> bool:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[bool] = loop.create_future()
            signature = base64.b64encode(pss(32)).decode()
            KEY_STORE.verify_file(str(firmware), signature, RSA_SIGNER.certificate, ALL, answer.set_result)
            assert not answer.done()
            assert asyncio.get_running_loop() is loop
            return await answer

        assert asyncio.run(run())

    def test_cancelled_it_says_nothing(self, firmware: Path) -> None:
        async def run() -> list[bool]:
            told, second = Told(), asyncio.get_running_loop().create_future()
            signature = base64.b64encode(pss(32)).decode()
            KEY_STORE.verify_file(str(firmware), signature, RSA_SIGNER.certificate, ALL, told).cancel()
            KEY_STORE.verify_file(str(firmware), signature, RSA_SIGNER.certificate, ALL, second.set_result)
            assert await second
            await asyncio.get_running_loop().shutdown_default_executor()  # the first has ended too
            await asyncio.sleep(0)
            return told.said

        assert asyncio.run(run()) == []


SOME_ROOT = Issuer("Root")
SAMPLES = [Issuer("Some", serial=7).pem, Issuer("R", key=rsa_key(), padding=PSS).pem]


class TestWhateverComes:
    """Bad input raises `CertificateError` and nothing else."""

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        self._read(text)

    @given(st.binary())
    def test_any_der(self, der: bytes) -> None:
        self._read(_pem(der))

    @given(st.sampled_from(SAMPLES), st.data())
    def test_a_certificate_with_mistakes(self, pem: str, data: st.DataObject) -> None:
        der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
        for _ in range(data.draw(st.integers(1, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        length = data.draw(st.integers(0, len(der)) | st.just(len(der)))
        self._read(_pem(bytes(der[:length])))

    @given(st.sampled_from(SAMPLES), st.data())
    def test_a_text_with_mistakes(self, pem: str, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(pem)))
        self._read(pem[:at] + data.draw(st.text(max_size=3)) + pem[at + data.draw(st.integers(0, 5)) :])

    def _read(self, text: str) -> None:
        root = SOME_ROOT.certificate
        try:
            chain = KEY_STORE.chain(text)
        except CertificateError:
            return
        for certificate in chain:
            for algorithm in ALGORITHMS:
                KEY_STORE.hash_data(certificate, root, algorithm)
                KEY_STORE.hash_data(root, certificate, algorithm)
            KEY_STORE.signed_by(certificate, certificate)
            KEY_STORE.signed_by(root, certificate)
            KEY_STORE.belongs(certificate, key_pem(SOME_ROOT.key))
        KEY_STORE.chained([*chain, *chain], [root])


def _pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
