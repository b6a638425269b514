"""A station from start to orderly end: its hardware, its link and, life after life, its protocol part."""

from __future__ import annotations

import logging
from collections.abc import Callable
from ssl import SSLContext
from typing import Any, Protocol

from chargepoint.diagnostics import Diagnostics
from chargepoint.domain import chance
from chargepoint.domain.ports import Store
from chargepoint.errors import LinkError, StoreError
from chargepoint.link import (
    LinkSettings,
    WebSocketLink,
)
from chargepoint.observer import StationObserver
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.core.status_notification import Report
from chargepoint.ocpp16.security.vault import CENTRAL_SYSTEM
from chargepoint.quirks import QuirkyLine
from chargepoint.quirks.kinds import make as make_quirks
from chargepoint.rpc import frames
from chargepoint.station_parts import open_evses, open_readers, open_site, outside_of
from chargepoint.station_type import StationType, numbered
from chargepoint.store import SqliteStore
from chargepoint.tamper import Edge, Tamper
from chargepoint.transfer import trusting
from hal.api import Clock, Fault, Timer
from hal.clock import SteppedClock, WallClock

log = logging.getLogger("chargepoint")

Watcher = Callable[[str, dict[str, Any]], None]
"""Takes the name and fields of everything that happens at a station."""

ORDERLY_END_S = 5.0
RESET_WITHIN_S = 60.0


class Recorder(Protocol):
    """Who writes down what happens before the station makes anything of it."""

    def software_started(self) -> None:
        """The protocol part listens to the hardware, anew after each restart."""

    def card_shown(self, id_tag: str, connector_id: int | None) -> None:
        """A card at a reader; None: at the station's own."""


class Station:
    """One running station: hardware, protocol and link, from start to orderly end.

    The hardware outlives a restart of the software (OCPP Reset), which builds the protocol part anew from
    the store, as a power cut would.
    """

    __slots__ = (
        "_drawn",
        "_edges",
        "_ended",
        "_faults",
        "_last_reports",
        "_lost_readers",
        "_mains",
        "_refusal",
        "_restart_timer",
        "_seed",
        "_silent",
        "_url",
        "_watchers",
        "charge_point",
        "clock",
        "diagnostics",
        "evses",
        "failed_attempts",
        "identity",
        "leave",
        "link",
        "outside",
        "overrides",
        "plate",
        "readers",
        "recorder",
        "site",
        "store",
        "type",
        "wire",
    )

    def __init__(
        self,
        type: StationType,
        identity: str,
        url: str,
        store: Store,
        clock: Clock,
        wire: Clock,
        seed: int,
        number: int = 0,
    ) -> None:
        self.type = type
        self.identity = identity
        self.plate = numbered(type.boot_payload, number)
        self.store = store
        self.clock = clock
        self.wire = wire
        self._seed = seed
        self._url = url
        self._drawn = 0  # how often chance decided about a wait before connecting
        self._watchers: tuple[Watcher, ...] = ()
        self._faults: tuple[Fault, ...] = ()
        self._lost_readers: dict[int | None, Fault] | None = None  # by connector, None: the station's
        self._last_reports: dict[int, Report] = {}
        self._mains = True
        self._silent = False  # between two lives, or without mains
        self._ended: Callable[[], None] | None = None
        self._edges: tuple[Edge, ...] = ()  # from the station outwards
        self._restart_timer: Timer | None = None
        self._refusal: str | None = None  # the kind of failure already explained
        self.leave: Callable[[], None] | None = None  # ends this process, which something starts again
        self.failed_attempts = 0
        self.recorder: Recorder | None = None
        self.overrides: dict[str, dict[str, str]] = {}  # answers a script decided, kept over restarts
        self.evses = open_evses(type, store, clock)
        self.readers = open_readers(type, clock, self.tag_presented, self._reader_changed)
        self.site = open_site(type, self.evses, clock, self)
        self.link = WebSocketLink(
            type.link_settings(identity, url, type.security.credentials),
            self,
            wire=wire,
            clock=clock,
            backoff=type.backoff,
            backoff_clock=clock if isinstance(clock, SteppedClock) else wire,
            jitter=self._jitter,
            max_size=type.max_frame_bytes,
        )
        self.diagnostics = Diagnostics(self)
        if type.keeps_log:
            self.diagnostics.keep_log()
            self._watchers = (self.diagnostics.record,)
        self.outside = outside_of(type, identity, store, clock, self.diagnostics, self._trust)
        self.charge_point = self._make_charge_point()
        if type.quirks:
            self.tamper(QuirkyLine(make_quirks(type.quirks), seed))

    def _trust(self) -> SSLContext:
        """Whom a transfer trusts: besides the operating system's authorities those of the central system."""
        return trusting(tuple(root.pem for root in self.charge_point.vault.roots(CENTRAL_SYSTEM)))

    def _jitter(self) -> float:
        self._drawn += 1
        return chance.draw(self._seed, self.identity, "back-off", self._drawn)

    def _make_charge_point(self) -> ChargePoint:
        charge_point = ChargePoint(
            self.identity,
            self.plate,
            self.evses,
            self.store,
            Configuration(self.store, self.type.factory),
            self.type.behaviour,
            self.type.compatibility,
            self.clock,
            self.wire,
            self.outside,
            seed=self._seed,
            follow_time=isinstance(self.clock, WallClock),
            shared_reader=self.type.shared_reader,
            notify=self._notify if self._watchers or self.type.listener is not None else None,
            last_reports=self._last_reports,
            provided=self.type.provided,
            factory_security=self.type.security,
            vouched=self._vouched if self.readers else None,
            observer=self.type.observer,
        )
        charge_point.connectors.faults = self._all_faults()
        if self.site is not None:
            charge_point.connectors.site = self.site.limit
        charge_point.tells_frames = bool(self._watchers)
        charge_point.overrides = self.overrides or None
        charge_point.on_restart = self.restart
        charge_point.on_proven = self.link.survived
        charge_point.on_ping_interval = self.link.set_ping_interval
        charge_point.on_reconnect = self._reconnect
        return charge_point

    def utc(self) -> float:
        """The station's time: its clock, corrected by what the central system says."""
        return self.charge_point.time.utc()

    # --- life ---------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` everything that happens from now on."""
        self._watchers = (*self._watchers, watcher)
        self.charge_point.listen(self._notify)
        self.charge_point.tells_frames = True

    def unwatch(self, watcher: Watcher) -> None:
        """Tell `watcher` nothing more."""
        self._watchers = tuple(other for other in self._watchers if other is not watcher)

    def tamper(self, tamper: Tamper) -> None:
        """Put `tamper` between this station and its link, beyond those that are there already."""
        above = self._edges[-1].receive if self._edges else self._accept
        edge = Edge(tamper, self, self._transmit, above, self.link.drop)
        if self._edges:
            self._edges[-1].put_below(edge)
        self._edges = (*self._edges, edge)
        tamper.attached()
        if self.online:
            tamper.link_up()
            self.charge_point.session.link_up(self._edges[0])

    def _transmit(self, data: bytes) -> None:
        """What really goes out, where somebody meddles with it."""
        self._tell_frame("tx", data)
        self.link.send(data)

    @property
    def online(self) -> bool:
        """There is a link."""
        return self.link.online

    @property
    def refusal(self) -> str | None:
        """Why the newest attempt to connect failed (`LinkError.kind`); None if none has since a link."""
        return self._refusal

    @property
    def accepted(self) -> bool:
        """The central system has accepted this station since it started."""
        return self.charge_point.accepted

    def awaits(self, message_id: str) -> bool:
        """The answer to this CALL is still waited for."""
        outstanding = self.charge_point.session.outstanding
        return outstanding is not None and outstanding.message_id == message_id

    def wait_by_clock(self, message_id: str) -> None:
        """The answer to this CALL is lost or late: its patience is the station's own time."""
        for edge in reversed(self._edges):
            edge.tamper.wait_by_clock(message_id)
            message_id = edge.tamper.name_above(message_id)
        self.charge_point.session.wait_by_clock(message_id)

    def keep_back(self, message_id: str) -> None:
        """This CALL never leaves and is answered at the edge: nobody counts it as sent."""
        self.charge_point.session.keep_back(message_id)

    @property
    def observer(self) -> StationObserver | None:
        """Who counts what this station does."""
        return self.type.observer

    def unanswered(self, message_id: str) -> None:
        """The central system has this CALL and answers it late or never: nothing real is under way for it."""
        with self.charge_point.turn:
            self.wait_by_clock(message_id)
            for edge in reversed(self._edges):
                above = edge.tamper.name_above(message_id)
                edge.tamper.unanswered(message_id)
                message_id = above

    def start(self) -> None:
        """Power up: recover, then connect."""
        recovered = None
        if isinstance(self.store, SqliteStore):
            self.store.on_notice = self._store_notice
            recovered, self.store.recovered = self.store.recovered, None
        if recovered is not None:
            self._store_notice(recovered)
        with self.charge_point.turn:
            if recovered is not None:
                self.charge_point.security_events.store_recovered()
            self.charge_point.start()
            if self.recorder is not None:
                self.recorder.software_started()
            self._renew_settings()
        if self.site is not None:
            self.site.start()
        self.link.start()

    def _store_notice(self, notice: str) -> None:
        self._tell("error", {"message": notice})

    def restart(self, reason: str) -> bool:
        """End what runs with `reason`, go down and come up again; False if the station is not up."""
        if self._silent or self._ended is not None or self.charge_point.connectors.going_down:
            return False
        self._wind_down(reason, lambda: self._go_silent(reason), RESET_WITHIN_S, self.clock)
        return True

    def power(self, on: bool) -> None:
        """The mains go, with a backup that lasts for an orderly end, or come back (OCPP 1.6 §4.10)."""
        self._mains = on
        if not on:
            self._cancel_restart()
            self.restart("PowerLoss")
        elif self._silent and self._restart_timer is None:
            self._come_up()

    def _wind_down(self, reason: str, down: Callable[[], None], within_s: float, clock: Clock) -> None:
        """End everything and call `down` soon after; no station time passes in between."""

        def done() -> None:
            self.clock.hold()
            self.wire.call_at(self.wire.now(), release)

        def release() -> None:
            self.clock.release()
            down()

        with self.charge_point.turn:
            self.charge_point.wind_down(reason, done, within_s, clock)

    def _go_silent(self, reason: str) -> None:
        if self._ended is not None:  # the process was told to end meanwhile, which sees to everything
            return
        self._silent = True
        self._make_safe()
        self._close_charge_point()
        self.link.pause()
        self._tell("reboot", {"reason": reason})
        behaviour = self.type.config.behaviour
        if reason == "HardReset" and behaviour.hard_reset == "exit" and self.leave is not None:
            self.leave()
        elif self._mains:
            self._restart_timer = self.clock.call_at(self.clock.now() + behaviour.reboot_s, self._come_up)

    def _come_up(self) -> None:
        """Boot again after a restart or when the mains are back."""
        self._silent = False
        self._restart_timer = None
        self.charge_point = self._make_charge_point()
        self.start()

    def shutdown(self, ended: Callable[[], None]) -> None:
        """End in good order: transactions end with Reboot, up to 5 s to deliver, then `ended` is called."""
        if self._ended is not None:
            return
        self._ended = ended
        if self._silent:
            self._end()
        else:
            self._wind_down("Reboot", self._end, ORDERLY_END_S, self.wire)

    def _end(self) -> None:
        self._make_safe()
        self.close()
        if self._ended is not None:
            self._ended()

    def _cancel_restart(self) -> None:
        if self._restart_timer is not None:
            self._restart_timer.cancel()
            self._restart_timer = None

    def close(self) -> None:
        """Contactors open, link closed with 1001, store closed; idempotent."""
        for edge in self._edges:
            edge.tamper.close()
        self._cancel_restart()
        self._close_charge_point()
        self.link.close(1001)
        self.outside.transfers.close()
        self.outside.installer.close()
        if self.site is not None:
            self.site.close()
        for reader in self.readers:
            reader.close()
        for evse in self.evses:
            evse.close()
        self.store.close()

    def _close_charge_point(self) -> None:
        self.charge_point.close()
        if self.type.observer is not None:
            self.type.observer.went_down(self.identity)

    def _make_safe(self) -> None:
        for connector in self.charge_point.connectors.all:
            connector.switch_off()

    @property
    def silent(self) -> bool:
        """Between two lives of the software, or without mains."""
        return self._silent

    # --- hardware -----------------------------------------------------------------------------------

    def tag_presented(self, id_tag: str, connector_id: int | None) -> None:
        """A card at a reader; `connector_id` None: the station chooses."""
        if self.recorder is not None:
            self.recorder.card_shown(id_tag, connector_id)
        if not self._silent:
            with self.charge_point.turn:
                self.charge_point.connectors.reception.tag_presented(id_tag, connector_id)

    def set_faults(self, faults: tuple[Fault, ...]) -> None:
        """What is wrong with the station as a whole, connector 0."""
        self._faults = faults
        self._faults_changed()

    def _reader_changed(self, connector_id: int | None, fault: Fault | None) -> None:
        """A card reader is lost, a warning of the station as a whole, or (None) back."""
        lost = self._lost_readers or {}
        lost.pop(connector_id, None)
        if fault is not None:
            lost[connector_id] = fault
        self._lost_readers = lost or None
        self._faults_changed()

    def _vouched(self, id_tag: str) -> bool:
        """A whitelist counts for the whole station, whichever reader it belongs to."""
        return any(reader.vouches(id_tag) for reader in self.readers)

    def _all_faults(self) -> tuple[Fault, ...]:
        return (*self._faults, *(self._lost_readers or {}).values())

    def _faults_changed(self) -> None:
        if not self._silent:
            with self.charge_point.turn as turn:
                self.charge_point.connectors.faults = self._all_faults()
                self.charge_point.statuses.refresh(0)
                turn.settle_all()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the station as a whole."""
        return self._faults

    # --- link.LinkListener --------------------------------------------------------------------------

    def _link_settings(self) -> LinkSettings:
        security, vault = self.charge_point.connection, self.charge_point.vault
        return self.type.settings_in_force(self.identity, self._url, security, vault)

    @property
    def _renews(self) -> bool:
        """The next attempt may be made with other settings than the last one."""
        return self.charge_point.connection.on_trial or self.link.settings.tls is not self.type.tls

    def _renew_settings(self) -> None:
        settings = self._link_settings()
        if settings is not self.link.settings and settings != self.link.settings:
            self.link.use(settings)

    def _reconnect(self) -> None:
        self.link.reconnect(self._link_settings())

    def link_up(self) -> None:
        """Connected."""
        self._refusal = None
        self.failed_attempts = 0
        if self.type.observer is not None:
            self.type.observer.link_up(self.identity)
        self._tell("connection", {"online": True})
        with self.charge_point.turn:
            if self.link.settings.tls is not self.type.tls:
                self.charge_point.vault.in_use = self.link.trust_anchor()
            for edge in self._edges:
                edge.tamper.link_up()
            self.charge_point.link_up(self._edges[0] if self._edges else self.link)

    def link_down(self, reason: str) -> None:
        """Not connected any more."""
        if self.type.observer is not None:
            self.type.observer.link_down(self.identity, reason)
        with self.charge_point.turn:
            renew = self._renews
            self.charge_point.link_down()
            for edge in self._edges:
                edge.tamper.link_down()
            if renew:
                self._renew_settings()
        self._tell("connection", {"online": False, "reason": reason})

    def frame_received(self, data: bytes) -> None:
        """A text message came."""
        if self._watchers:
            self._tell_frame("rx", data)
        if self._edges:
            self._edges[-1].receive(data)
        else:
            self._accept(data)

    def _accept(self, data: bytes) -> None:
        with self.charge_point.turn:
            self.charge_point.session.receive(data)

    def binary_received(self, data: bytes) -> None:
        """OCPP-J has no binary messages."""
        with self.charge_point.turn:
            self.charge_point.complain_once("the central system sent a binary message; OCPP-J has none")
            self.charge_point.security_events.report("InvalidMessages", "a binary message")
            if self.type.config.compatibility.binary_frame == "generic_error" and self.charge_point.listens():
                self.link.send(frames.error("-1", "GenericError", "binary messages are not OCPP-J"))

    def connect_failed(self, error: LinkError, attempts: int) -> None:
        """Explain the first failure of each kind; the rest is counted."""
        if self.type.observer is not None:
            self.type.observer.connect_failed(self.identity, error.kind)
        self.failed_attempts += 1
        if self.type.listener is not None:
            self.type.listener(self, "connect_failed", {"kind": error.kind, "reason": str(error)})
        with self.charge_point.turn:
            renew = self._renews
            self.charge_point.connection.failed(error.kind, str(error))
            if renew:
                self._renew_settings()
        if error.kind != self._refusal:
            self._refusal = error.kind
            self._tell("connection", {"online": False, "reason": str(error)})

    def move(self, url: str, *, now: bool = True) -> None:
        """Connect to another central system: `now`, or at the next attempt. Raises `ConfigError`."""
        self._url = url
        (self.link.reconnect if now else self.link.use)(self._link_settings())

    # --- events -------------------------------------------------------------------------------------

    def _notify(self, event: str, fields: dict[str, Any]) -> None:
        """From the protocol part."""
        if event == "frame_sent":
            if not self._edges:
                self._tell_frame("tx", fields["data"])
        elif event == "failure":
            error = fields["error"]
            cause = None if isinstance(error, StoreError) else error  # the sentence of a full disk says all
            log.error("%s: %s", self.identity, error, exc_info=cause)
            self._tell("error", {"message": str(fields["error"]) or type(fields["error"]).__name__})
        else:
            self._tell(event, fields)

    def _tell_frame(self, direction: str, data: bytes) -> None:
        if self._watchers:
            self._tell("ocpp", {"dir": direction, "data": data})

    def _tell(self, event: str, fields: dict[str, Any]) -> None:
        if self.type.listener is not None and event != "ocpp":
            self.type.listener(self, event, fields)
        for watcher in self._watchers:
            watcher(event, fields)


def assemble(
    type: StationType,
    store: Store,
    clock: Clock,
    wire: Clock,
    *,
    url: str,
    identity: str | None = None,
    seed: int,
    number: int = 0,
) -> Station:
    """A station ready to `start`; `number` is added to the serial numbers of its type.

    Raises `ConfigError` for a bad URL, `ValueError` for a bad driver.
    """
    return Station(type, identity or type.config.identity, url, store, clock, wire, seed, number)
