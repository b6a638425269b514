"""The security extension at foreign central systems, and at some without it (whitepaper edition 3)."""

from __future__ import annotations

from pathlib import Path

from tests.interop.authority import Authority
from tests.interop.file_server import file_server
from tests.interop.libraries import Library
from tests.interop.rig import Meeting, meet


def test_it_reports_security_events(library: Library, tmp_path: Path) -> None:
    """A04: those the station makes and those somebody else causes."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        await csms.got("SecurityEventNotification", type="StartupOfTheDevice")
        await cp.do("security_event", type="TamperDetectionActivated", tech_info="lid")
        await csms.got("SecurityEventNotification", type="TamperDetectionActivated", techInfo="lid")

    meet(library, tmp_path, story)


def test_it_keeps_root_certificates(library: Library, tmp_path: Path) -> None:
    """M03 to M05: install, list, delete."""

    async def story(here: Meeting) -> None:
        csms, use = here.csms, "CentralSystemRootCertificate"
        await csms.answered("GetInstalledCertificateIds", "NotFound", certificateType=use)
        await csms.answered(
            "InstallCertificate", "Accepted", certificateType=use, certificate=Authority("Root").pem
        )
        listed = await csms.call("GetInstalledCertificateIds", certificateType=use)
        assert listed["status"] == "Accepted"
        (hashes,) = listed["certificateHashData"]
        assert hashes["hashAlgorithm"] == "SHA256"
        await csms.answered("DeleteCertificate", "Accepted", certificateHashData=hashes)
        await csms.answered("DeleteCertificate", "NotFound", certificateHashData=hashes)
        await csms.answered(
            "InstallCertificate", "Rejected", certificateType=use, certificate="no certificate"
        )

    meet(library, tmp_path, story)


def test_it_has_its_certificate_renewed(library: Library, tmp_path: Path) -> None:
    """A02: the trigger, the signing request and its answer."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        root = Authority("Root")
        await csms.answered(
            "InstallCertificate",
            "Accepted",
            certificateType="CentralSystemRootCertificate",
            certificate=root.pem,
        )
        await csms.answered(
            "ExtendedTriggerMessage", "Accepted", requestedMessage="SignChargePointCertificate"
        )
        await cp.advance(10)
        request = await csms.got("SignCertificate")
        await csms.answered("CertificateSigned", "Accepted", certificateChain=root.answer(request["csr"]))
        await csms.answered("CertificateSigned", "Rejected", certificateChain=Authority("Other").pem)

    meet(library, tmp_path, story, CpoName="Example")


def test_it_installs_signed_firmware_only_if_it_is_genuine(library: Library, tmp_path: Path) -> None:
    """L01: all statuses of a good update, then one with another file's signature."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        maker = Authority("Maker")
        certificate, signature = maker.sign(content)
        firmware = {
            "location": f"{files.url}/3.0.0.bin",
            "retrieveDateTime": "2026-01-01T00:00:00Z",
            "signingCertificate": certificate,
            "signature": signature,
        }
        await csms.answered("SignedUpdateFirmware", "InvalidCertificate", requestId=6, firmware=firmware)
        await csms.answered(
            "InstallCertificate",
            "Accepted",
            certificateType="ManufacturerRootCertificate",
            certificate=maker.pem,
        )
        await csms.answered("SignedUpdateFirmware", "Accepted", requestId=7, firmware=firmware)
        await cp.advance(600)
        told = [payload for _, payload in csms.requests("SignedFirmwareStatusNotification")]
        assert {payload["requestId"] for payload in told} == {7}
        assert [payload["status"] for payload in told] == [
            "Downloading",
            "Downloaded",
            "SignatureVerified",
            "Installing",
            "InstallRebooting",
            "Installed",
        ]
        assert csms.requests("BootNotification")[-1][1]["firmwareVersion"] == "3.0.0"

        certificate, signature = maker.sign(b"another file")
        firmware |= {"signingCertificate": certificate, "signature": signature}
        await csms.answered("SignedUpdateFirmware", "Accepted", requestId=8, firmware=firmware)
        await cp.advance(600)
        last = csms.requests("SignedFirmwareStatusNotification")[-1][1]
        assert last == {"status": "InvalidSignature", "requestId": 8}
        await csms.got("SecurityEventNotification", type="InvalidFirmwareSignature")

    content = b"firmware" * 10_000
    with file_server() as files:
        files.files["/3.0.0.bin"] = content
        meet(library, tmp_path, story)


def test_a_central_system_without_the_extension_gets_every_session(library: Library, tmp_path: Path) -> None:
    """Its NotImplemented to security events delays nothing else and is not asked for again and again."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        await here.charge()
        await cp.advance(3600)
        await cp.do("plug_out", connector=1)
        await csms.got("StopTransaction", transactionId=1)
        assert len(csms.requests("MeterValues")) == 60
        assert len(cp.calls("SecurityEventNotification")) <= 2

    meet(library, tmp_path, story, refused=frozenset({"SecurityEventNotification"}))
