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
    "beside",
    ["max_current_a: 500", "meter: {driver: sdm63}", "meter: {driver: sdm630, prot: x}", "reader: pn532"],
)
def test_what_is_wrong_beside_a_controller_does_not_keep_it_from_being_switched_off(
    beside: str, tmp_path: Path
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(
        f"connectors:\n  - {{evse: {{driver: evse-wb, port: /dev/x}}, {beside}}}\n"
        "  - {evse: {driver: evse-bw}}\n"
    )
    specs, problems = connectors_in(path)
    assert [dict(spec.evse) for spec in specs] == [
        {"driver": "evse-wb", "port": "/dev/x"},
        {"driver": "evse-bw"},  # told where the others are switched off
    ]
    assert len(problems) >= 2


@pytest.mark.parametrize(
    "text",
    ["connectors: [{evse: evse-wb}]\n", "connectors: [\n", "identiti: x\n"],
    ids=["no group", "syntax", "no connectors"],
)
def test_connectors_that_cannot_be_understood_are_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        connectors_in(path)
