"""What every card reader promises (`hal.api.TagReader`), over every driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from hal.api import TagReader
from hal.clock import SteppedClock
from hal.device import TokenReader
from hal.emulators.pn532 import Pn532Emulator
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.reading import AttendedReader
from hal.registry import open_reader, reader_names
from hal.serial.keyboard import KeyboardReader
from hal.serial.pn532 import Pn532
from hal.serial.rdm6300 import Rdm6300
from hal.simulated.reader import SimulatedReader

CARD, OTHER = "04E12345A1", "AAAA000122"  # ten digits, as all readers can read


def _at_once() -> None: ...


@dataclass(slots=True)
class Bench:
    """A reader and a hand with a card; after `present` the card has been read, if the reader reads."""

    reader: TagReader
    present: Callable[[str], None]
    dismantle: Callable[[], None] = _at_once


def simulated() -> Bench:
    reader = open_reader({"driver": "simulated"}, SteppedClock())
    assert isinstance(reader, SimulatedReader)
    return Bench(reader, reader.present)


class Counted:
    """A `TokenReader` that says when it is open and counts what it reads."""

    def __init__(self, reader: TokenReader) -> None:
        self._reader = reader
        self.opened = asyncio.Event()
        self.count = 0

    async def open(self) -> None:
        await self._reader.open()
        self.opened.set()

    async def close(self) -> None:
        await self._reader.close()

    async def tokens(self) -> AsyncIterator[str]:
        async for uid in self._reader.tokens():
            self.count += 1
            yield uid


@dataclass(slots=True)
class Emulated:
    """A driver over emulated bytes; the loop runs while a card is presented."""

    make: Callable[[PtyBus], tuple[TokenReader, Callable[[str], None]]]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def bench(self) -> Bench:
        return self.loop.run_until_complete(self._build())

    async def _build(self) -> Bench:
        bus = PtyBus(1)
        driver, show = self.make(bus)
        counted = Counted(driver)
        reader = AttendedReader(counted)
        await asyncio.wait_for(counted.opened.wait(), 45)

        async def present(uid: str) -> None:
            before = counted.count
            show(uid)
            async with asyncio.timeout(45):
                while counted.count == before and not reader.closed:
                    await asyncio.sleep(0.001)

        async def dismantle() -> None:
            reader.close()
            await reader.wait_closed()
            bus.close()

        def end() -> None:
            self.loop.run_until_complete(dismantle())
            self.loop.close()

        return Bench(reader, lambda uid: self.loop.run_until_complete(present(uid)), end)


class Keyboard:
    """What evdev's InputDevice promises, as far as it is used."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    def grab(self) -> None: ...

    def close(self) -> None: ...

    async def async_read_loop(self) -> AsyncIterator[Any]:
        while True:
            yield await self.events.get()

    def type(self, uid: str) -> None:
        codes = {**{str(n % 10): n + 1 for n in range(1, 11)}, "A": 30, "E": 18}
        for code in [*(codes[key] for key in uid), 28]:
            self.events.put_nowait(SimpleNamespace(type=1, code=code, value=1))


def rdm6300() -> Bench:
    return Emulated(lambda bus: (Rdm6300(bus.names[0]), Rdm6300Emulator(bus).present)).bench()


def pn532() -> Bench:
    def make(bus: PtyBus) -> tuple[TokenReader, Callable[[str], None]]:
        emulator = Pn532Emulator(bus)

        def show(uid: str) -> None:
            emulator.card = uid + "0102"  # these have 4, 7 or 10 bytes

        return Pn532(bus.names[0], poll_s=0.002), show

    return Emulated(make).bench()


def keyboard() -> Bench:
    device = Keyboard()
    return Emulated(
        lambda bus: (KeyboardReader("x", "hex", open_device=lambda path: device), device.type)
    ).bench()


BENCHES: dict[str, Callable[[], Bench]] = {
    "simulated": simulated,
    "rdm6300": rdm6300,
    "pn532": pn532,
    "keyboard": keyboard,
}


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = BENCHES[request.param]()
    yield made
    made.dismantle()


def _cards(bench: Bench) -> list[str]:
    seen: list[str] = []
    bench.reader.on_tag = lambda uid: seen.append(uid[:10])
    return seen


def test_every_driver_has_a_bench() -> None:
    assert set(BENCHES) == set(reader_names())


def test_a_card_is_reported_as_upper_case_hex_of_at_most_20_characters(bench: Bench) -> None:
    seen: list[str] = []
    bench.reader.on_tag = seen.append
    bench.present(CARD)
    assert [uid[:10] for uid in seen] == [CARD]
    assert len(seen[0]) <= 20
    assert set(seen[0]) <= set("0123456789ABCDEF")


def test_two_cards_are_reported_in_order(bench: Bench) -> None:
    seen = _cards(bench)
    bench.present(CARD)
    bench.present(OTHER)
    assert seen == [CARD, OTHER]


def test_a_card_nobody_waits_for_is_forgotten(bench: Bench) -> None:
    bench.present(CARD)
    seen = _cards(bench)
    bench.present(OTHER)
    assert seen == [OTHER]


def test_it_vouches_for_nobody_without_a_list(bench: Bench) -> None:
    assert not bench.reader.vouches(CARD)


def test_a_closed_reader_reads_nothing_and_may_be_closed_again(bench: Bench) -> None:
    seen = _cards(bench)
    bench.reader.close()
    bench.reader.close()
    bench.present(CARD)
    assert seen == []
