"""Core: resets, power failures, and a link that comes back (TC_013 to TC_016, TC_032 to TC_035)."""

from __future__ import annotations

from tests.conformance.case import case
from tests.conformance.expected import call, status, stop
from tests.conformance.rig import ACCEPTED, TX, Rig


async def _reset_without_transaction(cp: Rig, kind: str) -> None:
    assert await cp.call("ChangeAvailability", connectorId=0, type="Inoperative") == ACCEPTED
    cp.hears(*cp.all_report("Unavailable"))
    assert await cp.call("Reset", type=kind) == ACCEPTED
    cp.hears()
    await cp.wait(30)
    cp.hears(call("BootNotification"), *cp.all_report("Unavailable", at=1))
    assert cp.connections == 2
    assert await cp.call("ChangeAvailability", connectorId=0, type="Operative") == ACCEPTED
    cp.hears(*cp.all_report("Available"))
    await cp.charge()


@case(connectors=2)
async def test_tc_013_hard_reset(cp: Rig) -> None:
    """Reset Hard without a transaction: Accepted, BootNotification and the statuses; Unavailable has
    survived, until ChangeAvailability Operative brings back Available."""
    await _reset_without_transaction(cp, "Hard")


@case(connectors=2)
async def test_tc_014_soft_reset(cp: Rig) -> None:
    """Reset Soft without a transaction: Accepted, BootNotification and the statuses; Unavailable has
    survived, until ChangeAvailability Operative brings back Available."""
    await _reset_without_transaction(cp, "Soft")


async def _reset_with_transaction(cp: Rig, kind: str) -> None:
    await cp.charge()
    await cp.wait(10)
    ended = cp.now
    assert await cp.call("Reset", type=kind) == ACCEPTED
    cp.hears(stop(f"{kind}Reset", TX), status(1, "Finishing"))
    await cp.wait(30)
    cp.hears(call("BootNotification"), status(0, "Available", at=0), status(1, "Finishing", at=ended))
    await cp.unplug()
    cp.hears(status(1, "Available"))


@case()
async def test_tc_015_hard_reset_with_transaction(cp: Rig) -> None:
    """Reset Hard during a transaction: Accepted, StopTransaction HardReset, BootNotification, statuses."""
    await _reset_with_transaction(cp, "Hard")


@case()
async def test_tc_016_soft_reset_with_transaction(cp: Rig) -> None:
    """Reset Soft during a transaction: Accepted, StopTransaction SoftReset, BootNotification, statuses."""
    await _reset_with_transaction(cp, "Soft")


@case()
async def test_tc_032_1_power_failure_stop_before(cp: Rig) -> None:
    """The mains go and a backup lasts for an orderly end: StopTransaction PowerLoss, Finishing, the link is
    closed. With the mains back: BootNotification and the statuses, Finishing since the cable is still in."""
    await cp.charge()
    await cp.wait(10)
    ended = cp.now
    await cp.do("power", on=False)
    cp.hears(stop("PowerLoss", TX), status(1, "Finishing"))
    await cp.wait(600)
    cp.hears()
    await cp.do("power", on=True)
    cp.hears(call("BootNotification"), status(0, "Available", at=0), status(1, "Finishing", at=ended))
    await cp.unplug()
    cp.hears(status(1, "Available"))


@case(durable=True, ocpp={"MeterValueSampleInterval": "20"})
async def test_tc_032_2_power_failure_stop_after(cp: Rig) -> None:
    """The mains go at once: after the next boot BootNotification, the statuses with Finishing, and a
    StopTransaction PowerLoss of the moment up to which the station remembers."""
    await cp.charge()
    await cp.wait(24)
    cp.hears(call("MeterValues", transactionId=TX))
    await cp.power_cut()
    await cp.plug_in()
    await cp.power_up()
    cp.hears(
        call("BootNotification"),
        *cp.all_report("Available", "Finishing"),
        stop("PowerLoss", TX, at=21),
    )
    await cp.unplug()
    cp.hears(status(1, "Available"))


@case(durable=True, behaviour={"resume_tx_after_power_loss": True})
async def test_tc_032_2_power_failure_resumed(cp: Rig) -> None:
    """The same at a station that resumes: after the next boot BootNotification and the statuses, Charging
    again as soon as the vehicle takes energy; the transaction ends later, with the tag and reason Local."""
    await cp.charge()
    await cp.power_cut()
    await cp.plug_in()
    await cp.power_up()
    await cp.wait(10)
    cp.hears(
        call("BootNotification"),
        *cp.all_report("Available", "SuspendedEVSE"),
        status(1, "Charging"),
    )
    await cp.swipe("TAG")
    cp.hears(stop("Local", TX, "TAG"), status(1, "Finishing"))


@case(durable=True, connectors=2)
async def test_tc_034_power_failure_while_unavailable(cp: Rig) -> None:
    """ChangeAvailability Inoperative for the whole station, the mains go at once: after the next boot
    connector 0 and every other is Unavailable, until Operative brings back Available."""
    assert await cp.call("ChangeAvailability", connectorId=0, type="Inoperative") == ACCEPTED
    cp.hears(*cp.all_report("Unavailable"))
    await cp.power_cut()
    await cp.power_up()
    cp.hears(call("BootNotification"), *cp.all_report("Unavailable"))
    assert await cp.call("ChangeAvailability", connectorId=0, type="Operative") == ACCEPTED
    cp.hears(*cp.all_report("Available"))


@case()
async def test_tc_035_idle_charge_point(cp: Rig) -> None:
    """Idle, the link is lost and comes back: no BootNotification and no status, Heartbeats as before."""
    await cp.configure(HeartbeatInterval=60)
    await cp.wait(59)
    cp.hears(call("Heartbeat"))
    await cp.network(False)
    await cp.wait(150)
    await cp.network(True)
    assert cp.connections == 2
    cp.hears()
    await cp.wait(59)
    cp.hears()
    await cp.wait(1)
    cp.hears(call("Heartbeat"))
