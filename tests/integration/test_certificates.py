"""Certificates of a real station on a real disk: over a power cut, in a handshake (whitepaper A02, M05)."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from chargepoint.ocpp16.security.provided import OWN
from chargepoint.ocpp16.security.vault import PENDING
from chargepoint.store import SUFFIX, SqliteStore
from tests.integration.csms_process import CsmsProcess, central_system
from tests.integration.piped import play
from tests.integration.station_process import CP, IMPATIENT, configuration, station
from tests.unit.certificate_material import Issuer, key_pem

NOW = (-3650.0, 36500.0)
"""In days from the benches' beginning: the stations here live on the wall clock."""

ROOT = "CentralSystemRootCertificate"


def conf(folder: Path, **tls: str) -> Path:
    """The configuration of an operator's station."""
    sections: dict[str, Any] = {"csms": {"reconnect": IMPATIENT, "tls": tls}}
    return configuration(folder, identity=CP, ocpp={"CpoName": "Example CPO"}, **sections)


async def request(central: CsmsProcess) -> str:
    """A certificate request of the station."""
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert await central.call(CP, "ExtendedTriggerMessage", trigger) == {"status": "Accepted"}
    return str((await central.received("SignCertificate"))["csr"])


async def installed(central: CsmsProcess) -> list[dict[str, str]]:
    """The roots of the central system."""
    answer = await central.call(CP, "GetInstalledCertificateIds", {"certificateType": ROOT})
    return list(answer.get("certificateHashData", []))


def test_tc_074_over_a_power_cut(tmp_path: Path) -> None:
    """kill -9 between the request and its certificate: the key is still there."""
    root = Issuer("Root", days=NOW)
    storage = tmp_path / "storage"
    options: dict[str, Any] = {"storage": storage, "clock": "wall"}

    async def story() -> None:
        async with central_system() as central:
            async with station("--config", conf(tmp_path), csms=central.url, **options) as cp:
                await cp.event("registration", status="Accepted")
                answer = await central.call(
                    CP, "InstallCertificate", {"certificateType": ROOT, "certificate": root.pem}
                )
                assert answer == {"status": "Accepted"}
                asked = await request(central)
                cp.process.kill()
                await cp.ended()
            async with station("--config", conf(tmp_path), csms=central.url, **options) as cp:
                await cp.event("registration", status="Accepted")
                assert len(await installed(central)) == 1
                chain = {"certificateChain": root.answer(asked, days=NOW)}
                assert await central.call(CP, "CertificateSigned", chain) == {"status": "Accepted"}
                assert await central.call(CP, "CertificateSigned", chain) == {"status": "Rejected"}
                cp.process.kill()
                await cp.ended()
                assert "PRIVATE" not in json.dumps(cp.lines) + cp.errors
            assert "PRIVATE" not in json.dumps(central.lines)

    play(story)
    for path in storage.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    [path] = storage.glob(f"*{SUFFIX}")
    assert SqliteStore.peek(path, PENDING) == []
    [(_, own)] = SqliteStore.peek(path, OWN)
    shake_hands(tmp_path, root, own["chain"], own["key"])


def shake_hands(folder: Path, root: Issuer, chain: str, key: str) -> None:
    """A TLS handshake in which the server wants to see the certificate of the station."""
    own, server = folder / "own.pem", folder / "server.pem"
    issued = Issuer("csms.example", root, ca=None, days=NOW)
    own.write_text(chain + key)
    server.write_text(issued.pem + key_pem(issued.key))
    asks = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=root.pem)
    asks.load_cert_chain(server)
    asks.verify_mode = ssl.CERT_REQUIRED
    shows = ssl.create_default_context(cadata=root.pem)
    shows.check_hostname = False
    shows.load_cert_chain(own)
    pipes = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [shows.wrap_bio(*pipes), asks.wrap_bio(*pipes[::-1], server_side=True)]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = ends[1].getpeercert()
    assert shown is not None
    assert dict(pair[0] for pair in shown["subject"]) == {  # type: ignore[misc]  # typeshed has a union for all its fields
        "organizationName": "Example CPO",
        "commonName": CP,
    }


@pytest.mark.parametrize("again", [False, True], ids=["the same file", "another file"])
def test_the_ca_file_of_the_configuration(tmp_path: Path, again: bool) -> None:
    """Deleted is deleted, unless the file says something new."""
    root, other = (Issuer(name, days=NOW) for name in ("Root", "Other"))
    (tmp_path / "ca.pem").write_text(root.pem)
    options: dict[str, Any] = {"storage": tmp_path / "storage", "clock": "wall"}
    config = conf(tmp_path, ca="ca.pem")

    async def story() -> None:
        async with central_system() as central:
            async with station("--config", config, csms=central.url, **options) as cp:
                await cp.event("registration", status="Accepted")
                [name] = await installed(central)
                answer = await central.call(CP, "DeleteCertificate", {"certificateHashData": name})
                assert answer == {"status": "Accepted"}
                await cp.shut_down()
            if again:
                (tmp_path / "ca.pem").write_text(root.pem + other.pem)
            async with station("--config", config, csms=central.url, **options) as cp:
                await cp.event("registration", status="Accepted")
                assert len(await installed(central)) == (2 if again else 0)
                await cp.shut_down()

    play(story)
