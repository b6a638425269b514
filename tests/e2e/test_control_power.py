"""Power, restarts and the ends of a station under the control protocol."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepoint.csms.central_system import CentralSystem
from tests.integration.piped import play
from tests.integration.station_process import CP, StationProcess, at_central_system, station


async def _charging(cp: StationProcess) -> None:
    await cp.advance(1)
    await cp.do("plug_in", connector=1)
    await cp.do("swipe", id_tag="TAG")
    await cp.advance(10)
    assert (await cp.connector())["status"] == "Charging"


def _stops(cp: StationProcess) -> list[str]:
    return [payload["reason"] for _, payload in cp.calls("StopTransaction")]


def _boots(cp: StationProcess) -> int:
    return len(cp.calls("BootNotification"))


def _closings(central: CentralSystem) -> list[str]:
    """How links end from now on."""
    reasons: list[str] = []
    central.listen(
        lambda event: reasons.append(event.fields["reason"]) if event.name == "disconnected" else None
    )
    return reasons


# --- restarts: the process and its pipes stay -------------------------------------------------------


def test_reboot(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await _charging(cp)
            await cp.do("reboot")
            await cp.event("reboot", reason="Reboot")
            assert _stops(cp) == ["Reboot"]
            assert not (await cp.do("status"))["online"]
            await cp.advance(5)
            assert (await cp.do("status"))["registration"] == "Accepted"
            assert _boots(cp) == 2
            assert (await cp.connector())["status"] == "Finishing"
            await cp.do("plug_out", connector=1)
            await _charging(cp)
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
def test_reset_does_not_end_the_process(tmp_path: Path, kind: str, reason: str) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            assert await central.call(CP, "Reset", {"type": kind}) == {"status": "Accepted"}
            await cp.event("reboot", reason=reason)
            assert _stops(cp) == [reason]
            await cp.advance(5)
            assert (await cp.do("status"))["registration"] == "Accepted"
            await cp.shut_down()

    play(story)


def test_a_second_reboot_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    """While the station goes down or is down there is nothing to restart, and the first goes its way."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("reboot")
            assert await cp.refused("reboot") == "bad_state"
            await cp.event("reboot")
            assert await cp.refused("reboot") == "bad_state"
            await cp.advance(200)
            assert [event["event"] for event in cp.events].count("reboot") == 1
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_off_and_on(tmp_path: Path) -> None:
    """T:TC_032_1: with back-up power the transaction ends first; then silence until the mains are back."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await _charging(cp)
            await cp.do("power", on=False)
            await cp.event("reboot", reason="PowerLoss")
            assert _stops(cp) == ["PowerLoss"]
            sent = len(cp.calls())
            await cp.do("swipe", id_tag="TAG")
            assert await cp.refused("reboot") == "bad_state"
            assert await cp.refused("availability", connector=1, operative=False) == "bad_state"
            assert await cp.refused("config", key="HeartbeatInterval", value=1) == "bad_state"
            assert await cp.refused("data_transfer", vendor_id="v") == "bad_state"
            await cp.advance(3600)
            assert len(cp.calls()) == sent
            await cp.do("plug_out", connector=1)
            await cp.do("power", on=True)
            await cp.advance(5)
            assert (await cp.connector())["status"] == "Available"
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_go_while_it_restarts(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("reboot")
            await cp.event("reboot")
            await cp.do("power", on=False)
            await cp.advance(3600)
            assert _boots(cp) == 1
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_go_while_it_goes_down_to_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("reboot")
            await cp.do("power", on=False)
            await cp.advance(3600)
            assert (_boots(cp), _stops(cp)) == (1, ["Reboot"])
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_come_back_while_it_goes_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("power", on=False)
            await cp.do("power", on=True)
            await cp.advance(10)
            assert (_boots(cp), _stops(cp)) == (2, ["PowerLoss"])
            assert (await cp.do("status"))["registration"] == "Accepted"
            await cp.shut_down()

    play(story)


def test_a_switch_that_is_where_it_should_be_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await _charging(cp)
            await cp.do("power", on=True)
            await cp.advance(5)
            assert (await cp.connector())["status"] == "Charging"
            await cp.do("power", on=False)
            await cp.event("reboot")
            await cp.do("power", on=False)
            await cp.do("power", on=True)
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


# --- ends --------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[StationProcess], None]] = {
    "shutdown": lambda cp: cp.say({"cmd": "shutdown"}),
    "sigterm": lambda cp: cp.process.send_signal(signal.SIGTERM),
    "sigint": lambda cp: cp.process.send_signal(signal.SIGINT),
    "end-of-input": lambda cp: cp.end_of_input(),
    "nobody-reads": lambda cp: cp.stop_reading(),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_orderly_end(tmp_path: Path, end: str) -> None:
    """The transaction ends with Reboot and is delivered, the link is closed with 1001, exit 0."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            closings = _closings(central)
            await _charging(cp)
            ENDS[end](cp)
            if end == "nobody-reads":  # it notices when it writes
                await central.call(CP, "ClearCache")
            assert await cp.ended() == 0, cp.errors
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None
            assert transaction.stop["reason"] == "Reboot"
            assert len(closings) == 1
            assert "1001" in closings[0]

    play(story)


def test_commands_before_the_end_of_input_are_all_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            cp.say({"cmd": "advance", "seconds": 1, "id": 1})
            cp.say({"cmd": "plug_in", "connector": 1, "id": 2})
            cp.say({"cmd": "swipe", "id_tag": "TAG", "id": 3})
            cp.say({"cmd": "advance", "seconds": 100_000, "id": 4})
            cp.end_of_input()
            assert await cp.ended() == 0
            replies = [line for line in cp.lines if "event" not in line]
            assert [reply["id"] for reply in replies] == [1, 2, 3, 4]
            (transaction,) = central.transactions(CP)
            assert transaction.energy_wh

    play(story)


def test_nothing_is_obeyed_after_shutdown(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            cp.say({"cmd": "shutdown", "id": 1})
            cp.say({"cmd": "status", "id": 2})
            assert await cp.ended() == 0
            assert [line["id"] for line in cp.lines if "event" not in line] == [1]

    play(story)


def test_a_signal_ends_an_advance_that_would_take_too_long(tmp_path: Path) -> None:
    """The command under way is still answered."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            cp.say({"cmd": "advance", "seconds": 1e9, "id": "long"})
            await cp.sent("MeterValues")
            cp.process.terminate()
            assert await cp.ended() == 0
            replies = [line for line in cp.lines if "event" not in line]
            assert (replies[-1]["id"], replies[-1]["ok"], replies[-1]["error"]) == (
                "long",
                False,
                "bad_state",
            )
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None

    play(story)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The central system answers no more; the stop is in the store and is delivered by the next start."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            central.set_answer("StopTransaction", silent=True, times=1)
            cp.process.terminate()
            await cp.event("transaction", phase="stopped")
            await asyncio.sleep(0.2)  # two signals of one moment count as one
            cp.process.terminate()
            assert await cp.ended() == 130
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (central, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


def test_an_end_without_answers_takes_five_seconds_and_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            central.set_answer("StopTransaction", silent=True)
            began = loop.time()
            await cp.shut_down()
            assert 4.9 < loop.time() - began < 8
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (central, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


def test_an_end_without_a_network_is_quick_and_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with at_central_system(tmp_path) as (_, cp):
            await _charging(cp)
            await cp.do("network", online=False)
            began = loop.time()
            await cp.shut_down()
            assert loop.time() - began < 3
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (_, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("asked_to_advance", [True, False])
def test_an_end_while_it_connects(tmp_path: Path, asked_to_advance: bool) -> None:
    """A server that accepts the connection and never says a word."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with silent, station(csms=url, storage=tmp_path) as cp:
            if asked_to_advance:
                cp.say({"cmd": "advance", "seconds": 1})
            else:
                await cp.do("status")
            began = loop.time()
            cp.process.terminate()
            assert await cp.ended() == 0
            assert loop.time() - began < 3
            silent.close()

    play(story)


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_an_end_before_it_is_accepted(tmp_path: Path, status: str) -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as central:
            central.set_answer("BootNotification", payload={"status": status, "interval": 60})
            async with station(csms=central.url, storage=tmp_path) as cp:
                await cp.event("registration", status=status)
                await cp.shut_down()

    play(story)


@pytest.mark.parametrize("state", ["going-down", "down", "without-mains"])
def test_the_end_of_a_station_that_restarts(tmp_path: Path, state: str) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await _charging(cp)
            if state == "going-down":
                central.set_answer("StopTransaction", delay_s=0.2)
            await cp.do("power", on=False) if state == "without-mains" else await cp.do("reboot")
            if state != "going-down":
                await cp.event("reboot")
            await cp.shut_down()
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None

    play(story)


def test_for_ends_it_after_that_much_station_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, "--for", "1h") as (_, cp):
            await cp.advance(3500)
            cp.say({"cmd": "advance", "seconds": 7200})
            assert await cp.ended() == 0
            assert cp.events[-1]["t"] < "2026-01-01T01:10"

    play(story)


# --- kill -9 is a power cut --------------------------------------------------------------------------


def test_what_survives_a_power_cut(tmp_path: Path) -> None:
    """Our checklist, appendix B: everything but the vehicle, which a new process does not know."""

    async def story() -> None:
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
            },
        }
        async with at_central_system(tmp_path, "--connectors", "2") as (central, cp):
            await cp.advance(1)
            await cp.do("availability", connector=2, operative=False)
            change = {"key": "MeterValueSampleInterval", "value": "7"}
            assert (await central.call(CP, "ChangeConfiguration", change))["status"] == "Accepted"
            install = {"connectorId": 0, "csChargingProfiles": profile}
            assert (await central.call(CP, "SetChargingProfile", install))["status"] == "Accepted"
            await cp.do("meter", connector=1, energy_wh=5000)
            await _charging(cp)
            await cp.advance(100)
            before = await cp.connector()
            await cp.kill()
        async with at_central_system(tmp_path, "--connectors", "2", start="2026-01-01T06:00:00Z") as (
            central,
            cp,
        ):
            await cp.advance(1)
            first, second = (await cp.do("status"))["connectors"]
            assert (first["status"], first["plugged"]) == ("Available", False)
            assert second["status"] == "Unavailable"
            ((_, stop),) = cp.calls("StopTransaction")
            assert stop["reason"] == "PowerLoss"
            assert stop["timestamp"] < "2026-01-01T00:03"
            assert 0 <= before["meter_wh"] - stop["meterStop"] < 100
            assert first["meter_wh"] >= stop["meterStop"]
            key = {"key": ["MeterValueSampleInterval"]}
            answer = await central.call(CP, "GetConfiguration", key)
            assert answer["configurationKey"][0]["value"] == "7"
            await cp.do("network", online=False)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG", connector=1)  # known to the cache
            await cp.advance(10)
            assert (await cp.connector())["id_tag"] == "TAG"
            assert (await cp.connector())["offered_a"] == 10
            await cp.shut_down()

    play(story)
