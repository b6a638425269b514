"""The central system on a real socket: OCPP-J 1.6 §3 and §4, and the embedded central system of the control
protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ocpp.messages import get_validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from chargepoint.csms import CallFailed, CallTimeout, CentralSystem, Event, NotConnected
from chargepoint.csms.answers import ACTIONS
from hal.clock import SteppedClock
from tests.jumping_loop import run_jumping

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
OCPP16 = [Subprotocol("ocpp1.6")]

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-01-01T12:00:00Z"}
STOP = {"transactionId": 1, "meterStop": 350, "timestamp": "2026-01-01T13:00:00Z", "reason": "Local"}
SAMPLE = {"timestamp": "2026-01-01T12:00:00Z", "sampledValue": [{"value": "1"}]}

USUAL = {
    "Authorize": ({"idTag": "TAG"}, {"idTagInfo": {"status": "Accepted"}}),
    "BootNotification": (
        {"chargePointVendor": "V", "chargePointModel": "M"},
        {"status": "Accepted", "interval": 300, "currentTime": "2026-01-01T12:00:00.000Z"},
    ),
    "DataTransfer": ({"vendorId": "V"}, {"status": "UnknownVendorId"}),
    "DiagnosticsStatusNotification": ({"status": "Idle"}, {}),
    "FirmwareStatusNotification": ({"status": "Idle"}, {}),
    "Heartbeat": ({}, {"currentTime": "2026-01-01T12:00:00.000Z"}),
    "LogStatusNotification": ({"status": "Idle"}, {}),
    "MeterValues": ({"connectorId": 0, "meterValue": [SAMPLE]}, {}),
    "SecurityEventNotification": ({"type": "T", "timestamp": "2026-01-01T12:00:00Z"}, {}),
    "SignCertificate": ({"csr": "CSR"}, {"status": "Accepted"}),
    "SignedFirmwareStatusNotification": ({"status": "Idle"}, {}),
    "StartTransaction": (START, {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}),
    "StatusNotification": ({"connectorId": 1, "errorCode": "NoError", "status": "Available"}, {}),
    "StopTransaction": ({**STOP, "idTag": "TAG"}, {"idTagInfo": {"status": "Accepted"}}),
}


class Caller:
    """The station's end of a socket, frame by frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._calls = 0

    async def send(self, action: str, payload: Any) -> None:
        """Send a CALL and wait for nothing."""
        self._calls += 1
        await self.socket.send(json.dumps([2, f"id-{self._calls}", action, payload]))

    async def receive(self) -> Any:
        """The next frame."""
        return json.loads(await self.socket.recv())

    async def ask(self, action: str, payload: Any) -> Any:
        """Send a CALL; the payload of its CALLRESULT, or the code of its CALLERROR."""
        await self.send(action, payload)
        frame = await self.receive()
        assert frame[1] == f"id-{self._calls}"
        return frame[2]

    async def answer(self, payload: Any) -> Any:
        """Wait for a CALL and send its CALLRESULT; returns the CALL."""
        call = await self.receive()
        await self.socket.send(json.dumps([3, call[1], payload]))
        return call


class Heard:
    """Every event so far, and a way to wait for the next of a kind."""

    def __init__(self, central: CentralSystem) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()
        central.listen(self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    def named(self, name: str) -> list[Event]:
        """All of a kind so far."""
        return [event for event in self.events if event.name == name]

    async def wait(self, name: str, count: int = 1) -> Event:
        """The newest of a kind, when there have been `count`."""
        while len(self.named(name)) < count:
            self._more.clear()
            await self._more.wait()
        return self.named(name)[-1]


@asynccontextmanager
async def connected(central: CentralSystem, cp: str = "CP", **options: Any) -> AsyncIterator[Caller]:
    """A station's connection."""
    options = {"subprotocols": OCPP16, "compression": None, **options}
    async with connect(f"{central.url}/ocpp/{cp}", **options) as socket:
        yield Caller(socket)


Story = Callable[[CentralSystem, Caller], Awaitable[None]]


def play(story: Story, **options: Any) -> None:
    """Run a story of one central system and its station CP."""

    async def run() -> None:
        async with CentralSystem(**options) as central, connected(central) as station:
            await story(central, station)

    run_jumping(run())


def test_every_action_of_a_station_has_a_case_here() -> None:
    assert USUAL.keys() == ACTIONS


@pytest.mark.parametrize("action", USUAL)
def test_the_usual_answer_is_sensible_and_valid(action: str) -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        payload, expected = USUAL[action]
        answer = await station.ask(action, payload)
        assert answer == expected
        get_validator(3, action, "1.6").validate(answer)

    play(story, clock=SteppedClock(NOON))


def test_what_a_station_says_of_itself_is_known() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        for action in ("BootNotification", "StatusNotification"):
            await station.ask(action, USUAL[action][0])
        (known,) = central.stations()
        assert (known.identity, known.connected, known.heard_at) == ("CP", True, NOON)
        assert known.boot == USUAL["BootNotification"][0]
        assert known.statuses == {1: "Available"}

    play(story, clock=SteppedClock(NOON), interval_s=60)


def test_a_transaction_is_numbered_remembered_and_billed() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        async with connected(central, "OTHER") as other:
            ids = [
                (await caller.ask("StartTransaction", {**START, "meterStart": meter_start}))["transactionId"]
                for caller, meter_start in ((station, 100), (station, 100), (station, 101), (other, 100))
            ]
        assert ids == [1, 1, 2, 1]
        await station.ask("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [SAMPLE]})
        await station.ask("StopTransaction", STOP)
        await station.ask("StopTransaction", {**STOP, "meterStop": 351})
        first = central.transactions("CP")[0]
        assert (first.energy_wh, first.meter_values_count, len(first.distinct_stops)) == (250, 1, 2)
        assert [len(central.transactions(cp)) for cp in ("CP", "OTHER", "NOBODY", None)] == [2, 1, 0, 3]

    play(story)


@pytest.mark.parametrize(
    "payload",
    [{}, {"idTagInfo": {"status": "Perhaps"}}, {"unknown": None}, ["idTagInfo"], "text", 0],
    ids=str,
)
def test_an_answer_set_goes_out_verbatim_even_as_rubbish(payload: Any) -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        central.set_answer("Authorize", payload=payload)
        assert await station.ask("Authorize", {"idTag": "TAG"}) == payload
        central.set_answer("Authorize", payload=None)
        assert await station.ask("Authorize", {"idTag": "TAG"}) == USUAL["Authorize"][1]

    play(story)


def test_a_start_answered_otherwise_is_remembered_otherwise() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        central.set_answer("StartTransaction", id_tag="tag", payload={"idTagInfo": {"status": "Blocked"}})
        central.set_answer("StartTransaction", payload={"transactionId": 77, "idTagInfo": {}})
        blocked = await station.ask("StartTransaction", START)
        assert blocked == {"transactionId": 1, "idTagInfo": {"status": "Blocked"}}
        assert (await station.ask("StartTransaction", {**START, "idTag": "X"}))["transactionId"] == 77
        assert [one.transaction_id for one in central.transactions()] == [1, 77]
        assert central.transactions()[0].id_tag_status == "Blocked"

    play(story)


def test_an_error_set_has_any_code_and_no_effect() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        central.set_answer("StartTransaction", error="MadeUp", times=1)
        assert await station.ask("StartTransaction", START) == "MadeUp"
        assert central.transactions() == []
        assert (await station.ask("StartTransaction", START))["transactionId"] == 1

    play(story)


def test_a_refused_stop_is_still_a_stop_record() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        await station.ask("StartTransaction", START)
        central.set_answer("StopTransaction", error="InternalError", times=1)
        assert await station.ask("StopTransaction", STOP) == "InternalError"
        await station.ask("StopTransaction", STOP)
        (transaction,) = central.transactions()
        assert (len(transaction.stops), len(transaction.distinct_stops)) == (2, 1)

    play(story)


def test_silence_loses_the_answer_but_not_the_effect() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        central.set_answer("StartTransaction", cp="CP", silent=True, times=1)
        await station.send("StartTransaction", START)
        assert await station.ask("Heartbeat", {})  # the next frame answers this one
        assert len(central.transactions()) == 1
        assert (await station.ask("StartTransaction", START))["transactionId"] == 1

    play(story)


def test_a_late_answer_lets_the_link_go_on() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        central.set_answer("Heartbeat", delay_s=0.05)
        await station.send("Heartbeat", {})
        await station.send("Authorize", {"idTag": "TAG"})
        assert [(await station.receive())[1] for _ in range(2)] == ["id-2", "id-1"]

    play(story)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        pytest.param("Authorize", {}, "ProtocolError", id="field-missing"),
        pytest.param("Authorize", {"idTag": 5}, "TypeConstraintViolation", id="wrong-type"),
        pytest.param("Authorize", {"idTag": "T", "more": 1}, "FormatViolation", id="extra-field"),
        pytest.param("Heartbeat", None, "TypeConstraintViolation", id="null"),
        pytest.param("Reset", {"type": "Soft"}, "NotImplemented", id="not-a-stations-action"),
        pytest.param("MadeUp", {}, "NotSupported", id="unknown-action"),
        pytest.param(["Heartbeat"], {}, "FormationViolation", id="action-not-a-string"),
    ],
)
def test_an_invalid_call_gets_the_packages_error_and_an_event(action: Any, payload: Any, code: str) -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        assert await station.ask(action, payload) == code
        assert heard.named("error")[0].cp == "CP"

    play(story)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("", id="empty"),
        pytest.param("hello", id="not-json"),
        pytest.param("{}", id="not-an-array"),
        pytest.param("[]", id="empty-array"),
        pytest.param("[2]", id="nothing-but-a-type"),
        pytest.param('[9,"1",{}]', id="unknown-type"),
        pytest.param('[2,"1","Heartbeat",{},5]', id="too-long"),
        pytest.param('[3,"1",{}]', id="answer-to-nothing"),
        pytest.param('[4,"1","GenericError","",{}]', id="error-to-nothing"),
        pytest.param("[" * 100_000, id="nested-deeply"),
        pytest.param("[2," + "9" * 5000 + ',"Heartbeat",{}]', id="number-too-long"),
        pytest.param(b'[2,"1","Heartbeat",{}]', id="binary"),
    ],
)
def test_a_malformed_frame_is_an_event_and_the_link_goes_on(frame: str | bytes) -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        await station.socket.send(frame)
        assert "currentTime" in await station.ask("Heartbeat", {})
        assert len(heard.named("error")) == 1

    play(story)


def test_a_large_frame_is_answered_and_one_too_large_closes_the_link() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        transfer = {"vendorId": "V", "data": "x" * (1 << 21)}
        assert (await station.ask("DataTransfer", transfer))["status"] == "UnknownVendorId"
        too_large = b"\x81\xff" + ((1 << 24) + 1).to_bytes(8, "big") + bytes(4)  # text, masked, its length
        station.socket.transport.write(too_large)
        with pytest.raises(ConnectionClosed) as closed:
            await station.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    play(story)


def test_calls_are_sent_as_given_and_one_at_a_time() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        first = asyncio.create_task(central.call("CP", "MadeUp", {"any": ["thing", 21.4]}))
        second = asyncio.create_task(central.call("CP", "ClearCache"))
        call = await station.receive()
        assert call[2:] == ["MadeUp", {"any": ["thing", 21.4]}]
        assert "currentTime" in await station.ask("Heartbeat", {})  # the second CALL was not sent
        await station.socket.send(json.dumps([3, call[1], {"own": 1}]))
        assert await first == {"own": 1}
        assert (await station.answer({"status": "Accepted"}))[2:] == ["ClearCache", {}]
        assert await second == {"status": "Accepted"}

    play(story)


def test_message_ids_come_from_the_seed_and_go_on_over_connections() -> None:
    async def ids(seed: int | None) -> list[str]:
        found = []
        async with CentralSystem(seed=seed) as central:
            for cp in ("CP", "CP", "OTHER"):
                async with connected(central, cp) as station:
                    heard = Heard(central)
                    asked = asyncio.create_task(central.call(cp, "ClearCache"))
                    found.append((await station.answer({"status": "Accepted"}))[1])
                    await asked
                    await station.socket.close()
                    await heard.wait("disconnected")
        return found

    first = run_jumping(ids(1))
    assert len(set(first)) == 3
    assert {len(one) for one in first} == {36}
    assert run_jumping(ids(1)) == first
    assert not set(run_jumping(ids(2))) & set(first)
    assert run_jumping(ids(None)) != run_jumping(ids(None))


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param([4, "NotSupported", "no", {}], "NotSupported", id="callerror"),
        pytest.param([4, "MadeUp", ""], "MadeUp", id="callerror-of-any-code"),
        pytest.param([3, {"status": "Perhaps"}], "FormatViolation", id="invalid-result"),
        pytest.param([3, None], "ProtocolError", id="result-null-is-empty"),
    ],
)
def test_a_call_refused_says_why(frame: list[Any], code: str) -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        asked = asyncio.create_task(central.call("CP", "ClearCache"))
        call = await station.receive()
        await station.socket.send(json.dumps([frame[0], call[1], *frame[1:]]))
        with pytest.raises(CallFailed) as failed:
            await asked
        assert failed.value.code == code

    play(story)


def test_a_schedule_comes_back_with_its_numbers() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 21.4}]}
        answer = {"status": "Accepted", "chargingSchedule": schedule}
        asked = asyncio.create_task(
            central.call("CP", "GetCompositeSchedule", {"connectorId": 1, "duration": 60})
        )
        await station.answer(answer)
        result = await asked
        assert json.dumps(result) == json.dumps(answer)

    play(story)


def test_no_answer_is_a_timeout_and_a_late_one_is_ignored() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        with pytest.raises(CallTimeout):
            await central.call("CP", "ClearCache", timeout_s=0.01)
        await station.answer({"status": "Accepted"})
        await heard.wait("error")
        asked = asyncio.create_task(central.call("CP", "ClearCache"))
        await station.answer({"status": "Rejected"})
        assert await asked == {"status": "Rejected"}

    play(story)


@pytest.mark.parametrize("cp", ["CP", "NOBODY"])
def test_a_station_that_is_not_there_cannot_be_called(cp: str) -> None:
    async def run() -> None:
        async with CentralSystem() as central:
            async with connected(central):
                heard = Heard(central)
            await heard.wait("disconnected")
            with pytest.raises(NotConnected):
                await central.call(cp, "ClearCache")
            with pytest.raises(NotConnected):
                central.drop(cp)

    run_jumping(run())


def test_a_link_cut_ends_without_close_frame_and_ends_all_calls() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        calls = [asyncio.create_task(central.call("CP", "ClearCache")) for _ in range(2)]
        await station.receive()
        central.drop("CP")
        assert [type(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == [
            NotConnected,
            NotConnected,
        ]
        with pytest.raises(ConnectionClosed) as closed:
            await station.receive()
        assert closed.value.rcvd is None
        assert len(heard.named("disconnected")) == 1
        async with connected(central) as again:
            assert "currentTime" in await again.ask("Heartbeat", {})

    play(story)


def test_a_vanished_station_is_noticed() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        station.socket.transport.abort()
        assert (await heard.wait("disconnected")).cp == "CP"
        assert not central.stations()[0].connected

    play(story)


def test_the_newer_of_two_connections_wins() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        async with connected(central) as newer:
            with pytest.raises(ConnectionClosed) as closed:
                await station.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            asked = asyncio.create_task(central.call("CP", "ClearCache"))
            await newer.answer({"status": "Accepted"})
            await asked
        assert [event.name for event in heard.events[:2]] == ["disconnected", "connected"]
        await heard.wait("disconnected", 2)
        assert central.stations()[0].connections == 2

    play(story)


@pytest.mark.parametrize("offered", [None, ["ocpp2.0.1"]], ids=["none", "another"])
def test_without_its_subprotocol_the_handshake_ends_and_the_link_closes(offered: list[str] | None) -> None:
    async def run() -> None:
        async with CentralSystem() as central:
            heard = Heard(central)
            async with connected(central, subprotocols=offered) as station:
                assert station.socket.subprotocol is None
                with pytest.raises(ConnectionClosed) as closed:
                    await station.receive()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1002
            assert [event.name for event in heard.events] == ["error"]
            assert central.stations() == []

    run_jumping(run())


@pytest.mark.parametrize("offered", [["ocpp1.6"], ["ocpp2.0.1", "ocpp1.6"]], ids=len)
def test_its_subprotocol_is_chosen_among_others(offered: list[str]) -> None:
    async def run() -> None:
        async with CentralSystem() as central, connected(central, subprotocols=offered) as station:
            assert station.socket.subprotocol == "ocpp1.6"

    run_jumping(run())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(None, 401, id="missing"),
        pytest.param("Basic Q1A6d3Jvbmc=", 401, id="wrong"),
        pytest.param("Basic Q1A6c2VjcmV0", 101, id="right"),
    ],
)
def test_a_password_is_asked_of_those_who_have_one(
    authorization: str | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    caplog.set_level("DEBUG", "")
    # Only the server's words count here; the client's own log repeats what it sends.
    caplog.set_level("WARNING", "websockets.client")

    async def run() -> None:
        async with CentralSystem(passwords={"CP": "secret"}) as central:
            heard = Heard(central)
            async with connected(central, "FREE") as free:
                assert "currentTime" in await free.ask("Heartbeat", {})
            try:
                async with connected(central, additional_headers=headers) as station:
                    found = 101
                    assert "currentTime" in await station.ask("Heartbeat", {})
            except InvalidStatus as refused:
                found = refused.response.status_code
            told = str(heard.events) + caplog.text
            assert found == status
            assert "secret" not in told
            assert "Basic" not in told

    run_jumping(run())


def test_a_path_without_identity_is_not_found() -> None:
    async def run() -> None:
        async with CentralSystem() as central:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(central.url, subprotocols=OCPP16):
                    pass
            assert refused.value.response.status_code == 404

    run_jumping(run())


def test_frames_are_told_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "")
    caplog.set_level("WARNING", "websockets.client")  # the station's end is not ours to keep quiet

    async def story(central: CentralSystem, station: Caller) -> None:
        heard = Heard(central)
        change = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
        asked = asyncio.create_task(central.call("CP", "ChangeConfiguration", change))
        assert (await station.answer({"status": "Accepted"}))[3] == change
        await asked
        told = [(event.fields["dir"], event.fields["frame"][0]) for event in heard.named("frame")]
        assert told == [("tx", 2), ("rx", 3)]

        asked = asyncio.create_task(central.call("CP", "GetConfiguration"))
        await station.answer({"configurationKey": change})
        with pytest.raises(CallFailed):
            await asked
        assert len(heard.named("error")) == 1
        assert "0123456789abcdef" not in str(heard.events) + caplog.text

    play(story)


def test_a_listener_that_fails_hurts_nobody() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        def fail(event: Event) -> None:
            raise RuntimeError(event.name)

        end = central.listen(fail)
        heard = Heard(central)
        assert "currentTime" in await station.ask("Heartbeat", {})
        end()
        assert len(heard.events) == 2

    play(story)


def test_a_stop_closes_links_and_a_start_goes_on_at_the_same_address() -> None:
    async def story(central: CentralSystem, station: Caller) -> None:
        url = central.url
        await station.ask("StartTransaction", START)
        asked = asyncio.create_task(central.call("CP", "ClearCache"))
        await station.receive()
        await central.stop()
        with pytest.raises(NotConnected):
            await asked
        with pytest.raises(ConnectionClosed) as closed:
            await station.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        await central.start()
        assert central.url == url
        async with connected(central) as again:
            assert (await again.ask("StartTransaction", START))["transactionId"] == 1

    play(story)
