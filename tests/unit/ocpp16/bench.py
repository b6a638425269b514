"""A charge point on a stepped clock with simulated hardware and a central system in memory, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from chargepoint.config import StationConfig
from chargepoint.observer import StationObserver
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.ocpp16.configuration import Configuration, FactoryConfiguration
from chargepoint.ocpp16.core.status_notification import Report
from chargepoint.ocpp16.security.connection import Factory
from chargepoint.ocpp16.security.provided import NOTHING_PROVIDED, Provided
from chargepoint.ocpp16.times import format_time
from chargepoint.store import MemoryStore
from hal.api import EvseInfo
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests import status_pairs
from tests.unit.ocpp16.outside import memory_outside

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z

Answer = dict[str, Any] | str | None
"""A payload, a CALLERROR code, or None for silence."""


class MemoryCsms:
    """Answers every CALL at once, unless told otherwise; remembers every frame."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.frames: list[tuple[str, list[Any]]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], Answer]] = {}
        self.transactions = 0
        self.calls: list[tuple[float, str]] = []  # when the station sent which CALL
        self.deliver: Callable[[bytes], None] = lambda data: None

    def send(self, data: bytes | str) -> None:
        """chargepoint.domain.ports.Link: a frame from the station."""
        frame = json.loads(data)
        self.frames.append(("tx", frame))
        if frame[0] == 2:
            self.calls.append((self.clock.now(), frame[2]))
            answer = self.answers.get(frame[2], self.usual(frame[2]))(frame[3])
            if answer is not None:
                reply = [4, frame[1], answer, "", {}] if isinstance(answer, str) else [3, frame[1], answer]
                self.say(reply)

    def drop(self, code: int = 1000) -> None:
        """chargepoint.domain.ports.Link."""

    def say(self, frame: list[Any]) -> None:
        """Send a frame to the station, a moment later as a network would."""
        self.frames.append(("rx", frame))
        self.clock.call_at(self.clock.now(), lambda: self.deliver(json.dumps(frame).encode()))

    def usual(self, action: str) -> Callable[[dict[str, Any]], Answer]:
        """How a friendly central system answers."""
        now = format_time(self.clock.now())
        if action == "BootNotification":
            return lambda payload: {"status": "Accepted", "currentTime": now, "interval": 300}
        if action == "Heartbeat":
            return lambda payload: {"currentTime": now}
        if action == "Authorize":
            return lambda payload: {"idTagInfo": {"status": "Accepted"}}
        if action == "StartTransaction":
            return self._started
        if action == "DataTransfer":
            return lambda payload: {"status": "Accepted"}
        return lambda payload: {}

    def _started(self, payload: dict[str, Any]) -> Answer:
        self.transactions += 1
        return {"transactionId": self.transactions, "idTagInfo": {"status": "Accepted"}}


class Bench:
    """One station under test; `csms` is its other end, `evses` its hardware, `events` what it told.

    `info` describes each connector, or all of them. Only with `security_events` does it tell those, or each
    test would begin with one about its start. After every test every bench is checked by itself.
    """

    made: ClassVar[list[Bench]] = []
    clock_type: ClassVar[type[SteppedClock]] = SteppedClock
    observer: StationObserver | None = None

    def __init__(
        self,
        connectors: int = 1,
        info: EvseInfo | Sequence[EvseInfo] | None = None,
        ocpp: dict[str, str] | None = None,
        store: Any = None,
        behaviour: dict[str, Any] | None = None,
        compatibility: dict[str, Any] | None = None,
        security_events: bool = False,
    ) -> None:
        self.clock = self.clock_type(START)
        self.store = MemoryStore() if store is None else store
        infos = list(info) if isinstance(info, Sequence) else [info or EvseInfo()] * connectors
        self.evses = [self.evse(n, info) for n, info in enumerate(infos, 1)]
        quiet = {} if security_events else {"DisableSecurityEventNotifications": "true"}
        self.factory = FactoryConfiguration(quiet | (ocpp or {}), infos)
        self.config = StationConfig.model_validate(
            {"behaviour": behaviour or {}, "compatibility": compatibility or {}}
        )
        self.events: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self.reports: dict[int, Report] = {}
        self.csms = MemoryCsms(self.clock)
        self.outside = memory_outside()
        self.connections: list[int] = []  # how many frames there were when each one began
        self.made.append(self)
        self.make()

    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        """The hardware of one connector."""
        return SimulatedEvse(info, self.clock)

    def plate(self) -> dict[str, str]:
        """Who the station says it is."""
        return {"chargePointVendor": "Example", "chargePointModel": "Wallbox"}

    def provided(self) -> Provided:
        """The certificates the configuration brings along."""
        return NOTHING_PROVIDED

    def security(self) -> Factory:
        """How it proves who it is when it leaves the factory."""
        return Factory()

    def make(self) -> None:
        """A new life of the software over the same store and hardware."""
        self.cp = ChargePoint(
            "CP001",
            self.plate(),
            self.evses,
            self.store,
            Configuration(self.store, self.factory),
            self.config.behaviour,
            self.config.compatibility,
            self.clock,
            self.clock,
            self.outside,
            seed=1,
            follow_time=True,
            shared_reader=len(self.evses) > 1,
            notify=self._notify,
            last_reports=self.reports,
            provided=self.provided,
            factory_security=self.security(),
            observer=self.observer,
        )
        with self.cp.turn:
            self.cp.start()

    def _notify(self, event: str, fields: dict[str, Any]) -> None:
        if event == "failure":
            self.errors.append(fields["error"])
        elif event != "frame_sent":
            self.events.append({"event": event, **fields})

    def restart(self) -> None:
        """A power cut: the software begins again with what the store has."""
        self.csms.deliver = lambda data: None
        self.cp.close()
        self.store.rollback()
        self.make()

    def connect(self) -> None:
        """The link comes up and everything due at once happens."""
        self.csms.deliver = self._receive
        self.connections.append(len(self.csms.frames))
        with self.cp.turn:
            self.cp.link_up(self.csms)
        self.advance(0)

    def disconnect(self) -> None:
        """The link goes down."""
        self.csms.deliver = lambda data: None
        with self.cp.turn:
            self.cp.link_down()

    def _receive(self, data: bytes) -> None:
        with self.cp.turn:
            self.cp.session.receive(data)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        if self.errors:
            raise self.errors[0]

    def swipe(self, id_tag: str, connector: int | None = None) -> None:
        """A card at the reader."""
        with self.cp.turn:
            self.cp.connectors.reception.tag_presented(id_tag, connector)
        self.advance(0)

    def plug_in(self, connector: int = 1, vehicle: str = "compact", soc_percent: float | None = None) -> None:
        """A vehicle arrives."""
        self.evses[connector - 1].plug_in(load_vehicle(vehicle), soc_percent)
        self.advance(0)

    def plug_out(self, connector: int = 1) -> None:
        """It leaves."""
        self.evses[connector - 1].plug_out()
        self.advance(0)

    def charge(self, id_tag: str = "TAG", connector: int = 1) -> None:
        """Plug in, swipe, and let the vehicle begin."""
        self.plug_in(connector)
        self.swipe(id_tag, connector)
        self.advance(10)

    def call(self, action: str, payload: dict[str, Any]) -> Any:
        """Send a CALL and return the result's payload, or the CALLERROR code."""
        n = len(self.csms.frames)
        self.csms.say([2, f"csms-{n}", action, payload])
        self.advance(0)
        for _, frame in self.csms.frames[n:]:
            if frame[0] == 3 and frame[1] == f"csms-{n}":
                return frame[2]
            if frame[0] == 4 and frame[1] == f"csms-{n}":
                return frame[2]
        return None

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of all CALLs of that action so far."""
        return [
            frame[3]
            for way, frame in self.csms.frames
            if way == "tx" and frame[0] == 2 and frame[2] == action
        ]

    def statuses(self, connector: int = 1) -> list[str]:
        """The statuses the central system was told, in order."""
        return [p["status"] for p in self.sent("StatusNotification") if p["connectorId"] == connector]

    def local_status(self, connector: int = 1) -> str:
        """The status here and now, told or not."""
        return self.reports[connector].status.value

    def times(self, action: str) -> list[float]:
        """When each CALL of that action went out, in seconds since the beginning."""
        return [at - START for at, sent in self.csms.calls if sent == action]

    def actions(self) -> list[str]:
        """The actions of all CALLs so far, in order."""
        return [frame[2] for way, frame in self.csms.frames if way == "tx" and frame[0] == 2]

    def illegal_statuses(self) -> list[str]:
        """Every pair of consecutive statuses so far that OCPP 1.6 §4.9 does not know."""
        told: list[dict[str, Any]] = []
        for n, (way, frame) in enumerate(self.csms.frames):
            if n in self.connections:
                told.append({"event": "connection"})
            told.append({"event": "ocpp", "dir": way, "frame": frame})
        at_once = self.factory.typed["MinimumStatusDuration"] == 0
        return status_pairs.illegal(self.events) + status_pairs.illegal(told if at_once else ())
