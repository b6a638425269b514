"""Tells a central system that went away from one that does something wrong."""

from __future__ import annotations

import asyncio

from chargepoint.ocpp16.times import format_time
from scenarios.stage import Stage, Staged

__all__ = ["gone"]

_UNREACHED = frozenset({"refused", "timeout", "name"})
"""Kinds of a `LinkError` that say that nobody is there."""

_LOOKS_EACH_S = 0.01


async def gone(stage: Stage) -> str | None:
    """Why a foreign central system cannot be reached any more; None if it can, or the story cut it off.

    Only what fails below HTTP counts: a central system that refuses is there. Who has not tried to connect
    since the link was lost tries now; station time stands still meanwhile.
    """
    if stage.csms is not None:
        return None
    wanting = [one for one in stage.stations.values() if one.started and one.station.link.wanted]
    for staged in wanting:
        await _try(staged)
    if not wanting or any(one.station.refusal not in _UNREACHED for one in wanting):
        return None
    first = wanting[0]
    since = "" if first.lost_at is None else f" at {format_time(first.lost_at)[11:19]}"
    return f"the central system went away{since}: {first.refusal}"


async def _try(staged: Staged) -> None:
    """Have it tried at least once since its link was lost."""
    link = staged.station.link
    if link.online or staged.station.refusal is not None:
        return
    if not link.connecting:
        link.reconnect()
    while link.connecting:
        await asyncio.sleep(_LOOKS_EACH_S)
