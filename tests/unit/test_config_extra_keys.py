"""Configuration keys that a maker added, and optional ones that a station does not know (OCPP 1.6 §9)."""

from __future__ import annotations

import pytest

from chargepoint.config import parse
from chargepoint.config.keys import keys_of
from chargepoint.errors import ConfigError
from chargepoint.ocpp16.configuration import Configuration, FactoryConfiguration
from chargepoint.store import MemoryStore
from hal.api import EvseInfo

TEXT = """\
extra_keys:
  - {name: MaxCurrent, value: 32, readonly: true}
  - {name: LedBrightness, value: 80}
  - {name: Backend, value: "ws://x", reboot: true}
missing_keys: [MaxEnergyOnInvalidId]
ocpp: {MaxEnergyOnInvalidId: 500}
"""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def configuration(store: MemoryStore) -> Configuration:
    config = parse(TEXT)
    keys = keys_of(config.extra_keys)
    return Configuration(store, FactoryConfiguration(config.ocpp, [EvseInfo()], keys, config.missing_keys))


def test_a_maker_s_key_is_reported_and_changed_as_it_says(store: MemoryStore) -> None:
    station = configuration(store)
    assert [key.name for key in station.listed()][-3:] == ["MaxCurrent", "LedBrightness", "Backend"]
    assert station.get("maxcurrent") == "32"
    assert station.change("MaxCurrent", "16") == "Rejected"
    assert station.change("LedBrightness", "any text") == "Accepted"
    assert station.change("Backend", "ws://y") == "RebootRequired"
    assert station.get("LedBrightness") == "any text"
    assert station.change("LedBrightness", "x" * 501) == "Rejected"


def test_a_change_of_it_outlives_a_restart(store: MemoryStore) -> None:
    configuration(store).change("LedBrightness", "10")
    assert configuration(store).get("LedBrightness") == "10"


def test_a_missing_key_is_unknown_and_its_value_in_force(store: MemoryStore) -> None:
    station = configuration(store)
    assert station.find("maxenergyoninvalidid") is None
    assert "MaxEnergyOnInvalidId" not in [key.name for key in station.listed()]
    assert station.change("MaxEnergyOnInvalidId", "1") == "NotSupported"
    assert station.max_energy_on_invalid_id_wh == 500


def test_a_station_without_either_shares_the_one_table() -> None:
    assert keys_of(()) is keys_of(parse("").extra_keys)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "extra_keys: [{name: heartbeatinterval}]",
            "extra_keys[0].name: is a key of OCPP; write it under `ocpp`",
        ),
        ("extra_keys: [{name: A}, {name: a}]", "extra_keys: has A twice; keep one of them"),
        ("extra_keys: [{value: 3}]", "extra_keys[0].name: is missing"),
        (f"extra_keys: [{{name: {'x' * 51}}}]", "extra_keys[0].name: must not be longer than 50"),
        (
            "missing_keys: [HeartbeatInterval]",
            "missing_keys: names HeartbeatInterval, which OCPP 1.6 requires; remove it",
        ),
        (
            "missing_keys: [MessageTimeOuts]",
            "missing_keys: names MessageTimeOuts, which is not a known key; did you mean MessageTimeout?",
        ),
    ],
)
def test_mistakes_are_told_with_their_remedy(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "station.yaml")
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"station.yaml:1: {problem}")
