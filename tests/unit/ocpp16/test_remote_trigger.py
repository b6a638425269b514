"""TriggerMessage (OCPP 1.6 §5.17; errata 3.35, 3.46; TC_054, TC_055)."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import Fault, FaultKind
from tests.unit.ocpp16.bench import START, Bench
from tests.unit.ocpp16.test_boot import answer_boots, conf, registration
from tests.unit.ocpp16.test_faults import WeldedBench
from tests.unit.ocpp16.test_meter_values import FaintBench, FaintEvse

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}
NOT_IMPLEMENTED = {"status": "NotImplemented"}
REGISTER = "Energy.Active.Import.Register"


def station(connectors: int = 1, **options: Any) -> Bench:
    """A station in operation."""
    bench = Bench(connectors, **options)
    bench.connect()
    bench.advance(1)
    return bench


def trigger(bench: Bench, message: str, connector: int | None = None) -> Any:
    """Ask for a message; the answer."""
    payload: dict[str, Any] = {"requestedMessage": message}
    if connector is not None:
        payload["connectorId"] = connector
    return bench.call("TriggerMessage", payload)


def frames(bench: Bench, since: int) -> list[str]:
    """What the station sent after so many frames: `answer`, or the action of a CALL."""
    sent = [frame for way, frame in bench.csms.frames[since:] if way == "tx"]
    return [frame[2] if frame[0] == 2 else "answer" for frame in sent]


def reported(bench: Bench, since: int) -> list[tuple[int, str]]:
    """Connector and status of every StatusNotification from that one on."""
    return [(p["connectorId"], p["status"]) for p in bench.sent("StatusNotification")[since:]]


class TestTC054Triggered:
    @pytest.mark.parametrize("message", ["MeterValues", "Heartbeat", "StatusNotification"])
    def test_the_answer_goes_first(self, message: str) -> None:
        bench = station()
        before = len(bench.csms.frames)
        assert trigger(bench, message, 1) == ACCEPTED
        assert frames(bench, before) == ["answer", message]

    @pytest.mark.parametrize(
        ("connector", "expected"),
        [
            (None, [(0, "Available"), (1, "Preparing"), (2, "Unavailable")]),
            (0, [(0, "Available")]),
            (1, [(1, "Preparing")]),
            (2, [(2, "Unavailable")]),
        ],
    )
    def test_status(self, connector: int | None, expected: list[tuple[int, str]]) -> None:
        bench = station(2)
        bench.plug_in(1)
        bench.call("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"})
        bench.advance(30)
        before = bench.sent("StatusNotification")
        assert trigger(bench, "StatusNotification", connector) == ACCEPTED
        assert reported(bench, len(before)) == expected
        for again in bench.sent("StatusNotification")[len(before) :]:  # since when it is so included
            assert again in before

    def test_a_status_that_has_still_to_last_is_told_at_once_and_once(self) -> None:
        bench = station(ocpp={"MinimumStatusDuration": "60"})
        bench.plug_in()
        assert bench.statuses() == ["Available"]
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        bench.advance(100)
        assert bench.statuses() == ["Available", "Preparing"]

    def test_faults_are_told_with_it(self) -> None:
        bench = station()
        bench.evses[0].inject(Fault(FaultKind.OVER_TEMPERATURE))
        bench.advance(0)
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        assert bench.sent("StatusNotification")[-1]["errorCode"] == "HighTemperature"
        assert bench.statuses() == ["Available", "Faulted", "Faulted"]

    @pytest.mark.parametrize(("connector", "expected"), [(None, [1, 2]), (0, [1, 2]), (1, [1]), (2, [2])])
    def test_meter_values(self, connector: int | None, expected: list[int]) -> None:
        bench = station(2, ocpp={"MeterValuesSampledData": f"Voltage.L1-N,{REGISTER}"})
        bench.charge(connector=2)
        bench.advance(12.5)
        assert trigger(bench, "MeterValues", connector) == ACCEPTED
        sent = bench.sent("MeterValues")
        assert [payload["connectorId"] for payload in sent] == expected
        for payload in sent:
            assert payload.get("transactionId") == (1 if payload["connectorId"] == 2 else None)
            (value,) = payload["meterValue"]
            assert {sampled["context"] for sampled in value["sampledValue"]} == {"Trigger"}
            assert {sampled["measurand"] for sampled in value["sampledValue"]} == {"Voltage", REGISTER}
            assert value["timestamp"] == "2026-01-01T00:00:23.500Z"

    @pytest.mark.parametrize("connector", [None, 0, 1, 99, -1])
    def test_heartbeat_whatever_the_connector(self, connector: int | None) -> None:
        bench = station()
        assert trigger(bench, "Heartbeat", connector) == ACCEPTED
        assert bench.times("Heartbeat") == [1]

    def test_a_heartbeat_restarts_the_interval(self) -> None:
        bench = station()
        bench.advance(99)
        assert trigger(bench, "Heartbeat") == ACCEPTED
        bench.advance(301)
        assert bench.times("Heartbeat") == [100, 400]

    @pytest.mark.parametrize("message", ["FirmwareStatusNotification", "DiagnosticsStatusNotification"])
    def test_of_a_profile_that_is_not_there(self, message: str) -> None:
        bench = station(ocpp={"SupportedFeatureProfiles": "Core,RemoteTrigger"})
        before = len(bench.csms.frames)
        assert trigger(bench, message) == NOT_IMPLEMENTED
        assert frames(bench, before) == ["answer"]


class TestTC055Rejected:
    @pytest.mark.parametrize("connector", [3, -1, 2**31, 10**30])
    @pytest.mark.parametrize("message", ["MeterValues", "StatusNotification"])
    def test_no_such_connector(self, message: str, connector: int) -> None:
        bench = station(2)
        before = len(bench.csms.frames)
        assert trigger(bench, message, connector) == REJECTED
        assert frames(bench, before) == ["answer"]

    def test_nothing_can_be_measured(self) -> None:
        """An interval has no value between its ends."""
        bench = station(ocpp={"MeterValuesSampledData": "Energy.Active.Import.Interval"})
        assert trigger(bench, "MeterValues") == REJECTED
        assert bench.sent("MeterValues") == []

    def test_a_silent_meter(self) -> None:
        bench = FaintBench(2)
        bench.connect()
        faint = bench.evses[0]
        assert isinstance(faint, FaintEvse)
        faint.silent = True
        assert trigger(bench, "MeterValues", 1) == REJECTED
        assert trigger(bench, "MeterValues") == ACCEPTED
        assert [payload["connectorId"] for payload in bench.sent("MeterValues")] == [2]


class TestUnknown:
    @pytest.mark.parametrize(
        "message",
        ["", "Nonsense", "heartbeat", "Heartbeat ", "StartTransaction", "LogStatusNotification", "x" * 5000],
    )
    def test_is_a_status_not_an_error(self, message: str) -> None:
        bench = station()
        before = len(bench.csms.frames)
        assert trigger(bench, message, 99) == NOT_IMPLEMENTED
        assert frames(bench, before) == ["answer"]

    @pytest.mark.parametrize(
        ("payload", "code"),
        [
            ({}, "OccurenceConstraintViolation"),
            ({"requestedMessage": 5}, "TypeConstraintViolation"),
            ({"requestedMessage": None}, "TypeConstraintViolation"),
            ({"requestedMessage": "Nonsense", "connectorId": "1"}, "TypeConstraintViolation"),
            ({"requestedMessage": "Nonsense", "more": 1}, "FormationViolation"),
        ],
        ids=["missing", "number", "null", "connector", "one-field-more"],
    )
    def test_the_rest_of_the_schema_holds(self, payload: dict[str, Any], code: str) -> None:
        assert station().call("TriggerMessage", payload) == code

    def test_without_the_profile_nothing_is_triggered(self) -> None:
        bench = station(ocpp={"SupportedFeatureProfiles": "Core"})
        assert trigger(bench, "Heartbeat") == "NotSupported"


class TestBootNotification:
    def test_rejected_on_the_connection_of_the_acceptance(self) -> None:
        bench = station()
        assert trigger(bench, "BootNotification") == REJECTED
        bench.advance(100)
        assert bench.times("BootNotification") == [0]

    def test_accepted_after_a_mere_reconnection_and_then_not_again(self) -> None:
        bench = station()
        bench.disconnect()
        bench.advance(9)
        bench.connect()
        before = len(bench.csms.frames)
        assert trigger(bench, "BootNotification") == ACCEPTED
        assert frames(bench, before) == ["answer", "BootNotification"] + ["StatusNotification"] * 2
        assert bench.times("BootNotification") == [0, 10]
        assert trigger(bench, "BootNotification") == REJECTED
        bench.disconnect()
        bench.connect()
        assert trigger(bench, "BootNotification") == ACCEPTED

    def test_accepted_at_any_time_where_the_operator_says_so(self) -> None:
        bench = station(compatibility={"trigger_boot_when_accepted": "accept"})
        bench.advance(9)
        assert trigger(bench, "BootNotification", 77) == ACCEPTED
        assert bench.times("BootNotification") == [0, 10]

    def test_while_pending_it_goes_at_once_and_restarts_the_wait(self) -> None:
        bench = registration("Pending", 100)
        bench.advance(40)
        assert trigger(bench, "BootNotification") == ACCEPTED
        bench.advance(99)
        assert bench.times("BootNotification") == [0, 40]
        bench.advance(1)
        assert bench.times("BootNotification") == [0, 40, 140]


class TestPending:
    """Only what was asked for is sent (§4.2)."""

    @pytest.mark.parametrize(
        ("message", "sent"),
        [("StatusNotification", 2), ("MeterValues", 1), ("Heartbeat", 1)],
    )
    def test_what_is_asked_for_goes_out(self, message: str, sent: int) -> None:
        bench = registration("Pending", 1000)
        before = len(bench.csms.frames)
        assert trigger(bench, message) == ACCEPTED
        bench.advance(500)
        assert frames(bench, before) == ["answer"] + [message] * sent

    def test_the_status_is_the_true_one(self) -> None:
        bench = registration("Pending", 1000)
        bench.plug_in()
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        bench.plug_out()
        bench.advance(10)
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        assert bench.statuses() == ["Preparing", "Available"]

    def test_all_are_told_again_once_accepted(self) -> None:
        bench = Bench()
        answer_boots(bench, conf("Pending", 10), conf("Accepted"))
        bench.connect()
        trigger(bench, "StatusNotification")
        bench.advance(10)
        assert reported(bench, 0) == [(0, "Available"), (1, "Available")] * 2

    def test_what_waits_for_the_line_is_not_said_when_rejected(self) -> None:
        bench = registration("Pending", 10)
        answer_boots(bench, None)
        bench.advance(10)
        for message in ("Heartbeat", "StatusNotification", "MeterValues"):
            assert trigger(bench, message) == ACCEPTED
        boot = [frame for way, frame in bench.csms.frames if way == "tx" and frame[0] == 2][-1]
        bench.csms.say([3, boot[1], conf("Rejected", 1000)])
        bench.advance(500)
        assert bench.actions() == ["BootNotification"] * 2


class TestABusyLine:
    """The answer of a CALL of ours is awaited: what is triggered has to wait, too."""

    def busy(self, bench: Bench) -> str:
        """Let a Heartbeat wait for its answer; its id."""
        bench.csms.answers["Heartbeat"] = lambda payload: None
        trigger(bench, "Heartbeat")
        return str([frame for way, frame in bench.csms.frames if way == "tx" and frame[0] == 2][-1][1])

    def test_one_that_waits_already_will_do(self) -> None:
        bench = station(2)
        before = len(bench.actions())
        awaited = self.busy(bench)
        for _ in range(50):
            for message in ("StatusNotification", "MeterValues", "Heartbeat"):
                assert trigger(bench, message) == ACCEPTED
        del bench.csms.answers["Heartbeat"]
        bench.csms.say([4, awaited, "GenericError", "", {}])
        bench.advance(10)
        assert bench.actions()[before:] == [
            "Heartbeat",
            *["StatusNotification"] * 3,
            *["MeterValues"] * 2,
            "Heartbeat",
        ]

    def test_not_if_it_has_become_another(self) -> None:
        bench = station()
        self.busy(bench)
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        bench.plug_in()
        assert trigger(bench, "StatusNotification", 1) == ACCEPTED
        bench.advance(60)
        assert bench.statuses() == ["Available", "Available", "Preparing"]

    def test_nothing_triggered_outlives_the_connection(self) -> None:
        bench = station()
        self.busy(bench)
        trigger(bench, "MeterValues")
        trigger(bench, "StatusNotification")
        bench.disconnect()
        bench.connect()
        bench.advance(60)
        assert bench.sent("MeterValues") == []
        assert bench.cp.outbox.queued == 0

    def test_what_the_central_system_refuses_is_not_tried_again(self) -> None:
        bench = station()
        bench.csms.answers["MeterValues"] = lambda payload: "InternalError"
        assert trigger(bench, "MeterValues") == ACCEPTED
        bench.advance(250)
        assert len(bench.sent("MeterValues")) == 1

    @pytest.mark.parametrize("message", ["Heartbeat", "BootNotification"])
    def test_half_the_round_trip_is_that_of_the_message_that_is_answered(self, message: str) -> None:
        """Not of one that waits for the line meanwhile (§4.6)."""
        bench = station()
        bench.disconnect()
        bench.connect()
        awaited = self.busy(bench)
        answer_boots(bench, None)  # or its answer would put the time right
        bench.advance(10)
        assert trigger(bench, message) == ACCEPTED
        bench.advance(10)
        bench.csms.say([3, awaited, {"currentTime": "2026-01-01T00:00:11Z"}])
        bench.advance(0)
        assert bench.cp.time.utc() == pytest.approx(START + 21, abs=0.001)

    def test_a_boot_that_fails_is_tried_again_as_long_after_its_own_sending(self) -> None:
        bench = registration("Pending", 100)
        answer_boots(bench, None)
        bench.advance(100)
        for _ in range(20):
            trigger(bench, "Heartbeat")
            bench.advance(1)
        bench.advance(200)
        assert bench.times("BootNotification") == [0, 100, 200, 300]


def test_no_transaction_number_once_the_transaction_ends() -> None:
    bench = WeldedBench()
    bench.connect()
    bench.charge()
    bench.socket.weld()  # so that the last reading is 10 s in coming
    bench.advance(1)
    transaction = bench.cp.connectors[1].transaction
    assert transaction is not None
    assert not transaction.running
    assert trigger(bench, "MeterValues", 1) == ACCEPTED
    (payload,) = bench.sent("MeterValues")
    assert "transactionId" not in payload
