"""Firmware from a real server, with a real signature, put in place by a real program (whitepaper L01)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chargepoint.csms.central_system import CentralSystem
from tests.integration.file_servers import http_server
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, START, StationProcess, configuration, station
from tests.unit.ocpp16.firmware import Signer

CONTENT = bytes(range(256)) * 4000
MAKER = Signer("Maker", authority=True)
SIGNING = Signer("Signing", MAKER)

COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2]); print('version=' + sys.argv[3] + '-built')"
"""What the host does with the file, and how it says what there is now."""

UNTIL_SCHEDULED = ["Downloading", "Downloaded", "SignatureVerified", "InstallScheduled"]


class Site:
    """A central system, a file server, and a station's folder."""

    def __init__(self, folder: Path, central: CentralSystem, url: str, served: list[str]) -> None:
        self.folder = folder
        self.central = central
        self.url = url
        self.served = served  # the paths that were asked for
        self.target = folder / "in-place"
        root = folder / "maker.pem"
        root.write_text(MAKER.pem)
        command = [sys.executable, "-c", COPY, "{file}", str(self.target), "{version}"]
        self.config = configuration(
            folder,
            csms={"tls": {"manufacturer_ca": str(root)}},
            firmware={"installer": "command", "command": command},
        )

    @asynccontextmanager
    async def powered(self) -> AsyncIterator[StationProcess]:
        """The station, until its power goes."""
        options = ("--config", self.config, "--linger", "0")
        async with station(*options, csms=self.central.url, storage=self.folder / "storage") as running:
            await running.advance(1)
            yield running

    async def order(self, **more: Any) -> Line:
        """SignedUpdateFirmware; the answer."""
        firmware = {
            "location": f"{self.url}/fw-2.0.bin",
            "retrieveDateTime": START,
            "signingCertificate": SIGNING.pem,
            "signature": SIGNING.sign(CONTENT),
        }
        return await self.central.call(
            CP, "SignedUpdateFirmware", {"requestId": 7, "retries": 0, "firmware": firmware | more}
        )

    def downloads(self) -> list[Path]:
        """Files that still lie in the station's folder."""
        return [path for path in (self.folder / "storage" / "downloads").rglob("*") if path.is_file()]


@asynccontextmanager
async def site(folder: Path, content: bytes) -> AsyncIterator[Site]:
    served: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        served.append(request.path)
        return web.Response(body=content)

    async with http_server(serve) as url, CentralSystem(seed=1) as central:
        yield Site(folder, central, url, served)


def told(running: StationProcess) -> list[str]:
    """The statuses of request 7 as they were sent."""
    calls = running.calls("SignedFirmwareStatusNotification")
    assert {payload["requestId"] for _, payload in calls} <= {7}
    return [payload["status"] for _, payload in calls]


def security_events(running: StationProcess) -> list[str]:
    """The types that were sent."""
    return [payload["type"] for _, payload in running.calls("SecurityEventNotification")]


def test_an_update_that_a_power_cut_interrupts(tmp_path: Path) -> None:
    async def story() -> None:
        async with site(tmp_path, CONTENT) as here:
            async with here.powered() as running:
                answer = await here.order(installDateTime="2026-01-01T00:10:00Z")
                assert answer == {"status": "Accepted"}
                await running.advance(300)
                assert told(running) == UNTIL_SCHEDULED
                (file,) = here.downloads()
                assert file.read_bytes() == CONTENT
                assert file.stat().st_mode & 0o077 == 0
                await running.kill()
            assert not here.target.exists()
            async with here.powered() as running:
                await running.advance(900)
                assert told(running) == ["Installing", "InstallRebooting", "Installed"]
                assert here.target.read_bytes() == CONTENT
                versions = [p["firmwareVersion"] for _, p in running.calls("BootNotification")]
                assert versions == ["1.0.0", "fw-2.0-built"]
                assert "FirmwareUpdated" in security_events(running)
                assert here.downloads() == []
                await running.shut_down()
            assert here.served == ["/fw-2.0.bin"]

    play(story)


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT[:-1] + b"\0", b""], ids=["short", "altered", "empty"]
)
def test_a_file_that_was_not_signed(tmp_path: Path, content: bytes) -> None:
    async def story() -> None:
        async with site(tmp_path, content) as here, here.powered() as running:
            assert await here.order() == {"status": "Accepted"}
            await running.advance(60)
            assert told(running) == ["Downloading", "Downloaded", "InvalidSignature"]
            assert "InvalidFirmwareSignature" in security_events(running)
            assert here.downloads() == []
            assert not here.target.exists()
            await running.shut_down()

    play(story)


def test_a_signer_nobody_knows(tmp_path: Path) -> None:
    async def story() -> None:
        async with site(tmp_path, CONTENT) as here, here.powered() as running:
            answer = await here.order(signingCertificate=Signer("Signing").pem)
            assert answer == {"status": "InvalidCertificate"}
            await running.advance(60)
            assert told(running) == here.served == []
            assert "InvalidFirmwareSigningCertificate" in security_events(running)
            await running.shut_down()

    play(story)
