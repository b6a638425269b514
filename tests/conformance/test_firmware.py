"""Firmware and diagnostics (TC_044, TC_045), and their triggers (TC_054)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.conformance.case import case
from tests.conformance.expected import Expected, call, seconds, status
from tests.conformance.rig import ACCEPTED, CP, START, Rig
from tests.integration.file_servers import http_server

FIRMWARE = bytes(range(256)) * 64


def _firmware(state: str) -> Expected:
    return call("FirmwareStatusNotification", status=state)


def _diagnostics(state: str) -> Expected:
    return call("DiagnosticsStatusNotification", status=state)


async def _serve(request: web.Request) -> web.StreamResponse:
    return web.Response(body=FIRMWARE)


async def _refuse(request: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


async def _update(
    cp: Rig, server: Callable[[web.Request], Awaitable[web.StreamResponse]], retries: int = 0
) -> None:
    """UpdateFirmware from a file server, and time for everything that follows."""
    async with http_server(server) as url:
        answer = await cp.call(
            "UpdateFirmware",
            location=f"{url}/2.0.0.bin",
            retrieveDate=cp.moment(30),
            retries=retries,
            retryInterval=60,
        )
        assert answer == {}
        await cp.wait(29)
        cp.hears()
        await cp.wait(300)


@case(durable=True)
async def test_tc_044_1_firmware_update(cp: Rig) -> None:
    """UpdateFirmware over HTTP: from the retrieveDate on Downloading, Downloaded, Unavailable, Installing;
    then BootNotification with the new version, the statuses, Installed."""
    await _update(cp, _serve)
    assert cp.takes_out(status(1, "Unavailable")) <= 2, "not before Installing"
    cp.hears(
        _firmware("Downloading"),
        _firmware("Downloaded"),
        _firmware("Installing"),
        call("BootNotification", firmwareVersion="2.0.0"),
        status(0, "Available", at=0),
        status(1, "Available"),
        _firmware("Installed"),
    )
    cp.hears_security_event("FirmwareUpdated")
    await cp.charge()


@case(durable=True)
async def test_tc_044_2_download_failed(cp: Rig) -> None:
    """The file is not there (HTTP 404): Downloading, DownloadFailed, once more for each retry after the
    retryInterval; vehicles can charge as before."""
    await _update(cp, _refuse, retries=1)
    cp.hears(*[_firmware("Downloading"), _firmware("DownloadFailed")] * 2)
    cp.explains("could not be downloaded")
    await cp.charge()


@case(durable=True)
async def test_tc_044_3_installation_failed(cp: Rig) -> None:
    """The installation fails: Downloading, Downloaded, Unavailable, Installing, InstallationFailed and
    Available again; the old version boots."""
    await cp.do("firmware_outcome", fail="install")
    await _update(cp, _serve)
    assert cp.takes_out(status(1, "Unavailable")) <= 2, "not before Installing"
    *_, available, _ = cp.hears(
        _firmware("Downloading"),
        _firmware("Downloaded"),
        _firmware("Installing"),
        status(1, "Available"),
        _firmware("InstallationFailed"),
    )
    cp.explains("could not be installed")
    await cp.do("reboot")
    await cp.wait(5)
    cp.hears(
        call("BootNotification", firmwareVersion="1.0.0"),
        status(0, "Available", at=0),
        status(1, "Available", at=seconds(available["timestamp"], START)),
    )
    await cp.charge()


@case()
async def test_tc_045_1_diagnostics(cp: Rig) -> None:
    """GetDiagnostics: the name of the file, Uploading, Uploaded; the file is at the location under that name
    when Uploaded is told."""
    files: dict[str, bytes] = {}

    async def take(request: web.Request) -> web.StreamResponse:
        files[request.path] = await request.read()
        return web.Response(status=201)

    async with http_server(take) as url:
        answer = await cp.call("GetDiagnostics", location=f"{url}/logs", retries=0)
        assert isinstance(answer, dict)
        await cp.wait(10)
    cp.hears(_diagnostics("Uploading"), _diagnostics("Uploaded"))
    assert list(files) == [f"/logs/{answer['fileName']}"]
    assert CP in files[f"/logs/{answer['fileName']}"].decode()


@case()
async def test_tc_045_2_diagnostics_upload_failed(cp: Rig) -> None:
    """GetDiagnostics with retries 0 to a place that refuses the file: its name, Uploading, UploadFailed, and
    no second attempt."""
    async with http_server(_refuse) as url:
        answer = await cp.call("GetDiagnostics", location=f"{url}/logs", retries=0)
        assert isinstance(answer, dict)
        assert answer["fileName"]
        await cp.wait(600)
    cp.hears(_diagnostics("Uploading"), _diagnostics("UploadFailed"))
    cp.explains("was not uploaded")


@case()
async def test_tc_054_trigger_firmware_management(cp: Rig) -> None:
    """TriggerMessage DiagnosticsStatusNotification and FirmwareStatusNotification with nothing under way:
    Accepted first, then the message with Idle."""
    for action in ("DiagnosticsStatusNotification", "FirmwareStatusNotification"):
        assert await cp.call("TriggerMessage", requestedMessage=action) == ACCEPTED
        cp.hears(call(action, status="Idle"))
