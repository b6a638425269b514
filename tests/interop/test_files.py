"""Firmware, diagnostics and logs at foreign central systems, with a file server (OCPP 1.6 §5.9, §5.19)."""

from __future__ import annotations

from pathlib import Path

from tests.interop.file_server import file_server
from tests.interop.libraries import Library
from tests.interop.rig import Meeting, meet

AT_ONCE = "2026-01-01T00:00:00Z"


def test_it_updates_its_firmware(library: Library, tmp_path: Path) -> None:
    """UpdateFirmware with its four statuses; the next boot names the new version."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        location = f"{files.url}/2.0.0.bin"
        assert await csms.call("UpdateFirmware", location=location, retrieveDate=AT_ONCE) == {}
        await cp.advance(600)
        for status in ("Downloading", "Downloaded", "Installing"):
            await csms.got("FirmwareStatusNotification", status=status)
        statuses = [payload["status"] for _, payload in csms.requests("FirmwareStatusNotification")]
        assert statuses == ["Downloading", "Downloaded", "Installing", "Installed"]
        assert [event["reason"] for event in cp.events if event["event"] == "reboot"] == ["Reboot"]
        assert csms.requests("BootNotification")[-1][1]["firmwareVersion"] == "2.0.0"

    with file_server() as files:
        files.files["/2.0.0.bin"] = b"firmware" * 10_000
        meet(library, tmp_path, story)


def test_a_missing_firmware_file_is_reported(library: Library, tmp_path: Path) -> None:
    """DownloadFailed after as many attempts as were asked for."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        here.expected.append("the firmware could not be downloaded")
        location = f"{files.url}/nothing.bin"
        wanted = {"location": location, "retrieveDate": AT_ONCE, "retries": 2, "retryInterval": 30}
        assert await csms.call("UpdateFirmware", **wanted) == {}
        await cp.advance(120)
        statuses = [payload["status"] for _, payload in csms.requests("FirmwareStatusNotification")]
        assert statuses[:2] == ["Downloading", "DownloadFailed"]
        assert statuses.count("DownloadFailed") >= 2
        assert "Downloaded" not in statuses

    with file_server() as files:
        meet(library, tmp_path, story)


def test_it_uploads_diagnostics_and_the_security_log(library: Library, tmp_path: Path) -> None:
    """GetDiagnostics, and GetLog of the security extension (whitepaper N01)."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        location = f"{files.url}/uploads/"
        named = await csms.call("GetDiagnostics", location=location)
        await cp.advance(10)
        await csms.got("DiagnosticsStatusNotification", status="Uploading")
        await csms.got("DiagnosticsStatusNotification", status="Uploaded")
        assert len(files.files[f"/uploads/{named['fileName']}"]) > 0

        logged = await csms.call(
            "GetLog", logType="SecurityLog", requestId=5, log={"remoteLocation": location}
        )
        assert logged["status"] == "Accepted"
        await cp.advance(10)
        await csms.got("LogStatusNotification", status="Uploading", requestId=5)
        await csms.got("LogStatusNotification", status="Uploaded", requestId=5)
        assert b"StartupOfTheDevice" in files.files[f"/uploads/{logged['filename']}"]

    with file_server() as files:
        meet(library, tmp_path, story)


def test_triggers_of_an_idle_station(library: Library, tmp_path: Path) -> None:
    """TriggerMessage of both file statuses says Idle where nothing is under way (§5.17)."""

    async def story(here: Meeting) -> None:
        for action in ("FirmwareStatusNotification", "DiagnosticsStatusNotification"):
            await here.csms.answered("TriggerMessage", "Accepted", requestedMessage=action)
            await here.csms.got(action, status="Idle")

    meet(library, tmp_path, story)
