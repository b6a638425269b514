"""Core: transactions without a link, stopping by tag, meter values (TC_036 to TC_039, TC_068 to TC_071)."""

from __future__ import annotations

from tests.conformance.case import case
from tests.conformance.expected import ABSENT, Payload, authorize, call, seconds, start, status, stop
from tests.conformance.rig import START, TX, Rig


@case(ocpp={"MeterValueSampleInterval": "10"})
async def test_tc_036_connection_loss_during_transaction(cp: Rig) -> None:
    """The link is lost during a transaction: afterwards every MeterValues that was due comes, in order,
    spaced by the interval and before newer ones; no BootNotification."""
    await cp.charge()
    await cp.wait(15)
    cp.hears(*(call("MeterValues", transactionId=TX),) * 2)
    await cp.network(False)
    await cp.wait(65)
    cp.hears()
    await cp.network(True)
    await cp.wait(20)
    heard = cp.skim()
    assert {one.action for one in heard} == {"MeterValues"}
    assert {one.payload["transactionId"] for one in heard} == {TX}
    taken = [seconds(value["timestamp"], START) for one in heard for value in one.payload["meterValue"]]
    assert taken == [31 + 10 * n for n in range(8)]
    readings = [float(one.payload["meterValue"][0]["sampledValue"][0]["value"]) for one in heard]
    assert readings == sorted(readings)
    await cp.swipe("TAG")
    cp.hears(stop("Local", TX, "TAG"), status(1, "Finishing"))


@case(ocpp={"LocalAuthorizeOffline": "true"})
async def test_tc_037_1_offline_start_valid(cp: Rig) -> None:
    """A tag known as valid starts without a link; with the link back: Charging, StartTransaction of the
    moment it began, no Authorize; the transaction goes on."""
    await cp.charge()
    await cp.end(transaction_id=TX)
    await cp.network(False)
    await cp.plug_in()
    await cp.swipe("TAG")
    began = cp.now
    await cp.wait(30)
    await cp.network(True)
    cp.hears(status(1, "Charging", at=began + 2), start("TAG", at=began))
    await cp.wait(5)
    await cp.end(transaction_id=TX + 1)


async def _unknown_tag_offline(cp: Rig) -> float:
    """A tag nobody knows starts offline, and the central system will not have it; when it started."""
    cp.answers_tag("StartTransaction", "UNKNOWN", "Invalid")
    await cp.network(False)
    await cp.plug_in()
    await cp.swipe("UNKNOWN")
    began = cp.now
    await cp.wait(30)
    await cp.network(True)
    return began


@case(ocpp={"AllowOfflineTxForUnknownId": "true", "StopTransactionOnInvalidId": "false"})
async def test_tc_037_2_offline_start_invalid(cp: Rig) -> None:
    """An unknown tag starts without a link and StartTransaction is answered Invalid,
    StopTransactionOnInvalidId false: SuspendedEVSE, the transaction stays open until the tag stops it."""
    began = await _unknown_tag_offline(cp)
    cp.hears(status(1, "Charging", at=began + 2), start("UNKNOWN", at=began), status(1, "SuspendedEVSE"))
    await cp.wait(60)
    cp.skim()
    await cp.swipe("UNKNOWN")
    cp.hears(stop("Local", TX, "UNKNOWN"), status(1, "Finishing"))


@case(ocpp={"AllowOfflineTxForUnknownId": "true", "StopTransactionOnInvalidId": "true"})
async def test_tc_037_3_offline_start_invalid_stops(cp: Rig) -> None:
    """The same with StopTransactionOnInvalidId true: StopTransaction DeAuthorized without a tag, Finishing;
    the cable is let go to the tag that started."""
    began = await _unknown_tag_offline(cp)
    cp.hears(
        status(1, "Charging", at=began + 2),
        start("UNKNOWN", at=began),
        stop("DeAuthorized", TX),
        status(1, "Finishing"),
    )
    await cp.unplug()
    cp.hears(status(1, "Finishing", info="EV side disconnected"))
    await cp.swipe("UNKNOWN")
    cp.hears(status(1, "Available"))


@case()
async def test_tc_038_offline_stop(cp: Rig) -> None:
    """The tag stops the transaction without a link; with the link back: Finishing, StopTransaction Local of
    the moment it ended."""
    await cp.charge()
    await cp.network(False)
    await cp.wait(10)
    await cp.swipe("TAG")
    ended = cp.now
    await cp.wait(40)
    await cp.network(True)
    cp.hears(status(1, "Finishing", at=ended), stop("Local", TX, "TAG", at=ended))
    await cp.unplug()
    cp.hears(status(1, "Available"))


@case(ocpp={"LocalAuthorizeOffline": "true"})
async def test_tc_039_offline_transaction(cp: Rig) -> None:
    """A whole transaction without a link: afterwards StartTransaction and StopTransaction Local, each of its
    own moment, with the number the central system gave; the status has not changed, so none is sent."""
    await cp.charge()
    await cp.end(transaction_id=TX)
    await cp.network(False)
    await cp.plug_in()
    await cp.swipe("TAG")
    began = cp.now
    await cp.wait(30)
    await cp.swipe("TAG")
    await cp.unplug()
    ended = cp.now
    await cp.wait(30)
    await cp.network(True)
    cp.hears(start("TAG", at=began), stop("Local", TX + 1, "TAG", at=ended))
    assert cp.connections == 2


@case()
async def test_tc_068_stop_with_the_same_tag(cp: Rig) -> None:
    """A foreign tag does not stop the transaction, be it without a group or of another one; the tag that
    started it does, without Authorize: StopTransaction Local with that tag, Finishing."""
    await cp.charge("TAG")
    await cp.swipe("FOREIGN")
    await cp.wait(10)
    cp.hears()
    await cp.end("TAG", transaction_id=TX)
    cp.answers_tag("Authorize", "MEMBER", "Accepted", parentIdTag="GROUP")
    cp.answers_tag("Authorize", "FOREIGN", "Accepted", parentIdTag="MEMBER")
    await cp.charge("MEMBER")
    await cp.swipe("FOREIGN")
    await cp.wait(10)
    cp.hears(authorize("FOREIGN"))
    await cp.end("MEMBER", transaction_id=TX + 1)


@case()
async def test_tc_069_stop_with_the_same_parent(cp: Rig) -> None:
    """A tag with the parent of the one that started: Authorize, then StopTransaction Local with that tag."""
    for id_tag in ("ONE", "TWO"):
        cp.answers_tag("Authorize", id_tag, "Accepted", parentIdTag="GROUP")
    await cp.charge("ONE")
    await cp.swipe("TWO")
    cp.hears(authorize("TWO"), stop("Local", TX, "TWO"), status(1, "Finishing"))


AT_THE_MOMENT = {
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Import.Register",
    "Frequency",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Temperature",
    "Voltage",
}
OVER_THE_INTERVAL = {"Energy.Active.Import.Interval"}
"""It carries the moment at which the interval began (OCPP 1.6 §9.1.5)."""


async def _measure_everything(cp: Rig, key: str) -> None:
    """Every measurand that this station has."""
    text = ",".join(sorted(AT_THE_MOMENT | OVER_THE_INTERVAL))
    await cp.configure(**{key: text})
    assert await cp.configuration(key) == {key: text}


def _check_samples(payload: Payload, at: float, interval_s: float, context: str) -> None:
    """Everything was measured, at that moment; the energy of an interval since that ago."""
    over, now = payload["meterValue"]
    assert (seconds(over["timestamp"], START), seconds(now["timestamp"], START)) == (at - interval_s, at)
    assert {sample["measurand"] for sample in over["sampledValue"]} == OVER_THE_INTERVAL
    assert {sample["measurand"] for sample in now["sampledValue"]} == AT_THE_MOMENT
    for sample in (*over["sampledValue"], *now["sampledValue"]):
        assert isinstance(sample["value"], str)
        float(sample["value"])
        assert sample["context"] == context
        assert sample.get("format", "Raw") == "Raw"
        assert sample.get("location", "Outlet") != "EV"


@case()
async def test_tc_070_sampled_meter_values(cp: Rig) -> None:
    """During a transaction, MeterValues at start + n x MeterValueSampleInterval with every measurand that is
    configured, context Sample.Periodic, format Raw, values as text; none before and none after."""
    await _measure_everything(cp, "MeterValuesSampledData")
    await cp.configure(MeterValueSampleInterval=20)
    await cp.wait(60)
    cp.hears()
    began = cp.now
    await cp.charge()
    await cp.wait(60)
    heard = cp.hears(*(call("MeterValues", connectorId=1, transactionId=TX),) * 3)
    for n, payload in enumerate(heard, 1):
        _check_samples(payload, began + 20 * n, 20, "Sample.Periodic")
    await cp.end(transaction_id=TX)
    await cp.wait(60)


@case()
async def test_tc_071_clock_aligned_meter_values(cp: Rig) -> None:
    """MeterValues on the grid of ClockAlignedDataInterval with every measurand that is configured, context
    Sample.Clock; the transactionId only while a transaction runs."""
    await _measure_everything(cp, "MeterValuesAlignedData")
    await cp.configure(ClockAlignedDataInterval=20, MeterValueSampleInterval=0)
    await cp.wait(19)
    cp.hears(call("MeterValues", connectorId=1, transactionId=ABSENT))  # no whole interval has passed yet
    await cp.wait(40)
    idle = cp.hears(*(call("MeterValues", connectorId=1, transactionId=ABSENT),) * 2)
    await cp.charge()
    await cp.wait(40)
    charging = cp.hears(*(call("MeterValues", connectorId=1, transactionId=TX),) * 2)
    for n, payload in enumerate(idle + charging, 2):
        _check_samples(payload, 20 * n, 20, "Sample.Clock")
