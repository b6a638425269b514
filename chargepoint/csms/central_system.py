"""The embedded central system: accepts any station, answers all it says, and does to it what it is told."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.typing import Subprotocol

from chargepoint.csms.answers import Answer, Answers
from chargepoint.csms.back_office import BackOffice, Reaction, Station
from chargepoint.csms.calls import CallTimeout, NotConnected, Waiting
from chargepoint.csms.events import Listener
from chargepoint.csms.handshake import SUBPROTOCOL, admitted, identity_of
from chargepoint.csms.ledger import METER_VALUES_KEPT, Ledger, Transaction
from chargepoint.csms.quick_link import QuickLink
from chargepoint.csms.station_link import StationLink
from chargepoint.csms.tls import ServerTls, common_name, server_context
from hal.api import Clock

MAX_FRAME_BYTES = 1 << 24
_TURNS = 5  # of the loop
_CLOSE_TIMEOUT_S = 2.0  # real seconds for a station to answer a close frame

# Below INFO websockets writes every header to the log, the basic authentication included.
_SOCKET_LOGGER = logging.getLogger("chargepoint.csms.websockets")
_SOCKET_LOGGER.setLevel(logging.WARNING)


class CentralSystem:
    """An OCPP 1.6-J central system on a WebSocket, for demonstrations and tests.

    `port` 0 chooses a free one. `seed` makes the message ids of its CALLs repeatable. `clock` dates its
    answers; a stepped one is held from the receipt of a frame until all that follows from it is done, while a
    CALL waits for its answer, and while an answer is delayed. Without it the time is real. `passwords` names
    the stations that must show one; all others come in as they are. With `tls` it speaks wss:// only; raises
    `ValueError` for files that cannot be used. Quantities in `_s` are real seconds, but
    for `interval_s`: the heartbeat interval told to an accepted station. `quick` spares the `ocpp`
    package where a valid CALL gets its usual answer, for loads; `meter_values_kept` is per transaction. Cards
    that begin with `strangers` are Invalid, all others are Accepted.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
        clock: Clock | None = None,
        interval_s: int = 300,
        passwords: Mapping[str, str | bytes] | None = None,
        tls: ServerTls | None = None,
        call_timeout_s: float = 30.0,
        ping_interval_s: float | None = 30.0,
        first_transaction_id: int = 1,
        meter_values_kept: int = METER_VALUES_KEPT,
        quick: bool = False,
        strangers: str | None = None,
    ) -> None:
        self.call_timeout_s = call_timeout_s
        self._host = host
        self._port = port
        self._seed = secrets.randbits(64) if seed is None else seed
        self._passwords: dict[str, bytes] = {}
        for identity, password in (passwords or {}).items():
            self.set_password(identity, password)
        self._tls = tls
        self._context = None if tls is None else server_context(tls)
        self._ping_interval_s = ping_interval_s
        self._first_transaction_id = first_transaction_id
        self._meter_values_kept = meter_values_kept
        self._link_type: type[StationLink] = QuickLink if quick else StationLink
        self._office = BackOffice(clock, Answers(), interval_s)
        self._links: dict[str, StationLink] = {}  # of the stations that are connected
        self._office.strangers = strangers
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen from now on; raises `OSError` if that address cannot be had.

        After a `stop` it listens at the same address again and remembers everything.
        """
        self._server = await serve(
            self._connected,
            self._host,
            self._port,
            process_request=self._admit,
            select_subprotocol=_select_subprotocol,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            ping_interval=self._ping_interval_s,
            ping_timeout=self._ping_interval_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            logger=_SOCKET_LOGGER,
            ssl=self._context,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self._office.emit("ready", url=self.url)

    async def stop(self) -> None:
        """Close all links with 1001 and listen no more; CALLs under way end as `NotConnected`. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        # A connection that was just accepted belongs to the server, which closes it, a few turns later.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for link in tuple(self._links.values()):
            self._leave(link, "the central system stops")
        server.close()
        await server.wait_closed()
        await self._office.cancel_tasks()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What a station appends its identity to; an address that means "all" is shown as loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        scheme = "ws" if self._tls is None else "wss"
        return f"{scheme}://[{host}]:{self._port}" if ":" in host else f"{scheme}://{host}:{self._port}"

    @property
    def tls(self) -> ServerTls | None:
        """How it listens; None: without TLS."""
        return self._tls

    def use_tls(self, tls: ServerTls | None) -> None:
        """How it listens from the next `start` on; raises `ValueError` for files that cannot be used."""
        self._context = None if tls is None else server_context(tls)
        self._tls = tls

    def set_password(self, cp: str, password: str | bytes | None) -> None:
        """What a station must show from its next connection on; None: nothing."""
        if password is None:
            self._passwords.pop(cp, None)
        else:
            self._passwords[cp] = password.encode() if isinstance(password, str) else password

    def stations(self) -> list[Station]:
        """Every station that ever connected, in the order of their first connection."""
        return list(self._office.stations.values())

    def transactions(self, cp: str | None = None) -> list[Transaction]:
        """The transactions of one station or, station by station, of all; oldest first."""
        stations = self.stations() if cp is None else [self._office.stations[cp]] if self.knows(cp) else []
        return [transaction for station in stations for transaction in station.ledger.transactions]

    def knows(self, cp: str) -> bool:
        """True if that station ever connected."""
        return cp in self._office.stations

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every event from now on, at once; returns how to end that."""
        return self._office.listen(listener)

    def react(self, action: str, reaction: Reaction) -> Callable[[], None]:
        """Run `reaction(cp, request)` after each CALLRESULT to `action`; returns how to end that.

        A stepped clock is held until it is done.
        """
        return self._office.react(action, reaction)

    def on_withheld(self, told: Callable[[str, str], None]) -> None:
        """Tell `told(cp, message_id)` of each CALL that is answered late or never, as soon as that is so.

        Who has the station in the same process spares a stepped clock the wait for it: `Station.unanswered`.
        """
        self._office.on_withheld = told

    async def call(
        self, cp: str, action: str, payload: Any = None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send a CALL, valid or not, and return the payload of its answer.

        Each station has one CALL outstanding; others wait their turn. Raises `CallFailed` with the code of
        the CALLERROR, `CallTimeout` after `timeout_s` (`call_timeout_s` if None), `NotConnected`.
        """
        link = self._link(cp)
        lost_s = 0.0
        waiting = Waiting(self._office.clock)
        try:
            return await link.ask(
                action,
                {} if payload is None else payload,
                self.call_timeout_s if timeout_s is None else timeout_s,
                waiting,
            )
        except CallTimeout as timeout:
            lost_s = timeout.waited_s
            raise
        finally:
            waiting.end(lost_s)

    def under_way(self, cp: str, message_id: str, under_way: bool) -> None:
        """A CALL of ours or its answer is kept back by whoever carries the frames, or is on its way again.

        A stepped clock does not wait for what is kept back.
        """
        if (link := self._links.get(cp)) is not None:
            link.under_way(message_id, under_way)

    def lost_on_the_way(self, cp: str, message_id: str) -> None:
        """The answer to that CALL of ours will not come: its wait ends at once, as with `CallTimeout`."""
        if (link := self._links.get(cp)) is not None:
            link.lost_on_the_way(message_id)

    def _link(self, cp: str) -> StationLink:
        link = self._links.get(cp)
        if link is None:
            raise NotConnected(cp)
        return link

    def set_answer(
        self,
        action: str,
        cp: str | None = None,
        id_tag: str | None = None,
        *,
        payload: Any = None,
        error: str | None = None,
        silent: bool = False,
        delay_s: float = 0.0,
        times: int | None = None,
    ) -> None:
        """Answer `action` so from now on, to all or one station, for all or one idTag; the narrowest wins.

        `payload` goes out verbatim, valid or not, but for what only the central system knows: a missing
        `currentTime` beside a BootNotification's `status` and a missing `transactionId` beside a
        StartTransaction's `idTagInfo` are filled in. `error` is a CALLERROR code: the request has no effect.
        `silent`: it has, but the answer is lost. `delay_s`, of the clock's time, alone makes the usual answer
        late. After `times`
        answers, or with none of these, the usual answer is back. Raises `ValueError` if this makes no sense.
        """
        self._office.answers.set(action, cp, id_tag, Answer(payload, error, silent, delay_s, times))

    def drop(self, cp: str) -> None:
        """Cut a station's link without a close frame; raises `NotConnected` if there is none."""
        link = self._link(cp)
        self._leave(link, "cut by the central system")
        link.socket.transport.abort()

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Refuse who shows no identity (404), a certificate of another (403) or no good password (401)."""
        identity = identity_of(request.path)
        if identity is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "The path must end in a charge point identity.\n")
        if self._tls is not None and self._tls.check_common_name:
            shown = common_name(connection.transport.get_extra_info("peercert"))
            if shown != identity:
                self._office.emit("error", identity, message=f"refused: the certificate is for {shown}")
                return connection.respond(HTTPStatus.FORBIDDEN, "The certificate is for another station.\n")
        password = self._passwords.get(identity)
        if password is None or admitted(identity, password, request.headers.get_all("Authorization")):
            return None
        self._office.emit("error", identity, message="refused: wrong or missing password")
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "Wrong or missing password.\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
        return response

    async def _connected(self, connection: ServerConnection) -> None:
        """Serve one connection until it ends."""
        assert connection.request is not None
        identity = identity_of(connection.request.path)
        assert identity is not None
        if connection.subprotocol is None:
            # The handshake ends without a subprotocol and the connection with it (OCPP-J 1.6 §3.2).
            self._office.emit("error", identity, message=f"refused: it does not offer {SUBPROTOCOL}")
            await connection.close(1002, f"offer {SUBPROTOCOL}")
            return
        link = self._link_type(self._station(identity), connection, self._office, self._seed)
        self._enter(link)
        try:
            await link.start()
        except ConnectionClosed as closed:
            self._leave(link, str(closed))
        finally:
            self._leave(link, "ended")

    def _station(self, identity: str) -> Station:
        station = self._office.stations.get(identity)
        if station is None:
            station = Station(identity, Ledger(identity, self._first_transaction_id, self._meter_values_kept))
            self._office.stations[identity] = station
        return station

    def _enter(self, link: StationLink) -> None:
        """The newest connection of an identity is the one; an older one is closed."""
        station = link.station
        if (older := self._links.get(station.identity)) is not None:
            self._leave(older, "replaced by a newer connection")
            self._office.spawn(older.socket.close(1008, "replaced by a newer connection"))
        self._links[station.identity] = link
        station.connected = True
        station.connections += 1
        self._office.emit("connected", station.identity)

    def _leave(self, link: StationLink, reason: str) -> None:
        if link.closed:
            return
        link.leave()
        station = link.station
        if self._links.get(station.identity) is link:
            del self._links[station.identity]
            station.connected = False
        self._office.emit("disconnected", station.identity, reason=reason)


def _select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """OCPP 1.6 if it is offered; None completes the handshake without one."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
