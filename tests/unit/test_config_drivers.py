"""The settings of drivers: whatever `run` would refuse is found with the file, all of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargepoint.config.model import StationConfig
from chargepoint.config.reading import parse
from chargepoint.errors import ConfigError
from hal.api import EvseInfo
from hal.clock import SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.mistakes import Lines, evse_mistakes, meter_mistakes, reader_mistakes
from hal.registry import prepare_evse, prepare_reader

GOOD = """
connectors:
  - {evse: {driver: evse-wb, port: /dev/a}, meter: {driver: sdm630, port: /dev/a, unit: 2}}
  - evse: {driver: phoenix, port: /dev/a, unit: 3}
    meter: {driver: em340, port: /dev/a, unit: 4}
    reader: {driver: pn532, port: /dev/d}
  - {evse: {driver: openevse, port: /dev/b}, meter: {driver: controller}}
  - {evse: {driver: relay, pin: 17}, meter: {driver: sdm120, host: 10.0.0.2}}
readers: [{driver: rdm6300, port: /dev/c}]
site: {limit_a: 63, meter: {driver: em24, port: /dev/a, unit: 9}}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [problem.partition(":")[2] for problem in caught.value.problems]


def test_what_is_right_is_taken() -> None:
    config = parse(GOOD)
    assert [connector.evse.driver for connector in config.connectors] == [
        "evse-wb",
        "phoenix",
        "openevse",
        "relay",
    ]


def test_all_mistakes_are_listed_together() -> None:
    found = problems(
        "connectors:\n"
        "  - evse: {driver: evse-wb, prot: /dev/a, poll_s: often, foo: 1}\n"
        "    meter: {driver: sdm630, port: /dev/a, unit: 300, unti: 2}\n"
        "    reader: {driver: rdm6300, colour: red}\n"
        "readers: [{driver: rdm63}]\n"
        "site: {limit_a: 40, meter: {driver: sdm630, port: /dev/b, bar: 1}}\n"
    )
    assert [(line.split(": ")[0], line.split(": ")[1]) for line in found] == [
        ("2", "connectors[0].evse.poll_s"),
        ("2", "connectors[0].evse.port"),
        ("2", "connectors[0].evse.prot"),
        ("2", "connectors[0].evse.foo"),
        ("3", "connectors[0].meter.unit"),
        ("3", "connectors[0].meter.unti"),
        ("4", "connectors[0].reader.port"),
        ("4", "connectors[0].reader.colour"),
        ("5", "readers[0].driver"),
        ("6", "site.meter.bar"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (
            GOOD.replace("port: /dev/a, unit: 3}", "port: /dev/a}"),
            "connectors[1].evse.unit",
            "evse of connector 1",
        ),
        (
            GOOD.replace("em340, port: /dev/a", "em340, port: /dev/e, baudrate: 2400").replace(
                "em24, port: /dev/a", "em24, port: /dev/e"
            ),
            "site.meter.port",
            "the meter of connector 2 speaks 2400 baud",
        ),
        (GOOD.replace("/dev/c", "/dev/b"), "readers[0].port", "the evse of connector 3 is there already"),
        (GOOD.replace("/dev/d", "/dev/a"), "connectors[1].reader.port", "cannot share it"),
        (
            GOOD.replace("unit: 4}", "unit: 3}"),
            "connectors[1].meter.unit",
            "3 there is the evse of connector 2",
        ),
        (GOOD.replace("unit: 9}", "unit: 4}"), "site.meter.unit", "4 there is the meter of connector 2"),
        (
            GOOD.replace(
                "readers:",
                "  - {evse: {driver: relay, pin: 27, rcd_pin: 17}, meter: {driver: em24, host: b}}\nreaders:",
            ),
            "connectors[4].evse.rcd_pin",
            "17 belongs to the evse of connector 4",
        ),
    ],
    ids=[
        "the same unit",
        "another speed",
        "a reader at a controller",
        "a reader on a line",
        "a meter as its controller",
        "a site's meter as a connector's",
        "the same pin",
    ],
)
def test_two_devices_in_one_place_are_refused(text: str, place: str, said: str) -> None:
    (found,) = problems(text)
    assert place in found
    assert said in found


def test_a_map_of_ones_own_may_read_the_controller_it_stands_beside(tmp_path: Path) -> None:
    registers = tmp_path / "own.yaml"
    registers.write_text(
        "function: 3\npoints: {power: {addr: 0, type: int32}, energy_import: {addr: 2, type: int32}}\n"
    )
    lines, at = Lines(), {"host": "10.0.0.2", "unit": 3}
    own = {"driver": "modbus", "map": str(registers), **at}
    assert lines.add("the evse", "evse", {"driver": "evse-wb", **at}) == {}
    assert lines.add("its meter", "meter", own) == {}
    assert lines.add("another meter", "meter", {"driver": "sdm630", **at}).keys() == {"unit"}


@pytest.mark.parametrize(
    ("evse", "meter"),
    [
        ({"driver": "evse-wb", "port": 5}, {"driver": "none"}),
        ({"driver": "evse-wb", "port": "/dev/a", "unit": "x", "safe_current_a": 3}, {"driver": "none"}),
        ({"driver": "openevse"}, {"driver": "controller"}),
        ({"driver": "openevse", "port": "/dev/a"}, {"driver": "controller", "a": 1}),
        ({"driver": "relay", "pin": 17, "feedback_pin": 17}, {"driver": "none"}),
        ({"driver": "relay"}, {"driver": "none"}),
        ({"driver": "phoenix", "host": "h", "baudrate": 9600}, {"driver": "none"}),
        ({"driver": "nobody"}, {"driver": "none"}),
    ],
)
def test_what_opening_refuses_is_found(evse: dict[str, Any], meter: dict[str, Any]) -> None:
    spec = ConnectorSpec(EvseInfo(), evse, meter)
    with pytest.raises(ValueError, match=":"):
        prepare_evse(spec, SteppedClock())
    assert evse_mistakes(spec) or meter_mistakes(spec)


@pytest.mark.parametrize(
    "settings", [{}, {"port": ""}, {"port": "/dev/a", "others": "perhaps", "whitelist": "x"}]
)
def test_what_opening_a_reader_refuses_is_found(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reader: "):
        prepare_reader({"driver": "rdm6300", **settings})
    assert reader_mistakes({"driver": "rdm6300", **settings})


def test_the_default_has_no_mistakes() -> None:
    assert StationConfig().connectors[0].reader is None
