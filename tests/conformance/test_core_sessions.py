"""Core: cold boot, charging sessions, remote start and stop, what refuses a session (TC_001 to TC_028)."""

from __future__ import annotations

from tests.conformance.case import case
from tests.conformance.expected import authorize, call, start, status, stop
from tests.conformance.rig import ACCEPTED, REJECTED, TX, Rig

TETHERED = {"cable": "tethered"}


@case(booted=False, connectors=2)
async def test_tc_001_cold_boot(cp: Rig) -> None:
    """BootNotification is answered Rejected and comes again after the interval told, with nothing in between.
    Accepted, connector 0 and every connector report Available, and Heartbeats come at the interval told."""
    cp.answers("BootNotification", payload={"status": "Rejected", "interval": 60}, times=1)
    await cp.power_up()
    cp.hears(call("BootNotification", chargePointVendor="Example", chargePointModel="Wallbox"))
    cp.answers("BootNotification", payload={"status": "Accepted", "interval": 90})
    await cp.wait(59)
    cp.hears()
    await cp.wait(1)
    cp.hears(call("BootNotification"), *cp.all_report("Available", at=0))
    for _ in range(3):
        await cp.wait(89)
        cp.hears()
        await cp.wait(1)
        cp.hears(call("Heartbeat"))
    assert await cp.configuration("HeartbeatInterval") == {"HeartbeatInterval": "90"}


@case(booted=False)
async def test_tc_002_cold_boot_pending(cp: Rig) -> None:
    """While Pending the station answers GetConfiguration, accepts ChangeConfiguration, sends what is
    triggered, refuses remote starts and stops and says nothing by itself; it boots again after the interval
    told."""
    cp.answers("BootNotification", payload={"status": "Pending", "interval": 60})
    await cp.power_up()
    cp.hears(call("BootNotification"))
    before = await cp.configuration("MeterValueSampleInterval", "HeartbeatInterval")
    assert before == {"MeterValueSampleInterval": "60", "HeartbeatInterval": "300"}
    await cp.configure(MeterValueSampleInterval=45)
    assert await cp.configuration("MeterValueSampleInterval") == {"MeterValueSampleInterval": "45"}
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == REJECTED
    assert await cp.call("RemoteStopTransaction", transactionId=1) == REJECTED
    await cp.plug_in()
    cp.hears()
    assert await cp.call("TriggerMessage", requestedMessage="StatusNotification", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Preparing"))
    await cp.unplug()
    cp.answers("BootNotification", payload=None)
    await cp.wait(59)
    cp.hears()
    await cp.wait(1)
    cp.hears(call("BootNotification"), *cp.all_report("Available", at=0))
    assert cp.connections == 1


@case()
async def test_tc_003_charging_session_plug_first(cp: Rig) -> None:
    """Plugged in: Preparing; the tag: Authorize, StartTransaction, Charging. The same tag again:
    StopTransaction with reason Local and that tag, Finishing; unplugged: Available."""
    await cp.plug_in()
    cp.hears(status(1, "Preparing"))
    await cp.wait(5)
    await cp.swipe("TAG")
    cp.hears(authorize("TAG"), start("TAG"))
    await cp.wait(5)
    cp.hears(status(1, "Charging"))
    await cp.wait(20)
    await cp.swipe("TAG")
    cp.hears(stop("Local", TX, "TAG"), status(1, "Finishing"))
    await cp.wait(5)
    await cp.unplug()
    cp.hears(status(1, "Available"))
    (transaction,) = cp.csms.transactions()
    assert transaction.energy_wh


@case()
async def test_tc_004_1_identification_first(cp: Rig) -> None:
    """The tag first: Authorize, Preparing; plugged in: StartTransaction, Charging."""
    await cp.swipe("TAG")
    cp.hears(authorize("TAG"), status(1, "Preparing"))
    await cp.wait(5)
    await cp.plug_in()
    cp.hears(start("TAG"))
    await cp.wait(5)
    cp.hears(status(1, "Charging"))


@case()
async def test_tc_004_2_connection_timeout(cp: Rig) -> None:
    """An authorised user who plugs nothing in: Available after ConnectionTimeOut, and the authorisation is
    gone with it."""
    await cp.configure(ConnectionTimeOut=30)
    await cp.swipe("TAG")
    cp.hears(authorize("TAG"), status(1, "Preparing"))
    await cp.wait(29)
    cp.hears()
    await cp.wait(1)
    cp.hears(status(1, "Available"))
    await cp.plug_in()
    await cp.wait(5)
    cp.hears(status(1, "Preparing"))


async def _ev_side(cp: Rig, stops: bool, unlocks: bool) -> None:
    await cp.configure(
        MinimumStatusDuration=0,
        StopTransactionOnEVSideDisconnect=stops,
        UnlockConnectorOnEVSideDisconnect=unlocks,
    )
    await cp.charge()
    await cp.wait(10)
    await cp.unplug()


@case()
async def test_tc_005_1_ev_side_disconnect(cp: Rig) -> None:
    """Unplugged at the vehicle, with stop and unlock: StopTransaction EVDisconnected without a tag,
    Finishing, and Available once the cable is gone."""
    await _ev_side(cp, stops=True, unlocks=True)
    cp.hears(
        stop("EVDisconnected", TX),
        status(1, "Finishing", info="EV side disconnected"),
        status(1, "Available"),
    )


@case()
async def test_tc_005_2_ev_side_disconnect_locked(cp: Rig) -> None:
    """Unplugged at the vehicle, with stop and without unlock: StopTransaction EVDisconnected, Finishing until
    UnlockConnector (Unlocked) lets the cable go, then Available."""
    await _ev_side(cp, stops=True, unlocks=False)
    cp.hears(stop("EVDisconnected", TX), status(1, "Finishing", info="EV side disconnected"))
    await cp.wait(30)
    cp.hears()
    assert await cp.call("UnlockConnector", connectorId=1) == {"status": "Unlocked"}
    cp.hears(status(1, "Available"))


@case()
async def test_tc_005_3_ev_side_disconnect_suspends(cp: Rig) -> None:
    """Unplugged at the vehicle, without stop: SuspendedEV, the transaction goes on. RemoteStopTransaction:
    StopTransaction Remote, Finishing."""
    await _ev_side(cp, stops=False, unlocks=False)
    cp.hears(status(1, "SuspendedEV", info="EV side disconnected"))
    await cp.wait(30)
    assert await cp.call("RemoteStopTransaction", transactionId=TX) == ACCEPTED
    cp.hears(stop("Remote", TX), status(1, "Finishing"), status(1, "Available"))


@case(readers=[{"driver": "simulated"}], connectors=2)
async def test_tc_006_one_reader_several_connectors(cp: Rig) -> None:
    """Two sessions interleaved at one reader: each tag starts at the connector that was plugged in for it and
    stops its own transaction, not the other."""
    await cp.plug_in(1)
    await cp.swipe("ONE", None)
    await cp.wait(5)
    cp.hears(status(1, "Preparing"), authorize("ONE"), start("ONE", 1), status(1, "Charging"))
    await cp.swipe("TWO", None)
    await cp.plug_in(2)
    await cp.wait(5)
    cp.hears(authorize("TWO"), status(2, "Preparing"), start("TWO", 2), status(2, "Charging"))
    await cp.swipe("ONE", None)
    cp.hears(stop("Local", TX, "ONE"), status(1, "Finishing"))
    await cp.swipe("TWO", None)
    cp.hears(stop("Local", TX + 1, "TWO"), status(2, "Finishing"))
    await cp.unplug(2)
    await cp.unplug(1)
    cp.hears(status(2, "Available"), status(1, "Available"))


async def _in_cache(cp: Rig, id_tag: str) -> None:
    """One session, after which the tag is in the cache."""
    await cp.charge(id_tag)
    await cp.end(id_tag, transaction_id=TX)


@case()
async def test_tc_007_1_cached_id_local(cp: Rig) -> None:
    """With LocalPreAuthorize a tag in the cache starts without Authorize: Preparing, StartTransaction,
    Charging."""
    await cp.configure(AuthorizationCacheEnabled=True, LocalPreAuthorize=True)
    await _in_cache(cp, "TAG")
    await cp.plug_in()
    await cp.swipe("TAG")
    await cp.wait(5)
    cp.hears(status(1, "Preparing"), start("TAG"), status(1, "Charging"))


@case()
async def test_tc_007_2_cached_id_remote(cp: Rig) -> None:
    """With LocalPreAuthorize and AuthorizeRemoteTxRequests a remote start of a tag in the cache starts
    without Authorize: Preparing, StartTransaction, Charging."""
    await cp.configure(AuthorizationCacheEnabled=True, LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    await _in_cache(cp, "TAG")
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Preparing"))
    await cp.plug_in()
    await cp.wait(5)
    cp.hears(start("TAG"), status(1, "Charging"))


@case()
async def test_tc_010_remote_start_cable_first(cp: Rig) -> None:
    """Plugged in, then RemoteStartTransaction: Accepted, Authorize exactly if AuthorizeRemoteTxRequests,
    StartTransaction, Charging."""
    for n, asked in enumerate((True, False)):
        await cp.configure(AuthorizeRemoteTxRequests=asked)
        await cp.plug_in()
        cp.hears(status(1, "Preparing"))
        assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
        await cp.wait(5)
        cp.hears(*([authorize("TAG")] if asked else []), start("TAG"), status(1, "Charging"))
        await cp.end(transaction_id=TX + n)


@case()
async def test_tc_011_1_remote_start_first(cp: Rig) -> None:
    """RemoteStartTransaction: Accepted, Authorize exactly if AuthorizeRemoteTxRequests, Preparing; then
    plugged in: StartTransaction, Charging."""
    for n, asked in enumerate((True, False)):
        await cp.configure(AuthorizeRemoteTxRequests=asked)
        assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
        cp.hears(*([authorize("TAG")] if asked else []), status(1, "Preparing"), in_any_order=True)
        await cp.wait(10)
        await cp.plug_in()
        await cp.wait(5)
        cp.hears(start("TAG"), status(1, "Charging"))
        await cp.end(transaction_id=TX + n)


@case()
async def test_tc_011_2_remote_start_timeout(cp: Rig) -> None:
    """RemoteStartTransaction and nobody plugs in: Preparing, Available after ConnectionTimeOut, and the
    request is forgotten."""
    await cp.configure(ConnectionTimeOut=30)
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Preparing"))
    await cp.wait(29)
    cp.hears()
    await cp.wait(1)
    cp.hears(status(1, "Available"))
    await cp.plug_in()
    await cp.wait(5)
    cp.hears(status(1, "Preparing"))


@case()
async def test_tc_012_remote_stop(cp: Rig) -> None:
    """RemoteStopTransaction: Accepted, StopTransaction with reason Remote and without a tag, Finishing; the
    cable is free: unplugged, Available."""
    await cp.charge()
    assert await cp.call("RemoteStopTransaction", transactionId=TX) == ACCEPTED
    cp.hears(stop("Remote", TX), status(1, "Finishing"))
    await cp.unplug()
    cp.hears(status(1, "Available"))


NOT_ACCEPTED = ("Invalid", "Expired", "Blocked")


@case()
async def test_tc_023_4_start_local_not_authorised(cp: Rig) -> None:
    """Authorize answered Invalid, Expired or Blocked: nothing changes; plugged in: Preparing and no
    StartTransaction."""
    for refusal in NOT_ACCEPTED:
        cp.answers_tag("Authorize", "TAG", refusal)
        await cp.swipe("TAG")
        cp.hears(authorize("TAG"))
        await cp.plug_in()
        await cp.wait(60)
        cp.hears(status(1, "Preparing"))
        await cp.unplug()
        cp.hears(status(1, "Available"))


@case()
async def test_tc_023_5_start_remote_not_authorised(cp: Rig) -> None:
    """With AuthorizeRemoteTxRequests: RemoteStartTransaction Accepted, Authorize answered Invalid, Expired or
    Blocked, no StartTransaction, only Preparing when plugged in."""
    await cp.configure(AuthorizeRemoteTxRequests=True)
    for refusal in NOT_ACCEPTED:
        cp.answers_tag("Authorize", "TAG", refusal)
        await cp.plug_in()
        cp.hears(status(1, "Preparing"))
        assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
        await cp.wait(60)
        cp.hears(authorize("TAG"))
        await cp.unplug()
        cp.hears(status(1, "Available"))


@case()
async def test_tc_024_lock_failure(cp: Rig) -> None:
    """The lock does not move: Faulted with ConnectorLockFailure and no transaction; repaired, the station can
    be used again."""
    await cp.do("lock", connector=1, broken=True)
    await cp.plug_in()
    cp.hears(status(1, "Preparing"))
    await cp.swipe("TAG")
    await cp.wait(30)
    cp.hears(authorize("TAG"), status(1, "Faulted", "ConnectorLockFailure"))
    await cp.unplug()
    await cp.do("lock", connector=1, broken=False)
    cp.hears(status(1, "Available"))


@case()
async def test_tc_026_remote_start_rejected(cp: Rig) -> None:
    """RemoteStartTransaction for a connector with a transaction: Rejected, and that transaction goes on."""
    await cp.charge()
    assert await cp.call("RemoteStartTransaction", idTag="OTHER", connectorId=1) == REJECTED
    await cp.wait(10)
    cp.hears()
    await cp.end(transaction_id=TX)


@case()
async def test_tc_027_remote_start_connector_0(cp: Rig) -> None:
    """RemoteStartTransaction for connector 0: Rejected, and nothing starts."""
    await cp.plug_in()
    cp.hears(status(1, "Preparing"))
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=0) == REJECTED
    await cp.wait(10)


@case()
async def test_tc_028_remote_stop_rejected(cp: Rig) -> None:
    """RemoteStopTransaction for a number that no transaction has: Rejected, and the one that runs goes on."""
    await cp.charge()
    assert await cp.call("RemoteStopTransaction", transactionId=TX + 1) == REJECTED
    await cp.wait(10)
    cp.hears()
    await cp.end(transaction_id=TX)
