"""The central system for loads: it answers and remembers what the package does, which has the rest."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from chargepoint.csms.central_system import CentralSystem
from hal.clock import SteppedClock
from tests.jumping_loop import run_jumping

NOW = "2026-01-01T00:00:00.000Z"
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 10, "timestamp": NOW}
STOP = {"transactionId": 1, "meterStop": 20, "timestamp": NOW}
VALUES = {
    "connectorId": 1,
    "transactionId": 1,
    "meterValue": [{"timestamp": NOW, "sampledValue": [{"value": "11"}]}],
}

STORIES: dict[str, list[tuple[str, Any]]] = {
    "boot": [("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})],
    "heartbeat": [("Heartbeat", {})],
    "authorize": [("Authorize", {"idTag": "TAG"})],
    "status": [("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})],
    "security-event": [("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": NOW})],
    "transaction": [
        ("StartTransaction", START),
        ("MeterValues", VALUES),
        ("StopTransaction", STOP),
    ],
    "a-start-sent-again": [("StartTransaction", START), ("StartTransaction", START)],
    "a-stop-with-a-tag": [("StartTransaction", START), ("StopTransaction", {**STOP, "idTag": "TAG"})],
    "unusual": [("DataTransfer", {"vendorId": "V"}), ("FirmwareStatusNotification", {"status": "Idle"})],
    "unknown": [("Nonsense", {})],
    "invalid": [("Authorize", {}), ("StatusNotification", {"connectorId": "one"})],
    "not-an-object": [("Heartbeat", [])],
}


async def told(quick: bool, calls: list[tuple[str, Any]]) -> dict[str, Any]:
    """Everything that comes back and is remembered."""
    async with CentralSystem(seed=1, clock=SteppedClock(1_767_225_600.0), quick=quick) as csms:
        heard: list[str] = []
        csms.listen(lambda event: heard.append(f"{event.name} {event.fields.get('message', '')}"))
        async with connect(f"{csms.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
            answers = []
            for n, (action, payload) in enumerate(calls):
                await socket.send(json.dumps([2, f"id{n}", action, payload]))
                answers.append(json.loads(await socket.recv()))
            station = csms.stations()[0]
            return {
                "answers": answers,
                "boot": station.boot,
                "statuses": dict(station.statuses),
                "transactions": [transaction.as_dict() for transaction in csms.transactions()],
                "heard": heard,
            }


@pytest.mark.parametrize("name", STORIES)
def test_it_says_and_remembers_what_the_package_does(name: str) -> None:
    quick, usual = (run_jumping(told(quick, STORIES[name])) for quick in (True, False))
    assert quick == usual


def test_an_answer_that_was_set_is_given() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1, quick=True) as csms:
            csms.set_answer("Authorize", payload={"idTagInfo": {"status": "Blocked"}}, times=1)
            async with connect(f"{csms.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
                statuses = []
                for n in range(2):
                    await socket.send(json.dumps([2, f"id{n}", "Authorize", {"idTag": "TAG"}]))
                    statuses.append(json.loads(await socket.recv())[2]["idTagInfo"]["status"])
            assert statuses == ["Blocked", "Accepted"]

    run_jumping(story())


@pytest.mark.parametrize("quick", [True, False])
def test_cards_of_strangers_are_invalid_where_there_are_strangers(quick: bool) -> None:
    async def story() -> None:
        async with (
            CentralSystem(seed=1, quick=quick, strangers="UNKNOWN") as csms,
            connect(f"{csms.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as socket,
        ):
            statuses = []
            start = {"connectorId": 1, "meterStart": 0, "timestamp": "2026-03-02T00:00:00Z"}
            for id_tag in ("UNKNOWN7", "TAG1"):
                for action, rest in (("Authorize", {}), ("StartTransaction", start)):
                    await socket.send(
                        json.dumps([2, f"{action} {id_tag}", action, {"idTag": id_tag, **rest}])
                    )
                    statuses.append(json.loads(await socket.recv())[2]["idTagInfo"]["status"])
            assert statuses == ["Invalid", "Invalid", "Accepted", "Accepted"]

    run_jumping(story())


def test_it_still_calls_stations_and_reacts() -> None:
    async def story() -> None:
        async with CentralSystem(seed=1, quick=True) as csms:
            answered = asyncio.Event()

            async def reaction(cp: str, request: dict[str, Any]) -> None:
                assert await csms.call(cp, "ClearCache", {}) == {"status": "Accepted"}
                answered.set()

            csms.react("Heartbeat", reaction)
            async with connect(f"{csms.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
                await socket.send(json.dumps([2, "id", "Heartbeat", {}]))
                await socket.recv()
                call = json.loads(await socket.recv())
                await socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
                await answered.wait()

    run_jumping(story())


def test_only_the_newest_meter_values_are_kept() -> None:
    async def story() -> None:
        async with (
            CentralSystem(seed=1, quick=True, meter_values_kept=2) as csms,
            connect(f"{csms.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as socket,
        ):
            for n, (action, payload) in enumerate(
                [("StartTransaction", START), *[("MeterValues", VALUES)] * 5]
            ):
                await socket.send(json.dumps([2, f"id{n}", action, payload]))
                await socket.recv()
            transaction = csms.transactions()[0]
            assert (len(transaction.meter_values), transaction.meter_values_count) == (2, 5)

    run_jumping(story())
