"""OpenEVSE's frames (`hal.serial.rapi`), over a pseudo terminal where questions are asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import DeviceTimeout, EvseInfo
from hal.clock import SteppedClock
from hal.device import DeviceClosed
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator, RapiFaults
from hal.serial.rapi import Frames, Rapi, frame
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

# From the firmware's own header.
VECTORS = (
    "$GS^30 $GG^24 $GC^20 $GE^26 $GU^36 $GV^35 $GF^25 $G0^53 $GP^33 $FE^27 $SK 0^2C $F0 1^43 $GH^2B "
    "$SC 16 V^65 $SY 30 6^1B"
)


@pytest.mark.parametrize("vector", [f"${part}" for part in VECTORS.replace("$", "|").split("|") if part])
def test_a_frame_has_the_firmwares_checksum(vector: str) -> None:
    vector = vector.strip()
    body = vector[1:].partition("^")[0]
    assert frame(body) == vector.encode() + b"\r"
    assert Frames().feed(vector.encode() + b"\r") == [body.split()]


@pytest.mark.parametrize("vector", ["$FE*AF", "$FD*AE", "$FS*BD", "$FR*BC"])
def test_the_sum_of_older_firmware_is_understood(vector: str) -> None:
    assert Frames().feed(vector.encode() + b"\r") == [[vector[1:3]]]


@pytest.mark.parametrize(
    "noise", [b"", b"\r\r", b"\x00\xff", b"$OK^", b"$OK 1^FF\r", b"$", b"$OK^zz\r", b"$^\r", "$OK ä".encode()]
)
def test_the_frame_after_noise_is_found(noise: bytes) -> None:
    assert Frames().feed(noise + frame("OK 01")) == [["OK", "01"]]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_upset_it_and_it_finds_its_place_again(pieces: list[bytes]) -> None:
    frames = Frames()
    for piece in pieces:
        frames.feed(piece)
    assert frames.feed(b"\r" + frame("OK 01"))[-1] == ["OK", "01"]


class Rig:
    def __init__(self) -> None:
        clock = SteppedClock(1_800_000_000.0)
        self.bus = PtyBus(1)
        self.emulator = RapiEmulator(self.bus, Outlet(EvseInfo(phases=1), clock), clock)
        self.rapi = Rapi(self.bus.names[0], timeout_s=0.05, quiet_s=0.05)
        self.news: list[list[str]] = []
        self.rapi.news = self.news.append


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    try:
        yield made
    finally:
        made.rapi.close()
        made.emulator.close()
        made.bus.close()


def run(test: Callable[[Rig], object], *, faults: RapiFaults | None = None) -> None:
    async def main() -> None:
        async with rig() as made:
            if faults is not None:
                made.emulator.faults = faults
            await made.rapi.open()
            await test(made)  # type: ignore[misc]  # only tests of one argument are given

    run_jumping(main())


@pytest.mark.parametrize(
    "faults",
    [
        RapiFaults(),
        RapiFaults(silent=1),
        RapiFaults(bad_checksum=1),
        RapiFaults(garbled=1),
        RapiFaults(chatter=True),
        RapiFaults(garbage=b"\xff\x00$OK 99\r$"),
        RapiFaults(late=True),
        RapiFaults(truncated=1),
        RapiFaults(delayed=1, delay_s=0.15),
        RapiFaults(twice=True),
        RapiFaults(pieces=True),
        RapiFaults(no_numbers=True),
        RapiFaults(no_numbers=True, chatter=True),
    ],
    ids=lambda faults: repr(faults) if isinstance(faults, RapiFaults) else None,
)
def test_the_right_answer_comes_through(faults: RapiFaults) -> None:
    async def test(rig: Rig) -> None:
        for _ in range(3):
            assert (await rig.rapi.ask("GV")).words == ("5.1.0", "5.2.1")
            assert (await rig.rapi.ask("GC")).words == ("6", "32", "24", "32")
            assert len((await rig.rapi.ask("GU")).words) == 2

    run(test, faults=faults)


def test_questions_asked_at_once_take_turns() -> None:
    async def test(rig: Rig) -> None:
        answers = await asyncio.gather(*(rig.rapi.ask(body) for body in ("GC", "GV", "GU", "GC")))
        assert [len(answer.words) for answer in answers] == [4, 2, 2, 4]

    run(test)


def test_a_question_given_up_leaves_nothing_behind() -> None:
    async def test(rig: Rig) -> None:
        for body in ("GC", "GV", "GU"):
            task = asyncio.ensure_future(rig.rapi.ask(body))
            await asyncio.sleep(0)
            task.cancel()
            assert len((await rig.rapi.ask("GC")).words) == 4

    run(test)


def test_silence_is_a_time_out_after_two_tries() -> None:
    async def test(rig: Rig) -> None:
        rig.emulator.faults.silent = 2
        with pytest.raises(DeviceTimeout, match=r"no answer to \$GS"):
            await rig.rapi.ask("GS")
        assert rig.emulator.heard[-2:] == ["GS", "GS"]
        assert (await rig.rapi.ask("GS")).accepted

    run(test)


def test_no_is_an_answer() -> None:
    async def test(rig: Rig) -> None:
        answer = await rig.rapi.ask("SC 40 V")
        assert (answer.accepted, answer.words) == (False, ("32",))
        assert not (await rig.rapi.ask("XX")).accepted
        assert rig.emulator.heard.count("XX") == 1

    run(test)


def test_longer_requests_than_the_controller_takes_are_a_mistake() -> None:
    async def test(rig: Rig) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            await rig.rapi.ask("SC 1234567890 1234567890 V")

    run(test)


def test_news_come_at_any_time() -> None:
    async def test(rig: Rig) -> None:
        rig.emulator.press()
        rig.emulator.reboot()
        await rig.rapi.ask("GS")
        assert [words[0] for words in rig.news] == ["AN", "AB"]

    run(test)


def test_a_port_plugged_in_again_is_a_new_terminal() -> None:
    async def test(rig: Rig) -> None:
        rig.bus.unplug(0)
        with pytest.raises(DeviceTimeout, match=r"the port is gone|no such port"):
            await rig.rapi.ask("GS")
        with pytest.raises(DeviceTimeout, match="there is no such port; is the adapter plugged in"):
            await rig.rapi.ask("GS")
        rig.bus.replug(0)
        assert (await rig.rapi.ask("GS")).accepted

    run(test)


def test_a_port_is_ours_alone() -> None:
    async def test(rig: Rig) -> None:
        with pytest.raises(DeviceTimeout, match="another process has it open"):
            await Rapi(rig.bus.names[0]).open()

    run(test)


def test_after_close_nothing_is_asked() -> None:
    async def test(rig: Rig) -> None:
        rig.rapi.close()
        rig.rapi.close()
        with pytest.raises(DeviceClosed):
            await rig.rapi.ask("GS")

    run(test)
