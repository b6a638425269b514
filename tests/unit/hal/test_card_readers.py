"""Card readers (`hal.serial.rdm6300`, `pn532`, `keyboard`) and what keeps them open (`hal.reading`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import DeviceError, DeviceTimeout, Fault, FaultKind
from hal.clock import SteppedClock
from hal.device import DeviceClosed
from hal.emulators.pn532 import Pn532Emulator, Pn532Faults
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.reading import AttendedReader
from hal.registry import open_reader
from hal.serial import pn532, rdm6300
from hal.serial.keyboard import KeyboardReader, Typing
from hal.serial.pn532 import Pn532
from hal.serial.rdm6300 import Rdm6300
from hal.whitelist import Whitelist

pytestmark = pytest.mark.emulated

CARD, OTHER = "100086F444", "0F00ABCDEF"


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def within(work: Awaitable[None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(45):
            await work

    asyncio.run(main())


# --- frames -----------------------------------------------------------------------------------------


def test_the_rdm6300s_own_example() -> None:
    assert rdm6300.frame(CARD) == b"\x02100086F44426\x03"
    assert rdm6300.Frames().feed(b"\x02100086F44426\x03") == [CARD]


@pytest.mark.parametrize(
    "noise",
    [
        b"\x02",
        b"\x02\x02\x02",
        b"\x03\xff",
        b"\x02100086F44427\x03",
        b"\x02100086F4",
        b"\x02100086F4442G\x03",
        b"\x02100086F444266",
        b"\x00" * 50,
    ],
)
def test_the_card_after_noise_is_read(noise: bytes) -> None:
    assert rdm6300.Frames().feed(noise + rdm6300.frame(OTHER)) == [OTHER]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_upset_an_rdm6300(pieces: list[bytes]) -> None:
    frames = rdm6300.Frames()
    for piece in pieces:
        for uid in frames.feed(piece):
            assert len(uid) == 10
    assert OTHER in frames.feed(b"\x03" * 14 + rdm6300.frame(OTHER))


def test_the_pn532s_frames_are_as_documented() -> None:
    assert pn532.frame(b"\xd4\x14\x01\x00\x01") == bytes.fromhex("0000FF05FBD41401000116 00")
    assert pn532.frame(b"\xd4\x4a\x01\x00") == bytes.fromhex("0000FF04FCD44A0100E100")
    assert pn532.Frames().feed(pn532.ACK + pn532.NACK) == [pn532.ACK, pn532.NACK]


@pytest.mark.parametrize(
    ("answer", "uid"),
    [
        ("D54B01010004080412345678", "12345678"),
        ("D54B010100442007 04E12345A1B2C3", "04E12345A1B2C3"),
        ("D54B01010044200A 00112233445566778899", "00112233445566778899"),
        ("D54B00", None),
        ("D54B0101000408", None),
        ("D54B01010004080412", None),
        ("D54B0101000408051234567890", None),
        ("D54B01010004080012", None),
    ],
)
def test_a_card_is_found_in_the_answer(answer: str, uid: str | None) -> None:
    assert pn532.uid_of(bytes.fromhex(answer)) == uid


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_upset_a_pn532(pieces: list[bytes]) -> None:
    frames = pn532.Frames()
    for piece in pieces:
        for content in frames.feed(piece):
            pn532.uid_of(content)
    rest = frames.feed(b"\x55" * 300 + pn532.frame(b"\xd5\x4b\x00"))
    assert rest[-1] == b"\xd5\x4b\x00"


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300), st.integers(0, 2))),
    st.sampled_from(["dec10", "hex"]),
)
def test_no_keys_upset_a_keyboard(events: list[tuple[int, int, int]], form: str) -> None:
    typing = Typing(form)
    for event in events:
        uid = typing.feed(*event)
        assert uid is None or 1 <= len(uid) <= 20
    typing.feed(1, 28, 1)
    assert [typing.feed(1, code, 1) for code in (2, 3, 28)][-1] == ("0000000C" if form == "dec10" else "12")


# --- readers ----------------------------------------------------------------------------------------


def test_a_card_held_before_an_rdm6300_counts_once() -> None:
    async def main() -> None:
        time = Time()
        with PtyBus(1) as bus:
            emulator = Rdm6300Emulator(bus)
            reader = Rdm6300(bus.names[0], now=time)
            await reader.open()
            tokens = reader.tokens()
            emulator.present(CARD)
            assert await anext(tokens) == CARD
            time.now += 1.9
            emulator.present(CARD)
            emulator.repeats = 1
            emulator.present(OTHER)
            assert await anext(tokens) == OTHER, "the first one was still there"
            time.now += 2.1
            emulator.present(CARD)
            assert await anext(tokens) == CARD
            await reader.close()

    within(main())


def test_an_rdm6300_reads_the_card_among_faults() -> None:
    async def main() -> None:
        with PtyBus(1) as bus:
            emulator = Rdm6300Emulator(bus)
            reader = Rdm6300(bus.names[0])
            await reader.open()
            tokens = reader.tokens()
            emulator.present_garbled(CARD)
            emulator.present_cut(CARD)
            emulator.noise(b"\xff\x00\x02\x02\x03")
            emulator.present(OTHER)
            assert await anext(tokens) == OTHER
            bus.unplug(0)
            with pytest.raises(DeviceTimeout, match="was the adapter unplugged"):
                await anext(tokens)
            await reader.close()

    within(main())


@pytest.mark.parametrize(
    "faults",
    [
        Pn532Faults(),
        Pn532Faults(silent=2),
        Pn532Faults(bad_checksum=1),
        Pn532Faults(protests=2),
        Pn532Faults(syntax_errors=2),
        Pn532Faults(unanswered=1),
        Pn532Faults(garbage=b"\x00\xff\x00\xff\x01\xff\x80"),
        Pn532Faults(pieces=True),
    ],
    ids=repr,
)
def test_a_pn532_reads_the_card_among_faults(faults: Pn532Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pn532, "_ACK_S", 0.1)
    monkeypatch.setattr(pn532, "_ANSWER_S", 0.1)

    async def main() -> None:
        with PtyBus(1) as bus:
            emulator = Pn532Emulator(bus)
            reader = Pn532(bus.names[0], poll_s=0.001)
            await reader.open()
            emulator.faults = faults
            emulator.card = "04E12345A1B2C3"
            tokens = reader.tokens()
            assert await anext(tokens) == "04E12345A1B2C3"
            emulator.card = "DEADBEEF"
            assert await anext(tokens) == "DEADBEEF", "the first one counted once"
            await reader.close()

    within(main())


def test_a_pn532_that_lost_its_supply_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pn532, "_ACK_S", 0.05)

    async def main() -> None:
        with PtyBus(1) as bus:
            emulator = Pn532Emulator(bus)
            reader = Pn532(bus.names[0], poll_s=0.001)
            await reader.open()
            emulator.restart()
            with pytest.raises(DeviceTimeout, match="select HSU"):
                await anext(reader.tokens())
            await reader.open()
            emulator.card = "DEADBEEF"
            assert await anext(reader.tokens()) == "DEADBEEF"
            await reader.close()
            with pytest.raises(DeviceClosed):
                await anext(reader.tokens())

    within(main())


@pytest.mark.parametrize(("accepted", "first"), [(False, "DEADBEEF"), (True, "08112233")])
def test_identifiers_made_up_by_phones_are_left_out(accepted: bool, first: str) -> None:
    async def main() -> None:
        with PtyBus(1) as bus:
            emulator = Pn532Emulator(bus)
            reader = Pn532(bus.names[0], poll_s=0.001, random_ids=accepted)
            await reader.open()
            emulator.card = "08112233"
            token = asyncio.ensure_future(anext(reader.tokens()))
            asked = len(emulator.heard)
            while len(emulator.heard) < asked + 3 and not token.done():
                await asyncio.sleep(0)
            emulator.card = "DEADBEEF"
            assert await token == first
            await reader.close()

    within(main())


class FakeKeyboard:
    """What evdev's InputDevice promises, as far as it is used."""

    def __init__(self) -> None:
        self.grabbed = self.closed = self.taken = False
        self.events: asyncio.Queue[tuple[int, int, int] | None] = asyncio.Queue()

    def grab(self) -> None:
        if self.taken:
            raise OSError(16, "Device or resource busy")
        self.grabbed = True

    def close(self) -> None:
        self.closed = True

    async def async_read_loop(self) -> AsyncIterator[Any]:
        while True:
            event = await self.events.get()
            if event is None:
                raise OSError(19, "No such device")
            yield SimpleNamespace(type=event[0], code=event[1], value=event[2])

    def type(self, *codes: int) -> None:
        for code in codes:
            for value in (1, 2, 0):  # down, repeated while held, up
                self.events.put_nowait((1, code, value))
            self.events.put_nowait((0, 0, 0))


DIGITS = {str(n % 10): n + 1 for n in range(1, 11)}


@pytest.mark.parametrize(
    ("form", "codes", "uid"),
    [
        ("dec10", [*(DIGITS[d] for d in "0008844356"), 28], "0086F444"),
        ("dec10", [82, 82, 82, 72, 72, 75, 75, 81, 76, 77, 96], "0086F444"),
        ("hex", [18, 30, 48, 2, 28], "EAB1"),
        ("hex", [42, 18, 46, 28], "EC"),
    ],
    ids=["digits", "keypad", "hex", "shift"],
)
def test_a_keyboard_types_a_card(form: str, codes: list[int], uid: str) -> None:
    async def main() -> None:
        device = FakeKeyboard()
        reader = KeyboardReader("/dev/input/x", form, open_device=lambda path: device)
        await reader.open()
        assert device.grabbed
        tokens = reader.tokens()
        device.type(28)
        device.type(2, 57, 28)  # a space: no card
        device.type(*codes)
        assert await anext(tokens) == uid
        device.events.put_nowait(None)
        with pytest.raises(DeviceTimeout, match="was it unplugged"):
            await anext(tokens)
        await reader.close()
        assert device.closed

    within(main())


def test_a_keyboard_somebody_else_has_is_given_back() -> None:
    async def main() -> None:
        device = FakeKeyboard()
        device.taken = True
        with pytest.raises(DeviceTimeout, match="another program has taken this keyboard"):
            await KeyboardReader("/dev/input/x", open_device=lambda path: device).open()
        assert device.closed

    within(main())


def test_without_evdev_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(DeviceError, match="apt install python3-evdev"):
        within(KeyboardReader("/dev/input/x").open())


# --- kept open --------------------------------------------------------------------------------------


@dataclass
class Kept:
    bus: PtyBus
    emulator: Rdm6300Emulator
    reader: AttendedReader
    tags: asyncio.Queue[str]
    faults: asyncio.Queue[Fault | None]


async def kept(bus: PtyBus, **options: Any) -> Kept:
    emulator = Rdm6300Emulator(bus)
    reader = AttendedReader(Rdm6300(bus.names[0], now=Time()), retry_s=0.001, **options)
    made = Kept(bus, emulator, reader, asyncio.Queue(), asyncio.Queue())
    reader.on_tag, reader.on_fault = made.tags.put_nowait, made.faults.put_nowait
    return made


async def opened(made: Kept, card: str = CARD) -> None:
    """Present a card until it is read: what is said before the port is open is lost."""
    while made.tags.empty():
        made.emulator.present(card)
        await asyncio.sleep(0.001)
    assert await made.tags.get() == card


def test_a_lost_reader_is_a_warning_until_it_is_back() -> None:
    async def main() -> None:
        with PtyBus(1) as bus:
            made = await kept(bus)
            await opened(made)
            bus.unplug(0)
            fault = await made.faults.get()
            assert fault is not None
            assert (fault.kind, fault.blocking) == (FaultKind.READER, False)
            assert "was the adapter unplugged" in fault.info
            bus.replug(0)
            assert await made.faults.get() is None
            await opened(made, OTHER)
            assert made.faults.empty(), "told once each"
            made.reader.close()
            made.reader.close()
            await made.reader.wait_closed()

    within(main())


def test_who_fails_to_take_a_card_gets_the_next_one() -> None:
    async def main() -> None:
        with PtyBus(1) as bus:
            made = await kept(bus)
            await opened(made)

            def fails_first(uid: str) -> None:
                if uid == OTHER:
                    raise RuntimeError("nobody home")
                made.tags.put_nowait(uid)

            made.reader.on_tag = fails_first
            made.emulator.present(OTHER)
            made.emulator.present("0000000001")
            assert await made.tags.get() == "0000000001"
            made.reader.close()
            await made.reader.wait_closed()

    within(main())


def test_a_reader_missing_at_the_start_is_told_to_whoever_asks_later() -> None:
    async def main() -> None:
        reader = open_reader({"driver": "rdm6300", "port": "/dev/serial/by-id/nobody"}, SteppedClock())
        assert isinstance(reader, AttendedReader)
        for _ in range(3):
            await asyncio.sleep(0)
        faults: list[Fault | None] = []
        reader.on_fault = faults.append
        assert faults[0] is not None
        assert "there is no such port" in faults[0].info
        reader.close()
        await reader.wait_closed()

    within(main())


@pytest.mark.parametrize("others", [True, False])
def test_a_whitelist_vouches_and_may_shut_out_all_others(tmp_path: Path, others: bool) -> None:
    async def main() -> None:
        file = tmp_path / "cards"
        file.write_text(f"# the family\n{CARD.lower()}  # mine\n\n")
        with PtyBus(1) as bus:
            made = await kept(bus, whitelist=Whitelist(file), others=others)
            await opened(made)
            assert made.reader.vouches(CARD)
            assert not made.reader.vouches(OTHER)
            made.emulator.present(OTHER)
            made.emulator.present("0000000001")
            file.write_text(f"{CARD}\n0000000001\n0000000002\n")
            made.emulator.present("0000000002")
            expected = [OTHER, "0000000001", "0000000002"] if others else ["0000000001", "0000000002"]
            assert [await made.tags.get() for _ in expected] == expected
            made.reader.close()
            await made.reader.wait_closed()

    within(main())


# --- whitelist --------------------------------------------------------------------------------------


def test_a_whitelist_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "cards"
    file.write_text("AA01\n")
    whitelist = Whitelist(file)
    assert "aa01" in whitelist
    assert "BB02" not in whitelist
    (tmp_path / "new").write_text("BB02\n")
    (tmp_path / "new").replace(file)
    assert "BB02" in whitelist
    assert "AA01" not in whitelist
    file.write_text("two words\n")
    assert "BB02" in whitelist, "a mistake changes nothing"
    file.unlink()
    assert "BB02" in whitelist
    file.write_text("CC03\n")
    assert "CC03" in whitelist


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"AA01\nAA 02\n", "line 2: 'AA 02' is not one identifier"),
        (b"A" * 21, "line 1"),
        (b"\xff\xfe", "is not a text file"),
    ],
)
def test_a_whitelist_with_a_mistake_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "cards").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Whitelist(tmp_path / "cards")


# --- registry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"driver": "rdm6300"}, "reader: port: missing; the serial port"),
        ({"driver": "rdm6300", "port": "/dev/x", "format": "hex"}, "reader: format: unknown"),
        ({"driver": "pn532", "port": "/dev/x", "random_ids": "no"}, "reader: random_ids: 'no'; there are"),
        ({"driver": "keyboard", "port": "/dev/x", "format": "bcd"}, "reader: format: 'bcd'; there are dec10"),
        ({"driver": "keyboard", "port": "/dev/x", "others": "ask"}, "reader: others: unknown"),
        ({"driver": "simulated", "whitelist": "/nowhere"}, "reader: whitelist: /nowhere: No such file"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_reader(settings, SteppedClock())
