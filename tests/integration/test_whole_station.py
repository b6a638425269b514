"""A whole charge point on emulated hardware: controller, meter and card reader as on a wall, and what breaks.

Everything above the wires is what a user runs. The faults that take a station's own 10 s and more to be told
are played by `make campaign`, as are rounds of chance; `make soak` charges on a bad line for long.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from hal.emulators.meter import MeterFault
from hal.simulated.vehicle import load_vehicle
from tests.integration.nursery import ROOT
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, StationProcess
from tests.integration.whole_station import (
    BAUD,
    BOOT_CURRENT_A,
    CARDS,
    REGISTER_WH,
    Wallbox,
    Witness,
    never_shown,
    until,
    wallbox,
)
from tests.standstills import again_after_a_standstill

SAFE_OFF_S = 3.0
ROUNDS = 30
AT_ONCE = 6
"""Rounds wait for vehicles most of the time."""

FAST = {"poll_s": 0.2, "meter_s": 0.5}
LIMITS_A = (6.0, 8.0, 10.0, 13.0, 32.0)


async def safe_off(place: Wallbox) -> None:
    """`chargepoint hardware safe-off`, as systemd calls it after the service has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chargepoint", "hardware", "safe-off", "--config", str(place.config)),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def killed(cp: StationProcess) -> None:
    """SIGKILL: no path of the program's own is taken any more."""
    cp.process.send_signal(signal.SIGKILL)
    assert await cp.ended() == -signal.SIGKILL


async def reached(place: Wallbox) -> None:
    """Wait until the controller is asked, and its answers are believed, again."""
    asked_at = place.bay.board.asked_at
    before = len(asked_at)
    await until(lambda: len(asked_at) > before + 1)


@again_after_a_standstill
def test_a_charge_at_9600_baud_follows_its_central_system_and_is_billed_by_its_meter(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path, baud=BAUD) as place, place.powered() as cp:
            bay = place.bay
            await cp.sent("StatusNotification", connectorId=1, status="Available")
            assert bay.board.amps == 0
            async with Witness(place).watching() as witness:
                started = await place.charging(cp)
                assert (started["idTag"], started["meterStart"]) == (CARDS[0], REGISTER_WH)
                assert bay.board.amps == 32

                await place.limit(10.0)
                witness.limit(10.0)
                await until(lambda: bay.board.amps == 10, 2.0)
                await until(lambda: 9.0 < bay.drawn_a <= 10.0, 6.0)
                await cp.sent("MeterValues")

                await place.limit(0.0)
                witness.limit(0.0)
                await until(lambda: bay.board.amps == 0 and not bay.outlet.closed, 2.0)
                await cp.sent("StatusNotification", connectorId=1, status="SuspendedEVSE")

                assert place.running is not None
                stop = {"transactionId": place.running.transaction_id}
                assert (await place.central.call(CP, "RemoteStopTransaction", stop))["status"] == "Accepted"
                stopped = await cp.sent("StopTransaction", reason="Remote")
                assert stopped["meterStop"] == bay.register_wh > REGISTER_WH
            await cp.shut_down()
            assert witness.problems == place.wrong_values() == []

    play(story)


@pytest.mark.campaign
def test_a_raised_limit_comes_as_soon_as_a_vehicle_may_be_given_another(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place, place.powered() as cp:
            bay = place.bay
            await place.charging(cp)
            await place.limit(0.0)
            await cp.sent("StatusNotification", connectorId=1, status="SuspendedEVSE")
            await until(lambda: not bay.outlet.closed, 2.0)
            await place.no_limit()
            await until(lambda: bay.board.amps == 32, 7.0)
            await cp.sent("StatusNotification", connectorId=1, status="Charging")
            await until(lambda: bay.drawn_a > 10.0)

    play(story)


@pytest.mark.campaign
def test_a_kill_is_made_safe_from_outside_and_every_wh_is_billed_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place:
            bay = place.bay
            async with place.powered() as cp:
                await place.charging(cp, CARDS[0])
                await killed(cp)
            await asyncio.sleep(1.0)  # real time is the matter: nobody looks after the board
            assert (bay.board.amps, bay.outlet.closed) == (32, True)
            killed_at = time.monotonic()
            await safe_off(place)
            assert (bay.board.amps, bay.outlet.closed) == (0, False)
            assert time.monotonic() - killed_at < SAFE_OFF_S

            async with place.powered() as cp:
                stopped = await cp.sent("StopTransaction")
                assert stopped["reason"] == "PowerLoss"
                assert (bay.board.amps, bay.outlet.closed) == (0, False)
                bay.outlet.evse.plug_out()
                await cp.sent("StatusNotification", connectorId=1, status="Available")
                await place.charging(cp, CARDS[1])
                await killed(cp)
            async with place.powered() as cp:  # nobody brought it to safety this time
                await until(lambda: bay.board.amps == 0, 3.0)
                assert (await cp.sent("StopTransaction"))["reason"] == "PowerLoss"
                bay.outlet.evse.plug_out()
                await cp.sent("StatusNotification", connectorId=1, status="Available")
                await place.charging(cp, CARDS[2])
                bay.outlet.evse.plug_out()
                await cp.sent("StopTransaction", reason="EVDisconnected")
                await cp.shut_down()
            check_bill(place, 3)

    play(story)


@pytest.mark.campaign
@pytest.mark.parametrize("resumes", [False, True], ids=["ends", "goes-on"])
@pytest.mark.parametrize("fault", [MeterFault.RESET, MeterFault.LEAP], ids=str)
def test_a_meter_whose_register_leapt_is_billed_right_over_a_kill(
    tmp_path: Path, fault: MeterFault, resumes: bool
) -> None:
    async def story() -> None:
        async with wallbox(tmp_path, evse=FAST, resume_tx_after_power_loss=resumes) as place:
            bay = place.bay
            async with place.powered() as cp:
                await place.charging(cp)
                bay.meter.inject(fault)
                await place.limit(0.0)
                await until(lambda: bay.drawn_a == 0)
                await until(lambda: energies(place)[-3:] == energies(place)[-1:] * 3)
                uncounted_wh = bay.register_wh - energies(place)[-1]  # between two readings, when it leapt
                assert 0 <= uncounted_wh < 20
                await place.no_limit()
                await until(lambda: bay.drawn_a > 10.0)
                await killed(cp)
            before_wh = bay.register_wh
            await asyncio.sleep(2.0)  # real time is the matter: the board goes on
            assert bay.register_wh > before_wh + 3
            async with place.powered() as cp:
                if resumes:
                    await cp.sent("MeterValues")
                    bay.outlet.evse.plug_out()
                stopped = await cp.sent("StopTransaction")
                assert stopped["reason"] == ("EVDisconnected" if resumes else "PowerLoss")
                assert bay.register_wh - uncounted_wh - 1 <= stopped["meterStop"] <= bay.register_wh
                told = [*energies(place), stopped["meterStop"]]
                assert told == sorted(told)
                await cp.shut_down()

    play(story)


def energies(place: Wallbox) -> list[int]:
    """The registers told in samples so far, in their order."""
    return [
        int(value["sampledValue"][0]["value"])
        for transaction in place.central.transactions(CP)
        for values in transaction.meter_values
        for value in values["meterValue"]
    ]


@pytest.mark.campaign
@pytest.mark.parametrize("stops_after_s", [60, 1])
def test_a_controller_silent_for_15_s_is_a_fault_and_ends_the_transaction_if_told_so(
    tmp_path: Path, stops_after_s: int
) -> None:
    async def story() -> None:
        async with (
            wallbox(tmp_path, fault_stops_transaction_after_s=stops_after_s) as place,
            place.powered() as cp,
            Witness(place).watching() as witness,
        ):
            bay, faults = place.bay, place.devices.faults
            await place.charging(cp)
            witness.out_of_reach = True
            faults.unit = bay.board.unit
            faults.set("drop_request")
            await asyncio.sleep(5.0)
            assert cp.calls("StatusNotification")[-1][1]["status"] == "Charging"
            faulted = await cp.sent("StatusNotification", connectorId=1, status="Faulted")
            assert faulted["errorCode"] == "InternalError"
            await asyncio.sleep(5.0)
            faults.clear()
            await reached(place)
            witness.out_of_reach = False
            await cp.sent("StatusNotification", connectorId=1, errorCode="NoError")
            if stops_after_s == 1:
                await cp.sent("StopTransaction", reason="Other")
                assert (bay.board.amps, bay.outlet.closed) == (0, False)
            else:
                await until(lambda: bay.board.amps == 32 and bay.drawn_a > 10.0)
                assert place.running is not None
                bay.outlet.evse.plug_out()
                await cp.sent("StopTransaction", reason="EVDisconnected")
                check_bill(place, 1)
            await cp.shut_down()
            assert witness.problems == []

    play(story)


@pytest.mark.campaign
@pytest.mark.parametrize("meter_lost", ["stop", "continue"])
def test_a_silent_meter_has_the_reaction_that_was_configured(tmp_path: Path, meter_lost: str) -> None:
    async def story() -> None:
        async with wallbox(tmp_path, evse={"meter_lost": meter_lost}) as place, place.powered() as cp:
            bay, faults = place.bay, place.devices.faults
            await place.charging(cp)
            faults.unit = bay.meter.unit
            faults.set("drop_request")
            silent_at = time.monotonic()
            await until(lambda: any("PowerMeterFailure" in str(call) for call in cp.calls()), 75.0)
            assert time.monotonic() - silent_at > 55.0
            told = await cp.sent("StatusNotification", connectorId=1, errorCode="PowerMeterFailure")
            stays = meter_lost == "continue"
            assert told["status"] == ("Charging" if stays else "Faulted")
            await until(lambda: bay.outlet.closed is stays)
            faults.clear()
            await cp.sent("StatusNotification", connectorId=1, errorCode="NoError")
            await until(lambda: bay.drawn_a > 10.0)
            bay.outlet.evse.plug_out()
            await cp.sent("StopTransaction", reason="EVDisconnected")
            check_bill(place, 1)
            await cp.shut_down()

    play(story, 150.0)


@pytest.mark.campaign
def test_an_adapter_that_comes_back_as_another_port_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place, place.powered() as cp:
            bay = place.bay
            await place.charging(cp)
            before = os.readlink(place.line.names[0])
            place.line.unplug(0)
            await place.limit(10.0)
            await asyncio.sleep(2.0)
            assert bay.board.amps == 32
            held = [end for _ in range(3) for end in os.openpty()]  # somebody takes the number it had
            place.line.replug(0)
            assert os.readlink(place.line.names[0]) != before
            await until(lambda: bay.board.amps == 10, 6.0)
            for end in held:
                os.close(end)
            assert not any(call["status"] == "Faulted" for _, call in cp.calls("StatusNotification"))
            bay.outlet.evse.plug_out()
            await cp.sent("StopTransaction", reason="EVDisconnected")
            check_bill(place, 1)
            await cp.shut_down()

    play(story)


@pytest.mark.campaign
def test_a_board_that_forgets_its_limit_or_is_turned_by_hand_is_told_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place, place.powered() as cp:
            bay = place.bay
            await place.charging(cp)
            async with Witness(place, reacts_s=5.5).watching() as witness:
                await place.limit(10.0)
                witness.limit(10.0)
                await until(lambda: bay.board.amps == 10, 2.0)
                bay.board.reboot()
                assert bay.board.amps == BOOT_CURRENT_A
                await until(lambda: bay.board.amps == 10, 2.0)
                await until(lambda: 9.0 < bay.drawn_a <= 10.0)
                bay.board.turn(6.0)
                await until(lambda: bay.board.amps == 10, 8.0)
                await until(lambda: 9.0 < bay.drawn_a <= 10.0)
                assert not any(call["status"] == "Faulted" for _, call in cp.calls("StatusNotification"))
                bay.board.turn(32.0)  # the third time is no accident
                told = await cp.sent("StatusNotification", connectorId=1, status="Faulted")
                assert (told["errorCode"], told["vendorErrorCode"]) == ("InternalError", "LimitIgnored")
                await until(lambda: bay.board.amps == 0 and not bay.outlet.closed)
                bay.outlet.evse.plug_out()
                await cp.sent("StopTransaction", reason="EVDisconnected")
                check_bill(place, 1)
                assert witness.problems == []
            await cp.shut_down()

    play(story, 120.0)


@pytest.mark.campaign
def test_a_vehicle_without_its_diode_gets_nothing_as_long_as_that_lasts(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place, place.powered() as cp:
            bay = place.bay
            await place.charging(cp)
            bay.outlet.failed = True
            trouble = {"status": "SuspendedEVSE", "errorCode": "EVCommunicationError"}  # OCPP 1.6 §7.6
            await cp.sent("StatusNotification", connectorId=1, **trouble)
            await until(lambda: bay.board.amps == 0 and not bay.outlet.closed, 2.0)
            bay.outlet.failed = False
            await cp.sent("StatusNotification", connectorId=1, errorCode="NoError")
            await until(lambda: bay.drawn_a > 10.0)
            bay.outlet.evse.plug_out()
            await cp.sent("StopTransaction", reason="EVDisconnected")
            check_bill(place, 1)
            await cp.shut_down()

    play(story)


@pytest.mark.campaign
def test_rounds_of_chance(tmp_path: Path) -> None:
    """Each round is its seed; CHANCE_SEED and CHANCE_ROUNDS choose others."""
    first, rounds = int(os.environ.get("CHANCE_SEED", "1")), int(os.environ.get("CHANCE_ROUNDS", ROUNDS))
    wrong: dict[int, list[str]] = {}
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with at_once:
            try:
                problems = await play_round(tmp_path / str(seed), drawn(seed), seed)
            except Exception as error:
                problems = [f"{drawn(seed)}: {type(error).__name__}: {error}"]
        if problems:
            wrong[seed] = problems

    async def story() -> None:
        await asyncio.gather(*(one(seed) for seed in range(first, first + rounds)))

    play(story, 120.0 * rounds / AT_ONCE + 120.0)
    assert wrong == {}


@again_after_a_standstill
def test_a_session_with_mishaps_on_a_bad_line(tmp_path: Path) -> None:
    async def story() -> None:
        assert await play_round(tmp_path, [["bad frames", "limit", "reboot", "kill"]], 1) == []

    play(story)


@pytest.mark.soak
def test_a_line_with_bad_frames_never_tells_a_wrong_value(tmp_path: Path) -> None:
    """SOAK_MINUTES at 9600 baud with SOAK_BAD (1 %) of all frames bad, in every way there is."""
    minutes, bad = float(os.environ.get("SOAK_MINUTES", "2")), float(os.environ.get("SOAK_BAD", "0.01"))

    async def story() -> None:
        ends_at, sessions = time.monotonic() + minutes * 60, 0
        async with (
            wallbox(tmp_path, baud=BAUD) as place,
            Witness(place).watching() as witness,
            place.powered() as cp,
        ):
            place.bad_frames(bad)
            dice = Random(1)
            while time.monotonic() < ends_at:
                card = CARDS[sessions % len(CARDS)]
                sessions += 1
                await place.charging(cp, card)
                for _ in range(4):
                    limit_a = dice.choice(LIMITS_A)
                    await place.limit(limit_a)
                    witness.limit(limit_a)
                    await asyncio.sleep(8.0)
                place.bay.outlet.evse.plug_out()
                await cp.sent("StopTransaction", reason="EVDisconnected")
                await cp.sent("StatusNotification", connectorId=1, status="Available")
            await cp.shut_down()
            injected = place.devices.faults.injected
            values = sum(
                len(value["sampledValue"])
                for transaction in place.central.transactions(CP)
                for values in transaction.meter_values
                for value in values["meterValue"]
            )
            wrong, faulted = place.wrong_values(), troubles(cp)
            longest = {what: round(seconds, 1) for what, seconds in witness.longest_s.items()}
            print(
                f"\n{minutes:g} min, {sessions} sessions, {place.devices.requests} requests, "
                f"{injected.total()} of them spoilt, {values} values told, {len(wrong)} wrong, "
                f"{len(faulted)} faults told, longest: {longest}"
            )
            assert injected.total() > 0
            assert (wrong, faulted, witness.problems) == ([], [], [])
            assert sum(to_wh - from_wh for _, from_wh, to_wh in place.billed()) == (
                place.bay.register_wh - int(REGISTER_WH)
            )

    play(story, minutes * 60 + 120.0)


def troubles(cp: StationProcess) -> list[Line]:
    """The faults the station told of."""
    return [call for _, call in cp.calls("StatusNotification") if call["errorCode"] != "NoError"]


@pytest.mark.campaign
def test_the_witness_sees_what_must_not_be(tmp_path: Path) -> None:
    async def story() -> None:
        async with wallbox(tmp_path) as place, Witness(place, reacts_s=0.2).watching() as witness:
            place.bay.outlet.evse.plug_in(load_vehicle("compact"))
            place.bay.outlet.signal(32.0)  # no station is there
            witness.limit(10.0)
            await until(lambda: len({problem.split(" for ")[0] for problem in witness.problems}) == 2)
            at_time = datetime.now(UTC)
            for moved_s, wh, wrong in ((0, 0.0, 0), (0, 5.0, 1), (-30, 0.0, 1)):
                reading = place.bay.show()
                values = {
                    "timestamp": (at_time + timedelta(seconds=moved_s)).isoformat(),
                    "sampledValue": [{"value": str(reading.energy_wh + wh)}],
                }
                assert len(never_shown({"meterValue": [values]}, place.bay.shown)) == wrong

    play(story)


# --- rounds of chance -----------------------------------------------------------------------------------

Sessions = list[list[str]]
"""What befalls each session, in order."""


def drawn(seed: int) -> Sessions:
    """Two sessions; a board that forgets twice in a minute is a fault of its own, so it may do that once."""
    dice = Random(seed)
    may = [
        "limit",
        "limit",
        "adapter",
        "silence",
        "diode",
        "kill",
        "killed, made safe",
        "bad frames",
        "meter",
    ]
    sessions = [dice.sample(may, 3) for _ in range(2)]
    sessions[dice.randrange(2)].insert(0, dice.choice(["reboot", "turn"]))
    return sessions


async def play_round(folder: Path, sessions: Sessions, seed: int) -> list[str]:
    """Play these sessions on one charge point; what is wrong with what it did and told."""
    dice, left, played = Random(seed), list(sessions), 0
    async with wallbox(folder, seed=seed, evse=FAST) as place, Witness(place).watching() as witness:
        bay = place.bay
        while left or place.running is not None:
            async with place.powered() as cp:
                await until(lambda: bay.board.amps == 0, 8.0)
                witness.out_of_reach = False
                if place.running is not None:
                    await cp.sent("StopTransaction", reason="PowerLoss")
                    bay.outlet.evse.plug_out()
                    await cp.sent("StatusNotification", connectorId=1, status="Available")
                while left:
                    played += 1
                    await place.charging(cp, CARDS[played])
                    if await befall(place, cp, witness, left.pop(0), dice):
                        break
                    bay.outlet.evse.plug_out()
                    await until(lambda: place.running is None, 75.0)
                    await cp.sent("StatusNotification", connectorId=1, status="Available")
                else:
                    await cp.shut_down()
        return witness.problems + misbilled(place, played) + place.wrong_values()


async def befall(
    place: Wallbox, cp: StationProcess, witness: Witness, mishaps: list[str], dice: Random
) -> bool:
    """Let it happen, one after the other; whether the program was killed."""
    bay, faults = place.bay, place.devices.faults
    for mishap in mishaps:
        match mishap:
            case "bad frames":
                place.bad_frames(0.05)
            case "limit":
                limit_a = dice.choice(LIMITS_A)
                await place.limit(limit_a)
                witness.limit(limit_a)
            case "reboot":
                bay.board.reboot()
            case "turn":
                bay.board.turn(dice.choice(LIMITS_A))
            case "adapter":
                witness.out_of_reach = True
                place.line.unplug(0)
                await asyncio.sleep(dice.uniform(0.2, 4.0))
                place.line.replug(0)
                await reached(place)
                witness.out_of_reach = False
            case "silence":
                witness.out_of_reach = True
                faults.unit = bay.board.unit
                faults.set("drop_request")
                await asyncio.sleep(dice.uniform(0.5, 4.0))
                faults.set("drop_request", 0.0)
                faults.unit = None
                await reached(place)
                witness.out_of_reach = False
            case "diode":
                bay.outlet.failed = True
                await until(lambda: bay.board.amps == 0, 8.0)
                bay.outlet.failed = False
            case "meter":
                bay.meter.inject(MeterFault.NAN)
                await asyncio.sleep(dice.uniform(0.5, 3.0))
                bay.meter.mend(MeterFault.NAN)
            case _:
                witness.out_of_reach = True
                await killed(cp)
                await asyncio.sleep(dice.uniform(0.0, 1.0))
                if mishap == "killed, made safe":
                    await safe_off(place)
                    assert (bay.board.amps, bay.outlet.closed) == (0, False)
                return True
        await asyncio.sleep(dice.uniform(0.3, 1.5))
    return False


def misbilled(place: Wallbox, sessions: int) -> list[str]:
    """Every session begins where the one before ended, and the last ends where the meter stands."""
    billed = place.billed()
    wrong = [] if len({card for card, _, _ in billed}) == len(billed) == sessions else [f"sessions: {billed}"]
    at_wh = int(REGISTER_WH)
    for card, from_wh, to_wh in billed:
        if from_wh != at_wh:
            wrong.append(f"{card}: starts at {from_wh} Wh, and the one before ended at {at_wh}")
        at_wh = to_wh
    if at_wh != place.bay.register_wh:
        wrong.append(f"told up to {at_wh} Wh, and the meter stands at {place.bay.register_wh}")
    return wrong


def check_bill(place: Wallbox, sessions: int) -> None:
    """The central system was told what flowed."""
    assert misbilled(place, sessions) == place.wrong_values() == []
