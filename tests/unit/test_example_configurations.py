"""The examples in deploy/examples can be used as they are, once the ports are one's own."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from chargepoint.cli.devices import Devices, devices_of
from chargepoint.config import load
from hal.clock import WallClock

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))
GUIDE = ROOT / "docs" / "raspberry-pi.md"


def names(path: Path) -> str:
    return path.stem


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=names)
def test_it_is_a_configuration_without_a_mistake_or_a_warning(
    example: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load(example)
    assert all(connector.evse.driver != "simulated" for connector in config.connectors)
    assert not caplog.records


@pytest.mark.parametrize("example", EXAMPLES, ids=names)
def test_its_drivers_understand_every_setting(example: Path) -> None:
    config = load(example)

    async def opened() -> list[str]:
        devices: Devices = devices_of(config, WallClock())
        try:
            return [onlooker.driver for _, onlooker in devices]
        finally:
            await devices.close()

    drivers = asyncio.run(opened())
    assert {connector.evse.driver for connector in config.connectors} <= set(drivers)
    assert {connector.meter.driver for connector in config.connectors} <= set(drivers)
    assert {reader.driver for reader in config.readers} <= set(drivers)


@pytest.mark.parametrize("example", EXAMPLES, ids=names)
def test_the_guide_links_it_and_its_pages_exist(example: Path) -> None:
    assert f"](../deploy/examples/{example.name})" in GUIDE.read_text(encoding="utf-8")
    pages = re.findall(r"docs/[\w/-]+\.(?:svg|md)", example.read_text(encoding="utf-8"))
    assert any(page.endswith(".svg") for page in pages)
    for page in pages:
        assert (ROOT / page).exists(), page
