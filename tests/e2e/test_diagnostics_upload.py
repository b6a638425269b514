"""Diagnostics and logs from a station process to real servers (OCPP 1.6 §5.9; N01; TC_045, TC_079)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from chargepoint.csms.central_system import CentralSystem
from tests.integration.file_servers import FtpServer, http_server
from tests.integration.piped import play
from tests.integration.station_process import CP, at_central_system, station

KEY = "00112233445566778899aabbccddeeff0011"


def test_diagnostics_over_http(tmp_path: Path) -> None:
    """They arrive under the name of the answer, with what the station did and without its secrets."""
    got: dict[str, str] = {}

    async def take(request: web.Request) -> web.StreamResponse:
        got[f"{request.method} {request.path}"] = (await request.read()).decode()
        return web.Response(status=201)

    async def story() -> None:
        csms = {"authorization_key": KEY, "security_profile": 1}
        async with http_server(take) as url, at_central_system(tmp_path, csms=csms) as (central, cp):
            await cp.charge()
            location = f"{url.replace('://', '://user:wachtwoord@')}/in"
            answer = await central.call(CP, "GetDiagnostics", {"location": location})
            await cp.event("upload", status="Uploaded")
            await cp.advance(1)
            told = [payload["status"] for _, payload in cp.calls("DiagnosticsStatusNotification")]
            assert told == ["Uploading", "Uploaded"]
            content = got[f"PUT /in/{answer['fileName']}"]
            assert content.startswith(f"Diagnostics of {CP}\n")
            assert "StartTransaction" in content
            assert "1: Charging, NoError, plugged, transaction 1 since 2026-01-01" in content
            for secret in (KEY, "wachtwoord"):
                assert secret not in content
                assert secret not in "".join(got)
            await cp.shut_down()

    play(story)


def test_a_log_over_ftp_after_a_power_cut(tmp_path: Path) -> None:
    """The first attempt ends with the process; the next process makes it again and tells both."""
    slow = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        slow.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async def story() -> None:
        request = {"logType": "SecurityLog", "requestId": 42, "retries": 0}
        async with CentralSystem(seed=1) as central, http_server(hang) as url:
            options = {"csms": central.url, "storage": tmp_path / "storage"}
            async with station("--linger", "0", **options) as cp:  # type: ignore[arg-type]  # a table of options
                await cp.advance(1)
                await cp.do("security_event", type="TamperDetectionActivated", tech_info="door")
                log = {"remoteLocation": f"{url}/in"}
                answer = await central.call(CP, "GetLog", {**request, "log": log})
                assert answer["status"] == "Accepted"
                await slow.wait()
                await cp.kill()
                slow.clear()
            async with station("--linger", "0", **options) as cp:  # type: ignore[arg-type]  # a table of options
                await slow.wait()  # the same file at the same place
                files = FtpServer()
                files.users = {"user": "wachtwoord"}
                files.directories.add("in")
                async with files.running() as ftp:
                    log = {"remoteLocation": f"{ftp.replace('://', '://user:wachtwoord@')}/in"}
                    again = {**request, "log": log, "requestId": 43}
                    answer = await central.call(CP, "GetLog", again)
                    assert answer["status"] == "AcceptedCanceled"  # of the one the power cut ended
                    await cp.event("upload", status="Uploaded")
                    await cp.advance(1)
                    told = [(p["status"], p["requestId"]) for _, p in cp.calls("LogStatusNotification")]
                    assert told[-2:] == [("Uploading", 43), ("Uploaded", 43)]
                    lines = files.files[f"in/{answer['filename']}"].decode().splitlines()
                    assert lines[0].startswith(f"# Security log of {CP}")
                    events = [line.split(" ", 1)[1] for line in lines[1:]]
                    assert events == [
                        "StartupOfTheDevice",
                        "TamperDetectionActivated door",
                        "StartupOfTheDevice",
                    ]
                    events = [p["type"] for _, p in cp.calls("SecurityEventNotification")]
                    assert events == ["StartupOfTheDevice"]
                await cp.shut_down()

    play(story)
