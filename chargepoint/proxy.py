"""A way to the central system through an HTTP proxy: CONNECT, then bytes (RFC 9110 §9.3.6)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from functools import lru_cache
from typing import NoReturn

from websockets.exceptions import InvalidProxy
from websockets.proxy import Proxy, get_proxy, parse_proxy, prepare_connect_request
from websockets.uri import WebSocketURI

from chargepoint.errors import LinkError

_MAX_ANSWER = 16 * 1024


def choose_proxy(wanted: str | None, uri: WebSocketURI) -> Proxy | None:
    """The proxy to take: `wanted` is None, a URL, or "auto" for what the environment says.

    "auto" honours `no_proxy` and never leaves this machine for a loopback address. Raises `LinkError` for a
    proxy that is not http://.
    """
    if wanted is None or (wanted == "auto" and is_loopback(uri.host)):
        return None
    url = get_proxy(uri) if wanted == "auto" else wanted
    if url is None:
        return None
    try:
        proxy = parse_proxy(url)
    except (InvalidProxy, ValueError):
        proxy = None
    if proxy is None or proxy.scheme != "http":
        raise LinkError("refused", "the proxy address cannot be used: write http://host:port, or no proxy")
    return proxy


async def open_tunnel(proxy: Proxy, uri: WebSocketURI) -> socket.socket:
    """A non-blocking socket that reaches `uri` through `proxy`; raises `LinkError` or `OSError`."""
    loop = asyncio.get_running_loop()
    where = f"the proxy {proxy.host}:{proxy.port}"
    try:
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        raise LinkError("name", f"the name of {where} is not known: check the proxy setting") from None
    family, kind, number, _, address = found[0]
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, prepare_connect_request(proxy, uri))
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER:
            received = await loop.sock_recv(sock, 4096)
            if not received:
                break
            answer += received
        status = answer.split(b" ", 2)[1:2]
        if not (answer.startswith(b"HTTP/1.") and status and status[0].startswith(b"2")):
            _refused(where, status)
    except BaseException:
        sock.close()
        raise
    return sock


def _refused(where: str, status: list[bytes]) -> NoReturn:
    said = f"HTTP {status[0].decode('latin-1')}" if status else "no answer"
    raise LinkError("refused", f"{where} does not let us through ({said}): check the proxy setting")


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """True if `host` is this machine itself, so that no proxy leads there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=64)
def is_address(host: str) -> bool:
    """True if `host` is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
