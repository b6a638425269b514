"""The connectors in a configuration file, also where there are mistakes elsewhere: they must be made safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.cli.devices import connectors_in
from chargepoint.errors import ConfigError

CONNECTOR = (
    "connectors: [{evse: {driver: evse-wb, port: /dev/x}, meter: {driver: sdm630, port: /dev/x, unit: 2}}]\n"
)


@pytest.mark.parametrize(
    ("elsewhere", "problem"),
    [("", None), ("identiti: CP001\n", "identiti"), ("behaviour: {reboot_s: soon}\n", "reboot_s")],
    ids=["none", "unknown key", "wrong value"],
)
def test_mistakes_elsewhere_are_told_and_the_connectors_are_there(
    elsewhere: str, problem: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(CONNECTOR + elsewhere)
    specs, problems = connectors_in(path)
    assert [dict(spec.evse) for spec in specs] == [{"driver": "evse-wb", "port": "/dev/x"}]
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


@pytest.mark.parametrize(
    "text",
    ["connectors: [{evse: {driver: evse-bw}}]\n", "connectors: [\n", "identiti: x\n"],
    ids=["driver", "syntax", "no connectors"],
)
def test_connectors_that_cannot_be_understood_are_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        connectors_in(path)
