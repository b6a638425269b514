"""Reservation (TC_046 to TC_053)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import case
from tests.conformance.expected import Payload, authorize, start, status
from tests.conformance.rig import ACCEPTED, REJECTED, TX, Refused, Rig

ID = 77


async def _reserve(
    cp: Rig, connector: int = 1, id_tag: str = "TAG", *, for_s: float = 600, **more: Any
) -> Payload | Refused:
    return await cp.call(
        "ReserveNow",
        connectorId=connector,
        idTag=id_tag,
        expiryDate=cp.moment(for_s),
        reservationId=ID,
        **more,
    )


async def _reserved(cp: Rig, **more: Any) -> None:
    """Connector 1 is reserved for TAG from now on."""
    assert await _reserve(cp, **more) == ACCEPTED
    cp.hears(status(1, "Reserved"))


async def _charges(cp: Rig, id_tag: str) -> None:
    """The vehicle comes and the reservation becomes a transaction."""
    await cp.plug_in()
    await cp.wait(5)
    cp.hears(start(id_tag, reservation_id=ID), status(1, "Charging"))
    await cp.end(id_tag, transaction_id=TX)
    await cp.charge("OTHER")


@case()
async def test_tc_046_1_reserve_local_start(cp: Rig) -> None:
    """ReserveNow: Accepted, Reserved. A foreign tag is refused without Authorize; the right one: Authorize,
    Preparing, StartTransaction with the reservationId, Charging; after it anybody may charge."""
    await _reserved(cp)
    await cp.swipe("FOREIGN")
    await cp.wait(10)
    cp.hears()
    await cp.swipe("TAG")
    cp.hears(authorize("TAG"), status(1, "Preparing"))
    await _charges(cp, "TAG")


@case()
async def test_tc_046_2_reserve_remote_start(cp: Rig) -> None:
    """ReserveNow: Accepted, Reserved. RemoteStartTransaction of a foreign tag: Rejected; of the right one:
    Accepted, Preparing, StartTransaction with the reservationId, Charging."""
    await _reserved(cp)
    assert await cp.call("RemoteStartTransaction", idTag="FOREIGN", connectorId=1) == REJECTED
    cp.hears()
    assert await cp.call("RemoteStartTransaction", idTag="TAG", connectorId=1) == ACCEPTED
    cp.hears(status(1, "Preparing"))
    await _charges(cp, "TAG")


@case()
async def test_tc_047_reservation_expires(cp: Rig) -> None:
    """At the expiryDate of a reservation: Available, and another tag may charge."""
    await _reserved(cp, for_s=60)
    await cp.wait(59)
    cp.hears()
    await cp.wait(1)
    cp.hears(status(1, "Available"))
    await cp.charge("OTHER")


async def _faulted(cp: Rig) -> None:
    await cp.do("fault", connector=1, error_code="HighTemperature")
    cp.hears(status(1, "Faulted", "HighTemperature"))


async def _unavailable(cp: Rig, connector: int) -> None:
    assert await cp.call("ChangeAvailability", connectorId=connector, type="Inoperative") == ACCEPTED
    cp.hears(*(cp.all_report("Unavailable") if connector == 0 else [status(1, "Unavailable")]))


FAULTED, OCCUPIED, UNAVAILABLE = {"status": "Faulted"}, {"status": "Occupied"}, {"status": "Unavailable"}


@case()
async def test_tc_048_1_reserve_faulted(cp: Rig) -> None:
    """ReserveNow for a faulted connector: Faulted."""
    await _faulted(cp)
    assert await _reserve(cp) == FAULTED


@case()
async def test_tc_048_2_reserve_occupied(cp: Rig) -> None:
    """ReserveNow for a connector in Preparing, Charging or Finishing: Occupied."""
    await cp.plug_in()
    cp.hears(status(1, "Preparing"))
    assert await _reserve(cp) == OCCUPIED
    await cp.unplug()
    cp.hears(status(1, "Available"))
    await cp.charge()
    assert await _reserve(cp) == OCCUPIED
    await cp.call("RemoteStopTransaction", transactionId=TX)
    assert cp.skim()[-1].payload["status"] == "Finishing"
    assert await _reserve(cp) == OCCUPIED


@case()
async def test_tc_048_3_reserve_unavailable(cp: Rig) -> None:
    """ReserveNow for a connector that is Inoperative: Unavailable."""
    await _unavailable(cp, 1)
    assert await _reserve(cp) == UNAVAILABLE


@case(ocpp={"SupportedFeatureProfiles": "Core,RemoteTrigger"})
async def test_tc_048_4_reserve_rejected(cp: Rig) -> None:
    """ReserveNow at a station that takes no reservations: Rejected."""
    assert await _reserve(cp) == REJECTED


@case()
async def test_tc_049_reserve_charge_point(cp: Rig) -> None:
    """ReserveNow for connector 0: Accepted, and the last free connector Reserved; its tag charges there with
    the reservationId."""
    await _reserved(cp, connector=0)
    await cp.swipe("FOREIGN")
    cp.hears()
    await cp.swipe("TAG")
    cp.hears(authorize("TAG"), status(1, "Preparing"))
    await _charges(cp, "TAG")


@case(connectors=2)
async def test_tc_049_reserve_charge_point_any_connector(cp: Rig) -> None:
    """The same with two connectors: no status until another tag takes one, then the other is Reserved, and
    the tag of the reservation charges at it with the reservationId."""
    assert await _reserve(cp, connector=0) == ACCEPTED
    cp.hears()
    await cp.plug_in(2)
    await cp.swipe("OTHER", 2)
    await cp.wait(5)
    cp.hears(
        status(2, "Preparing"),
        status(1, "Reserved"),
        authorize("OTHER"),
        start("OTHER", 2),
        status(2, "Charging"),
        in_any_order=True,
    )
    await cp.swipe("TAG", 1)
    await cp.plug_in(1)
    await cp.wait(5)
    cp.hears(
        authorize("TAG"), status(1, "Preparing"), start("TAG", 1, reservation_id=ID), status(1, "Charging")
    )


@case()
async def test_tc_050_1_reserve_charge_point_faulted(cp: Rig) -> None:
    """ReserveNow for connector 0 with every connector faulted: Faulted."""
    await _faulted(cp)
    assert await _reserve(cp, 0) == FAULTED


@case()
async def test_tc_050_2_reserve_charge_point_occupied(cp: Rig) -> None:
    """ReserveNow for connector 0 with every connector in use: Occupied."""
    await cp.charge()
    assert await _reserve(cp, 0, "OTHER") == OCCUPIED


@case(connectors=2)
async def test_tc_050_3_reserve_charge_point_unavailable(cp: Rig) -> None:
    """ReserveNow for connector 0 with the station Inoperative: Unavailable."""
    await _unavailable(cp, 0)
    assert await _reserve(cp, 0) == UNAVAILABLE


@case(ocpp={"ReserveConnectorZeroSupported": "false"})
async def test_tc_050_4_reserve_charge_point_rejected(cp: Rig) -> None:
    """ReserveNow for connector 0 where ReserveConnectorZeroSupported is false: Rejected."""
    assert await _reserve(cp, 0) == REJECTED


@case()
async def test_tc_051_cancel_reservation(cp: Rig) -> None:
    """CancelReservation: Accepted, Available, and another tag may charge."""
    await _reserved(cp)
    assert await cp.call("CancelReservation", reservationId=ID) == ACCEPTED
    cp.hears(status(1, "Available"))
    await cp.charge("OTHER")


@case()
async def test_tc_052_cancel_reservation_rejected(cp: Rig) -> None:
    """CancelReservation with a number that no reservation has: Rejected, and the one there is stays."""
    await _reserved(cp)
    assert await cp.call("CancelReservation", reservationId=ID + 1) == REJECTED
    await cp.swipe("FOREIGN")
    cp.hears()


@case()
async def test_tc_053_1_reserve_group_local(cp: Rig) -> None:
    """A reservation with parentIdTag: a tag of another group is refused after Authorize; one of the group:
    Authorize, Preparing, StartTransaction with the reservationId, Charging."""
    await _reserved(cp, parentIdTag="GROUP")
    cp.answers_tag("Authorize", "MEMBER", "Accepted", parentIdTag="GROUP")
    cp.answers_tag("Authorize", "FOREIGN", "Accepted", parentIdTag="OTHER")
    await cp.swipe("FOREIGN")
    await cp.wait(10)
    cp.hears(authorize("FOREIGN"))
    await cp.swipe("MEMBER")
    cp.hears(authorize("MEMBER"), status(1, "Preparing"))
    await _charges(cp, "MEMBER")


@case()
async def test_tc_053_2_reserve_group_remote(cp: Rig) -> None:
    """A reservation with parentIdTag: RemoteStartTransaction of a tag of the group: Accepted, Authorize,
    Preparing, StartTransaction with the reservationId, Charging."""
    await _reserved(cp, parentIdTag="GROUP")
    cp.answers_tag("Authorize", "MEMBER", "Accepted", parentIdTag="GROUP")
    assert await cp.call("RemoteStartTransaction", idTag="MEMBER", connectorId=1) == ACCEPTED
    cp.hears(authorize("MEMBER"), status(1, "Preparing"))
    await _charges(cp, "MEMBER")
