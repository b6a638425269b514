"""Drivers by name (`hal.registry`)."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import EvseInfo
from hal.clock import SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.registry import driver_names, open_evse, open_reader

SIMULATED: dict[str, Any] = {"driver": "simulated"}


def test_a_connector_opens_at_the_register_it_had() -> None:
    evse = open_evse(ConnectorSpec(EvseInfo(phases=1), SIMULATED, SIMULATED, 1234.5), SteppedClock(7.0))
    assert evse.info.phases == 1
    assert evse.reading().energy_wh == 1234.5
    assert evse.reading().time == 7.0


def test_the_simulator_is_a_driver_like_any_other() -> None:
    assert "simulated" in driver_names()


@pytest.mark.parametrize(
    ("evse", "meter", "message"),
    [
        ({"driver": "magic"}, SIMULATED, "evse: driver: no evse driver 'magic' here; there are .*simulated"),
        ({"driver": 5}, SIMULATED, "evse: driver: no evse driver 5"),
        ({}, SIMULATED, "evse: driver: missing; there are .*simulated"),
        (SIMULATED, {"driver": "magic"}, "meter: driver: no meter 'magic' here"),
        (SIMULATED | {"port": "x"}, SIMULATED, "evse: port: unknown"),
        (SIMULATED, SIMULATED | {"port": "x"}, "meter: port: unknown"),
    ],
    ids=["unknown evse", "not a name", "none", "unknown meter", "setting of evse", "setting of meter"],
)
def test_what_cannot_be_opened_says_why(evse: dict[str, Any], meter: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_evse(ConnectorSpec(EvseInfo(), evse, meter), SteppedClock())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"driver": "magic"}, "reader: driver: no reader driver 'magic'"),
        (SIMULATED | {"x": 1}, "reader: x: unknown"),
    ],
    ids=["unknown", "setting"],
)
def test_a_reader_that_cannot_be_opened_says_why(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_reader(settings, SteppedClock())


@pytest.mark.parametrize("tag", ["", "x" * 21], ids=["empty", "21 characters"])
def test_a_simulated_card_has_an_id_tag_that_fits(tag: str) -> None:
    reader: Any = open_reader(SIMULATED, SteppedClock())
    with pytest.raises(ValueError, match="1 to 20 characters"):
        reader.present(tag)
