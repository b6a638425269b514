"""What stations made alike do not share: their serial numbers (OCPP 1.6 §6.3)."""

from __future__ import annotations

import pytest

from chargepoint.fleet.plan.template import load_template
from chargepoint.station_type import SERIAL_NUMBERS, StationType, numbered


@pytest.mark.parametrize(
    ("serial", "number", "counted"),
    [
        ("WB3000001", 0, "WB3000001"),
        ("WB3000001", 9_999, "WB3010000"),
        ("0901454800", 1, "0901454801"),
        ("SN99", 1, "SN00"),
        ("12-7A", 5, "12-2A"),
        ("none", 3, "none"),
    ],
)
def test_the_last_digits_are_counted_up_and_keep_their_number(serial: str, number: int, counted: str) -> None:
    plate = {"chargePointVendor": "Maker 1", "chargePointSerialNumber": serial}
    assert numbered(plate, number) == {"chargePointVendor": "Maker 1", "chargePointSerialNumber": counted}


def test_two_stations_of_one_type_have_all_else_in_common() -> None:
    factory = StationType(load_template("lamp-post").config).boot_payload
    plate = numbered(factory, 41)
    differing = {name for name in factory if factory[name] != plate[name]}
    assert differing == {name for name in SERIAL_NUMBERS if name in factory}
    assert {"chargePointSerialNumber", "iccid", "imsi"} <= differing
    assert plate["iccid"] == "8944110068123456042"


def test_a_type_without_serial_numbers_shares_its_plate() -> None:
    plate = {"chargePointVendor": "Maker 1"}
    assert numbered(plate, 7) is plate
