"""Where the central system is and how a station proves who it is: the values behind a link."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from chargepoint.errors import ConfigError

__all__ = [
    "Backoff",
    "LinkSettings",
    "TlsSettings",
    "connection_url",
    "decode_authorization_key",
    "over_tls",
]

_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_DOUBLINGS = 5
_PLAIN_URL = re.compile(r"(wss?://[A-Za-z0-9.:-]+)(/[A-Za-z0-9/._~%-]*)")  # nothing to decide but its server


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom to trust and what to show on a wss:// connection, as PEM texts.

    Without `ca_pem` the certificates of the operating system are trusted; an empty one trusts nobody.
    `cert_pem` is the own chain, leaf first; `key_pem` may be left out when it holds the key too.
    `server_name` says where the name of the central system is looked for in its certificate.
    """

    ca_pem: str | None = field(default=None, repr=False)
    cert_pem: str | None = field(default=None, repr=False)
    key_pem: str | None = field(default=None, repr=False)
    verify_hostname: bool = True
    server_name: Literal["cn_or_san", "san"] = "cn_or_san"


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Everything a connection needs to know; `url` is final, with the identity in it.

    `proxy` is "auto" (environment variables, never for loopback), None or an http:// URL. Raises
    `ConfigError` for a URL that is not ws:// or wss:// or that carries a password, which would show in logs.
    """

    url: str
    identity: str
    security_profile: int = 0
    password: bytes | None = field(default=None, repr=False)
    tls: TlsSettings = TlsSettings()
    proxy: str | None = field(default="auto", repr=False)  # its URL may carry a password
    source: str | None = None  # the local address to connect from; None: whichever the system takes
    uri: WebSocketURI = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            uri = _uri(self.url)
        except (InvalidURI, ValueError):
            # The URL itself is not repeated: what makes it invalid may be a password.
            raise ConfigError(
                ["the URL of the central system cannot be used: write ws://host/path or wss://host/path"]
            ) from None
        if uri.user_info is not None:
            raise ConfigError(
                ["the URL of the central system must not contain a password: use authorization_key"]
            )
        object.__setattr__(self, "uri", uri)

    def authorization(self) -> str | None:
        """The HTTP Basic header of security profiles 1 and 2, else None (OCPP 1.6-J §6.2.2)."""
        if self.security_profile not in (1, 2) or self.password is None:
            return None
        return "Basic " + base64.b64encode(self.identity.encode() + b":" + self.password).decode("ascii")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before connecting again: grows with each retry, always with some chance in it."""

    min_s: float = 3.0
    jitter_s: float = 10.0
    max_s: float = 120.0

    def wait_s(self, retry: int, previous_s: float, draw: float) -> float:
        """Seconds before retry number `retry` (from 1); `draw` is in [0, 1).

        The first wait is `min_s` plus chance, each further one twice the previous plus new chance; after five
        doublings it stays. Never above `max_s`.
        """
        if retry > _DOUBLINGS + 1:
            return previous_s
        wait_s = (self.min_s if retry == 1 else 2 * previous_s) + draw * self.jitter_s
        return min(wait_s, self.max_s)


def _uri(url: str) -> WebSocketURI:
    """What `parse_uri` says of a URL; a plain path behind an endpoint already seen costs next to nothing."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None:
        return parse_uri(url)
    server = _server(plain[1])
    return WebSocketURI(server.secure, server.host, server.port, plain[2], "")


@lru_cache(maxsize=256)
def _server(url: str) -> WebSocketURI:
    return parse_uri(url)


def connection_url(endpoint: str, identity: str) -> str:
    """The URL a station connects to: endpoint, slash, percent-encoded identity (OCPP 1.6-J §3.1.1).

    One trailing slash of the endpoint is dropped; a path that already ends in the identity, encoded or
    literal, gets no second one. A query stays behind the path.
    """
    before, path, behind = _around_path(endpoint)
    if path.endswith("/" + identity):
        path = path[: -len(identity) - 1]
    elif "/" in path and unquote(path.rpartition("/")[2]) == identity:
        path = path.rpartition("/")[0]
    return f"{before}{path}/{quote(identity, safe='')}{behind}"


@lru_cache(maxsize=256)
def _around_path(endpoint: str) -> tuple[str, str, str]:
    """A URL taken apart: up to its path, the path without a last slash, a query and what else is behind."""
    parts = urlsplit(endpoint)
    path = parts.path.removesuffix("/")
    if path and not path.startswith("/"):
        path = "/" + path
    before, _, behind = urlunsplit(parts._replace(path="/\0")).partition("/\0")
    return before, path, behind


def over_tls(endpoint: str) -> str:
    """The same endpoint with scheme wss; a port that is written stays (security whitepaper, A05)."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(scheme="wss")) if parts.scheme == "ws" else endpoint


def decode_authorization_key(text: str, encoding: Literal["auto", "hex", "literal"] = "auto") -> bytes:
    """The password bytes that an AuthorizationKey stands for (OCPP 1.6-J §6.2.2).

    `auto` decodes an even number of 32 to 40 hexadecimal digits and takes anything else as the password
    itself, in UTF-8. Raises `ConfigError`, without the key in it, for an empty key or one that is not `hex`.
    """
    if not text:
        raise ConfigError(["authorization_key is empty: give a password, or null for none"])
    if encoding == "hex" and not _HEX.fullmatch(text):
        raise ConfigError(["authorization_key is not an even number of hexadecimal digits"])
    if encoding == "hex" or (encoding == "auto" and _HEX_KEY.fullmatch(text)):
        return bytes.fromhex(text)
    return text.encode()
