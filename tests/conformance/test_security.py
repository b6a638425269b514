"""Security (TC_073 to TC_088)."""

from __future__ import annotations

import base64
from typing import Any, Literal

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509 import Certificate, load_pem_x509_certificate, load_pem_x509_csr, ocsp

from tests.conformance.case import case
from tests.conformance.door import basic
from tests.conformance.expected import Expected, Payload, call, status
from tests.conformance.rig import ACCEPTED, CP, REJECTED, Rig
from tests.conformance.secure_rig import LONG, PASSWORD, OverTls, SecureRig, WithCertificate
from tests.integration.file_servers import http_server
from tests.unit.certificate_material import Issuer, rsa_key

Use = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]
CENTRAL_SYSTEM: Use = "CentralSystemRootCertificate"
MANUFACTURER: Use = "ManufacturerRootCertificate"
NOT_FOUND = {"status": "NotFound"}
FIRMWARE = bytes(range(256)) * 64


def _hash_data(root: Issuer) -> Payload:
    """CertificateHashData as an OCSP request would name it (RFC 6960)."""
    certificate: Certificate = load_pem_x509_certificate(root.pem.encode())
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, certificate, hashes.SHA256()).build()
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{request.serial_number:x}",
    }


async def _install(cp: Rig, use: Use, pem: str) -> Any:
    return await cp.call("InstallCertificate", certificateType=use, certificate=pem)


async def _installed(cp: Rig, use: Use) -> Any:
    return await cp.call("GetInstalledCertificateIds", certificateType=use)


@case(rig=SecureRig)
async def test_tc_073_update_password(cp: SecureRig) -> None:
    """ChangeConfiguration AuthorizationKey: Accepted, then a new connection with the new password, decoded
    from its hexadecimal digits, without a BootNotification; twice. GetConfiguration never shows it."""
    for n, password in enumerate((b"OCA_OCTT_new_test_01", b"OCA_OCTT_new_test_2"), 2):
        cp.door.password = password
        await cp.configure(AuthorizationKey=password.hex())
        assert cp.connections == n
        assert cp.handshake().headers["authorization"] == basic(CP, password)
        cp.hears(call("Heartbeat"))  # whether it is answered tells that the password is right
        answer = await cp.call("GetConfiguration", key=["AuthorizationKey"])
        assert password.hex() not in str(answer)
    await cp.charge()


@case(rig=WithCertificate)
async def test_tc_074_update_charge_point_certificate(cp: WithCertificate) -> None:
    """SignChargePointCertificate triggered: Accepted, SignCertificate. CertificateSigned: Accepted, and a new
    connection with that certificate."""
    request = await _certificate_request(cp)
    issued = cp.root.answer(request, serial=0x2002, days=(-1, LONG[1]))
    assert cp.handshake().client["serialNumber"] == "1003"
    assert await cp.call("CertificateSigned", certificateChain=issued) == ACCEPTED
    await cp.wait(5)
    assert cp.connections == 2
    assert cp.handshake().client["serialNumber"] == "2002"
    await cp.charge()


@case()
async def test_tc_075_1_install_manufacturer_root(cp: Rig) -> None:
    """InstallCertificate ManufacturerRootCertificate: Accepted; GetInstalledCertificateIds, NotFound before,
    names it by the hashes of RFC 6960."""
    root = Issuer("Manufacturer Root", days=LONG)
    assert await _installed(cp, MANUFACTURER) == NOT_FOUND
    assert await _install(cp, MANUFACTURER, root.pem) == ACCEPTED
    assert await _installed(cp, MANUFACTURER) == ACCEPTED | {"certificateHashData": [_hash_data(root)]}
    assert await _installed(cp, CENTRAL_SYSTEM) == NOT_FOUND


@case(rig=OverTls)
async def test_tc_075_2_install_central_system_root(cp: OverTls) -> None:
    """InstallCertificate CentralSystemRootCertificate: Accepted; GetInstalledCertificateIds names it beside
    the one that was there."""
    root = Issuer("Another Root", days=LONG, serial=4095)
    assert await _install(cp, CENTRAL_SYSTEM, root.pem) == ACCEPTED
    answer = await _installed(cp, CENTRAL_SYSTEM)
    assert answer["status"] == "Accepted"
    named = sorted(answer["certificateHashData"], key=lambda data: str(data["serialNumber"]))
    assert named == [_hash_data(cp.root), _hash_data(root)]
    assert named[1]["serialNumber"] == "fff"


@case()
async def test_tc_076_delete_certificate(cp: Rig) -> None:
    """DeleteCertificate of an installed root: Accepted, and it is no longer listed; once more: NotFound."""
    root = Issuer("Manufacturer Root", days=LONG)
    assert await _install(cp, MANUFACTURER, root.pem) == ACCEPTED
    named = (await _installed(cp, MANUFACTURER))["certificateHashData"][0]
    assert await cp.call("DeleteCertificate", certificateHashData=named) == ACCEPTED
    assert await _installed(cp, MANUFACTURER) == NOT_FOUND
    assert await cp.call("DeleteCertificate", certificateHashData=named) == NOT_FOUND


async def _certificate_request(cp: Rig) -> str:
    """The station is made to ask for a certificate; its request."""
    await cp.configure(CpoName="Example Power")
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert await cp.call("ExtendedTriggerMessage", **trigger) == ACCEPTED
    (payload,) = cp.hears(call("SignCertificate"))
    request = load_pem_x509_csr(payload["csr"].encode())
    assert request.is_signature_valid
    assert {attribute.rfc4514_string() for attribute in request.subject} == {f"CN={CP}", "O=Example Power"}
    return str(payload["csr"])


@case(rig=OverTls)
async def test_tc_077_invalid_charge_point_certificate(cp: OverTls) -> None:
    """SignChargePointCertificate triggered: Accepted, SignCertificate. CertificateSigned by somebody unknown:
    Rejected, and SecurityEventNotification InvalidChargePointCertificate."""
    request = await _certificate_request(cp)
    forged = Issuer("Somebody Else", days=LONG).answer(request, days=LONG)
    assert await cp.call("CertificateSigned", certificateChain=forged) == REJECTED
    cp.hears_security_event("InvalidChargePointCertificate")


@case(rig=OverTls)
async def test_tc_078_invalid_central_system_certificate(cp: OverTls) -> None:
    """InstallCertificate of an expired root and of no certificate at all: Rejected, and
    SecurityEventNotification InvalidCentralSystemCertificate; nothing is installed."""
    expired = Issuer("Expired Root", days=(-100, -1)).pem
    for pem in (expired, "no certificate"):
        assert await _install(cp, CENTRAL_SYSTEM, pem) == REJECTED
        cp.hears_security_event("InvalidCentralSystemCertificate")
    answer = await _installed(cp, CENTRAL_SYSTEM)
    assert answer["certificateHashData"] == [_hash_data(cp.root)]


@case()
async def test_tc_079_security_log(cp: Rig) -> None:
    """GetLog SecurityLog: Accepted and the name of the file; LogStatusNotification Uploading, Uploaded with
    the requestId; the file holds the security events."""
    files: dict[str, str] = {}

    async def take(request: web.Request) -> web.StreamResponse:
        files[request.path] = await request.text()
        return web.Response(status=201)

    async with http_server(take) as url:
        answer = await cp.call(
            "GetLog", logType="SecurityLog", requestId=7, log={"remoteLocation": f"{url}/logs"}, retries=0
        )
        await cp.wait(10)
    assert isinstance(answer, dict)
    assert answer["status"] == "Accepted"
    cp.hears(*(call("LogStatusNotification", status=one, requestId=7) for one in ("Uploading", "Uploaded")))
    assert list(files) == [f"/logs/{answer['filename']}"]
    assert "StartupOfTheDevice" in files[f"/logs/{answer['filename']}"]


def _signed_firmware(state: str) -> Expected:
    return call("SignedFirmwareStatusNotification", status=state, requestId=9)


async def _signed_update(cp: Rig, content: bytes) -> None:
    """SignedUpdateFirmware of a file whose signature was made over `FIRMWARE`."""
    root = Issuer("Manufacturer Root", days=LONG)
    signer = Issuer("Signer", root, key=rsa_key(), ca=None, days=LONG, serial=0x2002)
    assert await _install(cp, MANUFACTURER, root.pem) == ACCEPTED
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signature = base64.b64encode(signer.key.sign(FIRMWARE, pss, hashes.SHA256())).decode()

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content)

    async with http_server(serve) as url:
        firmware = {
            "location": f"{url}/2.0.0.bin",
            "retrieveDateTime": cp.moment(0),
            "signingCertificate": signer.pem,
            "signature": signature,
        }
        assert await cp.call("SignedUpdateFirmware", requestId=9, firmware=firmware) == ACCEPTED
        await cp.wait(60)


@case(durable=True)
async def test_tc_080_secure_firmware_update(cp: Rig) -> None:
    """SignedUpdateFirmware: Accepted, Downloading, Downloaded, SignatureVerified, Installing, a restart with
    the new version, Installed, all with the requestId."""
    await _signed_update(cp, FIRMWARE)
    assert cp.takes_out(status(1, "Unavailable")) <= 3, "not before Installing"
    cp.hears(
        _signed_firmware("Downloading"),
        _signed_firmware("Downloaded"),
        _signed_firmware("SignatureVerified"),
        _signed_firmware("Installing"),
        _signed_firmware("InstallRebooting"),
        call("BootNotification", firmwareVersion="2.0.0"),
        status(0, "Available", at=0),
        status(1, "Available"),
        _signed_firmware("Installed"),
    )
    cp.hears_security_event("FirmwareUpdated")


@case(durable=True)
async def test_tc_081_invalid_firmware_signature(cp: Rig) -> None:
    """The file is not the one that was signed: Downloading, Downloaded, InvalidSignature and
    SecurityEventNotification InvalidFirmwareSignature; nothing is installed."""
    await _signed_update(cp, FIRMWARE + b"more")
    cp.hears(*(_signed_firmware(one) for one in ("Downloading", "Downloaded", "InvalidSignature")))
    cp.hears_security_event("InvalidFirmwareSignature")


@case(rig=SecureRig)
async def test_tc_083_upgrade_security_profile(cp: SecureRig) -> None:
    """ChangeConfiguration SecurityProfile 2: Accepted, a new connection over TLS; Reset, BootNotification and
    statuses over TLS too. Where only the old profile is spoken the station does not come in any more."""
    await cp.door.speak(cp.tls(2))
    await cp.configure(SecurityProfile=2)
    assert cp.connections == 2
    assert cp.handshake().tls in ("TLSv1.2", "TLSv1.3")
    cp.hears(call("Heartbeat"))  # whether it is answered tells that the new profile works
    assert await cp.configuration("SecurityProfile") == {"SecurityProfile": "2"}
    assert await cp.call("Reset", type="Hard") == ACCEPTED
    await cp.wait(5)
    cp.hears(call("BootNotification"), *cp.all_report("Available", at=0))
    handshakes = len(cp.door.handshakes)
    await cp.network(False)
    await cp.door.speak(cp.tls(1))
    await cp.network(True)
    await cp.wait(600)
    assert len(cp.door.handshakes) == handshakes
    assert cp.door.knocks > 3
    await cp.door.speak(cp.tls(2))
    await cp.wait(300)
    assert len(cp.door.handshakes) == handshakes + 1
    assert cp.handshake().tls in ("TLSv1.2", "TLSv1.3")
    await cp.charge()


@case(rig=OverTls)
async def test_tc_084_downgrade_security_profile(cp: OverTls) -> None:
    """ChangeConfiguration SecurityProfile to a lower one, or to the present one: Rejected, and it stays."""
    for profile in ("1", "0", "2"):
        assert await cp.call("ChangeConfiguration", key="SecurityProfile", value=profile) == REJECTED
    answer = await cp.call("GetConfiguration", key=["SecurityProfile"])
    assert answer == {"configurationKey": [{"key": "SecurityProfile", "readonly": False, "value": "2"}]}
    assert cp.connections == 1


@case(rig=SecureRig)
async def test_tc_085_basic_authentication(cp: SecureRig) -> None:
    """With security profile 1 the handshake carries Basic authentication: the identity and the decoded
    AuthorizationKey."""
    assert cp.handshake().headers["authorization"] == basic(CP, PASSWORD)
    assert cp.handshake().tls is None
    await cp.charge()


@case(rig=OverTls)
async def test_tc_086_tls_server_certificate(cp: OverTls) -> None:
    """With security profile 2 the station connects over TLS 1.2 or better to a server whose certificate leads
    to an installed root, with Basic authentication and without a certificate of its own."""
    assert cp.handshake().tls in ("TLSv1.2", "TLSv1.3")
    assert cp.handshake().headers["authorization"] == basic(CP, PASSWORD)
    assert not cp.handshake().client
    await cp.charge()


@case(rig=WithCertificate)
async def test_tc_087_tls_client_certificate(cp: WithCertificate) -> None:
    """With security profile 3 the station connects over TLS and shows its own certificate; there is no Basic
    authentication."""
    assert cp.handshake().tls in ("TLSv1.2", "TLSv1.3")
    assert cp.handshake().client["commonName"] == CP
    assert "authorization" not in cp.handshake().headers
    await cp.charge()


@case(rig=SecureRig, booted=False)
async def test_tc_088_subprotocol(cp: SecureRig) -> None:
    """The handshake offers the subprotocol ocpp1.6. A server that does not agree to it hears nothing more;
    the station tries again until one does."""
    cp.door.drop_subprotocol = True
    await cp.power_up()
    assert cp.handshake().headers["sec-websocket-protocol"] == "ocpp1.6"
    await cp.wait(120)
    cp.hears()
    assert len(cp.door.handshakes) > 2
    cp.errors.clear()
    cp.door.drop_subprotocol = False
    await cp.wait(240)
    cp.hears(call("BootNotification"), *cp.all_report("Available", at=0))
