"""Transfers against real servers: OCPP 1.6 §5.9, §5.19 and what their URLs may ask for."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from chargepoint.config import parse as parse_config
from chargepoint.station import assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from chargepoint.transfer import Bounds, ftp, trusting
from chargepoint.transfer.address import parse
from chargepoint.transfer.way import Way
from hal.clock import SteppedClock, WallClock
from tests.integration.file_servers import FtpServer, Loop, Side, http_server, play, serving, trusted
from tests.integration.link_rig import PATIENCE_S
from tests.integration.tls_material import Authority

CONTENT = os.urandom(3_000_000)
BOTH_LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
KINDS = pytest.mark.parametrize("scheme", ["http", "https", "ftp", "ftps"])


class Shop:
    """An HTTP server with one file; what it does with a request is `handle`."""

    def __init__(self, folder: Path, content: bytes = CONTENT) -> None:
        self.file = folder / "served.bin"
        self.file.write_bytes(content)
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.cut_at: int | None = None  # the next download breaks off there
        self.stall_at: int | None = None
        self.stalled = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve the file, or take one."""
        self.requests.append(request)
        if request.method != "GET":
            self.bodies.append(await request.read())
            return web.Response(status=201)
        most = self.cut_at if self.cut_at is not None else self.stall_at
        if most is None:
            return web.FileResponse(self.file)
        first = int(request.headers.get("Range", "bytes=0-")[6:-1])
        status = self.file.stat()
        headers = {"ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"'}
        if first:
            headers["Content-Range"] = f"bytes {first}-{status.st_size - 1}/{status.st_size}"
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.content_length = status.st_size - first
        await response.prepare(request)
        await response.write(self.file.read_bytes()[first:most])
        if self.cut_at is not None:
            self.cut_at = None
            assert request.transport is not None
            request.transport.close()
            return response
        self.stalled.set()
        await asyncio.Event().wait()
        return response


def answering(status: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that always says the same."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return handle


@asynccontextmanager
async def server(scheme: str, folder: Path) -> AsyncIterator[tuple[str, tuple[str, ...], Any]]:
    """A server for a scheme that has CONTENT at /some/fw.bin: its URL, the roots to trust, and itself."""
    context, roots = trusted(folder) if scheme.endswith("s") else (None, ())
    if scheme.startswith("http"):
        shop = Shop(folder)
        async with http_server(shop.handle, context) as url:
            yield url, roots, shop
    else:
        files = FtpServer(context)
        files.files["some/fw.bin"] = CONTENT
        files.directories.add("some")
        async with files.running() as url:
            yield url, roots, files


@BOTH_LOOPS
@KINDS
def test_down_and_up(scheme: str, new_loop: Loop, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, roots, there):
            side = Side(tmp_path / "downloads", roots=roots)
            assert await side.download(f"{url}/some/fw.bin") == CONTENT
            assert sorted(path.name for path in (tmp_path / "downloads").iterdir()) == ["fw.bin"]
            await side.upload(f"{url}/some/log.txt", CONTENT)
            received = there.bodies[0] if isinstance(there, Shop) else there.files["some/log.txt"]
            assert received == CONTENT
            side.transfers.close()

    play(story(), new_loop)


def test_ftps_with_tls_from_the_first_byte(tmp_path: Path) -> None:
    """On port 990, which only the administrator may open: so without the URL."""

    async def story() -> None:
        context, roots = trusted(tmp_path)
        there = FtpServer(context, implicit=True)
        async with there.running() as url:
            address = replace(parse(f"{url}/log.txt"), implicit_tls=True)
            await ftp.upload(address, b"words", Way(trusting(roots), None, Bounds()))
        assert there.files == {"log.txt": b"words"}
        assert "AUTH" not in there.commands

    play(story())


@pytest.mark.parametrize("scheme", ["https", "ftps"])
def test_an_unknown_authority_or_another_name_is_refused(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, roots, there):
            error = await Side(tmp_path).refusal(Side(tmp_path).download(f"{url}/some/fw.bin"))
            assert error.kind == "refused"
            assert "root certificate" in str(error)
            address = url.replace("localhost", "127.0.0.1")
            error = await Side(tmp_path).refusal(Side(tmp_path, roots=roots).upload(f"{address}/x", b"x"))
            assert error.kind == "refused"
            assert not getattr(there, "bodies", [])
            assert "x" not in getattr(there, "files", {})

    play(story())


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_download_cut_in_the_middle_goes_on(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, _, there):
            folder = tmp_path / "downloads"
            there.cut_at = 1_000_000
            error = await Side(folder).refusal(Side(folder).download(f"{url}/some/fw.bin"))
            assert error.kind == "broken"
            kept = (folder / "fw.bin.part").stat()
            assert 0 < kept.st_size <= 1_000_000
            assert kept.st_mode & 0o777 == 0o600
            assert await Side(folder).download(f"{url}/some/fw.bin") == CONTENT
            if isinstance(there, Shop):
                assert there.requests[-1].headers["Range"] == f"bytes={kept.st_size}-"
            else:
                assert there.commands[-3:] == ["REST", "RETR", "QUIT"]

    play(story())


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_file_replaced_meanwhile_is_fetched_whole(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, _, there):
            side = Side(tmp_path / "downloads")
            there.cut_at = 1_000_000
            await side.refusal(side.download(f"{url}/some/fw.bin"))
            other = os.urandom(len(CONTENT))
            if isinstance(there, Shop):
                there.file.write_bytes(other)
            else:
                there.files["some/fw.bin"], there.changed = other, "20260101000001"
            assert await side.download(f"{url}/some/fw.bin") == other

    play(story())


def test_another_url_under_the_same_name_begins_anew(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("http", tmp_path) as (url, _, there):
            side = Side(tmp_path / "downloads")
            there.cut_at = 1_000_000
            await side.refusal(side.download(f"{url}/some/fw.bin"))
            assert await side.download(f"{url}/other/fw.bin") == CONTENT
            assert "Range" not in there.requests[-1].headers

    play(story())


def test_a_process_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    """The kernel kills it at a file of 9 MiB; what lay safely on the disk by then is not fetched again."""
    content = os.urandom(10 * 2**20)
    program = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.integration.file_servers import Side
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (9 * 2**20, 9 * 2**20))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
asyncio.run(Side(Path(sys.argv[1])).download(sys.argv[2]))
"""

    async def story() -> None:
        shop = Shop(tmp_path, content)
        folder = tmp_path / "downloads"
        async with http_server(shop.handle) as url:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(folder), f"{url}/fw.bin"
            )
            assert await process.wait() == -signal.SIGXFSZ
            assert await Side(folder).download(f"{url}/fw.bin") == content
            assert 8 * 2**20 <= int(shop.requests[-1].headers["Range"][6:-1]) < 9 * 2**20

    play(story())


@pytest.mark.parametrize(
    ("status", "content_range"),
    [
        pytest.param(200, None, id="whole"),
        pytest.param(416, "bytes */5", id="416"),
        pytest.param(206, "bytes 7-2999999/3000000", id="another-range"),
        pytest.param(206, "bytes 0-0/3000000", id="no-such-range"),
        pytest.param(206, None, id="no-content-range"),
    ],
)
def test_a_server_that_does_not_continue_as_asked(
    status: int, content_range: str | None, tmp_path: Path
) -> None:
    async def story() -> None:
        shop = Shop(tmp_path)
        side = Side(tmp_path / "downloads")

        async def stubborn(request: web.Request) -> web.StreamResponse:
            if "Range" not in request.headers:
                return await shop.handle(request)
            headers = {} if content_range is None else {"Content-Range": content_range}
            return web.Response(status=status, body=CONTENT if status == 200 else b"wrong", headers=headers)

        async with http_server(stubborn) as url:
            shop.cut_at = 1_000_000
            await side.refusal(side.download(f"{url}/fw.bin"))
            assert await side.download(f"{url}/fw.bin") == CONTENT

    play(story())


@pytest.mark.parametrize("lacking", ["rest", "mdtm"])
def test_an_ftp_server_that_cannot_continue(lacking: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server("ftp", tmp_path) as (url, _, there):
            setattr(there, lacking, False)
            side = Side(tmp_path / "downloads")
            there.cut_at = 1_000_000
            await side.refusal(side.download(f"{url}/some/fw.bin"))
            assert await side.download(f"{url}/some/fw.bin") == CONTENT

    play(story())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "permission"), (403, "permission"), (404, "not_found"), (410, "not_found"), (400, "server"),
     (429, "server"), (500, "server"), (503, "server"), (299, "server"), (304, "server")],
)  # fmt: skip
def test_what_an_http_server_answers(status: int, kind: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with http_server(answering(status)) as url:
            side = Side(tmp_path)
            error = await side.refusal(side.download(f"{url.replace('//', '//bob:s%3Acret@')}/f?sig=hidden"))
            assert error.kind == kind
            for secret in ("s:cret", "s%3Acret", "bob", "hidden"):
                assert secret not in str(error)

    play(story())


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refused_upload(status: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with http_server(answering(status)) as url:
            side = Side(tmp_path)
            error = await side.refusal(side.upload(f"{url}/f", b"x"))
            assert error.kind == {401: "permission", 404: "not_found", 500: "server"}[status]

    play(story())


def test_http_credentials(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("http", tmp_path) as (url, _, there):
            side = Side(tmp_path / "downloads")
            login = url.replace("//", "//b%40b:p%C3%A4ss%3A%2F@")
            await side.download(f"{login}/fw.bin")
            await side.upload(f"{login}/log.txt", b"x")
            for request in there.requests:
                assert request.headers["Authorization"] == "Basic YkBiOnDDpHNzOi8="  # b@b:päss:/

    play(story())


def test_ftp_credentials(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("ftp", tmp_path) as (url, _, there):
            there.users = {"b@b": "päss:/"}
            side = Side(tmp_path / "downloads")
            login = url.replace("//", "//b%40b:p%C3%A4ss%3A%2F@")
            assert await side.download(f"{login}/some/fw.bin") == CONTENT
            error = await side.refusal(side.download(f"{url.replace('//', '//b%40b:wrong@')}/some/fw.bin"))
            assert error.kind == "permission"
            assert "wrong" not in str(error)
            assert "b@b" not in str(error)
            assert (await side.refusal(side.download(f"{url}/some/fw.bin"))).kind == "permission"
            assert (await side.refusal(side.download(f"{login}/some/none.bin"))).kind == "not_found"

    play(story())


def test_ftp_makes_directories_only_where_they_are_missing(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("ftp", tmp_path) as (url, _, there):
            side = Side(tmp_path)
            await side.upload(f"{url}/some/log.txt", b"1")
            assert "MKD" not in there.commands
            await side.upload(f"{url}/some/new/est/l%C3%B6g%20a.txt", b"2")
            assert there.files["some/new/est/lög a.txt"] == b"2"
            error = await side.refusal(side.upload(f"{url}/%2Fetc/log.txt", b"3"))
            assert error.kind == "permission"

    play(story())


def test_ftp_where_tls_is_not_offered(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("ftp", tmp_path) as (url, _, _there):
            side = Side(tmp_path)
            error = await side.refusal(side.download(f"{url.replace('ftp:', 'ftps:')}/some/fw.bin"))
            assert error.kind == "unsupported"
            assert "TLS" in str(error)

    play(story())


@pytest.mark.parametrize("refused", [405, 501])
@pytest.mark.parametrize("place", ["/up", "/up/", "/"])
def test_a_form_where_there_is_no_put(refused: int, place: str, tmp_path: Path) -> None:
    """The file goes to the address the central system gave, with or without a slash at its end."""
    taken: list[tuple[str, str | None, bytes]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            await request.read()
            return web.Response(status=refused)
        if request.path != place:
            return web.Response(status=404)
        field = (await request.post())["file"]
        assert isinstance(field, web.FileField)
        taken.append((request.query_string, field.filename, field.file.read()))
        return web.Response()

    async def story() -> None:
        async with http_server(handle) as url:
            await Side(tmp_path).upload(f"{url}{place.rstrip('/')}/CP%201.txt?key=1", b"\r\n--words\0")
        assert taken == [("key=1", "CP 1.txt", b"\r\n--words\0")]

    play(story())


def test_neither_put_nor_a_form(tmp_path: Path) -> None:
    async def story() -> None:
        async with http_server(answering(405)) as url:
            side = Side(tmp_path)
            assert (await side.refusal(side.upload(f"{url}/up/f", b"x"))).kind == "unsupported"

    play(story())


@pytest.mark.parametrize("hops", [1, 5, 6])
def test_redirects(hops: int, tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop(tmp_path)

        async def handle(request: web.Request) -> web.StreamResponse:
            left = int(request.query.get("n", "0"))
            if left:
                raise web.HTTPFound(f"/elsewhere?n={left - 1}")
            return await shop.handle(request)

        async with http_server(handle) as url:
            side = Side(tmp_path / "downloads")
            download = side.download(f"{url.replace('//', '//a:b@')}/fw.bin?n={hops}")
            if hops < 6:
                assert await download == CONTENT
                assert "Authorization" in shop.requests[0].headers
            else:
                assert (await side.refusal(download)).kind == "server"

    play(story())


def test_credentials_do_not_go_along_to_another_server(tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop(tmp_path)
        async with (
            http_server(shop.handle) as target,
            http_server(answering(302, Location=target.replace("localhost", "127.0.0.1") + "/f")) as url,
        ):
            assert await Side(tmp_path / "d").download(f"{url.replace('//', '//a:b@')}/fw.bin") == CONTENT
            assert "Authorization" not in shop.requests[0].headers

    play(story())


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_no_redirect_leads_out_of_https(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        context, roots = trusted(tmp_path)
        async with http_server(answering(302, Location=f"{scheme}://localhost/f"), context) as url:
            side = Side(tmp_path, roots=roots)
            assert (await side.refusal(side.download(f"{url}/fw.bin"))).kind == "unsupported"

    play(story())


@pytest.mark.parametrize(("status", "followed"), [(307, True), (308, True), (301, False), (302, False)])
def test_redirected_uploads(status: int, followed: bool, tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop(tmp_path)
        async with (
            http_server(shop.handle) as target,
            http_server(answering(status, Location=f"{target}/there")) as url,
        ):
            side = Side(tmp_path)
            if followed:
                await side.upload(f"{url}/log.txt", CONTENT)
                assert shop.bodies == [CONTENT]
            else:
                assert (await side.refusal(side.upload(f"{url}/log.txt", CONTENT))).kind == "server"
                assert shop.bodies == []

    play(story())


@KINDS
def test_nobody_listens(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as reserved:  # bound, not listening: nobody else gets the port
        reserved.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{reserved.getsockname()[1]}/fw.bin"

        async def story() -> None:
            side = Side(tmp_path)
            for transfer in (side.download(url), side.upload(url, b"x")):
                error = await side.refusal(transfer)
                assert error.kind == "refused"
                assert "nothing listens" in str(error)

        play(story())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "sftp://h/f", "h/f", "", "http://", "http://h/%00"])
def test_urls_that_cannot_be_used(url: str, tmp_path: Path) -> None:
    async def story() -> None:
        side = Side(tmp_path)
        assert (await side.refusal(side.download(url))).kind == "unsupported"
        assert (await side.refusal(side.upload(url, b"x"))).kind == "unsupported"

    play(story())


@KINDS
def test_a_download_that_stalls(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, roots, there):
            there.stall_at = 1_000_000
            bounds = Bounds(idle_s=0.3, keep_free_bytes=0)
            side = Side(tmp_path / "downloads", roots=roots, bounds=bounds)
            error = await side.refusal(side.download(f"{url}/some/fw.bin"))
            assert error.kind == "timeout"
            assert side.clock.lost_s >= 0.3
            there.stall_at = None
            assert await side.download(f"{url}/some/fw.bin") == CONTENT

    play(story())


@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
def test_a_server_that_says_nothing(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        over = asyncio.Event()
        silent = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with silent:
            url = f"{scheme}://127.0.0.1:{silent.sockets[0].getsockname()[1]}/f"
            side = Side(tmp_path, bounds=Bounds(connect_s=0.3, idle_s=0.3))
            assert (await side.refusal(side.download(url))).kind == "timeout"
            # More than the kernel's buffers hold.
            assert (await side.refusal(side.upload(url, bytes(50_000_000)))).kind == "timeout"
            over.set()

    play(story())


@pytest.mark.parametrize("scheme", ["http", "ftp"])
@pytest.mark.parametrize(
    "bounds",
    [Bounds(limit_bytes=1000, keep_free_bytes=0), Bounds(keep_free_bytes=2**60)],
    ids=["limit", "free"],
)
def test_no_room(scheme: str, bounds: Bounds, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, _, _there):
            side = Side(tmp_path / "downloads", bounds=bounds)
            assert (await side.refusal(side.download(f"{url}/some/fw.bin"))).kind == "disk"
            assert sum(path.stat().st_size for path in (tmp_path / "downloads").iterdir()) == 0

    play(story())


def test_a_file_without_end_stops_at_the_limit(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    async def story() -> None:
        async with http_server(endless) as url:
            side = Side(tmp_path / "d", bounds=Bounds(limit_bytes=2**20, keep_free_bytes=0))
            assert (await side.refusal(side.download(f"{url}/f"))).kind == "disk"

    play(story())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "file").touch()
        async with server("http", tmp_path) as (url, _, _there):
            side = Side(tmp_path / "file" / "downloads")
            assert (await side.refusal(side.download(f"{url}/fw.bin"))).kind == "disk"

    play(story())


@BOTH_LOOPS
@KINDS
def test_cancelled_in_the_middle(scheme: str, new_loop: Loop, tmp_path: Path) -> None:
    """Nothing is called back, the clock goes on at once, and the next attempt under the name is in order."""

    async def story() -> None:
        async with server(scheme, tmp_path) as (url, roots, there):
            side = Side(tmp_path / "downloads", roots=roots)
            there.stall_at = 1_000_000
            called: list[object] = []
            transfer = side.transfers.download(f"{url}/some/fw.bin", "fw.bin", called.append, called.append)
            await there.stalled.wait()
            transfer.cancel()
            assert not side.clock.held
            transfer.cancel()
            there.stall_at = None
            assert await side.download(f"{url}/some/fw.bin") == CONTENT
            assert called == []
            transfer.cancel()

    play(story(), new_loop)


@KINDS
def test_cancelled_at_once_and_closed(scheme: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with server(scheme, tmp_path) as (url, roots, _there):
            side = Side(None, roots=roots)
            called: list[object] = []

            def begin() -> None:
                side.transfers.download(f"{url}/some/fw.bin", "fw.bin", called.append, called.append)
                side.transfers.upload(f"{url}/some/up", b"x", lambda: called.append(1), called.append)

            begin()
            side.transfers.close()
            assert not side.clock.held
            side.transfers.close()
        assert called == []

    play(story())


def test_discard(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("http", tmp_path) as (url, _, there):
            folder = tmp_path / "downloads"
            side = Side(folder)
            side.transfers.discard("fw.bin")
            await side.download(f"{url}/some/fw.bin")
            side.transfers.discard("fw.bin")
            assert list(folder.iterdir()) == []
            there.stall_at = 1_000_000
            under_way = side.transfers.download(f"{url}/fw.bin", "fw.bin", print, print)
            await there.stalled.wait()
            under_way.cancel()
            side.transfers.discard("fw.bin")
            there.stall_at = None
            assert await side.download(f"{url}/some/fw.bin") == CONTENT
            assert "Range" not in there.requests[-1].headers

    play(story())


def test_without_storage_everything_is_gone_at_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with server("http", tmp_path) as (url, _, _there):
            side = Side(None)
            path = await side.outcome(
                lambda done, failed: side.transfers.download(f"{url}/f", "f", done, failed)
            )
            assert Path(path).read_bytes() == CONTENT
            side.transfers.close()
            assert not Path(path).parent.exists()

    play(story())


def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def story() -> None:
        seen: list[str] = []

        async def proxy(request: web.Request) -> web.StreamResponse:
            seen.append(f"{request.url} {request.headers.get('Proxy-Authorization')}")
            return web.Response(body=b"by proxy")

        async with http_server(proxy) as address, server("http", tmp_path) as (url, _, _there):
            given = Side(tmp_path / "a", proxy=address.replace("//", "//u:p@"))
            assert await given.download("http://far.example/fw.bin") == b"by proxy"
            assert seen == ["http://far.example/fw.bin Basic dTpw"]
            monkeypatch.setenv("http_proxy", address)
            monkeypatch.setenv("no_proxy", "")
            assert await Side(tmp_path / "b", proxy="auto").download("http://far.example/f") == b"by proxy"
            assert await Side(tmp_path / "c", proxy="auto").download(f"{url}/f") == CONTENT
            bad = Side(tmp_path / "d", proxy="socks5://h:1")
            assert (await bad.refusal(bad.download(f"{url}/f"))).kind == "refused"

    play(story())


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_large_file_takes_little_memory(scheme: str, tmp_path: Path) -> None:
    size = 50_000_000

    async def story() -> None:
        async with server(scheme, tmp_path) as (url, _, there):
            if isinstance(there, Shop):
                with there.file.open("wb") as file:
                    file.truncate(size)  # sent by the kernel: the server holds nothing
            else:
                there.files["some/fw.bin"] = bytes(size)
            side = Side(tmp_path / "downloads")
            tracemalloc.start()
            path = await side.outcome(
                lambda done, failed: side.transfers.download(f"{url}/some/fw.bin", "fw.bin", done, failed)
            )
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert Path(path).stat().st_size == size
            assert peak < 8_000_000

    play(story())


def test_tls_that_does_not_come_about_ends_with_the_patience_for_connecting(tmp_path: Path) -> None:
    async def story() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        over = asyncio.Event()
        silent = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with silent:
            side = Side(tmp_path, bounds=Bounds(connect_s=0.3, idle_s=600))
            download = side.download(f"https://127.0.0.1:{silent.sockets[0].getsockname()[1]}/f")
            assert (await side.refusal(download)).kind == "timeout"
            over.set()

    play(story())


def test_a_station_trusts_whom_it_trusts_as_central_system_and_keeps_files_beside_its_store(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        authority = Authority(tmp_path)
        shop = Shop(tmp_path)
        config = parse_config(
            f"identity: CP/1\ncsms: {{url: 'wss://localhost:1/x', tls: {{ca: {authority.ca}}}}}"
        )
        clock = WallClock()
        store = SqliteStore.open(tmp_path / "store", "CP/1")
        station = assemble(StationType(config), store, clock, clock, url="wss://localhost:1/x", seed=1)
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with http_server(shop.handle, serving(authority.issue("localhost", ("localhost",)))) as url:
            station.outside.transfers.download(f"{url}/f", "f", ended.set_result, ended.set_exception)
            path = Path(await asyncio.wait_for(ended, PATIENCE_S))
        assert path == tmp_path / "store" / "downloads" / "CP%2F1" / "f"
        assert path.read_bytes() == CONTENT
        station.close()

    play(story())


def test_a_station_that_is_closed_ends_its_transfers_and_installations(tmp_path: Path) -> None:
    async def story() -> None:
        shop = Shop(tmp_path)
        shop.stall_at = 1000
        config = parse_config(
            "{storage: null, firmware: {installer: command, command: [tail, -f, /dev/null]}}"
        )
        clock = SteppedClock()
        station = assemble(StationType(config), MemoryStore(), clock, clock, url="ws://localhost:1/x", seed=1)
        called: list[object] = []
        async with http_server(shop.handle) as url:
            station.outside.transfers.download(f"{url}/f", "f", called.append, called.append)
            station.outside.installer.install("f", "2", called.append, called.append)
            await shop.stalled.wait()
            assert clock.held
            station.close()
            assert not clock.held
            station.close()
        assert called == []

    play(story())


def test_a_root_that_cannot_be_used(tmp_path: Path) -> None:
    async def story() -> None:
        side = Side(tmp_path, roots=("no certificate",))
        error = await side.refusal(side.download("https://localhost:1/f"))
        assert error.kind == "refused"
        assert "root certificate" in str(error)

    play(story())
