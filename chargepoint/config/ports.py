"""Devices of one configuration that cannot be where they are, because another one is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chargepoint.config.hardware import ConnectorConfig, DriverConfig
from chargepoint.config.section import Context
from chargepoint.config.source import Place
from hal.mistakes import Lines

__all__ = ["conflicts"]


def conflicts(
    field: str,
    context: Any,
    connectors: Sequence[ConnectorConfig],
    readers: Sequence[DriverConfig] = (),
    site_meter: DriverConfig | None = None,
) -> dict[Place, str]:
    """What is wrong below the top-level key `field`, by its place there."""
    if isinstance(context, Context) and not context.check_drivers:
        return {}
    lines, found = Lines(), {}
    for who, part, place, config in _devices(connectors, readers, site_meter):
        try:
            wrong = lines.add(who, part, config.settings)
        except ValueError:  # a file that is not there, and need not be yet
            continue
        found.update({(*place[1:], key): text for key, text in wrong.items() if place[0] == field})
    return found


def _devices(
    connectors: Sequence[ConnectorConfig], readers: Sequence[DriverConfig], site_meter: DriverConfig | None
) -> Iterator[tuple[str, str, Place, DriverConfig]]:
    for n, connector in enumerate(connectors):
        parts = {"evse": connector.evse, "meter": connector.meter, "reader": connector.reader}
        for part, config in parts.items():
            if config is not None:
                yield f"the {part} of connector {n + 1}", part, ("connectors", n, part), config
    for n, config in enumerate(readers):
        yield f"card reader {n + 1}", "reader", ("readers", n), config
    if site_meter is not None:
        yield "the site's meter", "meter", ("site", "meter"), site_meter
