"""Where a file is: a URL taken apart, its credentials kept out of everything that is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit

from chargepoint.domain.outside import TransferFailed

__all__ = ["Address", "parse"]

_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 21}
_IMPLICIT_TLS_PORT = 990  # what IANA registered for it
_AS_IT_IS = "%!$&'()*+,;=:@/?[]~"  # signatures in a query do not survive being quoted again


@dataclass(frozen=True, slots=True)
class Address:
    """A file on a server. `path` and `query` are percent-encoded; user and password are not."""

    scheme: str  # http, https, ftp or ftps
    host: str
    port: int
    path: str
    query: str = field(default="", repr=False)  # it may hold a signature
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)
    implicit_tls: bool = False  # ftps from the first byte on, without AUTH TLS

    @property
    def where(self) -> str:
        """The server, for a person."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL but for user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path or '/'}{'?' if self.query else ''}{self.query}"

    @property
    def ftp_path(self) -> bytes:
        """The path as FTP says it: from the directory one is in after the login (RFC 1738 §3.2.2)."""
        return unquote_to_bytes(self.path.removeprefix("/").partition(";type=")[0])

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return unquote(self.path.rpartition("/")[2])

    def directory(self, slash: bool) -> Address:
        """Where the file is to lie, with a slash at the end or without."""
        directory = self.path.rpartition("/")[0]
        return replace(self, path=directory + "/" if slash or not directory else directory)

    def redirected(self, location: str) -> Address:
        """Where a redirect leads; credentials go along to the same server only (RFC 9110 §15.4)."""
        there = parse(urljoin(self.url, location))
        if not there.scheme.startswith("http") or (self.scheme == "https" and there.scheme == "http"):
            raise TransferFailed(
                "unsupported",
                f"{self.where} redirects from {self.scheme} to {there.scheme}, which is not followed: give "
                "the file's final address",
            )
        upgraded = (self.scheme, there.scheme) == ("http", "https")
        same = there.host == self.host and (there.port == self.port or upgraded)
        if there.user is None and same:
            return replace(there, user=self.user, password=self.password)
        return there


def parse(url: str) -> Address:
    """Take a URL apart. Raises `TransferFailed` of kind unsupported, never with the URL in its message."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        decoded = unquote_to_bytes(parts.path)
        credentials = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        raise _unusable("cannot be read") from None
    if scheme not in _PORTS:
        raise _unusable(f"has the scheme {scheme[:20]!r}" if scheme else "has no scheme")
    if not host or not host.isascii() or port == 0:
        raise _unusable("has no usable host (an international name is written as xn--...)")
    if not url.isprintable() or any(byte < 32 or byte == 127 for byte in decoded):
        raise _unusable("has control characters in it")
    if not "".join(credentials).isprintable():
        raise _unusable("has control characters in its user name or password")
    return Address(
        scheme=scheme,
        host=host,
        port=port or _PORTS[scheme],
        path=quote(parts.path, safe=_AS_IT_IS),
        query=quote(parts.query, safe=_AS_IT_IS),
        user=None if parts.username is None else credentials[0],
        password=credentials[1],
        implicit_tls=scheme == "ftps" and port == _IMPLICIT_TLS_PORT,
    )


def _unusable(why: str) -> TransferFailed:
    return TransferFailed(
        "unsupported", f"the file's URL {why}: http, https, ftp and ftps URLs are supported"
    )
