"""Faults of TLS: the embedded central system goes over to it with something wrong, and back afterwards."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from chargepoint.certificates import KEY_STORE
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.tls import ServerTls, server_context
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM
from chargepoint.station import Station
from scenarios.faults.certificates import Authority
from scenarios.faults.fault import Place, Unsuitable
from scenarios.faults.model import Disturbance, TlsKind

__all__ = ["BadTls"]

_PATIENCE_S = 5.0


class BadTls:
    """The central system speaks TLS, and no station should go along with it.

    All stations are told its wss:// address and given a root certificate to trust, as an operator would; the
    fault is all that keeps them out. Afterwards everything is as before, and they connect at once.
    """

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        if place.csms is None:
            raise Unsuitable("faults of TLS need the embedded central system")
        self._kind: TlsKind = disturbance.tls or "expired"
        self._place = place
        self._csms: CentralSystem = place.csms
        self._before: ServerTls | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._refuser: _Refuser | None = None
        self._undo: list[Callable[[], None]] = []

    async def strike(self) -> None:
        """Go over to bad TLS."""
        csms = self._csms
        self._before, address = csms.tls, urlsplit(csms.url)
        host, port = address.hostname or "127.0.0.1", address.port or 0
        self._folder = tempfile.TemporaryDirectory(prefix="chargepoint-tls-")
        trusted = Authority(Path(self._folder.name), "Scenario Root")
        tls = self._server(trusted, host)
        await csms.stop()
        # What the server refuses is told in an alert, which asyncio's TLS does not send.
        if self._kind in ("no_client_certificate", "old_version"):
            self._refuser = _Refuser(_context(tls), host, port)
        else:
            csms.use_tls(tls)
            await csms.start()
        for station in self._place.stations.values():
            self._undo.append(_lead(station, trusted.pem, f"wss://{address.netloc}"))
        self._place.struck(f"tls: {self._kind}")

    async def heal(self) -> None:
        """As before."""
        if self._refuser is not None:
            refuser, self._refuser = self._refuser, None
            await asyncio.get_running_loop().run_in_executor(None, refuser.close)
        await self._csms.stop()
        self._csms.use_tls(self._before)
        await self._csms.start()
        for undo in self._undo:
            undo()
        self._undo.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _server(self, trusted: Authority, host: str) -> ServerTls:
        match self._kind:
            case "expired":
                return ServerTls(trusted.issue(host, days=(-30, -1)))
            case "wrong_name":
                return ServerTls(trusted.issue("elsewhere.example"))
            case "unknown_ca":
                return ServerTls(Authority(trusted.path.parent, "Unknown Root").issue(host))
            case "no_client_certificate":
                return ServerTls(trusted.issue(host), client_ca=trusted.path)
            case "old_version":
                with warnings.catch_warnings():  # Python warns of naming them
                    warnings.simplefilter("ignore", DeprecationWarning)
                    return ServerTls(
                        trusted.issue(host),
                        minimum=ssl.TLSVersion.TLSv1,
                        maximum=ssl.TLSVersion.TLSv1_1,
                        ciphers="ALL:@SECLEVEL=0",
                    )


def _context(tls: ServerTls) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return server_context(tls)


def _lead(station: Station, root_pem: str, url: str) -> Callable[[], None]:
    """Let a station trust a root and connect to `url`; returns what takes it back."""
    old_url = station.link.settings.url
    (root,) = KEY_STORE.chain(root_pem)
    with station.charge_point.turn:
        forget = station.charge_point.vault.install(CENTRAL_SYSTEM, root, False)
    station.move(url)

    def back() -> None:
        with station.charge_point.turn:
            forget()
        station.move(old_url)

    return back


class _Refuser:
    """Answers every handshake with its alert, in a thread."""

    def __init__(self, context: ssl.SSLContext, host: str, port: int) -> None:
        self._context = context
        self._socket = socket.create_server((host, port))
        self._thread = threading.Thread(target=self._run, name="tls refuser", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection, suppress(OSError):
                connection.settimeout(_PATIENCE_S)
                with self._context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)

    def close(self) -> None:
        """Listen no more, and wait for the end of it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(_PATIENCE_S)
