"""Files that a driver's settings name: only the driver knows the key, but all begin at the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.config.hardware import DriverConfig
from chargepoint.config.reading import load, parse


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
    file = tmp_path / "station.yaml"
    file.write_text(f"connectors: [{{meter: {{driver: simulated, anything: {written}}}}}]\n")
    options = load(file, lambda _: None).connectors[0].meter.options
    assert options == {"anything": found.format(folder=tmp_path)}


def test_without_a_file_it_stays_as_it_is() -> None:
    assert DriverConfig.model_validate({"driver": "x", "map": "./mine.yaml"}).options == {"map": "mine.yaml"}
    text = "connectors: [{meter: {driver: simulated, map: ./mine.yaml}}]\n"
    assert parse(text, warn=lambda _: None).connectors[0].meter.options == {"map": "mine.yaml"}
