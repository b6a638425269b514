"""Where a Modbus device is, as it is written in the settings of its driver."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hal.modbus.bus import Place, SerialLine, TcpGateway, take_place


@pytest.mark.parametrize(
    ("settings", "place", "unit"),
    [
        ({"port": "/dev/ttyS0"}, SerialLine("/dev/ttyS0"), 1),
        ({"port": "p", "unit": 247, "baudrate": 19200}, SerialLine("p", 19200), 247),
        ({"port": "p", "unit": "2", "baudrate": "2400", "parity": "e"}, SerialLine("p", 2400, "E"), 2),
        (
            {"port": "p", "stopbits": 2, "local_echo": "false"},
            SerialLine("p", stopbits=2, local_echo=False),
            1,
        ),
        ({"port": "p", "gap_s": "0.1", "timeout_s": 1}, SerialLine("p", gap_s=0.1, timeout_s=1.0), 1),
        ({"host": "gateway"}, TcpGateway("gateway"), 1),
        ({"host": "h", "tcp_port": 1502, "unit": 255, "quiet_s": 2}, TcpGateway("h", 1502, quiet_s=2.0), 255),
    ],
)
def test_a_place_is_taken_out_of_the_settings(settings: dict[str, Any], place: Place, unit: int) -> None:
    settings["driver"] = "sdm630"
    assert take_place("meter", settings) == (place, unit)
    assert settings == {"driver": "sdm630"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "meter: port: missing"),
        ({"port": ""}, "meter: port: ''; a text"),
        ({"port": 3}, "meter: port: 3; a text"),
        ({"port": "p", "host": "h"}, "meter: host: give either port"),
        ({"port": "p", "tcp_port": 502}, "meter: tcp_port: belongs to host"),
        ({"host": "h", "baudrate": 9600}, "meter: baudrate: belongs to a serial line"),
        ({"host": "h", "tcp_port": 0}, "meter: tcp_port: 0; a whole number from 1 to 65535"),
        ({"port": "p", "unit": 0}, "meter: unit: 0; a whole number from 1 to 247"),
        ({"port": "p", "unit": 1.5}, "meter: unit: 1.5; a whole number"),
        ({"port": "p", "unit": True}, "meter: unit: True; a whole number"),
        ({"port": "p", "unit": "two"}, "meter: unit: 'two'; a whole number"),
        ({"port": "p", "baudrate": 9601}, "meter: baudrate: 9601; there are 1200, 2400"),
        ({"port": "p", "parity": "X"}, "meter: parity: 'X'; there are N, E, O"),
        ({"port": "p", "timeout_s": 0}, "meter: timeout_s: 0; seconds from 0.01 to 30"),
        ({"port": "p", "gap_s": "nan"}, "meter: gap_s: 'nan'; seconds from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(problem)):
        take_place("meter", settings)
