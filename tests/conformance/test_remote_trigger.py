"""Remote trigger (TC_054, TC_055)."""

from __future__ import annotations

from tests.conformance.case import case
from tests.conformance.expected import call, seconds, status
from tests.conformance.rig import ACCEPTED, REJECTED, START, TX, Rig


@case()
async def test_tc_054_trigger(cp: Rig) -> None:
    """TriggerMessage: Accepted first, then the message: MeterValues (context Trigger, read now, with the
    transactionId), Heartbeat, StatusNotification with the true status."""
    await cp.charge()
    await cp.wait(10)
    assert await cp.call("TriggerMessage", requestedMessage="MeterValues", connectorId=1) == ACCEPTED
    (payload,) = cp.hears(call("MeterValues", connectorId=1, transactionId=TX))
    (value,) = payload["meterValue"]
    assert seconds(value["timestamp"], START) == cp.now
    assert {sample["context"] for sample in value["sampledValue"]} == {"Trigger"}
    assert await cp.call("TriggerMessage", requestedMessage="Heartbeat") == ACCEPTED
    cp.hears(call("Heartbeat"))
    assert await cp.call("TriggerMessage", requestedMessage="StatusNotification", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Charging", at=3))
    assert await cp.call("TriggerMessage", requestedMessage="StatusNotification") == ACCEPTED
    cp.hears(status(0, "Available", at=0), status(1, "Charging", at=3))


@case()
async def test_tc_055_trigger_rejected(cp: Rig) -> None:
    """TriggerMessage MeterValues for a connector that does not exist: Rejected, and nothing is sent."""
    assert await cp.call("TriggerMessage", requestedMessage="MeterValues", connectorId=2) == REJECTED
