"""ExtendedTriggerMessage (whitepaper A02, L01.FR.28, L01.FR.29, N01; OCPP 1.6 §5.17)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.security.extended_trigger import SENDERS
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.test_boot import answer_boots, conf, registration
from tests.unit.ocpp16.test_remote_trigger import frames, reported, station

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}
NOT_IMPLEMENTED = {"status": "NotImplemented"}


def trigger(bench: Bench, message: str, connector: int | None = None) -> Any:
    """Ask for a message; the answer."""
    payload: dict[str, Any] = {"requestedMessage": message}
    if connector is not None:
        payload["connectorId"] = connector
    return bench.call("ExtendedTriggerMessage", payload)


SENT_AS = {
    "Heartbeat": "Heartbeat",
    "MeterValues": "MeterValues",
    "StatusNotification": "StatusNotification",
    "LogStatusNotification": "LogStatusNotification",
    "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
    "SignChargePointCertificate": "SignCertificate",
}


@pytest.mark.parametrize("profiles", ["Core", "Core,RemoteTrigger"])
@pytest.mark.parametrize("message", SENT_AS)
def test_the_answer_goes_first(message: str, profiles: str) -> None:
    bench = station(ocpp={"SupportedFeatureProfiles": profiles, "CpoName": "O"})
    before = len(bench.csms.frames)
    assert trigger(bench, message, 1) == ACCEPTED
    assert frames(bench, before) == ["answer", SENT_AS[message]]


def test_every_message_there_is_has_a_sender() -> None:
    assert set(SENDERS) == {*SENT_AS, "BootNotification"}


@pytest.mark.parametrize("message", ["LogStatusNotification", "FirmwareStatusNotification"])
def test_idle_where_nothing_happened_yet(message: str) -> None:
    bench = station()
    assert trigger(bench, message) == ACCEPTED
    assert bench.sent(SENT_AS[message]) == [{"status": "Idle"}]


@pytest.mark.parametrize(
    "message",
    ["DiagnosticsStatusNotification", "SecurityEventNotification", "Nonsense", "heartbeat", "", "x" * 10_000],
)
def test_unknown(message: str) -> None:
    """A status, not an error, although the schema lists what there is."""
    bench = station()
    before = len(bench.csms.frames)
    assert trigger(bench, message) == NOT_IMPLEMENTED
    assert frames(bench, before) == ["answer"]


@pytest.mark.parametrize("message", ["StatusNotification", "MeterValues"])
@pytest.mark.parametrize("connector", [3, -1, 2**31])
def test_a_connector_there_is_not(message: str, connector: int) -> None:
    bench = station(2)
    before = len(bench.csms.frames)
    assert trigger(bench, message, connector) == REJECTED
    assert frames(bench, before) == ["answer"]


@pytest.mark.parametrize("connector", [99, -1, 0])
@pytest.mark.parametrize(
    "message",
    ["Heartbeat", "LogStatusNotification", "FirmwareStatusNotification", "SignChargePointCertificate"],
)
def test_where_the_connector_does_not_matter(message: str, connector: int) -> None:
    bench = station(ocpp={"CpoName": "O"})
    assert trigger(bench, message, connector) == ACCEPTED
    assert len(bench.sent(SENT_AS[message])) == 1


def test_all_connectors() -> None:
    bench = station(2)
    before = len(bench.sent("StatusNotification"))
    assert trigger(bench, "StatusNotification") == ACCEPTED
    assert reported(bench, before) == [(0, "Available"), (1, "Available"), (2, "Available")]


class TestBoot:
    def test_not_again_on_the_connection_it_was_accepted_on(self) -> None:
        bench = station()
        assert trigger(bench, "BootNotification") == REJECTED
        bench.disconnect()
        bench.connect()
        assert trigger(bench, "BootNotification") == ACCEPTED
        assert len(bench.sent("BootNotification")) == 2

    def test_in_pending(self) -> None:
        bench = registration("Pending")
        answer_boots(bench, conf("Accepted"))
        assert trigger(bench, "BootNotification") == ACCEPTED
        bench.advance(1)
        assert bench.cp.accepted


@pytest.mark.parametrize("message", SENT_AS)
def test_in_pending(message: str) -> None:
    bench = registration("Pending", ocpp={"CpoName": "O"})
    assert trigger(bench, message, 1) == ACCEPTED
    assert bench.actions() == ["BootNotification", SENT_AS[message]]


def test_silence_while_rejected() -> None:
    bench = registration("Rejected")
    assert trigger(bench, "Heartbeat") is None
    assert bench.actions() == ["BootNotification"]
