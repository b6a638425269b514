"""Files that a driver's settings name: only the driver knows the key, but all begin at the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.config.hardware import DriverConfig
from chargepoint.config.reading import load, parse
from chargepoint.config.section import Context
from chargepoint.errors import ConfigError

METER = "{driver: modbus, map: ./mine.yaml, port: /dev/x, unit: 2}"
TEXT = f"connectors: [{{evse: {{driver: evse-wb, port: /dev/x}}, meter: {METER}}}]\n"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("./maps/mine.yaml", "{folder}/maps/mine.yaml"),
        ("../mine.yaml", "{folder}/../mine.yaml"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("COM3", "COM3"),
    ],
)
def test_a_path_begins_at_the_configuration_file(tmp_path: Path, written: str, found: str) -> None:
    driver = DriverConfig.model_validate({"driver": "x", "anything": written}, context=Context(tmp_path))
    assert driver.options == {"anything": found.format(folder=tmp_path)}


def test_without_a_file_it_stays_as_it_is() -> None:
    assert DriverConfig.model_validate({"driver": "x", "map": "./mine.yaml"}).options == {"map": "mine.yaml"}
    assert parse(TEXT, warn=lambda _: None).connectors[0].meter.options["map"] == "mine.yaml"


def test_a_map_is_read_when_its_configuration_is(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(TEXT)
    with pytest.raises(ConfigError, match=r"connectors\[0\]\.meter\.map: .*mine\.yaml"):
        load(file)
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\nfunction: 4\npoints:\n  energy_import: {addr: 72, type: floot32}\n"
    )
    with pytest.raises(ConfigError, match="floot32"):
        load(file)
    text = (tmp_path / "mine.yaml").read_text().replace("floot", "float")
    (tmp_path / "mine.yaml").write_text(text)
    assert load(file).connectors[0].meter.options["map"] == str(tmp_path / "mine.yaml")
