"""Files by HTTP and HTTPS: GET with resumption, PUT, and a form's POST where a server knows no PUT."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

from aiohttp import (
    ClientError,
    ClientHttpProxyError,
    ClientProxyConnectionError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    InvalidURL,
    TCPConnector,
)
from yarl import URL

from chargepoint.domain.outside import TransferFailed
from chargepoint.proxy import is_loopback
from chargepoint.real_work import off_loop
from chargepoint.transfer.address import Address
from chargepoint.transfer.failures import cut, from_network, timed_out
from chargepoint.transfer.partial import PartialFile
from chargepoint.transfer.way import Way

__all__ = ["download", "upload"]

_MOST_REDIRECTS = 5
_CHUNK = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

_Moved = Callable[[], None]


async def download(address: Address, part: PartialFile, way: Way) -> None:
    """Fetch the file into `part`, from where that ends if the server's file is the same (RFC 9110 §14)."""
    async with _conversation(address, way) as (session, moved):
        while True:
            headers = {"Accept-Encoding": "identity"}
            if part.size and part.mark:
                headers |= {"Range": f"bytes={part.size}-", "If-Range": part.mark}
            response = await _get(session, address, headers, way)
            async with response:
                moved()
                resuming = part.size > 0
                if resuming and (response.status == 416 or not _fits(response, part)):
                    await off_loop(part.begin, None, None)
                    continue
                if response.status == 200:
                    await off_loop(part.begin, _mark(response.headers), response.content_length)
                elif response.status != 206 or not resuming:
                    raise _refusal(response.status, address)
                async for chunk in response.content.iter_chunked(_CHUNK):
                    await off_loop(part.write, chunk)
                    moved()
            if part.total is not None and part.size < part.total:
                raise cut(address.where)
            return


async def upload(address: Address, content: bytes, way: Way) -> None:
    """Put the file where `address` says, or hand it in at that directory as the form field `file`."""
    async with _conversation(address, way) as (session, moved):
        status = await _send(session, "PUT", address, content, {}, way, moved)
        if status in (405, 501):
            boundary = secrets.token_hex(16)
            form = _form(address.file_name, content, boundary)
            kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            for slash in (False, True):  # what the directory was called before the name was appended
                status = await _send(session, "POST", address.directory(slash), form, kind, way, moved)
                if status not in (301, 302, 303, 404, 405):
                    break
        if not 200 <= status < 300:
            raise _refusal(status, address)


@asynccontextmanager
async def _conversation(address: Address, way: Way) -> AsyncIterator[tuple[ClientSession, _Moved]]:
    """A session, ended when nothing `moved` for too long; what goes wrong in it becomes `TransferFailed`."""
    loop = asyncio.get_running_loop()
    idle_s = way.bounds.idle_s
    try:
        async with (
            ClientSession(
                connector=TCPConnector(ssl=way.context or True, force_close=True),
                timeout=ClientTimeout(total=None, connect=way.bounds.connect_s),
                auto_decompress=False,
                headers={"User-Agent": "chargepoint"},
            ) as session,
            asyncio.timeout(idle_s) as patience,
        ):
            yield session, lambda: patience.reschedule(loop.time() + idle_s)
    except TimeoutError as error:
        raise timed_out(address.where) from error
    except ClientHttpProxyError as error:
        raise TransferFailed(
            "refused", f"the proxy does not let us through (HTTP {error.status}): check csms.proxy"
        ) from None
    except ClientProxyConnectionError:
        raise TransferFailed("refused", "the proxy cannot be reached: check csms.proxy") from None
    except InvalidURL:
        raise TransferFailed(
            "unsupported", f"the URL at {address.where} cannot be used: check its spelling"
        ) from None
    except (ClientError, OSError) as error:
        raise from_network(_root(error), address.where) from error


def _root(error: BaseException) -> BaseException:
    """What the operating system or OpenSSL said, of aiohttp's words about it."""
    for name in ("certificate_error", "os_error"):
        if (inner := getattr(error, name, None)) is not None:
            return _root(inner)
    return error


async def _get(
    session: ClientSession, address: Address, headers: Mapping[str, str], way: Way
) -> ClientResponse:
    """The answer at the end of the redirects."""
    for _ in range(_MOST_REDIRECTS + 1):
        response = await _ask(session, "GET", address, headers, way)
        if response.status not in (301, 302, 303, 307, 308):
            return response
        response.close()
        address = address.redirected(response.headers.get("Location", ""))
    raise TransferFailed(
        "server", f"{address.where} redirects more than {_MOST_REDIRECTS} times: give the final address"
    )


async def _send(
    session: ClientSession,
    method: str,
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    way: Way,
    moved: _Moved,
) -> int:
    """The status at the end of those redirects that keep the method."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _CHUNK):
            yield body[start : start + _CHUNK]
            moved()

    status = 0
    for _ in range(_MOST_REDIRECTS + 1):
        sized = {**headers, "Content-Length": str(len(body))}
        async with await _ask(session, method, address, sized, way, pieces()) as response:
            moved()
            status = response.status
            if status not in (307, 308):
                break
            address = address.redirected(response.headers.get("Location", ""))
    return status


async def _ask(
    session: ClientSession,
    method: str,
    address: Address,
    headers: Mapping[str, str],
    way: Way,
    body: AsyncIterator[bytes] | None = None,
) -> ClientResponse:
    if address.user is not None:
        login = base64.b64encode(f"{address.user}:{address.password}".encode())
        headers = {**headers, "Authorization": f"Basic {login.decode()}"}
    return await session.request(
        method,
        URL(address.url, encoded=True),
        headers=headers,
        data=body,
        proxy=_proxy(address, way.proxy),
        allow_redirects=False,
    )


def _proxy(address: Address, wanted: str | None) -> str | None:
    """The proxy to take: `wanted` is None, a URL, or "auto" for what the environment says."""
    if wanted == "auto":
        if is_loopback(address.host) or proxy_bypass(address.host):
            return None
        named = getproxies()
        wanted = named.get(address.scheme) or named.get("all")
    if wanted and "://" not in wanted:
        wanted = f"http://{wanted}"
    if wanted and not wanted.startswith("http://"):
        raise TransferFailed(
            "refused", "the proxy address cannot be used: write http://host:port, or no proxy"
        )
    return wanted or None


def _mark(headers: Mapping[str, str]) -> str | None:
    """What will tell that the file is still the same, strong enough for If-Range (RFC 9110 §8.8)."""
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    modified = headers.get("Last-Modified")
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(modified or "")
    except (ValueError, TypeError):
        return None
    return modified if age.total_seconds() >= 1 else None


def _fits(response: ClientResponse, part: PartialFile) -> bool:
    """The answer to our range can go on, or is none of a range at all."""
    if response.status != 206:
        return True
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != part.size:
        return False
    now = {response.headers.get(name) for name in ("ETag", "Last-Modified")}
    return found[2] in ("*", str(part.total)) and part.mark in now


def _form(name: str, content: bytes, boundary: str) -> bytes:
    """The body of a form with one file in it (RFC 7578)."""
    shown = quote(name, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{shown}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


def _refusal(status: int, address: Address) -> TransferFailed:
    try:
        words = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = f"HTTP {status}"
    kind, remedy = "server", "try again later"
    if status in (401, 403, 407):
        kind, remedy = "permission", "check user name and password in the file's URL"
    elif status in (404, 409, 410):
        kind, remedy = "not_found", "check the path in the file's URL"
    elif status in (405, 501):
        kind, remedy = "unsupported", "allow PUT, or POST of a form, on the server"
    elif status < 500 and status != 429:
        remedy = "check the file's URL"
    return TransferFailed(kind, f"{address.where} answers {words}: {remedy}")
