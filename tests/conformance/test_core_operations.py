"""Core: unlocking, configuration, faults, the cache, DataTransfer (TC_017 to TC_064)."""

from __future__ import annotations

from tests.conformance.case import case
from tests.conformance.expected import authorize, call, start, status, stop
from tests.conformance.rig import ACCEPTED, NOT_SUPPORTED, REJECTED, TX, Rig

TETHERED = {"cable": "tethered"}


UNLOCKED, UNLOCK_FAILED = {"status": "Unlocked"}, {"status": "UnlockFailed"}


@case()
async def test_tc_017_1_unlock_socket(cp: Rig) -> None:
    """UnlockConnector without a session, at an empty socket: Unlocked, and no status changes."""
    assert await cp.call("UnlockConnector", connectorId=1) == UNLOCKED


@case(connector=TETHERED)
async def test_tc_017_2_unlock_fixed_cable(cp: Rig) -> None:
    """UnlockConnector without a session, at a fixed cable: NotSupported."""
    assert await cp.call("UnlockConnector", connectorId=1) == NOT_SUPPORTED


@case()
async def test_tc_018_1_unlock_socket_with_session(cp: Rig) -> None:
    """UnlockConnector during a transaction: Unlocked, StopTransaction UnlockCommand, Finishing; unplugged:
    Available."""
    await cp.charge()
    assert await cp.call("UnlockConnector", connectorId=1) == UNLOCKED
    cp.hears(stop("UnlockCommand", TX), status(1, "Finishing"))
    await cp.unplug()
    cp.hears(status(1, "Available"))


@case(connector=TETHERED)
async def test_tc_018_2_unlock_fixed_cable_with_session(cp: Rig) -> None:
    """UnlockConnector during a transaction at a fixed cable: NotSupported, and the transaction goes on until
    RemoteStopTransaction."""
    await cp.charge()
    assert await cp.call("UnlockConnector", connectorId=1) == NOT_SUPPORTED
    await cp.wait(10)
    cp.hears()
    assert await cp.call("RemoteStopTransaction", transactionId=TX) == ACCEPTED
    cp.hears(stop("Remote", TX), status(1, "Finishing"))
    await cp.unplug()
    cp.hears(status(1, "Available"))


REQUIRED_KEYS = {
    # Core; True is read-only
    "AuthorizeRemoteTxRequests": False,
    "ClockAlignedDataInterval": False,
    "ConnectionTimeOut": False,
    "ConnectorPhaseRotation": False,
    "GetConfigurationMaxKeys": True,
    "HeartbeatInterval": False,
    "LocalAuthorizeOffline": False,
    "LocalPreAuthorize": False,
    "MeterValuesAlignedData": False,
    "MeterValuesSampledData": False,
    "MeterValueSampleInterval": False,
    "NumberOfConnectors": True,
    "ResetRetries": False,
    "StopTransactionOnEVSideDisconnect": False,
    "StopTransactionOnInvalidId": False,
    "StopTxnAlignedData": False,
    "StopTxnSampledData": False,
    "SupportedFeatureProfiles": True,
    "TransactionMessageAttempts": False,
    "TransactionMessageRetryInterval": False,
    "UnlockConnectorOnEVSideDisconnect": False,
    # LocalAuthListManagement
    "LocalAuthListEnabled": False,
    "LocalAuthListMaxLength": True,
    "SendLocalListMaxLength": True,
    # SmartCharging
    "ChargeProfileMaxStackLevel": True,
    "ChargingScheduleAllowedChargingRateUnit": True,
    "ChargingScheduleMaxPeriods": True,
    "MaxChargingProfilesInstalled": True,
    # FirmwareManagement, security extension
    "SupportedFileTransferProtocols": True,
    "AdditionalRootCertificateCheck": True,
    "CertificateSignedMaxChainSize": True,
    "CertificateStoreMaxLength": True,
    "CpoName": False,
    "SecurityProfile": False,
}
PROFILES = {
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "RemoteTrigger",
    "Reservation",
    "SmartCharging",
}


@case()
async def test_tc_019_retrieve_configuration(cp: Rig) -> None:
    """GetConfiguration without keys: every required key of every supported profile with the right readonly
    flag, the AuthorizationKey not among them. For one key and for several: these, and the unknown one
    named."""
    answer = await cp.call("GetConfiguration")
    assert isinstance(answer, dict)
    assert "unknownKey" not in answer
    entries = {entry["key"]: entry for entry in answer["configurationKey"]}
    assert len(entries) == len(answer["configurationKey"])
    assert {key: entries[key]["readonly"] for key in REQUIRED_KEYS} == REQUIRED_KEYS
    assert "AuthorizationKey" not in entries
    assert set(entries["SupportedFeatureProfiles"]["value"].split(",")) == PROFILES
    one = await cp.call("GetConfiguration", key=["SupportedFeatureProfiles"])
    assert one == {"configurationKey": [entries["SupportedFeatureProfiles"]]}
    several = await cp.call("GetConfiguration", key=["ResetRetries", "NoSuchKey", "NumberOfConnectors"])
    assert several == {
        "configurationKey": [entries["ResetRetries"], entries["NumberOfConnectors"]],
        "unknownKey": ["NoSuchKey"],
    }


@case()
async def test_tc_021_change_configuration(cp: Rig) -> None:
    """ChangeConfiguration: Accepted; GetConfiguration shows the new value, and it is in force at once."""
    await cp.configure(MeterValueSampleInterval=10)
    answer = await cp.call("GetConfiguration", key=["MeterValueSampleInterval"])
    assert answer == {
        "configurationKey": [{"key": "MeterValueSampleInterval", "readonly": False, "value": "10"}]
    }
    await cp.charge()
    await cp.wait(5)
    cp.hears(call("MeterValues", transactionId=TX))


@case()
async def test_tc_030_unlock_failure(cp: Rig) -> None:
    """UnlockConnector with a lock that does not move: UnlockFailed, ConnectorLockFailure is reported; the
    transaction is stopped all the same."""
    await cp.charge()
    await cp.do("lock", connector=1, broken=True)
    assert await cp.call("UnlockConnector", connectorId=1) == UNLOCK_FAILED
    cp.hears(stop("UnlockCommand", TX), status(1, "Finishing"), status(1, "Faulted", "ConnectorLockFailure"))
    await cp.do("lock", connector=1, broken=False)
    cp.hears(status(1, "Finishing"))


@case()
async def test_tc_031_unlock_unknown_connector(cp: Rig) -> None:
    """UnlockConnector for a connector that does not exist: NotSupported."""
    assert await cp.call("UnlockConnector", connectorId=2) == NOT_SUPPORTED
    assert await cp.call("UnlockConnector", connectorId=0) == NOT_SUPPORTED


@case()
async def test_tc_040_1_unknown_key(cp: Rig) -> None:
    """ChangeConfiguration of a key that does not exist: NotSupported."""
    assert await cp.call("ChangeConfiguration", key="NoSuchKey", value="1") == NOT_SUPPORTED


@case()
async def test_tc_040_2_invalid_value(cp: Rig) -> None:
    """ChangeConfiguration with a value the key cannot have: Rejected, and the old one stays in force."""
    before = await cp.configuration("MeterValueSampleInterval", "StopTransactionOnInvalidId")
    for key, value in (
        ("MeterValueSampleInterval", "-1"),
        ("MeterValueSampleInterval", "often"),
        ("StopTransactionOnInvalidId", "maybe"),
    ):
        assert await cp.call("ChangeConfiguration", key=key, value=value) == REJECTED
    assert await cp.configuration("MeterValueSampleInterval", "StopTransactionOnInvalidId") == before


@case()
async def test_tc_041_fault(cp: Rig) -> None:
    """A fault: Faulted with its error code; neither a tag nor RemoteStartTransaction (Rejected) starts a
    transaction. The fault gone: the status the connector would have."""
    await cp.do("fault", connector=1, error_code="HighTemperature", info="too hot")
    cp.hears(status(1, "Faulted", "HighTemperature", info="too hot"))
    await cp.plug_in()
    await cp.swipe("TAG")
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == REJECTED
    await cp.wait(30)
    cp.hears()
    await cp.do("clear_fault", connector=1)
    cp.hears(status(1, "Preparing"))


@case()
async def test_tc_061_1_clear_cache_local(cp: Rig) -> None:
    """ClearCache: Accepted; a tag that started without Authorize before is asked for again."""
    await cp.configure(AuthorizationCacheEnabled=True, LocalPreAuthorize=True)
    await cp.charge()
    await cp.end(transaction_id=TX)
    assert await cp.call("ClearCache") == ACCEPTED
    await cp.charge()


@case()
async def test_tc_061_2_clear_cache_remote(cp: Rig) -> None:
    """ClearCache: Accepted; a tag started remotely (AuthorizeRemoteTxRequests) is asked for again."""
    await cp.configure(AuthorizationCacheEnabled=True, LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    await cp.charge()
    await cp.end(transaction_id=TX)
    assert await cp.call("ClearCache") == ACCEPTED
    await cp.plug_in()
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
    await cp.wait(5)
    cp.hears(status(1, "Preparing"), authorize("TAG"), start("TAG"), status(1, "Charging"))


@case()
async def test_tc_062_data_transfer_to_the_station(cp: Rig) -> None:
    """DataTransfer for a vendor the station does not know: UnknownVendorId and no data."""
    answer = await cp.call("DataTransfer", vendorId="com.example", messageId="m1", data='{"a": 1}')
    assert answer == {"status": "UnknownVendorId"}


@case()
async def test_tc_064_data_transfer_to_the_central_system(cp: Rig) -> None:
    """The station sends DataTransfer with vendor, message and data; a refusal changes nothing."""
    await cp.do("data_transfer", vendor_id="com.example", message_id="m1", data='{"a": 1}')
    cp.hears(call("DataTransfer", vendorId="com.example", messageId="m1", data='{"a": 1}'))
    await cp.charge()
