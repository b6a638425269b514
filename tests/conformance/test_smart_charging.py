"""Smart charging (TC_056 to TC_060, TC_066, TC_067, TC_072, TC_082)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import case
from tests.conformance.expected import Payload, authorize, call, seconds, start, status
from tests.conformance.rig import ACCEPTED, REJECTED, START, TX, Refused, Rig

Periods = dict[int, float]
"""Seconds from its start -> the limit in A from then on."""

HARDWARE_A = 32.0

MAX: Periods = {0: 10}
TX_DEFAULT: Periods = {0: 6, 60: 10, 120: 8, 180: 25, 260: 8}
TX_PROFILE: Periods = {0: 8, 50: 11, 140: 16, 200: 6, 240: 12}


def _profile(
    cp: Rig, purpose: str, periods: Periods, duration: int | None = None, *, id: int = 1, level: int = 0,
    **more: Any,
) -> Payload:  # fmt: skip
    """A charging profile in A that begins now."""
    schedule = {
        "startSchedule": cp.moment(0),
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit, "numberPhases": 3} for at, limit in periods.items()
        ],
    }
    return {
        "chargingProfileId": id,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule if duration is None else schedule | {"duration": duration},
        **more,
    }


async def _set(cp: Rig, profile: Payload, connector: int = 1) -> Payload | Refused:
    return await cp.call("SetChargingProfile", connectorId=connector, csChargingProfiles=profile)


async def _composite(cp: Rig, duration: int, connector: int = 1) -> Periods:
    """What GetCompositeSchedule says from now on, in A."""
    answer = await cp.call(
        "GetCompositeSchedule", connectorId=connector, duration=duration, chargingRateUnit="A"
    )
    assert isinstance(answer, dict)
    assert answer["status"] == "Accepted"
    assert answer["connectorId"] == connector
    assert seconds(answer["scheduleStart"], START) == cp.now
    schedule = answer["chargingSchedule"]
    assert schedule["duration"] == duration
    assert schedule["chargingRateUnit"] == "A"
    assert "startSchedule" not in schedule
    periods = schedule["chargingSchedulePeriod"]
    assert [period["numberPhases"] for period in periods] == [3] * len(periods)
    assert [period["startPeriod"] for period in periods] == sorted({p["startPeriod"] for p in periods})
    return {period["startPeriod"]: period["limit"] for period in periods}


async def _offered(cp: Rig) -> float:
    """What the vehicle at connector 1 is offered now, in A."""
    return float((await cp.do("status"))["connectors"][0]["offered_a"])


async def _is_offered(cp: Rig, periods: Periods) -> None:
    """Over time the vehicle is offered just this; station time passes."""
    begin = cp.now
    for at, limit in periods.items():
        await cp.wait(max(0.0, begin + at + 1 - cp.now))
        assert await _offered(cp) == limit, at


@case()
async def test_tc_056_tx_default_profile(cp: Rig) -> None:
    """SetChargingProfile TxDefaultProfile without a transaction: Accepted; the composite schedule follows it
    period by period, and so does what a vehicle is offered."""
    await cp.configure(MeterValueSampleInterval=0)
    assert await _set(cp, _profile(cp, "TxDefaultProfile", TX_DEFAULT, 300)) == ACCEPTED
    expected = TX_DEFAULT | {300: HARDWARE_A}
    assert await _composite(cp, 400) == expected
    await cp.plug_in()
    await cp.swipe("TAG")
    await _is_offered(cp, expected)
    cp.hears(status(1, "Preparing"), authorize("TAG"), start("TAG"), status(1, "Charging"))


@case()
async def test_tc_057_tx_profile(cp: Rig) -> None:
    """SetChargingProfile TxProfile during a transaction: Accepted; the composite schedule follows it period
    by period, and so does what the vehicle is offered; it ends with the transaction."""
    await cp.configure(MeterValueSampleInterval=0)
    await cp.charge()
    profile = _profile(cp, "TxProfile", TX_PROFILE, 260, transactionId=TX)
    assert await _set(cp, profile) == ACCEPTED
    expected = TX_PROFILE | {260: HARDWARE_A}
    assert await _composite(cp, 300) == expected
    await _is_offered(cp, expected)
    await cp.end(transaction_id=TX)
    await cp.charge()
    assert await _composite(cp, 300) == {0: HARDWARE_A}


@case()
async def test_tc_058_1_tx_profile_without_transaction(cp: Rig) -> None:
    """SetChargingProfile TxProfile without a transaction: Rejected, and nothing is installed."""
    assert await _set(cp, _profile(cp, "TxProfile", TX_PROFILE)) == REJECTED
    cp.explains("no transaction runs")
    assert await cp.call("ClearChargingProfile") == {"status": "Unknown"}


@case()
async def test_tc_058_2_tx_profile_wrong_transaction(cp: Rig) -> None:
    """SetChargingProfile TxProfile with another transactionId than the running one: Rejected, and the limit
    stays."""
    await cp.charge()
    assert await _set(cp, _profile(cp, "TxProfile", TX_PROFILE, transactionId=TX + 1)) == REJECTED
    cp.explains("does not run")
    assert await _composite(cp, 300) == {0: HARDWARE_A}
    assert await _offered(cp) == HARDWARE_A


@case()
async def test_tc_059_remote_start_with_profile(cp: Rig) -> None:
    """RemoteStartTransaction with a TxProfile: Accepted, StartTransaction, and the transaction is limited by
    that profile."""
    await cp.configure(MeterValueSampleInterval=0)
    await cp.plug_in()
    profile = _profile(cp, "TxProfile", TX_PROFILE, 260)
    answer = await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1, chargingProfile=profile)
    assert answer == ACCEPTED
    assert await _composite(cp, 300) == TX_PROFILE | {260: HARDWARE_A}
    await _is_offered(cp, TX_PROFILE)
    cp.hears(status(1, "Preparing"), start("TAG"), status(1, "Charging"))


@case()
async def test_tc_060_remote_start_with_wrong_purpose(cp: Rig) -> None:
    """RemoteStartTransaction with a profile that is no TxProfile: Rejected, and nothing starts."""
    await cp.plug_in()
    for purpose in ("TxDefaultProfile", "ChargePointMaxProfile"):
        profile = _profile(cp, purpose, TX_DEFAULT)
        answer = await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1, chargingProfile=profile)
        assert answer == REJECTED
    cp.explains("not a TxProfile")
    await cp.wait(10)
    cp.hears(status(1, "Preparing", at=1))


async def _worked_example(cp: Rig) -> None:
    """A maximum, a default and a profile of the transaction, all beginning now."""
    assert await _set(cp, _profile(cp, "ChargePointMaxProfile", MAX, id=1), 0) == ACCEPTED
    assert await _set(cp, _profile(cp, "TxDefaultProfile", TX_DEFAULT, 300, id=2)) == ACCEPTED
    profile = _profile(cp, "TxProfile", TX_PROFILE, 260, id=3, transactionId=TX)
    assert await _set(cp, profile) == ACCEPTED


@case()
async def test_tc_066_composite_schedule(cp: Rig) -> None:
    """ChargePointMaxProfile, TxDefaultProfile and TxProfile together: the composite schedule is the lowest of
    them instant by instant, the default again after the profile of the transaction and the maximum alone
    after that; the vehicle is offered just this."""
    await cp.configure(MeterValueSampleInterval=0)
    await cp.charge()
    await _worked_example(cp)
    expected: Periods = {0: 8, 50: 10, 200: 6, 240: 10, 260: 8, 300: 10}
    assert await _composite(cp, 400) == expected
    await _is_offered(cp, expected)


@case()
async def test_tc_067_clear_charging_profile(cp: Rig) -> None:
    """ClearChargingProfile by id, by stackLevel and by purpose: Accepted, and the composite schedule follows
    each time; what is not there any more: Unknown."""
    await cp.charge()
    await _worked_example(cp)
    assert await cp.call("ClearChargingProfile", id=3) == ACCEPTED
    assert await _composite(cp, 400) == {0: 6, 60: 10, 120: 8, 180: 10, 260: 8, 300: 10}
    by_level = {"connectorId": 1, "stackLevel": 0}
    assert await cp.call("ClearChargingProfile", **by_level) == ACCEPTED
    assert await _composite(cp, 400) == {0: 10}
    by_purpose = {"chargingProfilePurpose": "ChargePointMaxProfile"}
    assert await cp.call("ClearChargingProfile", **by_purpose) == ACCEPTED
    assert await _composite(cp, 400) == {0: HARDWARE_A}
    assert await _offered(cp) == HARDWARE_A
    for gone in ({"id": 3}, by_level, by_purpose, {}):
        assert await cp.call("ClearChargingProfile", **gone) == {"status": "Unknown"}


@case()
async def test_tc_072_stacking(cp: Rig) -> None:
    """Two TxDefaultProfiles on different stack levels: the higher one counts for its duration, the lower one
    after it."""
    await cp.configure(MeterValueSampleInterval=0)
    low = _profile(cp, "TxDefaultProfile", {0: 6, 50: 5, 100: 8, 200: 10}, 400, id=1, level=0)
    high = _profile(cp, "TxDefaultProfile", {0: 7, 100: 9}, 150, id=2, level=1)
    assert await _set(cp, low) == ACCEPTED
    assert await _set(cp, high) == ACCEPTED
    expected: Periods = {0: 7, 100: 9, 150: 8, 200: 10}
    assert await _composite(cp, 350) == expected
    await cp.plug_in()
    await cp.swipe("TAG")
    await _is_offered(cp, expected)
    cp.hears(status(1, "Preparing"), authorize("TAG"), start("TAG"), status(1, "Charging"))


@case()
async def test_tc_082_tx_default_with_running_transaction(cp: Rig) -> None:
    """SetChargingProfile TxDefaultProfile during a transaction: Accepted and in force at once; a limit of 0
    is SuspendedEVSE, and cleared the vehicle charges again."""
    await cp.charge()
    assert await _set(cp, _profile(cp, "TxDefaultProfile", {0: 10})) == ACCEPTED
    assert await _offered(cp) == 10
    assert await _composite(cp, 300) == {0: 10}
    await cp.wait(10)
    cp.hears()
    assert await _set(cp, _profile(cp, "TxDefaultProfile", {0: 0}), 0) == ACCEPTED
    assert await _set(cp, _profile(cp, "TxDefaultProfile", {0: 0})) == ACCEPTED
    cp.hears(status(1, "SuspendedEVSE"))
    assert await cp.call("ClearChargingProfile") == ACCEPTED
    await cp.wait(5)
    assert await _offered(cp) == HARDWARE_A
    cp.hears(status(1, "Charging"))
    assert await cp.call("TriggerMessage", requestedMessage="MeterValues", connectorId=1) == ACCEPTED
    cp.hears(call("MeterValues", transactionId=TX))
