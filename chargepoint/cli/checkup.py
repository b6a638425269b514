"""The steps on the way to the central system, each tried by itself on a blocking socket."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from chargepoint import link_errors
from chargepoint.errors import LinkError
from chargepoint.handshake import handshake, handshake_error
from chargepoint.link_settings import LinkSettings
from chargepoint.proxy import choose_proxy, open_tunnel
from chargepoint.tls import check_server_name, shared_context

Result = Literal["ok", "warn", "FAIL", "skip"]

_MAX_SIZE = 2**20
_EXPIRY_WARNING_S = 30 * 86400
_CLOCK_WARNING_S = 60


@dataclass(frozen=True, slots=True)
class Step:
    """How one step went; `message` says what was found, or why it failed and what helps."""

    name: str
    result: Result
    took_ms: float
    message: str

    def as_json(self) -> dict[str, Any]:
        """The step as JSON values."""
        took_ms = None if self.result == "skip" else round(self.took_ms, 1)
        return {"name": self.name, "result": self.result, "took_ms": took_ms, "message": self.message}


def checkup(settings: LinkSettings, timeout_s: float, nameplate: dict[str, str] | None) -> Iterator[Step]:
    """Do the steps in order, each when asked for; after a failure the rest are skipped.

    `nameplate` is the payload of the BootNotification to send, None for none.
    """
    way = _Way(settings, timeout_s)
    steps: dict[str, Callable[[], tuple[Result, str]]] = {
        "name": way.resolve,
        "tcp": way.connect,
        "tls": way.encrypt,
        "certificate": way.inspect,
        "websocket": way.upgrade,
        "authentication": way.authenticate,
        "boot": lambda: way.boot(nameplate),
    }
    failed = None
    try:
        for name, action in steps.items():
            if failed:
                yield Step(name, "skip", 0.0, f"not tried, {failed} failed")
                continue
            step = _timed(name, action, way)
            if step.result == "FAIL":
                failed = name
            yield step
    finally:
        way.leave()


def _timed(name: str, action: Callable[[], tuple[Result, str]], way: _Way) -> Step:
    started = time.perf_counter()
    try:
        result, message = action()
    except (LinkError, OSError, UnicodeError) as error:
        result, message = "FAIL", str(way.explain(error))
    return Step(name, result, (time.perf_counter() - started) * 1000, message)


@dataclass(slots=True)
class _Way:
    """How far we have come."""

    settings: LinkSettings
    timeout_s: float
    sock: socket.socket | None = None
    protocol: ClientProtocol | None = None
    refused: LinkError | None = None
    received: list[Frame] = field(default_factory=list)

    def resolve(self) -> tuple[Result, str]:
        """Name resolution of the central system, or of the proxy on the way."""
        uri = parse_uri(self.settings.url)
        proxy = choose_proxy(self.settings.proxy, uri)
        host, port = (proxy.host, proxy.port) if proxy else (uri.host, uri.port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))
        return "ok", f"{'proxy ' if proxy else ''}{host} is {addresses}"

    def connect(self) -> tuple[Result, str]:
        """The TCP connection."""
        uri = parse_uri(self.settings.url)
        if proxy := choose_proxy(self.settings.proxy, uri):
            self.sock = asyncio.run(asyncio.wait_for(open_tunnel(proxy, uri), self.timeout_s))
            self.sock.settimeout(self.timeout_s)
            return "ok", f"connected to {uri.host}:{uri.port} through {proxy.host}:{proxy.port}"
        self.sock = socket.create_connection((uri.host, uri.port), self.timeout_s)
        address, port = self.sock.getpeername()[:2]
        return "ok", f"connected to {address}, port {port}"

    def encrypt(self) -> tuple[Result, str]:
        """The TLS handshake, with the chain verified."""
        uri = parse_uri(self.settings.url)
        if not uri.secure:
            if self.settings.security_profile >= 2:
                raise LinkError(
                    "wss_needed",
                    f"security profile {self.settings.security_profile} needs TLS: write wss:// instead of ws://",
                )
            return "skip", "ws:// is not encrypted"
        assert self.sock is not None
        context = shared_context(self.settings.tls)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=uri.host)
        except ssl.SSLCertVerificationError as error:
            reason = link_errors.from_exception(error, uri)
            raise LinkError(reason.kind, f"{reason}{self._presented()}") from None
        cipher = self.sock.cipher() or ("no cipher",)
        return "ok", f"{self.sock.version()} with {cipher[0]}, chain verified"

    def inspect(self) -> tuple[Result, str]:
        """Name and expiry of the server's certificate."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return "skip", "ws:// has none"
        certificate = self.sock.getpeercert() or {}
        check_server_name(certificate, parse_uri(self.settings.url).host, self.settings.tls)
        name = "name matches" if self.settings.tls.verify_hostname else "name not checked"
        until = str(certificate["notAfter"])
        left_s = ssl.cert_time_to_seconds(until) - time.time()
        message = f"{name}, issued by {_issuer(certificate)}, valid until {until}"
        if left_s < _EXPIRY_WARNING_S:
            return "warn", f"{message}, that is {left_s / 86400:.0f} days: have it renewed"
        return "ok", message

    def upgrade(self) -> tuple[Result, str]:
        """The WebSocket handshake; refused credentials are the next step's business."""
        uri = parse_uri(self.settings.url)
        self.protocol, request = handshake(self.settings, uri, _MAX_SIZE)
        assert self.sock is not None
        self.sock.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head and head.startswith(b"HTTP/1."[: len(head)]):
            received = self._receive_or_nothing()
            if not received:
                raise self._closed_early()
            head += received
        error = link_errors.from_response(head, uri)
        if error is None:
            self.protocol.receive_data(head)
            error = handshake_error(self.protocol)
        if error is not None and error.kind == "unauthorized":
            self.refused = error
            return "ok", "the server speaks HTTP and wants other credentials"
        if error is not None:
            raise error
        return "ok", "subprotocol ocpp1.6 agreed"

    def authenticate(self) -> tuple[Result, str]:
        """Whether the credentials were accepted, as the handshake told."""
        if self.refused is not None:
            raise self.refused
        profile = self.settings.security_profile
        if profile == 0:
            return "skip", "security profile 0 has none"
        return "ok", f"{'client certificate' if profile == 3 else 'password'} accepted (profile {profile})"

    def boot(self, nameplate: dict[str, str] | None) -> tuple[Result, str]:
        """BootNotification and its answer (OCPP 1.6 §4.2)."""
        if nameplate is None:
            return "skip", "not wanted (--no-boot)"
        message_id = str(uuid.uuid4())
        call = [2, message_id, "BootNotification", nameplate]
        assert self.protocol is not None
        self.protocol.send_text(json.dumps(call).encode())
        self._flush()
        return _judge_boot(self._answer(message_id))

    def leave(self) -> None:
        """Close, politely if there is a WebSocket."""
        if self.sock is None:
            return
        try:
            if self.protocol is not None and self.protocol.state is OPEN:
                self.protocol.send_close(1000)
                self._flush()
        except OSError:
            pass
        self.sock.close()

    def explain(self, error: Exception) -> LinkError:
        """The failure in words."""
        return link_errors.from_exception(error, parse_uri(self.settings.url))

    def _closed_early(self) -> LinkError:
        """The server closed on plain HTTP: see whether it would have talked TLS."""
        uri = parse_uri(self.settings.url)
        if not uri.secure:
            try:
                ssl.get_server_certificate((uri.host, uri.port), timeout=self.timeout_s)
            except (OSError, ValueError):
                pass
            else:
                return link_errors.tls_expected(uri)
        return link_errors.closed_early(uri)

    def _presented(self) -> str:
        """What can be said of the certificate that was refused."""
        uri = parse_uri(self.settings.url)
        try:
            # An extra that says more, and nothing that a check would fail without.
            from cryptography import x509

            pem = ssl.get_server_certificate((uri.host, uri.port), timeout=self.timeout_s)
            leaf = x509.load_pem_x509_certificate(pem.encode())
        except (ImportError, OSError, ValueError):
            return ""
        subject, issuer = leaf.subject.rfc4514_string(), leaf.issuer.rfc4514_string()
        return f" (it shows {subject}, issued by {issuer}, valid until {leaf.not_valid_after_utc:%Y-%m-%d})"

    def _receive_or_nothing(self) -> bytes:
        try:
            return self._receive(time.monotonic() + self.timeout_s)
        except ConnectionResetError:
            return b""

    def _receive(self, until: float) -> bytes:
        assert self.sock is not None
        self.sock.settimeout(max(until - time.monotonic(), 0.001))
        return self.sock.recv(65536)

    def _flush(self) -> None:
        assert self.protocol is not None
        assert self.sock is not None
        self.sock.sendall(b"".join(self.protocol.data_to_send()))

    def _answer(self, message_id: str) -> list[Any]:
        """The CALLRESULT or CALLERROR to our CALL; what else comes meanwhile is not answered."""
        assert self.protocol is not None
        until = time.monotonic() + self.timeout_s
        text = b""
        while True:
            for frame in self.protocol.events_received():
                if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.CONT):
                    continue
                text += frame.data
                if frame.fin:
                    if (answer := _answer_to(message_id, text)) is not None:
                        return answer
                    text = b""
            if self.protocol.state is not OPEN:
                raise LinkError(
                    "closed",
                    f"the central system closed without an answer ({self.protocol.close_rcvd}): see its log",
                )
            received = self._receive(until)
            if received:
                self.protocol.receive_data(received)
            else:
                self.protocol.receive_eof()
            self._flush()


def _answer_to(message_id: str, text: bytes) -> list[Any] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    if isinstance(message, list) and len(message) >= 3 and message[0] in (3, 4) and message[1] == message_id:
        return message
    return None


def _judge_boot(answer: list[Any]) -> tuple[Result, str]:
    if answer[0] == 4:
        said = " ".join(str(part) for part in answer[2:4] if part)
        return "FAIL", f"the central system answers with an error ({said}): see its log"
    try:
        status, interval_s = answer[2]["status"], answer[2]["interval"]
        current_time = datetime.fromisoformat(answer[2]["currentTime"])
        apart_s = current_time.astimezone().timestamp() - time.time()
    except (LookupError, TypeError, ValueError):
        return "FAIL", f"the answer is no BootNotification.conf ({json.dumps(answer[2])[:200]}): see its log"
    message = f"{status}, interval {interval_s} s, its clock is {round(apart_s, 1) + 0.0:+.1f} s from ours"
    if status == "Rejected":
        return "FAIL", f"{message}: register the charge point at the central system"
    if status != "Accepted":
        return "warn", f"{message}: it waits to be accepted at the central system"
    if abs(apart_s) > _CLOCK_WARNING_S:
        return "warn", f"{message}: set the clock of this machine"
    return "ok", message


def _issuer(certificate: dict[str, Any]) -> str:
    names = dict(pair for part in certificate.get("issuer", ()) for pair in part)
    return names.get("commonName") or names.get("organizationName") or "an unnamed authority"
