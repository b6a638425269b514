"""What failures of a connection are called, and that each sentence has a remedy (OCPP 1.6-J §3.2)."""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl

import pytest
from websockets.exceptions import InvalidUpgrade, NegotiationError
from websockets.uri import parse_uri

from chargepoint.errors import LinkError
from chargepoint.link_errors import Redirect, closed_early, from_exception, from_handshake, from_response

WS = parse_uri("ws://csms.example:9000/ocpp/CP1")
WSS = parse_uri("wss://csms.example/CP1")


def _tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def _unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused", "nothing listens"),
        (OSError("Multiple exceptions: [Errno 111] x, [Errno 111] y"), "refused", "nothing listens"),
        (OSError(errno.EHOSTUNREACH, "no route"), "refused", "no route"),
        (OSError(errno.ENETUNREACH, "unreachable"), "refused", "no route"),
        (OSError(errno.EADDRNOTAVAIL, "cannot assign"), "local_address", "ip_local_port_range"),
        (OSError(errno.EMFILE, "too many open files"), "open_files", "ulimit -n"),
        (OSError("Multiple exceptions: [Errno 24] x, [Errno 24] y"), "open_files", "ulimit -n"),
        (socket.gaierror(socket.EAI_SYSTEM, "system error"), "open_files", "ulimit -n"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "name", "csms.example"),
        (TimeoutError(), "timeout", "not answered"),
        (OSError(errno.ETIMEDOUT, "timed out"), "timeout", "not answered"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "closed", "server's log"),
        (OSError(errno.EPERM, "not permitted"), "closed", "not permitted"),
        (_unverified(10, "certificate has expired"), "tls_certificate", "has expired"),
        (_unverified(9, "not yet valid"), "tls_certificate", "not valid yet"),
        (_unverified(18, "self-signed certificate"), "tls_certificate", "self-signed"),
        (_unverified(20, "unable to get local issuer"), "tls_certificate", "unknown CA"),
        (_unverified(66, "EE certificate key too weak"), "tls_certificate", "2048"),
        (_unverified(999, "something new"), "tls_certificate", "something new"),
        (_tls("TLSV1_ALERT_PROTOCOL_VERSION"), "tls_version", "TLS 1.2"),
        (_tls("UNSUPPORTED_PROTOCOL"), "tls_version", "TLS 1.2"),
        (_tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), "tls_cipher", "cipher"),
        (_tls("WRONG_VERSION_NUMBER"), "not_websocket", "does not speak TLS"),
        (_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "client_certificate", "client certificate"),
        (_tls("TLSV1_ALERT_UNKNOWN_CA"), "client_certificate", "client certificate"),
        (_tls("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "client_certificate", "certificate expired"),
        (_tls("TLSV1_ALERT_INTERNAL_ERROR"), "closed", "internal error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_exceptions(error: Exception, kind: str, says: str) -> None:
    explained = from_exception(error, WSS)
    assert explained.kind == kind
    assert says in str(explained)
    assert "\n" not in str(explained)


def test_a_link_error_stays_what_it_is() -> None:
    error = LinkError("name", "known")
    assert from_exception(error, WS) is error


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ws://h:9000/x", "closed"),
        ("ws://h:443/x", "wss_needed"),
        ("ws://h:8443/x", "wss_needed"),
        ("wss://h/x", "closed"),
    ],
)
def test_closed_without_an_answer(url: str, kind: str) -> None:
    assert closed_early(parse_uri(url)).kind == kind


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("http://other.example/x", "http://other.example/x", id="absolute"),
        pytest.param("/x", "http://csms.example:9000/x", id="path"),
        pytest.param("x", "http://csms.example:9000/ocpp/x", id="relative"),
    ],
)
def test_redirects(location: str, expected: str) -> None:
    head = f"HTTP/1.1 301 Moved\r\nServer: x\r\nlocation: {location}\r\n\r\n".encode()
    error = from_response(head, WS)
    assert isinstance(error, Redirect)
    assert error.location == expected


def test_a_switch_of_protocols_may_be_a_websocket() -> None:
    assert from_response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", WS) is None


def test_a_refusal_that_speaks_of_subprotocols_is_about_ocpp16() -> None:
    head = b"HTTP/1.1 400 Bad Request\r\n\r\nFailed: invalid subprotocol; expected one of ocpp2.0.1.\n"
    error = from_response(head, WS)
    assert error is not None
    assert error.kind == "subprotocol"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NegotiationError("unsupported subprotocol: ocpp2.0.1"), "subprotocol"),
        (InvalidUpgrade("Upgrade"), "not_websocket"),
    ],
    ids=["subprotocol", "upgrade"],
)
def test_handshakes(error: NegotiationError | InvalidUpgrade, kind: str) -> None:
    assert from_handshake(error).kind == kind


@pytest.mark.parametrize(("spare", "kind"), [(3, "open_files"), (100, "closed")])
def test_who_drops_at_once_on_this_machine_may_have_no_file_left(spare: int, kind: str) -> None:
    """A central system in this process accepts with a descriptor it keeps for that, and drops."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest + 2 - len(os.listdir("/proc/self/fd")))]
    try:
        assert closed_early(parse_uri("ws://127.0.0.1:9000/CP1")).kind == kind
        assert closed_early(WS).kind == "closed"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
