"""The one way to a Modbus line: takes turns, checks every answer and never passes on one that is not sure.

An RTU answer carries no number, so a late one looks like the answer to whatever is asked next. Hence the
pauses after failures, the shapes that are compared and the writes that are read back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hal.api import DeviceTimeout
from hal.device import DeviceClosed, DeviceRefused
from hal.modbus.answer import BUSY, GATEWAY, Mismatch, advice, check_shape, exception_text
from hal.modbus.place import Place, SerialLine, TcpGateway, take_place
from hal.modbus.turns import Turns
from hal.modbus.unit import UnitMemory, UnitStatistics
from hal.modbus.wire import Lost, NoAnswer, Request, Wire

__all__ = [
    "Bus",
    "Place",
    "SerialLine",
    "TcpGateway",
    "UnitStatistics",
    "bus_at",
    "line_of",
    "open_buses",
    "take_place",
]

_T = TypeVar("_T")

_BUSY_PAUSE_S = 0.2
_RECONNECT_S = 0.5  # the least time between two attempts to open a port
_BITS_PER_BYTE = 11


class Bus:
    """A Modbus line, shared by everything at its place; get it from `bus_at` and `release` it.

    Every call takes a unit in turn with the others and raises `DeviceTimeout` (no answer, twice, or the port
    is not there; also at once while a unit that failed three times in a row waits for its next probe, each 5
    to 30 s, for a write each 5 s), `DeviceRefused` (an exception code, an answer of the wrong shape, another
    value read back than written), `DeviceClosed` after the last release, or `ValueError` for what Modbus
    cannot say. A call that is cancelled still finishes its frame. A bus lives on the event loop of its first
    call.
    """

    def __init__(
        self,
        place: Place,
        *,
        wire: Callable[[Place], Wire] = Wire,
        probe_s: tuple[float, ...] = (5.0, 10.0, 20.0, 30.0),
    ) -> None:
        self._place = place
        self._wire = wire(place)
        self._probe_s = probe_s  # how long a unit that keeps failing is left alone, the last one for good
        self._references = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line = Turns()
        self._turns: dict[int, asyncio.Lock] = {}  # one call at a time for each unit, so that units alternate
        self._units: dict[int, UnitMemory] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()
        self._gaps: dict[int | None, float] = {place.unit: place.gap_s}
        self._connect_at = 0.0
        self._problem: DeviceTimeout | None = None  # why the port could not be opened

    @property
    def place(self) -> Place:
        """Where it is, with the longest of the times its users asked for."""
        return self._place

    async def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """Holding (3) or input registers (4), each 0 to 65535."""
        _check(function in (3, 4), f"function {function} does not read registers; 3 and 4 do")
        _check(1 <= count <= 125, f"{count} registers at once; 1 to 125 can be read")
        request = _request(unit, function, address, count)
        return await self._shielded(self._in_turn(unit, lambda: self._registers(request)))

    async def read_bits(self, unit: int, function: int, address: int, count: int) -> list[bool]:
        """Coils (1) or discrete inputs (2)."""
        _check(function in (1, 2), f"function {function} does not read bits; 1 and 2 do")
        _check(1 <= count <= 2000, f"{count} bits at once; 1 to 2000 can be read")
        request = _request(unit, function, address, count)
        return await self._shielded(self._in_turn(unit, lambda: self._bits(request)))

    async def write(self, unit: int, address: int, values: list[int], *, verify: bool = True) -> None:
        """Write holding registers (function 16) and read them back, unless they never read the same."""
        _check(1 <= len(values) <= 123, f"{len(values)} registers at once; 1 to 123 can be written")
        _check(all(0 <= value <= 0xFFFF for value in values), f"{values}: a register holds 0 to 65535")
        request = _request(unit, 16, address, len(values), tuple(values))
        reading = _request(unit, 3, address, len(values)) if verify else None

        async def write() -> None:
            await self._exchange(request)
            if reading is not None and (found := await self._registers(reading)) != values:
                raise self._differs(unit, address, values, found)

        await self._shielded(self._in_turn(unit, write))

    async def write_coil(self, unit: int, address: int, value: bool, *, verify: bool = True) -> None:
        """Write one coil (function 15) and read it back."""
        request = _request(unit, 15, address, 1, (int(value),))
        reading = _request(unit, 1, address, 1) if verify else None

        async def write() -> None:
            await self._exchange(request)
            if reading is not None and (found := await self._bits(reading)) != [value]:
                raise self._differs(unit, address, [value], found)

        await self._shielded(self._in_turn(unit, write))

    async def release(self) -> None:
        """Let go of the line; the last one to do so closes it, after the frame that is under way."""
        self._references -= 1
        if self._references > 0 or self._closing.is_set():
            return
        if _BUSES.get(_key(self._place)) is self:
            del _BUSES[_key(self._place)]
        self._closing.set()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._wire.close()

    def statistics(self) -> dict[int, UnitStatistics]:
        """The figures of every unit that was ever asked."""
        return {unit: memory.statistics() for unit, memory in sorted(self._units.items())}

    def share(self, place: Place) -> None:
        """Count one more user; its times are taken over if longer. `ValueError` if it wants another line.

        The gap is its unit's alone: a slow board makes no frame wait that has nothing to do with it.
        """
        mine = self._place
        if line_of(place) != line_of(mine):
            raise ValueError(
                f"{mine} is already in use as {line_of(mine)}; it cannot be {line_of(place)} as well"
            )
        self._place = replace(
            mine,
            gap_s=max(mine.gap_s, place.gap_s),
            timeout_s=max(mine.timeout_s, place.timeout_s),
            quiet_s=max(mine.quiet_s, place.quiet_s),
        )
        self._gaps[place.unit] = max(self._gaps.get(place.unit, 0.0), place.gap_s)
        for memory in self._units.values():
            memory.quiet_s = self._place.quiet_s
        self._references += 1

    def is_stale(self) -> bool:
        """Closed, or left behind by an event loop that has ended."""
        return self._closing.is_set() or (self._loop is not None and self._loop.is_closed())

    async def _registers(self, request: Request) -> list[int]:
        return list((await self._exchange(request)).registers)

    async def _bits(self, request: Request) -> list[bool]:
        return [bool(bit) for bit in (await self._exchange(request)).bits[: request.count]]

    async def _shielded(self, call: Coroutine[Any, Any, _T]) -> _T:
        """A caller may be cancelled, a frame may not: its answer would be taken for the next one's."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop or self._closing.is_set():
            call.close()
            if self._loop is not loop:
                raise RuntimeError(f"the bus at {self._place} belongs to another event loop")
            raise DeviceClosed(f"{self._place}: closed")
        task = loop.create_task(call)
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    async def _in_turn(self, unit: int, call: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        async with self._turns.setdefault(unit, asyncio.Lock()):
            return await call()

    async def _exchange(self, request: Request) -> Any:
        """The checked answer to `request`, which is sent twice if need be."""
        memory = self._memory(request.unit)
        now = asyncio.get_running_loop().time()
        if now < (probe_at := memory.probe_at(request)):
            memory.counts["skipped"] += 1
            raise DeviceTimeout(
                f"unit {request.unit} at {self._place}: no answer {memory.failed_in_row} times in a row; "
                f"asked again in {probe_at - now:.0f} s"
            )
        tries = 1 if memory.probing else 2
        while True:
            tries -= 1
            await self._pause_until(memory.free_at(request))
            try:
                answer = await self._ask(request, memory)
            except (NoAnswer, Mismatch) as error:
                if tries:
                    memory.counts["retried"] += 1
                    continue
                memory.gave_up(asyncio.get_running_loop().time())
                raise self._failure(request, error) from error
            if not answer.isError():
                memory.failed_in_row = 0
                return answer
            code = answer.exception_code
            if code in GATEWAY:
                memory.gave_up(asyncio.get_running_loop().time())
            else:
                memory.failed_in_row = 0
            memory.counts["refused"] += 1
            if tries and code in BUSY:
                memory.counts["retried"] += 1
                await self._pause_until(asyncio.get_running_loop().time() + _BUSY_PAUSE_S)
                continue
            raise DeviceRefused(f"unit {request.unit} at {self._place}: {request}: {exception_text(code)}")

    def _memory(self, unit: int) -> UnitMemory:
        if unit not in self._units:
            numbered = isinstance(self._place, TcpGateway)
            self._units[unit] = UnitMemory(self._place.quiet_s, self._probe_s, numbered=numbered)
        return self._units[unit]

    async def _ask(self, request: Request, memory: UnitMemory) -> Any:
        """One frame and its answer, as soon as the line is free."""
        loop = asyncio.get_running_loop()
        gap_s = self._gap_s(request.unit)
        async with self._line.turn(gap_s, patient=request.values is None):
            if not self._wire.connected:
                await self._connect()
            await self._wait_for_silence(gap_s)
            sent_at = loop.time()
            memory.sent(request)
            try:
                answer = await self._wire.ask(request, self._timeout_s(request))
                self._check_shape(request, answer)
            except NoAnswer as error:
                kind = "garbled" if error.garbled else "silent"
                memory.failed(request, kind, sent_at, loop.time())
                raise
            except Mismatch:
                memory.failed(request, "mismatched", sent_at, loop.time())
                raise
            except Lost as error:
                memory.failed(request, "silent", sent_at, loop.time())
                self._wire.close()
                raise DeviceTimeout(f"{self._place}: the port or connection was lost") from error
            finally:
                self._line.ended(gap_s)
            memory.answered(request, sent_at, loop.time())
            return answer

    _check_shape = staticmethod(check_shape)

    def _gap_s(self, unit: int) -> float:
        """The silence around the frames of `unit`; the longest of all where nobody said what it needs."""
        if unit not in self._gaps:
            return self._place.gap_s
        return max(self._gaps[unit], self._gaps.get(None, 0.0))

    async def _wait_for_silence(self, gap_s: float) -> None:
        """Until the last frame is `gap_s` ago; on a line that never falls silent, until that is hopeless."""
        loop = asyncio.get_running_loop()
        hopeless_at = loop.time() + self._place.timeout_s
        silent_at = self._line.silent_at(gap_s)
        while (silent_at := max(silent_at, self._wire.heard_at + self._line.silence_s(gap_s))) > loop.time():
            if loop.time() > hopeless_at:
                return
            await self._pause_until(silent_at)

    async def _connect(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._problem is not None and now < self._connect_at:
            raise DeviceTimeout(str(self._problem))
        try:
            await self._wire.connect()
        except DeviceTimeout as error:
            self._problem = error
            self._connect_at = asyncio.get_running_loop().time() + _RECONNECT_S
            raise
        self._problem = None

    async def _pause_until(self, moment: float) -> None:
        wait_s = moment - asyncio.get_running_loop().time()
        if wait_s > 0 and not self._closing.is_set():
            try:
                await asyncio.wait_for(self._closing.wait(), wait_s)
            except TimeoutError:
                return
        if self._closing.is_set():
            raise DeviceClosed(f"{self._place}: closed")

    def _timeout_s(self, request: Request) -> float:
        if isinstance(self._place, SerialLine):
            return self._place.timeout_s + request.wire_bytes() * _BITS_PER_BYTE / self._place.baudrate
        return self._place.timeout_s

    def _failure(self, request: Request, error: NoAnswer | Mismatch) -> Exception:
        where = f"unit {request.unit} at {self._place}: {request}"
        if isinstance(error, NoAnswer):
            return DeviceTimeout(f"{where}: {advice(error)}")
        return DeviceRefused(f"{where}: {error}")

    def _differs(self, unit: int, address: int, wrote: object, found: object) -> DeviceRefused:
        return DeviceRefused(f"unit {unit} at {self._place}: wrote {wrote} at {address}, reads back {found}")


_BUSES: dict[str, Bus] = {}


def bus_at(place: Place) -> Bus:
    """The bus at `place`, opened at its first request; `release` it once for each call of this.

    Raises `ValueError` if the port is in use with another speed or framing.
    """
    bus = _BUSES.get(_key(place))
    if bus is None or bus.is_stale():
        bus = _BUSES[_key(place)] = Bus(place)
    bus.share(place)
    return bus


def open_buses() -> list[Bus]:
    """The buses in use, for whoever shows their statistics."""
    return [bus for bus in _BUSES.values() if not bus.is_stale()]


def _key(place: Place) -> str:
    return str(place)


def line_of(place: Place) -> str:
    """How a place is spoken at: what everybody there has to agree on."""
    if isinstance(place, SerialLine):
        echo = "" if place.local_echo else ", no local echo"
        return f"{place.baudrate} baud, 8{place.parity}{place.stopbits}{echo}"
    return "Modbus TCP"


def _request(
    unit: int, function: int, address: int, count: int, values: tuple[int, ...] | None = None
) -> Request:
    _check(0 <= unit <= 255, f"unit {unit}; 0 to 255 exist")
    _check(address >= 0 and address + count <= 65536, f"{count} at {address}; addresses end at 65535")
    return Request(unit, function, address, count, values)


def _check(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)
