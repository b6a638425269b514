"""`driver: simulated` in place of any part, but only where it was asked for."""

from __future__ import annotations

import pytest

from chargepoint.config import parse
from chargepoint.errors import ConfigError

EVSE = "{driver: evse-wb, port: /dev/serial/by-id/x}"
METER = "{driver: sdm630, port: /dev/serial/by-id/x, unit: 2}"


@pytest.mark.parametrize(
    ("evse", "meter"), [(EVSE, "{driver: simulated}"), ("{driver: simulated}", METER), (EVSE, METER)]
)
def test_any_part_may_be_simulated(evse: str, meter: str) -> None:
    config = parse(f"identity: CP1\nconnectors:\n  - evse: {evse}\n    meter: {meter}\n", "station.yaml")
    assert (config.connectors[0].evse.driver, config.connectors[0].meter.driver) == tuple(
        text[len("{driver: ") :].split(",")[0].rstrip("}") for text in (evse, meter)
    )


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (f"evse: {EVSE}", "station.yaml:3: connectors[0].meter: is missing beside the evse evse-wb; write "),
        (f"meter: {METER}", "station.yaml:3: connectors[0].evse: is missing beside the meter sdm630; write "),
    ],
    ids=["no meter", "no controller"],
)
def test_beside_real_hardware_nothing_is_made_up_unasked(written: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"identity: CP1\nconnectors:\n  - {written}\n", "station.yaml")
    (told,) = caught.value.problems
    assert told.startswith(problem)
    assert "{driver: simulated}" in told
