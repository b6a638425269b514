"""Why a connection could not be made: every failure as a `LinkError` with a sentence and a remedy."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from urllib.parse import urljoin

from websockets.exceptions import InvalidHandshake
from websockets.uri import WebSocketURI

from chargepoint.errors import LinkError

_SPARE_FILES = 16
"""With fewer left a central system in this process accepts and drops at once: its own end finds none."""

_TLS_ALERT = 0x15  # record type of TLS (RFC 8446 §5.1)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LOCATION = re.compile(rb"\r\nlocation:[ \t]*(\S+)", re.IGNORECASE)
_ERRNO = re.compile(r"\[Errno (\d+)\]")

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

# Verification results of OpenSSL (X509_V_ERR_*) that users meet, in words.
_VERIFY = {
    9: "is not valid yet: check the clock of this machine and of the server",
    10: "has expired: have it renewed, or check the clock of this machine",
    18: "is self-signed and not trusted: give it, or the authority that signed it, as CA file",
    19: "comes from an unknown CA (its chain ends in a root that is not trusted): give that root as CA file",
    20: "comes from an unknown CA: give the authority that issued it as CA file",
    21: "comes from an unknown CA (the server sends no chain): give the authority that issued it as CA file",
    23: "was revoked: have it issued again",
    66: "or its authority has a key that is too short: RSA needs 2048 bits, elliptic curves 224",
    67: "or its authority has a key that is too short: RSA needs 2048 bits, elliptic curves 224",
    68: "or its authority was signed with a digest that is too weak: SHA-256 is needed",
}

# Reasons of OpenSSL's errors: what the other side refused or offered.
_TLS_VERSION = {
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "WRONG_SSL_VERSION",
    "VERSION_TOO_LOW",
    "NO_PROTOCOLS_AVAILABLE",
}
_TLS_CIPHER = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    "WRONG_CIPHER_RETURNED",
    "NO_CIPHERS_AVAILABLE",
    "DH_KEY_TOO_SMALL",
    "BAD_SIGNATURE_TYPE",
    "WRONG_SIGNATURE_TYPE",
}
_PLAIN_SERVER = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}


class Redirect(LinkError):
    """The server sends us to another address; `location` is None when it names none."""

    def __init__(self, location: str | None) -> None:
        super().__init__(
            "redirect",
            f"the server redirects to {location or 'nowhere'}: write the final ws:// or wss:// address "
            "into the configuration",
        )
        self.location = location


def from_exception(error: BaseException, uri: WebSocketURI) -> LinkError:
    """What an exception of name resolution, TCP or TLS means."""
    where = f"{uri.host}:{uri.port}"
    if isinstance(error, LinkError):
        return error
    number = _errno(error)
    # A look-up of a name without a file to spare fails with EAI_SYSTEM.
    if number in (errno.EMFILE, errno.ENFILE, socket.EAI_SYSTEM):
        return LinkError(
            "open_files", f"this machine has no open file left for a connection to {where}: raise `ulimit -n`"
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        return LinkError("name", f"the name {uri.host} is not known: check its spelling and the DNS server")
    if isinstance(error, ssl.SSLError):
        return _from_tls(error, where)
    if number in (errno.ETIMEDOUT,) or isinstance(error, TimeoutError):
        return timed_out(where, "the connection")
    if number == errno.ECONNREFUSED:
        return LinkError(
            "refused", f"nothing listens at {where}: check the port and that the central system runs"
        )
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return LinkError("refused", f"there is no route to {where}: check the network of this machine")
    if number == errno.EADDRNOTAVAIL:
        return LinkError(
            "local_address",
            f"this machine has no address or port left to reach {where} from: check its network, and "
            "net.ipv4.ip_local_port_range, about 28,000 connections to one address",
        )
    if isinstance(error, ConnectionError | EOFError):
        return closed_early(uri)
    return LinkError("closed", f"the connection to {where} failed: {error or type(error).__name__}")


def timed_out(where: str, what: str) -> LinkError:
    """Nobody answered in time; `what` names the step."""
    return LinkError(
        "timeout",
        f"{what} to {where} was not answered in time: check the address and the firewalls on the way",
    )


def closed_early(uri: WebSocketURI) -> LinkError:
    """The server closed without answering the handshake; on a usual TLS port it wanted wss://."""
    where = f"{uri.host}:{uri.port}"
    if uri.secure:
        return LinkError(
            "closed", f"{where} closed the connection during the handshake: see the server's log"
        )
    if uri.port in (443, 8443):
        return tls_expected(uri)
    if uri.host in _LOOPBACK and _hardly_a_file_left():
        return LinkError(
            "open_files",
            f"the central system at {where} has no open file left for its end of a link: raise `ulimit -n`",
        )
    return LinkError(
        "closed",
        f"{where} closed the connection without an answer: see its log, and use wss:// if it expects TLS",
    )


def _hardly_a_file_left() -> bool:
    found: list[int] = []
    try:
        for _ in range(_SPARE_FILES):
            found.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in found:
            os.close(descriptor)
    return False


def tls_expected(uri: WebSocketURI) -> LinkError:
    """We spoke plain text to a TLS port."""
    return LinkError("wss_needed", f"{uri.host}:{uri.port} expects TLS: write wss:// instead of ws://")


def from_response(head: bytes, uri: WebSocketURI) -> LinkError | None:
    """What a server's first bytes mean when they are not a WebSocket handshake; None when they may be one."""
    where = f"{uri.host}:{uri.port}"
    status_line = _STATUS_LINE.match(head)
    if status_line is None:
        if head[0] == _TLS_ALERT:
            return tls_expected(uri)
        return LinkError(
            "not_websocket", f"{where} does not speak HTTP: check host and port of the central system"
        )
    status = int(status_line[1])
    if status == 101:
        return None
    # Servers behind TLS say so in words when they are spoken to in plain text.
    if status == 400 and not uri.secure and b"HTTPS" in head.upper():
        return tls_expected(uri)
    if status == 400 and b"subprotocol" in head.lower():
        return no_subprotocol()
    return from_status(status, head, uri)


def from_status(status: int, head: bytes, uri: WebSocketURI) -> LinkError:
    """What an HTTP status other than 101 means (OCPP 1.6-J §3.2, errata 3.4)."""
    if status in (401, 403):
        return LinkError(
            "unauthorized",
            f"the central system refuses these credentials (HTTP {status}): check identity, "
            "authorization_key and security profile",
        )
    if status == 404:
        return LinkError(
            "not_found",
            "the central system does not know this address (HTTP 404): check identity and path, or register "
            "the charge point there",
        )
    if status in (301, 302, 303, 307, 308):
        found = _LOCATION.search(head)
        return Redirect(urljoin(_http_url(uri), found[1].decode("latin-1")) if found else None)
    if status >= 500:
        return LinkError(
            "server_error", f"the central system has a problem of its own (HTTP {status}): try again later"
        )
    return LinkError(
        "not_websocket",
        f"the server answers HTTP {status} instead of opening a WebSocket: check the path of the address",
    )


def from_handshake(error: InvalidHandshake) -> LinkError:
    """What a 101 answer is wrong about."""
    if "subprotocol" in str(error).lower():
        return no_subprotocol()
    return LinkError(
        "not_websocket", f"the server's WebSocket handshake is wrong ({error}): check what listens there"
    )


def no_subprotocol() -> LinkError:
    """The server opened a WebSocket but did not choose OCPP 1.6 (OCPP 1.6-J §3.2)."""
    return LinkError(
        "subprotocol",
        "the server did not agree to the subprotocol ocpp1.6: enable OCPP 1.6-J there, or check the path",
    )


def _from_tls(error: ssl.SSLError, where: str) -> LinkError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _VERIFY.get(
            error.verify_code, f"cannot be verified ({error.verify_message}): check the CA file"
        )
        return LinkError("tls_certificate", f"the certificate of {where} {why}")
    reason = error.reason or ""
    if reason in _TLS_VERSION:
        return LinkError("tls_version", f"{where} offers no TLS 1.2 or newer: update or configure the server")
    if reason in _TLS_CIPHER:
        return LinkError(
            "tls_cipher",
            f"{where} and this station share no cipher suite (or it wants a client certificate): allow ECDHE "
            "with AES-GCM on the server",
        )
    if reason in _PLAIN_SERVER:
        return LinkError("not_websocket", f"{where} does not speak TLS: use ws://, or the server's TLS port")
    if "CERT" in reason or reason.endswith(("UNKNOWN_CA", "ACCESS_DENIED")):
        return LinkError(
            "client_certificate",
            f"{where} refuses our client certificate ({_words(reason)}): check tls.cert and tls.key, and "
            "that the server trusts who issued them",
        )
    return LinkError("closed", f"TLS with {where} failed ({_words(reason) or error}): see the server's log")


def _errno(error: BaseException) -> int | None:
    """The error number; of several addresses tried the first one's, which asyncio leaves in the text."""
    number = getattr(error, "errno", None)
    if number is None and (found := _ERRNO.search(str(error))):
        number = int(found[1])
    return number


def _http_url(uri: WebSocketURI) -> str:
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return f"{'https' if uri.secure else 'http'}://{host}:{uri.port}{uri.resource_name}"


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")
