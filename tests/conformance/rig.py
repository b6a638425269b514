"""A station and a central system on a real socket and a stepped clock, for the certification cases.

A case is a story: what a person or the central system does, and which CALLs the central system hears then,
in order. Every CALL must be asked for by `hears`; one that nobody asked for fails the case at its end, so a
forbidden message cannot pass unseen.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.csms.calls import CallFailed
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.domain.ports import Store
from chargepoint.ocpp16.times import format_time
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from hal.clock import SteppedClock, WallClock
from hal.simulated.vehicle import load_vehicle
from tests import status_pairs
from tests.conformance.expected import (
    Expected,
    Heard,
    Payload,
    authorize,
    call,
    mismatch,
    start,
    status,
    stop,
)

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
CP = "CP001"
TX = 1001
"""The number of the first transaction; the next ones follow."""
A_DAY_S = 86_400

SLOW_DISK = "writing took"
"""A complaint about the computer the tests run on."""

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}
NOT_SUPPORTED = {"status": "NotSupported"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A CALLERROR in place of an answer."""

    code: str


class Rig:
    """The station under test, its central system, and what has been heard so far."""

    def __init__(self, folder: Path, config: dict[str, Any], *, durable: bool = False) -> None:
        self.config = StationConfig.model_validate({"identity": CP, **config})
        self.clock = SteppedClock(START)
        self.csms = CentralSystem(seed=1, clock=self.clock, interval_s=A_DAY_S, first_transaction_id=TX)
        self.station: Station
        self.errors: list[str] = []  # what the two sides complained about
        self.connections = 0
        self._folder = folder
        self._durable = durable
        self._events: list[dict[str, Any]] = []  # what the station told, for the table of statuses
        self._calls: list[Heard] = []
        self._security_events: list[str] = []
        self._first_after_ours: list[Any] | None = None
        self._listening = False

    # --- life ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Both ends, from here on to the end."""
        self.csms.listen(self._on_event)
        async with self.csms:
            self.assemble()
            try:
                yield self
            finally:
                self.station.close()
                await self.station.link.closed()

    def url(self) -> str:
        """Where the station connects to."""
        return self.csms.url

    def assemble(self) -> None:
        """A station over what the store remembers, not started yet."""
        store: Store = SqliteStore.open(self._folder, CP) if self._durable else MemoryStore()
        self.station = assemble(
            StationType(self.config), store, self.clock, WallClock(), url=self.url(), seed=1
        )
        self.station.watch(self._watch)
        self._actions = Actions(self.station, load_vehicle("compact"))

    async def power_up(self) -> None:
        """Start it, and let everything happen that happens at once."""
        self.station.start()
        await self.settle()

    async def cold_boot(self) -> None:
        """Start it as every case does: accepted, everything Available."""
        await self.power_up()
        self.hears(call("BootNotification"), *self.all_report("Available"))
        await self.wait(1)

    async def power_cut(self, *, for_s: float = 60) -> None:
        """The mains go without warning and without backup; another process over the same store comes next."""
        assert self._durable
        self.station.close()
        await self.station.link.closed()
        await self.wait(for_s)
        self._events.clear()
        self.assemble()

    # --- the person at the station ------------------------------------------------------------------

    async def do(self, verb: str, **arguments: Any) -> Payload:
        """One verb of the control protocol, and all that follows from it at once."""
        reply = self._actions.perform({"cmd": verb, **arguments})
        result = await reply if isinstance(reply, Awaitable) else reply
        await self.settle()
        return result

    async def plug_in(self, connector: int = 1) -> None:
        await self.do("plug_in", connector=connector)

    async def unplug(self, connector: int = 1) -> None:
        await self.do("plug_out", connector=connector)

    async def swipe(self, id_tag: str, connector: int | None = 1) -> None:
        await self.do("swipe", id_tag=id_tag, **({} if connector is None else {"connector": connector}))

    async def charge(self, id_tag: str = "TAG", connector: int = 1) -> None:
        """A session up to the moment when energy flows, told as it should be."""
        await self.plug_in(connector)
        await self.swipe(id_tag, connector)
        await self.wait(5)
        self.hears(
            status(connector, "Preparing"),
            authorize(id_tag),
            start(id_tag, connector),
            status(connector, "Charging"),
        )

    async def end(self, id_tag: str = "TAG", connector: int = 1, *, transaction_id: int) -> None:
        """The same tag again, and the vehicle leaves."""
        await self.swipe(id_tag, connector)
        await self.unplug(connector)
        self.hears(
            stop("Local", transaction_id, id_tag),
            status(connector, "Finishing"),
            status(connector, "Available"),
        )

    async def network(self, online: bool) -> None:
        await self.do("network", online=online)

    async def wait(self, seconds: float) -> None:
        """Let station time pass."""
        lost_s = await self.clock.run_until(self.clock.now() + seconds)
        assert not lost_s, f"{lost_s:.1f} s were lost to answers that never came"

    async def settle(self) -> None:
        """Let everything happen that takes no station time."""
        await self.wait(0)

    # --- the central system -------------------------------------------------------------------------

    async def call(self, action: str, /, **payload: Any) -> Payload | Refused:
        """A CALL of the central system; what it makes the station send comes after the answer, not before."""
        self._listening, self._first_after_ours = True, None
        try:
            result: Payload | Refused = await self.csms.call(CP, action, payload)
        except CallFailed as failed:
            result = Refused(failed.code)
        self._listening = False
        await self.settle()
        assert self._first_after_ours is not None
        assert self._first_after_ours[0] in (3, 4), f"sent before the answer: {self._first_after_ours}"
        return result

    async def configure(self, **values: Any) -> None:
        """ChangeConfiguration for each of these keys, which must be accepted."""
        for key, value in values.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert await self.call("ChangeConfiguration", key=key, value=text) == ACCEPTED, key

    async def configuration(self, *keys: str) -> dict[str, str]:
        """The values of these keys as GetConfiguration tells them."""
        answer = await self.call("GetConfiguration", key=list(keys))
        assert isinstance(answer, dict)
        return {entry["key"]: entry["value"] for entry in answer["configurationKey"]}

    def answers(self, action: str, **how: Any) -> None:
        """How the central system answers `action` from now on; `payload=None` takes it back."""
        self.csms.set_answer(action, **how)

    def answers_tag(self, action: str, id_tag: str, status: str, **more: Any) -> None:
        """What the central system says of that tag in its answers to `action`."""
        self.answers(action, id_tag=id_tag, payload={"idTagInfo": {"status": status, **more}})

    # --- what was heard -----------------------------------------------------------------------------

    def hears(self, *expected: Expected, in_any_order: bool = False) -> list[Payload]:
        """The CALLs since the last time were exactly these; returns their payloads in the order given.

        Without arguments: there was none.
        """
        heard, self._calls = self._calls, []
        story = "\n".join(f"  {one}" for one in heard) or "  nothing"
        wanted = "\n".join(f"  {one}" for one in expected) or "  nothing"
        explained = f"the central system heard\n{story}\nand should have heard\n{wanted}"
        payloads = []
        for one in expected:
            candidates = heard if in_any_order else heard[:1]
            wrong = [mismatch(one, other, START) for other in candidates] or ["nothing is left"]
            assert None in wrong, f"{explained}\nbut {wrong[0]}"
            payloads.append(heard.pop(wrong.index(None)).payload)
        assert not heard, f"{explained}\nbut {heard[0].action} came too"
        return payloads

    def takes_out(self, expected: Expected) -> int:
        """One of the CALLs since the last time is this one; `hears` need not ask for it. Returns its place.

        For what has no fixed place because real work goes on beside it.
        """
        fits = [n for n, heard in enumerate(self._calls) if mismatch(expected, heard, START) is None]
        assert len(fits) == 1, f"{expected} came {len(fits)} times"
        del self._calls[fits[0]]
        return fits[0]

    def hears_security_event(self, type: str) -> None:
        """The central system was told of that security event, at any time since the last one asked for.

        They are not part of the order of CALLs that `hears` looks at.
        """
        assert type in self._security_events, self._security_events
        self._security_events.remove(type)

    def explains(self, about: str) -> None:
        """The station told its operator why it refused something, and complained of nothing else."""
        told, self.errors = self.errors, []
        assert told, f"nothing was said about: {about}"
        assert all(about in message for message in told), told

    def skim(self) -> list[Heard]:
        """The CALLs since the last time, for a case that judges them itself."""
        heard, self._calls = self._calls, []
        return heard

    def all_report(self, *statuses: str, at: float | None = None) -> list[Expected]:
        """StatusNotification of connector 0 and of every other, one status for all or one for each."""
        count = len(self.config.connectors) + 1
        each = statuses * count if len(statuses) == 1 else statuses
        assert len(each) == count
        return [status(connector, state, at=at) for connector, state in enumerate(each)]

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now() - START

    def moment(self, seconds: float) -> str:
        """A moment `seconds` after now, as a central system writes it."""
        return format_time(self.clock.now() + seconds)

    def verify_end(self) -> None:
        """Nothing was heard that nobody asked for, nobody complained, and no illegal status was taken."""
        self.hears()
        assert set(self._security_events) <= {"StartupOfTheDevice", "ResetOrReboot"}
        assert not self.errors, self.errors
        assert not (pairs := status_pairs.illegal(self._events)), pairs

    def _on_event(self, event: Event) -> None:
        if event.name == "error":
            self.errors.append(str(event.fields["message"]))
        elif event.name == "connected":
            self.connections += 1
        elif event.name == "frame" and event.fields["dir"] == "rx":
            frame = event.fields["frame"]
            if self._listening and self._first_after_ours is None:
                self._first_after_ours = frame
            if frame[0] == 2 and frame[2] == "SecurityEventNotification":
                self._security_events.append(frame[3]["type"])
            elif frame[0] == 2:
                self._calls.append(Heard(event.at - START, frame[2], frame[3], self.connections))

    def _watch(self, event: str, fields: dict[str, Any]) -> None:
        if event == "error" and SLOW_DISK not in fields["message"]:
            self.errors.append(fields["message"])
        elif event == "ocpp":
            self._events.append({"event": event, "dir": fields["dir"], "frame": json.loads(fields["data"])})
        else:
            self._events.append({"event": event, **fields})
