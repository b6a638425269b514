"""From which addresses of this machine a fleet connects."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

LINKS_PER_SOURCE = 25_000
"""Links from one address to one other; Linux has some 28,000 ports for that."""

MOST_SOURCES = 250


def sources_for(urls: Iterable[str], stations: int) -> tuple[str, ...]:
    """Addresses to connect from: none in particular, or as many as so many links to loopback need."""
    if stations <= LINKS_PER_SOURCE or not all(_is_loopback(url) for url in urls):
        return ()
    count = min(-(-stations // LINKS_PER_SOURCE), MOST_SOURCES)
    return tuple(f"127.0.0.{n}" for n in range(1, count + 1))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return host == "localhost"
